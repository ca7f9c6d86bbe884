"""Scores of readings that go on: which are final, where to begin so that the next ones equal those of the whole, and
readings scored stretch by stretch, so that what is in memory at once does not grow with them.

Stretches begin and end at the same rows however the readings are cut into pieces, so that the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from offbeat.readings.series import Series
from offbeat.typing import BoolArray

if TYPE_CHECKING:
    from offbeat.detection.detector import Detector

STRETCH_READINGS = 1 << 17  # timesteps times channels that are scored at once: some MB of errors and sums
FEWEST_REACHES = 32  # times what shapes its scores that a stretch is long at least: little is scored twice


def final_rows(detector: Detector, series: Series) -> BoolArray:
    """Return the timesteps (T,) whose score no reading that comes after the last one will change.

    Notes
    -----
    That is all of a segment that a later one follows. In the last segment it is what `delay` timesteps have followed,
    once the segment is so long that its last window reaches none of the timesteps at its head. No window ends in time
    to vote on those; until then they take the mean error of the first and the last window that cover them.
    """
    final = np.ones(series.n_timesteps, dtype=bool)
    start, stop = series.segments[-1]
    params, window_size = detector.params, detector.window_size
    head = int(-series.positions[start] % params.stride) + window_size - 1 - params.overlap
    wait = detector.delay if stop - start >= head + window_size else _longest_wait(detector)
    final[max(stop - wait, start) :] = False
    return final


def tail_start(detector: Detector, series: Series, first: int) -> int:
    """Return the row from which on readings must be scored so that those from `first` on score as in the whole.

    At least one window is among them: a detector refuses readings without any.
    """
    windows = [stop - detector.window_size for begin, stop in series.segments if stop - begin >= detector.window_size]
    return min(_reach_start(detector, series, first), max(windows, default=0))


@dataclass(frozen=True, eq=False)
class Stretch:
    """Rows [first, stop) of a series, whose other rows shape their scores; `is_last` if no row follows."""

    series: Series
    first: int
    stop: int
    is_last: bool

    @property
    def rows(self) -> slice:
        """The rows that are the stretch."""
        return slice(self.first, self.stop)

    @property
    def begins(self) -> BoolArray:
        """Which of its rows begin a segment."""
        mask = np.zeros(self.series.n_timesteps, dtype=bool)
        mask[self.series.segment_starts] = True
        return mask[self.rows]


def stretches_of(detector: Detector, pieces: Iterable[Series]) -> Iterator[Stretch]:
    """Yield the stretches of readings that come in pieces, each with what shapes its scores before it and after it.

    Parameters
    ----------
    detector : Detector
    pieces : iterable of Series
        Of one asset, on one grid, in the order of time. A row that is a step after the last one of the piece before
        belongs to the same segment.
    """
    length, ahead = _stretch_length(detector), _longest_wait(detector)
    held: Series | None = None
    waiting: list[Series] = []
    n_waiting = first = 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += piece.n_timesteps
        if (0 if held is None else held.n_timesteps) + n_waiting - first < length + ahead:
            continue
        held = joined([*([] if held is None else [held]), *waiting])
        waiting, n_waiting = [], 0
        while held.n_timesteps - first >= length + ahead:
            yield _cut(detector, held, first, first + length)
            first += length
        begin = _reach_start(detector, held, first)
        held, first = held.rows(begin, held.n_timesteps), first - begin
    rest = joined([*([] if held is None else [held]), *waiting])
    # at least what was waited for is left
    yield _cut(detector, rest, first, rest.n_timesteps, is_last=True)


def joined(pieces: list[Series]) -> Series:
    """Return pieces of one asset's readings that follow each other on one grid as one series."""
    if len(pieces) == 1:
        return pieces[0]
    starts, n = [pieces[0].segment_starts], pieces[0].n_timesteps
    for before, piece in pairwise(pieces):
        goes_on = piece.stamps[0] - before.stamps[-1] == piece.step
        starts.append(piece.segment_starts[int(goes_on) :] + n)
        n += piece.n_timesteps
    return replace(
        pieces[0],
        values=np.concatenate([piece.values for piece in pieces]),
        stamps=np.concatenate([piece.stamps for piece in pieces]),
        segment_starts=np.concatenate(starts),
    )


def _cut(detector: Detector, series: Series, first: int, stop: int, *, is_last: bool = False) -> Stretch:
    begin, end = _reach_start(detector, series, first), min(stop + _longest_wait(detector), series.n_timesteps)
    return Stretch(series.rows(begin, end), first - begin, stop - begin, is_last)


def _reach_start(detector: Detector, series: Series, first: int) -> int:
    """Return the first row of those that shape the scores from `first` on."""
    begin = series.segment_starts[np.searchsorted(series.segment_starts, first, side="right") - 1]
    # a window more than the context, so that no row from `first` on lies in the first window, which votes on others
    return max(int(begin), first - detector.context - detector.window_size)


def _longest_wait(detector: Detector) -> int:
    """Return after how many timesteps at most a score is final."""
    return max(detector.delay, detector.window_size + detector.params.lead)


def _stretch_length(detector: Detector) -> int:
    reach = detector.context + detector.window_size + _longest_wait(detector)
    return max(STRETCH_READINGS // len(detector.channels), FEWEST_REACHES * reach)
