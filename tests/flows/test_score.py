"""Where messages of new alarms go, and that one that nobody got is not taken for told."""

from __future__ import annotations

import pandas as pd
import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock

from flows.score import _notify, sender
from offbeat.errors import NotificationError
from offbeat.operation.alarms import Alarm
from offbeat.operation.notification import Webhook

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
