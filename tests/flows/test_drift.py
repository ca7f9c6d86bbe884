"""Drift of the champion's readings: what the flow leaves, and from its event to another champion in service."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from servers import Server, environment, make_project, readings, run, wait_until
from serving_stack import running

from flows.drift import PLACE, ask, is_due
from offbeat.drift.check import Drift
from offbeat.drift.verdict import AssetDrift
from offbeat.registry import Registry
from offbeat.serving.current import Current

# a model that is fitted at once, and finds more than PCA where channels do not follow each other
FAST = {"train": {"model": "sub_pca", "latent_size": 8}}
FOUND = Drift("regime", (AssetDrift("pump-1", "regime", ("2 of 2 channels moved together",)),), {})


def first_champion(project: Path, tmp_path: Path) -> None:
    """Make and promote the first model."""
    env = environment(tmp_path / "home", OFFBEAT_ROOT=str(project))
    run(sys.executable, "-m", "flows.retrain", cwd=project, env=env, timeout_s=600)
    if Registry(project / "registry").champion() is None:
        offbeat = (sys.executable, "-c", "from offbeat.cli import main; main()")
        run(*offbeat, "promote", "1", "--override", "--why", "a test", "--root", str(project), cwd=project, env=env)


def append(project: Path, n: int, shift: tuple[float, float, float]) -> None:
    """Add n later readings to each machine, moved by so much."""
    for k in (1, 2):
        path = project / "data" / "readings" / f"pump-{k}.csv"
        before = pd.read_csv(path, index_col=0, parse_dates=True)
        later = readings(len(before) + n, seed=k + 10).iloc[len(before) :] + np.array(shift)
        pd.concat([before, later]).to_csv(path, index_label="timestamp", date_format="%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def followed(current: Current) -> Iterator[None]:
    """Let a served model follow its registry, as the service does while it runs."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(current.follow())

    def follow() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            loop.close()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


def only_events_start_retrain(project: Path) -> None:
    content = yaml.safe_load((project / "prefect.yaml").read_text())
    for deployment in content["deployments"]:
        deployment["schedules"] = []
    (project / "prefect.yaml").write_text(yaml.safe_dump(content))


def test_a_retraining_is_asked_for_once_in_a_while_for_each_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    monkeypatch.setattr("flows.drift.emit", lambda event, **payload: sent.append((event, payload["model"])))
    path, monday = tmp_path / "drift" / "asked.json", datetime(2026, 1, 5, tzinfo=UTC)
    days = [monday + timedelta(days=k) for k in range(9)]
    assert [ask(path, "1", day, 7.0, FOUND) for day in days] == [True, *[False] * 6, True, False]
    assert ask(path, "2", days[-1], 7.0, FOUND)
    path.write_text("{half")
    assert ask(path, "2", days[-1], 7.0, FOUND)
    assert sent == [("offbeat.drift", version) for version in "1122"]


def test_an_event_that_could_not_be_sent_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(_event: str, **_payload: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("flows.drift.emit", lose)
    path, now = tmp_path / "asked.json", datetime(2026, 1, 5, tzinfo=UTC)
    with pytest.raises(ConnectionError):
        ask(path, "1", now, 7.0, FOUND)
    assert is_due(path, "1", now, 7.0)


@pytest.mark.slow
def test_without_a_champion_there_is_nothing_to_compare(server: Server, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    env = {**server.env, "OFFBEAT_ROOT": str(project)}
    assert "no champion yet" in run(sys.executable, "-m", "flows.drift", cwd=project, env=env)


@pytest.mark.long
def test_another_regime_ends_in_another_champion_in_service(server: Server, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", n=2000, **FAST)
    first_champion(project, tmp_path)
    only_events_start_retrain(project)
    server.deploy(project)
    server.worker("cpu", project)

    append(project, 300, (0.0, 0.0, 0.0))
    assert server.ended(server.start("drift/drift")) == "Completed"
    found = json.loads((project / PLACE / "drift.json").read_text())
    assert (found["verdict"], found["model"]["version"]) == ("none", "1")

    append(project, 6000, (6.0, -90.0, 3.0))
    registry = project / "registry"
    current = Current(registry / "models" / "1", registry)
    with running(current) as url, followed(current):
        assert httpx.get(f"{url}/model").json()["version"] == "1"
        assert server.ended(server.start("drift/drift")) == "Completed"
        assert json.loads((project / PLACE / "drift.json").read_text())["verdict"] == "regime"
        [started] = wait_until(lambda: server.runs("retrain"), 60, "the event to start a run of retrain")
        assert started["by"] == "AUTOMATION"
        assert started["parameters"]["reason"].startswith("the regime changed: pump-1, pump-2 (pump-1: 3 of 3 channels")
        assert server.ended(started["id"], 600) == "Completed", server.log("worker-cpu")[-3000:]
        assert Registry(registry).champion_version() == "2", server.log("worker-cpu")[-3000:]
        wait_until(lambda: httpx.get(f"{url}/model").json()["version"] == "2", 30, "the service to take it")

    # the regime is what the new champion knows: no further event
    assert server.ended(server.start("drift/drift")) == "Completed"
    assert json.loads((project / PLACE / "drift.json").read_text())["verdict"] == "none"
    assert len(server.runs("retrain")) == 1
    assert len(list((project / PLACE / "workspace").rglob("snapshots/*.json"))) == 3
