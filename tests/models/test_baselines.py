"""The simple methods are what their loops say; none knows a label."""

import naive
import numpy as np
import pytest

from offbeat.models.baselines import moving_average_scores, pca_scores, random_scores


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
