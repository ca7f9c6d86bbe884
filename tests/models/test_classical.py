"""Each model that is fitted at once is what its loops say, as one ONNX graph."""

import naive
import numpy as np
import onnx
import pytest

from offbeat.detection.runtime import Runtime
from offbeat.models import classical
from offbeat.models.classical import (
    LEAST_SPREAD,
    last_value_graph,
    matrix_profile_graph,
    mean_graph,
    moving_average_graph,
    nearest_windows_graph,
    row_pca_graph,
    sub_pca_graph,
)

WINDOW_SIZE = 5


def readings(n=40, n_channels=2, seed=0, missing=0.0):
    """Random walks around 0, of unlike channels."""
    rng = np.random.default_rng(seed)
    values = np.cumsum(rng.standard_normal((n, n_channels)), axis=0) * np.arange(1, n_channels + 1) / 3
    values -= values.mean(axis=0)
    values[rng.random(values.shape) < missing] = np.nan
    return values.astype(np.float32)


STARTS = np.array([0, 1, 4, 9, 10, 17, 22, 30, 35])


def windows_of(n_channels=2, seed=1):
    return np.array(naive.windows_at(readings(60, n_channels, seed), range(0, 50, 3), WINDOW_SIZE), dtype=np.float32)


# --- a timestep alone, or from those before it ------------------------------------------------------------------------


def test_the_mean_is_0_whatever_the_row():
    runtime = Runtime(mean_graph(3))
    assert (runtime.window_size, runtime.horizon, runtime.n_channels) == (1, 1, 3)
    rows = np.array([[[1.0, -2.0, 1e6]], [[0.0, 0.0, 0.0]]], dtype=np.float32)
    assert (runtime.estimate(rows) == 0).all()


def test_the_last_value_is_the_reading_before():
    runtime = Runtime(last_value_graph(2))
    assert (runtime.window_size, runtime.horizon) == (2, 1)
    windows = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], dtype=np.float32)
    assert runtime.estimate(windows).tolist() == [[[1, 2]], [[5, 6]]]


