"""A trained network explains what is normal, lets a spike stand out, and says when it has learnt little."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.models.network import Trained, explained_variance, train_network
from offbeat.params import changed, load_params
from offbeat.readings.series import Series

WINDOW_SIZE = 16
TINY = {"units": 16, "latent_size": 4, "position_size": 8, "epochs": 10, "steps_per_epoch": 40, "batch_size": 32}


def sine(n=600):
    noise = np.random.default_rng(0).normal(0, 0.03, (n, 2))
    return (np.sin(np.arange(n)[:, None] / np.array([3.0, 5.0])) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def reported():
    return []


@pytest.fixture(scope="module")
def trained(reported):
    params = load_params(changes={"train": TINY}).train
    return train_network(sine(), np.arange(400), np.arange(420, 560), WINDOW_SIZE, params, reported.append)


# --- what is learnt ---------------------------------------------------------------------------------------------------


def test_a_sine_is_explained_in_every_channel(trained):
    assert trained.explained_variance.shape == (2,)
    assert (trained.explained_variance > 0.9).all()


def test_the_untrained_graph_is_another_that_explains_nothing(trained):
    windows = np.stack([sine()[start : start + WINDOW_SIZE] for start in range(420, 560)])
    assert (explained_variance(Runtime(trained.untrained_graph), windows) < 0.2).all()


def test_both_graphs_are_those_of_the_keras_model(trained):
    windows = np.stack([sine()[start : start + WINDOW_SIZE] for start in (3, 77, 500)])
    expected = np.asarray(trained.keras_model(windows))
    np.testing.assert_allclose(Runtime(trained.graph).reconstruct(windows), expected, rtol=0, atol=1e-5)


def test_a_spike_scores_above_its_surroundings_and_its_channel_leads(trained):
    index = pd.date_range("2026-01-01", periods=600, freq="1min")
    frame = pd.DataFrame(sine(), index, ["flow", "temp"])
    preprocessing = load_params().prepare.preprocessing
    params = changed(load_params().calibrate, {"smoothing": 1, "delay": 0, "merge_gap": 0})
    detector = Detector(Runtime(trained.graph), ("flow", "temp"), 60_000_000_000, True, 5, preprocessing, params)
    detector.calibrate(Series.from_frame(frame, "pump-1"))
    frame.iloc[500, 1] += 3
    result = detector.score(Series.from_frame(frame, "pump-1"))
    assert result.scores[500] > 5 * np.delete(result.scores, range(490, 520)).max()
    assert result.alarms[500]
    assert max(result.events, key=lambda event: event.peak_score).channels[0][0] == "temp"


def test_each_epoch_is_reported(trained, reported):
    assert reported == trained.epochs
    assert len(reported) == TINY["epochs"]


# --- linear part ------------------------------------------------------------------------------------------------------


def hardly_trained(values, starts, **changes):
    """Train for one step so small that the network stays as it started."""
    one = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 1, "learning_rate": 1e-9}
    params = load_params(changes={"train": TINY | one | changes}).train
    return train_network(values, starts, np.arange(420, 560), WINDOW_SIZE, params).keras_model


def linear_weights(model):
    return {layer.name: layer.get_weights()[0] for layer in model.layers if layer.name.startswith("linear")}


def test_the_linear_part_starts_from_the_rows_of_the_training_windows_alone():
    values = sine()
    values[:, 1] = 0
    values[WINDOW_SIZE:] = 9 * values[WINDOW_SIZE:, ::-1]  # elsewhere the other channel moves, and more
    code = linear_weights(hardly_trained(values, np.array([0]), linear_size=1))["linear_code"]
    np.testing.assert_allclose(np.abs(code), [[1], [0]], atol=1e-3)


def test_the_linear_part_is_at_most_as_wide_as_the_channels_less_one():
    weights = linear_weights(hardly_trained(sine(), np.arange(400), linear_size=50))
    assert {name: weight.shape for name, weight in weights.items()} == {"linear_code": (2, 1), "linear_part": (1, 2)}


@pytest.mark.parametrize(("n_channels", "linear_size"), [(1, 1), (2, 0)])
def test_a_single_channel_or_a_width_of_0_has_no_linear_part(n_channels, linear_size):
    values = np.ascontiguousarray(sine()[:, :n_channels])
    assert linear_weights(hardly_trained(values, np.arange(400), linear_size=linear_size)) == {}


def test_training_moves_the_linear_part(trained):
    code, part = linear_weights(trained.keras_model).values()
    assert not np.allclose(code, part.T, atol=1e-4)  # as which it starts


# --- explained variance -----------------------------------------------------------------------------------------------


def explained_by(reconstruction, windows):
    return explained_variance(SimpleNamespace(reconstruct=lambda inputs: reconstruction[: len(inputs)]), windows)


def test_explained_variance_is_one_less_error_over_variance():
    windows = np.array([[[1.0], [3.0]], [[5.0], [7.0]]])  # mean 4, variance (9 + 1 + 1 + 9) / 4 = 5
    reconstruction = np.array([[[1.0], [2.0]], [[5.0], [5.0]]])  # squared error (0 + 1 + 0 + 4) / 4 = 1.25
    np.testing.assert_allclose(explained_by(reconstruction, windows), [1 - 1.25 / 5])


def test_missing_readings_count_neither_as_error_nor_as_variance():
    windows = np.array([[[1.0], [np.nan]], [[5.0], [np.nan]]])  # mean 3, variance 4
    reconstruction = np.array([[[2.0], [99.0]], [[5.0], [-99.0]]])  # error (1 + 0) / 2
    np.testing.assert_allclose(explained_by(reconstruction, windows), [1 - 0.5 / 4])


@pytest.mark.parametrize("level", [0.0, 0.1, np.nan, 1e6 + 0.1])
def test_a_channel_that_stands_still_has_no_explained_variance(level):
    windows = np.random.default_rng(0).standard_normal((700, 7, 2)).astype(np.float32)
    windows[:, :, 1] = level
    explained = explained_by(np.zeros_like(windows), windows)
    assert explained[0] == pytest.approx(0, abs=0.01)
    assert np.isnan(explained[1])


def test_more_windows_than_a_batch_are_all_counted(runtime):
    windows = np.random.default_rng(0).standard_normal((600, 8, 3)).astype(np.float32)
    errors = np.square(windows.astype(np.float64) - runtime.reconstruct(windows))
    expected = 1 - errors.mean(axis=(0, 1)) / windows.astype(np.float64).var(axis=(0, 1))
    np.testing.assert_allclose(explained_variance(runtime, windows), expected, atol=1e-6)


# --- the overall figure -----------------------------------------------------------------------------------------------


def learnt(*explained):
    return Trained(None, b"", b"", [], np.array(explained))


def test_the_overall_figure_is_the_mean_over_the_channels_that_move():
    assert learnt(0.9, 0.5, np.nan).overall_explained_variance == pytest.approx(0.7)
    assert learnt(np.nan, np.nan).overall_explained_variance == 0
