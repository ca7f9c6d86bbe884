"""Quality: the figures are right, the grades keep their table, every problem says what to do."""

import re

import numpy as np
import pandas as pd
import pytest

from offbeat.readings.folder import Folder
from offbeat.readings.quality import assess, assess_folder
from offbeat.readings.quality_page import render
from offbeat.readings.series import Series
from offbeat.readings.spans import Span

RISING = np.arange(1000.0)


def series(values, stamps=None, asset="pump-1"):
    columns = values if isinstance(values, dict) else {"x": values}
    index = pd.RangeIndex(len(next(iter(columns.values())))) if stamps is None else pd.Index(stamps)
    return Series.from_frame(pd.DataFrame(columns, index=index), asset, period=1)


def channel(values, **spans):
    return assess(series({"x": values, "other": RISING[: len(values)]}), Folder((), **spans)).channels[0]


def with_values(where, value):
    values = RISING.copy()
    values[where] = value
    return values


def test_figures_of_a_channel():
    one = channel(np.array([1.0, 2.0, 2.0, 2.0, np.nan, 2.0, 3.0, 4.0]))
    assert (one.missing_share, one.longest_constant, one.n_distinct) == (1 / 8, 3, 4)
    assert (one.minimum, one.maximum) == (1.0, 4.0)
    assert one.mean == pytest.approx(16 / 7)  # 1 + 4·2 + 3 + 4 over 7 readings
    assert one.std == pytest.approx(np.sqrt((1 + 4 * 4 + 9 + 16) / 7 - (16 / 7) ** 2))


def test_constant_stretch_equals_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.choice([0.0, 1.0, np.nan], size=12)
        values[0] = 0.0
        longest = run = 0
        for k, value in enumerate(values):
            run = 0 if np.isnan(value) else run + 1 if k and value == values[k - 1] else 1
            longest = max(longest, run)
        assert channel(values).longest_constant == longest


def test_constant_stretch_ends_at_a_long_gap():
    assert assess(series([5.0, 5.0, 5.0, 5.0, 6.0], [0, 1, 100, 101, 102])).channels[0].longest_constant == 2


def test_gaps_count_filled_and_left_out_timesteps():
    quality = assess(series(np.arange(6.0), [0, 1, 4, 5, 20, 21]))  # missing 2, 3 and 6 to 19
    assert (quality.n_gaps, quality.longest_gap, quality.n_missing_timesteps, quality.n_segments) == (2, 14, 16, 2)
    assert (quality.n_timesteps, quality.start, quality.end) == (8, 0, 21)


@pytest.mark.parametrize(
    ("values", "grade"),
    [
        (RISING, "A"),
        (with_values(slice(0, 1000, 100), np.nan), "A"),  # 1 % missing
        (with_values(slice(0, 1000, 50), np.nan), "B"),  # 2 %
        (with_values(slice(0, 1000, 10), np.nan), "C"),  # 10 %
        (with_values(slice(0, 1000, 3), np.nan), "D"),  # 33 %
        (with_values(slice(0, 600), np.nan), "F"),  # 60 %
        (with_values(slice(100, 300), 100.0), "B"),  # still for 20 %
        (with_values(slice(100, 500), 100.0), "C"),  # 40 %
        (with_values(slice(100, 900), 100.0), "D"),  # 80 %
        (with_values(slice(0, 1000, 200), 1e6), "B"),  # 0.5 % outliers
        (with_values(slice(0, 1000, 50), 1e6), "C"),  # 2 %
        (np.full(1000, 3.0), "F"),
        (np.full(1000, np.nan), "F"),
        (np.repeat([0.0, 1.0], [900, 100]), "A"),  # a switch may stand still
    ],
)
def test_grade_follows_the_table(values, grade):
    assert channel(values).grade == grade


def test_coarse_readings_are_no_outliers():
    values = np.where(np.arange(1000) % 4 == 0, 33.0, 32.0) + np.arange(1000) % 7 * 1e-4
    assert channel(values).outlier_share == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full(1000, 3.0), "channel 'x' is constant: it carries no information; drop it"),
        (np.full(1000, np.nan), "channel 'x' has no reading at all: drop it, or mend its source"),
        (with_values(slice(0, 1000, 10), np.nan), "channel 'x' misses 10% of its readings: mend its source"),
        (with_values(slice(100, 500), 100.0), "channel 'x' stands still for 400 timesteps: .* exclude.csv"),
        (with_values(slice(0, 1000, 50), -9e9), "channel 'x' has 2.0% readings beyond 10 .* error codes such as -999"),
    ],
)
def test_each_problem_says_what_to_do(values, message):
    problems = channel(values).problems
    assert len(problems) == 1
    assert re.match(message, problems[0])


def test_good_readings_have_no_problem():
    quality = assess(series(RISING))
    assert (quality.grade, quality.problems, quality.channels[0].problems) == ("A", (), ())


