"""Readings from files: which column is the time, what a time may look like, what a folder must hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.folder import Span, read_folder, read_readings, reading_files, span_mask
from offbeat.readings.series import Series

THREE = "timestamp,x\n2020-01-01 00:00:00,1\n2020-01-01 00:00:10,2\n2020-01-01 00:00:20,3\n"


def shared_data():
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public readings in shared/data are not there")
    return folder


def write(folder, name, text):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def fleet(folder, **tables):
    write(folder, "readings/pump-1.csv", THREE)
    write(folder, "readings/pump-2.csv", THREE)
    for name, text in tables.items():
        write(folder, f"{name}.csv", text)
    return folder


def times(tmp_path, *texts, name="timestamp"):
    """Seconds after 2020-01-31 12:00 UTC at which a file with these times has its readings."""
    rows = "".join(f'"{text}",{k}\n' for k, text in enumerate(texts))
    index = read_readings(write(tmp_path, "pump-1.csv", f"{name},x\n{rows}")).index
    return ((index - pd.Timestamp("2020-01-31T12:00Z")) / pd.Timedelta("1s")).tolist()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separator_is_found(tmp_path, separator):
    series = read_readings(write(tmp_path, "pump-1.csv", THREE.replace(",", separator)))
    assert (series.asset, series.channels, series.to_frame()["x"].tolist()) == ("pump-1", ("x",), [1.0, 2.0, 3.0])


def test_separator_inside_quotes_does_not_count(tmp_path):
    text = '"timestamp";"flow, in, l"\n2020-01-01;1\n2020-01-02;2\n'
    assert read_readings(write(tmp_path, "a.csv", text)).channels == ("flow, in, l",)


def test_parquet_equals_csv(tmp_path):
    from_csv = read_readings(write(tmp_path, "pump-1.csv", THREE))
    for name, frame in {"index": from_csv.to_frame(), "column": from_csv.to_frame().reset_index(names="when")}.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(read_readings(tmp_path / f"{name}.parquet").to_frame(), from_csv.to_frame())


def test_parquet_keeps_an_integer_index(tmp_path):
    pd.DataFrame({"x": [1.0, 2.0]}, index=[7, 8]).to_parquet(tmp_path / "a.parquet")
    assert read_readings(tmp_path / "a.parquet").index.tolist() == [7, 8]


@pytest.mark.parametrize("name", ["timestamp", "DateTime", "TIME", "date", "Ts"])
def test_time_column_is_found_by_name_anywhere(tmp_path, name):
    text = f"x,{name}\n1,2020-01-01\n2,2020-01-02\n"
    assert read_readings(write(tmp_path, "a.csv", text)).channels == ("x",)


def test_first_column_that_reads_as_time_is_the_time(tmp_path):
    assert times(tmp_path, "2020-01-31 12:00", "2020-01-31 12:01", name="logged at") == [0, 60]


@pytest.mark.parametrize("name", ["index", "row", "t", "Step", ""])
def test_first_column_of_whole_numbers_may_be_the_index(tmp_path, name):
    series = read_readings(write(tmp_path, "a.csv", f"{name},x\n3,1\n4,2\n"))
    assert (series.index.tolist(), series.channels) == ([3, 4], ("x",))


def test_numbers_alone_are_counted_from_zero(tmp_path):
    series = read_readings(write(tmp_path, "a.csv", "x,y\n5,6\n7,8\n"))
    assert (series.index.tolist(), series.channels) == ([0, 1], ("x", "y"))
    assert series.notes == ("no timestamp column: rows count from 0",)


def test_first_column_that_counts_rows_beside_the_time_is_left_out(tmp_path):
    series = read_readings(write(tmp_path, "a.csv", ",timestamp,x\n0,2020-01-01,5\n1,2020-01-02,6\n"))
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
def test_unambiguous_times_are_read(tmp_path, first, second):
    assert times(tmp_path, first, second) == [0, 1]


def test_one_day_after_the_12th_settles_day_and_month(tmp_path):
    assert times(tmp_path, "02/01/2020", "03/01/2020", "13/01/2020", "14/01/2020")[0] == -29.5 * 86400


def test_autumn_hour_with_offsets_is_two_hours(tmp_path):
    hours = ["2020-10-25 02:00+02:00", "2020-10-25 02:30+02:00", "2020-10-25 02:00+01:00", "2020-10-25 02:30+01:00"]
    assert np.diff(times(tmp_path, *hours)).tolist() == [1800, 1800, 1800]


def test_whole_numbers_under_a_time_name_are_steps(tmp_path):
    assert read_readings(write(tmp_path, "a.csv", "time,x\n10,1\n11,2\n")).index.tolist() == [10, 11]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["01/02/2020", "02/02/2020"],
            r"a.csv, line 2: '01/02/2020' could be day/month or month/day \(no day is after",
        ),
        (["13/01/2020", "01/14/2020"], r"day/month or month/day \(the day stands first in some rows"),
        (["2020-01-01 00:00", "soon"], "a.csv, line 3: 'soon' cannot be read as a time: write it as"),
        (
            ["2020-01-01 00:00Z", "2020-01-01 00:01"],
            "a.csv, line 3: time .* has no offset from UTC, unlike a.csv, line 2",
        ),
        (["2020-01-01 00:00", "2020-01-01 01:00+01"], "a.csv, line 3: time .* has an offset from UTC, unlike"),
        (["2020-01-01", ""], "a.csv, line 3: 'timestamp' is missing"),
        (["20200101", "20200102"], "a.csv, line 2: 'timestamp' holds numbers from 20200101 to 20200102, neither"),
        (["202001011200", "202001011300"], "neither seconds"),
        (["0.5", "0.6"], "neither seconds"),
        (["2020-10-25 02:00", "2020-10-25 02:30", "2020-10-25 02:00"], "a.csv, line 4: .*daylight-saving time"),
    ],
)
def test_doubtful_times_are_refused(tmp_path, texts, message):
    rows = "".join(f"{text},{k}\n" for k, text in enumerate(texts))
    with pytest.raises(ReadingsError, match=message):
        read_readings(write(tmp_path, "a.csv", "timestamp,x\n" + rows))


def test_usual_markers_are_missing_readings(tmp_path):
    cells = ["1", "", "NA", "NaN", "null", "n/a", " ", "2"]
    text = "timestamp,x,y\n" + "".join(f"2020-01-01 00:00:0{k},{cell},0\n" for k, cell in enumerate(cells))
    assert read_readings(write(tmp_path, "a.csv", text)).to_frame()["x"].isna().tolist() == [False, *[True] * 6, False]


def test_blank_lines_are_skipped_but_counted(tmp_path):
    text = "\n" + THREE.replace("00:10,2", "00:10,2\n") + "\n\n"
    assert read_readings(write(tmp_path, "a.csv", text)).n_timesteps == 3
    with pytest.raises(ReadingsError, match=r"a\.csv, line 6: column 'x' must hold numbers, got 'off'"):
        read_readings(write(tmp_path, "a.csv", text.replace("20,3", "20,off")))


def test_byte_order_mark_and_empty_last_column_are_ignored(tmp_path):
    text = "\ufeff" + THREE.replace("\n", ",\n")
    assert read_readings(write(tmp_path, "a.csv", text)).channels == ("x",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv is empty"),
        ("timestamp,x\n", "a.csv holds no readings"),
        ("timestamp,x\n2020-01-01,1\n", "a.csv holds a single timestamp"),
        ("timestamp\n2020-01-01\n2020-01-02\n", "a.csv has no channel"),
        ("1,2\n3,4\n", "a.csv, line 1: the first line must name the columns"),
        ("2020-01-01,1\n2020-01-02,2\n", "a.csv, line 1: the first line must name the columns"),
        ("timestamp,x,x\n2020-01-01,1,2\n", "a.csv: column 'x' stands there more than once"),
        ("timestamp,,x\n2020-01-01,1,2\n", "a.csv: column 2 has no name"),
        ("date,time,x\n2020-01-01,10:00,2\n", "could all be the timestamp: keep or join"),
        ("timestamp;x\n2020-01-01;1,5\n2020-01-02;1\n", "line 2: column 'x' .* got '1,5': write a decimal point"),
        ("timestamp,x\n2020-01-01,1\n2020-01-02,inf\n", "a.csv, line 3: channel 'x' is inf"),
        ("timestamp,x\n2020-01-02,1\n2020-01-01,2\n", "a.csv, line 3: timestamps must not go back"),
        ("timestamp,x\n2020-01-01,1\n2020-01-01,2\n", "a.csv, line 3: .* twice with different readings"),
        ("timestamp,x\n2020-01-01,1,2\n2020-01-02,1,2\n", "a.csv: rows have more cells than the 2 column names"),
        ("timestamp,x\n2020-01-01,1\n2020-01-02,1,2\n", "a.csv is no regular table: .*line 3|more cells"),
        ("machine,x\npump,1\npump,2\n", "a.csv, line 2: column 'machine' must hold numbers, got 'pump'"),
    ],
)
def test_unusable_files_are_refused(tmp_path, text, message):
    with pytest.raises(ReadingsError, match=message):
        read_readings(write(tmp_path, "a.csv", text))


def test_unreadable_files_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"timestamp,x\n2020-01-01,\xff\xfe\n")
    with pytest.raises(ReadingsError, match=r"a\.csv is not UTF-8 text"):
        read_readings(tmp_path / "a.csv")
    (tmp_path / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(ReadingsError, match=r"b\.parquet cannot be read as Parquet"):
        read_readings(tmp_path / "b.parquet")
    with pytest.raises(ReadingsError, match=r"c\.csv cannot be read: No such file"):
        read_readings(tmp_path / "c.csv")
    with pytest.raises(ReadingsError, match=r"notes\.txt: readings are \.csv or \.parquet files"):
        read_readings(tmp_path / "notes.txt")


def test_folder_holds_readings_labels_exclusions_and_splits(tmp_path):
    folder = read_folder(
        fleet(
            tmp_path,
            labels="asset,start,end,kind\npump-2,2020-01-01 00:00:10,2020-01-01 00:00:20,spike\n",
            exclude="asset,start,end,reason\npump-1,2020-01-01T01:00:00+01:00,2020-01-01T01:00:10+01:00,service\n",
            splits="asset,test_start\npump-1,2020-01-01 00:00:20\n",
        )
    )
    first, second, third = pd.date_range("2020-01-01", periods=3, freq="10s", tz="UTC")
    assert [series.asset for series in folder.series] == ["pump-1", "pump-2"]
    assert folder.labels == (Span("pump-2", second, third, "spike"),)
    assert folder.exclude == (Span("pump-1", first, second, "service"),)
    assert folder.test_starts == {"pump-1": third}


def test_folder_may_hold_the_files_themselves(tmp_path):
    write(tmp_path, "a.csv", THREE)
    write(tmp_path, "labels.csv", "asset,start,end\n")
    folder = read_folder(tmp_path)
    assert ([series.asset for series in folder.series], folder.labels) == (["a"], ())


def test_assets_come_in_natural_order(tmp_path):
    for name in ("pump-10.csv", "pump-2.csv", "7.csv", "fan.csv", ".hidden.csv", "readme.txt"):
        write(tmp_path, name, THREE)
    assert [file.stem for file in reading_files(tmp_path)] == ["7", "fan", "pump-2", "pump-10"]


def test_channels_take_the_order_of_the_first_asset(tmp_path):
    write(tmp_path, "a.csv", "x,y\n1,2\n3,4\n")
    write(tmp_path, "b.csv", "y,x\n1,2\n3,4\n")
    second = read_folder(tmp_path).series[1]
    assert (second.channels, second.to_frame().to_numpy().tolist()) == (("x", "y"), [[2.0, 1.0], [4.0, 3.0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timestamp,x,z\n2020-01-01,1,2\n2020-01-02,1,2\n", r"'pump-2' has in addition 'z' compared with 'pump-1'"),
        ("timestamp,y\n2020-01-01,1\n2020-01-02,1\n", r"'pump-2' lacks 'x' and has in addition 'y'"),
        ("x\n1\n2\n", "asset 'pump-1' has timestamps and 'pump-2' an integer index"),
        (
            "timestamp,x\n2020-01-01,1\n2020-01-02,1\n",
            "'pump-2' has 1 days 00:00:00 and 'pump-1' 0 days 00:00:10: give",
        ),
    ],
)
def test_assets_that_differ_are_refused(tmp_path, text, message):
    fleet(tmp_path)
    write(tmp_path, "readings/pump-2.csv", text)
    with pytest.raises(ReadingsError, match=message):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "labels",
            "asset,start,end\npump-3,2020-01-01,2020-01-01\n",
            "labels.csv, line 2: there are no readings of asset",
        ),
        ("labels", "asset,start,end\n\npump-1,2020-01-02,2020-01-01\n", "labels.csv, line 3: end .* lies before start"),
        (
            "labels",
            "asset,start,end\npump-1,2020-01-02,later\n",
            "labels.csv, line 2: 'later' cannot be read as a time",
        ),
        ("labels", "asset,start,end\npump-1,5,6\n", "labels.csv, line 2: start '5' does not fit readings with times"),
        ("labels", "asset,start\npump-1,5\n", "labels.csv must have the columns .* 'end' is missing"),
        ("exclude", "asset,start,end\npump-1,2020-01-01,\n", "exclude.csv, line 2: 'end' is missing"),
        ("splits", "asset,test_start\npump-1,2019-01-01\n", "splits.csv, line 2: test_start 2019.* must lie after"),
        (
            "splits",
            "asset,test_start\n" + "pump-1,2020-01-01 00:00:10\n" * 2,
            "splits.csv, line 3: asset 'pump-1' .* twice",
        ),
    ],
)
def test_spans_that_do_not_fit_are_refused(tmp_path, name, text, message):
    with pytest.raises(ReadingsError, match=message):
        read_folder(fleet(tmp_path, **{name: text}))


def test_times_do_not_fit_an_integer_index(tmp_path):
    write(tmp_path, "a.csv", "x\n1\n2\n")
    write(tmp_path, "labels.csv", "asset,start,end\na,0,1\n")
    assert read_folder(tmp_path).labels == (Span("a", 0, 1),)
    write(tmp_path, "labels.csv", "asset,start,end\na,0,2020-01-01\n")
    with pytest.raises(ReadingsError, match=r"labels\.csv, line 2: end '2020-01-01' .* write a whole number"):
        read_folder(tmp_path)


def test_label_outside_the_readings_is_noted(tmp_path):
    notes = read_folder(fleet(tmp_path, labels="asset,start,end\npump-1,2021-01-01,2021-01-02\n")).notes
    assert notes[0].startswith("labels.csv, line 2: 2021-01-01 00:00:00+00:00 to")


def test_numeric_asset_names_stay_text(tmp_path):
    write(tmp_path, "007.csv", THREE)
    write(tmp_path, "labels.csv", "asset,start,end\n007,2020-01-01,2020-01-02\n")
    assert read_folder(tmp_path).labels[0].asset == "007"


def test_one_asset_has_one_file(tmp_path):
    write(tmp_path, "a.csv", THREE)
    write(tmp_path, "a.parquet", "")
    with pytest.raises(ReadingsError, match=r"asset 'a' has two files, a\.csv and a\.parquet: keep one"):
        reading_files(tmp_path)


def test_folder_without_readings_is_refused(tmp_path):
    with pytest.raises(ReadingsError, match="holds no readings: put one"):
        read_folder(tmp_path)
    with pytest.raises(ReadingsError, match="is not a folder"):
        read_folder(tmp_path / "nowhere")


def test_span_mask_has_both_ends():
    series = Series.from_frame(pd.DataFrame({"x": range(6)}), "a")
    assert span_mask(series, [Span("a", 1, 2), Span("a", 5, 9), Span("b", 0, 5)]).tolist() == [
        False, True, True, False, False, True,
    ]  # fmt: skip


def test_public_valve_readings_are_read():
    series = read_readings(shared_data() / "skab" / "valve1" / "0.csv")
    assert (series.period, series.n_channels, series.index[0]) == (
        pd.Timedelta("1s"), 10, pd.Timestamp("2020-03-09 10:14:33Z"),
    )  # fmt: skip


def test_public_taxi_readings_are_complete():
    series = read_readings(shared_data() / "nab" / "realKnownCause" / "nyc_taxi.csv")
    assert (series.n_timesteps, series.period_s, series.notes) == (10320, 1800.0, ())


def test_public_readings_with_an_hour_told_twice_are_refused():
    with pytest.raises(ReadingsError, match=r"machine_temperature.*\.csv, line 10151: timestamps must not go back"):
        read_readings(shared_data() / "nab" / "realKnownCause" / "machine_temperature_system_failure.csv")
