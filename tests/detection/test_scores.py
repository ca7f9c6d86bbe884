"""Errors become one score per timestep; what was not read neither raises nor lowers it."""

from itertools import product

import naive
import numpy as np

from offbeat.detection.scores import (
    LEAST_USUAL_ERROR,
    anomaly_scores,
    channel_scores,
    channel_shares,
    moving_mean,
    usual_errors,
)


def errors_with_missing(n, n_channels, missing, seed):
    rng = np.random.default_rng(seed)
    errors = rng.random((n, n_channels))
    errors[rng.random((n, n_channels)) < missing] = np.nan
    return errors


def test_the_moving_mean_is_that_of_the_plain_loops():
    for n, width, missing in product(range(1, 8), range(1, 10), (0.0, 0.5, 1.0)):
        values = errors_with_missing(n, 2, missing, seed=n)
        for cut, lead in product(range(1, n + 1), {0, width // 2, width - 1}):
            segments = [(0, cut), (cut, n)] if cut < n else [(0, n)]
            expected = naive.moving_mean(values.tolist(), segments, width, lead)
            np.testing.assert_allclose(moving_mean(values, segments, width, lead), expected, rtol=1e-12)


def test_an_error_leaves_no_trace_once_the_moving_mean_is_past_it():
    values = np.full((30, 1), 1e-9)
    values[3] = 1e12
    assert (moving_mean(values, [(0, 30)], 4)[7:] == moving_mean(values[7:], [(0, 23)], 4)).all()


def test_usual_errors_are_those_of_the_plain_loop():
    for pattern in product([False, True], repeat=6):
        errors = np.arange(6.0).reshape(3, 2) / 7
        errors[np.array(pattern).reshape(3, 2)] = np.nan
        np.testing.assert_allclose(usual_errors(errors), naive.usual_errors(errors.tolist(), LEAST_USUAL_ERROR))


def test_a_usual_error_is_never_too_small_to_divide_by():
    assert usual_errors(np.zeros((5, 2))).tolist() == [LEAST_USUAL_ERROR] * 2


def test_shares_are_those_of_the_plain_loop():
    for seed, missing in product(range(5), (0.0, 0.5, 1.0)):
        by_channel = errors_with_missing(12, 3, missing, seed)
        np.testing.assert_allclose(channel_shares(by_channel), naive.channel_shares(by_channel.tolist()))


def test_shares_sum_to_1_where_there_is_a_score_and_to_0_where_there_is_none():
    by_channel = errors_with_missing(200, 3, 0.6, seed=3)
    scored = ~np.isnan(anomaly_scores(by_channel))
    assert 0 < scored.sum() < 200
    np.testing.assert_allclose(channel_shares(by_channel).sum(axis=1), scored, atol=1e-12)


def test_the_score_is_the_mean_over_the_channels_that_have_one():
    by_channel = np.array([[1.0, 3.0, 8.0], [1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(anomaly_scores(by_channel), [4.0, 2.0, np.nan])


def test_the_score_does_not_change_with_channel_order():
    errors, usual = errors_with_missing(50, 3, 0.2, seed=4), np.array([0.1, 2.0, 30.0])
    order = [2, 0, 1]
    one = anomaly_scores(channel_scores(errors, usual, [(0, 50)], 5, 2))
    other = anomaly_scores(channel_scores(errors[:, order], usual[order], [(0, 50)], 5, 2))
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_an_error_counts_in_units_of_the_channels_usual_error():
    errors = np.array([[0.2, 20.0]])
    assert channel_scores(errors, np.array([0.1, 10.0]), [(0, 1)], 1, 0).tolist() == [[2.0, 2.0]]


def test_a_missing_reading_does_not_change_the_score_through_its_own_error():
    errors = np.full((10, 2), 2.0)
    errors[5, 0] = np.nan
    usual = np.ones(2)
    assert anomaly_scores(channel_scores(errors, usual, [(0, 10)], 1, 0)).tolist() == [2.0] * 10
    assert anomaly_scores(channel_scores(errors, usual, [(0, 10)], 4, 1)).tolist() == [2.0] * 10
