"""Spans: labels, exclusions and test starts fit the readings, or are refused with their line."""

import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.folder import read_folder
from offbeat.readings.series import Series
from offbeat.readings.spans import SPAN_FILES, Span, span_mask


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("labels", "pump-3,2020-01-01,2020-01-01", "line 2: there are no readings of asset 'pump-3': correct or drop"),
        ("labels", "\npump-1,2020-01-02,2020-01-01", "line 3: end .* lies before start .*: swap or correct them"),
        ("labels", "pump-1,2020-01-02,later", "line 2: 'later' cannot be read as a time: write it as 2020-01-31T"),
        ("labels", "pump-1,01/02/2020,02/02/2020", "line 2: '01/02/2020' could be day/month or month/day.*: write it"),
        ("labels", "pump-1,5,6", "line 2: start '5' does not fit readings with times, write 2020-01-31T"),
        ("labels", "pump-1,2020-01-01", "line 2: 'end' is missing: fill it in"),
        ("labels", "pump-1,2020-01-01,2020-01-02,a,b", "line 2 has more cells than the 4 column names: quote"),
        ("exclude", "pump-1,2020-01-01,", "line 2: 'end' is missing: fill it in"),
        ("exclude", ",2020-01-01,2020-01-02", "line 2: 'asset' is missing: fill it in"),
        (
            "exclude",
            "pump-1,2020-01-01T00:00Z,2020-01-02\npump-1,2020-01-01T00:00,2020-01-02",
            "line 3: time .* has no offset from UTC, unlike exclude.csv, line 2: give every time an offset",
        ),
        ("splits", "pump-1,2019-01-01", "line 2: test_start 2019.* must lie after .*: correct it or drop the row"),
        ("splits", "pump-1,2020-01-01 00:00:10\n" * 2, "line 3: asset 'pump-1' stands there twice: keep one row"),
    ],
)
def test_spans_that_do_not_fit_are_refused(fleet, name, rows, message):
    head = ",".join(SPAN_FILES[name])
    with pytest.raises(ReadingsError, match=f"{name}.csv, {message}"):
        read_folder(fleet(**{name: f"{head}\n{rows}\n"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("asset,start\npump-1,5\n", r"labels\.csv must have the columns .* 'end' is missing: add or rename one"),
        ("asset,start,Start,end\n", r"labels\.csv: column 'start' stands there more than once: rename or drop"),
        ("", r"labels\.csv is empty: give a line of column names"),
        ("asset,start,end\n".encode("utf-16"), r"labels\.csv, line 1 is not UTF-8 text, perhaps UTF-16"),
    ],
)
def test_unusable_tables_are_refused(fleet, content, message):
    with pytest.raises(ReadingsError, match=message):
        read_folder(fleet(labels=content))


def test_times_do_not_fit_an_integer_index(write, tmp_path):
    write("a.csv", "x\n1\n2\n")
    write("labels.csv", "asset,start,end\na,0,1\n")
    assert read_folder(tmp_path).labels == (Span("a", 0, 1),)
    write("labels.csv", "asset,start,end\na,0,2020-01-01\n")
    with pytest.raises(ReadingsError, match=r"labels\.csv, line 2: end '2020-01-01' .* write a whole number"):
        read_folder(tmp_path)


def test_label_outside_the_readings_is_noted(fleet):
    notes = read_folder(fleet(labels="asset,start,end\npump-1,2021-01-01,2021-01-02\n")).notes
    assert notes[0].startswith("labels.csv, line 2: 2021-01-01 00:00:00+00:00 to")


@pytest.mark.parametrize("name", ["007", "1e3", "NA", "null"])
def test_asset_names_are_text_whatever_they_look_like(write, tmp_path, three, name):
    write(f"{name}.csv", three)
    write("labels.csv", f"asset,start,end\n{name},2020-01-01,2020-01-02\n")
    assert read_folder(tmp_path).labels[0].asset == name


def test_span_mask_has_both_ends():
    series = Series.from_frame(pd.DataFrame({"x": range(6)}), "a")
    assert span_mask(series, [Span("a", 1, 2), Span("a", 5, 9), Span("b", 0, 5)]).tolist() == [
        False, True, True, False, False, True,
    ]  # fmt: skip
