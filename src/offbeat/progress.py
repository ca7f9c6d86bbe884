"""How far long work is, for whoever wants to show it.

The work hands each `Step` to a callable that it was given and knows nothing of terminals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from offbeat.readings.messages import duration_text

EVERY_S = 10.0  # between two lines of a log about the same work
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Step:
    """How far a piece of work is.

    Attributes
    ----------
    work : str
        What is done, such as ``scoring``. A work that cannot be counted is told by this alone.
    done : int
        How much of it is; a work begins with 0.
    total : int or None
        How much there is to do; None where nobody knows.
    unit : str
        Of both, such as ``timesteps``; empty where nothing is counted.
    note : str
        What came of it so far, such as the loss.
    """

    work: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    note: str = ""


Report = Callable[[Step], None]


def silent(step: Step) -> None:
    """Show nothing."""


def counted(
    things: Iterable[_Thing], report: Report, work: str, unit: str, *, total: int | None = None
) -> Iterator[_Thing]:
    """Yield things, and report how many of them are done: before the first, and after each.

    `total` is how many there are, for things that have no length.
    """
    if isinstance(things, Sequence):
        total = len(things)
    report(Step(work, 0, total, unit))
    for done, thing in enumerate(things, start=1):
        yield thing
        report(Step(work, done, total, unit))


def parts(report: Report, work: str, sizes: Sequence[int]) -> list[Report]:
    """Return a report for each part of a work, in order: what a part reports goes on where the one before it ended."""

    def part(before: int) -> Report:
        return lambda step: report(replace(step, work=work, done=before + step.done, total=sum(sizes)))

    return [part(sum(sizes[:k])) for k in range(len(sizes))]


class Pace:
    """Tells in words how fast work goes and how long it will take, from the clock at its steps.

    The clock starts at the first step that has something done: what comes before it, such as compiling, comes once.
    """

    def __init__(self) -> None:
        self._last: Step | None = None
        self._began_with, self._began_s = 0, 0.0

    def begins(self, step: Step) -> bool:
        """Take a step in; return whether another work begins with it, or the same anew."""
        last, self._last = self._last, step
        is_new = last is None or last.work != step.work or last.done > step.done
        if is_new or not self._began_with:
            self._began_with, self._began_s = step.done, time.monotonic()
        return is_new

    def words(self) -> str:
        """Return of the last step how much is done, how fast it goes, and the time left; nothing if none is counted."""
        assert self._last is not None, "a step was taken in"
        if not self._last.unit:
            return ""
        step, spent_s = self._last, time.monotonic() - self._began_s
        done = step.done - self._began_with
        told = [f"{step.done:,}{'' if step.total is None else f'/{step.total:,}'} {step.unit}"]
        if done and spent_s > 0:
            told.append(_rate(done / spent_s))
            if step.total is not None:
                told.append(f"{_seconds(spent_s / done * (step.total - step.done))} left")
        return ", ".join(told)


class Lines:
    """A report for a log: a line now and then, at each new note at once."""

    def __init__(self, say: Callable[[str], None], every_s: float = EVERY_S) -> None:
        self._say, self._every_s = say, every_s
        self._pace, self._note, self._said_s = Pace(), "", 0.0

    def __call__(self, step: Step) -> None:
        """Say how far the work is, if that was not said a moment ago."""
        now = time.monotonic()
        if self._pace.begins(step):
            self._note, self._said_s = "", now
        if step.note != self._note or now - self._said_s >= self._every_s:
            self._note, self._said_s = step.note, now
            told = "; ".join(part for part in (self._pace.words(), step.note) if part)
            self._say(f"{step.work}{told and ': '}{told}")


def _rate(per_s: float) -> str:
    if per_s >= 10:
        return f"{per_s:,.0f}/s"
    return f"{per_s:.2g}/s" if per_s >= 0.5 else f"{60 * per_s:.2g}/min"


def _seconds(seconds: float) -> str:
    return duration_text(timedelta(seconds=round(seconds)))
