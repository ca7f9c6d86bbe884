"""A detector and the simple methods beside it, on the same readings, each at its own calibrated threshold.

A `Method` scores, a `Stretch` is what it is judged on, a `Replay` is what came of it. No threshold has seen a test
label: all come from the calibration span by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offbeat.assembly import fleet_thresholds
from offbeat.detection.calibration import budget_rate
from offbeat.detection.detector import Detector
from offbeat.detection.events import alarm_mask
from offbeat.detection.periods import dominant_period
from offbeat.detection.result import ScoreResult
from offbeat.detection.scores import moving_mean
from offbeat.detection.thresholds import Threshold
from offbeat.errors import StageError
from offbeat.evaluation.judging import Judged, Stretch, event_cuts, judge
from offbeat.evaluation.metrics import evaluate_scores, fleet_metrics
from offbeat.models.baselines import moving_average_scores, pca_scores, random_scores
from offbeat.params import CalibrateParams, EvaluateParams
from offbeat.preparation import Prepared
from offbeat.progress import Report, counted, parts, silent
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray, IntArray

UNTRAINED = "untrained_network"


@dataclass(frozen=True, eq=False)
class Method:
    """A way to score the series of known assets, (T, F) to (T,), and the threshold of each."""

    name: str
    score: Callable[[Series], FloatArray]
    thresholds: Mapping[str, Threshold]
    params: CalibrateParams

    def alarms(self, series: Series, scores: FloatArray) -> BoolArray:
        """Return the timesteps (T,) in alarm, from the scores (T,) of a series."""
        threshold = self.thresholds[series.asset].value
        return alarm_mask(scores, threshold, max_gap=self.params.merge_gap, segment_starts=series.segment_starts)


@dataclass(frozen=True, eq=False)
class Replay:
    """One method on one asset: scores and alarms (T,) of a stretch, threshold, metrics of the rows that count."""

    method: str
    asset: str
    scores: FloatArray
    alarms: BoolArray
    threshold: Threshold
    metrics: dict[str, float]
    judged: Judged

    @property
    def found(self) -> BoolArray:
        """Which of the labelled events (n_events,) have an alarm."""
        return self.judged.found


def score_fleet(detector: Detector, fleet: Sequence[Prepared], report: Report = silent) -> list[ScoreResult]:
    """Return what a detector says of each asset's readings; `report` takes each `Step`, in timesteps."""
    sizes = [prepared.series.n_timesteps for prepared in fleet]
    reports = parts(report, "scoring", sizes)
    return [detector.score(prepared.series, report=part) for prepared, part in zip(fleet, reports, strict=True)]


def replay_fleet(
    detector: Detector,
    untrained: Detector | None,
    fleet: Sequence[Prepared],
    results: Sequence[ScoreResult],
    params: EvaluateParams,
    report: Report = silent,
) -> list[Replay]:
    """Replay the test span of every asset with every method, the detector first.

    Parameters
    ----------
    detector, untrained : Detector
        Calibrated; the second around the network before training, None if there is no such.
    fleet : sequence of Prepared
    results : sequence of ScoreResult
        Of the detector, as `score_fleet` returns them: it scores no reading twice.
    params : EvaluateParams
    report : callable, optional
        Takes each `Step`, in replays.

    Raises
    ------
    StageError
        If an asset has no scored timestep in its test span.
    """
    known = {result.asset: result.scores for result in results}
    methods = [replace(network_method(detector.method, detector), score=lambda series: known[series.asset])]
    methods += [network_method(UNTRAINED, untrained)] if untrained else []
    methods += [simple_method(name, detector, fleet, params) for name in SIMPLE if name != detector.method]
    stretches = [stretch_of(prepared, params) for prepared in fleet]
    pairs = [(method, stretch) for method in methods for stretch in stretches]
    return [replay(method, stretch) for method, stretch in counted(pairs, report, "evaluating", "replays")]


def summarize(replays: Sequence[Replay]) -> dict[str, dict[str, float]]:
    """Return the fleet's metrics of each method."""
    metrics: dict[str, list[Mapping[str, float]]] = {}
    for one in replays:
        metrics.setdefault(one.method, []).append(one.metrics)
    return {method: group_metrics(of_assets) for method, of_assets in metrics.items()}


def network_method(name: str, detector: Detector) -> Method:
    """Return a calibrated detector as a method."""
    thresholds = {asset: calibration.threshold for asset, calibration in detector.assets.items()}
    return Method(
        name, lambda series: detector.scores(series, detector.assets[series.asset]), thresholds, detector.params
    )


