"""Quality of readings: what a person should know and mend before training on them.

Every problem found says what to do about it; the grade of a channel follows from a table that stands in this module,
so that it can be disputed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.folder import Span, alike, read_readings, read_spans, read_test_starts, reading_files, span_mask
from offbeat.readings.series import DEFAULT_MAX_GAP, Period, Series, count
from offbeat.typing import FloatArray, IntArray

GRADES = "ABCDF"
# a channel gets the first grade whose limits it keeps: share missing, share of the longest constant stretch, outliers
LIMITS = {"A": (0.01, 0.10, 0.001), "B": (0.05, 0.25, 0.01), "C": (0.20, 0.50, 0.03), "D": (0.50, 0.90, 0.10)}
OUTLIER_SIGMAS = 10
FEW_LEVELS = 10  # a channel of so few distinct values is a switch or a counter: it may stand still for long
LABEL_NAMES = ("label", "labels", "anomaly", "is_anomaly", "changepoint", "target", "fault", "class")
REPORT_WIDTH = 108
_DAY_S = 86_400.0
_LEGEND = """Columns   missing, outliers: share of the rows; constant: longest stretch of equal readings, in timesteps.
          Labelled and excluded rows are left out of them. Grades: A good, B usable, C look at it, D poor,
          F mend or drop it."""


@dataclass(frozen=True)
class ChannelQuality:
    """What one channel holds outside labels and exclusions; shares are of those rows, stretches in timesteps."""

    channel: str
    missing_share: float
    longest_constant: int
    minimum: float
    maximum: float
    mean: float
    std: float
    n_distinct: int
    outlier_share: float
    grade: str
    problems: tuple[str, ...] = ()


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
    *,
    labels: Iterable[Span] = (),
    exclude: Iterable[Span] = (),
    window_size: int | None = None,
    min_days: float | None = None,
) -> AssetQuality:
    """Describe and grade one asset's readings.

    Parameters
    ----------
    series : Series
    labels, exclude : iterable of Span
        Known anomalies and stretches to leave out; their rows are counted, but left out of what the channels are
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
    labelled, excluded = span_mask(series, labels), span_mask(series, exclude)
    judged = np.flatnonzero(~(labelled | excluded))
    problems = [*_length_problems(series, window_size, min_days), *_gap_problems(series, gaps := _gaps(series))]
    worst = "D" if any(text.startswith("too short") for text in problems) else "A"
    if not len(judged):
        problems.append("every row is labelled or excluded, so nothing is left to learn from: give more readings")
        judged, worst = np.arange(series.n_timesteps), "F"
    values, runs = series.values[judged], _runs(series, judged)
    channels = tuple(_channel(name, values[:, k], runs) for k, name in enumerate(series.channels))
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
) -> tuple[list[AssetQuality], list[str]]:
    """Assess every asset of a folder; what cannot be read is told and does not stop the rest.

    Parameters
    ----------
    path, period, max_gap
        As for `read_folder`.
    window_size, min_days
        As for `assess`.

    Returns
    -------
    qualities : list of AssetQuality
    errors : list of str
        One message for each file that cannot be used, and for assets that do not fit together.

    Raises
    ------
    ReadingsError
        If `path` holds no readings at all.
    """
    series, errors, unread = [], [], []
    for file in reading_files(path):
        try:
            series.append(read_readings(file, period=period, max_gap=max_gap))
        except ReadingsError as error:
            errors.append(str(error))
            unread.append(file.stem)
    spans: dict[str, tuple[Span, ...]] = {"labels": (), "exclude": ()}
    notes: list[str] = []
    for name in spans:
        try:
            spans[name], outside = read_spans(Path(path) / f"{name}.csv", series, unread=unread)
            notes += outside
        except ReadingsError as error:
            errors.append(str(error))
    try:
        read_test_starts(Path(path) / "splits.csv", series, unread=unread)
        if series:
            alike(series)
    except ReadingsError as error:
        errors.append(str(error))
    qualities = [assess(one, **spans, window_size=window_size, min_days=min_days) for one in series]
    return qualities, [*errors, *(f"{note}: correct it or drop the row" for note in notes)]


def render(qualities: Sequence[AssetQuality], errors: Sequence[str] = ()) -> str:
    """Write the report as plain text, at most 110 columns where names allow it."""
    parts = [_block(quality) for quality in qualities]
    if qualities:
        grades = "  ".join(f"{quality.asset}: {quality.grade}" for quality in qualities)
        parts += [_LEGEND, _wrap(grades, "Grades    ")]
    todo = [*errors, *_by_text(qualities)]
    lines = [_wrap(text, f"{k:>4}. ") for k, text in enumerate(todo, start=1)]
    parts.append("\n".join(["What to do", *lines]) if todo else "Nothing to mend: these readings can be trained on.")
    return "\n\n".join(parts) + "\n"


def _by_text(qualities: Iterable[AssetQuality]) -> list[str]:
    """Problems of all assets; one that several assets share stands there once, with their names."""
    assets: dict[str, list[str]] = {}
    for quality in qualities:
        for text in (*quality.problems, *(text for channel in quality.channels for text in channel.problems)):
            assets.setdefault(text, []).append(quality.asset)
    return [f"{', '.join(names)}: {text}" for text, names in assets.items()]


def _wrap(text: str, head: str) -> str:
    return textwrap.fill(
        text, REPORT_WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )


def _runs(series: Series, rows: IntArray) -> IntArray:
    """Places among `rows` where a stretch of successive timesteps begins."""
    return np.flatnonzero(np.concatenate(([True], np.diff(series.positions[rows]) > 1)))


