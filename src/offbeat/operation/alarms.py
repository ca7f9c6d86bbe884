"""Alarms that outlive a call: new scores, the runs of alarm in them, and how runs and alarms become one.

A run carries sums and maxima over its timesteps above the threshold alone, so that runs join in any order and give
what one look at all of them would have given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from offbeat.detection.running import LEADING_SHARE
from offbeat.readings.moments import Moment
from offbeat.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class NewScores:
    """Final scores of timesteps of one asset that a store may not hold yet, in time order.

    Attributes
    ----------
    asset, model : str
        The model is the version that scored them all.
    is_time : bool
        Whether stamps are nanoseconds since 1970 UTC, rather than an integer index.
    period : int
        Stamps from one timestep to the next.
    merge_gap : int
        In timesteps; alarms no further apart are one alarm.
    threshold : float
    channels : tuple of str
    stamps : ndarray of shape (n,), int
    scores : ndarray of shape (n,)
        NaN where there is none.
    shares : ndarray of shape (n, F)
    segments : ndarray of shape (n, 2), int
        First and last stamp of the segment that each lies in.
    """

    asset: str
    model: str
    is_time: bool
    period: int
    merge_gap: int
    threshold: float
    channels: tuple[str, ...]
    stamps: IntArray
    scores: FloatArray
    shares: FloatArray
    segments: IntArray

    @property
    def exceeds(self) -> BoolArray:
        """Timesteps (n,) with score > threshold."""
        over: BoolArray = self.scores > self.threshold
        return over

    @property
    def reach(self) -> int:
        """Stamps between two timesteps above the threshold that are still of one alarm.

        Half a period more than counted, because a late first reading shifts the grid by up to as much.
        """
        return (self.merge_gap + 1) * self.period + self.period // 2


@dataclass(frozen=True)
class Run:
    """Timesteps in alarm from stamp `first` to stamp `last`; peaks and channel weights of those above the threshold.

    A channel's weight is the sum of score x share. `alarm_id` names the alarm in the store that it is, if it is one.
    """

    first: int
    last: int
    peak_score: float
    peak_ratio: float
    weights: Mapping[str, float]
    alarm_id: int | None = None


@dataclass(frozen=True)
class Alarm:
    """An alarm in a store: when, how strong, which channels lead it, and what a person said of it.

    `peak_ratio` is the highest score in units of its threshold, `model` the version that raised it, `raised_at` when
    it was first stored. Until `last` nothing above the threshold was more than `merge_gap` timesteps apart.
    """

    id: int
    asset: str
    first: Moment
    last: Moment
    n_timesteps: int
    peak_score: float
    peak_ratio: float
    weights: Mapping[str, float]
    model: str
    raised_at: datetime
    verdict: str | None = None
    note: str = ""
    marked_by: str = ""
    marked_at: datetime | None = None

    @property
    def channels(self) -> tuple[tuple[str, float], ...]:
        """Name and share of the fewest channels that make up half of the alarm, strongest first."""
        total = sum(self.weights.values())
        ranked = sorted(self.weights.items(), key=lambda item: -item[1])
        leading: list[tuple[str, float]] = []
        for name, weight in ranked:
            leading.append((name, weight / total if total > 0 else 0.0))
            if sum(share for _, share in leading) >= LEADING_SHARE:
                break
        return tuple(leading)


def regrouped(new: NewScores, among: BoolArray, known: Sequence[Run]) -> list[list[Run]]:
    """Return the runs that each alarm is to be made of, where that changes.

    Parameters
    ----------
    new : NewScores
    among : ndarray of shape (n,), bool
        The timesteps that were not stored before.
    known : sequence of Run
        Alarms within `reach` of them.

    Returns
    -------
    list of list of Run
        In each, what lies in one segment and within `reach` of the next: new runs, alarms that they extend, and
        alarms whose segments late readings have joined.
    """
    groups: list[list[Run]] = []
    slack = new.period // 2
    for first, last in np.unique(new.segments[among], axis=0).tolist():
        inside = [run for run in known if run.last >= first - slack and run.first <= last + slack]
        inside += _runs(new, among & (new.segments[:, 0] == first))
        inside.sort(key=lambda run: run.first)
        end = None
        for run in inside:
            if end is None or run.first - end > new.reach:
                groups.append([])
            groups[-1].append(run)
            end = run.last if end is None else max(end, run.last)
    return [group for group in groups if len(group) > 1 or group[0].alarm_id is None]


def joined(runs: Sequence[Run]) -> Run:
    """Return the run that some runs make together."""
    weights: dict[str, float] = {}
    for run in runs:
        for name, weight in run.weights.items():
            weights[name] = weights.get(name, 0.0) + weight
    return Run(
        first=min(run.first for run in runs),
        last=max(run.last for run in runs),
        peak_score=max(run.peak_score for run in runs),
        peak_ratio=max(run.peak_ratio for run in runs),
        weights=weights,
    )


def _runs(new: NewScores, among: BoolArray) -> list[Run]:
    """Return the runs of alarm among some timesteps (n,) of one segment."""
    rows = np.flatnonzero(new.exceeds & among)
    if not len(rows):
        return []
    runs = []
    for part in np.split(rows, np.flatnonzero(np.diff(new.stamps[rows]) > new.reach) + 1):
        scores = new.scores[part]
        peak, weights = float(scores.max()), scores @ new.shares[part]
        run = Run(
            first=int(new.stamps[part[0]]),
            last=int(new.stamps[part[-1]]),
            peak_score=peak,
            peak_ratio=peak / new.threshold if new.threshold > 0 else float("inf"),
            weights=dict(zip(new.channels, weights.tolist(), strict=True)),
        )
        runs.append(run)
    return runs
