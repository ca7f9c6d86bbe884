"""What the formats of public sets share: finding files, reading them as tables, and one asset of a set.

A table that is not as its format says is refused with its path; nothing is mended in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.detection.events import events_of
from offbeat.errors import ReadingsError
from offbeat.typing import BoolArray

LabelledSpan = tuple[object, object, str]
INVENTED_START = pd.Timestamp("2000-01-01")


@dataclass(frozen=True)
class PublicSeries:
    """One asset: channels over a time (UTC) or integer index, labelled spans, both ends inclusive, and the test start.

    `test_start` is the first reading of the test span, or None where the set has no such split; `notes` says what was
    changed on the way.
    """

    asset: str
    frame: pd.DataFrame
    labels: tuple[LabelledSpan, ...] = ()
    test_start: object = None
    notes: tuple[str, ...] = ()


def files_of(source: Path, pattern: str, expected: str, deep: bool = True, needed: bool = True) -> list[Path]:
    if source.is_file():
        return [source] if source.match(pattern) else []
    found = sorted(source.rglob(pattern) if deep else source.glob(pattern)) if source.is_dir() else []
    if needed and not found:
        raise ReadingsError(f"{source} must be {expected}, and no {pattern} is there: check the path")
    return found


def table_of(path: Path, needed: list[str] | None = None, sep: str = ",", numeric: bool = True) -> pd.DataFrame:
    """Read a csv file that has the needed columns; every other column must be numbers."""
    needed = needed or []
    try:
        table = pd.read_csv(path, sep=sep, float_precision="round_trip")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ReadingsError(f"{path} must be a table separated by {sep!r}, and cannot be read: {error}") from error
    if missing := [name for name in needed if name not in table.columns]:
        raise ReadingsError(
            f"{path} must have a column {missing[0]!r}, separated by {sep!r}; it has {list(table.columns)[:12]}"
        )
    if len(table) == 0:
        raise ReadingsError(f"{path} has no rows: remove it or replace it")
    texts = [name for name in table.columns if numeric and not pd.api.types.is_numeric_dtype(table[name])]
    for name in texts:
        if name in ("timestamp", "datetime", "Datetime"):
            continue
        row = int(np.argmax(pd.to_numeric(table[name], errors="coerce").isna() & table[name].notna()))
        raise ReadingsError(f"{path}, line {row + 2}: column {name!r} must be numbers, got {table[name].iloc[row]!r}")
    return table


def times_of(texts: pd.Series, path: Path, form: str = "ISO8601") -> pd.DatetimeIndex:
    times = pd.to_datetime(texts.astype(str), format=form, errors="coerce")
    if times.isna().any():
        row = int(np.argmax(times.isna()))
        raise ReadingsError(f"{path}, line {row + 2}: {texts.name!r} must be a time, got {texts.iloc[row]!r}")
    return pd.DatetimeIndex(times)


def in_order(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Sort by time and keep the first row of each instant (some sets repeat an hour where clocks change)."""
    ordered = frame.sort_index(kind="stable")
    repeated = ordered.index.duplicated()
    if not repeated.any():
        return ordered, ()
    return ordered[~repeated], (f"{int(repeated.sum())} rows repeat an instant and are left out",)


def two_parts(
    train: pd.DataFrame, test: pd.DataFrame, path: Path, period: str
) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    """Put test after training on an invented clock, from the midnight that is at least a day later."""
    if list(train.columns) != list(test.columns):
        raise ReadingsError(
            f"{path} and its test part must have the same columns, got {len(train.columns)} "
            f"and {len(test.columns)}, or other names"
        )
    train_index = pd.date_range(INVENTED_START, periods=len(train), freq=period)
    test_index = pd.date_range(train_index[-1].ceil("D") + pd.Timedelta("1D"), periods=len(test), freq=period)
    return pd.concat([train.set_index(train_index), test.set_index(test_index)]), test_index


def label_spans(flags: BoolArray, index: pd.Index) -> tuple[LabelledSpan, ...]:
    """Turn runs of marked rows into spans, both ends inclusive."""
    return tuple((index[start], index[stop - 1], "anomaly") for start, stop in events_of(flags).tolist())


def asset_name(text: str) -> str:
    """Make a name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")
