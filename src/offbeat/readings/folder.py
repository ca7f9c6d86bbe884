"""Readings from a folder: the assets of a group, with labels, exclusions and splits beside them.

Nothing is guessed that could be wrong in silence: a timestamp that could be read two ways, a text among numbers or a
label of an unknown asset is refused with its file, line and remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.progress import Report, counted, silent
from offbeat.readings.asset_readings import read_readings
from offbeat.readings.assets import AssetFiles, asset_files
from offbeat.readings.frames import Period
from offbeat.readings.groups import GROUPS_FILE
from offbeat.readings.messages import duration_text
from offbeat.readings.moments import Moment
from offbeat.readings.series import DEFAULT_MAX_GAP, Series
from offbeat.readings.spans import VERDICTS, Span, read_alarms, read_spans, read_test_starts, span_mask
from offbeat.typing import BoolArray


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
    path: Path,
    *,
    group: str | None = None,
    period: Period | None = None,
    max_gap: int = DEFAULT_MAX_GAP,
    report: Report = silent,
) -> Folder:
    """Read a folder of readings with its labels, exclusions and splits, or one group of it.

    Parameters
    ----------
    path : Path
        Holds ``readings/<asset>.csv`` or ``.parquet`` (or those files themselves) and perhaps ``groups.yaml``, or
        ``readings/group=<group>/asset=<asset>/month=<YYYY-MM>/<name>.parquet``; and optionally ``labels.csv``
        (asset,start,end[,kind]), ``exclude.csv`` (asset,start,end[,reason]), ``alarms.csv`` (asset,start,end,verdict)
        and ``splits.csv`` (asset,test_start). Starts and ends both belong to the span; times without a zone are UTC.
    group : str, optional
        Whose assets are read; all by default, where they are of one group or none.
    period, max_gap
        As for `Series.from_frame`.
    report : callable, optional
        Takes each `Step`, in machines.

    Returns
    -------
    Folder

    Raises
    ------
    ReadingsError
        If a file cannot be used, the assets differ in channels, kind of index or period, a span does not fit, there is
        no such group, or there are several and none is chosen.
    """
    path = Path(path)
    chosen, others = _of_group(asset_files(path), group)
    files = counted(chosen, report, "reading", "machines")
    return read_tables(path, alike([read_readings(one, period=period, max_gap=max_gap) for one in files]), others)


def read_tables(path: Path, series: Sequence[Series], others: Collection[str] = ()) -> Folder:
    """Read the labels, exclusions, alarms and splits of a folder for some of its assets, whose readings are here.

    Rows of `others`, assets whose readings are not among these, are left out.

    Raises
    ------
    ReadingsError
        If a table cannot be used, or names an asset that is in neither.
    """
    others = {*others} - {one.asset for one in series}
    labels, label_notes = read_spans(path / "labels.csv", series, unread=others)
    exclude, exclude_notes = read_spans(path / "exclude.csv", series, unread=others)
    alarms, alarm_notes = read_alarms(path / "alarms.csv", series, unread=others)
    test_starts = read_test_starts(path / "splits.csv", series, unread=others)
    return Folder(tuple(series), labels, exclude, alarms, test_starts, (*label_notes, *exclude_notes, *alarm_notes))


def _of_group(files: Sequence[AssetFiles], group: str | None) -> tuple[list[AssetFiles], set[str]]:
    """Return the files of a group, and the names of the assets of others."""
    groups = sorted({one.group for one in files} - {""})
    if group is None and len(groups) > 1:
        raise ReadingsError(
            f"the readings are of {len(groups)} groups, {_some(groups)}, and a model is of one: choose one, or use a "
            "command that takes groups (train, score, calibrate, drift, estimate); a pipeline project is one group"
        )
    if group is not None and group not in groups:
        there = f"there are {_some(groups)}" if groups else f"the readings are in no groups ({GROUPS_FILE} names them)"
        raise ReadingsError(f"no asset is in a group {group!r}: {there}: correct the name")
    chosen = [one for one in files if group is None or one.group == group]
    return chosen, {one.asset for one in files} - {one.asset for one in chosen}


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


def _some(names: list[str]) -> str:
    """First few of many names."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(repr, names[:5])) + more
