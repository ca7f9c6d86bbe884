"""What a person reads of scores says when, how long, how strong and which channels, in aligned columns."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scored import score_result

from offbeat.errors import OffbeatError
from offbeat.readings.series import Series
from offbeat.reporting import check_out, events_table, learning_warning, threshold_lines, written
from offbeat.tables import text_table


def result_of(events, n=40, *, timed=True, period="10min", asset="pump-1", gap_at=None):
    """A result with an alarm in each of the `events` (start, stop), and a long gap before row `gap_at`."""
    step = pd.Timedelta(period) if timed else 3
    places = np.arange(n) + (50 * (np.arange(n) >= gap_at) if gap_at else 0)
    index = pd.Timestamp("2026-01-05", tz="UTC") + places * step if timed else pd.Index(100 + places * step)
    series = Series.from_frame(pd.DataFrame({"flow": 1.0, "temp": 2.0}, index), asset, period=step)
    by_channel = np.full((n, 2), 0.25)
    for start, stop in events:
        by_channel[start:stop] = [1, 9]
    return score_result(series, series.channels, by_channel, "mean", 2.0, 0, np.ones(n, dtype=bool), {})


def cells(table):
    """The first event's cells: columns are two blanks apart."""
    return [cell.strip() for cell in table.splitlines()[2].split("  ") if cell.strip()]


# --- the table of events ----------------------------------------------------------------------------------------------


def test_an_event_tells_when_how_long_how_strong_and_which_channels_lead():
    row = cells(events_table([result_of([(6, 9)])]))
    assert row == ["pump-1", "2026-01-05 01:00:00", "2026-01-05 01:20:00", "30 min", "2.5", "temp 90%"]


@pytest.mark.parametrize(
    ("period", "n_timesteps", "length"),
    [("10min", 1, "10 min"), ("1min", 8, "8 min"), ("1s", 30, "30 s"), ("250ms", 2, "500 ms"), ("6h", 9, "2 d 6 h")],
)
def test_the_length_counts_the_last_timestep_too(period, n_timesteps, length):
    assert cells(events_table([result_of([(5, 5 + n_timesteps)], period=period)]))[3] == length


def test_a_long_gap_makes_no_event_longer():
    assert cells(events_table([result_of([(19, 20)], gap_at=20)]))[3] == "10 min"
    table = events_table([result_of([(18, 22)], gap_at=20)])
    assert [line.split("  ")[3].strip() for line in table.splitlines()[2:4]] == ["20 min", "20 min"]


def test_times_shorter_than_a_second_are_not_cut_off():
    row = cells(events_table([result_of([(5, 7)], period="250ms")]))
    assert row[1:3] == ["2026-01-05 00:00:01.250000", "2026-01-05 00:00:01.500000"]


def test_an_integer_index_is_told_as_it_is_and_lengths_in_timesteps():
    assert cells(events_table([result_of([(6, 9)], timed=False)]))[1:4] == ["118", "124", "3 timesteps"]
    assert cells(events_table([result_of([(6, 7)], timed=False)]))[1:4] == ["118", "118", "1 timestep"]


def test_a_network_that_has_learnt_little_is_warned_of_with_a_remedy():
    assert learning_warning(0.3) == ""
    assert learning_warning(0.25).startswith("the model explains 25% of the variance")
    assert "train.epochs" in learning_warning(0.25)


def test_no_alarm_is_said_in_words():
    assert events_table([result_of([])]) == "No alarms.\n0 events in 40 timesteps of 1 asset"


def test_the_last_line_counts_over_all_assets():
    table = events_table([result_of([(3, 5), (9, 10)]), result_of([(3, 4)], asset="pump-10", n=60)])
    lines = table.splitlines()
    assert lines[-1] == "3 events in 100 timesteps of 2 assets"
    assert [line.split()[0] for line in lines[2:5]] == ["pump-1", "pump-1", "pump-10"]
    starts = {line.index("2026") for line in lines[2:5]}
    assert len(starts) == 1  # aligned though the names differ in length


def test_timesteps_without_a_score_are_counted():
    result = result_of([(6, 9)])
    scores = result.scores.copy()
    scores[20:23] = np.nan
    assert "without a score: 3 timesteps" in events_table([replace(result, scores=scores)])
    assert "without a score" not in events_table([result])


# --- tables -----------------------------------------------------------------------------------------------------------


def test_columns_are_aligned_names_to_the_left_and_numbers_to_the_right():
    table = text_table([["", "found", "F1"], ["pump-1", "1", "0.25"], ["p", "100", "-"]])
    assert table.splitlines() == [
        "        found    F1",
        "------  -----  ----",
        "pump-1      1  0.25",
        "p         100     -",
    ]


def test_a_heading_alone_makes_a_table():
    assert text_table([["a", "b"]]) == "a  b\n-  -"


# --- the file of scores -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("timed", [True, False])
def test_scores_read_back_are_those_that_were_written(tmp_path, suffix, timed):
    out = tmp_path / f"scores{suffix}"
    results = [result_of([(6, 9)], timed=timed), result_of([], timed=timed, asset="pump-2")]
    assert list(written(out, results)) == results
    first = "timestamp" if timed else "index"
    table = pd.read_csv(out, parse_dates=[first] if timed else None) if suffix == ".csv" else pd.read_parquet(out)
    assert list(table.columns) == [first, "asset", "score", "threshold", "alarm", "share.flow", "share.temp"]
    assert table["asset"].tolist() == ["pump-1"] * 40 + ["pump-2"] * 40
    np.testing.assert_allclose(table["score"], np.concatenate([result.scores for result in results]))
    assert table["alarm"].tolist() == [*results[0].alarms, *results[1].alarms]
    assert table[first].tolist() == [*results[0].index, *results[1].index]
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_times_in_a_csv_keep_their_part_of_a_second(tmp_path):
    result = result_of([], period="250ms")
    list(written(tmp_path / "scores.csv", [result]))
    times = pd.to_datetime(pd.read_csv(tmp_path / "scores.csv")["timestamp"], format="ISO8601")
    assert times.tolist() == list(result.index)


def test_where_scores_cannot_go_is_said_before_the_work(tmp_path):
    with pytest.raises(OffbeatError, match=r"scores.txt: the file's name must end in .csv or .parquet"):
        check_out(tmp_path / "scores.txt")
    with pytest.raises(OffbeatError, match=r"folder .*nowhere does not exist: make it first"):
        check_out(tmp_path / "nowhere" / "scores.csv")
    check_out(tmp_path / "scores.csv")


# --- thresholds -------------------------------------------------------------------------------------------------------


def test_a_threshold_is_told_with_how_far_it_can_be_trusted(make_detector):
    detector = make_detector(false_alarms_per_week=20.0)
    enough = replace(detector.assets["pump-1"].threshold, value=2.5, warning="")
    lent = replace(enough, warning="borrowed the group's 180")
    for asset, threshold in (("pump-1", enough), ("pump-2", lent)):
        detector.assets[asset] = replace(detector.assets["pump-1"], threshold=threshold)
    assert threshold_lines(detector, ["pump-1", "pump-2"]) == [
        "pump-1: threshold 2.5 (conformal, calibrated)",
        "pump-2: threshold 2.5 (conformal, provisional)",
        "pump-2: warning: borrowed the group's 180",
    ]
