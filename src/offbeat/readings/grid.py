"""Readings to a regular grid: order, duplicates, period, gaps.

Timestamps are whole numbers throughout (nanoseconds, or steps of an integer index), so that nothing is lost to
rounding; `Series.from_frame` states the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from offbeat.errors import ReadingsError
from offbeat.readings.messages import Source, count, length_text, stamp_text
from offbeat.typing import BoolArray, FloatArray, IntArray

IRREGULAR_STEP = 0.1  # a step further than this share of the period from a whole number of periods is irregular ...
IRREGULAR_SHARE = 0.2  # ... and more than this share of such steps is worth a note
_CLOCK_UNITS_NS = (60_000_000_000, 1_000_000_000, 1_000_000, 1_000)  # minute, second, millisecond, microsecond
_LONGEST = 2**62  # so that no difference overflows, half a step added
_DAYLIGHT_SHIFTS_NS = (3_600_000_000_000, 1_800_000_000_000)


@dataclass(frozen=True, eq=False)
class Readings:
    """Readings as they came: `stamps` (n,), `values` (n, F) free of infinities; `is_local` times name no zone."""

    stamps: IntArray
    values: FloatArray
    channels: tuple[str, ...]
    source: Source
    is_time: bool
    is_local: bool

    def length_text(self, stamps: int) -> str:
        """Write a difference of stamps as people do."""
        return length_text(stamps, self.is_time)


@dataclass(frozen=True, eq=False)
class Grid:
    """Readings on a regular grid: `stamps` (T,), `values` (T, F), `segment_starts` (S,), and what was done in words."""

    stamps: IntArray
    values: FloatArray
    segment_starts: IntArray
    step: int
    notes: tuple[str, ...]


def to_grid(readings: Readings, step: int | None, max_gap: int) -> Grid:
    """Put readings on a regular grid by the rules of `Series.from_frame`; there is at least one.

    Raises
    ------
    ReadingsError
        If stamps go back or contradict each other, no sensible period can be found, or every reading is missing.
    """
    check_order(readings, int(readings.stamps.min()))
    n_rows = len(readings.stamps)
    readings = _distinct(readings)
    merged = n_rows - len(readings.stamps)
    notes = [f"{count(merged, 'row')} that repeated a timestamp merged"] if merged else []
    inferred = step is None
    step = inferred_step(readings) if step is None else step
    point = _points(readings.stamps, step, int(readings.stamps[0]))
    notes += _step_notes(readings, point, step, inferred=inferred)
    point, values, more = _one_per_point(readings, point)
    empty = np.diff(point) - 1  # grid points without a reading before each next one
    long = empty > max_gap
    _check_read(readings, step, len(point), int(long.sum()))
    more += _gap_notes(readings, empty, long, step)
    point, values, starts = _filled(point, values, empty, long)
    stamps = readings.stamps[0] + point * step
    return Grid(stamps, values, starts, step, (*notes, *more))


class GridPieces:
    """Puts readings that come in pieces, in the order of time, on one grid: what it returns makes up that of `to_grid`.

    Parameters
    ----------
    step, max_gap : int
        Step of the grid in nanoseconds or steps of an index; longest gap inside a segment, in timesteps.
    """

    def __init__(self, step: int, max_gap: int) -> None:
        self._step, self._max_gap = step, max_gap
        self._anchor: int | None = None
        self._rest: Readings | None = None  # of the last grid point, where others may follow
        self._last: IntArray = np.empty(0, dtype=np.int64)  # the last grid point with a reading that was given out
        self._n_points = self._n_long = 0

    def take(self, readings: Readings, *, is_last: bool = False) -> Grid:
        """Return the rows that are known; those of the last grid point are not, unless no piece follows.

        Its segments are those that begin in it.

        Raises
        ------
        ReadingsError
            As `to_grid`; what is wrong with all of the readings, with the last piece.
        """
        readings = readings if self._rest is None else _one_after_the_other(self._rest, readings)
        anchor = self._anchor = int(readings.stamps[0]) if self._anchor is None else self._anchor
        check_order(readings, anchor)
        point = _points(readings.stamps, self._step, anchor)
        n_known = len(point) if is_last else int(np.searchsorted(point, point[-1]))
        self._rest = _rows_of(readings, slice(n_known, None))
        known = _rows_of(readings, slice(n_known))
        known = _distinct(known) if n_known else known
        point, values, _ = _one_per_point(known, _points(known.stamps, self._step, anchor))
        grid = self._grid(point, values, anchor)
        if is_last:
            _check_read(readings, self._step, self._n_points, self._n_long)
        return grid

    def _grid(self, point: IntArray, values: FloatArray, anchor: int) -> Grid:
        n_before = len(self._last)
        if len(point):
            # after the last point before, so that the gap between the two is treated as any
            point = np.concatenate([self._last, point])
            values = np.concatenate([np.full((n_before, values.shape[1]), np.nan, values.dtype), values])
            self._last = point[-1:]
            empty = np.diff(point) - 1
            long = empty > self._max_gap
            self._n_points, self._n_long = self._n_points + len(point) - n_before, self._n_long + int(long.sum())
            point, values, starts = _filled(point, values, empty, long)
            point, values, starts = point[n_before:], values[n_before:], starts[n_before:] - n_before
        else:
            starts = np.empty(0, dtype=np.int64)
        return Grid(anchor + point * self._step, values, starts, self._step, ())


def check_order(readings: Readings, first: int) -> None:
    """Refuse stamps that go back, or are too far from the `first` of all.

    Raises
    ------
    ReadingsError
        Naming the row.
    """
    stamps, is_time = readings.stamps, readings.is_time
    last = int(stamps.max())
    if last - first >= _LONGEST:
        raise ReadingsError(
            f"{readings.source.name}: readings must span less than {'146 years' if is_time else '2**62 steps'}, got "
            f"{stamp_text(first, is_time)} to {stamp_text(last, is_time)}: correct or drop the stray ones"
        )
    steps = np.diff(stamps)
    back = np.flatnonzero(steps < 0)
    if len(back):
        row = int(back[0]) + 1
        hint = _daylight_hint(readings, int(steps[row - 1]))
        raise ReadingsError(
            f"{readings.source.row(row)}: timestamps must not go back, but {stamp_text(stamps[row], is_time)} follows "
            f"{stamp_text(stamps[row - 1], is_time)}{hint}: sort the readings by time"
        )


def _distinct(readings: Readings) -> Readings:
    """Merge rows of one timestamp; rows that contradict each other are refused."""
    stamps, first = readings.stamps, _group_starts(readings.stamps)
    if len(first) == len(stamps):
        return readings
    lowest, highest = np.fmin.reduceat(readings.values, first), np.fmax.reduceat(readings.values, first)
    conflict = lowest < highest  # false where all are NaN
    if conflict.any():
        group, column = (int(place[0]) for place in np.nonzero(conflict))
        row = int(first[group]) + 1
        raise ReadingsError(
            f"{readings.source.row(row)}: timestamp {stamp_text(stamps[row], readings.is_time)} stands there twice "
            f"with different readings of channel {readings.channels[column]!r}{_daylight_hint(readings, 0)}: "
            "keep one row for each timestamp"
        )
    return replace(readings, stamps=stamps[first], values=lowest)


def _daylight_hint(readings: Readings, step: int) -> str:
    """Say so when a step back looks like clocks put back: local time with its hour told twice."""
    forward = np.diff(readings.stamps)
    forward = forward[forward > 0]
    if not readings.is_time or not readings.is_local or not len(forward):
        return ""
    if -step in _DAYLIGHT_SHIFTS_NS or int(np.median(forward)) - step in _DAYLIGHT_SHIFTS_NS:
        return " (clocks put back at the end of daylight-saving time? Then write UTC, or each time with its offset)"
    return ""


def inferred_step(readings: Readings) -> int:
    """Step of the grid that the readings show, in nanoseconds or index units.

    Raises
    ------
    ReadingsError
        If there is a single one.
    """
    if len(readings.stamps) < 2:
        raise ReadingsError(
            f"{readings.source.name} holds a single timestamp, so its period is unknown: give the period"
        )
    steps = np.diff(readings.stamps)
    kinds, counts = np.unique(steps, return_counts=True)
    if 2 * counts.max() >= len(steps):
        return int(kinds[counts.argmax()])
    median = max(1, round(float(np.median(steps))))
    for unit in _CLOCK_UNITS_NS if readings.is_time else ():
        rounded = round(median / unit) * unit
        if abs(rounded - median) <= 0.005 * median:
            return rounded
    return median


def _check_read(readings: Readings, step: int, n_points: int, n_long: int) -> None:
    """Refuse readings none of which is there, or most of which stand alone between long gaps."""
    if not n_points:
        raise ReadingsError(f"{readings.source.name}: every channel is missing in every row: give at least one reading")
    if n_points >= 10 and 2 * (n_long + 1) >= n_points:
        raise ReadingsError(
            f"{readings.source.name}: on a grid of {readings.length_text(step)} most readings stand alone, "
            "far from their neighbours: give the period at which readings really come"
        )


def _rows_of(readings: Readings, rows: slice) -> Readings:
    source = replace(readings.source, first=readings.source.first + (rows.start or 0))
    return replace(readings, stamps=readings.stamps[rows], values=readings.values[rows], source=source)


def _one_after_the_other(one: Readings, other: Readings) -> Readings:
    stamps, values = np.concatenate([one.stamps, other.stamps]), np.concatenate([one.values, other.values])
    return replace(one, stamps=stamps, values=values, source=replace(other.source, first=one.source.first))


def shown_step(readings: Readings) -> int:
    """Return the step of the grid that readings in order show, as `to_grid` infers it."""
    return inferred_step(_distinct(readings))


def _points(stamps: IntArray, step: int, anchor: int) -> IntArray:
    """Nearest grid point of each reading, counted from that of `anchor`; halfway goes to the later."""
    points: IntArray = (stamps - anchor + step // 2) // step
    return points


def _one_per_point(readings: Readings, point: IntArray) -> tuple[IntArray, FloatArray, list[str]]:
    """Leave out rows without a reading and average those that share a grid point, NaN ignored; also notes of it."""
    values, notes = readings.values, []
    read = ~np.isnan(values).all(axis=1)
    if not read.all():
        notes.append(f"{count(int((~read).sum()), 'row')} in which every channel is missing taken as a gap")
        point, values = point[read], values[read]
    first = _group_starts(point)
    if len(first) >= len(point):  # none has a group of its own
        return point, values, notes
    sums = np.add.reduceat(np.where(np.isnan(values), 0.0, values), first, dtype=np.float64)
    counts = np.add.reduceat(~np.isnan(values), first, dtype=np.int64)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    sizes = np.diff(np.append(first, len(point)))
    shared = int(sizes[sizes > 1].sum())
    notes.append(f"{count(shared, 'reading')} averaged with others on the same grid point")
    return point[first], means.astype(values.dtype, copy=False), notes


def _filled(
    point: IntArray, values: FloatArray, empty: IntArray, long: BoolArray
) -> tuple[IntArray, FloatArray, IntArray]:
    """Fill short gaps with rows of NaN and start a segment after each long one."""
    row = np.concatenate(([0], np.cumsum(np.where(long, 0, empty) + 1)))
    starts = np.concatenate(([0], row[1:][long])).astype(np.int64)
    if row[-1] + 1 == len(row):
        return point, values, starts
    filled = np.full((int(row[-1]) + 1, values.shape[1]), np.nan, values.dtype)
    filled[row] = values
    # each row's grid point: its distance from the last row with a reading, added to that one's point
    last = np.searchsorted(row, np.arange(len(filled)), side="right") - 1
    return point[last] + np.arange(len(filled)) - row[last], filled, starts


def _group_starts(ascending: IntArray) -> IntArray:
    """First place of each group of equal numbers."""
    return np.flatnonzero(np.concatenate(([True], np.diff(ascending) > 0)))


def _step_notes(readings: Readings, point: IntArray, step: int, *, inferred: bool) -> list[str]:
    notes = []
    away = np.abs(readings.stamps - readings.stamps[0] - point * step)
    if away.any():
        moved, most = count(int(np.count_nonzero(away)), "reading"), readings.length_text(int(away.max()))
        notes.append(f"{moved} moved to the nearest grid point, by at most {most}")
    steps = np.diff(readings.stamps)
    # two periods after the last reading is a gap, not an irregular reading
    whole = np.maximum((steps + step // 2) // step, 1) * step
    odd = int((np.abs(steps - whole) > IRREGULAR_STEP * step).sum())
    if inferred and odd > IRREGULAR_SHARE * len(steps):
        notes.append(
            f"irregular: {odd / len(steps):.0%} of the steps are more than {IRREGULAR_STEP:.0%} away from a whole "
            f"number of periods of {readings.length_text(step)}; give the period if it is wrong"
        )
    return notes


def _gap_notes(readings: Readings, empty: IntArray, long: BoolArray, step: int) -> list[str]:
    notes = []
    short = (empty > 0) & ~long
    if short.any():
        rows = count(int(empty[short].sum()), "missing row")
        notes.append(f"{count(int(short.sum()), 'short gap')} filled with {rows}")
    if long.any():
        longest = readings.length_text(int(empty.max()) * step)
        notes.append(f"readings split at {count(int(long.sum()), 'long gap')}, at most {longest}")
    return notes
