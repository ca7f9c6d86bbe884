"""What a detector says of a series: scores, alarms, and for each event when, how strongly and in which channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from offbeat.detection.running import Rows, Running, Spell
from offbeat.readings.moments import Moment, index_of_stamps, moment_of
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

MOST_SHARES = 1 << 22  # numbers that a result keeps, 32 MB; more are made anew when they are asked for


@dataclass(frozen=True)
class Event:
    """An alarm: rows [start, stop), stamps of its first and last timestep, how strong, and which channels lead it."""

    start: int
    stop: int
    first_stamp: int
    last_stamp: int
    is_time: bool
    peak_score: float
    channels: tuple[tuple[str, float], ...]  # name and share of the leading channels, strongest first

    @property
    def first(self) -> Moment:
        """Its first timestep."""
        return moment_of(self.first_stamp, self.is_time)

    @property
    def last(self) -> Moment:
        """Its last timestep."""
        return moment_of(self.last_stamp, self.is_time)


@dataclass(frozen=True, eq=False)
class ScoreResult:
    """What a detector says of a series.

    Attributes
    ----------
    asset : str
    channels : tuple of str
    stamps : ndarray of shape (T,), int
        As those of the series; `index` gives them as times.
    is_time : bool
    step : int
        Of the grid, in the unit of `stamps`.
    scores : ndarray of shape (T,)
        NaN where nothing could be scored: in segments shorter than a window, and where nothing was read.
    threshold : float
    alarms : ndarray of shape (T,), bool
    shares_of : callable
        Returns `channel_shares`; of a long series it scores anew, for they would take as much memory as the readings.
    events : tuple of Event
        The runs of `alarms`.
    settled : ndarray of shape (T,), bool
        Where the score had all the readings before it that it asks for, and no later reading will change it. A pause
        between two alarms becomes part of them up to `merge_gap` timesteps later.
    lineage : mapping of str to str
        Data hash, params hash, commit and version behind the scores; after `calibrate`, its data hash and changes.
    """

    asset: str
    channels: tuple[str, ...]
    stamps: IntArray
    is_time: bool
    step: int
    scores: FloatArray
    threshold: float
    alarms: BoolArray
    shares_of: Callable[[], FloatArray]
    events: tuple[Event, ...]
    settled: BoolArray
    lineage: Mapping[str, str]

    @cached_property
    def index(self) -> pd.DatetimeIndex | pd.Index[int]:
        """The timestamps (T,) in UTC, or the integer index."""
        return index_of_stamps(self.stamps, self.is_time)

    @cached_property
    def channel_shares(self) -> FloatArray:
        """Each channel's part (T, F) of the score; a row sums to 1, or to 0 where there is no score."""
        return self.shares_of()

    def to_frame(self) -> pd.DataFrame:
        """Return one row a timestep: asset, score, threshold, alarm and `share.<channel>`."""
        import pandas as pd

        frame = pd.DataFrame(
            {"asset": self.asset, "score": self.scores, "threshold": self.threshold, "alarm": self.alarms},
            index=self.index,
        )
        shares = pd.DataFrame(self.channel_shares, index=self.index, columns=[f"share.{c}" for c in self.channels])
        return pd.concat([frame, shares], axis=1)


class Results:
    """Scored timesteps to results, as they come: of each those whose alarm is known, and the events that are over.

    Parameters
    ----------
    asset, channels, is_time, step, threshold, lineage
        As those of each result.
    merge_gap : int
        In timesteps.
    """

    def __init__(
        self,
        asset: str,
        channels: tuple[str, ...],
        is_time: bool,
        step: int,
        threshold: float,
        merge_gap: int,
        lineage: Mapping[str, str],
    ) -> None:
        self._asset, self._channels, self._is_time, self._lineage = asset, channels, is_time, lineage
        self._step, self._threshold, self._running = step, threshold, Running(threshold, merge_gap)

    def take(self, rows: Rows, *, is_last: bool = False) -> ScoreResult:
        """Return the result of the next timesteps; `is_last` says that none follows.

        The rows of its events are counted from the first timestep of all.
        """
        known, alarms, spells = self._running.take(rows, is_last=is_last)
        return ScoreResult(
            asset=self._asset,
            channels=self._channels,
            stamps=known.stamps,
            is_time=self._is_time,
            step=self._step,
            scores=known.scores,
            threshold=self._threshold,
            alarms=alarms,
            shares_of=lambda: known.shares,
            events=tuple(_event(spell, self._channels, self._is_time) for spell in spells),
            settled=known.settled,
            lineage=self._lineage,
        )


def whole_result(parts: Iterable[ScoreResult], series: Series, shares_of: Callable[[], FloatArray]) -> ScoreResult:
    """Return the results of successive timesteps of a series as one; a single one is returned as it is."""
    scores, row = np.empty(series.n_timesteps), 0
    shares = np.empty((series.n_timesteps, len(series.channels)) if series.values.size <= MOST_SHARES else 0)
    alarms, settled = np.empty((2, series.n_timesteps), dtype=bool)
    events: list[Event] = []
    for part in parts:
        stop = row + len(part.scores)
        if stop - row == series.n_timesteps:
            return part
        scores[row:stop], alarms[row:stop], settled[row:stop] = part.scores, part.alarms, part.settled
        if shares.size:
            shares[row:stop] = part.channel_shares
        events += part.events
        row = stop
    assert row == series.n_timesteps, "every timestep is in one part"
    return replace(
        part,
        stamps=series.stamps,
        scores=scores,
        alarms=alarms,
        settled=settled,
        events=tuple(events),
        shares_of=(lambda: shares) if shares.size else shares_of,
    )


def _event(spell: Spell, channels: tuple[str, ...], is_time: bool) -> Event:
    return Event(
        start=spell.start,
        stop=spell.stop,
        first_stamp=spell.first_stamp,
        last_stamp=spell.last_stamp,
        is_time=is_time,
        peak_score=spell.peak,
        channels=spell.leading(channels),
    )
