"""Windows keep to one segment and to the stride, and their errors come back to the timesteps they are errors of."""

from itertools import combinations, pairwise, product

import naive
import numpy as np
import pytest

from offbeat.detection import windows
from offbeat.detection.windows import (
    covered,
    edge_starts,
    gather_windows,
    hold_missing,
    reach_mask,
    timestep_errors,
    window_starts,
)


def segmentations(n, most=3):
    """All ways to cut n rows into at most `most` segments."""
    for n_cuts in range(min(most, n)):
        for cuts in combinations(range(1, n), n_cuts):
            edges = [0, *cuts, n]
            yield list(pairwise(edges))


def positions_of(segments, first=0, jump=4):
    """Places on the grid: one apart within a segment, `jump` more from one to the next."""
    return np.concatenate([np.arange(*segment) + first + jump * k for k, segment in enumerate(segments)])


# --- starts -----------------------------------------------------------------------------------------------------------


def test_starts_are_those_of_the_plain_loops():
    for n, window_size, first in product(range(1, 9), range(1, 6), range(3)):
        for segments in segmentations(n):
            positions = positions_of(segments, first)
            assert edge_starts(segments, window_size).tolist() == naive.edge_starts(segments, window_size)
            for stride in range(1, window_size + 1):
                starts = window_starts(segments, positions, window_size, stride)
                assert starts.tolist() == naive.window_starts(segments, positions, window_size, stride)


def test_no_window_crosses_a_segment():
    for segments, window_size in product(segmentations(9), range(1, 6)):
        segment_of = np.concatenate([[k] * (stop - start) for k, (start, stop) in enumerate(segments)])
        positions = positions_of(segments)
        starts = [window_starts(segments, positions, window_size, stride) for stride in range(1, window_size + 1)]
        for start in np.concatenate([*starts, edge_starts(segments, window_size)]):
            assert len(set(segment_of[start : start + window_size])) == 1


@pytest.mark.parametrize("n", [3, 4, 7, 20])
def test_last_window_ends_at_the_last_timestep(n):
    assert edge_starts([(0, n)], 3)[-1] + 3 == n
    assert window_starts([(0, n)], np.arange(n), 3, 1)[-1] + 3 == n


def test_the_same_readings_make_the_same_windows_wherever_the_series_is_cut():
    positions = np.arange(100, 140)
    whole = window_starts([(0, 40)], positions, 5, 3)
    for cut in range(10):
        part = window_starts([(0, 40 - cut)], positions[cut:], 5, 3) + cut
        assert part.tolist() == whole[whole >= cut].tolist()


def test_no_segment_makes_no_window():
    assert window_starts([], np.empty(0, dtype=int), 4, 1).tolist() == []
    assert edge_starts([], 4).tolist() == []


# --- masks ------------------------------------------------------------------------------------------------------------


def test_covered_timesteps_are_those_of_the_plain_loops():
    for n, window_size in product(range(1, 8), range(1, 5)):
        places = range(n - window_size + 1)
        for count in range(len(places) + 1):
            for starts in combinations(places, count):
                mask = covered(np.array(starts, dtype=int), window_size, n)
                assert mask.tolist() == naive.covered(starts, window_size, n)


def test_reach_is_that_of_the_plain_loops():
    for segments, before, after in product(segmentations(6), range(4), range(4)):
        for usable in product([False, True], repeat=6):
            segment_starts = np.array([start for start, _ in segments])
            mask = reach_mask(np.array(usable), segment_starts, before, after)
            assert mask.tolist() == naive.reach_mask(usable, segments, before, after)


# --- what windows hold ------------------------------------------------------------------------------------------------


def test_a_window_holds_the_readings_from_its_start_on():
    values = np.arange(24.0).reshape(8, 3)
    held = gather_windows(values, np.array([0, 2, 5]), 3)
    assert np.array_equal(held, np.stack([values[0:3], values[2:5], values[5:8]]))


def test_gathered_windows_are_a_copy():
    values = np.zeros((5, 1))
    gather_windows(values, np.array([0, 1]), 3)[:] = 1
    assert not values.any()


def test_held_readings_are_those_of_the_plain_loop():
    for pattern in product([False, True], repeat=5):
        window = np.arange(1.0, 11.0).reshape(5, 2)
        window[pattern, 0] = np.nan
        window[pattern[::-1], 1] = np.nan
        assert hold_missing(window[None])[0].tolist() == naive.hold_missing(window.tolist())


