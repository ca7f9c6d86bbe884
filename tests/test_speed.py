"""The benchmark of speed: it runs, its table names every row, and what it holds offbeat against is right."""

import json

import naive
import numpy as np
import pandas as pd
import pytest

from benchmarks import speed
from benchmarks.speed_goals import GOALS, GROUPS, Goal, Outcome, row_of, table
from benchmarks.speed_measure import Rate, compared, in_turn, sgemm_rate
from benchmarks.speed_vus import made_up, plain_vus_pr

MACHINE = {"sgemm_gflops": 100.0}


@pytest.fixture
def data(tmp_path):
    """A folder with two valves of SKAB and a taxi series of NAB, made up."""
    rng = np.random.default_rng(0)
    for k in range(2):
        values = np.sin(np.arange(600)[:, None] / np.arange(3, 6)) + rng.normal(0, 0.1, (600, 3))
        frame = pd.DataFrame(values, columns=["flow", "speed", "temp"])
        frame.insert(0, "datetime", pd.date_range("2020-03-01", periods=600, freq="1s"))
        frame["anomaly"], frame["changepoint"] = ((np.arange(600) >= 500) & (np.arange(600) < 540)).astype(float), 0.0
        path = tmp_path / "data" / "skab" / "valve1" / f"{k}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(path, sep=";", index=False)
    times = pd.date_range("2014-07-01", periods=1601, freq="30min")
    nab = tmp_path / "data" / "nab"
    (nab / "known").mkdir(parents=True)
    taxi = pd.DataFrame({"timestamp": times, "value": np.sin(np.arange(1601) / 5) + rng.normal(0, 0.1, 1601)})
    taxi.to_csv(nab / "known" / "nyc_taxi.csv", index=False)
    windows = {"known/nyc_taxi.csv": [[str(times[600]), str(times[640])]]}
    (nab / "combined_windows.json").write_text(json.dumps(windows))
    return tmp_path / "data"


@pytest.mark.slow
def test_the_short_form_measures_every_row_that_is_built(data, tmp_path, capsys):
    out = tmp_path / "out" / "speed.json"
    speed.main(["--short", "--data", str(data), "--out", str(out)])
    rows = json.loads(out.read_text())
    assert set(rows) == {*GOALS, speed.PROFILE}
    without = {name for name in GOALS if not rows[name]["figures"]}
    assert without == {"alarms_orion"}
    assert all(rows[name]["note"] for name in without)
    assert all(min(row["figures"]) > 0 for row in rows.values() if row.get("figures"))
    printed = capsys.readouterr().out
    assert all(f"| {goal.what} | {goal.against} |" in printed for goal in GOALS.values())
    assert "network (ONNX Runtime)" in printed


def test_rows_that_are_not_measured_again_stay(tmp_path, capsys):
    out = tmp_path / "speed.json"
    out.write_text(json.dumps({"help": {**row_of("help", Outcome((0.2, 0.4, 0.3)), MACHINE), "short": False}}))
    speed.main(["--short", "--only", "orion", "--out", str(out)])
    assert set(json.loads(out.read_text())) == {"help", "alarms_orion"}
    assert "| 0.3 (0.2 to 0.4) s | bar |" in capsys.readouterr().out


def test_a_set_that_is_not_there_is_skipped_with_a_word(tmp_path):
    out = tmp_path / "speed.json"
    speed.main(["--short", "--only", "alarms", "--data", str(tmp_path), "--out", str(out)])
    rows = json.loads(out.read_text())
    assert {row["note"] for row in rows.values()} == {
        "skipped: nab is not in the folder of --data",
        "skipped: skab is not in the folder of --data",
    }


def test_too_few_timesteps_are_refused():
    with pytest.raises(SystemExit):
        speed.main(["--timesteps", "100"])


@pytest.mark.parametrize(
    ("figure", "at_most", "reached"),
    [(5, False, "aim"), (4, False, "aim"), (3, False, "bar"), (1, False, "no"), (5, True, "no"), (1, True, "aim")],
)
def test_a_figure_reaches_the_bar_the_aim_or_neither(figure, at_most, reached):
    goal = Goal("g", "what", "against", 4 if at_most else 2, 2 if at_most else 4, at_most=at_most)
    assert goal.reached(figure, True) == reached
    assert goal.reached(figure, False) == "no"


def test_the_table_shows_the_median_of_the_rounds_and_their_spread():
    rows = {"bulk": row_of("bulk", Outcome((7.0, 4.0, 6.0), "so fast"), MACHINE)}
    assert "| 6 (4 to 7) × | bar | 100 | so fast |" in table(rows)
    assert table(rows).count("not measured") == len(GOALS) - 1


@pytest.mark.slow
def test_a_warm_start_is_as_good_where_no_mean_falls_short_by_more_than_the_seeds_differ_by():
    from benchmarks.speed_warm import Run, as_good

    def runs(*areas, false=(1, 1)):
        alike = {"auc_pr": 0.9, "event_f1": 1.0}
        return [Run(1, 1, 1, {"vus_pr": a, "false_alarms": n, **alike}) for a, n in zip(areas, false, strict=True)]

    assert as_good(runs(0.89, 0.90), runs(0.90, 0.91))
    assert as_good(runs(0.95, 0.99), runs(0.90, 0.91))
    assert not as_good(runs(0.88, 0.89), runs(0.90, 0.91))
    assert not as_good(runs(0.90, 0.91, false=(3, 3)), runs(0.90, 0.91))


def test_every_group_has_a_measure():
    assert set(speed._measures()) == {*GROUPS, speed.PROFILE}


def test_measures_run_in_turn():
    order = []
    assert in_turn(2, lambda: order.append("a") or 1.0, lambda: order.append("b") or 2.0) == [[1.0, 1.0], [2.0, 2.0]]
    assert order == ["a", "b", "a", "b"]


def test_sgemm_is_measured_in_operations_a_second():
    assert min(sgemm_rate(16, 1)) > 0


def test_rates_are_compared_round_by_round_and_the_processor_apart():
    ours, theirs = [Rate(6.0, 3.0), Rate(8.0, 4.0)], [Rate(2.0, 3.0), Rate(2.0, 4.0)]
    figures, words = compared(ours, theirs, "steps/s")
    assert figures == (3.0, 4.0)
    assert words == "7 steps/s against 2; in processor time 1 ×"


@pytest.mark.parametrize("max_buffer", [0, 1, 7, 30])
def test_the_plain_vus_pr_is_that_of_its_definition(max_buffer):
    labels, scores = made_up(600)
    expected = naive.vus_pr(labels.tolist(), scores.tolist(), max_buffer, 20)
    assert plain_vus_pr(labels, scores, max_buffer, 20) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_the_twin_in_plain_keras_says_the_same_and_operations_are_those_of_the_formula():
    from keras import layers

    from benchmarks.speed_networks import network, operations, params_of, plain_twin

    model = network(5, 2, params_of(True))  # LSTM 8, code 2, position 4, LSTM 8, 2 channels
    twin = plain_twin(model)
    assert {type(layer) for layer in twin.layers if isinstance(layer, layers.LSTM)} == {layers.LSTM}
    windows = np.random.default_rng(0).standard_normal((3, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(model(windows), twin(windows), atol=1e-6)
    cells = 8 * (2 + 8) + 8 * (6 + 8)
    assert operations(model) == 2 * 5 * 4 * cells + 2 * 8 * 2 + 2 * 5 * 8 * 2
