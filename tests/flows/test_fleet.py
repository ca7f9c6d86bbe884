"""A fleet as a flow: what it makes is what the commands make, on Ray and here; a task run is a shard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import fleet_works as works
import pytest
from fleet.fleets import SMALL, Inline
from prefect.states import Completed, Crashed
from servers import Server, make_project, readings

from flows import engine
from flows.engine import OnThreads, Seats
from offbeat.fleet.engine import Failure
from offbeat.fleet.learning import learn_fleet
from offbeat.fleet.scoring import score_into
from offbeat.params import load_params
from offbeat.readings.assets import asset_files

BAD = "timestamp,flow,speed,temp\n2026-01-05,1,a lot,3\n"
GROUPS = "groups:\n  fans: ['fan-*']\n  pumps: ['*']\n"


class Submitted:
    """A task run, as far as the engine looks at it."""

    def __init__(self, future: Future[Any]) -> None:
        self.task_run_id, self._future = uuid4(), future

    def add_done_callback(self, tell: Callable[[Any], None]) -> None:
        self._future.add_done_callback(lambda _: tell(self))

    def wait(self) -> None:
        self._future.result()

    @property
    def state(self) -> Any:
        return self._future.result()


class Runner:
    """Threads that work as Prefect's task runners do, without a server."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(2)
        self.names: list[str] = []

    def submit(self, task: Any, parameters: dict[str, Any]) -> Submitted:
        self.names.append(parameters["name"])
        return Submitted(self.pool.submit(self._state, task, parameters))

    def _state(self, task: Any, parameters: dict[str, Any]) -> Any:
        if parameters["name"] == "7":
            return Crashed(data=BrokenPipeError())
        found = task.fn(**parameters)
        return Completed(data=found) if isinstance(found, int) else found


def test_task_runs_in_flight_are_bounded_and_each_item_comes_back_once() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            taken.append(number)
            yield number

    runner, outcomes = Runner(), []
    for outcome in engine._task_runs(runner, partial(engine.attempt, works.square), items(), 4, (BrokenPipeError,)):
        assert len(taken) <= len(outcomes) + 4
        outcomes.append(outcome)
    results = dict(outcomes)
    assert len(outcomes) == 20
    assert runner.names == [str(number) for number in range(20)]
    assert results.pop(13) == Failure("13 is an unlucky number: leave it out")
    assert "killed 3 times" in results.pop(7).reason
    assert results == {number: number**2 for number in results}


def test_a_process_of_a_thread_works_on_and_is_replaced_when_it_is_killed(tmp_path: Path) -> None:
    seats = Seats([{}])
    first, second = (seats.do(works.load, number) for number in range(2))
    assert first == second
    assert seats.do(partial(works.killed_once, tmp_path), 3) == 9
    lost = seats.do(partial(works.killed_once, tmp_path), 5)
    assert isinstance(lost, Failure)
    assert lost.reason.startswith("5: the process that worked on it was killed 3 times (SIGKILL)")
    seats.close()


def test_training_on_threads_gets_a_fresh_process_each() -> None:
    here = OnThreads(Runner(), 2)
    assert len({who for _, who in here.learn(works.process_id, range(3))} | {os.getpid()}) == 4


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of four machines in two groups, one of which cannot be read, and what the commands make of it."""
    project = make_project(tmp_path_factory.mktemp("fleet") / "project", data=False, **SMALL)
    folder = project / "data" / "readings"
    folder.mkdir(parents=True)
    for k, name in enumerate(("fan-1", "pump-1", "pump-3")):
        frame = readings(600, seed=k)
        kept = frame[["flow", "temp"]] if name == "fan-1" else frame
        kept.to_csv(folder / f"{name}.csv", date_format="%Y-%m-%dT%H:%M:%SZ")
    (folder / "pump-2.csv").write_text(BAD)
    (project / "data" / "groups.yaml").write_text(GROUPS)
    assets = asset_files(project / "data")
    params = load_params(project / "params.yaml")
    with warnings.catch_warnings(), chdir(project):  # whose commit the lineage names
        warnings.simplefilter("ignore")  # what TensorFlow says at import is not ours
        learn_fleet(project / "data", assets, params, project / "model", Inline())
    score_into(project / "scores", project / "model", assets, Inline())
    return project


def flow(server: Server, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in server.env.items() if key != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "flows.fleet", "--workers", "2", *arguments]
    return subprocess.run(
        command, cwd=project, env={**env, "OFFBEAT_ROOT": str(project)}, capture_output=True, text=True, timeout=300
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_on_ray_the_flow_learns_and_scores_as_the_commands_do_and_tells_of_a_failed_machine(
    server: Server, project: Path
) -> None:
    pytest.importorskip("prefect_ray", reason="no Ray: pip install 'offbeat[ray]'")
    done = flow(server, project, "--engine", "ray")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert files(project / "artifacts" / "fleet") == files(project / "model")
    assert files(project / "artifacts" / "fleet-scores") == files(project / "scores")
    assert "pump-2: not scored: pump-2.csv, line 2: column 'speed' must hold numbers" in said
    [run] = server.runs("fleet")
    assert run["state"] == "Completed"
    assert run["message"].endswith("timesteps of 3 machines; 1 machine failed")
    shards = ["fans-0001", "pumps-0001", "pumps-0002", "pumps-0003"]
    assert {"fans", "pumps", *shards} <= task_runs(server).keys()
    assert set(task_runs(server).values()) == {"Completed"}
    assert server.ask("[one.key for one in client.read_artifacts()]").count("failed-machines") == 1


def task_runs(server: Server) -> dict[str, str]:
    """Return the name and state of each task run."""
    return json.loads(server.ask("json.dumps({one.name: one.state_name for one in client.read_task_runs()})"))


@pytest.mark.slow
def test_here_the_flow_scores_as_the_commands_do(server: Server, project: Path) -> None:
    done = flow(server, project, "--model", "model", "--scores", "artifacts/here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert files(project / "artifacts" / "here") == files(project / "scores")
    assert "there is no" not in done.stdout + done.stderr  # model to learn


@pytest.mark.slow
def test_where_no_machine_can_be_scored_the_flow_fails(server: Server, project: Path) -> None:
    bad = project / "bad" / "readings"
    bad.mkdir(parents=True)
    (bad / "pump-1.csv").write_text(BAD)
    done = flow(server, project, "--model", "model", "--scores", "artifacts/none", "--readings", "bad")
    assert done.returncode == 1
    assert "error: none of 1 machine could be scored" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
