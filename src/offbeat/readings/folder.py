"""Readings from files: one CSV or Parquet file for each asset, with labels, exclusions and splits beside them.

Nothing is guessed that could be wrong in silence: a timestamp that could be read two ways, a text among numbers or a
label of an unknown asset is refused with its file, line and remedy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.progress import Report, counted, silent
from offbeat.readings.frames import Period, readings_of_frame, series_from_frame
from offbeat.readings.grid import Readings
from offbeat.readings.messages import Source, duration_text
from offbeat.readings.moments import Moment
from offbeat.readings.series import DEFAULT_MAX_GAP, Series
from offbeat.readings.spans import (
    SPAN_FILES,
    VERDICTS,
    Span,
    read_alarms,
    read_spans,
    read_test_starts,
    span_mask,
)
from offbeat.readings.tables import (
    counts_rows_from_elsewhere,
    parquet_pieces,
    parquet_size,
    read_csv,
    read_parquet,
)
from offbeat.readings.timestamps import INDEX_NAMES, counts_rows, index_of, index_place
from offbeat.typing import BoolArray

READINGS_SUFFIXES = (".csv", ".parquet")
PIECE_READINGS = 1 << 17  # cells that are read at once of a file that comes in pieces
MOST_AT_ONCE = 1 << 19  # cells of the largest file that is read at once where pieces would do


@dataclass(frozen=True)
class Folder:
    """A folder of readings: like assets in natural order of their names, and what is known about them.

    `alarms` are past ones, a person's verdict as their note. `test_starts` gives the first reading of an asset's test
    span, where splits.csv names one. `notes` says in words what reading found odd but usable.
    """

    series: tuple[Series, ...]
    labels: tuple[Span, ...] = ()
    exclude: tuple[Span, ...] = ()
    alarms: tuple[Span, ...] = ()
    test_starts: Mapping[str, Moment] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def masks(self, series: Series) -> tuple[BoolArray, BoolArray, BoolArray]:
        """Return which rows (T,) of a series are labelled, which are excluded, and which are doubtful.

        An alarm judged true is a label, one judged expected an exclusion, one judged false neither. One that nobody
        has judged may be anything: where nothing else says what it is, its rows are doubtful. A model learns from none
        of the three, and is evaluated on the doubtful ones as on normal ones: leaving out where the champion raised an
        alarm would favour the champion.
        """
        judged = {verdict: [a for a in self.alarms if a.note == verdict] for verdict in ("", *VERDICTS)}
        labelled = span_mask(series, self.labels) | span_mask(series, judged["true"])
        excluded = span_mask(series, self.exclude) | span_mask(series, judged["expected"])
        return labelled, excluded, span_mask(series, judged[""]) & ~labelled & ~excluded


def read_folder(
    path: Path, *, period: Period | None = None, max_gap: int = DEFAULT_MAX_GAP, report: Report = silent
) -> Folder:
    """Read a folder of readings with its labels, exclusions and splits.

    Parameters
    ----------
    path : Path
        Holds ``readings/<asset>.csv`` or ``.parquet`` (or those files themselves), and optionally ``labels.csv``
        (asset,start,end[,kind]), ``exclude.csv`` (asset,start,end[,reason]), ``alarms.csv`` (asset,start,end,verdict)
        and ``splits.csv`` (asset,test_start). Starts and ends both belong to the span; times without a zone are UTC.
    period, max_gap
        As for `Series.from_frame`.
    report : callable, optional
        Takes each `Step`, in files.

    Returns
    -------
    Folder

    Raises
    ------
    ReadingsError
        If a file cannot be used, the assets differ in channels, kind of index or period, or a span does not fit.
    """
    path = Path(path)
    files = counted(reading_files(path), report, "reading", "files")
    series = alike([read_readings(file, period=period, max_gap=max_gap) for file in files])
    labels, label_notes = read_spans(path / "labels.csv", series)
    exclude, exclude_notes = read_spans(path / "exclude.csv", series)
    alarms, alarm_notes = read_alarms(path / "alarms.csv", series)
    test_starts = read_test_starts(path / "splits.csv", series)
    return Folder(tuple(series), labels, exclude, alarms, test_starts, (*label_notes, *exclude_notes, *alarm_notes))


def read_readings(path: Path, *, period: Period | None = None, max_gap: int = DEFAULT_MAX_GAP) -> Series:
    """Read one asset's readings; its name is the file's name without the ending.

    Parameters
    ----------
    path : Path
        CSV (separated by comma, semicolon or tab; decimal point; UTF-8; a first line of column names) or Parquet.
    period, max_gap
        As for `Series.from_frame`.

    Returns
    -------
    Series

    Raises
    ------
    ReadingsError
        If the file cannot be read, a cell is no number, a timestamp cannot be read in exactly one way, or
        `Series.from_frame` refuses the readings.

    Notes
    -----
    *Timestamps* are the column called timestamp, datetime, time, date or ts; else a column of type datetime; else the
    first column if it reads as time; else a first column of whole numbers called index, row, t or step, or without a
    name, is an integer index; else rows count from 0. ISO 8601 is understood, offsets are converted to UTC, times
    without offset are UTC. Day and month written as numbers are told apart by a day after the 12th, or refused.
    *Numbers as timestamps* are seconds, milliseconds, microseconds or nanoseconds since 1970, whichever puts every
    row between 1980 and 2100; whole numbers below 10 million are steps, an integer index; others are refused.

    Missing readings are empty cells, NA, NaN, null, n/a and what else pandas takes as such.
    """
    path = Path(path)
    frame, source, notes = read_frame(path)
    return series_from_frame(frame, path.stem, source, period=period, max_gap=max_gap, notes=notes)


def read_frame(path: Path, *, text_column: str | None = None) -> tuple[pd.DataFrame, Source, list[str]]:
    """Read a file's readings as they stand there, by the rules of `read_readings`, not yet checked or on a grid.

    Parameters
    ----------
    path : Path
    text_column : str, optional
        A column that holds no readings and is left as it is.

    Returns
    -------
    frame : DataFrame
        Channels over a DatetimeIndex (naive is UTC), an integer index, or a RangeIndex where rows are only counted.
    source : Source
    notes : list of str

    Raises
    ------
    ReadingsError
        As `read_readings`, but for what `Series.from_frame` refuses.
    """
    if path.suffix.lower() not in READINGS_SUFFIXES:
        raise ReadingsError(f"{path.name}: readings are .csv or .parquet files: convert it")
    text_columns = () if text_column is None else (text_column,)
    is_parquet = path.suffix.lower() == ".parquet"
    frame, source = read_parquet(path) if is_parquet else read_csv(path, text_columns=text_columns)
    place = index_place(frame, source)
    notes: list[str] = []
    if place is None:
        notes.append("no timestamp column: rows count from 0")
    else:
        frame, source = _without_blank(frame, source)
        if not len(frame):
            raise ReadingsError(f"{source.name} holds no readings: give at least two rows")
    index = _index_at(place, frame, source)
    kept = [k for k in range(frame.shape[1]) if k != place and not counts_rows(frame, k)]
    if len(kept) < frame.shape[1] - (place is not None):
        name = repr(frame.columns[0]) if frame.columns[0] else "without a name"
        notes.append(f"first column {name} only counts the rows: left out")
    return _channels_over(frame, kept, index, source, text_columns), source, notes


def comes_in_pieces(path: Path) -> bool:
    """Whether a file of readings is so large that `readings_in_pieces` reads it, and of a kind that this can.

    That is Parquet whose time column is of a type for times, or whose rows have an integer index or none. What texts
    and numbers mean as times, only all of them together tell.
    """
    if path.suffix.lower() != ".parquet":
        return False
    n_rows, n_columns = parquet_size(path)
    if n_rows * n_columns <= MOST_AT_ONCE or counts_rows_from_elsewhere(path):
        return False
    frame = next(parquet_pieces(path, PIECE_READINGS))
    place, first = index_place(frame, Source(path.name)), frame.dtypes.iloc[0]
    named = frame.columns[0].lower() in INDEX_NAMES
    if place is None:
        return pd.api.types.is_numeric_dtype(first) and not named
    if pd.api.types.is_datetime64_any_dtype(frame.dtypes.iloc[place]):
        return place == 0 or not named
    return place == 0 and named and pd.api.types.is_integer_dtype(first)


def readings_in_pieces(path: Path) -> Iterator[Readings]:
    """Yield the readings of a file for which `comes_in_pieces` holds, by the rules of `read_readings`, on no grid yet.

    Raises
    ------
    ReadingsError
        As `read_readings`, but for what a grid asks; what is wrong further on shows at its place.
    """
    n_rows, place = 0, None
    for k, frame in enumerate(parquet_pieces(path, PIECE_READINGS)):
        source = Source(path.name, first=n_rows)
        place = index_place(frame, source) if k == 0 else place
        if place is not None:
            frame, source = _without_blank(frame, source)
        if len(frame):
            n_rows += len(frame)
            kept = [column for column in range(frame.shape[1]) if column != place]
            index = _index_at(place, frame, source)
            yield readings_of_frame(_channels_over(frame, kept, index, source), source)
    if not n_rows:
        raise ReadingsError(f"{path.name} holds no readings: give at least two rows")


def _without_blank(frame: pd.DataFrame, source: Source) -> tuple[pd.DataFrame, Source]:
    """Leave out rows without a single entry, which are no readings; elsewhere they hold the place of one."""
    blank = frame.isna().all(axis=1).to_numpy()
    lines = None if source.lines is None else source.lines[~blank]
    return (frame[~blank] if blank.any() else frame), replace(source, lines=lines)


def _index_at(place: int | None, frame: pd.DataFrame, source: Source) -> pd.Index:
    """Return the index that a column holds, or a count of the rows where none does."""
    if place is None:
        return pd.RangeIndex(source.first, source.first + len(frame))
    return index_of(frame.iloc[:, place], source)


def _channels_over(
    frame: pd.DataFrame, kept: Sequence[int], index: pd.Index, source: Source, text_columns: Collection[str] = ()
) -> pd.DataFrame:
    columns = {frame.columns[k]: frame.iloc[:, k] for k in kept}
    columns = {name: one if name in text_columns else _numbers(one, source) for name, one in columns.items()}
    return pd.DataFrame({name: one.to_numpy() for name, one in columns.items()}, index)


def reading_files(path: Path) -> list[Path]:
    """List a folder's files of readings, in natural order of the assets' names; each asset has one.

    Raises
    ------
    ReadingsError
        If the folder cannot be listed, holds no readings, or two files are one asset's.
    """
    path = Path(path)
    if not path.is_dir():
        raise ReadingsError(f"{path} is not a folder: give the folder that holds readings/")
    nested = (path / "readings").is_dir()
    others = () if nested else [f"{name}.csv" for name in SPAN_FILES]
    try:
        entries = list((path / "readings" if nested else path).iterdir())
    except OSError as error:
        raise ReadingsError(f"{path} cannot be read: {error.strerror}: check that you may read it") from error
    files = [
        file
        for file in entries
        if file.suffix.lower() in READINGS_SUFFIXES
        and not file.name.startswith(".")
        and file.name.lower() not in others
    ]
    if not files:
        raise ReadingsError(f"{path} holds no readings: put one .csv or .parquet file for each asset into readings/")
    files.sort(key=lambda file: (_natural(file.stem), file.name))
    for one, other in pairwise(files):
        if one.stem == other.stem:
            raise ReadingsError(f"asset {one.stem!r} has two files, {one.name} and {other.name}: keep one")
    return files


def alike(series: Sequence[Series]) -> list[Series]:
    """Check that the assets can share a model, and put their channels into the first asset's order."""
    first = series[0]
    result = []
    for one in series:
        missing = [name for name in first.channels if name not in one.channels]
        extra = [name for name in one.channels if name not in first.channels]
        if missing or extra:
            wrong = [f"lacks {_some(missing)}"] if missing else []
            wrong += [f"has in addition {_some(extra)}"] if extra else []
            raise ReadingsError(
                f"all assets of a group need the same channels, but {one.asset!r} {' and '.join(wrong)} compared with "
                f"{first.asset!r}: rename or drop columns, or train one group of like assets at a time"
            )
        if isinstance(one.index, pd.DatetimeIndex) != isinstance(first.index, pd.DatetimeIndex):
            timed, counted = (one, first) if isinstance(one.index, pd.DatetimeIndex) else (first, one)
            raise ReadingsError(
                f"asset {timed.asset!r} has timestamps and {counted.asset!r} an integer index: "
                "give all assets the same, or train one group of like assets at a time"
            )
        if one.period != first.period:
            raise ReadingsError(
                f"all assets of a group need the same period, but {one.asset!r} has {duration_text(one.period)} and "
                f"{first.asset!r} {duration_text(first.period)}: give the period, or train one group of like assets "
                "at a time"
            )
        result.append(one if one.channels == first.channels else one.in_order(first.channels))
    return result


def _numbers(column: pd.Series, source: Source) -> pd.Series:
    """Read a channel; a text that is neither a number nor a missing marker is refused."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    bad = (numbers.isna() & column.notna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        cell = str(column.iloc[row])
        remedy = "leave the cell empty if the reading is missing, or drop the column"
        if re.fullmatch(r"[+-]?[0-9][0-9.,']*", cell):
            remedy = "write a decimal point, and nothing between the thousands"
        raise ReadingsError(f"{source.row(row)}: column {column.name!r} must hold numbers, got {cell!r}: {remedy}")
    return numbers.astype(np.float64)


def _some(names: list[str]) -> str:
    """First few of many names."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(repr, names[:5])) + more


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which pump-2 comes before pump-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
