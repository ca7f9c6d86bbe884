"""The time column of a table: which one it is, and what its cells mean.

A text is a time only if it can be read in one way; a number only if it is plausibly a time since 1970 or a step.
`read_readings` states the rules.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from offbeat.errors import ReadingsError
from offbeat.readings.messages import Source
from offbeat.readings.tables import is_number

TIME_NAMES = ("timestamp", "datetime", "time", "date", "ts")
INDEX_NAMES = ("index", "row", "t", "step", "")
_EPOCH_1980, _EPOCH_2100 = 315_532_800, 4_102_444_800  # seconds; outside, a number is no plausible epoch time
_LARGEST_STEP = 10_000_000  # whole numbers below it, under a time name, count steps; compact dates lie above
_LARGEST_WHOLE = 2.0**53  # above it a double skips whole numbers
_OFFSET = re.compile(r"\d[T ]\s*\d{1,2}(?::?\d{2})*(?:[.,]\d+)?\s*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$")
_DAY_MONTH_YEAR = r"^(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?=$|[ T,])"
_OTHER_FORMATS = ("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y.%m.%d.%H.%M.%S")


def index_place(frame: pd.DataFrame, source: Source) -> int | None:
    """Place of the column that holds timestamps or an integer index; None if rows are only counted."""
    timed = [k for k, name in enumerate(frame.columns) if name.lower() in TIME_NAMES]
    timed = timed or [k for k, dtype in enumerate(frame.dtypes) if pd.api.types.is_datetime64_any_dtype(dtype)]
    if len(timed) > 1:
        names = [frame.columns[k] for k in timed]
        raise ReadingsError(f"{source.name}: {names} could all be the timestamp: keep or join them into one column")
    if timed:
        return timed[0]
    first = frame.iloc[:, 0]
    if pd.api.types.is_numeric_dtype(first.dtype):
        named = frame.columns[0].lower() in INDEX_NAMES
        return 0 if named and (pd.api.types.is_integer_dtype(first.dtype) or _counts_with_holes(first)) else None
    sample = first.dropna().head(1).astype(str)
    if not len(sample) or is_number(sample.iloc[0]):
        return None
    looks_timed = re.search(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}", sample.iloc[0]) or _other_times(sample).notna().all()
    return 0 if looks_timed else None


def counts_rows(frame: pd.DataFrame, k: int) -> bool:
    """Whether the column is a first one that only numbers the rows, as many programs write beside the timestamps."""
    if k or frame.columns[k].lower() not in INDEX_NAMES:
        return False
    column = frame.iloc[:, k]
    return pd.api.types.is_integer_dtype(column.dtype) and bool((np.diff(column) == 1).all())


def index_of(column: pd.Series, source: Source) -> pd.Index:
    """Timestamps (in UTC, or naive if the file names no offset) or an integer index, shape (n,).

    Raises
    ------
    ReadingsError
        If a cell is missing, or the cells cannot be read in exactly one way.
    """
    missing = column.isna().to_numpy()
    if missing.any():
        raise ReadingsError(
            f"{source.row(int(missing.argmax()))}: {column.name!r} is missing: fill it in or drop the row"
        )
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return pd.DatetimeIndex(column)
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return parse_times(column.astype(str), source)
    if pd.api.types.is_float_dtype(column.dtype) and (column % 1 == 0).all() and column.abs().max() < _LARGEST_WHOLE:
        column = column.astype(np.int64)  # what pandas made floats because a line was blank
    if pd.api.types.is_integer_dtype(column.dtype) and str(column.name).lower() not in TIME_NAMES:
        return _whole_index(column)
    return _numeric_times(column, source)


def parse_times(text: pd.Series, source: Source) -> pd.DatetimeIndex:
    """Read times that can be understood in one way only; UTC if they carry offsets, else naive.

    Raises
    ------
    ReadingsError
        If a text is no time, could be day/month or month/day, or only some have an offset.
    """
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
            f"{source.row(row)}: {text.iloc[row]!r} cannot be read as a time: write it as 2020-01-31T12:00:00Z "
            "(years from 1678 to 2261)"
        )
    index = pd.DatetimeIndex(times)
    return index if aware.any() else index.tz_localize(None)


def _counts_with_holes(column: pd.Series) -> bool:
    """Whether whole numbers that rise became floats because some are missing."""
    present = column.dropna()
    return bool(len(present) < len(column) and (present % 1 == 0).all() and (np.diff(present) > 0).all())


def _whole_index(column: pd.Series) -> pd.Index[int]:
    index: pd.Index[int] = pd.Index(column.to_numpy())
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
    times = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns, UTC]")
    for form in (*_OTHER_FORMATS, *_form_with_names(text.iloc[0])):
        times = pd.to_datetime(text, format=form, utc=True, errors="coerce")
        if times.notna().iloc[0]:
            break
    return times


def _form_with_names(text: str) -> tuple[str, ...]:
    """Form of a time with a month by name; none for a zone by name such as CST, which has no one meaning."""
    if not re.search(r"[A-Za-z]{3}", text):
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of zones by name, whose letters would stay in the form
        form = guess_datetime_format(text)
    if not form or re.search(r"[A-Za-z]", re.sub(r"%[A-Za-z]|T", "", form)):
        return ()
    return (form,)
