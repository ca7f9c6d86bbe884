"""The store: a score for each timestep, alarms, and what people said of them.

What is written twice, by two processes at once, or by one that is killed, is there once and whole: a writer looks at
what is stored and adds the rest in one transaction, while no other writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import pandas as pd
import sqlalchemy as sa

from offbeat.errors import StoreError
from offbeat.operation.alarms import Alarm, NewScores, Run, joined, regrouped
from offbeat.operation.database import BUSY_S, Database, alarms, notices, scores
from offbeat.readings.moments import moment_of
from offbeat.readings.spans import VERDICTS, Span
from offbeat.typing import BoolArray, IntArray


@dataclass(frozen=True)
class Written:
    """How many rows were new, and the ids of the alarms that they raised."""

    n_rows: int
    alarms: tuple[int, ...]


class Store:
    """Scores and alarms in a database; arguments and errors as for `Database`."""

    def __init__(self, url: str, *, busy_s: float = BUSY_S) -> None:
        self.database = Database(url, busy_s)

    def close(self) -> None:
        """Close every connection."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, new: NewScores, now: datetime | None = None) -> Written:
        """Store scores and what they say of alarms, in one transaction.

        A timestep that is stored stays as it is. What exceeds the threshold within `merge_gap` timesteps of an alarm
        of the same segment extends it, whatever model raised it, unless a person has judged it. Alarms that late
        readings bring together become one, the first that was raised. What else exceeds it raises an alarm, and leaves
        a notice of it in the outbox.
        """
        if not len(new.stamps):
            return Written(0, ())
        now = now or datetime.now(UTC)
        with self.database.writing() as connection:
            missing = _missing(connection, new)
            if not missing.any():
                return Written(0, ())
            connection.execute(sa.insert(scores), _score_rows(new, missing))
            groups = regrouped(new, missing, _alarms_near(connection, new))
            raised = []
            for group in groups:
                if known := sorted(run.alarm_id for run in group if run.alarm_id is not None):
                    _extend(connection, known, _values(new, joined(group)))
                else:
                    raised.append(_raise(connection, new, _values(new, joined(group)), now))
        return Written(int(missing.sum()), tuple(raised))

    def last_stamps(self, asset: str, n: int) -> IntArray:
        """Return the last `n` stamps that are stored of an asset, ascending; fewer if there are no more."""
        query = sa.select(scores.c.stamp).where(scores.c.asset == asset).order_by(scores.c.stamp.desc()).limit(n)
        with self.database.reading() as connection:
            return np.array(connection.scalars(query).all(), dtype=np.int64)[::-1]

    def alarms(
        self,
        asset: str | None = None,
        *,
        verdict: str | None = None,
        limit: int | None = None,
    ) -> list[Alarm]:
        """Return alarms, the latest first.

        Parameters
        ----------
        asset : str, optional
            All by default.
        verdict : {"true", "false", "expected", "unmarked"}, optional
            All by default.
        limit : int, optional
        """
        query = select_alarms().order_by(alarms.c.first_stamp.desc(), alarms.c.id.desc()).limit(limit)
        if asset is not None:
            query = query.where(alarms.c.asset == asset)
        if verdict is not None:
            _check_verdict(verdict, (*VERDICTS, "unmarked"))
            query = query.where(alarms.c.verdict == (None if verdict == "unmarked" else verdict))
        with self.database.reading() as connection:
            return [alarm_of(row) for row in connection.execute(query)]

    def mark(self, alarm_id: int, verdict: str, *, note: str = "", by: str = "", now: datetime | None = None) -> Alarm:
        """Say of an alarm that it was true, false or expected, in place of what was said; return it as it was before.

        An alarm that became part of another stands for that one.

        Raises
        ------
        StoreError
            If there is no such alarm, or the verdict is none of these.
        """
        _check_verdict(verdict, VERDICTS)
        with self.database.writing() as connection:
            whole = sa.select(sa.func.coalesce(alarms.c.part_of, alarms.c.id)).where(alarms.c.id == alarm_id)
            row = connection.execute(sa.select(alarms).where(alarms.c.id == whole.scalar_subquery())).first()
            if row is None:
                last = connection.scalar(sa.select(sa.func.max(alarms.c.id)))
                there = "none was raised yet" if last is None else f"they go up to {last}"
                raise StoreError(f"there is no alarm {alarm_id} ({there}): offbeat alarms lists them")
            marks = {"verdict": verdict, "note": note, "marked_by": by, "marked_at": now or datetime.now(UTC)}
            connection.execute(sa.update(alarms).where(alarms.c.id == row.id).values(marks))
        return alarm_of(row)

    def doubtful_spans(self) -> list[Span]:
        """Return the spans of all alarms not marked as false: readings that no model must take for normal."""
        return [
            Span(alarm.asset, alarm.first, alarm.last, f"alarm {alarm.id}: {alarm.verdict or 'unmarked'}")
            for alarm in reversed(self.alarms())
            if alarm.verdict != "false"
        ]


