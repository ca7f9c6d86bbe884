"""The benchmark of accuracy: its protocol on made-up readings in the public formats, and what it makes of results."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import accuracy
from benchmarks.accuracy_bars import bars_of
from benchmarks.accuracy_judge import judge, poisson_below, realised, verdict
from benchmarks.accuracy_methods import DRAWN, FIXED, LSTM, NETWORKS, Scored, methods_of, score_simple, settings_for
from benchmarks.accuracy_sets import groups_of, places
from benchmarks.accuracy_table import chosen, over_seeds, pooled, read_results, trained_beats_untrained
from offbeat.detection.thresholds import Threshold
from offbeat.errors import OffbeatError
from offbeat.evaluation.replay import simple_method
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import read_folder

SECTIONS = """
prepare: {window_size: 8, held_out_share: 0.3}
train: {units: 4, latent_size: 2, position_size: 4, epochs: 2, steps_per_epoch: 2, batch_size: 8}
calibrate: {stride: 1, delay: 2, smoothing: 4, merge_gap: 2, false_alarms_per_week: 50}
evaluate: {max_buffer: 5}
"""


def wave(n, n_channels, seed):
    rng = np.random.default_rng(seed)
    return np.sin(np.arange(n)[:, None] / np.arange(3, 3 + n_channels)) + rng.normal(0, 0.1, (n, n_channels))


def skab_file(path, seed, *, labelled=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = wave(600, 3, seed)
    values[500:540] += 4
    frame = pd.DataFrame(values, columns=["flow", "speed", "temp"])
    frame.insert(0, "datetime", pd.date_range("2020-03-01", periods=600, freq="1s"))
    if labelled:
        frame["anomaly"] = ((np.arange(600) >= 500) & (np.arange(600) < 540)).astype(float)
        frame["changepoint"] = 0.0
    frame.to_csv(path, sep=";", index=False)


@pytest.fixture
def data(tmp_path):
    """A folder with two valves and a run without labels, two series of NAB and a bearing."""
    for k in range(2):
        skab_file(tmp_path / "data" / "skab" / "valve1" / f"{k}.csv", k)
    skab_file(tmp_path / "data" / "skab" / "anomaly-free" / "anomaly-free.csv", 9, labelled=False)
    nab, windows = tmp_path / "data" / "nab" / "known", {}
    nab.mkdir(parents=True)
    for name, n in (("nyc_taxi", 481), ("pump", 480)):
        times = pd.date_range("2014-07-01", periods=n, freq="30min")
        values = wave(n, 1, n)[:, 0]
        values[300:320] = 5
        pd.DataFrame({"timestamp": times, "value": values}).to_csv(nab / f"{name}.csv", index=False)
        windows[f"known/{name}.csv"] = [[str(times[300]), str(times[319])]]
    (tmp_path / "data" / "nab" / "combined_windows.json").write_text(json.dumps(windows))
    bearing = pd.DataFrame(wave(600, 4, 3), columns=[f"Bearing {k}" for k in range(1, 5)])
    bearing.iloc[400:] += np.linspace(2, 8, 200)[:, None]
    bearing.insert(0, "Datetime", pd.date_range("2004-02-12", periods=600, freq="10min").strftime("%Y.%m.%d.%H.%M.%S"))
    (tmp_path / "data" / "ims_bearing").mkdir()
    bearing.to_csv(tmp_path / "data" / "ims_bearing" / "2nd_test_resmaple_10minutes.csv", index=False)
    return tmp_path / "data"


@pytest.fixture
def settings(tmp_path):
    folder = tmp_path / "settings"
    folder.mkdir()
    for name in ("single_channel", "multichannel"):
        (folder / f"{name}.yaml").write_text(SECTIONS)
    return folder


@pytest.fixture
def run(data, settings, tmp_path):
    def run(*arguments):
        given = ["--data", data, "--settings", settings, "--out", tmp_path / "out", "--jobs", 1, "--seeds", 2]
        accuracy.main([str(argument) for argument in [*given, *arguments]])
        with (tmp_path / "out" / "series.csv").open(newline="") as file:
            return list(csv.DictReader(file)), (tmp_path / "out" / "summary.md").read_text()

    return run


def readings_of(group):
    return read_folder(group.folder)


# --- sets -------------------------------------------------------------------------------------------------------------


def test_alike_assets_are_one_group_and_a_run_without_training_part_is_left_out(data, tmp_path):
    [group] = groups_of("skab", data / "skab", tmp_path / "cache")
    assert [one.asset for one in readings_of(group).series] == ["valve1-0", "valve1-1"]
    assert (group.n_channels, group.n_rows) == (3, 1200)
    assert all(prepared.split.test[0] == 400 for prepared in fleet_of(group))


def test_other_assets_are_groups_of_their_own_with_a_quarter_to_train_on(data, tmp_path):
    pump, taxi = sorted(groups_of("nab", data / "nab", tmp_path / "cache"), key=lambda group: group.name == "nyc_taxi")
    assert readings_of(pump).series[0].n_timesteps == 480
    series = readings_of(taxi).series[0]
    assert series.n_timesteps == 480  # without its first row
    assert str(series.index[0]) == "2014-07-01 00:30:00+00:00"
    assert fleet_of(taxi)[0].split.test[0] == 120


def test_a_set_without_a_split_trains_on_the_share_that_the_protocol_names(data, tmp_path):
    [group] = groups_of("ims_bearing", data / "ims_bearing", tmp_path / "cache")
    assert fleet_of(group)[0].split.test[0] == 240
    assert not fleet_of(group)[0].labelled.any()


def test_the_hash_of_a_group_is_that_of_its_readings(data, tmp_path):
    first = groups_of("nab", data / "nab", tmp_path / "cache")
    assert groups_of("nab", data / "nab", tmp_path / "cache") == first
    path = data / "nab" / "known" / "pump.csv"
    path.write_text(path.read_text().replace(",5.0", ",6.0"))
    again = groups_of("nab", data / "nab", tmp_path / "cache")
    same = [one.data_hash == other.data_hash for one, other in zip(first, again, strict=True)]
    assert same == [True, False]


def test_sets_are_those_of_the_folder_or_those_named(data):
    assert list(places(data, [])) == ["skab", "nab", "ims_bearing"]
    assert places(data, ["nab", f"ucr={data}"]) == {"nab": data / "nab", "ucr": data}
    for wrong in ("nabb", "ucr", f"nab={data / 'none'}"):
        with pytest.raises(OffbeatError, match=r"known are|does not exist"):
            places(data, [wrong])
    with pytest.raises(OffbeatError, match="holds none of"):
        places(data / "nab", [])


def test_the_settings_are_chosen_by_the_number_of_channels(tmp_path):
    (tmp_path / "single_channel.yaml").write_text("prepare: {window_size: 48}\ntrain: {units: 7}\n")
    (tmp_path / "multichannel.yaml").write_text("# all as in params.yaml\n")
    single, multi = (settings_for(n, tmp_path, 5, {"train": {"units": 9}}) for n in (1, 2))
    assert (single.prepare.window_size, single.train.units, single.train.seed) == (48, 9, 5)
    assert (multi.prepare.window_size, multi.train.units, multi.train.seed) == (32, 9, 5)
    (tmp_path / "single_channel.yaml").write_text("train: {unit: 7}")
    with pytest.raises(OffbeatError, match="did you mean 'units'"):
        settings_for(1, tmp_path, 5, {})


def test_the_settings_of_the_benchmark_can_be_loaded():
    for n_channels in (1, 2):
        settings_for(n_channels, accuracy.SETTINGS, 7, {})


# --- methods ----------------------------------------------------------------------------------------------------------


def fleet_of(group, window_size=8):
    params = settings_for(group.n_channels, accuracy.SETTINGS, 7, {"prepare": {"window_size": window_size}, **SHORT})
    return prepare_fleet(readings_of(group), params.prepare)


SHORT = {"calibrate": {"stride": 1, "delay": 2, "smoothing": 4, "merge_gap": 2}}


def test_simple_methods_score_as_those_of_a_replay(data, settings, tmp_path, make_detector):
    [group] = groups_of("skab", data / "skab", tmp_path / "cache")
    params = settings_for(3, settings, 7, {})
    fleet, scored = score_simple("fixed", readings_of(group), params, 7)
    detector = replace(make_detector(), params=params.calibrate.for_window(8), step=fleet[0].series.step)
    expected = simple_method("pca", detector, fleet, params.evaluate)
    [pca] = [one for one in scored if one.method == "pca"]
    for prepared, scores, threshold in zip(fleet, pca.scores, pca.thresholds, strict=True):
        assert np.array_equal(scores, expected.score(prepared.series), equal_nan=True)
        assert threshold == expected.thresholds[prepared.series.asset]


def test_every_simple_method_scores_every_timestep_and_only_drawn_ones_depend_on_the_seed(data, settings, tmp_path):
    [group] = groups_of("skab", data / "skab", tmp_path / "cache")
    params = settings_for(3, settings, 7, {})
    for source, differs in (("fixed", False), ("drawn", True)):
        (_, first), (_, second) = (score_simple(source, readings_of(group), params, seed) for seed in (1, 2))
        assert tuple(one.method for one in first) == methods_of(source)
        for one, other in zip(first, second, strict=True):
            assert all(np.isfinite(scores).all() for scores in one.scores), one.method
            assert np.array_equal(one.scores[0], other.scores[0]) != differs, one.method


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "mean"), [(0, 0.5), (1, 0.5), (3, 2.0), (12, 5.0)])
def test_poisson_below_is_the_sum_of_the_probabilities(count, mean):
    expected = sum(math.exp(-mean) * mean**k / math.factorial(k) for k in range(count))
    assert poisson_below(count, mean) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seen", "expected", "said"),
    [
        (0, 0.3, "within"),  # the likeliest of all
        (1, 0.3, "within"),  # 1 - exp(-0.3) = 26 %
        (2, 0.3, "above"),  # 1 - 1.3 exp(-0.3) = 3.7 %
        (1, 0.01, "above"),  # 1 %
        (0, 0.0, "within"),
        (1, 0.0, "above"),
        (20, 10.0, "within"),  # twice
        (21, 10.0, "above"),
        (5, 10.0, "within"),  # half
        (4, 10.0, "below"),  # exp(-10) (1 + 10 + 50 + 167 + 417) = 2.9 %
        (0, 2.0, "within"),  # exp(-2) = 14 %
        (0, 3.1, "below"),  # exp(-3.1) = 4.5 %
        (7, math.nan, ""),
    ],
)
def test_a_promise_is_kept_within_twice_and_half_as_far_as_chance_allows_to_tell(seen, expected, said):
    assert verdict(seen, expected) == said


def test_an_alarm_that_never_ends_is_one_alarm_and_fills_every_block():
    scores = np.where(np.arange(40) >= 20, 2.0, 0.0)
    rows = np.arange(40) >= 10
    found = realised(scores, scores > 1, rows, Threshold(1.0, "conformal", 0.01), np.array([0]), 10)
    assert (found["rows"], found["alarms"], found["blocks"], found["blocks_over"]) == (30, 1, 3, 2)
    assert found["expected"] == pytest.approx(0.3)
    assert found["blocks_expected"] == pytest.approx(3 * (1 - math.exp(-0.1)))
    assert found["in_alarm"] == pytest.approx(2 / 3)
    assert (found["verdict"], found["block_verdict"]) == ("within", "above")  # 1 - exp(-0.285) (1 + 0.285) = 3.4 %


def judged(group, scores, **options):
    [prepared] = fleet_of(group)
    scored = Scored("made-up", [scores], [Threshold(1.0, "conformal", 0.001)], 0.0, 0.0, 9, 2, 2)
    return judge(scored, 0, prepared, scored.merge_gap, 5, **options)


def pump(data, tmp_path):
    return next(group for group in groups_of("nab", data / "nab", tmp_path / "cache") if group.name == "pump")


def test_ranking_is_of_the_whole_series_and_alarms_are_of_the_test_span(data, tmp_path):
    scores = np.zeros(480)
    scores[300:320] = 2  # the event
    scores[50:60] = scores[200:205] = 3  # in the training span, in the test span
    figures = judged(pump(data, tmp_path), scores)
    # the 15 highest are wrong: all 20 labelled are found at 20 of 35
    assert figures["auc_pr"] == pytest.approx(20 / 35)
    assert figures["n_timesteps"] == 361  # the first quarter is 119 rows
    assert (figures["n_alarms"], figures["false_alarms"]) == (2, 1)
    assert figures["false_positives"] == 5
    assert (figures["whole_n_timesteps"], figures["whole_false_positives"]) == (480, 15)
    assert figures["before_rows"] == 300 - 119 - 2  # a delay of 2 sees the event before it begins
    assert figures["before_alarms"] == figures["normal_alarms"] == 1
    assert figures["normal_rows"] == (300 - 119 - 9 - 2) + (480 - 320 - 9 - 2)
    assert figures["promise_on"] == "before"


def test_timesteps_without_a_score_rank_lowest_and_a_series_without_any_is_refused(data, tmp_path):
    scores = np.full(480, np.nan)
    with pytest.raises(OffbeatError, match="no score at all"):
        judged(pump(data, tmp_path), scores)
    scores[300:320] = 2
    assert judged(pump(data, tmp_path), scores)["auc_pr"] == pytest.approx(20 / 480)


def test_only_an_alarm_of_a_day_lasts_and_its_lead_is_counted_to_the_end(data, tmp_path):
    [group] = groups_of("ims_bearing", data / "ims_bearing", tmp_path / "cache")
    scores = np.zeros(600)
    scores[310:453] = 2  # 143 rows of 10 minutes: less than a day
    scores[456:] = 2
    figures = judged(group, scores, to_failure=True)
    assert figures["lasting_lead_days"] == 144 / 144
    assert figures["lasting_in_first_half"] == 0
    assert math.isnan(figures["vus_pr"])
    assert "promise_verdict" not in figures  # of wear nobody knows when it began
    scores[10:160] = 2
    assert judged(group, scores, to_failure=True)["lasting_in_first_half"] == 1


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def row(data, tmp_path):
    """The figures of one series; a row with others is made with `|`."""
    scores = np.zeros(480)
    scores[300:320] = 2
    head = {"set": "nab", "group": "pump", "asset": "pump", "method": LSTM, "seed": 7, "train_s": 3.0, "score_s": 1.0}
    return head | {"n_channels": 1, "git_commit": "abc"} | judged(pump(data, tmp_path), scores)


def test_areas_are_means_and_counts_are_summed(row):
    other = row | {
        "asset": "b",
        "vus_pr": 0.5,
        "true_positives": 0,
        "n_events_found": 0,
        "false_alarms": 3,
        "n_alarms": 3,
    }
    both = pooled([row | {"vus_pr": 0.9}, other])
    assert both["vus_pr"] == pytest.approx(0.7)
    assert both["point_f1"] == pytest.approx(2 * 20 / (20 + 40))
    assert both["overlap_f1"] == pytest.approx(2 / (2 + 1 + 3))
    assert both["train_s"] == 3.0  # of the group that both are in


def test_the_spread_is_that_of_the_means_between_seeds(row):
    rows = [
        row | {"asset": a, "seed": s, "vus_pr": v}
        for a, s, v in [("a", 7, 0.2), ("b", 7, 0.4), ("a", 8, 0.6), ("b", 8, 0.4)]
    ]
    mean, spread = over_seeds(rows, "vus_pr")
    assert mean == pytest.approx(0.4)
    assert spread == pytest.approx(np.std([0.3, 0.5], ddof=1))
    assert math.isnan(over_seeds(rows[:2], "vus_pr")[1])


def test_trained_and_untrained_are_compared_series_by_series_and_seed_by_seed(row):
    figures = [
        (LSTM, "a", 7, 0.5),
        ("untrained_network", "a", 7, 0.4),
        (LSTM, "a", 8, 0.3),
        ("untrained_network", "a", 8, 0.4),
    ]
    figures += [(LSTM, "b", 7, 0.5), (LSTM, "c", 7, math.nan), ("untrained_network", "c", 7, math.nan)]
    rows = [row | {"method": m, "asset": a, "seed": s, "vus_pr": v} for m, a, s, v in figures]
    assert trained_beats_untrained(rows) == (0.5, 2)


def test_bars_are_held_to_the_series_they_name(row):
    assert next(bar.what for bar in bars_of([row])).startswith("promised")
    [bar, *_] = bars_of([row | {"asset": "nyc_taxi", "vus_pr": 0.6}])
    assert (bar.what, bar.reached, bar.aim_reached) == ("nab nyc_taxi, VUS-PR", True, False)
    skab = row | {"set": "skab", "n_labelled": 100, "true_positives": 80, "false_positives": 20, "n_timesteps": 200}
    [bar, *_] = bars_of([skab])
    assert (bar.came, bar.reached, bar.aim_reached) == ("0.800 at 20.0 %", True, False)
    [bar, *_] = bars_of([skab | {"false_positives": 25}])
    assert not bar.reached  # FAR of 25 %


# --- all of it --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_measures_every_method_on_every_series_and_goes_on_where_it_was_stopped(
    run, settings, monkeypatch, graph
):
    assert graph  # keras is loaded, with what it says of itself
    chosen_groups = ("nab", "ims_bearing", "--only", "pump", "2nd_test", "--seeds", 1)
    rows, text = run(*chosen_groups)
    per_series = len(FIXED) + len(DRAWN) + sum(len(methods_of(name)) for name in NETWORKS)
    assert len(rows) == 2 * per_series
    assert {row["asset"] for row in rows} == {"pump", "2nd_test"}
    assert all(row["vus_pr"] for row in chosen(rows, asset="pump"))
    assert "| nab | all_ones | " in text
    assert "ims_bearing, first alarm of at least a day" in text

    done = []
    real = accuracy.work
    monkeypatch.setattr(accuracy, "work", lambda job: done.append(job.source) or real(job))
    assert run(*chosen_groups)[0] == rows
    assert not done
    (settings / "single_channel.yaml").write_text(SECTIONS.replace("units: 4", "units: 5"))
    run(*chosen_groups)
    assert done == list(NETWORKS)  # what is not trained, and the other shape of data, stay


def test_results_that_are_lost_are_made_again_alone(run, tmp_path, monkeypatch):
    run("skab", "--methods", "fixed", "drawn")
    [lost, *_] = sorted((tmp_path / "out" / "results" / "skab" / "skab").glob("random-8-*.json"))
    lost.unlink()
    done = []
    real = accuracy.work
    monkeypatch.setattr(accuracy, "work", lambda job: done.append((job.source, job.seed)) or real(job))
    rows, text = run("skab", "--methods", "fixed", "drawn")
    assert done == [("drawn", 8)]
    assert lost.exists()
    assert len(rows) == 2 * (len(FIXED) + 2 * len(DRAWN))
    assert "SKAB, as it is published" in text


def test_what_cannot_be_measured_is_told_and_the_rest_is_measured(run, settings):
    (settings / "single_channel.yaml").write_text(SECTIONS.replace("window_size: 8", "window_size: 60"))
    rows, text = run("--methods", "fixed", "--only", "pump", "skab")
    assert {row["set"] for row in rows} == {"skab"}
    assert "- failed: nab pump fixed 7: asset 'pump'" in text


def test_processes_side_by_side_give_the_same_results(run, tmp_path):
    alone, _ = run("skab", "nab", "--methods", "fixed")
    beside, _ = run("skab", "nab", "--methods", "fixed", "--jobs", 2, "--out", tmp_path / "out2")
    with (tmp_path / "out2" / "series.csv").open(newline="") as file:
        beside = list(csv.DictReader(file))
    seconds = {"score_s": "", "train_s": ""}
    assert [row | seconds for row in beside] == [row | seconds for row in alone]


def test_a_result_reads_as_it_was_written(run, tmp_path):
    rows, _ = run("skab", "--methods", "fixed")
    read = read_results(sorted((tmp_path / "out" / "results").rglob("*.json")))
    assert sorted((row["asset"], row["method"]) for row in read) == sorted(
        (row["asset"], row["method"]) for row in rows
    )
    constant = chosen(read, method="all_ones")[0]
    assert math.isnan(constant["promised_rate"])
    assert constant["point_recall"] == constant["false_alarm_rate"] == 1
