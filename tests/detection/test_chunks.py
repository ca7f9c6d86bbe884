"""Chunk statistics against plain loops, and hand-computed lengths, phases and runs."""

import warnings

import naive
import numpy as np
import pytest

from offbeat.detection.chunks import DAY, MINUTE, Measure, chunk_length, chunks_of, measure_of, phases, run_lengths

NAN = np.nan


@pytest.fixture
def readings():
    """Stamps (n,), values (n, 3) and usable rows (n,), ten minutes apart, with missing cells and rows that are gone."""
    rng = np.random.default_rng(3)
    stamps = (np.arange(300) * 10 + 35) * MINUTE
    load = np.cumsum(rng.standard_normal(300)) / 5
    values = np.column_stack([load, 2 * load, rng.standard_normal(300)]) + 0.1 * rng.standard_normal((300, 3))
    values[rng.random(values.shape) < 0.1] = NAN
    values[100:104] = NAN
    values[150:170, 2] = 0.5
    kept = np.ones(300, dtype=bool)
    kept[200:260] = False
    return stamps[kept], values[kept], (rng.random(300) < 0.9)[kept]


@pytest.mark.parametrize("at_once", [1, 60, 1 << 20])
def test_chunk_statistics_are_those_of_plain_loops(readings, monkeypatch, at_once):
    monkeypatch.setattr("offbeat.detection.chunks.READINGS_AT_ONCE", at_once)
    stamps, values, usable = readings
    measure = measure_of(values, np.arange(len(values)), len(values), 60 * MINUTE * 3, np.array([0]))
    scores = np.abs(np.nan_to_num(values[:, 0])) + 0.1
    got = chunks_of(values, stamps, usable, 10 * MINUTE, measure, scores=scores)
    want = naive.chunks(values, stamps, usable, 10 * MINUTE, measure, scores)
    assert got.numbers.tolist() == want["numbers"]
    for name in ("statistics", "faults", "coverage", "scores"):
        np.testing.assert_allclose(getattr(got, name), np.array(want[name]), rtol=1e-9, atol=1e-12, err_msg=name)
    assert np.isnan(got.statistics).any()
    assert got.coverage.min() == 0  # rows that are gone make a chunk without anything


@pytest.mark.parametrize(
    ("n_timesteps", "step", "length"),
    [
        (24 * 144, 10 * MINUTE, DAY),  # 24 days
        (24 * 144 - 1, 10 * MINUTE, DAY // 2),
        (2 * 86_400, MINUTE // 60, 60 * MINUTE),  # two days of seconds: 48 hours
        (9_000, MINUTE // 60, 5 * MINUTE),  # 2.5 hours
        (100, 60 * MINUTE, 8 * 60 * MINUTE),  # four days of hours: at least 8 rows
    ],
)
def test_a_chunk_is_the_longest_part_of_the_day_that_comes_twenty_four_times(n_timesteps, step, length):
    assert chunk_length(n_timesteps, step, is_time=True) == length


def test_a_chunk_of_readings_without_time_is_a_forty_eighth_of_them():
    assert chunk_length(4_800, 1, is_time=False) == 100
    assert chunk_length(100, 1, is_time=False) == 8


def test_only_the_same_parts_of_day_and_week_are_compared_where_each_comes_three_times():
    numbers = np.arange(10)
    assert phases(numbers, DAY // 4, True, 3.0).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert phases(numbers, DAY // 4, True, 2.9).tolist() == [0] * 10
    assert phases(numbers, DAY, True, 21.0).tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]
    assert phases(numbers, DAY, True, 20.0).tolist() == [0] * 10
    assert phases(numbers, 100, False, 1e6).tolist() == [0] * 10


def test_a_run_of_equal_readings_ends_at_another_at_a_missing_one_and_at_a_long_gap():
    column = np.array([1.0, 1.0, 1.0, NAN, NAN, 2.0, 2.0, 2.0, 2.0])
    assert run_lengths(column).tolist() == [3, 3, 3, 1, 1, 4, 4, 4, 4]
    assert run_lengths(column, np.array([0, 7])).tolist() == [3, 3, 3, 1, 1, 2, 2, 2, 2]


def test_a_measure_knows_range_runs_and_partners():
    load = np.tile([0.0, 1.0, 2.0, 3.0], 50)
    values = np.column_stack([load, 10 - load, np.tile([5.0, 5.0, 6.0, 6.0, 5.0], 40), np.full(200, 7.0)])
    measure = measure_of(values, np.arange(len(values)), 200, 8, np.array([0]))
    assert measure.partner[:2].tolist() == [1, 0]
    np.testing.assert_allclose(measure.slope[:2], -1)
    assert measure.partner[3] == -1  # what stands still goes with nothing
    assert (measure.low[0], measure.high[0]) == (-0.75, 3.75)  # a quarter of the range beyond it
    assert measure.longest_run.tolist() == [5, 5, 6, 0]  # twice the longest, 1, 1 and 3, at least 5; 0 for a still one
    assert measure.unit[3] == 7.0


def test_the_range_is_that_of_calibration_too_and_the_centre_that_of_training_alone():
    values = np.array([[1.0], [2.0], [3.0], [5.0]])
    measure = measure_of(values, np.arange(len(values)), 3, 8, np.array([0]))
    assert (measure.low[0], measure.high[0]) == (0.0, 6.0)
    assert measure.centre[0] == 2.0


def test_a_channel_that_stands_still_is_never_stuck_and_outside_by_a_twentieth():
    measure = measure_of(np.full((40, 1), 7.0), np.arange(40), 40, 10, np.array([0]))
    values = np.concatenate([np.full((10, 1), 7.3), np.full((10, 1), 7.5)])
    faults = chunks_of(values, np.arange(20), np.ones(20, dtype=bool), 1, measure).faults
    np.testing.assert_array_equal(faults[:, 0], [[0, 0, 0], [0, 0, 1]])


def test_an_empty_channel_gives_nothing_and_no_warning():
    nothing, one, no_partner = np.zeros(1), np.ones(1), np.array([-1])
    measure = Measure(10, nothing, one, -one, one, np.array([5]), no_partner, nothing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chunks = chunks_of(np.full((20, 1), NAN), np.arange(20), np.ones(20, dtype=bool), 1, measure)
    assert np.isnan(chunks.statistics).all()
    assert chunks.coverage.tolist() == [0, 0]


@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
def test_a_measure_does_not_change_with_how_many_readings_are_taken_at_once(readings, monkeypatch, at_once):
    _, values, usable = readings
    rows, starts = np.flatnonzero(usable), np.array([0, 50, 130])
    expected = values[rows[:150]]
    monkeypatch.setattr("offbeat.detection.chunks.READINGS_AT_ONCE", at_once)
    measure = measure_of(values, rows, 150, 8, starts)
    np.testing.assert_allclose(measure.centre, np.nanmean(expected, axis=0))
    np.testing.assert_allclose(measure.unit, np.nanstd(expected, axis=0))
    longest = [run_lengths(column, starts).max() for column in values[rows].T]
    assert measure.longest_run.tolist() == [max(2 * length, 5) for length in longest]
