"""One asset's readings from its files, by rules that leave nothing to guess.

The months of a partitioned data set are read as one table: what its texts and numbers mean, all of them tell together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.assets import NO_MONTH, READINGS_SUFFIXES, AssetFiles
from offbeat.readings.frames import Period, readings_of_frame, series_from_frame
from offbeat.readings.grid import Readings
from offbeat.readings.messages import Source, file_name
from offbeat.readings.series import DEFAULT_MAX_GAP, Series
from offbeat.readings.tables import (
    counts_rows_from_elsewhere,
    parquet_pieces,
    parquet_size,
    read_csv,
    read_parquet,
)
from offbeat.readings.timestamps import INDEX_NAMES, counts_rows, index_of, index_place

PIECE_READINGS = 1 << 17  # cells that are read at once of readings that come in pieces
MOST_AT_ONCE = 1 << 19  # cells of the largest table that is read at once where pieces would do


def read_readings(one: AssetFiles, *, period: Period | None = None, max_gap: int = DEFAULT_MAX_GAP) -> Series:
    """Read one asset's readings.

    Parameters
    ----------
    one : AssetFiles
        CSV (separated by comma, semicolon or tab; decimal point; UTF-8; a first line of column names) or Parquet; of
        several files, which have the same columns, the rows stand end to end.
    period, max_gap
        As for `Series.from_frame`.

    Returns
    -------
    Series

    Raises
    ------
    ReadingsError
        If a file cannot be read or has other columns than the first, a cell is no number, a timestamp cannot be read
        in exactly one way, or `Series.from_frame` refuses the readings.

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
    frame, source, notes = read_frame(one)
    return series_from_frame(frame, one.asset, source, period=period, max_gap=max_gap, notes=notes)


def read_frame(one: AssetFiles, *, text_column: str | None = None) -> tuple[pd.DataFrame, Source, list[str]]:
    """Read one asset's readings as they stand there, by the rules of `read_readings`, not yet checked or on a grid.

    Parameters
    ----------
    one : AssetFiles
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
    path = one.files[0]
    if path.suffix.lower() not in READINGS_SUFFIXES:
        raise ReadingsError(f"{path.name}: readings are .csv or .parquet files: convert it")
    text_columns = () if text_column is None else (text_column,)
    is_parquet = path.suffix.lower() == ".parquet"
    frame, source = read_parquet(one.files, one.name) if is_parquet else read_csv(path, text_columns=text_columns)
    place = index_place(frame, source)
    notes: list[str] = []
    if place is None:
        notes.append("no timestamp column: rows count from 0")
    else:
        frame, source = _without_blank(frame, source)
        if not len(frame):
            raise ReadingsError(f"{source.name} holds no readings: give at least two rows")
    index = _index_at(place, frame, source)
    if len(one.files) > 1 and not isinstance(index, pd.DatetimeIndex):
        raise ReadingsError(f"{one.name} has months, but its rows have no times: join them under month={NO_MONTH}")
    kept = [k for k in range(frame.shape[1]) if k != place and not counts_rows(frame, k)]
    if len(kept) < frame.shape[1] - (place is not None):
        name = repr(frame.columns[0]) if frame.columns[0] else "without a name"
        notes.append(f"first column {name} only counts the rows: left out")
    return _channels_over(frame, kept, index, source, text_columns), source, notes


def comes_in_pieces(one: AssetFiles) -> bool:
    """Whether an asset has so many readings that `readings_in_pieces` reads them, and of a kind that this can.

    That is Parquet whose time column is of a type for times, or whose rows have an integer index or none. What texts
    and numbers mean as times, only all of them together tell.

    Raises
    ------
    ReadingsError
        If a file cannot be read as Parquet or has other columns than the first.
    """
    if one.files[0].suffix.lower() != ".parquet":
        return False
    n_rows, n_columns = parquet_size(one.files)
    if n_rows * n_columns <= MOST_AT_ONCE or any(counts_rows_from_elsewhere(file) for file in one.files):
        return False
    frame = next(frame for file in one.files for frame in parquet_pieces(file, PIECE_READINGS))
    place, first = index_place(frame, Source(one.name)), frame.dtypes.iloc[0]
    named = frame.columns[0].lower() in INDEX_NAMES
    if place is not None and pd.api.types.is_datetime64_any_dtype(frame.dtypes.iloc[place]):
        return place == 0 or not named
    if len(one.files) > 1:
        return False
    if place is None:
        return pd.api.types.is_numeric_dtype(first) and not named
    return place == 0 and named and pd.api.types.is_integer_dtype(first)


def readings_in_pieces(one: AssetFiles) -> Iterator[Readings]:
    """Yield the readings of an asset for which `comes_in_pieces` holds, as `read_readings` reads them, on no grid yet.

    Raises
    ------
    ReadingsError
        As `read_readings`, but for what a grid asks; what is wrong further on shows at its place.
    """
    source = Source(one.name)
    for path in one.files:
        if len(one.files) > 1:
            source = replace(source, files=(*source.files, (source.first, file_name(path))))
        for readings in _file_in_pieces(path, source):
            source = replace(source, first=source.first + len(readings.stamps))
            yield readings
    if not source.first:
        raise ReadingsError(f"{one.name} holds no readings: give at least two rows")


def _file_in_pieces(path: Path, source: Source) -> Iterator[Readings]:
    place: int | None = None
    for k, frame in enumerate(parquet_pieces(path, PIECE_READINGS)):
        place = index_place(frame, source) if k == 0 else place
        if place is not None:
            frame, source = _without_blank(frame, source)
        if len(frame):
            kept = [column for column in range(frame.shape[1]) if column != place]
            index = _index_at(place, frame, source)
            yield readings_of_frame(_channels_over(frame, kept, index, source), source)
            source = replace(source, first=source.first + len(frame))


def _without_blank(frame: pd.DataFrame, source: Source) -> tuple[pd.DataFrame, Source]:
    """Leave out rows without a single entry, which are no readings; elsewhere they hold the place of one."""
    blank = frame.isna().all(axis=1).to_numpy()
    if not blank.any():
        return frame, source
    return frame[~blank], source.without(blank)


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
