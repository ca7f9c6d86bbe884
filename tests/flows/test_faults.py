"""A killed flow loses nothing, doubles nothing and goes on: rounds of benchmarks/faults.py, and files of DVC's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from servers import Server, environment, make_project, run

from benchmarks.fault_trials import TRIALS, IngestTrial
from benchmarks.faults import is_bad, play, read_results, table
from flows.dvc import dvc, reproduce
from offbeat.errors import OffbeatError
from offbeat.readings.ingestion import ingest
from offbeat.readings.sources import load_sources

PIPELINE = """
stages:
  prepare:
    cmd: cp data/readings.csv prepared.csv
    deps: [data]
    outs: [prepared.csv]
"""


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """A project of one stage that is up to date."""
    run(sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet", cwd=tmp_path, env=environment(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "readings.csv").write_text("timestamp,flow\n2026-01-05T00:00:00Z,1\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    dvc(tmp_path, "add", "data", say=print)
    assert reproduce(tmp_path, "prepare", say=print)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_what_a_killed_dvc_left_half_written_is_made_anew(tracked: Path, share: float) -> None:
    names = ("dvc.lock", "data.dvc", ".dvc/tmp/rwlock")
    before = {name: (tracked / name).read_bytes() for name in names}
    for name in names:
        (tracked / name).write_bytes(before[name][: int(share * len(before[name]))])
    said: list[str] = []
    dvc(tracked, "add", "data", say=said.append)
    reproduce(tracked, "prepare", say=said.append)
    assert {name: (tracked / name).read_bytes() for name in names} == before
    assert "dvc.lock was half-written by a command that was killed: removed" in said


@pytest.mark.slow
def test_a_command_that_fails_otherwise_removes_nothing(tracked: Path) -> None:
    before = (tracked / "dvc.lock").read_bytes()
    (tracked / "data" / "readings.csv").unlink()
    with pytest.raises(OffbeatError, match="dvc repro --single-item prepare ended with"):
        reproduce(tracked, "prepare", say=print)
    assert (tracked / "dvc.lock").read_bytes() == before


@pytest.mark.slow
def test_what_a_person_must_merge_is_left_to_them(tracked: Path) -> None:
    conflict = "<<<<<<< ours\nouts: []\n=======\nouts: [1]\n>>>>>>> theirs\n"
    (tracked / "data.dvc").write_text(conflict)
    with pytest.raises(OffbeatError, match="dvc add data ended with"):
        dvc(tracked, "add", "data", say=print)
    assert (tracked / "data.dvc").read_text() == conflict


@pytest.mark.slow
def test_a_stage_that_meets_another_command_at_its_end_is_not_run_again(tracked: Path) -> None:
    content = yaml.safe_load((tracked / "dvc.yaml").read_text())
    stage = content["stages"]["prepare"]
    stage["cmd"] = f"date +%s%N >> runs.txt; touch begun; sleep 2; {stage['cmd']}"
    (tracked / "dvc.yaml").write_text(yaml.safe_dump(content))
    hold = """
import fcntl, time
from pathlib import Path
while not Path("begun").exists():
    time.sleep(0.05)
with open(".dvc/tmp/lock", "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    time.sleep(8)
"""
    holder = subprocess.Popen([sys.executable, "-c", hold], cwd=tracked)
    try:
        said: list[str] = []
        assert reproduce(tracked, "prepare", say=said.append)
    finally:
        holder.kill()
        holder.wait()
    assert any("Unable to acquire lock" in line for line in said)
    assert len((tracked / "runs.txt").read_text().splitlines()) == 1
    assert not reproduce(tracked, "prepare", say=said.append)


@pytest.mark.slow
def test_scoring_puts_back_data_that_a_killed_ingestion_had_moved_aside(server: Server, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project / "data").rename(project / ".data-old")
    env = {**server.env, "OFFBEAT_ROOT": str(project)}
    run(sys.executable, "-m", "flows.score", cwd=project, env=env)
    assert (project / "data" / "readings" / "pump-1.csv").exists()


@pytest.mark.slow
def test_the_benchmark_sees_rows_that_are_lost_doubled_or_cut_off(tmp_path: Path) -> None:
    trial = IngestTrial(tmp_path, environment(tmp_path / "home"))
    trial.give_work(np.random.default_rng(1))
    ingest(trial.project / "data", load_sources(trial.project / "sources.yaml", {}))
    dvc(trial.project, "add", "data", say=print)
    assert not trial.faults()
    file = trial.project / "data" / "readings" / "pump-1.csv"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:5], lines[4], *lines[6:]]))
    found = trial.faults()
    assert (found.lost, found.doubled, len(found.half_written), len(found.other)) == (1, 1, 1, 1)
    file.write_bytes(b"".join(lines)[:-7])
    assert trial.left_behind().half_written == ["pump-1.csv after the kill"]


@pytest.mark.slow
def test_a_killed_ingestion_loses_no_row(server: Server, tmp_path: Path) -> None:
    [*_, last] = play("ingest", tmp_path, server.env, tmp_path / "results.jsonl", rounds=1, seed=1)
    assert last["killed"]
    assert not is_bad(last), last


@pytest.mark.long
@pytest.mark.parametrize("flow", TRIALS)
def test_killed_runs_leave_nothing_wrong(server: Server, tmp_path: Path, flow: str) -> None:
    out = tmp_path / "results.jsonl"
    results = play(flow, tmp_path, server.env, out, rounds=2, seed=2)
    assert not any(map(is_bad, results)), results
    assert sum(one["killed"] for one in results) == 2
    assert play(flow, tmp_path, server.env, out, rounds=2, seed=2) == read_results(out) == results
    assert f"| {flow} | {len(results)} | 2 | {len(results)} | 0 | 0 | 0 | 0 |" in table(results)
