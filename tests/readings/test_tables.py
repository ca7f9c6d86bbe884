"""Tables: what a file may look like, and what is refused with its line."""

import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.folder import read_readings


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separator_is_found(write, separator, three):
    series = read_readings(write("pump-1.csv", three.replace(",", separator)))
    assert (series.asset, series.channels, series.to_frame()["x"].tolist()) == ("pump-1", ("x",), [1.0, 2.0, 3.0])


def test_separator_inside_quotes_does_not_count(write):
    text = '"timestamp";"flow, in, l"\n2020-01-01;1\n2020-01-02;2\n'
    assert read_readings(write("a.csv", text)).channels == ("flow, in, l",)


def test_parquet_equals_csv(write, tmp_path, three):
    from_csv = read_readings(write("pump-1.csv", three))
    for name, frame in {"index": from_csv.to_frame(), "column": from_csv.to_frame().reset_index(names="when")}.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(read_readings(tmp_path / f"{name}.parquet").to_frame(), from_csv.to_frame())


def test_parquet_keeps_an_integer_index(tmp_path):
    pd.DataFrame({"x": [1.0, 2.0]}, index=[7, 8]).to_parquet(tmp_path / "a.parquet")
    assert read_readings(tmp_path / "a.parquet").index.tolist() == [7, 8]


def test_usual_markers_are_missing_readings(write):
    cells = ["1", "", "NA", "NaN", "null", "n/a", " ", "2"]
    text = "timestamp,x,y\n" + "".join(f"2020-01-01 00:00:0{k},{cell},0\n" for k, cell in enumerate(cells))
    assert read_readings(write("a.csv", text)).to_frame()["x"].isna().tolist() == [False, *[True] * 6, False]


def test_blank_lines_are_skipped_but_counted(write, three):
    text = "\n" + three.replace("00:10,2", "00:10,2\n") + "\n\n"
    assert read_readings(write("a.csv", text)).n_timesteps == 3
    with pytest.raises(ReadingsError, match=r"a\.csv, line 6: column 'x' must hold numbers, got 'off'"):
        read_readings(write("a.csv", text.replace("20,3", "20,off")))


def test_byte_order_mark_and_empty_last_column_are_ignored(write, three):
    text = "\ufeff" + three.replace("\n", ",\n")
    assert read_readings(write("a.csv", text)).channels == ("x",)


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
def test_unusable_files_are_refused(write, text, message):
    with pytest.raises(ReadingsError, match=message):
        read_readings(write("a.csv", text))


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