def test_excluded_and_labelled_rows_are_not_judged():
    values = with_values(slice(100, 500), 100.0)
    values[700] = 1e9
    spans = {"exclude": (Span("pump-1", 101, 499),), "labels": (Span("pump-1", 700, 700),)}
    quality = assess(series(values), Folder((), **spans))
    assert (quality.grade, quality.channels[0].longest_constant, quality.channels[0].maximum) == ("A", 1, 999.0)
    assert (quality.excluded_share, quality.labelled_share) == (0.399, 0.001)


def test_equal_readings_on_both_sides_of_an_exclusion_are_no_stretch():
    assert channel(np.array([1.0, 5, 5, 5, 1]), exclude=(Span("pump-1", 2, 2),)).longest_constant == 1


def test_nothing_but_exclusions_is_a_problem():
    quality = assess(series(RISING), folder=Folder((), exclude=(Span("pump-1", 0, 999),)))
    assert quality.grade == "F"
    assert quality.problems[0].startswith("every row is labelled or excluded")


def test_channel_named_like_a_label_is_pointed_out():
    quality = assess(series({"x": RISING, "Anomaly": RISING % 2}))
    assert "move it to labels.csv" in quality.channels[1].problems[0]


def test_too_few_rows_for_windows():
    assert assess(series(RISING), window_size=100).problems == ()
    assert "fewer than 10 windows of 101" in assess(series(RISING), window_size=101).problems[0]
    short = assess(series(np.arange(20.0), [*range(10), *range(100, 110)]), window_size=11)
    assert "the longest stretch without a long gap has 10 timesteps, a window needs 11" in short.problems[0]
    assert short.grade == "D"


def test_too_few_days_for_the_budget():
    index = pd.date_range("2020-01-01", periods=24 * 7, freq="h")
    week = Series.from_frame(pd.DataFrame({"x": np.arange(24.0 * 7)}, index), "a")
    assert assess(week, min_days=7).problems == ()
    assert "7 d of readings, 7.5 d are needed" in assess(week, min_days=7.5).problems[0]


def fleet(folder, **files):
    for name, text in {"good": "x\n1\n2\n4\n", "bad": "x\n1\noff\n", **files}.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def test_a_file_that_cannot_be_read_does_not_stop_the_report(tmp_path):
    labels = "asset,start,end\nbad,0,1\ngood,1,1\n"
    qualities, errors = assess_folder(fleet(tmp_path, labels=labels))
    assert [(quality.asset, quality.labelled_share) for quality in qualities] == [("good", 1 / 3)]
    assert len(errors) == 1
    assert errors[0].startswith("bad.csv, line 3: column 'x' must hold numbers, got 'off': leave the cell empty")


def test_labels_and_unlike_assets_are_told_as_well(tmp_path):
    fleet(tmp_path, other="y\n1\n2\n", labels="asset,start,end\nghost,0,1\n", exclude="asset,start,end\ngood,7,8\n")
    errors = assess_folder(tmp_path)[1]
    assert errors[1].startswith("labels.csv, line 2: there are no readings of asset 'ghost'")
    assert errors[2].startswith("all assets of a group need the same channels")
    assert errors[3] == "exclude.csv, line 2: 7 to 8 lies outside the readings of 'good': correct it or drop the row"


def test_assets_of_one_group_are_held_against_each_other_and_no_others(tmp_path):
    fleet(tmp_path, bad="x\n1\n2\n", fan="y\n1\n2\n", blower="z\n1\n2\n")
    (tmp_path / "groups.yaml").write_text('groups: {fans: [fan, blower], rest: ["*"]}')
    [error] = assess_folder(tmp_path)[1]
    assert error.startswith("all assets of a group need the same channels, but 'fan' lacks 'z'")


def test_report_has_a_line_for_each_channel_and_problem(tmp_path):
    constant = "x,flow\n" + "1,5\n2,5\n" * 20
    fleet(tmp_path, good=constant, twin=constant)
    text = render(*assess_folder(tmp_path))
    assert text.count("\n    flow ") == 2
    assert "   1. bad.csv, line 3" in text
    assert "   2. good, twin: channel 'flow' is constant" in text
    assert "good: F  twin: F" in text
    assert max(map(len, text.splitlines())) <= 110


def test_report_on_good_readings_says_so():
    assert render([assess(series(RISING))]).endswith("Nothing to mend: these readings can be trained on.\n")


def test_report_names_times_in_utc():
    index = pd.date_range("2020-01-01 01:00", periods=3, freq="10min", tz="Europe/Berlin")
    text = render([assess(Series.from_frame(pd.DataFrame({"x": [1.0, 2.0, 4.0]}, index), "a"))])
    assert "3 rows in 1 segment, one every 10 min, 2020-01-01 00:00:00 UTC to 2020-01-01 00:20:00 UTC" in text
