"""Detector: a network, how to score with it, and each asset's scaling, usual errors and threshold.

Batch, stream and service score through this one class, so that they give the same numbers.
"""

from __future__ import annotations

import logging
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offbeat.detection import storage
from offbeat.detection.calendar import calendar_code
from offbeat.detection.calibration import Calibration, CalibrationSpan, GroupMaxima, choose_thresholds
from offbeat.detection.reference import reference_of
from offbeat.detection.result import Results, ScoreResult, whole_result
from offbeat.detection.running import Rows
from offbeat.detection.runtime import Runtime
from offbeat.detection.scaling import Scaling, fit_scaling
from offbeat.detection.scores import (
    Usual,
    anomaly_scores,
    channel_scores,
    channel_shares,
    errors_of,
    middle_of,
    usual_errors,
)
from offbeat.detection.streaming import Stretch, stretches_of
from offbeat.detection.thresholds import Threshold
from offbeat.detection.windows import Segments, gather_windows, hold_missing, reach_mask, timestep_errors
from offbeat.errors import ModelError, ParamsError, ReadingsError
from offbeat.params import CalibrateParams, Preprocessing, changed
from offbeat.progress import Report, Step, silent
from offbeat.readings.messages import length_text
from offbeat.readings.moments import length_of
from offbeat.readings.series import Series, series_hash
from offbeat.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

SCORE_KEYS = {
    "error",
    "combine",
    "error_floor",
    "stride",
    "delay",
    "smoothing",
    "merge_gap",
}  # of params.yaml's `calibrate`; the others choose thresholds
MOST_NAMES = 10  # of assets in a message


