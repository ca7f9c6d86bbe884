"""Series: the readings of one asset on a regular time grid.

Everything after this module may count on it: rows are one period apart, strictly increasing, free of infinities, and
where readings stay away for long the rows stop and a new segment begins, so no work crosses a hole unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.typing import BoolArray, FloatArray, IntArray

Period: TypeAlias = "pd.Timedelta | timedelta | str | int"

DEFAULT_MAX_GAP = 5  # timesteps
IRREGULAR_STEP = 0.1  # a step further than this share of the period from a whole number of periods is irregular ...
IRREGULAR_SHARE = 0.2  # ... and more than this share of such steps is worth a note
_CLOCK_UNITS_NS = (60_000_000_000, 1_000_000_000, 1_000_000, 1_000)  # minute, second, millisecond, microsecond
_DAYLIGHT_SHIFTS_NS = (3_600_000_000_000, 1_800_000_000_000)


@dataclass(frozen=True)
class Source:
    """What a message calls the readings: a file with its lines, or a frame with its rows."""

    name: str
    lines: IntArray | None = None  # (n,) 1-based line of each row; None for a frame, whose rows count from 0

    def row(self, row: int) -> str:
        """Name one row, e.g. ``pump-1.csv, line 7``."""
        return f"{self.name}, row {row}" if self.lines is None else f"{self.name}, line {self.lines[row]}"


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
    """

    asset: str
    channels: tuple[str, ...]
    values: FloatArray
    index: pd.DatetimeIndex | pd.Index[int]
    period: pd.Timedelta | int
    segment_starts: IntArray
    notes: tuple[str, ...] = ()

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


