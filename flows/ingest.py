"""New readings from the sources into data/, checked and versioned."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from flows.dvc import dvc, remote
from flows.project import at_terminal, locked, plain_errors, project_root, step
from offbeat.files import restore_directory
from offbeat.params import load_params
from offbeat.progress import Lines
from offbeat.readings.ingestion import ingest as take_in
from offbeat.readings.quality import assess_folder
from offbeat.readings.sources import load_sources

WAIT_S = 3600.0


@flow(name="ingest", timeout_seconds=3600)
@plain_errors
def ingest() -> str:
    """Pull what is new, merge it into data/, and give data/ its version."""
    return bring_in(project_root())


@step(name="ingest", retries=2, retry_delay_seconds=[10, 60])
def bring_in(root: Path) -> str:
    """Do the work of `ingest`; return what was taken in. It may be repeated: what was taken is not taken again."""
    say = get_run_logger().info
    with locked(root, "data", f"ingest in run '{flow_run.name}'", timeout_s=WAIT_S, say=say) as held:
        data_there(root, say)
        report = take_in(root / "data", load_sources(root / "sources.yaml", os.environ), report=Lines(say))
        say(str(report))
        dvc(root, "add", "data", say=say, keep=[held])
    if report.changed:
        create_markdown_artifact(f"```\n{report}\n```", key="ingested", description="readings taken in")
        warn_of_quality(root, get_run_logger().warning)
    push(root, "data.dvc")
    return str(report)


@step(task_run_name="push {target}", retries=2, retry_delay_seconds=[10, 60], retry_condition_fn=None)
def push(root: Path, target: str) -> None:
    """Bring what DVC keeps of a target to the remote, where one is set; what is there already is not sent again."""
    if remote(root):
        dvc(root, "push", target, say=get_run_logger().info)


def warn_of_quality(root: Path, warn: Callable[[str], None]) -> None:
    """Say what of the readings could not be trained on as they are."""
    prepare = load_params(root / "params.yaml").prepare
    _, problems = assess_folder(root / "data", period=prepare.period, max_gap=prepare.max_gap)
    for problem in problems:
        warn(problem)


def data_there(root: Path, say: Callable[[str], None]) -> None:
    """Put data/ in its place, after a run that was killed or in a fresh clone."""
    restore_directory(root / "data")
    if not (root / "data").exists() and (root / "data.dvc").exists():
        dvc(root, "pull", "data.dvc", say=say)


if __name__ == "__main__":
    sys.exit(at_terminal(ingest(return_state=True)))
