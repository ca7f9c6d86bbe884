"""The quality of the readings, and an event that others listen to when something is wrong with them."""

from __future__ import annotations

import sys

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from flows.project import at_terminal, data_in_place, plain_errors, project_root
from offbeat.params import CHOSEN_WINDOWS, load_params
from offbeat.readings.quality import assess_folder
from offbeat.readings.quality_page import render

DRIFT, QUALITY = "offbeat.drift", "offbeat.quality"
POOR_GRADES = ("D", "F")


@flow(name="monitor", timeout_seconds=3600)
@plain_errors
def monitor() -> list[str]:
    """Grade the readings of each asset; return what is wrong with them."""
    root, logger = project_root(), get_run_logger()
    data_in_place(root, logger.info)
    params = load_params(root / "params.yaml")
    prepare = params.prepare
    qualities, problems = assess_folder(
        root / "data",
        period=prepare.period,
        max_gap=prepare.max_gap,
        window_size=prepare.window_size or CHOSEN_WINDOWS[0],
        min_days=params.min_days,
    )
    page = render(qualities, problems)
    create_markdown_artifact(f"```\n{page}\n```", key="quality", description="quality of the readings")
    found = problems + [
        f"{quality.asset}: grade {quality.grade}" for quality in qualities if quality.grade in POOR_GRADES
    ]
    for line in found:
        logger.warning(line)
    if found:
        emit(QUALITY, problems=found)
    return found


def emit(event: str, **payload: object) -> None:
    """Emit an event about the readings; the deployment `retrain` listens to `offbeat.drift` (payload: reason)."""
    emit_event(event, resource={"prefect.resource.id": "offbeat.readings"}, payload=payload)


if __name__ == "__main__":
    sys.exit(at_terminal(monitor(return_state=True)))
