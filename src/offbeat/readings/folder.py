"""Readings from files: one CSV or Parquet file for each asset, with labels, exclusions and splits beside them.

Nothing is guessed that could be wrong in silence: a timestamp that could be read two ways, a text among numbers or a
label of an unknown asset is refused with its file, line and remedy.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.tseries.api import guess_datetime_format

from offbeat.errors import ReadingsError
from offbeat.readings.series import DEFAULT_MAX_GAP, Period, Series, Source, series_from_frame
from offbeat.typing import BoolArray, IntArray

Moment: TypeAlias = "pd.Timestamp | int"

READINGS_SUFFIXES = (".csv", ".parquet")
SPAN_FILES = ("labels.csv", "exclude.csv", "splits.csv")
TIME_NAMES = ("timestamp", "datetime", "time", "date", "ts")
INDEX_NAMES = ("index", "row", "t", "step", "")
_EPOCH_1980, _EPOCH_2100 = 315_532_800, 4_102_444_800  # seconds; outside, a number is no plausible epoch time
_LARGEST_STEP = 10_000_000  # whole numbers below it, under a time name, count steps; compact dates lie above
_OFFSET = re.compile(r"\d[T ]\s*\d{1,2}(?::?\d{2})*(?:[.,]\d+)?\s*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$")
_DAY_MONTH_YEAR = r"^(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?=$|[ T,])"
_OTHER_FORMATS = ("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y.%m.%d.%H.%M.%S")


@dataclass(frozen=True)
class Span:
    """A stretch of one asset's readings; `start` and `end` both belong to it."""

    asset: str
    start: Moment
    end: Moment
    note: str = ""


@dataclass(frozen=True)
class Folder:
    """A folder of readings: like assets in natural order of their names, and what is known about them.

    `test_starts` gives the first reading of an asset's test span, where splits.csv names one. `notes` says in words
    what reading found odd but usable.
    """

    series: tuple[Series, ...]
    labels: tuple[Span, ...] = ()
    exclude: tuple[Span, ...] = ()
    test_starts: Mapping[str, Moment] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_folder(path: Path, *, period: Period | None = None, max_gap: int = DEFAULT_MAX_GAP) -> Folder:
    """Read a folder of readings with its labels, exclusions and splits.

    Parameters
    ----------
    path : Path
        Holds ``readings/<asset>.csv`` or ``.parquet`` (or those files themselves), and optionally ``labels.csv``
        (asset,start,end[,kind]), ``exclude.csv`` (asset,start,end[,reason]) and ``splits.csv`` (asset,test_start).
        Starts and ends both belong to the span; times without a zone are UTC.
    period, max_gap
        As for `Series.from_frame`.

    Returns
    -------
    Folder

    Raises
    ------
    ReadingsError
        If a file cannot be used, the assets differ in channels, kind of index or period, or a span does not fit.
    """
    series = alike([read_readings(file, period=period, max_gap=max_gap) for file in reading_files(path)])
    labels, label_notes = read_spans(path / "labels.csv", series)
    exclude, exclude_notes = read_spans(path / "exclude.csv", series)
    test_starts = read_test_starts(path / "splits.csv", series)
    return Folder(tuple(series), labels, exclude, test_starts, (*label_notes, *exclude_notes))


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
    if path.suffix.lower() not in READINGS_SUFFIXES:
        raise ReadingsError(f"{path.name}: readings are .csv or .parquet files: convert it")
    frame, lines = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    source = Source(path.name, lines)
    place = _index_column(frame, source)
    notes: list[str] = []
    if place is None:
        index: pd.Index = pd.RangeIndex(len(frame))
        notes.append("no timestamp column: rows count from 0")
    else:
        # a line without a single entry is no reading; elsewhere it holds the place of one
        blank = frame.isna().all(axis=1).to_numpy()
        frame = frame[~blank] if blank.any() else frame
        source = Source(path.name, None if lines is None else lines[~blank])
        index = _index(frame.iloc[:, place], source)
    kept = [k for k in range(frame.shape[1]) if k != place and not _counts_rows(frame, k)]
    if len(kept) < frame.shape[1] - (place is not None):
        name = repr(frame.columns[0]) if frame.columns[0] else "without a name"
        notes.append(f"first column {name} only counts the rows: left out")
    channels = pd.DataFrame({frame.columns[k]: _numbers(frame.iloc[:, k], source).to_numpy() for k in kept}, index)
    return series_from_frame(channels, path.stem, source, period=period, max_gap=max_gap, notes=notes)


