"""What a detector says of a series: scores, alarms, and for each event when, how strongly and in which channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from offbeat.detection.events import alarm_mask, events_of
from offbeat.detection.scores import anomaly_scores, channel_shares
from offbeat.readings.moments import Moment, index_of_stamps, moment_of
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

LEADING_SHARE = 0.5  # an event's leading channels are the fewest that make up this share of it


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
    scores : ndarray of shape (T,)
        NaN where nothing could be scored: in segments shorter than a window, and where nothing was read.
    threshold : float
    alarms : ndarray of shape (T,), bool
    channel_shares : ndarray of shape (T, F)
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
    scores: FloatArray
    threshold: float
    alarms: BoolArray
    channel_shares: FloatArray
    events: tuple[Event, ...]
    settled: BoolArray
    lineage: Mapping[str, str]

    @cached_property
    def index(self) -> pd.DatetimeIndex | pd.Index[int]:
        """The timestamps (T,) in UTC, or the integer index."""
        return index_of_stamps(self.stamps, self.is_time)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a timestep: asset, score, threshold, alarm and `share.<channel>`."""
        import pandas as pd

        frame = pd.DataFrame(
            {"asset": self.asset, "score": self.scores, "threshold": self.threshold, "alarm": self.alarms},
            index=self.index,
        )
        shares = pd.DataFrame(self.channel_shares, index=self.index, columns=[f"share.{c}" for c in self.channels])
        return pd.concat([frame, shares], axis=1)


def score_result(
    series: Series,
    channels: tuple[str, ...],
    by_channel: FloatArray,
    combine: str,
    threshold: float,
    merge_gap: int,
    settled: BoolArray,
    lineage: Mapping[str, str],
) -> ScoreResult:
    """Return the result of channel scores (T, F), combined as `combine` says, at a threshold."""
    scores, shares = anomaly_scores(by_channel, combine), channel_shares(by_channel)
    alarms = alarm_mask(scores, threshold, max_gap=merge_gap, segment_starts=series.segment_starts)
    events = tuple(
        Event(
            start=start,
            stop=stop,
            first_stamp=int(series.stamps[start]),
            last_stamp=int(series.stamps[stop - 1]),
            is_time=series.is_time,
            peak_score=float(np.nanmax(scores[start:stop])),
            channels=_leading(channels, scores[start:stop], shares[start:stop], threshold),
        )
        for start, stop in events_of(alarms, series.segment_starts).tolist()
    )
    return ScoreResult(
        asset=series.asset,
        channels=channels,
        stamps=series.stamps,
        is_time=series.is_time,
        scores=scores,
        threshold=threshold,
        alarms=alarms,
        channel_shares=shares,
        events=events,
        settled=settled,
        lineage=lineage,
    )


def _leading(
    channels: tuple[str, ...], scores: FloatArray, shares: FloatArray, threshold: float
) -> tuple[tuple[str, float], ...]:
    """Return the fewest channels that make up `LEADING_SHARE` of an event.

    Each timestep above the threshold weighs as its score; the pauses that merging bridged do not count.
    """
    weights = np.where(scores > threshold, scores, 0.0)
    mean = weights @ shares / weights.sum()
    order = np.argsort(-mean, kind="stable")
    n_leading = int(np.searchsorted(np.cumsum(mean[order]), LEADING_SHARE)) + 1
    return tuple((channels[i], float(mean[i])) for i in order[:n_leading])
