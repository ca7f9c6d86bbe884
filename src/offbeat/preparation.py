"""Readings to what a network may learn from: spans, normal rows, scaling, window starts.

One `Prepared` an asset holds the series and which of its rows serve what; nothing is ever copied window by window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offbeat.detection.calendar import N_COLUMNS, calendar_code
from offbeat.detection.events import events_of
from offbeat.detection.scaling import Measured, Scaling, measure, scaling_of, usual_scale_of
from offbeat.detection.seasons import HOUR, N_HOURS
from offbeat.detection.windows import covered, reach_mask, window_starts
from offbeat.errors import ParamsError, ReadingsError, StageError
from offbeat.params import PrepareParams
from offbeat.readings.channel_quality import LABEL_NAMES
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series
from offbeat.readings.splits import Rows, Split, split_rows
from offbeat.typing import BoolArray, FloatArray, IntArray

HELD_OUT_WINDOWS = 2000  # at most, over the fleet: enough to decide when to stop
FEWEST_SEASONS = 3  # in a training span, so that each hour's mean is more than a reading or two


@dataclass(frozen=True, eq=False)
class Prepared:
    """One asset, ready to learn from.

    Attributes
    ----------
    series : Series
    split : Split
    labelled, excluded, doubtful : ndarray of shape (T,), bool
        As `Folder.masks` returns them.
    scaling : Scaling
        Fitted on the normal rows of the training span.
    scaled : ndarray of shape (T, F), float32
    starts, held_out_starts : ndarray of int
        Windows of normal rows of the training span, and of its held-out part.
    """

    series: Series
    split: Split
    labelled: BoolArray
    excluded: BoolArray
    doubtful: BoolArray
    scaling: Scaling
    scaled: FloatArray
    starts: IntArray
    held_out_starts: IntArray

    @property
    def normal(self) -> BoolArray:
        """Rows (T,) to learn from: neither labelled nor excluded nor doubtful."""
        return ~(self.labelled | self.excluded | self.doubtful)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a model learns from.

    Attributes
    ----------
    values : ndarray of shape (sum of T, F + C), float32
        Scaled readings of all assets, one after another, NaN where missing; and C calendar columns.
    n_channels : int
        F.
    starts, held_out_starts : ndarray of int
        Windows to learn from, and windows that decide when to stop; of several assets these are thinned evenly.
    """

    values: FloatArray
    n_channels: int
    starts: IntArray
    held_out_starts: IntArray

    @property
    def readings(self) -> FloatArray:
        """Readings alone (sum of T, F)."""
        return self.values[:, : self.n_channels]


@dataclass(frozen=True, eq=False)
class Survey:
    """One asset's spans and masks, and what its scaling is made of: all that its group's assets are asked for at first.

    Attributes are those of `Prepared`; `measured` is of the normal rows of the training span.
    """

    series: Series
    split: Split
    labelled: BoolArray
    excluded: BoolArray
    doubtful: BoolArray
    measured: Measured


def prepare_fleet(folder: Folder, params: PrepareParams) -> list[Prepared]:
    """Prepare every asset of a folder of readings; errors as for `survey` and `prepare_asset`."""
    surveys = [survey(series, folder, params) for series in folder.series]
    usual_scale = usual_scale_of([one.measured for one in surveys])
    return [prepare_asset(one, usual_scale, params) for one in surveys]


def survey(series: Series, folder: Folder, params: PrepareParams) -> Survey:
    """Look at one asset of a folder of readings.

    Raises
    ------
    ReadingsError
        If a span is too short, or a channel has no reading to learn from, or none that preprocessing can use.
    ParamsError
        If seasonal means are asked for of readings without time.
    """
    _check_season(series, params)
    split = split_of(series, folder, params)
    labelled, excluded, doubtful = folder.masks(series)
    span, normal = _learnable(series, split, ~(labelled | excluded | doubtful))
    return Survey(series, split, labelled, excluded, doubtful, measure(span, normal, params.preprocessing))


def prepare_asset(surveyed: Survey, usual_scale: FloatArray, params: PrepareParams) -> Prepared:
    """Prepare one asset, given the usual scale (F,) of its group.

    Raises
    ------
    ReadingsError
        If a span has no room for a normal window.
    StageError
        If a window to learn from reaches what it must not; that is a fault of offbeat.
    """
    series, split = surveyed.series, surveyed.split
    normal = ~(surveyed.labelled | surveyed.excluded | surveyed.doubtful)
    scaling = scaling_of(surveyed.measured, params.preprocessing, usual_scale)
    reach = params.difference + params.window_size
    prepared = Prepared(
        series=series,
        split=split,
        labelled=surveyed.labelled,
        excluded=surveyed.excluded,
        doubtful=surveyed.doubtful,
        scaling=scaling,
        scaled=scaling.apply(series),
        starts=_starts(series, split.train, normal, reach, "training") + params.difference,
        held_out_starts=_starts(series, split.held_out, normal, reach, "held-out") + params.difference,
    )
    check_no_leak(prepared, params.window_size)
    return prepared


