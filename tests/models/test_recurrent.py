"""Autoencoder and forecaster: shapes, what each may look at, and a file that gives them back."""

import keras
import numpy as np
import pytest

from offbeat.models.dense import build_dense, build_dense_forecaster
from offbeat.models.recurrent import build_autoencoder, build_forecaster
from offbeat.params import load_params

DEFAULTS = load_params().train
SMALL = {"units": 5, "latent_size": 2, "position_size": 4, "linear_size": 0, "horizon": 3, "seed": 1}


def small(build=build_autoencoder, window_size=8, n_channels=3, n_calendar=0, **changes):
    return build(window_size, n_channels, DEFAULTS.model_copy(update=SMALL | changes), n_calendar)


def windows_of(n, window_size, n_columns, seed=0):
    return np.random.default_rng(seed).standard_normal((n, window_size, n_columns)).astype(np.float32)


def moved(model, windows, rows, columns, by=1.0):
    """Which timesteps of the estimates, (H,), move with these rows and columns of the windows."""
    other = windows.copy()
    other[:, rows, columns] += by
    off = np.abs(np.asarray(model(other)) - np.asarray(model(windows)))
    return off.reshape(*off.shape[:2], -1).max(axis=(0, 2)) > 1e-7


# --- shapes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "window_size", "n_channels"), [(1, 4, 1), (5, 8, 3), (2, 33, 7)])
@pytest.mark.parametrize("build", [build_autoencoder, build_dense, build_forecaster, build_dense_forecaster])
def test_estimates_have_the_shape_of_the_last_timesteps_of_their_windows(build, n, window_size, n_channels):
    horizon = 3 if build in (build_forecaster, build_dense_forecaster) else window_size
    for output, bounds in (("mean", ()), ("quantiles", (3,)), ("dropout", (3,))):
        model = small(build, window_size, n_channels, output=output)
        assert model(windows_of(n, window_size, n_channels)).shape == (n, horizon, n_channels, *bounds)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_the_decoder_has_the_widths_of_the_encoder_in_reverse(direction):
    model = small(units=[6, 4, 3], direction=direction)
    widths = {
        part: [layer.units for layer in model.layers if layer.name.startswith(part) and hasattr(layer, "units")]
        for part in ("encoder", "decoder")
    }
    times = 1 if direction == "forward" else 2
    assert widths == {
        "encoder": [units for units in (6, 4, 3) for _ in range(times)],
        "decoder": [units for units in (3, 4, 6) for _ in range(times)],
    }


# --- what a model looks at --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "changes"),
    [
        (build_forecaster, {}),
        (build_forecaster, {"cell": "gru", "direction": "both"}),
        (build_forecaster, {"strategy": "recursive"}),
        (build_dense_forecaster, {}),
    ],
)
def test_a_forecast_rests_on_the_timesteps_before_it_alone(build, changes):
    model, windows = small(build, **changes), windows_of(2, 8, 3)
    assert not moved(model, windows, slice(5, 8), slice(0, 3)).any()
    assert moved(model, windows, slice(4, 5), slice(0, 3)).all()
    assert moved(model, windows, slice(0, 1), slice(0, 3)).any()


def test_a_dense_forecast_rests_on_all_timesteps_before_it_alone():
    model, windows = small(build_dense_forecaster), windows_of(2, 8, 3)
    assert not moved(model, windows, slice(5, 8), slice(0, 3)).any()
    for row in range(5):
        assert moved(model, windows, slice(row, row + 1), slice(0, 3)).all()


@pytest.mark.parametrize("build", [build_forecaster, build_dense_forecaster])
def test_a_forecaster_knows_the_calendar_of_the_past(build):
    model, windows = small(build, n_calendar=2), windows_of(2, 8, 5)
    assert moved(model, windows, slice(0, 5), slice(3, 5)).all()
    assert not moved(model, windows, slice(5, 8), slice(0, 5)).any()


@pytest.mark.parametrize("build", [build_autoencoder, build_dense])
def test_the_calendar_reaches_the_decoder_alone(build):
    model, windows = small(build, n_calendar=2), windows_of(2, 8, 5)
    code = keras.Model(model.input, model.get_layer("code").output)
    assert not moved(code, windows, slice(None), slice(3, 5)).any()
    assert moved(code, windows, slice(None), slice(0, 3)).any()
    assert moved(model, windows, slice(None), slice(3, 5)).all()


def test_a_forward_decoder_reads_the_calendar_up_to_its_timestep_and_one_of_both_directions_all_of_it():
    windows = windows_of(2, 8, 5)
    forward = moved(small(n_calendar=2), windows, slice(5, 6), slice(3, 5))
    assert forward.tolist() == [False] * 5 + [True] * 3
    assert moved(small(n_calendar=2, direction="both"), windows, slice(5, 6), slice(3, 5)).all()


def test_a_backward_layer_is_in_order_of_time():
    """The backward half of a decoder at timestep t has read the timesteps from t on."""
    model, windows = small(n_calendar=2, direction="both"), windows_of(2, 8, 5)
    backward = keras.Model(model.input, model.get_layer("decoder_in_order").output)
    assert moved(backward, windows, slice(5, 6), slice(3, 5)).tolist() == [True] * 6 + [False] * 2


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [build_autoencoder, build_dense, build_forecaster])
def test_the_same_seed_draws_the_same_weights_and_another_others(build):
    weights, same, other = (small(build, seed=seed, linear_size=1).get_weights() for seed in (1, 1, 2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, same, strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(weights, other, strict=True))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, while it saves
@pytest.mark.parametrize(
    ("build", "changes"),
    [
        (build_autoencoder, {"linear_size": 1}),
        (build_autoencoder, {"cell": "gru", "direction": "both", "output": "quantiles", "linear_size": 1}),
        (build_forecaster, {"output": "dropout"}),
        (build_forecaster, {"strategy": "recursive"}),
        (build_dense, {"units": [4, 3]}),
    ],
)
def test_a_model_read_back_from_its_file_gives_equal_outputs(tmp_path, build, changes):
    n_calendar = 0 if "strategy" in changes else 2
    model, windows = small(build, n_calendar=n_calendar, **changes), windows_of(6, 8, 3 + n_calendar)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(np.asarray(again(windows)), np.asarray(model(windows)))
