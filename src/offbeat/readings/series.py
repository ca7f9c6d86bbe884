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

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.grid import Period, Readings, to_grid
from offbeat.readings.messages import Source
from offbeat.typing import FloatArray, IntArray

DEFAULT_MAX_GAP = 5  # timesteps
LARGEST_READING = 1e100  # its square is still a number; no sensor reads more


@dataclass(frozen=True, eq=False)
class Series:
    """Readings of one asset on a regular grid.

    Attributes
    ----------
    asset : str
    channels : tuple of str
    values : ndarray of shape (T, F), float64, read-only
        NaN where a reading is missing.
    index : DatetimeIndex (UTC) or Index of int64, of length T, strictly increasing
    period : Timedelta or int
        Step of the grid.
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
    index: pd.DatetimeIndex | pd.Index[int]
    period: pd.Timedelta | int
    segment_starts: IntArray
    notes: tuple[str, ...] = ()
    max_gap: int = DEFAULT_MAX_GAP

    def __post_init__(self) -> None:
        assert self.values.shape == (len(self.index), len(self.channels)), "values must be (T, F)"
        for name in ("values", "segment_starts"):
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
        return series_from_frame(df, asset, Source(f"asset {asset!r}"), period=period, max_gap=max_gap)

    @property
    def n_timesteps(self) -> int:
        """Number of rows, T."""
        return len(self.index)

    @property
    def n_channels(self) -> int:
        """Number of channels, F."""
        return len(self.channels)

    @property
    def period_s(self) -> float | None:
        """Step of the grid in seconds; None for an integer index, whose steps have no known length."""
        return self.period.total_seconds() if isinstance(self.period, pd.Timedelta) else None

    @property
    def segments(self) -> list[tuple[int, int]]:
        """Rows ``(start, stop)`` of each segment, in order."""
        stops = [*self.segment_starts[1:].tolist(), self.n_timesteps]
        return list(zip(self.segment_starts.tolist(), stops, strict=False))

    @property
    def stamps(self) -> IntArray:
        """Index as integers, shape (T,): nanoseconds since 1970 UTC, or the integer index itself."""
        return _index_stamps(self.index)

    @property
    def positions(self) -> IntArray:
        """Place of each row on the grid that is counted from 1970 (or from 0), shape (T,); successive rows of a
        segment differ by 1, whatever part of the readings this series holds."""
        if isinstance(self.period, pd.Timedelta):
            period_ns = self.period.value
            # whole numbers throughout: a float would round two neighbours to one position
            return (self.stamps + period_ns // 2) // period_ns
        return self.stamps // self.period

    def rows(self, start: int, stop: int) -> Series:
        """Cut out rows ``start`` to ``stop`` (not included); segments stay separate."""
        if not 0 <= start <= stop <= self.n_timesteps:
            raise ValueError(f"rows {start} to {stop} do not lie within the {self.n_timesteps} rows of {self.asset!r}")
        inner = self.segment_starts[(self.segment_starts > start) & (self.segment_starts < stop)] - start
        starts = np.concatenate(([0], inner)) if stop > start else inner
        return replace(
            self, values=self.values[start:stop], index=self.index[start:stop], segment_starts=starts.astype(np.int64)
        )

    def row_of(self, when: datetime | str | int) -> int:
        """First row at or after `when`; T if there is none. A time without a zone is taken as UTC.

        Raises
        ------
        ReadingsError
            If `when` is a time and the index holds integers, or the reverse.
        """
        is_time = isinstance(self.index, pd.DatetimeIndex)
        if is_time == isinstance(when, int | np.integer):
            kind = "times" if is_time else "integers"
            raise ReadingsError(f"asset {self.asset!r} is indexed by {kind}, got {when!r}: give the same kind")
        stamp = int(when) if isinstance(when, int | np.integer) else as_utc(pd.Timestamp(when)).value
        return int(np.searchsorted(self.stamps, stamp, side="left"))

    def in_order(self, channels: Sequence[str]) -> Series:
        """Put the channels into another order; the names must be the same."""
        assert sorted(channels) == sorted(self.channels), "the same channels, in another order"
        order = [self.channels.index(name) for name in channels]
        return replace(self, channels=tuple(channels), values=self.values[:, order])

    def to_frame(self) -> pd.DataFrame:
        """Copy the readings into a frame, one column for each channel."""
        return pd.DataFrame(self.values.copy(), index=self.index, columns=list(self.channels))


def series_from_frame(
    df: pd.DataFrame,
    asset: str,
    source: Source,
    *,
    period: Period | None = None,
    max_gap: int = DEFAULT_MAX_GAP,
    notes: Sequence[str] = (),
) -> Series:
    """Do the work of `Series.from_frame` with messages that name `source`, after `notes` of whoever read it."""
    if max_gap < 0:
        raise ReadingsError(f"max_gap={max_gap} must be at least 0 timesteps")
    channels = _channels(df, source)
    if len(df) == 0:
        raise ReadingsError(f"{source.name} holds no readings: give at least two rows")
    values = _values(df, channels, source)
    is_time, is_local = isinstance(df.index, pd.DatetimeIndex), getattr(df.index, "tz", None) is None
    readings = Readings(_stamps(df.index, source), values, channels, source, is_time, is_local)
    grid = to_grid(readings, period, max_gap)
    index = pd.DatetimeIndex(grid.stamps.astype("M8[ns]"), tz="UTC") if is_time else pd.Index(grid.stamps)
    return Series(asset, channels, grid.values, index, grid.period, grid.segment_starts, (*notes, *grid.notes), max_gap)


def series_hash(series: Series) -> str:
    """Return the SHA-256 of a series: its name, channels, period, timestamps, readings and segments."""
    head = json.dumps([series.asset, series.channels, str(series.period)])
    digest = hashlib.sha256(head.encode())
    for array in (series.values, series.stamps, series.segment_starts):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def as_utc(when: pd.Timestamp) -> pd.Timestamp:
    """Convert a time to UTC with nanoseconds; one without a zone is taken as UTC."""
    aware = when.tz_localize("UTC") if when.tz is None else when.tz_convert("UTC")
    return aware.as_unit("ns")


def _channels(df: pd.DataFrame, source: Source) -> tuple[str, ...]:
    channels = tuple(str(name) for name in df.columns)
    if not channels:
        raise ReadingsError(f"{source.name} has no channel: give at least one numeric column")
    twice = sorted({name for name in channels if channels.count(name) > 1})
    if twice:
        raise ReadingsError(f"{source.name}: column {twice[0]!r} stands there more than once: rename or drop one")
    return channels


def _values(df: pd.DataFrame, channels: tuple[str, ...], source: Source) -> FloatArray:
    for name, dtype in zip(channels, df.dtypes, strict=True):
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
            raise ReadingsError(
                f"{source.name}: channel {name!r} must hold numbers, but its type is {dtype}: "
                "convert it (pandas.to_numeric) or drop it"
            )
    values = df.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)  # (n, F)
    wild = np.abs(values) > LARGEST_READING
    if wild.any():
        row, column = (int(place[0]) for place in np.nonzero(wild))
        raise ReadingsError(
            f"{source.row(row)}: channel {channels[column]!r} is {values[row, column]}: "
            f"a reading must be finite and within ±{LARGEST_READING:g}; leave it empty if it is missing"
        )
    return values


def _index_stamps(index: pd.Index) -> IntArray:
    if isinstance(index, pd.DatetimeIndex):
        return np.asarray(index.as_unit("ns").asi8, dtype=np.int64)
    return index.to_numpy(dtype=np.int64)


def _stamps(index: pd.Index, source: Source) -> IntArray:
    """Timestamps as nanoseconds since 1970 UTC, or the integers themselves, shape (n,)."""
    if isinstance(index, pd.DatetimeIndex):
        if index.hasnans:
            raise ReadingsError(f"{source.row(int(np.argmax(index.isna())))}: the timestamp is missing: fill it in")
        try:
            return _index_stamps(index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC"))
        except pd.errors.OutOfBoundsDatetime as error:
            raise ReadingsError(f"{source.name}: timestamps must lie between 1678 and 2262: {error}") from error
    if isinstance(index, pd.MultiIndex) or not pd.api.types.is_integer_dtype(index.dtype) or index.hasnans:
        raise ReadingsError(
            f"{source.name}: the index must hold timestamps or integers, not {index.dtype}: "
            "set it with df.set_index(pandas.to_datetime(...))"
        )
    if len(index) and index.max() > np.iinfo(np.int64).max:
        row = int(index.argmax())
        raise ReadingsError(f"{source.row(row)}: index {index[row]} must lie below 2**63: count from a later start")
    return _index_stamps(index)