def as_utc(when: pd.Timestamp) -> pd.Timestamp:
    """Convert a time to UTC with nanoseconds; one without a zone is taken as UTC."""
    aware = when.tz_localize("UTC") if when.tz is None else when.tz_convert("UTC")
    return aware.as_unit("ns")


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
    is_time, naive = isinstance(df.index, pd.DatetimeIndex), getattr(df.index, "tz", None) is None
    stamps = _stamps(df.index, source)
    _check_order(stamps, source, is_time, naive)
    first, values = _merge_duplicates(stamps, values, channels, source, is_time, naive)
    merged, stamps = len(stamps) - len(first), stamps[first]
    step = _step(stamps, period, is_time, source)
    said = [*notes, *([f"{count(merged, 'row')} that repeated a timestamp merged"] if merged else [])]
    said += _step_notes(stamps, _points(stamps, step), step, is_time, inferred=period is None)
    return _on_grid(stamps, values, channels, asset, source, step, max_gap, is_time, said)


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
    infinite = np.isinf(values)
    if infinite.any():
        row, column = (int(place[0]) for place in np.nonzero(infinite))
        raise ReadingsError(
            f"{source.row(row)}: channel {channels[column]!r} is {values[row, column]}: "
            "a reading must be finite; leave it empty if it is missing"
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
    return _index_stamps(index)


def _show(stamp: int, is_time: bool) -> str:
    return str(pd.Timestamp(stamp, tz="UTC")) if is_time else str(stamp)


def _daylight_hint(stamps: IntArray, step: int, is_time: bool, naive: bool) -> str:
    """Say so when a step back looks like clocks put back: local time with its hour told twice."""
    forward = np.diff(stamps)
    forward = forward[forward > 0]
    usual = int(np.median(forward)) if len(forward) else 0
    if is_time and naive and (-step in _DAYLIGHT_SHIFTS_NS or usual - step in _DAYLIGHT_SHIFTS_NS):
        return " (clocks put back at the end of daylight-saving time? Then write UTC, or each time with its offset)"
    return ""


def _check_order(stamps: IntArray, source: Source, is_time: bool, naive: bool) -> None:
    steps = np.diff(stamps)
    back = np.flatnonzero(steps < 0)
    if len(back):
        row = int(back[0]) + 1
        hint = _daylight_hint(stamps, int(steps[row - 1]), is_time, naive)
        raise ReadingsError(
            f"{source.row(row)}: timestamps must not go back, but {_show(stamps[row], is_time)} follows "
            f"{_show(stamps[row - 1], is_time)}{hint}: sort the readings by time"
        )


def _merge_duplicates(
    stamps: IntArray, values: FloatArray, channels: tuple[str, ...], source: Source, is_time: bool, naive: bool
) -> tuple[IntArray, FloatArray]:
    """First row of each timestamp, and the values of each timestamp; rows that contradict each other are refused."""
    first = np.flatnonzero(np.concatenate(([True], np.diff(stamps) > 0)))
    if len(first) == len(stamps):
        return first, values
    lowest, highest = np.fmin.reduceat(values, first), np.fmax.reduceat(values, first)
    conflict = lowest < highest  # false where all are NaN
    if conflict.any():
        group, column = (int(place[0]) for place in np.nonzero(conflict))
        row = int(first[group]) + 1
        raise ReadingsError(
            f"{source.row(row)}: timestamp {_show(stamps[row], is_time)} stands there twice with different readings of "
            f"channel {channels[column]!r}{_daylight_hint(stamps, 0, is_time, naive)}: keep one row for each timestamp"
        )
    return first, lowest


def _step(stamps: IntArray, period: Period | None, is_time: bool, source: Source) -> int:
    """Step of the grid in nanoseconds or index units: the given period, or the one the readings show."""
    if period is not None:
        return _given_step(period, is_time, source)
    if len(stamps) < 2:
        raise ReadingsError(f"{source.name} holds a single timestamp, so its period is unknown: give the period")
    steps = np.diff(stamps)
    kinds, counts = np.unique(steps, return_counts=True)
    if 2 * counts.max() >= len(steps):
        return int(kinds[counts.argmax()])
    median = max(1, round(float(np.median(steps))))
    for unit in _CLOCK_UNITS_NS if is_time else ():
        rounded = round(median / unit) * unit
        if abs(rounded - median) <= 0.005 * median:
            return rounded
    return median


def _given_step(period: Period, is_time: bool, source: Source) -> int:
    if is_time == isinstance(period, int | np.integer):
        wanted = "a time such as '10s'" if is_time else "a whole number of index steps"
        raise ReadingsError(f"{source.name}: period={period!r} must be {wanted}, like the index of the readings")
    try:
        step = int(period) if isinstance(period, int) else int(pd.Timedelta(period).value)
    except ValueError as error:
        raise ReadingsError(
            f"{source.name}: period={period!r} is not a length of time: write '10s' or '5min'"
        ) from error
    if step <= 0:  # also NaT
        raise ReadingsError(f"{source.name}: period={period!r} must be longer than zero")
    return step


def _on_grid(
    stamps: IntArray,
    values: FloatArray,
    channels: tuple[str, ...],
    asset: str,
    source: Source,
    step: int,
    max_gap: int,
    is_time: bool,
    notes: list[str],
) -> Series:
    """Place readings of distinct timestamps on the grid, fill short gaps with NaN rows, split at long ones."""
    point = _points(stamps, step)
    read = ~np.isnan(values).all(axis=1)
    if not read.any():
        raise ReadingsError(f"{source.name}: every channel is missing in every row: give at least one reading")
    if not read.all():
        notes.append(f"{count(int((~read).sum()), 'row')} in which every channel is missing taken as a gap")
        point, values = point[read], values[read]
    point, values, averaged = _average_points(point, values)
    if averaged:
        notes.append(f"{count(averaged, 'reading')} averaged with others on the same grid point")
    empty = np.diff(point) - 1  # grid points without a reading before each next one
    long = empty > max_gap
    if len(point) >= 10 and 2 * (int(long.sum()) + 1) >= len(point):
        raise ReadingsError(
            f"{source.name}: on a grid of {_length(step, is_time)} most readings stand alone, far from their "
            "neighbours: give the period at which readings really come"
        )
    row = np.concatenate(([0], np.cumsum(np.where(long, 0, empty) + 1)))
    notes += _gap_notes(empty, long, step, is_time)
    filled, grid = values, point
    if row[-1] + 1 > len(row):
        filled = np.full((int(row[-1]) + 1, values.shape[1]), np.nan)
        filled[row] = values
        # each row's grid point: its distance from the last row with a reading, added to that one's point
        last = np.searchsorted(row, np.arange(len(filled)), side="right") - 1
        grid = point[last] + np.arange(len(filled)) - row[last]
    ticks = stamps[0] + grid * step
    index = pd.DatetimeIndex(ticks.astype("M8[ns]"), tz="UTC") if is_time else pd.Index(ticks)
    period = pd.Timedelta(step, unit="ns") if is_time else step
    starts = np.concatenate(([0], row[1:][long])).astype(np.int64)
    return Series(asset, channels, filled, index, period, starts, tuple(notes))


def _points(stamps: IntArray, step: int) -> IntArray:
    """Nearest grid point of each reading, counted from the first; halfway goes to the later."""
    points: IntArray = (stamps - stamps[0] + step // 2) // step
    return points


def _average_points(point: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray, int]:
    """Average the readings of each grid point, NaN ignored; also how many readings shared a point."""
    first = np.flatnonzero(np.concatenate(([True], np.diff(point) > 0)))
    if len(first) == len(point):
        return point, values, 0
    sums = np.add.reduceat(np.where(np.isnan(values), 0.0, values), first)
    counts = np.add.reduceat(~np.isnan(values), first, dtype=np.int64)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    sizes = np.diff(np.append(first, len(point)))
    return point[first], means, int(sizes[sizes > 1].sum())


def count(number: int, thing: str) -> str:
    """Number and noun, e.g. ``2 rows``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _length(step: int, is_time: bool) -> str:
    if not is_time:
        return str(step)
    days, rest = divmod(step, 86_400_000_000_000)
    text = f"{days} d {rest / 3.6e12:.1f} h" if days else f"{step / 1e9:g} s"
    return text.removesuffix(" 0.0 h")


def _step_notes(stamps: IntArray, point: IntArray, step: int, is_time: bool, inferred: bool) -> list[str]:
    notes = []
    away = np.abs(stamps - stamps[0] - point * step)
    if away.any():
        most = _length(int(away.max()), is_time)
        notes.append(
            f"{count(int(np.count_nonzero(away)), 'reading')} moved to the nearest grid point, by at most {most}"
        )
    steps = np.diff(stamps)
    # two periods after the last reading is a gap, not an irregular reading
    whole = np.maximum((steps + step // 2) // step, 1) * step
    odd = int((np.abs(steps - whole) > IRREGULAR_STEP * step).sum())
    if inferred and odd > IRREGULAR_SHARE * len(steps):
        notes.append(
            f"irregular: {odd / len(steps):.0%} of the steps are more than {IRREGULAR_STEP:.0%} away from a whole "
            f"number of periods of {_length(step, is_time)}; give the period if it is wrong"
        )
    return notes


def _gap_notes(empty: IntArray, long: BoolArray, step: int, is_time: bool) -> list[str]:
    notes = []
    short = (empty > 0) & ~long
    if short.any():
        rows = count(int(empty[short].sum()), "missing row")
        notes.append(f"{count(int(short.sum()), 'short gap')} filled with {rows}")
    if long.any():
        longest = _length(int(empty.max()) * step, is_time)
        notes.append(f"readings split at {count(int(long.sum()), 'long gap')}, at most {longest}")
    return notes
