"""Windows over a series: where they start, what they hold, and their errors back on the timesteps.

Windows are named by their starts and gathered batch by batch, so that memory grows with (T, F), never (N, W, F).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from offbeat.detection.events import events_of
from offbeat.typing import BoolArray, FloatArray, IntArray

Segments = list[tuple[int, int]]
BATCH_SIZE = 64  # windows; small enough for the processor's cache


def window_starts(segments: Segments, positions: IntArray, window_size: int, stride: int) -> IntArray:
    """Return the starts of the windows that lie within one segment and begin on the stride, in ascending order.

    Parameters
    ----------
    segments : list of (start, stop)
        Stretches of rows that no long gap interrupts.
    positions : ndarray of shape (n_timesteps,), int
        Place of each row on the time grid. Windows start where it is a multiple of `stride`, so that the same
        readings make the same windows however the series is cut.
    window_size, stride : int
        In timesteps; 1 <= stride <= window_size.

    Returns
    -------
    ndarray of shape (n_windows,), int
    """
    starts = [
        np.arange(start + int(-positions[start] % stride), stop - window_size + 1, stride) for start, stop in segments
    ]
    return np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)


def edge_starts(segments: Segments, window_size: int) -> IntArray:
    """Return the first and the last window of each segment that holds one, whatever the stride."""
    pairs = [(start, stop - window_size) for start, stop in segments if stop - start >= window_size]
    return np.unique(np.array(pairs, dtype=np.int64))


def covered(starts: IntArray, window_size: int, n_timesteps: int) -> BoolArray:
    """Return which timesteps (T,) lie in at least one window; starts ascend."""
    mask = np.zeros(n_timesteps, dtype=bool)
    breaks = np.flatnonzero(np.diff(starts) > window_size) + 1  # between windows that do not touch
    for run in np.split(starts, breaks) if len(starts) else ():
        mask[run[0] : run[-1] + window_size] = True
    return mask


def reach_mask(usable: BoolArray, segment_starts: IntArray, before: int, after: int) -> BoolArray:
    """Return the timesteps (T,) whose `before` predecessors and `after` successors are all usable, in one segment."""
    mask = np.zeros(len(usable), dtype=bool)
    for start, stop in events_of(usable, segment_starts).tolist():
        mask[start + before : max(stop - after, start)] = True
    return mask


def gather_windows(values: FloatArray, starts: IntArray, window_size: int) -> FloatArray:
    """Return windows (N, W, F), a copy, of values (T, F)."""
    windows: FloatArray = values[starts[:, None] + np.arange(window_size)]  # (N, W, F)
    return windows


def hold_missing(windows: FloatArray) -> FloatArray:
    """Replace missing readings by the last one held in the same window and channel.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, window_size, n_channels)
        In scaled units, NaN where a reading is missing.

    Returns
    -------
    ndarray of the same shape
        Readings before the first of a channel take that first one; a channel without any reading is 0, the middle of
        its training span. These values feed the network; the error of a missing reading stays NaN.
    """
    missing = np.isnan(windows)
    if not missing.any():
        return windows
    window_size, n_channels = windows.shape[1:]
    rows = np.broadcast_to(np.arange(window_size)[:, None], (window_size, n_channels))
    held = np.maximum.accumulate(np.where(missing, -1, rows), axis=1)  # row of the last reading, -1 if none yet
    first = np.argmin(missing, axis=1)[:, None, :]  # 0 also where nothing was read
    source = np.where(held < 0, first, held)
    filled: FloatArray = np.take_along_axis(windows, source, axis=1)
    return np.nan_to_num(filled, nan=0.0)


def timestep_errors(
    errors_of: Callable[[IntArray], FloatArray],
    segments: Segments,
    positions: IntArray,
    n_channels: int,
    *,
    window_size: int,
    horizon: int,
    stride: int,
    delay: int,
    each: Callable[..., Iterable[FloatArray]] = map,
) -> FloatArray:
    """Average the errors of the windows that cover each timestep and end at most `delay` after it.

    Parameters
    ----------
    errors_of : callable
        Takes starts (n,), returns the errors (n, H, F) of the last `horizon` timesteps of those windows; NaN where a
        reading is missing.
    segments, positions, window_size, stride
        As in `window_starts`.
    n_channels : int
    horizon : int
        In timesteps; stride <= horizon <= window_size.
    delay : int
        In timesteps; stride - 1 <= delay < window_size.
    each : callable
        Takes `errors_of` and batches of starts, gives the errors of each batch in order.

    Returns
    -------
    ndarray of shape (n_timesteps, n_channels)
        NaN where the reading is missing, its segment is shorter than a window, or it stands at the head of a segment
        where no window's last `horizon` timesteps reach.

    Notes
    -----
    With delay 0 an error depends on the readings up to its own timestep alone; with window_size - 1 every window
    that covers the timestep votes. The head of a segment, where no window ends so soon, takes the error of the
    segment's first window, and with a stride the tail that of its last; their mean where both cover it.
    """
    head = window_size - horizon  # rows that have no error
    votes = _Sums(len(positions), n_channels, range(max(window_size - 1 - delay, head), window_size), head)
    spare = _Sums(len(positions), n_channels, range(head, window_size), head)
    starts, edges = window_starts(segments, positions, window_size, stride), edge_starts(segments, window_size)
    both = starts if stride == 1 else np.union1d(starts, edges)  # every window starts on a stride of 1
    chosen = [(votes, _among(both, starts)), (spare, _among(both, edges))]
    batches = [slice(first, first + BATCH_SIZE) for first in range(0, len(both), BATCH_SIZE)]
    for batch, errors in zip(batches, each(errors_of, [both[batch] for batch in batches]), strict=True):  # (n, H, F)
        for sums, mask in chosen:
            own = mask[batch]
            if own.all():
                sums.add(both[batch], errors)
            elif own.any():
                sums.add(both[batch][own], errors[own])
    alone = spare.reached & ~votes.reached
    mean, rest = votes.mean, spare.mean
    mean[alone] = rest[alone]
    return mean


def _among(starts: IntArray, chosen: IntArray) -> BoolArray:
    """Return which of `starts` (n,) are among `chosen`, all of them ascending."""
    if len(starts) == len(chosen):
        return np.ones(len(starts), dtype=bool)
    mask = np.zeros(len(starts), dtype=bool)
    mask[np.searchsorted(starts, chosen)] = True
    return mask


class _Sums:
    """Sums of the errors of some rows of windows, for each timestep and channel."""

    def __init__(self, n_timesteps: int, n_channels: int, rows: range, head: int) -> None:
        self.rows, self._head = rows, head  # of windows; errors begin at row `head`
        self.total, self.count = np.zeros((n_timesteps, n_channels)), np.zeros((n_timesteps, n_channels))
        self.reached = np.zeros(n_timesteps, dtype=bool)

    def add(self, starts: IntArray, errors: FloatArray) -> None:
        """Add the errors (n, H, F) of windows that begin at `starts` (n,)."""
        read = ~np.isnan(errors)
        known = np.where(read, errors, 0.0)
        if len(starts) < len(self.rows):
            inside = slice(self.rows.start - self._head, self.rows.stop - self._head)
            for k, start in enumerate(starts.tolist()):
                here = slice(start + self.rows.start, start + self.rows.stop)
                self.total[here] += known[k, inside]
                self.count[here] += read[k, inside]
                self.reached[here] = True
            return
        first, last = int(starts[0]), int(starts[-1])
        follow = last - first == len(starts) - 1  # as with a stride of 1: their timesteps are a slice, which is faster
        for row in self.rows:  # within a row the timesteps are distinct, so that += adds each
            at = slice(first + row, last + row + 1) if follow else starts + row
            self.total[at] += known[:, row - self._head]
            self.count[at] += read[:, row - self._head]
            self.reached[at] = True

    @property
    def mean(self) -> FloatArray:
        """Mean error (T, F); NaN where nothing was added."""
        with np.errstate(invalid="ignore"):
            return self.total / self.count