def select_alarms() -> sa.Select[Any]:
    """Return the query for all alarms that are not part of another."""
    return sa.select(alarms).where(alarms.c.part_of.is_(None))


def alarm_of(row: sa.Row[Any]) -> Alarm:
    """Return the alarm of a row."""
    is_time = row.first_time is not None
    return Alarm(
        first=moment_of(row.first_stamp, is_time),
        last=moment_of(row.last_stamp, is_time),
        **{name: getattr(row, name) for name in Alarm.__dataclass_fields__ if name not in ("first", "last")},
    )


def _missing(connection: sa.Connection, new: NewScores) -> BoolArray:
    """Return which of the new timesteps (n,) are not stored."""
    of_asset = (scores.c.asset == new.asset) & scores.c.stamp.between(int(new.stamps[0]), int(new.stamps[-1]))
    stored = connection.scalars(sa.select(scores.c.stamp).where(of_asset)).all()
    return ~np.isin(new.stamps, np.array(stored, dtype=np.int64))


def _score_rows(new: NewScores, among: BoolArray) -> list[dict[str, Any]]:
    columns = (array[among].tolist() for array in (new.stamps, new.scores, new.exceeds))
    same = {"asset": new.asset, "threshold": new.threshold, "model": new.model}
    return [
        {
            **same,
            "stamp": stamp,
            "time": _time(stamp, new.is_time),
            "score": None if np.isnan(score) else score,
            "exceeds": exceeds,
        }
        for stamp, score, exceeds in zip(*columns, strict=True)
    ]


def _alarms_near(connection: sa.Connection, new: NewScores) -> list[Run]:
    rows = connection.execute(
        select_alarms()
        .where(alarms.c.asset == new.asset)
        .where(alarms.c.last_stamp >= int(new.stamps[0]) - new.reach)
        .where(alarms.c.first_stamp <= int(new.stamps[-1]) + new.reach)
        .where(alarms.c.verdict.is_(None))  # a verdict is on what was seen, and closes the alarm
    )
    return [Run(r.first_stamp, r.last_stamp, r.peak_score, r.peak_ratio, r.weights, r.id) for r in rows]


def _raise(connection: sa.Connection, new: NewScores, values: dict[str, Any], now: datetime) -> int:
    """Raise an alarm with a notice in the outbox; return its id."""
    values = {"asset": new.asset, "model": new.model, "raised_at": now, **values}
    done = connection.execute(sa.insert(alarms).values(values))
    assert done.inserted_primary_key is not None, "the database numbers alarms"
    alarm_id = int(done.inserted_primary_key[0])
    connection.execute(sa.insert(notices).values(alarm_id=alarm_id))
    return alarm_id


def _extend(connection: sa.Connection, known: Sequence[int], values: dict[str, Any]) -> None:
    """Give the first raised of some alarms new values, and make the others part of it."""
    whole, *parts = known
    if parts:
        gone = alarms.c.id.in_(parts) | alarms.c.part_of.in_(parts)
        connection.execute(sa.update(alarms).where(gone).values(part_of=whole))
        # who hears of the whole need not hear of its parts
        connection.execute(sa.delete(notices).where(notices.c.alarm_id.in_(parts), notices.c.sent_at.is_(None)))
    connection.execute(sa.update(alarms).where(alarms.c.id == whole).values(values))


def _values(new: NewScores, run: Run) -> dict[str, Any]:
    return {
        "first_stamp": run.first,
        "last_stamp": run.last,
        "first_time": _time(run.first, new.is_time),
        "last_time": _time(run.last, new.is_time),
        "n_timesteps": round((run.last - run.first) / new.period) + 1,
        "peak_score": run.peak_score,
        "peak_ratio": run.peak_ratio,
        "weights": dict(run.weights),
    }


def _time(stamp: int, is_time: bool) -> datetime | None:
    return pd.Timestamp(stamp // 1_000, unit="us", tz="UTC").to_pydatetime() if is_time else None


def _check_verdict(verdict: str, allowed: Sequence[str]) -> None:
    if verdict not in allowed:
        raise StoreError(f"verdict '{verdict}': must be {', '.join(allowed[:-1])} or {allowed[-1]}")
