"""Telling people of alarms: one message for the new ones, each alarm once.

A message that may or may not have been accepted goes again under the same key, by which a receiver knows it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import httpx
import pandas as pd

from offbeat.errors import NotificationError, ParamsError
from offbeat.operation import outbox
from offbeat.operation.alarms import Alarm
from offbeat.operation.store import Store
from offbeat.readings.messages import count
from offbeat.readings.moments import Moment, moment_json

LONGEST_MESSAGE = 20  # alarms written out in words

Send: TypeAlias = Callable[[Sequence[Alarm], str], None]


@dataclass(frozen=True)
class Delivered:
    """How many alarms people were told of, how many wait, and what kept a message from being accepted, if one was."""

    n_sent: int
    n_waiting: int
    problem: str = ""


def deliver(
    store: Store,
    send: Send,
    now: datetime,
    *,
    min_interval_s: float = 240.0,
    backoff_s: float = 30.0,
    longest_backoff_s: float = 3600.0,
    claim_s: float = 120.0,
) -> Delivered:
    """Send the new alarms in one message, or again one that was not accepted, as `outbox.claim` chooses.

    Parameters
    ----------
    store : Store
    send : callable
        Takes alarms and the key of their message; raises NotificationError if it was not accepted. It must end within
        `claim_s`, or another sender sends the message as well.
    now : datetime
    min_interval_s : float
        From one message to the next; alarms that come sooner wait and go together.
    backoff_s, longest_backoff_s : float
        After a failure the next attempt waits, the first time `backoff_s`, each time twice as long, up to a limit.
    claim_s : float
        How long nobody else sends the message. One whose sender was killed goes again after that: exactly once if it
        was not accepted yet, else a second time under the same key, by which the receiver can drop it.

    Returns
    -------
    Delivered
    """
    message = outbox.claim(store, now, claim_s=claim_s, min_interval_s=min_interval_s)
    if message is None:
        return Delivered(0, outbox.n_waiting(store))
    try:
        send(message.alarms, message.key)
    except NotificationError as error:
        # 2.0 ** 60 outlasts every limit, and higher powers no float
        wait_s = min(backoff_s * 2.0 ** min(message.attempts, 60), longest_backoff_s)
        outbox.failed(store, message, str(error), now + timedelta(seconds=wait_s))
        return Delivered(0, outbox.n_waiting(store), str(error))
    outbox.sent(store, message, now)
    return Delivered(len(message.alarms), outbox.n_waiting(store))


def message_text(alarms: Sequence[Alarm]) -> str:
    """Return what people read of alarms: which machine, since when, how strong, which channels, and what to do."""
    strongest = sorted(alarms, key=lambda alarm: -alarm.peak_ratio)[:LONGEST_MESSAGE]
    lines = [f"{count(len(alarms), 'new alarm')}, the strongest first:" if len(alarms) > 1 else "New alarm:", ""]
    lines += [_alarm_line(alarm) for alarm in strongest]
    if len(alarms) > len(strongest):
        lines.append(f"and {len(alarms) - len(strongest)} more")
    lines += ["", "All alarms: offbeat alarms", "Say what it was: offbeat feedback ID true|false|expected"]
    return "\n".join(lines)


@dataclass(frozen=True)
class Webhook:
    """Sends a message as JSON to an address: `key`, `text` and `alarms`; the key also as header Idempotency-Key.

    Accepted is what is answered with a status from 200 to 299, within `timeout_s` from first to last; redirects are
    not followed. The address may hold a secret: no message or log shows more of it than its host.

    Raises
    ------
    ParamsError
        If the address is none of HTTP.
    """

    url: str = field(repr=False)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        try:
            parsed = httpx.URL(self.url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ParamsError("the webhook's address (it is not shown here) must be http://... or https://...")

    def __call__(self, alarms: Sequence[Alarm], key: str) -> None:
        """Send alarms.

        Raises
        ------
        NotificationError
            If the message was not accepted in time; it may have been all the same.
        """
        body = {"key": key, "text": message_text(alarms), "alarms": [_to_json(alarm) for alarm in alarms]}
        host = httpx.URL(self.url).host
        # in a thread of its own, where no event loop runs yet
        with ThreadPoolExecutor(1) as thread, _address_unlogged():
            try:
                status = thread.submit(asyncio.run, self._post(json.dumps(body), key)).result()
            except TimeoutError:
                raise NotificationError(f"webhook at {host}: no answer within {self.timeout_s:g} s") from None
            except httpx.HTTPError as error:  # its text may show the address
                raise NotificationError(f"webhook at {host}: {type(error).__name__}") from None
        if not 200 <= status < 300:
            raise NotificationError(f"webhook at {host}: answered {status}")

    async def _post(self, body: str, key: str) -> int:
        """Return the status of the answer, whose body is not awaited."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        # the time-outs of httpx are of each read: a receiver that drips would never end
        async with (
            asyncio.timeout(self.timeout_s),
            httpx.AsyncClient(timeout=None) as client,
            client.stream("POST", self.url, content=body, headers=headers) as response,
        ):
            return response.status_code


@contextmanager
def _address_unlogged() -> Iterator[None]:
    """Keep httpx from logging the whole address of a request."""
    logger = logging.getLogger("httpx")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _alarm_line(alarm: Alarm) -> str:
    channels = ", ".join(f"{name} {share:.0%}" for name, share in alarm.channels)
    span = f"since {_text(alarm.first)}, last {_text(alarm.last)} ({count(alarm.n_timesteps, 'timestep')})"
    return f"- {alarm.asset}: {span}, up to {alarm.peak_ratio:.1f} times the threshold; {channels} [alarm {alarm.id}]"


def _text(moment: Moment) -> str:
    return f"{moment.tz_localize(None)} UTC" if isinstance(moment, pd.Timestamp) else str(moment)


def _to_json(alarm: Alarm) -> dict[str, Any]:
    return {
        "id": alarm.id,
        "asset": alarm.asset,
        "first": moment_json(alarm.first),
        "last": moment_json(alarm.last),
        "n_timesteps": alarm.n_timesteps,
        "peak_score": alarm.peak_score,
        "peak_ratio": alarm.peak_ratio if math.isfinite(alarm.peak_ratio) else None,
        "channels": [{"channel": name, "share": share} for name, share in alarm.channels],
        "model": alarm.model,
        "raised_at": alarm.raised_at.isoformat(),
    }
