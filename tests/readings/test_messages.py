"""Messages: lengths of time read as people write them."""

from datetime import timedelta

import pandas as pd
import pytest

from offbeat.readings.messages import Source, count, duration_text


@pytest.mark.parametrize(
    "text",
    [
        "0 s",
        "1 ns",
        "20 µs",
        "250 ms",
        "1 s",
        "1.5 s",
        "5 min",
        "1 min 15 s",
        "12 h",
        "1 h 30 min",
        "1 d 12 h",
        "1,000 d",
    ],
)
def test_length_reads_as_people_write_it(text):
    assert duration_text(pd.Timedelta(text.replace(",", ""))) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        ("30 d 4 h 13 min 7 s", "30 d 4 h 13 min"),
        ("0.9999999 s", "1 s"),
        ("59.9999 s", "1 min"),
        ("600.04 s", "10 min 0.04 s"),
        ("1.0002 s", "1.0002 s"),
    ],
)
def test_what_hardly_changes_a_length_is_left_out(length, text):
    assert duration_text(pd.Timedelta(length)) == text


def test_length_is_rounded_by_at_most_a_part_in_ten_thousand():
    for exponent in range(1, 180):
        length = round(1.25**exponent)
        shown = duration_text(pd.Timedelta(length, unit="ns"))
        assert abs(pd.Timedelta(shown.replace(",", "")).value - length) <= length / 10_000


def test_length_may_be_plain_or_a_number_of_steps():
    assert [duration_text(length) for length in (timedelta(minutes=10), 1, 1500)] == ["10 min", "1 step", "1,500 steps"]


def test_count_agrees_in_number():
    assert [count(number, "row") for number in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]


def test_rows_of_a_file_are_named_by_line():
    assert [Source("a.csv", pd.Index([2, 5]).to_numpy()).row(1), Source("asset 'a'").row(1)] == [
        "a.csv, line 5",
        "asset 'a', row 1",
    ]
