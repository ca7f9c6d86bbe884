"""Series: what is accepted, what is refused and how, and where each reading lands on the grid."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from naive import naive_grid

from offbeat.errors import ReadingsError
from offbeat.readings.series import Series, series_hash


def frame(stamps, values=None, name="x"):
    """One channel over integers or seconds after 2020-01-01."""
    values = np.arange(len(stamps), dtype=float) if values is None else values
    return pd.DataFrame({name: values}, index=pd.Index(stamps))


def seconds(stamps, values=None):
    values = np.arange(len(stamps), dtype=float) if values is None else values
    return pd.DataFrame({"x": values}, index=pd.Timestamp("2020-01-01") + pd.to_timedelta(stamps, unit="s"))


def clock(times, tz=None):
    index = pd.DatetimeIndex(times) if tz is None else pd.DatetimeIndex(times, tz=tz)
    return pd.DataFrame({"x": np.arange(len(index), dtype=float)}, index=index)


@pytest.mark.parametrize("max_gap", [0, 1, 2])
def test_grid_equals_the_brute_force_grid(max_gap):
    for stamps in itertools.combinations(range(8), 4):
        for period in (1, 2, 3):
            values = np.array([[1.0, np.nan], [2.0, 4.0], [np.nan, np.nan], [8.0, 16.0]])
            df = pd.DataFrame(values, index=pd.Index(stamps), columns=["a", "b"])
            series = Series.from_frame(df, "pump-1", period=period, max_gap=max_gap)
            index, expected, starts = naive_grid(stamps, values, period, max_gap)
            assert series.index.tolist() == index
            np.testing.assert_array_equal(series.to_frame(), expected)
            assert series.segment_starts.tolist() == starts


def test_regular_readings_stay_as_they_are():
    series = Series.from_frame(seconds([0, 10, 20]), "pump-1")
    assert series.to_frame()["x"].tolist() == [0.0, 1.0, 2.0]
    assert (series.period, series.period_s, series.notes) == (pd.Timedelta("10s"), 10.0, ())
    assert (series.n_timesteps, series.n_channels, series.segments) == (3, 1, [(0, 3)])


def test_period_is_the_most_common_step():
    assert Series.from_frame(frame([0, 2, 4, 6, 9]), "a").period == 2


def test_period_without_a_common_step_is_the_rounded_median():
    # steps 9.99, 10.01, 10.02, 9.98, 10.03: median 10.01, and whole seconds change it by 0.1 %
    stamps = np.cumsum([0, 9.99, 10.01, 10.02, 9.98, 10.03])
    assert Series.from_frame(seconds(stamps), "a").period == pd.Timedelta("10s")


def test_short_gap_is_filled_and_long_gap_splits():
    series = Series.from_frame(frame([0, 1, 2, 5, 6, 7, 17, 18]), "a", max_gap=2)
    assert series.index.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 17, 18]
    assert np.isnan(series.to_frame()["x"]).tolist() == [False] * 3 + [True] * 2 + [False] * 5
    assert series.segments == [(0, 8), (8, 10)]
    assert series.notes == ("1 short gap filled with 2 missing rows", "readings split at 1 long gap, at most 9 steps")


def test_a_century_of_silence_stores_no_rows():
    index = pd.DatetimeIndex(["1920-01-01 00:00:00", "1920-01-01 00:00:01", "2020-01-01 00:00:00"])
    assert Series.from_frame(pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index), "a", period="1s").n_timesteps == 3


def test_rows_without_any_reading_count_as_a_gap():
    values = [0.0, *[np.nan] * 6, 7.0, np.nan, 9.0]
    series = Series.from_frame(frame(range(10), values), "a", max_gap=5)
    assert series.index.tolist() == [0, 7, 8, 9]
    assert series.segments == [(0, 1), (1, 4)]


def test_readings_on_one_point_are_averaged_without_the_missing():
    df = pd.DataFrame({"a": [1.0, 3.0, 5.0], "b": [np.nan, 4.0, 6.0]}, index=[0, 1, 10])
    series = Series.from_frame(df, "a", period=10)
    assert series.to_frame().to_numpy().tolist() == [[2.0, 4.0], [5.0, 6.0]]
    assert "2 readings averaged with others on the same grid point" in series.notes


def test_irregular_readings_are_noted():
    notes = Series.from_frame(seconds([0, 8, 21, 30, 42, 49, 61]), "a").notes
    # steps 8, 13, 9, 12, 7, 12: no majority, the median is 10.5 s, and none lies between 9.45 and 11.55 s
    assert notes[1].startswith("irregular: 100% of the steps are more than 10% away from a whole number of periods")


def test_missing_readings_are_not_irregular():
    assert Series.from_frame(frame([0, 1, 2, 4, 6, 7, 8, 9]), "a").notes == ("2 short gaps filled with 2 missing rows",)


def test_channel_without_a_reading_is_kept():
    df = pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, np.nan]}, index=[0, 1])
    assert Series.from_frame(df, "a").channels == ("a", "b")


def test_time_zones_are_converted_to_utc():
    series = Series.from_frame(clock(["2020-07-01 02:00", "2020-07-01 03:00"], tz="Europe/Berlin"), "a")
    assert series.index.tolist() == [pd.Timestamp("2020-07-01 00:00Z"), pd.Timestamp("2020-07-01 01:00Z")]


def test_autumn_hour_with_a_zone_is_two_hours():
    index = pd.date_range("2020-10-25 00:00", periods=4, freq="h", tz="UTC").tz_convert("Europe/Berlin")
    assert Series.from_frame(clock(index), "a").segments == [(0, 4)]


def test_bool_and_nullable_columns_become_numbers():
    df = pd.DataFrame({"on": [True, False], "n": pd.array([1, None], dtype="Int64")}, index=[0, 1])
    np.testing.assert_array_equal(Series.from_frame(df, "a").to_frame(), [[1.0, 1.0], [0.0, np.nan]])


def test_positions_are_the_same_in_every_part():
    # half a period off the full minute, where rounding to even would give two rows one position
    series = Series.from_frame(seconds(np.arange(30, 900, 60)), "a")
    assert np.diff(series.positions).tolist() == [1] * 14
    for start in range(15):
        assert series.rows(start, 15).positions.tolist() == series.positions[start:].tolist()


def test_positions_jump_over_long_gaps():
    assert Series.from_frame(frame([10, 12, 14, 40, 42]), "a").positions.tolist() == [5, 6, 7, 20, 21]


def test_rows_keep_segments_apart():
    series = Series.from_frame(frame([0, 1, 2, 10, 11, 20, 21]), "a")
    assert series.segments == [(0, 3), (3, 5), (5, 7)]
    assert series.rows(1, 6).segments == [(0, 2), (2, 4), (4, 5)]
    assert series.rows(3, 5).segments == [(0, 2)]
    assert series.rows(2, 2).segments == []
    with pytest.raises(ValueError, match="rows 0 to 8 do not lie within the 7 rows"):
        series.rows(0, 8)


def test_row_of_is_the_first_at_or_after():
    series = Series.from_frame(seconds([0, 10, 20]), "a")
    assert series.row_of("2020-01-01 00:00:10") == 1
    assert series.row_of(pd.Timestamp("2020-01-01 01:00:11", tz="Europe/Berlin")) == 2
    assert series.row_of("2021-01-01") == 3
    with pytest.raises(ReadingsError, match="asset 'a' is indexed by times, got 7"):
        series.row_of(7)


def test_a_series_remembers_the_longest_gap_that_stays_inside_a_segment():
    assert Series.from_frame(frame([0, 1, 2]), "a").max_gap == 5
    series = Series.from_frame(frame([0, 1, 2]), "a", max_gap=3)
    assert series.max_gap == series.rows(0, 2).max_gap == series.in_order(["x"]).max_gap == 3


def test_the_hash_of_a_series_changes_with_all_that_it_says_but_its_notes():
    series = Series.from_frame(frame([0, 1, 2, 3]), "a")
    assert series_hash(series) == series_hash(Series.from_frame(frame([0, 1, 2, 3]), "a"))
    assert series_hash(series) == series_hash(replace(series, notes=("read twice",)))
    touched = series.values.copy()
    touched[3, 0] += 1e-9
    changes = [
        {"asset": "b"},
        {"channels": ("y",)},
        {"values": touched},
        {"stamps": series.stamps + 1},
        {"step": 2},
        {"is_time": True},
        {"segment_starts": np.array([0, 2])},
    ]
    assert len({series_hash(replace(series, **change)) for change in [{}, *changes]}) == len(changes) + 1


@pytest.mark.parametrize("value", [1.1e100, -1.1e100])
def test_readings_too_large_to_square_are_refused_with_row_and_channel(value):
    with pytest.raises(ReadingsError, match=r"asset 'a', row 1: channel 'x' is .* within ±1e\+100"):
        Series.from_frame(frame([0, 1], [1.0, value]), "a")
    assert Series.from_frame(frame([0, 1], [1.0, value / 1.1]), "a").values[1, 0] == value / 1.1


def test_values_are_a_read_only_copy():
    df = frame([0, 1])
    series = Series.from_frame(df, "a")
    df.loc[0, "x"] = 99.0
    assert series.to_frame().loc[0, "x"] == 0.0
    assert not series.values.flags.writeable


def test_identical_rows_are_merged():
    series = Series.from_frame(frame([0, 1, 1, 2], [5.0, np.nan, np.nan, 7.0]), "a")
    assert series.index.tolist() == [0, 1, 2]
    assert series.notes[0] == "1 row that repeated a timestamp merged"


def test_merged_rows_keep_their_exact_value():
    third = 0.1 + 0.2  # three of them do not average to themselves
    assert Series.from_frame(frame([0, 1, 1, 1], [0.0, third, third, third]), "a").to_frame()["x"].tolist()[1] == third


def test_conflicting_rows_are_refused():
    with pytest.raises(ReadingsError, match=r"asset 'a', row 2: timestamp 1 stands there twice .* 'x': keep one row"):
        Series.from_frame(frame([0, 1, 1, 2]), "a")


def test_unsorted_timestamps_are_refused_with_the_row():
    with pytest.raises(ReadingsError, match=r"asset 'a', row 3: timestamps must not go back, but 1 follows 2.*: sort"):
        Series.from_frame(frame([0, 1, 2, 1]), "a")


@pytest.mark.parametrize(
    "times",
    [
        ["2020-10-25 01:00", "2020-10-25 01:30", "2020-10-25 02:00", "2020-10-25 02:30", "2020-10-25 02:00"],
        ["2020-10-25 01:00", "2020-10-25 02:00", "2020-10-25 02:00", "2020-10-25 03:00"],
    ],
)
def test_repeated_autumn_hour_is_told_as_such(times):
    with pytest.raises(ReadingsError, match="daylight-saving time"):
        Series.from_frame(clock(times), "a")


def test_times_that_run_backwards_do_not_look_like_daylight_saving():
    with pytest.raises(ReadingsError, match=r"must not go back, but .* follows 2020-01-01 03:00:00\+00:00: sort"):
        Series.from_frame(clock(["2020-01-01 03:00", "2020-01-01 02:00", "2020-01-01 01:00"]), "a")


def test_infinity_is_refused_with_row_and_channel():
    with pytest.raises(ReadingsError, match=r"asset 'a', row 1: channel 'x' is -inf: .* leave it empty"):
        Series.from_frame(frame([0, 1], [1.0, -np.inf]), "a")


@pytest.mark.parametrize(
    ("df", "message"),
    [
        (frame([]), "asset 'a' holds no readings: give at least two rows"),
        (frame([3]), "single timestamp, so its period is unknown: give the period"),
        (pd.DataFrame(index=[0, 1]), "has no channel: give at least one numeric column"),
        (pd.DataFrame([[1.0, 2.0]] * 2, columns=["x", "x"]), "column 'x' stands there more than once"),
        (frame([0, 1], ["1", "2"]), "channel 'x' must hold numbers, but its type is object: convert it"),
        (frame([0, 1], [np.nan, np.nan]), "every channel is missing in every row"),
        (frame([0.5, 1.5]), "the index must hold timestamps or integers, not float64"),
        (frame(["a", "b"]), "the index must hold timestamps or integers, .*: set it with"),
        (frame([pd.Timestamp("2020-01-01", tz=zone) for zone in ("UTC", "Asia/Tokyo")]), "must hold timestamps or int"),
        (clock(["2020-01-01", None]), "row 1: the timestamp is missing"),
        (clock(["1700-01-01", "2020-01-01"]), "must span less than 146 years, got 1700.* to 2020.*: correct or drop"),
        (frame([-(2**62), 2**62]), r"must span less than 2\*\*62 steps"),
        (frame([k * 10 + k % 2 * -9 for k in range(10)]), "most readings stand alone.*give the period"),
    ],
)
def test_unusable_frames_are_refused(df, message):
    with pytest.raises(ReadingsError, match=message):
        Series.from_frame(df, "a")


@pytest.mark.parametrize(
    ("df", "period", "message"),
    [
        (seconds([0, 1]), 5, "period=5 must be a time such as '10s'"),
        (frame([0, 1]), "10s", "period='10s' must be a whole number"),
        (seconds([0, 1]), "soon", "period='soon' is not a length of time"),
        (frame([0, 1]), 0, "period=0 must be longer than zero"),
    ],
)
def test_unusable_periods_are_refused(df, period, message):
    with pytest.raises(ReadingsError, match=message):
        Series.from_frame(df, "a", period=period)


def test_single_reading_is_accepted_with_a_period():
    assert Series.from_frame(frame([3]), "a", period=1).segments == [(0, 1)]


def test_single_precision_stays_where_every_channel_has_it_and_nothing_loses_digits():
    index = pd.date_range("2026-01-01", periods=4, freq="1s")
    single = pd.DataFrame({"a": [1.5, 2, 3, np.nan], "b": [1, 2, 3, 4.25]}, index).astype(np.float32)
    assert Series.from_frame(single, "pump").values.dtype == np.float32
    mixed = single.assign(c=[1e9 + 0.25, 1e9, 1e9, 1e9])
    series = Series.from_frame(mixed, "pump")
    assert series.values.dtype == np.float64
    assert series.values[0, 2] == 1e9 + 0.25


def test_the_hash_of_readings_does_not_tell_how_they_are_stored():
    index = pd.date_range("2026-01-01", periods=40_000, freq="1s")
    single = pd.DataFrame({"a": np.arange(40_000) / 7}, index).astype(np.float32)
    one, other = (Series.from_frame(frame, "pump") for frame in (single, single.astype(np.float64)))
    assert one.values.dtype != other.values.dtype
    assert series_hash(one) == series_hash(other)