def check_no_leak(prepared: Prepared, window_size: int) -> None:
    """Raise StageError if a window to learn from has a row that it must not have.

    Such rows are labelled, excluded, outside the window's own span, or on the other side of a long gap; and the spans
    themselves must stand in order, a window apart. With differences the row before a window counts as one of its own.
    """
    asset, split, difference = prepared.series.asset, prepared.split, prepared.scaling.preprocessing.difference
    reach = difference + window_size
    for name, starts, rows in (
        ("training", prepared.starts - difference, split.train),
        ("held-out", prepared.held_out_starts - difference, split.held_out),
    ):
        if len(starts) and (starts.min() < rows[0] or starts.max() + reach > rows[1]):
            raise StageError(f"leak: a {name} window of asset '{asset}' reaches outside rows {rows[0]} to {rows[1]}")
        touched = covered(starts, reach, prepared.series.n_timesteps)
        if (touched & ~prepared.normal).any():
            row = int(np.flatnonzero(touched & ~prepared.normal)[0])
            raise StageError(f"leak: a {name} window of asset '{asset}' has labelled or excluded row {row}")
        cuts = prepared.series.segment_starts[1:]
        if (np.searchsorted(starts, cuts - reach + 1) < np.searchsorted(starts, cuts)).any():
            raise StageError(f"leak: a {name} window of asset '{asset}' crosses a long gap")
    ends = (split.train[1], split.held_out[1] + window_size, split.calibration[1] + window_size)
    begins = (split.held_out[0], split.calibration[0], split.test[0])
    if any(end > begin for end, begin in zip(ends, begins, strict=True)):
        raise StageError(f"leak: the spans of asset '{asset}' are less than a window apart: {split}")


def lesson_of(prepared: Prepared, calendar: str = "none") -> Lesson:
    """Return what there is to learn from one asset; of its readings only those of the training span.

    Raises
    ------
    ReadingsError
        If a calendar is asked for and the readings have no time.
    """
    n_calendar, series = N_COLUMNS[calendar], prepared.series
    if n_calendar and not series.is_time:
        raise ReadingsError(
            f"train.calendar={calendar} needs timestamps, and these readings are numbered: set it to none"
        )
    stop = prepared.split.held_out[1]
    values = prepared.scaled[:stop]  # a view: a copy would take as much memory as the readings
    if n_calendar:
        values = np.concatenate([values, calendar_code(series.stamps[:stop], n_calendar)], axis=1)
    return Lesson(values, series.n_channels, prepared.starts, prepared.held_out_starts)


def laid_end_to_end(lessons: Sequence[Lesson]) -> Lesson:
    """Return what a model of all assets learns from; held-out windows are thinned to `HELD_OUT_WINDOWS`."""
    offsets = np.cumsum([0] + [len(lesson.values) for lesson in lessons[:-1]])
    values = lessons[0].values if len(lessons) == 1 else np.concatenate([lesson.values for lesson in lessons])
    starts = np.concatenate([one.starts + offset for one, offset in zip(lessons, offsets, strict=True)])
    held_out = np.concatenate([one.held_out_starts + offset for one, offset in zip(lessons, offsets, strict=True)])
    kept = np.unique(np.linspace(0, len(held_out) - 1, min(len(held_out), HELD_OUT_WINDOWS)).astype(np.int64))
    return Lesson(values, lessons[0].n_channels, starts, held_out[kept])


def lesson_of_all(fleet: Sequence[Prepared], calendar: str = "none") -> Lesson:
    """Return what a model of all assets learns from; errors as for `lesson_of`."""
    return laid_end_to_end([lesson_of(prepared, calendar) for prepared in fleet])


def calibration_rows(prepared: Prepared, context: int, delay: int) -> BoolArray:
    """Return the timesteps (T,), up to the start of the test span, whose scores count for the threshold.

    They lie in the calibration span, and all the readings that shape such a score, `context` before it and `delay`
    after it, are normal and lie between the training span and the test span: in the embargo at worst. Where the span is
    too short for that, the readings before a score may lie in the training span too; and where it is cut by long gaps,
    beyond which no score reaches, those on the other side count as any.
    """
    counts = _calibration_reach(prepared, prepared.normal, context, delay, prepared.split.held_out[1])
    if not counts.any():
        counts = _calibration_reach(prepared, prepared.normal, context, delay, 0)
    return counts if counts.any() else _calibration_reach(prepared, prepared.normal, context, delay, 0, over_gaps=True)


def labelled_rows(prepared: Prepared, context: int, delay: int) -> BoolArray:
    """Return the labelled timesteps (T,), up to the start of the test span, for thresholds that labels choose.

    As `calibration_rows`, but that the readings that shape such a score may be labelled as well as normal, and the one
    at the timestep itself is. What is in neither mixes an event with normal rows after it or before it, or rests on
    excluded or doubtful readings.
    """
    known = ~(prepared.excluded | prepared.doubtful)
    counts = _calibration_reach(prepared, known, context, delay, prepared.split.held_out[1])
    return counts & prepared.labelled[: prepared.split.test[0]]