@dataclass(eq=False)
class Detector:
    """Scores series of assets that it was calibrated for.

    Attributes
    ----------
    runtime : Runtime
    channels : tuple of str
    step : int
        From one reading that it learnt from to the next, in nanoseconds or steps; others are refused.
    is_time : bool
        Which of the two.
    max_gap : int
        In timesteps; how readings must be put on their grid.
    preprocessing : Preprocessing
        What is done to readings first.
    params : CalibrateParams
        How errors become scores and thresholds.
    assets : dict of str to Calibration
    lineage : mapping of str to str
        Data hash, git commit, params hash and version that made it.
    lent : GroupMaxima or None
        What the assets that it learnt from lend to one that is calibrated later.
    """

    runtime: Runtime
    channels: tuple[str, ...]
    step: int
    is_time: bool
    max_gap: int
    preprocessing: Preprocessing
    params: CalibrateParams
    assets: dict[str, Calibration] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)
    lent: GroupMaxima | None = None

    @property
    def period(self) -> pd.Timedelta | int:
        """Step of the grid that it learnt."""
        return length_of(self.step, self.is_time)

    @property
    def period_s(self) -> float | None:
        """Step of the grid in seconds; None for an integer index."""
        return self.step / 1e9 if self.is_time else None

    @property
    def method(self) -> str:
        """Name of the kind of model, such as lstm_autoencoder."""
        return self.lineage.get("method", "model")

    @property
    def window_size(self) -> int:
        """Timesteps in a window."""
        return self.runtime.window_size

    @property
    def delay(self) -> int:
        """Timesteps after t whose readings still shape the score at t: what a stream waits for."""
        return self.params.delay

    @property
    def context(self) -> int:
        """Timesteps before t whose readings shape the score at t: what a stream must send along."""
        return self.preprocessing.difference + self.window_size - 1 + self.params.smoothing - 1 - self.params.lead

    @property
    def reach(self) -> int:
        """Timesteps whose readings shape one score."""
        return self.context + self.delay + 1

    def score(self, series: Series, *, report: Report = silent) -> ScoreResult:
        """Score every timestep of a series.

        Parameters
        ----------
        series : Series
        report : callable, optional
            Takes each `Step`, in timesteps.

        Raises
        ------
        ModelError
            If its asset was never calibrated, or its channels or period are not the detector's.
        ReadingsError
            If no segment is as long as a window.
        """
        self._check(series)
        calibration = self._calibration_of(series.asset)

        def parts(report: Report) -> Iterator[ScoreResult]:
            return self._score_pieces(calibration, series.asset, [series], report, series.n_timesteps)

        def shares_of() -> FloatArray:
            return np.concatenate([part.channel_shares for part in parts(silent)])

        return whole_result(parts(report), series, shares_of)

    def score_pieces(
        self, asset: str, pieces: Iterable[Series], *, n_timesteps: int | None = None, report: Report = silent
    ) -> Iterator[ScoreResult]:
        """Score readings that come in pieces; together the results are exactly that of `score` of the whole.

        What is in memory at once does not grow with them.

        Parameters
        ----------
        asset : str
        pieces : iterable of Series
            Successive readings of the asset on one grid. A piece that begins a step after the one before goes on with
            its segment.
        n_timesteps : int, optional
            How many there will be, for `report`.
        report : callable, optional
            Takes each `Step`, in timesteps.

        Yields
        ------
        ScoreResult
            Of successive timesteps. Its events are those that are over; their rows count from the first timestep of
            all.

        Raises
        ------
        ModelError, ReadingsError
            As `score`; that no segment is as long as a window, or that a later piece is wrong, shows only at its place.
        """
        return self._score_pieces(self._calibration_of(asset), asset, pieces, report, n_timesteps)

    def _score_pieces(
        self,
        calibration: Calibration,
        asset: str,
        pieces: Iterable[Series],
        report: Report,
        n_timesteps: int | None = None,
    ) -> Iterator[ScoreResult]:
        lineage = {**self.lineage, **calibration.origin}
        results = Results(
            asset, self.channels, self.is_time, self.step, calibration.threshold.value, self.params.merge_gap, lineage
        )
        for stretch, by_channel in self._by_stretch(calibration, pieces, report, n_timesteps):
            rows = Rows(
                stamps=stretch.series.stamps[stretch.rows],
                scores=anomaly_scores(by_channel, self.params.combine),
                shares=channel_shares(by_channel),
                settled=self._settled(stretch.series)[stretch.rows],
                begins=stretch.begins,
            )
            yield results.take(rows, is_last=stretch.is_last)

    def _by_stretch(
        self, calibration: Calibration, pieces: Iterable[Series], report: Report, n_timesteps: int | None = None
    ) -> Iterator[tuple[Stretch, FloatArray]]:
        """Yield the stretches of readings, and the channel scores (n, F) of their rows."""
        longest = 0
        for stretch, errors in self._errors(calibration.scaling, pieces, report, n_timesteps):
            longest = max(longest, _longest_segment(stretch.series))
            by_channel = self._by_channel(errors, calibration.usual, stretch.series.segments)
            if stretch.is_last:
                self._check_longest(stretch.series.asset, longest)
            yield stretch, by_channel[stretch.rows]

    def _calibration_of(self, asset: str) -> Calibration:
        self.check_asset(asset)
        return self.assets[asset]

    def check_asset(self, asset: str) -> None:
        """Raise ModelError if an asset was never calibrated."""
        if asset not in self.assets:
            raise ModelError(never_calibrated(asset, sorted(self.assets)))

    def calibrate(
        self,
        series: Series,
        *,
        normal: BoolArray | None = None,
        labelled: BoolArray | None = None,
        **changes: object,
    ) -> Detector:
        """Choose the threshold of an asset from a span of its normal readings, in place; return the detector.

        An asset that is new to the detector gets its scaling and usual errors from the first half of the span and its
        threshold from the second; a known one keeps them and gets its threshold from the whole span. Where that is too
        short for the budget, one that the detector did not learn from borrows of those that it did, and is provisional.

        Parameters
        ----------
        series : Series
            Normal readings, none of them in the training span.
        normal : ndarray of shape (n_timesteps,), bool, optional
            Which of them are; all but the labelled by default. A score counts if all readings that shape it are.
        labelled : ndarray of shape (n_timesteps,), bool, optional
            Which lie in a known event; none by default. Only the methods that choose by labels look at their scores.
        **changes
            Keys of params.yaml's `calibrate` that choose the threshold, such as `false_alarms_per_week=0.5`.

        Raises
        ------
        ModelError, ReadingsError
            As `score`, and if the span is too short.
        ParamsError
            If a change is unknown, out of range, or of a key that shapes the scores.
        """
        self.assets[series.asset] = self.calibrated(
            series, normal=normal, labelled=labelled, usual_scale=self.usual_scale(), **changes
        )
        self.log_warnings([series.asset])
        return self

    def calibrated(
        self,
        series: Series,
        *,
        normal: BoolArray | None = None,
        labelled: BoolArray | None = None,
        usual_scale: FloatArray | None = None,
        **changes: object,
    ) -> Calibration:
        """Return what `calibrate` gives an asset; `usual_scale` (F,) is for channels of a new one that stand still."""
        for key in SCORE_KEYS & changes.keys():
            raise ParamsError(f"calibrate.{key} shapes the scores of every asset: set it in the params of a new fit")
        params = changed(self.params, changes)
        normal, labelled = _checked_masks(series, normal, labelled)
        known, first, half = self.assets.get(series.asset), 0, series.n_timesteps // 2
        if known is None:
            known = self.learn_asset(series.rows(0, half), normal[:half], usual_scale)
            first = half + self.context  # no reading serves both
        span = self.calibration_span(series, known, normal, labelled, first)
        if series.asset not in self.assets:
            ordered = series.in_order(self.channels)
            known = replace(
                known, reference=reference_of(ordered, normal, np.where(span.normal, span.scores, np.nan), half)
            )
        lent = None if self.lent is None or series.asset in self.lent.assets else self.lent
        [threshold] = self.choose_thresholds([span], params, lent)
        origin = {"data_hash": series_hash(series), **{key: str(value) for key, value in changes.items()}}
        return replace(known, threshold=threshold, origin=origin)

    def usual_scale(self) -> FloatArray | None:
        """Return the usual scale (F,) of the channels of the assets it knows; None if it knows none."""
        scales = [known.scaling.scale for known in self.assets.values()]
        return np.median(scales, axis=0) if scales else None

    def log_warnings(self, assets: Iterable[str]) -> None:
        """Log, for people who call from Python, which thresholds promise less than the budget asks for."""
        for asset in assets:
            if warning := self.assets[asset].threshold.warning:
                logging.getLogger(__name__).warning("asset '%s': %s", asset, warning)

    def learn_asset(self, series: Series, normal: BoolArray, usual_scale: FloatArray | None) -> Calibration:
        """Return scaling and usual errors of a new asset from the rows (T,) that are normal; its threshold is infinite.

        `usual_scale` (F,) takes the place of a scale that is zero.

        Raises
        ------
        ModelError, ReadingsError
            As `calibrate`.
        """
        self._check(series)
        series = series.in_order(self.channels)
        for channel, column in zip(self.channels, series.values[normal].T, strict=True):
            if np.isnan(column).all():
                raise ReadingsError(f"asset '{series.asset}': channel '{channel}' has no reading to calibrate with")
        scaling = fit_scaling(series, normal, self.preprocessing, usual_scale)
        whole = reach_mask(normal, series.segment_starts, self.preprocessing.difference + self.window_size - 1, 0)
        if not whole.any():
            raise ReadingsError(
                f"asset '{series.asset}': the first half of its readings has no {self.window_size} normal rows in "
                "a row to learn from: give more normal readings"
            )
        usual = self.usual_errors(self.errors(series, scaling)[whole])
        return Calibration(scaling, usual, Threshold(np.inf, "none", None))

    def scores(self, series: Series, calibration: Calibration, report: Report = silent) -> FloatArray:
        """Return the anomaly scores (T,) of a series under a calibration."""
        self._check(series)
        stretches = self._by_stretch(calibration, [series], report, series.n_timesteps)
        return np.concatenate([anomaly_scores(by_channel, self.params.combine) for _, by_channel in stretches])

    def usual_errors(self, errors: FloatArray) -> Usual:
        """Return what errors (T, F) of normal readings are like, for the detector's way to combine channels."""
        return usual_errors(errors, floor=self.params.error_floor, whitened=self.params.combine == "whitened")

    def calibration_span(
        self, series: Series, calibration: Calibration, normal: BoolArray, labelled: BoolArray, first: int = 0
    ) -> CalibrationSpan:
        """Return the scores of a series and which of them, from row `first` on, count as normal or as labelled (T,)."""
        counts, known = (
            reach_mask(rows, series.segment_starts, self.context, self.delay) for rows in (normal, normal | labelled)
        )
        counts[:first] = known[:first] = False
        scores = self.scores(series, calibration)
        return CalibrationSpan(series.asset, scores, counts, series.segment_starts, known & labelled)

    def choose_thresholds(
        self,
        spans: Sequence[CalibrationSpan],
        params: CalibrateParams | None = None,
        lent: GroupMaxima | None = None,
    ) -> list[Threshold]:
        """Return a threshold for each asset of a group, by the detector's own rule or another."""
        return choose_thresholds(
            spans, params=params or self.params, reach=self.reach, period_s=self.period_s, lent=lent
        )

    def errors(self, series: Series, scaling: Scaling, report: Report = silent) -> FloatArray:
        """Return the error (T, F) of each scaled reading: of the kind that `params` names, signed to whiten."""
        self._check(series)
        stretches = self._errors(scaling, [series], report, series.n_timesteps)
        return np.concatenate([errors[stretch.rows] for stretch, errors in stretches])

    def estimates(self, series: Series, scaling: Scaling) -> FloatArray:
        """Return what the model makes of each reading (T, F), in the unit of the readings; NaN as `errors` has it."""
        self._check(series)
        series = series.in_order(self.channels)
        scaled = self._by_timestep(series, scaling, lambda _, estimates: middle_of(estimates), lambda _: None)
        return scaling.invert(scaled, series)

    def _errors(
        self, scaling: Scaling, pieces: Iterable[Series], report: Report, n_timesteps: int | None
    ) -> Iterator[tuple[Stretch, FloatArray]]:
        """Yield the stretches of readings, and the errors (n, F) of all rows of each, its surroundings among them."""
        kind = "signed" if self.params.combine == "whitened" else self.params.error

        def judge(readings: FloatArray, estimates: FloatArray) -> FloatArray:
            return errors_of(readings, estimates, kind)

        report(Step("scoring", 0, n_timesteps, "timesteps"))
        before = 0
        for stretch in stretches_of(self, map(self._fitting, pieces)):
            first, n = before - stretch.first, stretch.stop - stretch.first

            def tell(row: int, first: int = first, least: int = before, most: int = before + n) -> None:
                report(Step("scoring", min(max(first + row, least), most), n_timesteps, "timesteps"))

            errors = self._by_timestep(stretch.series.in_order(self.channels), scaling, judge, tell)
            yield stretch, errors
            before += n

    def _by_timestep(
        self,
        series: Series,
        scaling: Scaling,
        judge: Callable[[FloatArray, FloatArray], FloatArray],
        tell: Callable[[int], None],
    ) -> FloatArray:
        """Return means (T, F) over the windows that vote on a timestep, of what `judge` says of theirs.

        It takes scaled readings (N, H, F) and their estimates (N, H, F) or (N, H, F, 3). `tell` takes the row up to
        which windows were judged.
        """
        scaled = scaling.apply(series)
        inputs = np.concatenate([scaled, calendar_code(series.stamps, self.runtime.n_calendar)], axis=1)
        forecast = slice(self.window_size - self.runtime.horizon, None)

        def judged_at(starts: IntArray) -> FloatArray:
            windows = gather_windows(inputs, starts, self.window_size)
            estimates = self.runtime.estimate(hold_missing(windows))
            return judge(windows[:, forecast, : len(self.channels)], estimates)

        def each(work: Callable[[IntArray], FloatArray], batches: list[IntArray]) -> Iterator[FloatArray]:
            found = self.runtime.each(work, batches) if len(batches) > 1 else map(work, batches)
            for starts, errors in zip(batches, found, strict=True):
                tell(int(starts[-1]) + self.window_size)
                yield errors

        return timestep_errors(
            judged_at,
            series.segments,
            series.positions,
            len(self.channels),
            window_size=self.window_size,
            horizon=self.runtime.horizon,
            stride=self.params.stride,
            delay=self.params.overlap,
            each=each,
        )

    def save(self, directory: Path | str) -> None:
        """Write the detector into a directory, whole or not at all; one that holds a detector is replaced."""
        storage.save_detector(self, Path(directory))

    @staticmethod
    def load(directory: Path | str) -> Detector:
        """Read a detector back.

        Raises
        ------
        ModelError
            If a file is missing or damaged.
        """
        return storage.load_detector(Path(directory))

    def _by_channel(self, errors: FloatArray, usual: Usual, segments: Segments) -> FloatArray:
        return channel_scores(usual.relative(errors), segments, self.params.smoothing, self.params.lead)

    def _settled(self, series: Series) -> BoolArray:
        everywhere = np.ones(series.n_timesteps, dtype=bool)
        return reach_mask(everywhere, series.segment_starts, self.context, self.delay)

    def check_period(self, series: Series, leeway: float = 1.0) -> None:
        """Raise ModelError if a series' period is not the detector's, or more than `leeway` times off."""
        self.check_step(series.asset, series.step, series.is_time, leeway)

    def check_step(self, asset: str, step: int, is_time: bool, leeway: float = 1.0) -> None:
        """Do the same for the step of readings that are on no grid yet."""
        if is_time != self.is_time or not 1 / leeway <= step / self.step <= leeway:
            raise ModelError(
                f"asset '{asset}': readings every {length_text(step, is_time)}, the model learnt from readings every "
                f"{length_text(self.step, self.is_time)}: resample them, or train a model on such readings"
            )

    def _check(self, series: Series) -> None:
        self._check_longest(series.asset, _longest_segment(self._fitting(series)))

    def _fitting(self, series: Series) -> Series:
        """Return a series after a check of its channels and its period."""
        missing = [c for c in self.channels if c not in series.channels]
        extra = [c for c in series.channels if c not in self.channels]
        if missing or extra:
            raise ModelError(
                f"asset '{series.asset}': the model knows channels {', '.join(self.channels)}"
                + (f"; missing here: {', '.join(missing)}" if missing else "")
                + (f"; unknown to it: {', '.join(extra)}" if extra else "")
                + ": give the same columns, or train a model on these"
            )
        self.check_period(series)
        return series

    def _check_longest(self, asset: str, n_timesteps: int) -> None:
        if n_timesteps < self.window_size:
            raise ReadingsError(
                f"asset '{asset}': a window takes {self.window_size} timesteps, the longest stretch without a "
                f"gap has {n_timesteps}: give more readings"
            )