def _channel(name: str, values: FloatArray, runs: IntArray) -> ChannelQuality:
    """Describe one channel, values of shape (T,)."""
    present = values[~np.isnan(values)]
    missing = (len(values) - len(present)) / len(values)
    if not len(present):
        text = f"channel {name!r} has no reading at all: drop it, or mend its source"
        nan = float("nan")
        return ChannelQuality(name, 1.0, 0, nan, nan, nan, nan, 0, 0.0, "F", (text,))
    longest, distinct = _longest_constant(values, runs), len(np.unique(present))
    outliers = _outlier_share(present)
    still = longest / len(values) if distinct > FEW_LEVELS else 0.0
    measures = (missing, still, outliers)
    kept = (
        grade
        for grade, limits in LIMITS.items()
        if all(measure <= limit for measure, limit in zip(measures, limits, strict=True))
    )
    grade = "F" if distinct == 1 else next(kept, "F")
    return ChannelQuality(
        channel=name,
        missing_share=missing,
        longest_constant=longest,
        minimum=float(present.min()),
        maximum=float(present.max()),
        mean=float(present.mean()),
        std=float(present.std()),
        n_distinct=distinct,
        outlier_share=outliers,
        grade=grade,
        problems=tuple(_channel_problems(name, missing, longest, still, distinct, outliers)),
    )


def _channel_problems(
    name: str, missing: float, longest: int, still: float, distinct: int, outliers: float
) -> Iterable[str]:
    missing_limit, still_limit, outlier_limit = LIMITS["B"]
    if name.lower() in LABEL_NAMES:
        yield f"channel {name!r} is named like a label: a model must not see labels; move it to labels.csv"
    if distinct == 1:
        yield f"channel {name!r} is constant: it carries no information; drop it, or record until it changes"
    if missing > missing_limit:
        yield f"channel {name!r} misses {missing:.0%} of its readings: mend its source, or drop it"
    if still > still_limit and distinct > 1:
        yield (
            f"channel {name!r} stands still for {longest:,} timesteps: if the sensor was stuck or the machine off, add "
            "the stretch to exclude.csv"
        )
    if outliers > outlier_limit:
        yield (
            f"channel {name!r} has {outliers:.1%} readings beyond {OUTLIER_SIGMAS} robust standard deviations: look "
            "for error codes such as -999 and leave them empty, or add incidents to labels.csv"
        )


def _longest_constant(values: FloatArray, runs: IntArray) -> int:
    """Longest run of equal readings, in timesteps; a missing reading or a row left out ends a run."""
    new = np.concatenate(([True], values[1:] != values[:-1]))  # NaN differs from everything, itself included
    new[runs] = True
    lengths = np.diff(np.append(np.flatnonzero(new), len(values)))
    return int(lengths[~np.isnan(values[new])].max())


def _outlier_share(present: FloatArray) -> float:
    distance = np.abs(present - np.median(present))
    low, high = np.quantile(present, [0.05, 0.95])
    sigma = max(1.4826 * np.median(distance), (high - low) / 3.29)
    return float((distance > OUTLIER_SIGMAS * sigma).mean()) if sigma > 0 else 0.0


def _gaps(series: Series) -> list[int]:
    """Length of each gap in timesteps: rows without any reading, and what long gaps left out."""
    empty = np.isnan(series.values).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], empty, [False]))))
    long = np.diff(series.positions)[series.segment_starts[1:] - 1] - 1
    return [*(edges[1::2] - edges[::2]).tolist(), *long.tolist()]


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
                f"too short for the false-alarm budget: {_period(length)} of readings, {min_days:g} d are needed to "
                "check it: give more readings or a shorter budget period"
            )


def _block(quality: AssetQuality) -> str:
    """Report of one asset: what it spans, then a line for each channel."""
    rows, segments = count(quality.n_timesteps, "row"), count(quality.n_segments, "segment")
    lines = [
        f"{quality.asset}   grade {quality.grade}",
        f"  {rows} in {segments}, one every {_period(quality.period)}, {_moment(quality.start)} to "
        + _moment(quality.end),
        f"  {_gap_line(quality)}; labelled {quality.labelled_share:.1%}, excluded {quality.excluded_share:.1%}",
        *(f"  note: {note}" for note in quality.notes),
    ]
    width = max([len("channel"), *(len(channel.channel) for channel in quality.channels)])
    head = ("missing", "constant", "min", "max", "mean", "std", "distinct", "outliers")
    lines.append(f"    {'channel':<{width}}  grade" + "".join(f"{title:>10}" for title in head))
    for one in quality.channels:
        numbers = "".join(f"{number:>10.4g}" for number in (one.minimum, one.maximum, one.mean, one.std))
        lines.append(
            f"    {one.channel:<{width}}    {one.grade}  {one.missing_share:>10.1%}{one.longest_constant:>10,}"
            f"{numbers}{one.n_distinct:>10,}{one.outlier_share:>10.2%}"
        )
    return "\n".join(lines)


def _gap_line(quality: AssetQuality) -> str:
    if not quality.n_gaps:
        return "no gaps"
    longest = quality.longest_gap * quality.period
    length = f"{count(quality.longest_gap, 'timestep')}"
    length += f" ({_period(longest)})" if isinstance(longest, pd.Timedelta) else ""
    return (
        f"{count(quality.n_gaps, 'gap')}, the longest {length}, {count(quality.n_missing_timesteps, 'timestep')} in all"
    )


def _period(period: pd.Timedelta | int) -> str:
    if not isinstance(period, pd.Timedelta):
        return "step" if period == 1 else f"{period:,} steps"
    seconds = period.total_seconds()
    for unit, length in (("d", _DAY_S), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length or seconds == length:
            return f"{seconds / length:.4g} {unit}"
    return f"{seconds:.6g} s"


def _moment(moment: pd.Timestamp | int) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") + " UTC" if isinstance(moment, pd.Timestamp) else f"{moment:,}"
