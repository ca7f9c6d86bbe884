"""The readings that a stream keeps, and which of them its next scores depend on.

The twin of `detection.streaming` on the client's side, which knows of a model what its card says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offbeat.errors import ReadingsError
from offbeat.readings.moments import step_from_json
from offbeat.serving.stamps import stamp_texts
from offbeat.typing import FloatArray, IntArray

SPARE = 3  # times its context that a stream keeps, for a later model that needs more of it than the present one


@dataclass(frozen=True)
class Card:
    """What a stream must know of a model, for its machine: docs/service.md tells what the card says."""

    version: str
    step: int
    is_time: bool
    window_size: int
    stream_rows: int
    max_gap: int
    channels: tuple[str, ...]

    def check(self, channels: Sequence[str] | None) -> None:
        """Raise ReadingsError where the model has other channels."""
        if channels is not None and sorted(channels) != sorted(self.channels):
            raise ReadingsError(
                f"the model knows channels {', '.join(self.channels)}, got {', '.join(channels)}: give just these"
            )

    @staticmethod
    def of(content: Mapping[str, Any]) -> Card:
        """Read a card; KeyError, TypeError or ValueError if it is none."""
        step, is_time = step_from_json(content["period"])
        return Card(
            version=content["version"],
            step=step,
            is_time=is_time,
            window_size=int(content["window_size"]),
            stream_rows=int(content["stream_rows"]),
            max_gap=int(content["max_gap"]),
            channels=tuple(content["channels"]),
        )


class Context:
    """Readings of one machine in order, without those that no score to come depends on.

    Attributes
    ----------
    stamps, values : ndarray of shape (n,) and (n, F)
    is_time : bool
    n_answered : int
        How many of them the service has taken into account.
    given : int, optional
        Stamp of the last timestep whose score was given out.
    confirmed_step : int, optional
        Of the grid on which the service took the readings as they came.
    """

    def __init__(self) -> None:
        self.stamps: IntArray = np.empty(0, dtype=np.int64)
        self.values: FloatArray = np.empty((0, 0))
        self.is_time = True
        self.n_answered = 0
        self.given: int | None = None
        self.confirmed_step: int | None = None
        self._anchor = 0  # the first reading of all: the grid begins there

    def keep(self, stamps: IntArray, values: FloatArray, is_time: bool) -> None:
        """Take new readings, all or, if it raises ReadingsError, none."""
        if not len(stamps):
            return
        known = self.stamps[-1:]
        if len(known) and (is_time != self.is_time or values.shape[1] != self.values.shape[1]):
            raise ReadingsError(
                f"{values.shape[1]} values at a {'time' if is_time else 'whole number'} follow readings of "
                f"{self.values.shape[1]} at a {'time' if self.is_time else 'whole number'}: give the same kind"
            )
        falls = np.flatnonzero(np.diff(np.concatenate([known, stamps])) <= 0)
        if len(falls):
            row = int(falls[0]) + 1 - len(known)
            raise ReadingsError(
                f"timestamps must rise, but {stamp_texts(stamps[row : row + 1], is_time)[0]} is not later than the one "
                "before it: give the readings in order, each once"
            )
        if not len(known):
            self.is_time, self._anchor, self.values = is_time, int(stamps[0]), values[:0]
        self.stamps, self.values = np.concatenate([self.stamps, stamps]), np.concatenate([self.values, values])

    def rows(self, stop: int, card: Card) -> IntArray:
        """Return which of the first `stop` readings must be sent for the scores to come; none if there are none.

        Notes
        -----
        As `streaming.tail_start`. The service refuses what holds no window, so that before a stretch that is shorter
        than one, the last window of a former stretch goes along. What never made a window, though it could have, is
        sent all the same: the service says what is wrong with it.
        """
        points = self._points(self.stamps[:stop], card.step)
        read = points[~np.isnan(self.values[:stop]).all(axis=1)]  # the others are gaps
        none: IntArray = np.empty(0, dtype=np.int64)
        if not len(read):
            return none
        breaks = np.flatnonzero(np.diff(read) > card.max_gap + 1)
        begins, ends = read[np.append(0, breaks + 1)], read[np.append(breaks, -1)]
        whole = np.flatnonzero(ends - begins >= card.window_size - 1)
        if not len(whole):
            alone = len(read) >= card.window_size and np.median(np.diff(points)) > card.max_gap + 1
            return np.arange(stop) if alone else none
        first = points[0] if self.given is None else self._points(np.array([self.given]), card.step)[0] + 1
        segment = int(np.searchsorted(ends, first))
        if segment == len(ends):
            return none
        start = max(begins[segment], first - card.stream_rows)
        sent = points >= start
        if whole[-1] < segment:
            end = ends[whole[-1]]
            sent |= (points > end - card.window_size) & (points <= end)
        return np.flatnonzero(sent)

    def on_grid(self, rows: IntArray, card: Card) -> tuple[IntArray, FloatArray]:
        """Return the stamps and values of readings, with empty rows that keep the grid where it was.

        Notes
        -----
        The service's grid begins with the first row, so that an empty one stands before readings that lie beside it.
        Once the service took the readings as they came, empty rows fill the short gaps too: else readings of which
        many are missing would look as if they came at another period.
        """
        stamps, points = self.stamps[rows], self._points(self.stamps[rows], card.step)
        empty = [points[0] - 1] if (stamps[0] - self._anchor) % card.step else []
        if self.confirmed_step == card.step:
            for k in np.flatnonzero(np.diff(points) > 1).tolist():
                if points[k + 1] - points[k] <= card.max_gap + 1:
                    empty += range(points[k] + 1, points[k + 1])
        stamps = np.concatenate([stamps, self._anchor + np.array(empty, dtype=np.int64) * card.step])
        values = np.concatenate([self.values[rows], np.full((len(empty), self.values.shape[1]), np.nan)])
        order = np.argsort(stamps)
        return stamps[order], values[order]

    def answered(self, stop: int, rows: IntArray, card: Card) -> None:
        """Forget what no score depends on after an answer to `rows` of the first `stop` readings."""
        spare = np.arange(max(0, stop - len(rows) - SPARE * card.stream_rows), len(self.stamps))
        kept = np.union1d(rows, spare) if len(rows) else np.arange(len(self.stamps))
        self.n_answered = stop - (len(self.stamps) - len(kept))
        self.stamps, self.values = self.stamps[kept], self.values[kept]

    def _points(self, stamps: IntArray, step: int) -> IntArray:
        """Return the nearest grid point of each stamp, as the service does: see `grid.to_grid`."""
        points: IntArray = (stamps - self._anchor + step // 2) // step
        return points
