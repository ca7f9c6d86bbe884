"""An exported network gives its weights back, and no other network takes them."""

import numpy as np
import pytest
from networks import CASES, Case, autoencoder, dense, forecaster, stirred

from offbeat.errors import StartError
from offbeat.models.export import export_network
from offbeat.models.restore import take_weights


def born(case, seed):
    return stirred(Case(case.model, {**case.changes, "seed": seed}, case.window_size, case.n_channels, case.n_calendar))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_exported_network_gives_its_weights_back(case):
    one, other = born(case, 1), born(case, 2)
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0]) or case.changes.get("units") == 1
    take_weights(other, export_network(one))
    for layer, again in zip(one.layers, other.layers, strict=True):
        for weight, taken in zip(layer.get_weights(), again.get_weights(), strict=True):
            # dropout's masks scale a weight, and back
            np.testing.assert_allclose(taken, weight, rtol=3e-7 if case.changes.get("output") == "dropout" else 0)


@pytest.mark.parametrize(
    ("start", "difference"),
    [
        (autoencoder(window_size=9), r"windows of 9 x 3 there, of 8 x 3 here"),
        (autoencoder(4), r"windows of 8 x 4 there, of 8 x 3 here"),
        (autoencoder(output="quantiles"), r"estimates of 8 x 3 x 3 there, of 8 x 3 here"),
        (dense(), r"dense_autoencoder there, recurrent_autoencoder here"),
        (autoencoder(units=6), r"code.kernel is 6 x 3 there, 5 x 3 here"),
        (autoencoder(cell="gru"), r"decoder.B is 1 x 30 there, 1 x 40 here"),
        (autoencoder(linear_size=0), r"linear_code.kernel is missing there, 3 x 1 here"),
        (autoencoder(direction="both"), r"code.kernel is 10 x 3 there, 5 x 3 here"),
    ],
    ids=str,
)
def test_another_network_is_refused_and_the_difference_told(start, difference):
    model = stirred(autoencoder())
    before = model.get_weights()
    with pytest.raises(StartError, match=f"the start has another network: {difference}; train from new weights"):
        take_weights(model, export_network(stirred(start)))
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_a_forecaster_of_another_horizon_is_refused():
    model = stirred(forecaster(horizon=3, strategy="recursive"))
    with pytest.raises(StartError, match="estimates of 2 x 3 there, of 3 x 3 here"):
        take_weights(model, export_network(stirred(forecaster(horizon=2, strategy="recursive"))))
