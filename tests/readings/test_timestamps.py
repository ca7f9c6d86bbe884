"""Timestamps: which column is the time, what a time may look like, what is in doubt."""

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.asset_readings import read_readings
from offbeat.readings.assets import AssetFiles


@pytest.fixture
def times(write):
    """Seconds after 2020-01-31 12:00 UTC at which a file with given times has its readings."""

    def times(*texts, name="timestamp"):
        rows = "".join(f'"{text}",{k}\n' for k, text in enumerate(texts))
        index = read_readings(AssetFiles.of(write("pump-1.csv", f"{name},x\n{rows}"))).index
        return ((index - pd.Timestamp("2020-01-31T12:00Z")) / pd.Timedelta("1s")).tolist()

    return times


@pytest.mark.parametrize("name", ["timestamp", "DateTime", "TIME", "date", "Ts"])
def test_time_column_is_found_by_name_anywhere(write, name):
    text = f"x,{name}\n1,2020-01-01\n2,2020-01-02\n"
    assert read_readings(AssetFiles.of(write("a.csv", text))).channels == ("x",)


def test_first_column_that_reads_as_time_is_the_time(times):
    assert times("2020-01-31 12:00", "2020-01-31 12:01", name="logged at") == [0, 60]


@pytest.mark.parametrize("name", ["index", "row", "t", "Step", ""])
def test_first_column_of_whole_numbers_may_be_the_index(write, name):
    series = read_readings(AssetFiles.of(write("a.csv", f"{name},x\n3,1\n4,2\n")))
    assert (series.index.tolist(), series.channels) == ([3, 4], ("x",))


def test_numbers_alone_are_counted_from_zero(write):
    series = read_readings(AssetFiles.of(write("a.csv", "x,y\n5,6\n7,8\n")))
    assert (series.index.tolist(), series.channels) == ([0, 1], ("x", "y"))
    assert series.notes == ("no timestamp column: rows count from 0",)


def test_first_column_that_counts_rows_beside_the_time_is_left_out(write):
    series = read_readings(AssetFiles.of(write("a.csv", ",timestamp,x\n0,2020-01-01,5\n1,2020-01-02,6\n")))
    assert (series.channels, series.notes) == (("x",), ("first column without a name only counts the rows: left out",))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2020-01-31T12:00:00Z", "2020-01-31T12:00:01Z"),
        ("2020-01-31 12:00:00", "2020-01-31 12:00:01.000"),
        ("2020-01-31 13:00:00+01:00", "2020-01-31 14:00:01+0200"),
        ("2020-01-31 12:00:00 UTC", "2020-01-31 12:00:01 UTC"),
        ("2020/01/31 12:00:00", "2020/01/31 12:00:01"),
        ("31.01.2020 12:00:00", "31.01.2020 12:00:01"),
        ("1/31/2020 12:00:00 PM", "1/31/2020 12:00:01 PM"),
        ("31/1/2020, 12:00:00", "31/1/2020, 12:00:01"),
        ("31 Jan 2020 12:00:00", "31 Jan 2020 12:00:01"),
        ("2020.01.31.12.00.00", "2020.01.31.12.00.01"),
        ("1580472000", "1580472001"),
        ("1580472000.0", "1580472001.0"),
        ("1580472000000", "1580472001000"),
        ("1580472000000000", "1580472001000000"),
        ("1580472000000000000", "1580472001000000000"),
    ],
)
def test_unambiguous_times_are_read(times, first, second):
    assert times(first, second) == [0, 1]


def test_one_day_after_the_12th_settles_day_and_month(times):
    assert times("02/01/2020", "03/01/2020", "13/01/2020", "14/01/2020")[0] == -29.5 * 86400


def test_autumn_hour_with_offsets_is_two_hours(times):
    hours = ["2020-10-25 02:00+02:00", "2020-10-25 02:30+02:00", "2020-10-25 02:00+01:00", "2020-10-25 02:30+01:00"]
    assert np.diff(times(*hours)).tolist() == [1800, 1800, 1800]


def test_whole_numbers_under_a_time_name_are_steps(write):
    assert read_readings(AssetFiles.of(write("a.csv", "time,x\n10,1\n11,2\n"))).index.tolist() == [10, 11]


@pytest.mark.parametrize("name", ["index", "timestamp"])
def test_blank_line_does_not_change_what_the_first_column_is(write, name):
    series = read_readings(AssetFiles.of(write("a.csv", f"{name},x\n3,1\n\n4,2\n,\n5,3\n")))
    assert (series.index.tolist(), series.channels) == ([3, 4, 5], ("x",))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["01/02/2020", "02/02/2020"],
            r"line 2: '01/02/2020' could be day/month or month/day \(no day is after the 12th\): write it as",
        ),
        (["13/01/2020", "01/14/2020"], r"line 2: .* \(the day stands first in some rows and second in others\): write"),
        (["2020-01-01 00:00", "soon"], "line 3: 'soon' cannot be read as a time: write it as 2020-01-31T12:00:00Z"),
        (["2020-02-29", "2021-02-29"], "line 3: '2021-02-29' cannot be read as a time: write it as"),
        (["3000-01-01", "3000-01-02"], r"line 2: '3000-01-01' cannot .* \(years from 1678 to 2261\)"),
        (["2020-01-01 00:00 CET", "2020-01-01 01:00 CET"], "line 2: '2020-01-01 00:00 CET' cannot .*: write it as"),
        (["1 Jan 2020 01:00 EST", "1 Jan 2020 02:00 EST"], "line 2: '1 Jan 2020 01:00 EST' cannot .*: write it as"),
        (
            ["2020-01-01 00:00Z", "2020-01-01 00:01"],
            "line 3: time .* has no offset from UTC, unlike a.csv, line 2: give every time an offset, or none",
        ),
        (["2020-01-01 00:00", "2020-01-01 01:00+01"], "line 3: time .* has an offset .*: give every time an offset"),
        (["2020-01-01", ""], "line 3: 'timestamp' is missing: fill it in or drop the row"),
        (["20200101", "20200102"], "line 2: 'timestamp' holds numbers from 20200101 to 20200102, neither .*: write"),
        (["202001011200", "202001011300"], "line 2: .* neither seconds.*: write times as"),
        (["0.5", "0.6"], "line 2: .* neither seconds.*: write times as"),
        (
            ["2020-10-25 02:00", "2020-10-25 02:30", "2020-10-25 02:00"],
            "line 4: .*daylight-saving time. Then write UTC, or each time with its offset",
        ),
    ],
)
def test_doubtful_times_are_refused(write, texts, message):
    rows = "".join(f"{text},{k}\n" for k, text in enumerate(texts))
    with pytest.raises(ReadingsError, match="a.csv, " + message):
        read_readings(AssetFiles.of(write("a.csv", "timestamp,x\n" + rows)))


def test_index_with_a_missing_cell_is_refused(write):
    with pytest.raises(ReadingsError, match=r"a\.csv, line 3: 'index' is missing: fill it in or drop the row"):
        read_readings(AssetFiles.of(write("a.csv", "index,x\n0,1\n,2\n2,3\n")))


def test_index_too_large_to_count_is_refused(write):
    with pytest.raises(ReadingsError, match=r"a\.csv, line 3: index \d+ must lie below 2\*\*63: count"):
        read_readings(AssetFiles.of(write("a.csv", "index,x\n18446744073709551614,1\n18446744073709551615,2\n")))
