"""The example compares networks of one size on one series, and every one of them with what needs no network."""

import numpy as np
import pytest

from examples.stateful import example


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    picture = tmp_path_factory.mktemp("stateful") / "picture.png"
    found = example.main(["--small", "--out", str(picture)])
    assert picture.stat().st_size > 1000
    return found


@pytest.mark.slow
def test_every_network_beats_the_naive_shift_at_every_step_ahead(figures):
    for errors in figures.values():
        for way in ("stateful LSTM", "windowed LSTM", "dense network"):
            assert (errors[way] < errors["naive shift"]).all()


@pytest.mark.slow
def test_what_lies_further_ahead_is_harder_to_forecast_for_a_swing(figures):
    for errors in figures["swing"].values():
        assert errors[0] < errors[3]


@pytest.mark.parametrize(("n_weights", "n_past", "horizon"), [(2696, 24, 8), (500, 10, 3)])
def test_the_dense_network_has_as_many_weights(n_weights, n_past, horizon):
    units = example.dense_units(n_weights, n_past, horizon)
    made = units * (n_past + 1) + (units + 1) * horizon
    assert abs(made - n_weights) <= (n_past + 1 + horizon) / 2


def test_the_naive_shift_is_off_by_the_step():
    series = np.arange(6.0)[:, None]

    class Prepared:
        scaled = series
        split = type("Split", (), {"test": (2, 6)})

    shifted = np.repeat(series[:, None], 2, axis=1)
    np.testing.assert_allclose(example.errors_by_horizon(Prepared, shifted), [1.0, 2.0])
