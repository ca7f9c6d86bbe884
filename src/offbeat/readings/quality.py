"""Quality of readings: what a person should know and mend before training on them.

Every problem found says what to do about it; `quality_page.py` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.detection.events import events_of
from offbeat.errors import ReadingsError
from offbeat.progress import Report, counted, silent
from offbeat.readings.asset_readings import read_readings
from offbeat.readings.assets import asset_files
from offbeat.readings.channel_quality import GRADES, LIMITS, ChannelQuality, assess_channel
from offbeat.readings.folder import Folder, alike
from offbeat.readings.frames import Period
from offbeat.readings.messages import count, duration_text
from offbeat.readings.series import DEFAULT_MAX_GAP, Series
from offbeat.readings.spans import Span, read_alarms, read_spans, read_test_starts
from offbeat.typing import IntArray


@dataclass(frozen=True)
class AssetQuality:
    """What one asset's readings hold; a gap is a run of grid points at which no channel has a reading."""

    asset: str
    n_timesteps: int
    start: pd.Timestamp | int
    end: pd.Timestamp | int
    period: pd.Timedelta | int
    n_gaps: int
    longest_gap: int
    n_missing_timesteps: int
    n_segments: int
    labelled_share: float
    excluded_share: float
    channels: tuple[ChannelQuality, ...]
    grade: str
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def assess(
    series: Series,
    folder: Folder | None = None,
    *,
    window_size: int | None = None,
    min_days: float | None = None,
) -> AssetQuality:
    """Describe and grade one asset's readings.

    Parameters
    ----------
    series : Series
    folder : Folder, optional
        What is known of the asset. Rows that it labels or excludes are counted, but left out of what the channels are
        judged by.
    window_size : int, optional
        Timesteps of a window; without it no check whether the readings hold enough windows.
    min_days : float, optional
        Days that the readings should cover, such as several weeks for a budget of false alarms per week. Not checked
        for an integer index, whose steps have no known length.

    Returns
    -------
    AssetQuality

    Notes
    -----
    A channel gets A if at most 1 % is missing, it never stands still for more than 10 % of the rows and at most 0.1 %
    are outliers; B up to 5 %, 25 %, 1 %; C up to 20 %, 50 %, 3 %; D up to 50 %, 90 %, 10 %; else, or if it never
    changes, F. Standing still does not count for a channel of at most 10 distinct values, such as a switch. An
    outlier lies more than 10 robust standard deviations from the median: 1.4826 times the median distance to the
    median, or the range from the 5th to the 95th percentile over 3.29 if that is larger (a coarse reading has a
    median distance near 0); where both are 0 none are counted. The asset gets its worst channel's
    grade, and at most D if it has too few rows for `window_size` or `min_days`.
    """
    labelled, excluded, doubtful = (folder or Folder((series,))).masks(series)
    excluded = excluded | doubtful
    judged = np.flatnonzero(~(labelled | excluded))
    problems = [*_length_problems(series, window_size, min_days), *_gap_problems(series, gaps := _gaps(series))]
    worst = "D" if any(text.startswith("too short") for text in problems) else "A"
    if not len(judged):
        problems.append("every row is labelled or excluded, so nothing is left to learn from: give more readings")
        judged, worst = np.arange(series.n_timesteps), "F"
    values, runs = series.values[judged], _runs(series, judged)
    channels = tuple(assess_channel(name, values[:, k], runs) for k, name in enumerate(series.channels))
    return AssetQuality(
        asset=series.asset,
        n_timesteps=series.n_timesteps,
        start=series.index[0],
        end=series.index[-1],
        period=series.period,
        n_gaps=len(gaps),
        longest_gap=max(gaps, default=0),
        n_missing_timesteps=sum(gaps),
        n_segments=len(series.segments),
        labelled_share=float(labelled.mean()),
        excluded_share=float(excluded.mean()),
        channels=channels,
        grade=max([worst, *(channel.grade for channel in channels)], key=GRADES.index),
        notes=series.notes,
        problems=tuple(problems),
    )


