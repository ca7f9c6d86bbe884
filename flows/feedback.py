"""A person's verdict on an alarm; a false one gives the champion new thresholds, without training."""

from __future__ import annotations

from prefect import flow, get_run_logger

from flows.project import data_in_place, plain_errors, project_root, store_url
from offbeat.operation.store import Store
from offbeat.promotion import recalibrate_champion


@flow(name="feedback", timeout_seconds=3600)
@plain_errors
def feedback(alarm: int, verdict: str, note: str = "", by: str = "") -> list[str]:
    """Mark an alarm as true, false or expected; after a false one recalibrate."""
    root, logger = project_root(), get_run_logger()
    data_in_place(root, logger.info)
    with Store(store_url(root)) as store:
        before = store.mark(alarm, verdict, note=note, by=by)
        logger.info("alarm %d of %s: %s (before: %s)", alarm, before.asset, verdict, before.verdict or "unmarked")
        lines = recalibrate_champion(root, store, by=by or "feedback") if verdict == "false" else []
    for line in lines:
        logger.info(line)
    return lines
