"""The calendar columns tell the hour of the day and of the week, in UTC."""

from datetime import UTC, datetime

import naive
import numpy as np
import pandas as pd
import pytest

from offbeat.detection.calendar import HOURS, N_COLUMNS, calendar_code

HALF = np.sqrt(0.5)


def stamps_of(*moments):
    return pd.DatetimeIndex(moments, tz="UTC").as_unit("ns").asi8


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("1970-01-01 00:00", [0, 1, 0, 1]),  # a Thursday, where both cycles begin
        ("2026-01-01 06:00", [1, 0, np.sin(np.pi / 14), np.cos(np.pi / 14)]),  # Thursday, 6 of 168 hours
        ("2026-01-01 09:00", [HALF, -HALF, np.sin(3 * np.pi / 28), np.cos(3 * np.pi / 28)]),
        ("2026-01-04 12:00", [0, -1, 0, -1]),  # Sunday noon, half a day and half a week on
        ("2026-01-02 18:00", [-1, 0, 1, 0]),  # Friday at six in the evening: 42 of 168 hours
        ("1969-12-31 18:00", [-1, 0, -np.sin(np.pi / 14), np.cos(np.pi / 14)]),  # a Wednesday, before the epoch
    ],
)
def test_known_moments_stand_where_they_should(moment, expected):
    np.testing.assert_allclose(calendar_code(stamps_of(moment), 4), [expected], atol=1e-6)


def test_any_moment_stands_where_its_weekday_and_hour_say():
    seconds = np.random.default_rng(0).integers(0, 2_000_000_000, 200)
    expected = naive.calendar_code([datetime.fromtimestamp(int(second), UTC) for second in seconds])
    np.testing.assert_allclose(calendar_code(seconds * 1_000_000_000, 4), expected, atol=1e-5)


def test_the_columns_of_the_day_are_the_first_of_those_of_the_week():
    stamps = stamps_of("2026-01-01 05:10", "2026-07-09 23:59")
    assert np.array_equal(calendar_code(stamps, 2), calendar_code(stamps, 4)[:, :2])
    assert calendar_code(stamps, 0).shape == (2, 0)
    assert N_COLUMNS == {"none": 0, "day": 2, "week": 4}
    assert set(N_COLUMNS) == {"none", *HOURS}


@pytest.mark.parametrize("n_columns", [0, 2, 4])
def test_the_code_is_of_the_type_of_scaled_readings(n_columns):
    assert calendar_code(stamps_of("2026-01-01"), n_columns).dtype == np.float32


def test_the_same_hour_of_another_week_has_the_same_code_and_of_another_day_not():
    same, other = calendar_code(stamps_of("2026-01-05 10:00", "2026-01-12 10:00"), 4), "2026-01-06 10:00"
    np.testing.assert_allclose(same[0], same[1], atol=1e-6)
    assert np.abs(calendar_code(stamps_of(other), 4) - same[0])[0, 2:].max() > 0.1
