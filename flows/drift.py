"""What came in since the champion was made, compared with what it was made from; another regime starts a retraining."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.monitor import DRIFT, emit
from flows.project import at_terminal, data_in_place, plain_errors, project_root
from offbeat.drift.arrival import read_arrived
from offbeat.drift.check import Drift, check, report
from offbeat.drift.page import write_pages
from offbeat.files import write_json
from offbeat.params import load_params
from offbeat.registry import Registry

PLACE = "drift"  # folder of the project with drift.json, pages/ and workspace/


@flow(name="drift", timeout_seconds=3600)
@plain_errors
def drift() -> str:
    """Check for drift, keep pages and history, and emit an event if the regime changed; return the verdict in words."""
    root, logger = project_root(), get_run_logger()
    data_in_place(root, logger.info)
    champion = Registry(root / "registry").champion()
    if champion is None:
        line = "no champion yet: run the flow retrain, or offbeat promote a model"
        logger.info(line)
        return line
    detector = champion.load()
    params = load_params(root / "params.yaml").drift
    found = check(detector, read_arrived(detector, [root / "data"]), params)
    pages = write_pages(found, root / PLACE, {"version": champion.version, **detector.lineage})
    create_markdown_artifact(_page(report(found), pages), key="drift", description=found.reason)
    (logger.info if found.verdict == "none" else logger.warning)(found.reason)
    asked = root / PLACE / "asked.json"
    if found.retrain and not ask(asked, champion.version, datetime.now(UTC), params.days, found):
        logger.info("a retraining was asked for already: it is again %g days after it was last asked for", params.days)
    return found.reason


def ask(path: Path, version: str, now: datetime, days: float, found: Drift) -> bool:
    """Ask for a retraining where it is due, and note it in a file; return whether it was."""
    due = is_due(path, version, now, days)
    if due:
        emit(DRIFT, reason=found.reason, verdict=found.verdict, model=version)
        # only now: an event that was lost must not keep the next check from asking
        write_json(path, {"version": version, "when": now.isoformat()})
    return due


def is_due(path: Path, version: str, now: datetime, days: float) -> bool:
    """Whether to ask for a retraining: once in so many days as long as the champion stays the same.

    A new regime is there to be learnt only after a while, and meanwhile every check would start a training in vain.
    """
    try:
        asked = json.loads(path.read_text(encoding="utf-8"))
        if asked["version"] == version and now - datetime.fromisoformat(asked["when"]) < timedelta(days=days):
            return False
    except (OSError, ValueError, KeyError, TypeError):
        pass  # never asked, or not known when
    return True


def _page(text: str, pages: list[Path]) -> str:
    listed = "\n".join(f"- `{page}`" for page in pages)
    history = f"History: `evidently ui --workspace {PLACE}/workspace` in the project's folder."
    return f"```\n{text}\n```\n\n{listed}\n\n{history}"


if __name__ == "__main__":
    sys.exit(at_terminal(drift(return_state=True)))
