"""The benchmark of groups: every file is judged in every way, an added one knows nothing of what comes after."""

import csv
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks import groups
from benchmarks.groups import added, models_of
from benchmarks.groups_summary import ADDED, GROUP, OWN, READDED, shortfalls
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder

SECTIONS = """
prepare: {window_size: 8, held_out_share: 0.3}
train: {units: 4, latent_size: 2, position_size: 4, epochs: 2, steps_per_epoch: 2, batch_size: 8}
calibrate: {stride: 1, delay: 2, smoothing: 4, merge_gap: 2, false_alarms_per_week: 50}
evaluate: {max_buffer: 5}
"""
FILES = ["valve1-0", "valve1-1", "valve2-0"]


@pytest.fixture
def data(tmp_path):
    """A folder with three files of two valves, made up in the format of skab."""
    rng = np.random.default_rng(0)
    for name in FILES:
        values = np.sin(np.arange(600)[:, None] / np.arange(3, 6)) + rng.normal(0, 0.1, (600, 3))
        values[500:540] += 4
        frame = pd.DataFrame(values, columns=["flow", "speed", "temp"])
        frame.insert(0, "datetime", pd.date_range("2020-03-01", periods=600, freq="1s"))
        frame["anomaly"], frame["changepoint"] = ((np.arange(600) >= 500) & (np.arange(600) < 540)).astype(float), 0.0
        path = tmp_path / "data" / "skab" / f"{name.replace('-', '/')}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(path, sep=";", index=False)
    return tmp_path / "data"


@pytest.fixture
def run(data, tmp_path):
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "multichannel.yaml").write_text(SECTIONS)

    def run():
        given = ["--data", data, "--settings", settings, "--out", tmp_path / "out", "--seeds", 1, "--folds", 2]
        groups.main([str(argument) for argument in given])
        with (tmp_path / "out" / "series.csv").open(newline="") as file:
            return list(csv.DictReader(file)), (tmp_path / "out" / "summary.md").read_text()

    return run


@pytest.mark.slow
def test_every_file_is_judged_in_every_way_and_a_run_goes_on_where_it_was_stopped(run, tmp_path, monkeypatch):
    rows, text = run()
    ways = sorted((row["method"], row["asset"]) for row in rows)
    assert ways == sorted((way, name) for way in (GROUP, OWN, ADDED, READDED) for name in FILES)
    assert all(float(row["vus_pr"]) > 0 for row in rows)
    assert all(f"| {name} | " in text for name in FILES)
    assert "| added against trained with, mean VUS-PR | at most 0.03 below | " in text

    [lost] = (tmp_path / "out" / "results").glob("without-1-of-2-*.json")
    lost.unlink()
    done = []
    real = groups.results_of
    monkeypatch.setattr(groups, "results_of", lambda job: done.append(job.name) or real(job))
    assert len(run()[0]) == len(rows)
    assert done == ["without-1-of-2"]


def test_every_asset_is_left_out_of_one_training_and_judged_there_alone():
    assets = [f"a{k}" for k in range(7)]
    folds = [(trained, judged) for way, _, trained, judged in models_of(assets, 3) if way == ADDED]
    assert sorted(asset for _, judged in folds for asset in judged) == assets
    assert all(trained == set(assets) - judged for trained, judged in folds)


def test_a_fold_of_everything_or_nothing_is_no_model():
    assert not [way for way, *_ in models_of(["a"], 2) if way == ADDED]


@pytest.fixture
def prepared():
    def prepare(series):
        changes = {"prepare": {"window_size": 8}, "calibrate": {"delay": 0}}
        params = load_params(changes=changes).for_channels(3).prepare.with_window(8)
        return prepare_fleet(Folder((series,)), params)

    return prepare


def test_what_is_added_is_known_by_its_readings_before_the_test_span_alone(make_detector, make_series, prepared):
    detector, series = make_detector(), make_series(seed=5)
    [one] = fleet = prepared(series)
    later = series.values.copy()
    later[one.split.test[0] :] += 9
    calibrated = added(detector, fleet).assets["pump-1"]
    same = added(detector, prepared(replace(series, values=later))).assets["pump-1"]
    alone = replace(detector, assets={}).calibrate(series.rows(0, one.split.test[0])).assets["pump-1"]
    assert calibrated.threshold == same.threshold == alone.threshold
    assert calibrated.threshold != detector.assets["pump-1"].threshold
    np.testing.assert_array_equal(calibrated.scaling.centre, same.scaling.centre)
    assert list(detector.assets) == ["pump-1"]


ROW = {"group": "g", "asset": "a", "seed": 7, "method": GROUP, "vus_pr": 0.9}


def test_a_shortfall_is_that_of_the_same_file_and_seed():
    rows = [
        ROW,
        ROW | {"method": ADDED, "vus_pr": 0.85},
        ROW | {"seed": 8, "vus_pr": 0.7},
        ROW | {"seed": 8, "method": ADDED, "vus_pr": 0.8},
        ROW | {"asset": "b", "method": ADDED},
    ]
    assert shortfalls(rows, ADDED, GROUP) == {"a": pytest.approx([0.05, -0.1])}
