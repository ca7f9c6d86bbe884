"""Few points stand for many readings, and no extreme is lost."""

import naive
import numpy as np
import pytest

from offbeat.evaluation.thinning import thinning


def readings(n, seed, missing=0.2):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 9, (n, 2)).astype(float)  # whole numbers, so that extremes come more than once
    values[rng.random((n, 2)) < missing] = np.nan
    return values


def no_gap(n):
    return np.arange(n), np.array([0])


def stops_of(thin):
    return [*thin.starts[1:].tolist(), thin.n_timesteps]


@pytest.mark.parametrize("most", [2, 3, 4, 7, 10])
@pytest.mark.parametrize("n", [1, 2, 5, 11, 12, 40])
def test_each_bucket_keeps_its_lowest_and_highest_reading_in_the_order_in_which_they_came(n, most):
    values, thin = readings(n, seed=n + most), thinning(*no_gap(n), most)
    points = thin.extremes(values)
    assert len(points) == len(thin.offsets) <= max(most, 2)
    for column in range(2):
        wanted = naive.bucket_extremes(values[:, column].tolist(), thin.starts.tolist(), stops_of(thin))
        if thin.is_whole:
            wanted = wanted[::2]
        assert [None if value != value else value for value in points[:, column].tolist()] == wanted


def test_a_spike_of_one_timestep_among_a_hundred_thousand_is_drawn():
    values = np.zeros((100_000, 1))
    values[[31_234, 77_001]] = [[5.0], [-3.0]]
    points = thinning(*no_gap(100_000), 500).extremes(values)
    assert len(points) <= 500
    assert (points.max(), points.min()) == (5.0, -3.0)


@pytest.mark.parametrize("most", [4, 100])
def test_a_long_gap_cuts_the_line(most):
    positions, segment_starts = np.r_[0:20, 50:70], np.array([0, 20])
    thin = thinning(positions, segment_starts, most * 2)
    points = thin.extremes(np.ones((40, 1)))[:, 0]
    [gap] = np.flatnonzero(np.isnan(points))
    assert thin.offsets[gap - 1] < thin.offsets[gap] < thin.offsets[gap + 1] == 50
    assert len(points) == len(thin.offsets)


def test_more_gaps_than_a_picture_has_room_for_are_drawn_through():
    segment_starts = np.arange(0, 1000, 3)
    thin = thinning(np.arange(1000) * 2, segment_starts, 100)
    assert len(thin.offsets) <= 100
    assert not np.isnan(thin.extremes(np.ones((1000, 1)))).any()


def test_a_mean_leaves_missing_values_out_and_has_none_where_all_are_missing():
    values = np.array([[1.0], [np.nan], [3.0], [5.0], [np.nan], [np.nan]])
    thin = thinning(*no_gap(6), 6)
    assert thin.is_whole
    np.testing.assert_array_equal(thin.means(values), values)
    thin = thinning(*no_gap(6), 4)  # buckets of 3: (1 + 3) / 2, and 5
    np.testing.assert_array_equal(thin.means(values)[:, 0], [2, 2, 5, 5])


def test_places_on_the_grid_ascend():
    for n in (1, 5, 39, 400):
        offsets = thinning(*no_gap(n), 20).offsets
        assert offsets[0] == 0
        assert (np.diff(offsets) >= 0).all()
