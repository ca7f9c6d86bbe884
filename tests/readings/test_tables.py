"""Tables: what a file may look like, and what is refused with its line."""

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.asset_readings import read_readings
from offbeat.readings.assets import AssetFiles


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separator_is_found(write, separator, three):
    series = read_readings(AssetFiles.of(write("pump-1.csv", three.replace(",", separator))))
    assert (series.asset, series.channels, series.to_frame()["x"].tolist()) == ("pump-1", ("x",), [1.0, 2.0, 3.0])


def test_separator_inside_quotes_does_not_count(write):
    text = '"timestamp";"flow, in, l"\n2020-01-01;1\n2020-01-02;2\n'
    assert read_readings(AssetFiles.of(write("a.csv", text))).channels == ("flow, in, l",)


def test_parquet_equals_csv(write, tmp_path, three):
    from_csv = read_readings(AssetFiles.of(write("pump-1.csv", three)))
    for name, frame in {"index": from_csv.to_frame(), "column": from_csv.to_frame().reset_index(names="when")}.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(
            read_readings(AssetFiles.of(tmp_path / f"{name}.parquet")).to_frame(), from_csv.to_frame()
        )


def test_parquet_keeps_an_integer_index(tmp_path):
    pd.DataFrame({"x": [1.0, 2.0]}, index=[7, 8]).to_parquet(tmp_path / "a.parquet")
    assert read_readings(AssetFiles.of(tmp_path / "a.parquet")).index.tolist() == [7, 8]


def test_usual_markers_are_missing_readings(write):
    cells = ["1", "", "NA", "NaN", "null", "n/a", " ", "2"]
    text = "timestamp,x,y\n" + "".join(f"2020-01-01 00:00:0{k},{cell},0\n" for k, cell in enumerate(cells))
    assert read_readings(AssetFiles.of(write("a.csv", text))).to_frame()["x"].isna().tolist() == [
        False,
        *[True] * 6,
        False,
    ]


def test_blank_lines_are_skipped_but_counted(write, three):
    text = "\n" + three.replace("00:10,2", "00:10,2\n") + "\n\n"
    assert read_readings(AssetFiles.of(write("a.csv", text))).n_timesteps == 3
    with pytest.raises(ReadingsError, match=r"a\.csv, line 6: column 'x' must hold numbers, got 'off'"):
        read_readings(AssetFiles.of(write("a.csv", text.replace("20,3", "20,off"))))


def test_byte_order_mark_and_empty_last_column_are_ignored(write, three):
    text = "\ufeff" + three.replace("\n", ",\n")
    assert read_readings(AssetFiles.of(write("a.csv", text))).channels == ("x",)


def test_numbers_are_exactly_those_in_the_file(write):
    cells = ["0.1", "123456.78901234567", "-8.98846567431158e+99", "5e-324"]
    text = "x\n" + "\n".join(cells) + "\n"
    assert read_readings(AssetFiles.of(write("a.csv", text))).values[:, 0].tolist() == [float(cell) for cell in cells]


@pytest.mark.parametrize(
    "text",
    [
        'timestamp,x\n2020-01-01,"1"\n2020-01-02,"2.5"\n',
        "timestamp,x,\n2020-01-01,1,\n2020-01-02,2.5,\n",
        "timestamp,x\n2020-01-01,1,\n2020-01-02,2.5,\n",
        "timestamp,x\r\n2020-01-01,1\r\n2020-01-02,2.5\r\n",
        "timestamp,x\r2020-01-01,1\r2020-01-02,2.5\r",
        "timestamp , x\n 2020-01-01, 1\n 2020-01-02 , 2.5 \n",
    ],
)
def test_quotes_blanks_line_ends_and_trailing_separators_do_not_matter(write, text):
    frame = read_readings(AssetFiles.of(write("a.csv", text))).to_frame()
    assert (list(frame.columns), frame["x"].tolist()) == (["x"], [1.0, 2.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.csv is empty: give a line of column names"),
        ("\n \n", "a.csv is empty: give a line of column names"),
        ("timestamp,x\n", "a.csv holds no readings: give at least two rows"),
        ("time,x\n\n,\n", "a.csv holds no readings: give at least two rows"),
        ("timestamp,x\n2020-01-01,1\n", "a.csv holds a single timestamp.*: give the period"),
        ("timestamp\n2020-01-01\n2020-01-02\n", "a.csv has no channel: give at least one numeric column"),
        ("x\na\nb\n", "a.csv, line 2: column 'x' must hold numbers, got 'a': leave the cell empty if .* or drop the"),
        ("1,2\n3,4\n", "a.csv, line 1: the first line must name the columns.*: add a line of names"),
        ("2020-01-01,1\n2020-01-02,2\n", "a.csv, line 1: the first line must name the columns"),
        ("timestamp,x,x\n2020-01-01,1,2\n", "a.csv: column 'x' stands there more than once: rename or drop one"),
        ("timestamp,,x\n2020-01-01,1,2\n", "a.csv: column 2 has no name: name it or drop it"),
        ("date,time,x\n2020-01-01,10:00,2\n", "a.csv: .*could all be the timestamp: keep or join"),
        ("timestamp,x\n2020-01-01,1\n2020-01-02,inf\n", "a.csv, line 3: channel 'x' is inf: .* leave it empty"),
        (
            "timestamp,x\n2020-01-02,1\n2020-01-01,2\n",
            "a.csv, line 3: timestamps must not go back.*: sort the readings",
        ),
        ("timestamp,x\n2020-01-01,1\n2020-01-01,2\n", "a.csv, line 3: .* twice with different .* 'x': keep one row"),
        ("timestamp,x\n2020-01-01,\n2020-01-02,\n", "a.csv: every channel is missing in every row: give at least one"),
        ("timestamp,x\n2020-01-01,1,2\n2020-01-02,1\n", "a.csv, line 2 has more cells than the 2 column names: quote"),
        ("timestamp,x\n2020-01-01,1\n2020-01-02,1,2\n", "a.csv, line 3 has more cells than the 2 column names: quote"),
        ("Logger 5\nFlow\ntime,x\n1,2\n", "a.csv, line 3 has more cells .* let the line of column names come first"),
        ('timestamp,x\n2020-01-01,1\n2020-01-02,"2\n', "a.csv, line 3: a quotation mark is never closed: close or"),
        ('timestamp,"x\n2020-01-01,1\n', "a.csv, line 1: a quotation mark is never closed: close or remove it"),
        (
            "machine,x\npump,1\npump,2\n",
            "a.csv, line 2: column 'machine' must hold numbers, got 'pump'.* drop the column",
        ),
        ("timestamp|x\n2020-01-01|1\n", "a.csv, line 2: '2020-01-01.1' cannot be read as a time: write it as"),
        ("<html>\n<p>404</p>\n", "a.csv, line 2: column '<html>' must hold numbers, got '<p>404</p>'"),
    ],
)
def test_unusable_files_are_refused(write, text, message):
    with pytest.raises(ReadingsError, match=message):
        read_readings(AssetFiles.of(write("a.csv", text)))


