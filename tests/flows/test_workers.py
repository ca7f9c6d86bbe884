"""Retraining on real workers: another clone trains, workers die, two retrainings meet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from servers import Server, environment, kill_tree, make_project, run, wait_until

from offbeat.registry import Registry

pytestmark = pytest.mark.long
DVC = (sys.executable, "-m", "dvc")
LEARNS = {"units": 24, "latent_size": 6, "epochs": 8, "steps_per_epoch": 50}  # enough to find more than PCA


def share_a_remote(tmp_path: Path, *projects: Path) -> None:
    for project in projects:
        command = (*DVC, "remote", "add", "--quiet", "--local", "--default", "store", str(tmp_path / "remote"))
        run(*command, cwd=project, env=environment(tmp_path / "home"))


def stays_as_it_is(project: Path, tmp_path: Path) -> bool:
    """Whether `dvc repro` typed by hand finds nothing to do."""
    said = run(*DVC, "repro", cwd=project, env=environment(tmp_path / "home"))
    return "Running stage" not in said and "Data and pipelines are up to date." in said


def test_another_clone_trains_and_a_killed_worker_is_replaced(server: Server, tmp_path: Path) -> None:
    here = make_project(tmp_path / "here", n=3000, train={**LEARNS, "epochs": 12, "steps_per_epoch": 120})
    run("git", "clone", "--quiet", str(here), "there", cwd=tmp_path, env=server.env)
    there = tmp_path / "there"
    share_a_remote(tmp_path, here, there)
    server.deploy(here)
    server.worker("cpu", here)
    lost = server.worker("gpu", there)
    retraining = server.start("retrain/retrain", reason="a test")
    wait_until(lambda: "epoch 2 of" in server.log("worker-gpu"), 240, "training to begin on the other clone")
    kill_tree(lost)
    server.worker("gpu", there)
    assert server.ended(retraining, 600) == "Completed"
    assert sorted(one["state"] for one in server.runs("train")) == ["Completed", "Crashed"]
    champion = Registry(here / "registry").champion()
    assert champion is not None, server.log("worker-cpu")[-3000:]
    assert not (there / "data").exists()
    for name in ("model.onnx", "model.keras", "training.json"):
        assert (here / "artifacts/model" / name).read_bytes() == (there / "artifacts/model" / name).read_bytes()
    assert stays_as_it_is(here, tmp_path)


def test_a_worker_with_other_code_refuses(server: Server, tmp_path: Path) -> None:
    here = make_project(tmp_path / "here")
    run("git", "clone", "--quiet", str(here), "there", cwd=tmp_path, env=server.env)
    share_a_remote(tmp_path, here, tmp_path / "there")
    with (tmp_path / "there" / "src/offbeat/models/learning.py").open("a") as file:
        file.write("# other\n")
    server.deploy(here)
    server.worker("cpu", here)
    server.worker("gpu", tmp_path / "there")
    started = server.start("retrain/retrain")
    assert server.ended(started) == "Failed"
    [retraining] = [one for one in server.runs("retrain") if one["id"] == started]
    assert "has other code for the train stage than the caller: check out the same commit" in retraining["message"]


def test_one_folder_for_both_pools_trains_in_place(server: Server, tmp_path: Path) -> None:
    here = make_project(tmp_path / "here")
    server.deploy(here)
    server.worker("cpu", here)
    server.worker("gpu", here)
    assert server.ended(server.start("retrain/retrain")) == "Completed"
    assert [one["state"] for one in server.runs("train")] == ["Completed"]
    assert stays_as_it_is(here, tmp_path)


def test_of_two_retrainings_one_waits(server: Server, tmp_path: Path) -> None:
    here = make_project(tmp_path / "here")
    server.deploy(here)
    server.worker("cpu", here)
    both = [server.start("retrain/retrain", reason=reason) for reason in ("one", "two")]
    waiting = wait_until(
        lambda: [one for one in server.runs("retrain") if one["state"] == "AwaitingConcurrencySlot"], 120, "one to wait"
    )
    assert len(waiting) == 1
    assert [server.ended(one, 400) for one in both] == ["Completed", "Completed"]
    yaml.safe_load((here / "dvc.lock").read_text())
    assert stays_as_it_is(here, tmp_path)
    assert Registry(here / "registry").versions() == ["1"]


def test_two_retrainings_without_a_server_do_not_meet(tmp_path: Path) -> None:
    here = make_project(tmp_path / "here")
    env = environment(tmp_path / "home", OFFBEAT_ROOT=str(here))
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "flows.retrain"],
            cwd=here,
            env={**env, "PREFECT_HOME": str(tmp_path / name)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in ("one", "two")
    ]
    said = [process.communicate(timeout=400)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("Running stage 'train'" in text for text in said) == 1
    assert stays_as_it_is(here, tmp_path)
    assert json.loads((here / "artifacts/metrics.json").read_text())["fleet"]["n_assets"] == 2
