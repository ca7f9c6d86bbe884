"""Where messages of new alarms go, and that one that nobody got is not taken for told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from servers import Server, make_project, run

from flows.score import _notify, sender
from offbeat.errors import NotificationError
from offbeat.operation.alarms import Alarm, NewScores
from offbeat.operation.notification import Webhook
from offbeat.operation.store import Store

NOON = pd.Timestamp("2026-01-05T12:00:00Z")
ALARM = Alarm(7, "pump-1", NOON, NOON, 1, 3.0, 2.0, {"flow": 1.0}, "1", NOON.to_pydatetime())


def test_a_block_that_reaches_nobody_says_so() -> None:
    block = CustomWebhookNotificationBlock(name="plant", url="http://127.0.0.1:9/", json_data={"text": "{{body}}"})
    with pytest.raises(NotificationError, match="notification block"):
        _notify(block, [ALARM], "key")


def test_messages_go_to_the_webhook_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBEAT_WEBHOOK", "http://127.0.0.1:9/alarms")
    assert sender(print) == Webhook("http://127.0.0.1:9/alarms")


def test_without_an_address_the_log_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFBEAT_WEBHOOK", raising=False)
    monkeypatch.delenv("OFFBEAT_NOTIFY", raising=False)
    said: list[str] = []
    sender(said.append)([ALARM], "key")
    assert "pump-1: since 2026-01-05 12:00:00 UTC" in said[0]


@pytest.mark.slow
def test_people_are_told_also_when_nothing_can_be_scored(server: Server, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    new = NewScores(
        *("pump-1", "1", True, 1, 0, 1.0, ("flow",)),
        *(np.array([5]), np.array([2.0]), np.ones((1, 1)), np.array([[0, 9]])),
    )
    with Store(f"sqlite:///{project}/offbeat.db") as store:
        assert store.write(new).alarms
    env = {**server.env, "OFFBEAT_ROOT": str(project)}
    said = run(sys.executable, "-m", "flows.score", cwd=project, env=env)
    assert "no champion yet" in said
    assert "New alarm:" in said
    assert "told of 1 alarm, 0 wait" in said
