"""Which rows of an asset count, which of its labelled events were found, and which alarms are false.

Metrics and pages judge by this one rule, so that what a page lists is what the metrics count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offbeat.detection.events import events_of, overlaps
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Stretch:
    """Readings of one asset to judge methods on.

    Attributes
    ----------
    series : Series
    labelled, excluded : ndarray of shape (T,), bool
    first : int
        First row that counts; those before it are what the scores of the others reach back to.
    max_buffer : int
        Longest buffer of VUS-PR, in timesteps.
    """

    series: Series
    labelled: BoolArray
    excluded: BoolArray
    first: int
    max_buffer: int

    @property
    def kept(self) -> BoolArray:
        """Rows (T,) that count."""
        kept = ~self.excluded
        kept[: self.first] = False
        return kept

    @property
    def normal(self) -> BoolArray:
        """Rows (T,) that are neither labelled nor excluded, those before `first` too."""
        return ~(self.labelled | self.excluded)


@dataclass(frozen=True, eq=False)
class Judged:
    """Labelled events and alarms among the rows that count, as rows [start, stop) of the series, and which met.

    Attributes
    ----------
    events, alarms : ndarray of shape (n, 2), int
    found, on_event : ndarray of shape (n,), bool
        Which events have an alarm, and which alarms touch an event; the others are false.
    """

    events: IntArray
    found: BoolArray
    alarms: IntArray
    on_event: BoolArray


def judge(stretch: Stretch, alarms: BoolArray) -> Judged:
    """Judge the alarms (T,) of a stretch as its metrics do."""
    kept = np.flatnonzero(stretch.kept)
    cuts = event_cuts(stretch, kept)
    events, raised = events_of(stretch.labelled[kept], cuts), events_of(alarms[kept], cuts)
    return Judged(
        _in_series(kept, events), overlaps(events, raised), _in_series(kept, raised), overlaps(raised, events)
    )


def event_cuts(stretch: Stretch, rows: IntArray) -> IntArray:
    """Return where events must not run on among the kept rows: over unlabelled rows that were left out."""
    unlabelled = np.cumsum(~stretch.labelled)
    return np.flatnonzero(np.r_[True, unlabelled[rows[1:] - 1] > unlabelled[rows[:-1]]])


def _in_series(kept: IntArray, events: IntArray) -> IntArray:
    """Return events of the kept rows as rows of the series; what was left out in their middle belongs to them."""
    return np.stack([kept[events[:, 0]], kept[events[:, 1] - 1] + 1], axis=1)
