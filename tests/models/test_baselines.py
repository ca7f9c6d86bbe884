"""The simple methods are what their loops say; none knows a label."""

import naive
import numpy as np
import pytest

from benchmarks import window_baselines
from benchmarks.window_baselines import nearest_windows, window_pca
from offbeat.models.baselines import (
    RIDGE,
    constant_scores,
    difference_scores,
    gaussian_scores,
    isolation_forest_scores,
    mahalanobis_scores,
    moving_average_scores,
    norm_scores,
    pca_scores,
    position_scores,
    random_scores,
)


def readings(n=60, n_channels=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n_channels)) @ rng.standard_normal((n_channels, n_channels))


# --- random -----------------------------------------------------------------------------------------------------------


def test_random_scores_are_those_of_their_seed():
    assert np.array_equal(random_scores(50, 3), random_scores(50, 3))
    assert not np.array_equal(random_scores(50, 3), random_scores(50, 4))
    assert random_scores(50, 3).shape == (50,)


# --- moving average ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 5, 100])
@pytest.mark.parametrize("segments", [[(0, 30)], [(0, 1), (1, 12), (12, 30)]])
def test_moving_average_scores_are_those_of_the_loops(width, segments):
    scaled = readings(30)
    scaled[np.random.default_rng(1).random(scaled.shape) < 0.3] = np.nan
    scaled[20] = np.nan
    expected = naive.moving_average_scores(scaled, segments, width)
    np.testing.assert_allclose(moving_average_scores(scaled, segments, width), expected, rtol=1e-9)


def test_moving_average_scores_start_anew_after_a_long_gap():
    scores = moving_average_scores(np.array([[1.0], [3.0], [100.0], [101.0]]), [(0, 2), (2, 4)], 5)
    np.testing.assert_allclose(scores, [np.nan, 2, np.nan, 1])


def test_a_moving_average_score_leaves_its_own_timestep_and_all_later_ones_out_of_the_mean():
    scaled = readings(30)
    before = moving_average_scores(scaled, [(0, 30)], 5)
    scaled[20:] += 100
    after = moving_average_scores(scaled, [(0, 30)], 5)
    assert np.array_equal(after[:20], before[:20], equal_nan=True)
    assert after[20] > before[20] + 50


# --- PCA --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_channels", "n_components"), [(4, 1), (4, 3), (2, 1), (6, 3)])
def test_pca_scores_are_those_of_the_eigenvectors(n_channels, n_components):
    training, scaled = readings(80, n_channels), readings(30, n_channels, seed=1) * 2
    expected = naive.pca_scores(scaled, training, n_components)
    np.testing.assert_allclose(pca_scores(scaled, training, n_components), expected, rtol=1e-8)


def test_more_components_than_channels_less_one_count_as_that_many():
    training, scaled = readings(80, 3), readings(30, 3, seed=1)
    np.testing.assert_allclose(pca_scores(scaled, training, 50), pca_scores(scaled, training, 2))


def test_a_single_channel_scores_by_its_squared_distance_to_the_mean():
    training, scaled = readings(80, 1), readings(30, 1, seed=1)
    scores = pca_scores(scaled, training, 3)
    squares = np.square(scaled[:, 0] - training.mean())
    np.testing.assert_allclose(scores, squares / np.square(training - training.mean()).mean(), rtol=1e-6)


def test_a_broken_correlation_stands_out_though_each_channel_is_usual():
    rng = np.random.default_rng(0)
    both = rng.standard_normal(200)
    training = np.column_stack([both, both]) + rng.normal(0, 0.05, (200, 2))
    usual, broken = pca_scores(np.array([[1.0, 1.0], [1.0, -1.0]]), training, 1)
    assert broken > 100 * usual


def test_a_missing_reading_adds_no_residual_of_its_own_and_a_row_without_any_has_no_score():
    training = readings(80, 3)
    scaled = readings(4, 3, seed=1)
    scaled[1, 0] = 1e3
    scaled[2] = np.nan
    missing = scaled.copy()
    missing[1, 0] = np.nan
    scores = pca_scores(missing, training, 2)
    assert scores[1] < pca_scores(scaled, training, 2)[1] / 1000
    assert np.isnan(scores).tolist() == [False, False, True, False]


def test_training_rows_with_missing_readings_and_still_channels_are_no_trouble():
    training = readings(80, 3)
    training[:, 1] = 0
    training[::7, 2] = np.nan
    assert np.isfinite(pca_scores(readings(30, 3, seed=1), training, 2)).all()


# --- without a look at the readings -----------------------------------------------------------------------------------


def test_constant_scores_rank_nothing_and_position_scores_peak_in_the_middle():
    assert constant_scores(4).tolist() == [1, 1, 1, 1]
    assert position_scores(5).tolist() == [0, 0.5, 1, 0.5, 0]
    assert position_scores(1).tolist() == [1]


# --- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [[(0, 30)], [(0, 1), (1, 12), (12, 30)]])
def test_difference_scores_are_those_of_the_loops(segments):
    scaled = readings(30)
    scaled[np.random.default_rng(1).random(scaled.shape) < 0.3] = np.nan
    np.testing.assert_allclose(difference_scores(scaled, segments), naive.difference_scores(scaled, segments))


