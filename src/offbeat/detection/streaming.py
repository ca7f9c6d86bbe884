"""Scores of readings that go on: which are final, and where to begin so that the next ones equal those of the whole."""

from __future__ import annotations

import numpy as np

from offbeat.detection.detector import Detector
from offbeat.readings.series import Series
from offbeat.typing import BoolArray


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
    wait = detector.delay if stop - start >= head + window_size else window_size + params.lead
    final[max(stop - wait, start) :] = False
    return final


def tail_start(detector: Detector, series: Series, first: int) -> int:
    """Return the row from which on readings must be scored so that those from `first` on score as in the whole."""
    begin = max(start for start, _ in series.segments if start <= first)
    # a window more than the context, so that no row from `first` on lies in the first window, which votes on others
    start = max(begin, first - detector.context - detector.window_size)
    windows = [stop - detector.window_size for begin, stop in series.segments if stop - begin >= detector.window_size]
    return min(start, max(windows, default=0))
