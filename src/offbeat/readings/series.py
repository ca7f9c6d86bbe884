"""Series: the readings of one asset on a regular time grid.

Everything after this module may count on it: rows are one period apart, strictly increasing, free of infinities, and
where readings stay away for long the rows stop and a new segment begins, so no work crosses a hole unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from offbeat.errors import ReadingsError
from offbeat.readings.grid import Grid, Readings
from offbeat.readings.limits import LARGEST_READING
from offbeat.readings.messages import Source
from offbeat.readings.moments import index_of_stamps, length_of
from offbeat.typing import FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

    from offbeat.readings.frames import Period

DEFAULT_MAX_GAP = 5  # timesteps
HASHED_ROWS = 1 << 14  # at once


@dataclass(frozen=True, eq=False)
class Series:
    """Readings of one asset on a regular grid.

    Attributes
    ----------
    asset : str
    channels : tuple of str
    values : ndarray of shape (T, F), float64 or, where all channels came so, float32; read-only
        NaN where a reading is missing.
    stamps : ndarray of shape (T,), int, read-only, strictly increasing
        Nanoseconds since 1970 UTC, or an integer index.
    is_time : bool
        Which of the two.
    step : int
        From one row to the next, in the unit of `stamps`.
    segment_starts : ndarray of shape (S,), int
        First row of each stretch that no long gap interrupts; begins with 0.
    notes : tuple of str
        What reading did, in words: rows merged, readings moved to the grid, gaps.
    max_gap : int
        Longest run of timesteps without a reading that stays inside a segment.
    """

    asset: str
    channels: tuple[str, ...]
    values: FloatArray
    stamps: IntArray
    is_time: bool
    step: int
    segment_starts: IntArray
    notes: tuple[str, ...] = ()
    max_gap: int = DEFAULT_MAX_GAP

    def __post_init__(self) -> None:
        assert self.values.shape == (len(self.stamps), len(self.channels)), "values must be (T, F)"
        for name in ("values", "stamps", "segment_starts"):
            view = getattr(self, name).view()  # the caller's own array stays writeable
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    @classmethod
    def from_frame(
        cls, df: pd.DataFrame, asset: str, *, period: Period | None = None, max_gap: int = DEFAULT_MAX_GAP
    ) -> Series:
        """Check the readings in a frame and put them on a regular grid.

        Parameters
        ----------
        df : DataFrame of n readings
            One numeric or bool column for each channel; the index is a DatetimeIndex (without a time zone it is
            taken as UTC, with one it is converted) or an index of integers. NaN is a missing reading.
        asset : str
            Name of the machine.
        period : Timedelta, str such as "10s", or int for an integer index, optional
            Step of the grid; inferred if absent.
        max_gap : int
            Longest run of grid points without a reading that windows may cross, in timesteps.

        Returns
        -------
        Series

        Raises
        ------
        ReadingsError
            If there are no readings or no channel, a column is not numeric or named twice, a value is infinite, a
            timestamp is missing or out of order, two rows of one timestamp contradict each other, or no sensible
            period can be found.

        Notes
        -----
        *Period*: the most common step if it makes up at least half of the steps, else the median step, rounded to
        whole minutes, seconds, milliseconds or microseconds (the coarsest that changes it by at most 0.5 %).

        *Grid*: it starts at the first timestamp. Each reading goes to the nearest grid point (halfway: the later);
        readings on the same point are averaged, NaN ignored. A row whose channels are all missing is no reading.
        So pieces of one stream share a grid only if the stream is regular already, whole periods apart; irregular
        readings land elsewhere when they are cut elsewhere.

        *Gaps*: up to `max_gap` successive points without a reading become rows of NaN inside the segment; more than
        that store no rows and start a new segment.
        """
        from offbeat.readings.frames import series_from_frame

        return series_from_frame(df, asset, Source(f"asset {asset!r}"), period=period, max_gap=max_gap)

    @property
    def n_timesteps(self) -> int:
        """Number of rows, T."""
        return len(self.stamps)

    @cached_property
    def index(self) -> pd.DatetimeIndex | pd.Index[int]:
        """The timestamps (T,) in UTC, or the integer index."""
        return index_of_stamps(self.stamps, self.is_time)

    @cached_property
    def period(self) -> pd.Timedelta | int:
        """Step of the grid."""
        return length_of(self.step, self.is_time)

    @property
    def n_channels(self) -> int:
        """Number of channels, F."""
        return len(self.channels)

    @property
    def period_s(self) -> float | None:
        """Step of the grid in seconds; None for an integer index, whose steps have no known length."""
        return self.step / 1e9 if self.is_time else None

    @property
    def segments(self) -> list[tuple[int, int]]:
        """Rows ``(start, stop)`` of each segment, in order."""
        stops = [*self.segment_starts[1:].tolist(), self.n_timesteps]
        return list(zip(self.segment_starts.tolist(), stops, strict=False))

    @property
    def positions(self) -> IntArray:
        """Place of each row on the grid that is counted from 1970 (or from 0), shape (T,); successive rows of a
        segment differ by 1, whatever part of the readings this series holds."""
        # whole numbers throughout: a float would round two neighbours to one position
        return (self.stamps + (self.step // 2 if self.is_time else 0)) // self.step

    def rows(self, start: int, stop: int) -> Series:
        """Cut out rows ``start`` to ``stop`` (not included); segments stay separate."""
        if not 0 <= start <= stop <= self.n_timesteps:
            raise ValueError(f"rows {start} to {stop} do not lie within the {self.n_timesteps} rows of {self.asset!r}")
        inner = self.segment_starts[(self.segment_starts > start) & (self.segment_starts < stop)] - start
        starts = np.concatenate(([0], inner)) if stop > start else inner
        return replace(
            self, values=self.values[start:stop], stamps=self.stamps[start:stop], segment_starts=starts.astype(np.int64)
        )

    def row_of(self, when: datetime | str | int) -> int:
        """First row at or after `when`; T if there is none. A time without a zone is taken as UTC.

        Raises
        ------
        ReadingsError
            If `when` is a time and the index holds integers, or the reverse.
        """
        if self.is_time == isinstance(when, int | np.integer):
            kind = "times" if self.is_time else "integers"
            raise ReadingsError(f"asset {self.asset!r} is indexed by {kind}, got {when!r}: give the same kind")
        import pandas as pd

        from offbeat.readings.frames import as_utc

        stamp = int(when) if isinstance(when, int | np.integer) else as_utc(pd.Timestamp(when)).value
        return int(np.searchsorted(self.stamps, stamp, side="left"))

    def in_order(self, channels: Sequence[str]) -> Series:
        """Put the channels into another order; the names must be the same."""
        assert sorted(channels) == sorted(self.channels), "the same channels, in another order"
        order = [self.channels.index(name) for name in channels]
        return replace(self, channels=tuple(channels), values=self.values[:, order])

    def to_frame(self) -> pd.DataFrame:
        """Copy the readings into a frame, one column for each channel."""
        import pandas as pd

        return pd.DataFrame(self.values.copy(), index=self.index, columns=list(self.channels))


def series_of_grid(asset: str, readings: Readings, grid: Grid, max_gap: int, notes: Sequence[str] = ()) -> Series:
    """Return the series of readings that were put on a grid."""
    return Series(
        asset=asset,
        channels=readings.channels,
        values=grid.values,
        stamps=grid.stamps,
        is_time=readings.is_time,
        step=grid.step,
        segment_starts=np.union1d(0, grid.segment_starts),
        notes=(*notes, *grid.notes),
        max_gap=max_gap,
    )


def series_hash(series: Series) -> str:
    """Return the SHA-256 of a series: its name, channels, period, timestamps, readings and segments."""
    head = json.dumps([series.asset, series.channels, int(series.step), series.is_time])
    digest = hashlib.sha256(head.encode())
    for start in range(0, series.n_timesteps, HASHED_ROWS):  # in double precision, whatever they are stored in
        digest.update(np.ascontiguousarray(series.values[start : start + HASHED_ROWS], dtype=np.float64).data)
    for array in (series.stamps, series.segment_starts):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def check_finite(values: FloatArray, channels: Sequence[str], source: Source) -> None:
    """Refuse readings (n, F) that are infinite or beyond what any sensor reads; NaN is a missing one.

    Raises
    ------
    ReadingsError
        Naming row and channel.
    """
    wild = np.abs(values) > min(LARGEST_READING, float(np.finfo(values.dtype).max))
    if wild.any():
        row, column = (int(place[0]) for place in np.nonzero(wild))
        raise ReadingsError(
            f"{source.row(row)}: channel {channels[column]!r} is {values[row, column]}: "
            f"a reading must be finite and within ±{LARGEST_READING:g}; leave it empty if it is missing"
        )
