"""Alarms of scores that come part by part, the same as of all scores at once.

Whether a pause between two alarms belongs to them shows only after it: until then its timesteps are held back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from offbeat.detection.events import alarm_mask, events_of
from offbeat.typing import BoolArray, FloatArray, IntArray

LEADING_SHARE = 0.5  # an event's leading channels are the fewest that make up this share of it


@dataclass(frozen=True, eq=False)
class Rows:
    """Scored timesteps in order: `stamps`, `scores` and `settled` (n,), `shares` (n, F), and which begin a segment."""

    stamps: IntArray
    scores: FloatArray
    shares: FloatArray
    settled: BoolArray
    begins: BoolArray

    def cut(self, start: int, stop: int | None = None) -> Rows:
        """Return some of them."""
        return Rows(**{name: values[start:stop] for name, values in vars(self).items()})

    def followed_by(self, others: Rows) -> Rows:
        """Return these and others after them."""
        return Rows(**{name: np.concatenate([values, getattr(others, name)]) for name, values in vars(self).items()})


@dataclass(eq=False)
class Spell:
    """An alarm so far: rows [start, stop) of all, stamps of its first and last timestep, how strong, and why.

    Each timestep above the threshold weighs as its score in `shares` (F,), their sum; the pauses do not count.
    """

    start: int
    first_stamp: int
    stop: int = 0
    last_stamp: int = 0
    peak: float = -np.inf
    weight: float = 0.0
    shares: FloatArray = field(default_factory=lambda: np.zeros(1))

    def add(self, rows: Rows, stop: int, threshold: float) -> None:
        """Add the timesteps that follow, up to row `stop` of all."""
        if len(rows.scores):
            weights = np.where(rows.scores > threshold, rows.scores, 0.0)
            self.stop, self.last_stamp = stop, int(rows.stamps[-1])
            self.peak = max(self.peak, float(np.nanmax(rows.scores)))
            self.weight += float(weights.sum())
            self.shares = np.asarray(self.shares + weights @ rows.shares)

    def leading(self, channels: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
        """Return the fewest channels that make up `LEADING_SHARE` of it, with their shares."""
        mean = self.shares / self.weight
        order = np.argsort(-mean, kind="stable")
        n_leading = int(np.searchsorted(np.cumsum(mean[order]), LEADING_SHARE)) + 1
        return tuple((channels[i], float(mean[i])) for i in order[:n_leading])


class Running:
    """Scored timesteps to alarms, as they come.

    Parameters
    ----------
    threshold : float
    merge_gap : int
        In timesteps.
    """

    def __init__(self, threshold: float, merge_gap: int) -> None:
        self._threshold, self._merge_gap = threshold, merge_gap
        self._held: Rows | None = None  # from the last timestep over the threshold on, which alone was given out
        self._open: Spell | None = None
        self._row = 0  # how many were given out

    def take(self, rows: Rows, *, is_last: bool = False) -> tuple[Rows, BoolArray, list[Spell]]:
        """Return the timesteps whose alarm is now known, whether each is in alarm, and the alarms that are over.

        `is_last` says that none follows.
        """
        n_given = 0 if self._held is None else 1
        rows = rows if self._held is None else self._held.followed_by(rows)
        starts = np.flatnonzero(rows.begins)
        alarms = alarm_mask(rows.scores, self._threshold, max_gap=self._merge_gap, segment_starts=starts)
        ready = len(alarms) if is_last else self._n_ready(rows)
        is_open = ready < len(alarms) or (not is_last and len(alarms) > 0 and bool(alarms[-1]))
        ended: list[Spell] = []
        for start, stop in events_of(alarms[:ready], starts[starts < ready]).tolist():
            offset = self._row - n_given
            spell = self._open if start < n_given else Spell(offset + start, int(rows.stamps[start]))
            assert spell is not None, "the timestep that is held is in an alarm"
            spell.add(rows.cut(max(start, n_given), stop), offset + stop, self._threshold)
            self._open = spell
            if not is_open or stop < ready:
                ended.append(spell)
        self._held = rows.cut(ready - 1) if is_open else None
        self._row += ready - n_given
        return rows.cut(n_given, ready), alarms[n_given:ready], ended

    def _n_ready(self, rows: Rows) -> int:
        """Return how many timesteps, from the first on, no later one will put into an alarm."""
        over = np.flatnonzero(rows.scores > self._threshold)
        n = len(rows.scores)
        if not len(over) or n - 1 - over[-1] > self._merge_gap or rows.begins[over[-1] + 1 :].any():
            return n
        return int(over[-1]) + 1