def reading_files(path: Path) -> list[Path]:
    """List a folder's files of readings, in natural order of the assets' names; each asset has one."""
    path = Path(path)
    if not path.is_dir():
        raise ReadingsError(f"{path} is not a folder: give the folder that holds readings/")
    nested = (path / "readings").is_dir()
    files = [
        file
        for file in (path / "readings" if nested else path).iterdir()
        if file.suffix.lower() in READINGS_SUFFIXES
        and not file.name.startswith(".")
        and (nested or file.name.lower() not in SPAN_FILES)
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
                f"all assets of a group need the same period, but {one.asset!r} has {one.period} and {first.asset!r} "
                f"{first.period}: give the period, or train one group of like assets at a time"
            )
        result.append(one if one.channels == first.channels else one.in_order(first.channels))
    return result


def read_spans(
    path: Path, series: Iterable[Series], *, unread: Collection[str] = ()
) -> tuple[tuple[Span, ...], tuple[str, ...]]:
    """Read labels or exclusions; none if there is no such file.

    Parameters
    ----------
    path : Path
        CSV file with the columns asset, start, end and, in any place, kind or reason.
    series : iterable of Series
        The assets that may be named.
    unread : collection of str
        Assets that exist but could not be read; their spans are left out.

    Returns
    -------
    spans : tuple of Span
    notes : tuple of str
        Spans that lie wholly outside their asset's readings, in words.
    """
    table, moments, by_asset, source = _read_moments(path, ("start", "end"), series, unread)
    words = next((table[name].fillna("") for name in ("kind", "reason", "note") if name in table), None)
    spans, notes = [], []
    for row, (asset, start, end) in enumerate(zip(table["asset"], moments["start"], moments["end"], strict=True)):
        if _stamp(end) < _stamp(start):
            raise ReadingsError(f"{source.row(row)}: end {end} lies before start {start}: swap or correct them")
        stamps = by_asset[asset].stamps
        if _stamp(end) < stamps[0] or _stamp(start) > stamps[-1]:
            notes.append(f"{source.row(row)}: {start} to {end} lies outside the readings of {asset!r}")
        spans.append(Span(asset, start, end, "" if words is None else str(words.iloc[row])))
    return tuple(spans), tuple(notes)


def read_test_starts(path: Path, series: Iterable[Series], *, unread: Collection[str] = ()) -> dict[str, Moment]:
    """Read the first reading of each asset's test span; empty if there is no such file."""
    table, moments, by_asset, source = _read_moments(path, ("test_start",), series, unread)
    starts: dict[str, Moment] = {}
    for row, (asset, start) in enumerate(zip(table["asset"], moments["test_start"], strict=True)):
        index = by_asset[asset].index
        if asset in starts:
            raise ReadingsError(f"{source.row(row)}: asset {asset!r} stands there twice: keep one row")
        if not by_asset[asset].stamps[0] < _stamp(start) <= by_asset[asset].stamps[-1]:
            raise ReadingsError(
                f"{source.row(row)}: test_start {start} must lie after the first and not after the last reading of "
                f"{asset!r} ({index[0]} to {index[-1]})"
            )
        starts[asset] = start
    return starts


def span_mask(series: Series, spans: Iterable[Span]) -> BoolArray:
    """Mark the rows of `series` that lie in a span of its asset, ends included, shape (T,)."""
    mask = np.zeros(series.n_timesteps, dtype=np.bool_)
    for span in spans:
        if span.asset == series.asset:
            mask |= (series.stamps >= _stamp(span.start)) & (series.stamps <= _stamp(span.end))
    return mask