def simple_method(name: str, detector: Detector, fleet: Sequence[Prepared], params: EvaluateParams) -> Method:
    """Return one of `SIMPLE`, with the smoothing and the threshold rule of a detector."""
    places = {prepared.series.asset: place for place, prepared in enumerate(fleet)}

    def score(series: Series) -> FloatArray:
        place = places[series.asset]
        return simple_scores(name, detector, fleet[place], series, seeded(params, place))

    thresholds = fleet_thresholds(detector, fleet, [score(prepared.series) for prepared in fleet])
    return Method(name, score, dict(zip(places, thresholds, strict=True)), detector.params)


def simple_scores(
    name: str, detector: Detector, prepared: Prepared, series: Series, params: EvaluateParams
) -> FloatArray:
    """Return the scores (T,) of one of `SIMPLE` for readings of an asset, with the smoothing of a detector."""
    values = SIMPLE[name](detector, prepared, series, params)
    return moving_mean(values[:, None], series.segments, detector.params.smoothing, detector.params.lead)[:, 0]


def seeded(params: EvaluateParams, place: int) -> EvaluateParams:
    """Return the params for the asset at a place of its group: each has random scores of its own."""
    return params.model_copy(update={"seed": params.seed + place})


def stretch_of(prepared: Prepared, params: EvaluateParams) -> Stretch:
    """Return all readings of an asset, of which the test span counts."""
    series = prepared.series
    max_buffer = params.max_buffer or dominant_period(_filled(series.values[:, 0]))
    return Stretch(series, prepared.labelled, prepared.excluded, prepared.split.test[0], max_buffer)


def replay(method: Method, stretch: Stretch) -> Replay:
    """Judge a method on a stretch.

    Raises
    ------
    StageError
        If no row that counts has a score.
    """
    series = stretch.series
    scores = method.score(series)
    alarms = method.alarms(series, scores)
    threshold = method.thresholds[series.asset]
    kept = np.flatnonzero(stretch.kept)
    cuts = event_cuts(stretch, kept)
    metrics = _test_metrics(stretch, kept, cuts, scores, alarms) | _promise(threshold, method.params, series.period_s)
    return Replay(method.name, series.asset, scores, alarms, threshold, metrics, judge(stretch, alarms))


def _pca(_: Detector, prepared: Prepared, series: Series, params: EvaluateParams) -> FloatArray:
    """PCA, fitted on each asset's training rows."""
    start, stop = prepared.split.train
    training = prepared.scaled[start:stop][prepared.normal[start:stop]]
    return pca_scores(prepared.scaling.apply(series), training, params.n_components)


def _moving_average(detector: Detector, prepared: Prepared, series: Series, _: EvaluateParams) -> FloatArray:
    return moving_average_scores(prepared.scaling.apply(series), series.segments, detector.window_size)


def _random(_: Detector, prepared: Prepared, series: Series, params: EvaluateParams) -> FloatArray:  # noqa: ARG001
    return random_scores(series.n_timesteps, params.seed)


SIMPLE = {"pca": _pca, "moving_average": _moving_average, "random": _random}


def _test_metrics(
    stretch: Stretch, kept: IntArray, cuts: IntArray, scores: FloatArray, alarms: BoolArray
) -> dict[str, float]:
    """Return the metrics of the kept rows.

    One without a score ranks lowest and is no alarm: an event that cannot be scored is missed.
    """
    series = stretch.series
    if np.isnan(scores[kept]).all():
        raise StageError(
            f"asset '{series.asset}': no timestep of its test span has a score: "
            "give more readings, or a smaller prepare.train_share or prepare.calibration_share"
        )
    return evaluate_scores(
        stretch.labelled[kept],
        np.where(np.isnan(scores), np.nanmin(scores[kept]), scores)[kept],
        alarms[kept],
        period_s=series.period_s,
        max_buffer=stretch.max_buffer,
        segment_starts=cuts,
    )


def _promise(threshold: Threshold, params: CalibrateParams, period_s: float | None) -> dict[str, float]:
    """Return what was asked for and what was promised, in the unit of the realised rate."""
    unit, steps = ("day", 86_400 / period_s) if period_s is not None else ("10000_timesteps", 10_000.0)
    promised = float("nan") if threshold.promised_alarm_rate is None else threshold.promised_alarm_rate
    return {
        f"budget_false_alarms_per_{unit}": budget_rate(params, period_s) * steps,
        f"promised_false_alarms_per_{unit}": promised * steps,
    }


def group_metrics(assets: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the metrics of assets together; budget and promise are means, weighted by the assets' normal time."""
    metrics = fleet_metrics(assets)
    weights = np.array([asset["n_timesteps"] - asset["n_labelled"] for asset in assets], dtype=np.float64)
    for key in assets[0]:
        if key.startswith(("budget_", "promised_")) and all(key in asset for asset in assets) and weights.sum():
            metrics[key] = float(np.average([asset[key] for asset in assets], weights=weights))
    return metrics


def _filled(values: FloatArray) -> FloatArray:
    """Return readings (T,) with missing ones replaced by the mean of the others."""
    return np.where(np.isnan(values), np.nanmean(values), values)
