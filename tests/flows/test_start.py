"""What a retraining starts from: chosen when something is to be trained, kept with what it takes to train it again."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import pytest
from servers import environment, make_project, readings, run

from flows import retrain
from offbeat.detection.detector import Detector
from offbeat.registry import Registry
from offbeat.starting import START, read_start


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Commands that DVC is asked for, none of which runs; the stage train is out of date."""
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(retrain, "dvc", lambda _root, *arguments, **_: commands.append(arguments))
    monkeypatch.setattr(retrain, "is_up_to_date", lambda *_: False)
    return commands


def start_of(project: Path, new_weights: bool = False) -> tuple[str | None, list[str]]:
    said: list[str] = []
    retrain.put_start(project, new_weights, say=said.append)
    start = read_start(project / START)
    return None if start is None else start.version, said


@pytest.mark.usefixtures("asked")
def test_the_first_training_starts_from_new_weights(project: Path) -> None:
    assert start_of(project) == (None, ["training starts from new weights: there is no champion yet"])
    assert json.loads((project / START / "start.json").read_text()) == {"version": None}


def test_the_champion_is_put_where_the_stage_looks_and_gets_a_version(
    project: Path, asked: list[tuple[str, ...]]
) -> None:
    registry = Registry(project / "registry")
    registry.register(project / "artifacts" / "detector", {"lineage": {}})
    registry.promote("1", by="a test", why="first")
    assert start_of(project) == ("1", ["training starts from the weights of model 1, the champion"])
    assert asked == [("add", "start")]
    assert start_of(project, new_weights=True)[0] is None


def test_where_nothing_is_to_be_trained_the_start_stays(
    project: Path, asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain, "is_up_to_date", lambda *_: True)
    assert start_of(project) == (None, [])
    assert not asked
    assert not (project / START).exists()


@pytest.mark.long
def test_a_retraining_starts_from_the_champion_and_can_be_made_again(tmp_path: Path) -> None:
    project = make_project(tmp_path / "here")
    env = environment(tmp_path / "home", OFFBEAT_ROOT=str(project))
    tell = partial(run, cwd=project, env=env, timeout_s=600)
    flow, dvc = (sys.executable, "-m", "flows.retrain"), (sys.executable, "-m", "dvc")
    assert "training starts from new weights: there is no champion yet" in tell(*flow)
    tell("offbeat", "promote", "1", "--override", "--why", "a test")
    for k in (1, 2):
        path = project / "data" / "readings" / f"pump-{k}.csv"
        readings(1700, seed=k).to_csv(path, date_format="%Y-%m-%dT%H:%M:%SZ")
    said = tell(*flow)
    assert "training starts from the weights of model 1, the champion" in said
    assert "went on from the weights of model 1, held-out loss" in said
    model = Registry(project / "registry").model("2")
    assert model.card["lineage"]["start_version"] == "1"
    kept = (model.directory / "lineage" / "start.dvc").read_text()
    assert "Running stage" not in tell(*dvc, "repro")
    assert "training starts" not in tell(*flow)  # nothing is new
    graph = model.load().runtime.graph
    (project / "params.yaml").write_text((project / "params.yaml").read_text().replace("seed: 7", "seed: 8"))
    assert "training starts from new weights: they were asked for" in tell(*flow, "--new-weights")
    # back to what made model 2, the registry gone
    (project / "registry").rename(tmp_path / "gone")
    for name in ("dvc.lock", "params.yaml", "data.dvc"):
        (project / name).write_bytes((tmp_path / "gone/models/2/lineage" / name).read_bytes())
    (project / "start.dvc").write_text(kept)
    tell(*dvc, "checkout", "--force", "data.dvc", "start.dvc")
    tell(*dvc, "repro", "--force", "calibrate")
    assert Detector.load(project / "artifacts" / "detector").runtime.graph == graph