def test_holding_leaves_its_argument_alone_and_never_looks_into_another_window():
    pair = np.array([[[1.0], [np.nan]], [[np.nan], [np.nan]]])
    assert hold_missing(pair).tolist() == [[[1.0], [1.0]], [[0.0], [0.0]]]
    assert np.isnan(pair).sum() == 3


# --- errors of timesteps ----------------------------------------------------------------------------------------------


def errors_at_random(n, window_size, horizon, n_channels, missing, rng):
    """Errors of the last `horizon` timesteps of the window at each start, NaN where a reading is missing."""
    errors = rng.random((max(n - window_size + 1, 0), horizon, n_channels))
    absent = rng.random((n, n_channels)) < missing
    for start in range(len(errors)):
        errors[start][absent[start + window_size - horizon : start + window_size]] = np.nan
    return errors


def compare_with_plain_loops(segments, window_size, stride, delay, missing, rng, first=0, horizon=None):
    horizon = horizon or window_size
    n, n_channels = segments[-1][1], 2
    errors, positions = (
        errors_at_random(n, window_size, horizon, n_channels, missing, rng),
        positions_of(segments, first),
    )
    ways = {"window_size": window_size, "horizon": horizon, "stride": stride, "delay": delay}
    of_timesteps = timestep_errors(errors.__getitem__, segments, positions, n_channels, **ways)
    expected = naive.timestep_errors(errors, segments, positions, n_channels, **ways)
    np.testing.assert_allclose(of_timesteps, expected, rtol=1e-12)


def test_errors_of_timesteps_are_those_of_the_plain_loops():
    rng = np.random.default_rng(0)
    for n, window_size in product(range(1, 9), range(1, 5)):
        for stride in range(1, window_size + 1):
            for delay, segments in product(range(stride - 1, window_size), segmentations(n, most=2)):
                compare_with_plain_loops(segments, window_size, stride, delay, missing=0.0, rng=rng, first=n)


def test_errors_of_the_last_timesteps_of_windows_alone_are_those_of_the_plain_loops():
    rng = np.random.default_rng(3)
    for window_size in range(1, 6):
        for horizon, segments in product(range(1, window_size + 1), segmentations(9, most=2)):
            for stride in range(1, horizon + 1):
                for delay in range(stride - 1, window_size):
                    compare_with_plain_loops(segments, window_size, stride, delay, 0.2, rng, horizon=horizon)


@pytest.mark.parametrize("horizon", [1, 2, 4])
def test_the_head_of_a_segment_that_no_forecast_reaches_has_no_error(horizon):
    errors = timestep_errors(
        lambda starts: np.ones((len(starts), horizon, 1)),
        [(0, 7), (7, 12)],
        positions_of([(0, 7), (7, 12)]),
        1,
        window_size=4,
        horizon=horizon,
        stride=1,
        delay=3,
    )[:, 0]
    head = 4 - horizon
    assert np.flatnonzero(np.isnan(errors)).tolist() == [*range(head), *range(7, 7 + head)]


@pytest.mark.parametrize("missing", [0.2, 0.6, 1.0])
def test_a_missing_reading_has_no_error_and_no_vote(missing):
    rng = np.random.default_rng(1)
    for segments, stride in product(segmentations(9), (1, 2, 3)):
        for delay in range(stride - 1, 3):
            compare_with_plain_loops(segments, 3, stride, delay, missing, rng)


def test_errors_do_not_depend_on_the_batches(monkeypatch):
    rng = np.random.default_rng(2)
    monkeypatch.setattr(windows, "BATCH_SIZE", 3)
    compare_with_plain_loops([(0, 17), (17, 30)], 4, 2, 3, missing=0.1, rng=rng)


def test_a_segment_shorter_than_a_window_has_no_errors():
    errors = timestep_errors(
        lambda starts: np.ones((len(starts), 3, 1)),
        [(0, 2), (2, 6)],
        np.array([0, 1, 9, 10, 11, 12]),
        1,
        window_size=3,
        horizon=3,
        stride=1,
        delay=0,
    )
    assert np.isnan(errors[:2]).all()
    assert (errors[2:] == 1).all()