def _some(names: list[str]) -> str:
    """First few of many names."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(repr, names[:5])) + more


def _stamp(moment: Moment) -> int:
    """Moment on the scale of `Series.stamps`."""
    return moment.value if isinstance(moment, pd.Timestamp) else moment


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which pump-2 comes before pump-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_parquet(path: Path) -> tuple[pd.DataFrame, None]:
    try:
        frame = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise ReadingsError(f"{path.name} cannot be read as Parquet: {error}") from error
    if frame.shape[1] == 0:
        raise ReadingsError(f"{path.name} has no column: give a timestamp column and at least one channel")
    frame.columns = pd.Index([str(name).strip() for name in frame.columns])
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        frame.insert(0, frame.index.name or "index", frame.index, allow_duplicates=True)
    _check_names(list(frame.columns), path.name)
    return frame.reset_index(drop=True), None


def _read_csv(path: Path, *, text: bool = False) -> tuple[pd.DataFrame, IntArray]:
    """Read a CSV file, cells as they parse or all as text; also the line of each row."""
    header_line, names, separator = _read_header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=separator,
                header=None,
                names=list(range(len(names))),
                index_col=False,
                skiprows=header_line,
                skip_blank_lines=False,  # so that a row's number gives its line
                skipinitialspace=True,
                low_memory=False,
                encoding="utf-8-sig",
                dtype=str if text else None,
            )
    except pd.errors.ParserWarning as error:
        raise ReadingsError(f"{path.name}: rows have more cells than the {len(names)} column names") from error
    except pd.errors.ParserError as error:
        raise ReadingsError(f"{path.name} is no regular table: {str(error).strip()}") from error
    except UnicodeDecodeError as error:
        raise ReadingsError(f"{path.name} is not UTF-8 text: {error.reason}: save it as UTF-8") from error
    lines = np.arange(len(frame), dtype=np.int64) + header_line + 1
    kept = [k for k, name in enumerate(names) if name or k == 0 or not frame[k].isna().all()]
    frame, names = frame[kept], [names[k] for k in kept]
    _check_names(names, path.name)
    frame.columns = pd.Index(names, dtype=object)
    return frame, lines


def _read_header(path: Path) -> tuple[int, list[str], str]:
    """Line number, column names and separator of the first line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            number, line = next(((k, line) for k, line in enumerate(file, start=1) if line.strip()), (0, ""))
    except UnicodeDecodeError as error:
        raise ReadingsError(f"{path.name} is not UTF-8 text: {error.reason}: save it as UTF-8") from error
    except OSError as error:
        raise ReadingsError(f"{path} cannot be read: {error.strerror}") from error
    if not number:
        raise ReadingsError(f"{path.name} is empty: give a line of column names and at least two rows")
    separator = max(",;\t", key=re.sub(r'"[^"]*"', "", line).count)
    names = [name.strip() for name in next(csv.reader([line.rstrip("\r\n")], delimiter=separator))]
    if all(_is_number(name) or re.match(r"\d{1,4}[-./]\d{1,2}[-./]\d", name) for name in names):
        raise ReadingsError(
            f"{path.name}, line {number}: the first line must name the columns, but holds readings: add a line of names"
        )
    return number, names, separator


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?", text) is not None


def _check_names(names: list[str], file: str) -> None:
    for k, name in enumerate(names):
        if not name and k > 0:
            raise ReadingsError(f"{file}: column {k + 1} has no name: name it or drop it")
        if name in names[:k]:
            raise ReadingsError(f"{file}: column {name!r} stands there more than once: rename or drop one")


def _index_column(frame: pd.DataFrame, source: Source) -> int | None:
    """Place of the column that holds timestamps or an integer index; None if rows are only counted."""
    timed = [k for k, name in enumerate(frame.columns) if name.lower() in TIME_NAMES]
    timed = timed or [k for k, dtype in enumerate(frame.dtypes) if pd.api.types.is_datetime64_any_dtype(dtype)]
    if len(timed) > 1:
        names = [frame.columns[k] for k in timed]
        raise ReadingsError(f"{source.name}: {names} could all be the timestamp: keep or join them into one column")
    if timed:
        return timed[0]
    first = frame.iloc[:, 0]
    if pd.api.types.is_integer_dtype(first.dtype):
        return 0 if frame.columns[0].lower() in INDEX_NAMES else None
    sample = first.dropna().head(1).astype(str)
    if pd.api.types.is_numeric_dtype(first.dtype) or not len(sample) or _is_number(sample.iloc[0]):
        return None
    looks_timed = re.search(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}", sample.iloc[0]) or _other_times(sample).notna().all()
    return 0 if looks_timed else None