def assess_folder(
    path: Path,
    *,
    period: Period | None = None,
    max_gap: int = DEFAULT_MAX_GAP,
    window_size: int | None = None,
    min_days: float | None = None,
    report: Report = silent,
) -> tuple[list[AssetQuality], list[str]]:
    """Assess every asset of a folder; what cannot be read is told and does not stop the rest.

    Parameters
    ----------
    path, period, max_gap
        As for `read_folder`.
    window_size, min_days
        As for `assess`.
    report : callable, optional
        Takes each `Step`, in machines.

    Returns
    -------
    qualities : list of AssetQuality
    errors : list of str
        One message for each file that cannot be used, and for assets of a group that do not fit together.

    Raises
    ------
    ReadingsError
        If `path` holds no readings at all.
    """
    path = Path(path)
    series, errors, unread = [], [], []
    groups: dict[str, list[Series]] = {}
    for one in counted(asset_files(path), report, "reading", "machines"):
        try:
            series.append(read_readings(one, period=period, max_gap=max_gap))
            groups.setdefault(one.group, []).append(series[-1])
        except ReadingsError as error:
            errors.append(str(error))
            unread.append(one.asset)
    spans: dict[str, tuple[Span, ...]] = {"labels": (), "exclude": (), "alarms": ()}
    notes: list[str] = []
    for name in spans:
        try:
            read = read_alarms if name == "alarms" else read_spans
            spans[name], outside = read(path / f"{name}.csv", series, unread=unread)
            notes += outside
        except ReadingsError as error:
            errors.append(str(error))
    try:
        read_test_starts(path / "splits.csv", series, unread=unread)
    except ReadingsError as error:
        errors.append(str(error))
    for of_group in groups.values():
        try:
            alike(of_group)
        except ReadingsError as error:
            errors.append(str(error))
    folder = Folder(tuple(series), spans["labels"], spans["exclude"], spans["alarms"])
    qualities = [assess(one, folder, window_size=window_size, min_days=min_days) for one in series]
    return qualities, [*errors, *(f"{note}: correct it or drop the row" for note in notes)]


def _runs(series: Series, rows: IntArray) -> IntArray:
    """Places among `rows` where a stretch of successive timesteps begins."""
    return np.flatnonzero(np.concatenate(([True], np.diff(series.positions[rows]) > 1)))


def _gaps(series: Series) -> list[int]:
    """Length of each gap in timesteps: rows without any reading, and what long gaps left out."""
    short = events_of(np.asarray(np.isnan(series.values).all(axis=1)))
    long = np.diff(series.positions)[series.segment_starts[1:] - 1] - 1
    return [*(short[:, 1] - short[:, 0]).tolist(), *long.tolist()]


def _gap_problems(series: Series, gaps: list[int]) -> Iterable[str]:
    missing = sum(gaps) / (series.n_timesteps + sum(gaps))
    if len(series.segments) > 1 and missing > LIMITS["C"][0]:
        yield (
            f"{missing:.0%} of the time has no reading: if the machine was off this is fine, else mend its source; "
            "if readings come less often than every period, give the period"
        )


def _length_problems(series: Series, window_size: int | None, min_days: float | None) -> Iterable[str]:
    if window_size is not None:
        longest = max(stop - start for start, stop in series.segments)
        if longest < window_size:
            yield (
                f"too short: the longest stretch without a long gap has {count(longest, 'timestep')}, a window needs "
                f"{window_size:,}: give more readings, a smaller window_size or a larger max_gap"
            )
        elif series.n_timesteps < 10 * window_size:
            yield (
                f"too short to learn from: {count(series.n_timesteps, 'timestep')} are fewer than 10 windows of "
                f"{window_size:,}: give more readings or a smaller window_size"
            )
    if min_days is not None and series.period_s is not None:
        length = pd.Timedelta(series.n_timesteps * series.period_s, unit="s")
        if length < pd.Timedelta(min_days, unit="D"):
            yield (
                f"too short for the false-alarm budget: {duration_text(length)} of readings, {min_days:g} d are needed "
                "to check it: give more readings, or raise the budget"
            )
