"""Spans: labels, exclusions and test starts fit the readings, or are refused with their line."""

import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.folder import read_folder
from offbeat.readings.series import Series
from offbeat.readings.spans import Span, span_mask


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
def test_spans_that_do_not_fit_are_refused(fleet, name, text, message):
    with pytest.raises(ReadingsError, match=message):
        read_folder(fleet(**{name: text}))


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


def test_numeric_asset_names_stay_text(write, tmp_path, three):
    write("007.csv", three)
    write("labels.csv", "asset,start,end\n007,2020-01-01,2020-01-02\n")
    assert read_folder(tmp_path).labels[0].asset == "007"


def test_span_mask_has_both_ends():
    series = Series.from_frame(pd.DataFrame({"x": range(6)}), "a")
    assert span_mask(series, [Span("a", 1, 2), Span("a", 5, 9), Span("b", 0, 5)]).tolist() == [
        False, True, True, False, False, True,
    ]  # fmt: skip
