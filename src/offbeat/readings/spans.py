"""Spans of readings: labels, exclusions, past alarms and where the test begins, from the tables beside the readings.

A table is read against the readings it speaks of: a row of an unknown asset, or of times where the asset has an
integer index, is refused with its line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.messages import Source
from offbeat.readings.moments import Moment
from offbeat.readings.series import Series
from offbeat.readings.tables import check_names, read_csv
from offbeat.readings.timestamps import parse_times
from offbeat.typing import BoolArray

SPAN_FILES = {
    "labels": ("asset", "start", "end", "kind"),
    "exclude": ("asset", "start", "end", "reason"),
    "splits": ("asset", "test_start"),
    "alarms": ("asset", "start", "end", "verdict"),
}
VERDICTS = ("true", "false", "expected")  # of a person on an alarm


@dataclass(frozen=True)
class Span:
    """A stretch of one asset's readings; `start` and `end` both belong to it."""

    asset: str
    start: Moment
    end: Moment
    note: str = ""


def read_spans(
    path: Path, series: Iterable[Series], *, unread: Collection[str] = ()
) -> tuple[tuple[Span, ...], tuple[str, ...]]:
    """Read labels or exclusions; none if there is no such file.

    Parameters
    ----------
    path : Path
        CSV file with the columns asset, start, end and, in any place, kind, reason or verdict.
    series : iterable of Series
        The assets that may be named.
    unread : collection of str
        Assets that exist but could not be read; their spans are left out.

    Returns
    -------
    spans : tuple of Span
    notes : tuple of str
        Spans that lie wholly outside their asset's readings, in words.

    Raises
    ------
    ReadingsError
        If the table lacks a column or a cell, names an asset without readings, or a span ends before it starts.
    """
    by_asset = {one.asset: one for one in series}
    table, source = _rows(path, ("start", "end"), by_asset, unread)
    starts, ends = (_moments(table, name, by_asset, source) for name in ("start", "end"))
    words = next((table[name].fillna("") for name in ("kind", "reason", "verdict", "note") if name in table), None)
    spans, notes = [], []
    for row, (asset, start, end) in enumerate(zip(table["asset"], starts, ends, strict=True)):
        if _stamp(end) < _stamp(start):
            raise ReadingsError(f"{source.row(row)}: end {end} lies before start {start}: swap or correct them")
        stamps = by_asset[asset].stamps
        if _stamp(end) < stamps[0] or _stamp(start) > stamps[-1]:
            notes.append(f"{source.row(row)}: {start} to {end} lies outside the readings of {asset!r}")
        spans.append(Span(asset, start, end, "" if words is None else str(words.iloc[row])))
    return tuple(spans), tuple(notes)


def read_alarms(
    path: Path, series: Iterable[Series], *, unread: Collection[str] = ()
) -> tuple[tuple[Span, ...], tuple[str, ...]]:
    """Read past alarms, the verdict as each span's note: true, false, expected, or empty where nobody has judged.

    Raises
    ------
    ReadingsError
        As `read_spans`, and if a verdict is another word.
    """
    spans, notes = read_spans(path, series, unread=unread)
    for span in spans:
        if span.note not in ("", *VERDICTS):
            raise ReadingsError(
                f"{path.name}: the alarm of {span.asset!r} from {span.start} has verdict {span.note!r}: "
                f"write {', '.join(VERDICTS)}, or leave it empty"
            )
    return spans, notes


def read_test_starts(path: Path, series: Iterable[Series], *, unread: Collection[str] = ()) -> dict[str, Moment]:
    """Read the first reading of each asset's test span; empty if there is no such file.

    Raises
    ------
    ReadingsError
        As `read_spans`, and if an asset has two rows or its test would hold all of its readings, or none.
    """
    by_asset = {one.asset: one for one in series}
    table, source = _rows(path, ("test_start",), by_asset, unread)
    starts: dict[str, Moment] = {}
    for row, (asset, start) in enumerate(
        zip(table["asset"], _moments(table, "test_start", by_asset, source), strict=True)
    ):
        stamps, index = by_asset[asset].stamps, by_asset[asset].index
        if asset in starts:
            raise ReadingsError(f"{source.row(row)}: asset {asset!r} stands there twice: keep one row")
        if not stamps[0] < _stamp(start) <= stamps[-1]:
            raise ReadingsError(
                f"{source.row(row)}: test_start {start} must lie after the first and not after the last reading of "
                f"{asset!r} ({index[0]} to {index[-1]}): correct it or drop the row"
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


def _stamp(moment: Moment) -> int:
    """Moment on the scale of `Series.stamps`."""
    return moment.value if isinstance(moment, pd.Timestamp) else moment


def _rows(
    path: Path, columns: tuple[str, ...], assets: Collection[str], unread: Collection[str]
) -> tuple[pd.DataFrame, Source]:
    """Rows of a table of `assets`, cells as text, without blank lines and the rows of `unread` assets."""
    if not path.exists():
        return pd.DataFrame(columns=["asset", *columns], dtype=str), Source(path.name)
    table, source = read_csv(path, text=True)
    table.columns = table.columns.str.lower()
    check_names(list(table.columns), path.name)
    table, source = _kept(table, source, ~table.isna().all(axis=1).to_numpy())
    for name in ("asset", *columns):
        if name not in table:
            raise ReadingsError(
                f"{path.name} must have the columns {('asset', *columns)}, but {name!r} is missing: add or rename one"
            )
        if table[name].isna().any():
            raise ReadingsError(f"{source.row(int(table[name].isna().argmax()))}: {name!r} is missing: fill it in")
    table["asset"] = table["asset"].str.strip()
    table, source = _kept(table, source, ~table["asset"].isin(unread).to_numpy())
    for row, asset in enumerate(table["asset"]):
        if asset not in assets:
            raise ReadingsError(f"{source.row(row)}: there are no readings of asset {asset!r}: correct or drop the row")
    return table, source


def _kept(table: pd.DataFrame, source: Source, keep: BoolArray) -> tuple[pd.DataFrame, Source]:
    assert source.lines is not None
    return table[keep].reset_index(drop=True), Source(source.name, source.lines[keep])


def _moments(table: pd.DataFrame, column: str, by_asset: dict[str, Series], source: Source) -> list[Moment]:
    """Read each cell as a time where the asset has timestamps, as a whole number where it has an integer index."""
    text = table[column]
    timed = np.array([isinstance(by_asset[asset].index, pd.DatetimeIndex) for asset in table["asset"]], dtype=np.bool_)
    whole = text.str.fullmatch(r"\s*[+-]?\d+\s*").to_numpy(dtype=np.bool_)
    unfit = np.flatnonzero(whole == timed).tolist()
    if unfit:
        row = unfit[0]
        wanted = "times, write 2020-01-31T12:00:00Z" if timed[row] else "an integer index, write a whole number"
        raise ReadingsError(f"{source.row(row)}: {column} {text.iloc[row]!r} does not fit readings with {wanted}")
    moments: list[Moment] = [0 if is_time else int(cell) for cell, is_time in zip(text, timed, strict=True)]
    if timed.any():
        assert source.lines is not None
        times = parse_times(text[timed], Source(source.name, source.lines[timed]))
        times = times.tz_localize("UTC") if times.tz is None else times
        for row, time in zip(np.flatnonzero(timed).tolist(), times, strict=True):
            moments[row] = time
    return moments