def _counts_rows(frame: pd.DataFrame, k: int) -> bool:
    """Whether the column is a first one that only numbers the rows, as many programs write beside the timestamps."""
    column = frame.iloc[:, k]
    named = k == 0 and frame.columns[k].lower() in INDEX_NAMES
    return named and pd.api.types.is_integer_dtype(column.dtype) and bool((np.diff(column) == 1).all())


def _index(column: pd.Series, source: Source) -> pd.Index:
    """Timestamps (in UTC, or naive if the file names no offset) or an integer index, shape (n,)."""
    missing = column.isna().to_numpy()
    if missing.any():
        raise ReadingsError(
            f"{source.row(int(missing.argmax()))}: {column.name!r} is missing: fill it in or drop the row"
        )
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return pd.DatetimeIndex(column)
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return _parse_times(column.astype(str), source)
    if pd.api.types.is_integer_dtype(column.dtype) and str(column.name).lower() not in TIME_NAMES:
        return _whole_index(column)
    return _numeric_times(column, source)


def _whole_index(column: pd.Series) -> pd.Index[int]:
    index: pd.Index[int] = pd.Index(column.to_numpy(dtype=np.int64))
    return index


def _numeric_times(column: pd.Series, source: Source) -> pd.Index:
    whole = pd.api.types.is_integer_dtype(column.dtype)
    low, high = column.min(), column.max()
    for unit, per_second in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        if _EPOCH_1980 * per_second <= low and high <= _EPOCH_2100 * per_second:
            if whole:
                return pd.DatetimeIndex(pd.to_datetime(column, unit=unit, utc=True))  # type: ignore[call-overload]
            # a double holds present seconds to a quarter of a microsecond
            micros = np.round(column.to_numpy(dtype=np.float64) * (10**6 / per_second)).astype(np.int64)
            return pd.DatetimeIndex(pd.to_datetime(micros, unit="us", utc=True))
    if whole and low >= 0 and high < _LARGEST_STEP:
        return _whole_index(column)
    raise ReadingsError(
        f"{source.row(0)}: {column.name!r} holds numbers from {low} to {high}, neither seconds, milli-, micro- or "
        "nanoseconds from 1980 to 2100 nor whole steps below 10 million: write times as 2020-01-31T12:00:00Z"
    )


def _parse_times(text: pd.Series, source: Source) -> pd.DatetimeIndex:
    """Read times that can be understood in one way only; UTC if they carry offsets, else naive."""
    text = text.str.strip().str.replace(r"\s*(?:UTC|GMT)$", "Z", regex=True)
    aware = text.str.contains(_OFFSET).to_numpy()
    if aware.any() and not aware.all():
        row = int(np.argmax(aware != aware[0]))
        raise ReadingsError(
            f"{source.row(row)}: time {text.iloc[row]!r} {'has an' if aware[row] else 'has no'} offset from UTC, "
            f"unlike {source.row(0)}: give every time an offset, or none (then all are UTC)"
        )
    iso = _year_first(text, source)
    times = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
    if times.isna().any():
        times = _other_times(iso) if times.isna().iloc[0] else times
    bad = times.isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise ReadingsError(
            f"{source.row(row)}: {text.iloc[row]!r} cannot be read as a time: write it as 2020-01-31T12:00:00Z"
        )
    index = pd.DatetimeIndex(times)
    return index if aware.any() else index.tz_localize(None)


def _year_first(text: pd.Series, source: Source) -> pd.Series:
    """Rewrite 13/02/2020 10:00 as 2020-02-13 10:00, if some day after the 12th tells the day from the month."""
    parts = text.str.extract(_DAY_MONTH_YEAR)
    found = parts[0].notna().to_numpy()
    if not found.any():
        return text
    one, two = parts[0].fillna("0").astype(int), parts[2].fillna("0").astype(int)
    if (one > 12).any() == (two > 12).any():
        row = int(found.argmax())
        why = (
            "the day stands first in some rows and second in others" if (one > 12).any() else "no day is after the 12th"
        )
        raise ReadingsError(
            f"{source.row(row)}: {text.iloc[row]!r} could be day/month or month/day ({why}): write it as 2020-01-31"
        )
    day, month = (0, 2) if (one > 12).any() else (2, 0)
    rest = text.str.replace(_DAY_MONTH_YEAR, "", regex=True).str.replace(",", " ").str.replace(r"\s+", " ", regex=True)
    rebuilt = parts[3] + "-" + parts[month].str.zfill(2) + "-" + parts[day].str.zfill(2) + rest
    return rebuilt.where(parts[0].notna(), text)


