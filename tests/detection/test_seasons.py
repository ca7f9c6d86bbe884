"""Hours are counted in UTC from Monday on, and an hour that was not seen takes what is known of hours like it."""

from itertools import product

import naive
import numpy as np
import pandas as pd
import pytest

from offbeat.detection.seasons import hours_of, seasonal_means


def stamps_of(*times):
    return np.array([pd.Timestamp(time).value for time in times])


def test_hours_of_the_day_and_of_the_week_are_those_of_the_calendar():
    stamps = stamps_of("2026-01-05T00:00", "2026-01-05T00:59:59.9", "2026-01-06T01:00", "2026-01-11T23:30")
    assert hours_of(stamps, "day").tolist() == [0, 0, 1, 23]
    assert hours_of(stamps, "week").tolist() == [0, 0, 25, 167]  # from a Monday to a Sunday
    assert hours_of(stamps, "none").tolist() == [0, 0, 0, 0]


def test_hours_before_1970_are_those_of_the_calendar_too():
    index = pd.date_range("1969-12-20", periods=500, freq="67min")
    assert hours_of(index.as_unit("ns").asi8, "day").tolist() == index.hour.tolist()
    assert hours_of(index.as_unit("ns").asi8, "week").tolist() == (24 * index.dayofweek + index.hour).tolist()


def test_an_hour_of_the_week_without_a_reading_takes_that_of_the_day_and_else_the_mean_of_all():
    # Monday 0 h and 1 h, Tuesday 0 h; the second channel was not read on Monday at 1 h
    stamps = stamps_of("2026-01-05T00:10", "2026-01-05T00:20", "2026-01-05T01:00", "2026-01-06T00:00")
    values = np.array([[1.0, 8.0], [3.0, np.nan], [7.0, np.nan], [9.0, 4.0]])
    means = seasonal_means(values, hours_of(stamps, "week"), "week")
    assert means[[0, 1, 24]].tolist() == [[2, 8], [7, 6], [9, 4]]  # of (1, 3), 7, 9; of 8, all of (8, 4), 4
    assert means[48].tolist() == [13 / 3, 6]  # Wednesday 0 h: of (1, 3, 9) and (8, 4)
    assert means[49].tolist() == [7, 6]
    assert means[50].tolist() == [5, 6]  # 2 h was never seen: of (1, 3, 7, 9)


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("season", ["none", "day", "week"])
def test_seasonal_means_agree_with_plain_loops(season, missing):
    rng = np.random.default_rng(3)
    for n, step in product((1, 5, 60, 400), (7, 61, 1440)):  # minutes
        stamps = (rng.integers(0, 10**6) + np.arange(n) * step) * 60_000_000_000
        values = rng.normal(size=(n, 2))
        values[1:][rng.random((n - 1, 2)) < missing] = np.nan
        expected = naive.seasonal_means(values.tolist(), stamps.tolist(), season)
        np.testing.assert_allclose(seasonal_means(values, hours_of(stamps, season), season), expected, atol=1e-12)
