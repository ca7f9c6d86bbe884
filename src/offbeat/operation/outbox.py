"""The outbox: alarms that nobody was told of yet, claimed by one sender at a time.

A message keeps its key until it is accepted, and its alarms but for those that become part of others, so that a
receiver can drop what it got twice; what comes meanwhile waits for the next one, but not for ever: a message that fails
time after time lets new alarms go before it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from offbeat.operation.alarms import Alarm
from offbeat.operation.database import notices
from offbeat.operation.store import Store, alarm_of, select_alarms

MOST_ALARMS = 100  # in one message
PATIENCE = 5  # attempts at a message, after which new alarms no longer wait for it
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Message:
    """Alarms to be told of in one message, which its key names however often it is sent.

    `attempts` counts the claims of it before this one.
    """

    key: str
    alarms: tuple[Alarm, ...]
    attempts: int
    claimed_until: datetime


@dataclass(frozen=True)
class _Candidate:
    """A message, or the new alarms that can become one, and from when on it may be sent."""

    key: str
    alarm_ids: tuple[int, ...]
    attempts: int
    due: datetime


def claim(store: Store, now: datetime, *, claim_s: float, min_interval_s: float) -> Message | None:
    """Return what is to be sent now, for the caller alone to send until `claim_s` from now; None if nothing is.

    A message that was tried before goes again with the same key and alarms, and before any other. Else new alarms,
    the oldest first and up to `MOST_ALARMS`, make one, if the last one went `min_interval_s` ago. Messages that were
    tried `PATIENCE` times go when neither is due.
    """
    claimed_until = now + timedelta(seconds=claim_s)
    with store.database.writing() as connection:
        candidates = _candidates(connection, timedelta(seconds=min_interval_s))
        chosen = next((one for one in candidates if one.due <= now), None)
        if chosen is None:
            return None
        # counted now, so that a message which kills its sender does not hold up others for ever
        claimed = {"key": chosen.key, "claimed_until": claimed_until, "attempts": chosen.attempts + 1}
        taken = notices.c.alarm_id.in_(chosen.alarm_ids)
        connection.execute(sa.update(notices).where(taken).values(claimed))
        rows = connection.execute(select_alarms().join(notices).where(taken).order_by(notices.c.alarm_id))
        alarms = tuple(alarm_of(row) for row in rows)
    return Message(chosen.key, alarms, chosen.attempts, claimed_until)


def sent(store: Store, message: Message, now: datetime) -> None:
    """Note that a message was accepted."""
    done = {"sent_at": now, "claimed_until": None, "last_error": None}
    with store.database.writing() as connection:
        connection.execute(sa.update(notices).where(notices.c.key == message.key).values(done))


def failed(store: Store, message: Message, error: str, next_attempt_at: datetime) -> None:
    """Note that a message was not accepted, and when to try again; not if another sender has claimed it since."""
    mine = (notices.c.key == message.key) & (notices.c.claimed_until == message.claimed_until)
    tried = {"claimed_until": None, "last_error": error, "next_attempt_at": next_attempt_at}
    with store.database.writing() as connection:
        connection.execute(sa.update(notices).where(mine).values(tried))


def n_waiting(store: Store) -> int:
    """Return how many alarms nobody was told of yet."""
    with store.database.reading() as connection:
        query = sa.select(sa.func.count()).select_from(notices).where(notices.c.sent_at.is_(None))
        return int(connection.scalar(query) or 0)


def _candidates(connection: sa.Connection, min_interval: timedelta) -> list[_Candidate]:
    """Return what may be sent, in the order in which it goes."""
    waiting = sa.select(notices).where(notices.c.sent_at.is_(None)).order_by(notices.c.alarm_id)
    messages: dict[str | None, list[sa.Row[Any]]] = {}
    for notice in connection.execute(waiting):
        messages.setdefault(notice.key, []).append(notice)
    new = [notice.alarm_id for notice in messages.pop(None, [])][:MOST_ALARMS]
    tried = sorted((_tried(key, rows) for key, rows in messages.items() if key), key=lambda one: one.due)
    first = [one for one in tried if one.attempts < PATIENCE]
    if new and not first:
        last = connection.scalar(sa.select(sa.func.max(notices.c.sent_at)))
        first = [_Candidate(uuid.uuid4().hex, tuple(new), 0, last + min_interval if last else _LONG_AGO)]
    return [*first, *(one for one in tried if one.attempts >= PATIENCE)]


def _tried(key: str, rows: Sequence[sa.Row[Any]]) -> _Candidate:
    """Return a message that was claimed before; it waits for the end of that claim, or of the pause after it failed."""
    times = [time for row in rows for time in (row.next_attempt_at, row.claimed_until) if time is not None]
    due = max(times, default=_LONG_AGO)
    return _Candidate(key, tuple(row.alarm_id for row in rows), max(row.attempts for row in rows), due)