def never_calibrated(asset: str, known: Sequence[str]) -> str:
    """Return in words that a detector does not know an asset; `known`, those that it knows, are in order."""
    return (
        f"asset '{asset}' was never calibrated (known: {few_like(asset, known)}): calibrate it with a span of its "
        "normal readings first (offbeat calibrate, or Detector.calibrate)"
    )


def few_like(name: str, names: Sequence[str]) -> str:
    """Return names, which are in order, in words: all, or where there are many a few that stand beside `name`."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names) or "none"
    first = min(max(bisect(names, name) - MOST_NAMES // 2, 0), len(names) - MOST_NAMES)
    return f"{', '.join(names[first : first + MOST_NAMES])} and {len(names) - MOST_NAMES:,} more"


def _longest_segment(series: Series) -> int:
    return max((stop - start for start, stop in series.segments), default=0)


def _checked_masks(series: Series, normal: BoolArray | None, labelled: BoolArray | None) -> tuple[BoolArray, BoolArray]:
    """Return which rows (T,) are normal, by default all but the labelled, and which are labelled."""
    for name, mask in (("normal", normal), ("labelled", labelled)):
        if mask is not None and mask.shape != (series.n_timesteps,):
            raise ReadingsError(
                f"asset '{series.asset}': {name} has the shape {mask.shape} where the series has "
                f"{series.n_timesteps} timesteps: give one truth value for each, on the series' grid (series.index)"
            )
    events = np.zeros(series.n_timesteps, dtype=bool) if labelled is None else labelled
    return (~events if normal is None else normal & ~events), events
