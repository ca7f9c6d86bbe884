"""A fleet that is learnt shard by shard is learnt as one that is learnt at once, but for who cannot be learnt from."""

import json

import numpy as np
import pandas as pd
import pytest
from fleet.fleets import PARAMS, SMALL, Inline, write_fleet

from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.errors import ReadingsError
from offbeat.evaluation.replay import replay_fleet, score_fleet, summarize
from offbeat.fleet import learning
from offbeat.fleet.learning import learn_fleet
from offbeat.fleet.summary import fleet_summary
from offbeat.readings.assets import asset_files
from offbeat.readings.folder import read_folder
from offbeat.training import fit_fleet

LABELS = [("pump-1", 350, 360), ("pump-3", 370, 380)]


@pytest.fixture
def fleet(make_series):
    return [make_series(asset=f"pump-{k}", seed=k, gaps=[(100, 140)] if k == 2 else ()) for k in range(1, 6)]


def learnt(folder, out, engine=None, **changes):
    return learn_fleet(folder, asset_files(folder), PARAMS, out, engine or Inline(), **{"shard_size": 2, **changes})


def same(one: Detector, other: Detector) -> None:
    assert list(one.assets) == list(other.assets)
    assert one.lineage == other.lineage
    for asset, known in one.assets.items():
        its = other.assets[asset]
        assert known.threshold == its.threshold
        np.testing.assert_array_equal(known.scaling.scale, its.scaling.scale)
        np.testing.assert_array_equal(known.usual.error, its.usual.error)


def test_shard_by_shard_the_model_and_its_metrics_are_those_of_all_assets_at_once(fleet, tmp_path):
    folder = write_fleet(tmp_path / "data", fleet, labels=LABELS)
    found = learnt(folder, tmp_path / "model")
    fitted = fit_fleet(read_folder(folder), PARAMS)
    detector = fitted.detector
    same(found.fleet.groups[""], detector)
    same(Fleet.load(tmp_path / "model").groups[""], detector)
    results = score_fleet(detector, fitted.fleet)
    replays = replay_fleet(detector, fitted.untrained, fitted.fleet, results, PARAMS.evaluate)
    assert found.groups[""].methods.keys() == summarize(replays).keys()
    for method, metrics in summarize(replays).items():
        assert found.groups[""].methods[method] == pytest.approx(metrics, nan_ok=True), method
    assert found.failures == {}


def test_each_group_has_a_model_of_its_own_channels(fleet, make_series, tmp_path):
    fans = [make_series(asset=f"fan-{k}", seed=k, channels=("flow", "temp")) for k in range(2)]
    folder = write_fleet(tmp_path / "data", [*fleet, *fans], groups="groups:\n  fans: ['fan-*']\n  pumps: ['*']\n")
    model = learnt(folder, tmp_path / "model").fleet
    assert {name: one.channels for name, one in model.groups.items()} == {
        "fans": ("flow", "temp"),
        "pumps": ("flow", "speed", "temp"),
    }
    alone = write_fleet(tmp_path / "alone", fans)
    same(model.groups["fans"], fit_fleet(read_folder(alone), PARAMS).detector)
    same(Fleet.load(tmp_path / "model").detector_of("pump-3"), model.groups["pumps"])


def test_an_asset_that_cannot_be_learnt_from_is_told_of_and_changes_no_other(fleet, make_series, tmp_path):
    bad = {
        "empty": pd.DataFrame(columns=["timestamp", "flow", "speed", "temp"]),
        "other": make_series(asset="other").to_frame().rename(columns={"flow": "flux"}).rename_axis("timestamp"),
        "short": make_series(30, asset="short").to_frame().rename_axis("timestamp"),
    }
    folder = write_fleet(tmp_path / "data", fleet, labels=LABELS)
    for name, frame in bad.items():
        frame.to_csv(folder / "readings" / f"{name}.csv", index="timestamp" not in frame)
    found = learnt(folder, tmp_path / "model")
    assert {name: reason[:40] for name, reason in found.failures.items()}.keys() == bad.keys()
    assert "flux" in found.failures["other"]
    whole = write_fleet(tmp_path / "whole", fleet, labels=LABELS)
    same(found.fleet.groups[""], fit_fleet(read_folder(whole), PARAMS).detector)
    rows = pd.read_csv(tmp_path / "model" / "assets.csv", dtype=str).set_index("asset")
    assert rows.loc[list(bad), "state"].tolist() == ["failed"] * 3
    assert "no readings" in rows.loc["empty", "reason"]
    assert set(rows.index) == {*bad, *(one.asset for one in fleet)}


def test_a_fleet_of_which_nothing_can_be_learnt_names_a_machine_and_why(make_series, tmp_path):
    folder = write_fleet(tmp_path / "data", [make_series(30, asset=f"pump-{k}") for k in range(3)])
    with pytest.raises(ReadingsError, match="none of the machines can be learnt from, such as pump-0"):
        learnt(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_after_a_kill_the_same_call_does_only_what_is_missing(fleet, tmp_path, monkeypatch):
    folder, out = write_fleet(tmp_path / "data", fleet, labels=LABELS), tmp_path / "model"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(learning, "score_shard", killed)
        with pytest.raises(KeyboardInterrupt):
            learnt(folder, out)
    assert not out.exists()
    for step in ("prepare_shard", "train_group", "calibrate_shard"):
        monkeypatch.setattr(learning, step, killed)  # they are done
    found = learnt(folder, out)
    same(found.fleet.groups[""], fit_fleet(read_folder(folder), PARAMS).detector)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_other_settings_are_not_taken_for_what_a_killed_run_has_done(fleet, tmp_path, monkeypatch):
    folder, out = write_fleet(tmp_path / "data", fleet), tmp_path / "model"
    with monkeypatch.context() as patch:
        patch.setattr(learning, "_save", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            learnt(folder, out)
    other = type(PARAMS).model_validate({**PARAMS.model_dump(), "prepare": {**prepare_section(), "clip": 3.0}})
    found = learn_fleet(folder, asset_files(folder), other, out, Inline(), shard_size=2)
    same(found.fleet.groups[""], fit_fleet(read_folder(folder), other).detector)


def prepare_section():
    return {**PARAMS.prepare.model_dump(), **SMALL["prepare"]}


def test_the_summary_tells_each_group_with_its_maturity_and_doubts(fleet, tmp_path):
    groups = "groups:\n  old: [pump-1, pump-2]\n  new: ['*']\n"
    folder = write_fleet(tmp_path / "data", fleet, groups=groups, labels=LABELS)
    lines = fleet_summary(learnt(folder, tmp_path / "model"))
    told = "\n".join(lines)
    assert "Group old: 2 machines, " in told
    assert "Group new: 3 machines, " in told
    assert "2 calibrated" in told
    assert "row_pca" in told
    stored = json.loads((tmp_path / "model" / "evaluation.json").read_text())["groups"]
    assert stored["old"]["metrics"]["row_pca"]["n_assets"] == 2