@pytest.mark.parametrize("cell", ["1,5", "1,500", "1,500.5", "1.500,5", "-0,5"])
def test_decimal_comma_is_refused(write, cell):
    with pytest.raises(ReadingsError, match=rf"a\.csv, line 3: column 'x' .* got '{cell}': write a decimal point"):
        read_readings(AssetFiles.of(write("a.csv", f'timestamp;x\n2020-01-01;1\n2020-01-02;"{cell}"\n')))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"timestamp,x\n2020-01-01,\xff\xfe\n", "a.csv, line 2 is not UTF-8 text"),
        ("timestamp,x\n".encode("utf-16"), "a.csv, line 1 is not UTF-8 text, perhaps UTF-16"),
        ("timestamp,x\n".encode("utf-16-le"), "a.csv, line 1 is not UTF-8 text .it has a zero byte"),
        ("timestamp,°C\n".encode("latin-1"), "a.csv, line 1 is not UTF-8 text"),
        (b"timestamp,x\n2020-01-01,1\n2020-01-02,2\n\0\0\0\0\0", "a.csv, line 4 is not UTF-8 text .it has a zero byte"),
        (b"PK\x03\x04\x14\0\x06\0", "a.csv, line 1 is not UTF-8 text, perhaps a zip file or a workbook"),
        (gzip.compress(b"timestamp,x\n"), "a.csv, line 1 is not UTF-8 text, perhaps a gzip file"),
        (bytes(range(256)), "a.csv, line 1 is not UTF-8 text"),
    ],
)
def test_what_is_no_text_is_refused(write, content, message):
    with pytest.raises(ReadingsError, match=message + ".*: save the readings as CSV in UTF-8"):
        read_readings(AssetFiles.of(write("a.csv", content)))


def test_random_bytes_are_refused_or_read_but_never_break(write):
    rng = np.random.default_rng(0)
    for alphabet in (bytes(range(256)), b'0123456789.,;\n\t\r"- :TZ+ex', b'12,\n"', "timesap,\n1é°\x00".encode()):
        for _ in range(150):
            content = bytes(rng.choice(list(alphabet), size=rng.integers(0, 80)).tolist())
            with contextlib.suppress(ReadingsError):
                read_readings(AssetFiles.of(write("a.csv", content)))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_files_that_cannot_be_opened_are_refused(tmp_path, monkeypatch, name):
    with pytest.raises(ReadingsError, match=rf"{name} cannot be read: No such file.*: check that it is a file"):
        read_readings(AssetFiles.of(tmp_path / name))
    (tmp_path / name).mkdir()
    with pytest.raises(ReadingsError, match=rf"{name} cannot be read: .*: check that it is a file"):
        read_readings(AssetFiles.of(tmp_path / name))
    (tmp_path / name).rmdir()
    (tmp_path / name).touch()

    def refused(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(ReadingsError, match=rf"{name} cannot be read: Permission denied: .* that you may read it"):
        read_readings(AssetFiles.of(tmp_path / name))


def test_unusable_parquet_files_are_refused(tmp_path, write):
    with pytest.raises(ReadingsError, match=r"b\.parquet cannot be read as Parquet: .*: write it again"):
        read_readings(AssetFiles.of(write("b.parquet", "no parquet")))
    hours = pd.date_range("2020-01-01", periods=2, freq="h")
    for values, message in {
        ("1", "off"): "row 1: column 'x' must hold numbers, got 'off'",
        (1.0, np.inf): "row 1: channel 'x' is inf",
        (None, None): "every channel is missing",
    }.items():
        pd.DataFrame({"x": list(values)}, hours).to_parquet(tmp_path / "c.parquet")
        with pytest.raises(ReadingsError, match=r"c\.parquet.*" + message):
            read_readings(AssetFiles.of(tmp_path / "c.parquet"))


def test_other_kinds_of_file_are_refused(tmp_path):
    with pytest.raises(ReadingsError, match=r"notes\.txt: readings are \.csv or \.parquet files: convert it"):
        read_readings(AssetFiles.of(tmp_path / "notes.txt"))
