"""New readings to scores and alarms in the store, and one message for the alarms that are new."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.abstract import NotificationError as BlockNotificationError
from prefect.blocks.core import Block

from flows.project import at_terminal, data_in_place, plain_errors, project_root, step, store_url
from offbeat.errors import ModelError, NotificationError, ParamsError
from offbeat.operation.alarms import Alarm
from offbeat.operation.notification import Send, Webhook, deliver, message_text
from offbeat.operation.scoring import score_folder
from offbeat.operation.store import Store
from offbeat.promotion import stamps
from offbeat.readings.messages import count
from offbeat.registry import Registry

MOST_MESSAGES = 20  # in one run; more than one only where earlier ones were not accepted


@flow(name="score", timeout_seconds=1800)
@plain_errors
def score() -> str:
    """Score what is new with the champion, and tell people of new alarms, also where nothing could be scored."""
    root = project_root()
    try:
        line = score_new(root)
    finally:
        told = tell(root)
    return f"{line}; {told}"


@step(name="score", retries=2, retry_delay_seconds=[20, 60], retry_condition_fn=None)
def score_new(root: Path) -> str:
    """Score into the store. It may be repeated: what is stored is not stored again."""
    logger = get_run_logger()
    data_in_place(root, logger.info)
    champion = Registry(root / "registry").champion()
    if champion is None:
        return _said(logger, "no champion yet: run the flow retrain, or offbeat promote a model")
    detector = champion.load()
    with Store(store_url(root)) as store:
        since = {asset: stamp + 1 for asset, stamp in stamps(champion, "scores_from").items()}
        scored = score_folder(detector, root / "data", store, champion.version, since)
        for asset, problem in scored.problems.items():
            logger.warning("%s: not scored: %s", asset, problem)
        if scored.problems and not scored.rows:
            raise ModelError(
                f"model {champion.version} could score none of {count(len(scored.problems), 'machine')}: retrain on "
                "their readings, or offbeat promote a model that knows them"
            )
        new = [alarm for alarms in scored.alarms.values() for alarm in alarms]
    if new:
        create_markdown_artifact(f"alarms {', '.join(map(str, new))}: `offbeat alarms`", key="new-alarms")
    rows = count(sum(scored.rows.values()), "new score")
    return _said(logger, f"model {champion.version}: {rows}, {count(len(new), 'new alarm')}")


@step()
def tell(root: Path) -> str:
    """Send the messages that are due: new alarms, and what was not accepted before."""
    logger = get_run_logger()
    n_told = 0
    with Store(store_url(root)) as store:
        for _ in range(MOST_MESSAGES):
            delivered = deliver(store, sender(logger.info), datetime.now(UTC))
            n_told += delivered.n_sent
            if delivered.problem:
                logger.warning("not told: %s; it is tried again", delivered.problem)
            if not delivered.n_sent:
                break
    return _said(logger, f"told of {count(n_told, 'alarm')}, {delivered.n_waiting} wait")


def sender(say: Callable[[str], None]) -> Send:
    """Return where messages go: OFFBEAT_WEBHOOK, a URL; else OFFBEAT_NOTIFY, a notification block; else the log."""
    if url := os.environ.get("OFFBEAT_WEBHOOK"):
        try:
            return Webhook(url)
        except ParamsError as error:
            raise ParamsError(f"OFFBEAT_WEBHOOK: {error}") from None
    if name := os.environ.get("OFFBEAT_NOTIFY"):
        try:
            return partial(_notify, Block.load(name))
        except ValueError as error:
            raise ParamsError(
                f"OFFBEAT_NOTIFY={name}: {error}: name a notification block as KIND/NAME, prefect block ls lists them"
            ) from None
    return lambda alarms, _: say(message_text(alarms))


def _notify(block: Any, alarms: Sequence[Alarm], _: str) -> None:
    try:
        with block.raise_on_failure():  # else failures pass in silence
            block.notify(message_text(alarms), subject=f"offbeat: {count(len(alarms), 'new alarm')}")
    except (BlockNotificationError, httpx.HTTPError, OSError) as error:
        raise NotificationError(f"notification block: {type(error).__name__}") from error


def _said(logger: Any, line: str) -> str:
    logger.info(line)
    return line


if __name__ == "__main__":
    sys.exit(at_terminal(score(return_state=True)))