@pytest.mark.parametrize("window_size", [2, 3, 9])
def test_the_moving_average_is_the_mean_of_the_readings_before(window_size):
    runtime = Runtime(moving_average_graph(window_size, 2))
    assert (runtime.window_size, runtime.horizon) == (window_size, 1)
    windows = np.array(naive.windows_at(readings(), range(20), window_size), dtype=np.float32)
    expected = [[[naive.mean(column[:-1]) for column in zip(*window, strict=True)]] for window in windows.tolist()]
    np.testing.assert_allclose(runtime.estimate(windows), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n_channels", "n_components"), [(2, 1), (4, 1), (4, 3)])
def test_row_pca_is_the_projection_of_the_loops(n_channels, n_components):
    rows, given = readings(n_channels=n_channels).astype(float), readings(n_channels=n_channels, seed=1)
    runtime = Runtime(row_pca_graph(rows, n_components))
    assert (runtime.window_size, runtime.horizon) == (1, 1)
    expected = naive.projected(given, list(rows), n_components, np.zeros(n_channels))
    np.testing.assert_allclose(runtime.estimate(given[:, None])[:, 0], expected, rtol=1e-4, atol=1e-4)


def test_row_pca_keeps_at_most_a_component_less_than_the_channels():
    rows, given = readings(n_channels=3), readings(n_channels=3, seed=1)[:, None]
    most, more = (Runtime(row_pca_graph(rows, n)).estimate(given) for n in (2, 50))
    assert np.array_equal(most, more)


def test_a_missing_reading_counts_as_the_mean_of_the_channel_in_row_pca():
    rows = readings(n_channels=3, missing=0.3)
    given = readings(n_channels=3, seed=1)[:, None]
    estimates = [Runtime(row_pca_graph(each, 1)).estimate(given) for each in (rows, np.nan_to_num(rows))]
    assert np.array_equal(*estimates)


# --- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize(("n_channels", "n_components"), [(1, 2), (2, 1), (3, 4)])
def test_sub_pca_is_the_projection_of_the_loops(n_channels, n_components, missing):
    values, windows = readings(n_channels=n_channels, missing=missing), windows_of(n_channels)
    runtime = Runtime(sub_pca_graph(values, STARTS, WINDOW_SIZE, n_components))
    known = naive.windows_at(values, STARTS, WINDOW_SIZE)
    expected = naive.sub_pca(windows, known, n_components)
    np.testing.assert_allclose(runtime.estimate(windows), expected, rtol=1e-3, atol=1e-3)


def test_sub_pca_gives_known_windows_back_once_it_has_enough_components():
    values = readings()
    known = np.array(naive.windows_at(values, STARTS, WINDOW_SIZE), dtype=np.float32)
    estimates = Runtime(sub_pca_graph(values, STARTS, WINDOW_SIZE, len(STARTS) - 1)).estimate(known)
    np.testing.assert_allclose(estimates, known, atol=1e-4)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("n_neighbours", [1, 3, 9, 100])
def test_the_nearest_windows_are_those_of_the_loops(n_neighbours, missing):
    values, windows = readings(missing=missing), windows_of()
    runtime = Runtime(nearest_windows_graph(values, STARTS, WINDOW_SIZE, n_neighbours))
    expected = naive.nearest_windows(windows, naive.windows_at(values, STARTS, WINDOW_SIZE), n_neighbours)
    np.testing.assert_allclose(runtime.estimate(windows), expected, rtol=1e-5, atol=1e-5)


def test_a_known_window_is_its_own_nearest():
    values = readings()
    known = np.array(naive.windows_at(values, STARTS, WINDOW_SIZE), dtype=np.float32)
    assert np.array_equal(Runtime(nearest_windows_graph(values, STARTS, WINDOW_SIZE, 1)).estimate(known), known)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("n_neighbours", [1, 3, 100])
def test_the_matrix_profile_is_that_of_the_loops(n_neighbours, missing):
    values, windows = readings(missing=missing), windows_of()
    runtime = Runtime(matrix_profile_graph(values, STARTS, WINDOW_SIZE, n_neighbours))
    known = naive.windows_at(values, STARTS, WINDOW_SIZE)
    expected = naive.matrix_profile(windows, known, n_neighbours, LEAST_SPREAD)
    np.testing.assert_allclose(runtime.estimate(windows), expected, rtol=1e-4, atol=1e-4)


def test_the_matrix_profile_knows_a_shape_at_any_level_and_spread():
    values = readings()
    known = np.array(naive.windows_at(values, STARTS, WINDOW_SIZE), dtype=np.float32)
    moved = known * [7.0, 0.2] + [100.0, -3.0]
    estimates = Runtime(matrix_profile_graph(values, STARTS, WINDOW_SIZE, 1)).estimate(moved.astype(np.float32))
    np.testing.assert_allclose(estimates, moved, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("level", [0.0, 0.1, -3.7, 9.3])
def test_a_window_that_stands_still_is_estimated_at_its_level(level):
    values, still = readings(), np.full((2, WINDOW_SIZE, 2), level, dtype=np.float32)
    estimates = Runtime(matrix_profile_graph(values, STARTS, WINDOW_SIZE, 1)).estimate(still)
    np.testing.assert_allclose(estimates, still, atol=3 * LEAST_SPREAD)  # no shape is wider than that many spreads


@pytest.mark.parametrize("make", [nearest_windows_graph, matrix_profile_graph, sub_pca_graph])
def test_training_windows_that_stand_still_are_no_trouble(make):
    values = np.zeros((40, 2), dtype=np.float32)
    values[:, 1] = np.nan
    estimates = Runtime(make(values, STARTS, WINDOW_SIZE, 2)).estimate(windows_of())
    assert np.isfinite(estimates).all()


# --- the bank ---------------------------------------------------------------------------------------------------------


def bank_of(graph):
    [bank] = [tensor for tensor in onnx.load_from_string(graph).graph.initializer if tensor.name == "bank"]
    return onnx.numpy_helper.to_array(bank)


@pytest.mark.parametrize("n_starts", [3, 7, 8, 30])
def test_the_windows_to_learn_from_are_thinned_evenly_with_first_and_last(monkeypatch, n_starts):
    monkeypatch.setattr(classical, "BANK_SIZE", 7)
    values, starts = readings(60), np.arange(n_starts) + 5
    bank = bank_of(nearest_windows_graph(values, starts, WINDOW_SIZE, 1))
    places = [int(np.flatnonzero((values[:, 0] == row[0]) & (values[:, 1] == row[1]))[0]) for row in bank]
    assert len(places) == min(n_starts, 7)
    assert (places[0], places[-1]) == (starts[0], starts[-1])
    steps = np.diff(places)
    assert steps.min() >= 1
    assert np.ptp(steps) <= 1


def test_all_windows_are_known_where_they_are_few():
    starts = np.arange(30)
    bank = bank_of(nearest_windows_graph(readings(), starts, WINDOW_SIZE, 1))
    assert bank.shape == (30, WINDOW_SIZE * 2)


# --- the file ---------------------------------------------------------------------------------------------------------

GRAPHS = {
    "mean": lambda: mean_graph(2),
    "last_value": lambda: last_value_graph(2),
    "moving_average": lambda: moving_average_graph(WINDOW_SIZE, 2),
    "row_pca": lambda: row_pca_graph(readings(), 1),
    "sub_pca": lambda: sub_pca_graph(readings(), STARTS, WINDOW_SIZE, 3),
    "nearest_windows": lambda: nearest_windows_graph(readings(), STARTS, WINDOW_SIZE, 2),
    "matrix_profile": lambda: matrix_profile_graph(readings(), STARTS, WINDOW_SIZE, 2),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_readings_make_the_same_bytes_of_standard_operators(name):
    graph = GRAPHS[name]()
    assert graph == GRAPHS[name]()
    proto = onnx.load_from_string(graph)
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert proto.graph.name == name


@pytest.mark.parametrize("name", GRAPHS)
def test_a_window_is_estimated_alike_alone_and_among_others(name):
    runtime = Runtime(GRAPHS[name]())
    windows = windows_of()[:, -runtime.window_size :]
    alone = np.concatenate([runtime.estimate(window[None]) for window in windows])
    np.testing.assert_allclose(runtime.estimate(windows), alone, rtol=0, atol=1e-5)