def _other_times(text: pd.Series) -> pd.Series:
    """Read forms beyond ISO 8601 that leave no doubt: 12-hour clocks, dots throughout, months by name; else NaT."""
    named = re.search(r"[A-Za-z]{3}", text.iloc[0])
    guess = guess_datetime_format(text.iloc[0]) if named else None
    times = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns, UTC]")
    for form in (*_OTHER_FORMATS, *([guess] if guess else [])):
        times = pd.to_datetime(text, format=form, utc=True, errors="coerce")
        if times.notna().iloc[0]:
            break
    return times


def _numbers(column: pd.Series, source: Source) -> pd.Series:
    """Read a channel; a text that is neither a number nor a missing marker is refused."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    numbers = pd.to_numeric(column.astype(object), errors="coerce")
    bad = (numbers.isna() & column.notna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        cell = str(column.iloc[row])
        comma = re.fullmatch(r"[+-]?\d+,\d+", cell)
        raise ReadingsError(
            f"{source.row(row)}: column {column.name!r} must hold numbers, got {cell!r}: "
            + (
                "write a decimal point"
                if comma
                else "leave the cell empty if the reading is missing, or drop the column"
            )
        )
    return numbers.astype(np.float64)


def _read_moments(
    path: Path, columns: tuple[str, ...], series: Iterable[Series], unread: Collection[str]
) -> tuple[pd.DataFrame, dict[str, list[Moment]], dict[str, Series], Source]:
    """Read a table of assets and moments: its cells as text, the moments by column, the assets, the lines."""
    by_asset = {one.asset: one for one in series}
    if not path.exists():
        return pd.DataFrame(columns=["asset"]), {name: [] for name in columns}, by_asset, Source(path.name)
    table, lines = _read_csv(path, text=True)
    table.columns = table.columns.str.lower()
    blank = table.isna().all(axis=1).to_numpy()
    table, source = table[~blank].reset_index(drop=True), Source(path.name, lines[~blank])
    for name in ("asset", *columns):
        if name not in table:
            raise ReadingsError(f"{path.name} must have the columns {('asset', *columns)}, but {name!r} is missing")
        if table[name].isna().any():
            raise ReadingsError(f"{source.row(int(table[name].isna().argmax()))}: {name!r} is missing: fill it in")
    table["asset"] = table["asset"].str.strip()
    skipped = table["asset"].isin(unread).to_numpy()
    table, source = table[~skipped].reset_index(drop=True), Source(path.name, lines[~blank][~skipped])
    for row, asset in enumerate(table["asset"]):
        if asset not in by_asset:
            raise ReadingsError(f"{source.row(row)}: there are no readings of asset {asset!r}: correct or drop the row")
    timed = np.array([isinstance(by_asset[asset].index, pd.DatetimeIndex) for asset in table["asset"]], dtype=np.bool_)
    return table, {name: _moments(table[name], timed, source) for name in columns}, by_asset, source


def _moments(text: pd.Series, timed: BoolArray, source: Source) -> list[Moment]:
    """Read each text as a time where the asset has timestamps, as a whole number where it has an integer index."""
    whole = text.str.fullmatch(r"\s*[+-]?\d+\s*").to_numpy(dtype=np.bool_)
    unfit = np.flatnonzero(whole == timed).tolist()
    if unfit:
        row = unfit[0]
        wanted = "times, write 2020-01-31T12:00:00Z" if timed[row] else "an integer index, write a whole number"
        raise ReadingsError(f"{source.row(row)}: {text.name} {text.iloc[row]!r} does not fit readings with {wanted}")
    moments: list[Moment] = [0 if is_time else int(cell) for cell, is_time in zip(text, timed, strict=True)]
    if timed.any():
        assert source.lines is not None
        times = _parse_times(text[timed], Source(source.name, source.lines[timed]))
        times = times.tz_localize("UTC") if times.tz is None else times
        for row, time in zip(np.flatnonzero(timed).tolist(), times, strict=True):
            moments[row] = time
    return moments