def held_out_rows(prepared: Prepared, window_size: int) -> BoolArray:
    """Return the timesteps (T,), up to the start of the test span, at which a normal held-out window ends."""
    usable = _only(prepared, prepared.normal, *prepared.split.held_out)
    before = prepared.scaling.preprocessing.difference + window_size - 1
    return reach_mask(usable, prepared.series.rows(0, len(usable)).segment_starts, before, 0)


def _calibration_reach(
    prepared: Prepared, usable: BoolArray, context: int, delay: int, first: int, *, over_gaps: bool = False
) -> BoolArray:
    """Return the timesteps of the calibration span whose scores rest on usable rows from `first` to the test span."""
    start, stop = prepared.split.calibration
    kept = _only(prepared, usable, first, prepared.split.test[0])
    starts = prepared.series.rows(0, len(kept)).segment_starts
    counts = reach_mask(kept, starts[:0] if over_gaps else starts, context, delay)
    counts[:start] = False
    counts[stop:] = False
    return counts


def _only(prepared: Prepared, usable: BoolArray, start: int, stop: int) -> BoolArray:
    """Return the usable rows from `start` to `stop`, up to the start of the test span."""
    kept = usable[: prepared.split.test[0]].copy()
    kept[:start] = False
    kept[stop:] = False
    return kept


def split_of(series: Series, folder: Folder, params: PrepareParams) -> Split:
    """Return the spans of a series; ReadingsError if one has no room for a window."""
    when = folder.test_starts.get(series.asset)
    return split_rows(
        series,
        embargo=params.window_size,
        train_share=params.train_share,
        calibration_share=params.calibration_share,
        held_out_share=params.held_out_share,
        test_start=None if when is None else series.row_of(when),
    )


def _check_season(series: Series, params: PrepareParams) -> None:
    if params.season != "none" and not series.is_time:
        raise ParamsError(
            f"prepare.season={params.season} takes readings with times, and asset '{series.asset}' is indexed by "
            "whole numbers: set prepare.season to none, or give the readings a column of timestamps"
        )


def _learnable(series: Series, split: Split, normal: BoolArray) -> tuple[Series, BoolArray]:
    """Return the training span without its held-out part, n rows, and which of them (n,) are normal."""
    start, stop = split.train
    span, usable = series.rows(start, stop), normal[start:stop]
    if not usable.any():
        raise ReadingsError(
            f"asset '{series.asset}': every row of its training span is labelled or excluded: "
            "give more normal readings, or a larger prepare.train_share"
        )
    for channel, column in zip(series.channels, span.values.T, strict=True):
        if not (usable & ~np.isnan(column)).any():
            raise ReadingsError(
                f"asset '{series.asset}': channel '{channel}' has no reading in the training span: "
                "drop the column from all assets, or give readings of it"
            )
    return span, usable


def _starts(series: Series, rows: Rows, normal: BoolArray, reach: int, name: str) -> IntArray:
    """Return the starts of runs of `reach` normal rows in one span and segment."""
    usable = normal.copy()
    usable[: rows[0]] = False
    usable[rows[1] :] = False
    runs = [(start, stop) for start, stop in events_of(usable, series.segment_starts).tolist()]
    starts = window_starts(runs, series.positions, reach, stride=1)
    if not len(starts):
        longest = max((stop - start for start, stop in runs), default=0)
        raise ReadingsError(
            f"asset '{series.asset}': its {name} span has no {reach} normal rows in a row (at most {longest}): "
            "give more readings, mark fewer rows, raise prepare.max_gap or shorten prepare.window_size"
        )
    return starts


def preparation_notes(folder: Folder, fleet: Sequence[Prepared]) -> list[str]:
    """Return what a person should know of the readings before trusting what learns from them."""
    notes = list(folder.notes)
    notes += [
        f"warning: channel '{channel}' is named like a label, and a model must not see labels"
        for channel in fleet[0].series.channels
        if channel.lower() in LABEL_NAMES
    ]
    for prepared in fleet:
        notes += [f"{prepared.series.asset}: {note}" for note in prepared.series.notes]
        notes += [
            f"{prepared.series.asset}: warning: channel '{channel}' stands still in the training span; "
            "any move of it will look large"
            for channel in still_channels(prepared)
        ]
        notes += _season_notes(prepared)
    return notes


def still_channels(prepared: Prepared) -> list[str]:
    """Return the channels that do not move in the training span: they teach the network nothing."""
    span, normal = _learnable(prepared.series, prepared.split, prepared.normal)
    columns = zip(prepared.series.channels, span.values.T, strict=True)
    return [name for name, column in columns if np.nanmin(column[normal]) == np.nanmax(column[normal])]


def _season_notes(prepared: Prepared) -> list[str]:
    season, (start, stop) = prepared.scaling.preprocessing.season, prepared.split.train
    if season == "none":
        return []
    n_seasons = int(prepared.normal[start:stop].sum()) * prepared.series.step / (N_HOURS[season] * HOUR)
    if n_seasons >= FEWEST_SEASONS:
        return []
    about = f"its training span holds {n_seasons:.1f} {season}s, so that the means of prepare.season={season}"
    remedy = "rest on few readings each: give more readings, or set it to none"
    return [f"{prepared.series.asset}: warning: {about} {remedy}"]
