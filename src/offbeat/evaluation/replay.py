"""A detector and the simple methods beside it, on the same test spans, each at its own calibrated threshold.

Nobody's threshold has seen a test label: all come from the calibration span by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offbeat.assembly import fleet_thresholds
from offbeat.detection.calibration import budget_rate
from offbeat.detection.detector import Detector
from offbeat.detection.events import alarm_mask
from offbeat.detection.scores import moving_mean
from offbeat.detection.thresholds import Threshold
from offbeat.errors import StageError
from offbeat.evaluation.areas import dominant_period
from offbeat.evaluation.metrics import evaluate_scores, fleet_metrics
from offbeat.models.baselines import moving_average_scores, pca_scores, random_scores
from offbeat.params import EvaluateParams
from offbeat.preparation import Prepared
from offbeat.typing import BoolArray, FloatArray, IntArray

LSTM, UNTRAINED = "lstm_autoencoder", "untrained_network"


@dataclass(frozen=True, eq=False)
class Replay:
    """One method on one asset: scores and alarms (T,) of all its readings, threshold, metrics of its test span."""

    method: str
    asset: str
    scores: FloatArray
    alarms: BoolArray
    threshold: Threshold
    metrics: dict[str, float]


def replay_fleet(
    detector: Detector, untrained: Detector, fleet: Sequence[Prepared], params: EvaluateParams
) -> list[Replay]:
    """Score every asset with every method.

    Parameters
    ----------
    detector, untrained : Detector
        Calibrated; the second around the network before training.
    fleet : sequence of Prepared
    params : EvaluateParams

    Raises
    ------
    StageError
        If an asset has no scored timestep in its test span.
    """
    replays = []
    for method, scores in _all_scores(detector, untrained, fleet, params).items():
        for prepared, values, threshold in zip(
            fleet, scores, _thresholds(method, detector, untrained, fleet, scores), strict=True
        ):
            replays.append(_replay(method, detector, prepared, values, threshold, params))
    return replays


def summarize(replays: Sequence[Replay]) -> dict[str, dict[str, float]]:
    """Return the fleet's metrics of each method."""
    methods = dict.fromkeys(replay.method for replay in replays)
    return {method: _fleet([replay.metrics for replay in replays if replay.method == method]) for method in methods}


def _all_scores(
    detector: Detector, untrained: Detector, fleet: Sequence[Prepared], params: EvaluateParams
) -> dict[str, list[FloatArray]]:
    """Return for each method the scores (T,) of each asset."""

    def of_network(which: Detector) -> list[FloatArray]:
        return [which.scores(prepared.series, which.assets[prepared.series.asset]) for prepared in fleet]

    def smoothed(raw: Iterable[FloatArray]) -> list[FloatArray]:
        width, lead = detector.params.smoothing, detector.params.lead
        return [
            moving_mean(values[:, None], prepared.series.segments, width, lead)[:, 0]
            for prepared, values in zip(fleet, raw, strict=True)
        ]

    return {
        LSTM: of_network(detector),
        UNTRAINED: of_network(untrained),
        "pca": smoothed(pca_scores(p.scaled, _training_rows(p), params.n_components) for p in fleet),
        "moving_average": smoothed(
            moving_average_scores(p.scaled, p.series.segments, detector.window_size) for p in fleet
        ),
        "random": smoothed(random_scores(p.series.n_timesteps, params.seed + k) for k, p in enumerate(fleet)),
    }


def _thresholds(
    method: str, detector: Detector, untrained: Detector, fleet: Sequence[Prepared], scores: Sequence[FloatArray]
) -> list[Threshold]:
    networks = {LSTM: detector, UNTRAINED: untrained}
    if method in networks:
        return [networks[method].assets[prepared.series.asset].threshold for prepared in fleet]
    return fleet_thresholds(detector, fleet, scores)


def _replay(
    method: str,
    detector: Detector,
    prepared: Prepared,
    scores: FloatArray,
    threshold: Threshold,
    params: EvaluateParams,
) -> Replay:
    series = prepared.series
    alarms = alarm_mask(
        scores, threshold.value, max_gap=detector.params.merge_gap, segment_starts=series.segment_starts
    )
    max_buffer = params.max_buffer or dominant_period(_filled(series.values[:, 0]))
    metrics = _test_metrics(prepared, scores, alarms, max_buffer)
    metrics |= _promise(threshold, detector, series.period_s)
    return Replay(method, series.asset, scores, alarms, threshold, metrics)


def _training_rows(prepared: Prepared) -> FloatArray:
    start, stop = prepared.split.train
    return prepared.scaled[start:stop][prepared.normal[start:stop]]


def _test_metrics(prepared: Prepared, scores: FloatArray, alarms: BoolArray, max_buffer: int) -> dict[str, float]:
    """Return the metrics of the test span's timesteps that are not excluded.

    One without a score ranks lowest and is no alarm: an event that cannot be scored is missed.
    """
    kept = ~prepared.excluded
    kept[: prepared.split.test[0]] = False
    if np.isnan(scores[kept]).all():
        raise StageError(
            f"asset '{prepared.series.asset}': no timestep of its test span has a score: "
            "give more readings, or a smaller prepare.train_share or prepare.calibration_share"
        )
    return evaluate_scores(
        prepared.labelled[kept],
        np.where(np.isnan(scores), np.nanmin(scores[kept]), scores)[kept],
        alarms[kept],
        period_s=prepared.series.period_s,
        max_buffer=max_buffer,
        segment_starts=_cuts(prepared, np.flatnonzero(kept)),
    )


def _cuts(prepared: Prepared, rows: IntArray) -> IntArray:
    """Return where events must not run on among the kept rows: over unlabelled rows that were left out."""
    unlabelled = np.cumsum(~prepared.labelled)
    return np.flatnonzero(np.r_[True, unlabelled[rows[1:] - 1] > unlabelled[rows[:-1]]])


def _promise(threshold: Threshold, detector: Detector, period_s: float | None) -> dict[str, float]:
    """Return what was asked for and what was promised, in the unit of the realised rate."""
    unit, steps = ("day", 86_400 / period_s) if period_s is not None else ("10000_timesteps", 10_000.0)
    promised = float("nan") if threshold.promised_alarm_rate is None else threshold.promised_alarm_rate
    return {
        f"budget_false_alarms_per_{unit}": budget_rate(detector.params, period_s) * steps,
        f"promised_false_alarms_per_{unit}": promised * steps,
    }


def _fleet(assets: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the fleet's metrics; budget and promise are means over the assets, weighted by their normal time."""
    metrics = fleet_metrics(assets)
    weights = np.array([asset["n_timesteps"] - asset["n_labelled"] for asset in assets], dtype=np.float64)
    for key in assets[0]:
        if key.startswith(("budget_", "promised_")) and all(key in asset for asset in assets) and weights.sum():
            metrics[key] = float(np.average([asset[key] for asset in assets], weights=weights))
    return metrics


def _filled(values: FloatArray) -> FloatArray:
    """Return readings (T,) with missing ones replaced by the mean of the others."""
    return np.where(np.isnan(values), np.nanmean(values), values)
