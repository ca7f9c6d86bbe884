"""prefect.yaml on a real server with real workers: schedules fire, events start runs, two runs stay apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from servers import ROOT, Server, make_project, run, wait_until

pytestmark = pytest.mark.slow


def change_deployment(project: Path, name: str, **values: object) -> None:
    """Change a deployment in a project's prefect.yaml; the others lose their schedules."""
    content = yaml.safe_load((project / "prefect.yaml").read_text())
    for deployment in content["deployments"]:
        deployment |= values if deployment["name"] == name else {"schedules": []}
    (project / "prefect.yaml").write_text(yaml.safe_dump(content))


def test_a_schedule_fires(server: Server, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    change_deployment(project, "score", schedules=[{"interval": 10}])
    server.deploy(project)
    server.worker("cpu", project)
    done = wait_until(
        lambda: [one for one in server.runs("score") if one["by"] == "SCHEDULE" and one["state"] == "Completed"],
        150,
        "a scheduled run to complete",
    )
    assert done
    assert "no champion yet" in server.log("worker-cpu")


def test_a_drift_event_starts_a_retraining_for_that_reason(server: Server, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    change_deployment(project, "retrain", schedules=[])
    server.deploy(project)
    code = "from flows.monitor import DRIFT, emit; emit(DRIFT, reason='flow moved by 2.1 standard deviations')"
    run(sys.executable, "-c", code, cwd=ROOT, env=server.env)
    [started] = wait_until(lambda: server.runs("retrain"), 60, "a run of retrain")
    assert started["parameters"]["reason"] == "flow moved by 2.1 standard deviations"
    assert started["by"] == "AUTOMATION"