def test_norm_scores_are_those_of_the_loops_and_a_still_channel_is_shifted_alone():
    scaled, training = readings(30, seed=1) * 2, readings(80)
    training[:, 2] = 0.5
    training[::5, 1] = scaled[3, 0] = np.nan
    np.testing.assert_allclose(norm_scores(scaled, training), naive.norm_scores(scaled, training))
    scaled[7] = np.nan
    assert np.flatnonzero(np.isnan(norm_scores(scaled, training))).tolist() == [7]


def test_gaussian_scores_are_mean_squares_of_what_was_read():
    scaled = np.array([[1.0, 3.0], [np.nan, 2.0], [np.nan, np.nan]])
    np.testing.assert_allclose(gaussian_scores(scaled), [(1 + 9) / 2, 4, np.nan])


@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_mahalanobis_scores_are_those_of_the_loops(n_channels):
    training, scaled = readings(80, n_channels), readings(30, n_channels, seed=1) * 2
    expected = naive.mahalanobis_scores(scaled, training, RIDGE)
    np.testing.assert_allclose(mahalanobis_scores(scaled, training), expected, rtol=1e-9)


def test_a_joint_gaussian_sees_a_broken_correlation_and_stands_a_still_channel():
    rng = np.random.default_rng(0)
    both = rng.standard_normal(200)
    training = np.column_stack([both, both + rng.normal(0, 0.05, 200), np.zeros(200)])
    scores = mahalanobis_scores(np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [np.nan] * 3]), training)
    assert scores[1] > 50 * scores[0]
    assert np.isnan(scores).tolist() == [False, False, True]


def test_an_isolation_forest_sets_a_far_row_apart_the_same_with_the_same_seed():
    training, scaled = readings(300), readings(40, seed=1)
    scaled[5], scaled[9] = 30, np.nan
    scores = isolation_forest_scores(scaled, training, 3)
    assert np.nanargmax(scores) == 5
    assert np.flatnonzero(np.isnan(scores)).tolist() == [9]
    assert np.array_equal(scores, isolation_forest_scores(scaled, training, 3), equal_nan=True)
    assert not np.array_equal(scores, isolation_forest_scores(scaled, training, 4), equal_nan=True)


# --- windows ----------------------------------------------------------------------------------------------------------


def gapped(n=70, n_channels=2):
    scaled = readings(n, n_channels, seed=2)
    scaled[np.random.default_rng(3).random(scaled.shape) < 0.1] = np.nan
    return scaled


@pytest.mark.parametrize(("window_size", "n_neighbours"), [(4, 1), (4, 3), (7, 5)])
def test_the_nearest_windows_are_those_of_the_loops_and_overlap_none(window_size, n_neighbours):
    scaled, known, begins = gapped(), np.arange(0, 30), np.arange(64)
    errors = nearest_windows(scaled, known, window_size, n_neighbours)(begins)
    expected = [naive.nearest_window_error(scaled, start, known, window_size, n_neighbours) for start in begins]
    assert errors.shape == (64, window_size, 1)
    np.testing.assert_allclose(errors[:, 0, 0], expected, rtol=1e-9)
    assert np.array_equal(errors, np.repeat(errors[:, :1], window_size, axis=1), equal_nan=True)


def test_a_window_that_overlaps_all_that_are_known_has_no_neighbour():
    errors = nearest_windows(gapped(), np.arange(3), 4)(np.array([1, 40]))
    assert np.isnan(errors[0]).all()
    assert np.isfinite(errors[1]).all()


def test_single_precision_tells_almost_equal_windows_apart():
    scaled = np.tile(np.sin(np.arange(8) * np.pi / 4), 8)[:, None].astype(np.float32) * 10
    scaled[40] += 0.01  # a thousandth of the wave
    errors = nearest_windows(scaled, np.arange(20), 8, 1)(np.array([32, 40]))[:, 0, 0]
    np.testing.assert_allclose(errors, [0, 0.01**2 / 8], atol=1e-8)


@pytest.mark.parametrize(("window_size", "share"), [(4, 0.5), (4, 0.9), (6, 0.999)])
def test_the_residuals_of_window_pca_are_those_of_the_singular_vectors(window_size, share):
    scaled, known, begins = gapped(), np.arange(0, 40), np.array([0, 20, 50, 64])
    errors = window_pca(scaled, known, window_size, share)(begins)
    expected = [naive.window_pca_errors(scaled, start, known, window_size, share) for start in begins]
    np.testing.assert_allclose(errors, expected, rtol=1e-7, atol=1e-12)


def test_window_pca_of_readings_that_stand_still_takes_the_distance_to_them():
    scaled = np.zeros((40, 1))
    scaled[30] = 2
    errors = window_pca(scaled, np.arange(10), 4)(np.array([0, 28]))
    assert errors[..., 0].tolist() == [[0, 0, 0, 0], [0, 0, 4, 0]]


def test_windows_to_learn_from_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr(window_baselines, "MOST_WINDOWS", 3)
    scaled = gapped()
    errors = nearest_windows(scaled, np.arange(0, 41), 4, 1)(np.array([60]))
    np.testing.assert_allclose(errors, nearest_windows(scaled, np.array([0, 20, 40]), 4, 1)(np.array([60])))
