"""A detector and the simple methods beside it, on the same test spans, each at its own calibrated threshold.

Nobody's threshold has seen a test label: all come from the calibration span by the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
from offbeat.preparation import Prepared, calibration_rows
from offbeat.typing import BoolArray, FloatArray

LSTM = "lstm_autoencoder"


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
    for number, prepared in enumerate(fleet):
        series = prepared.series
        max_buffer = params.max_buffer or dominant_period(_filled(series.values[:, 0]))
        for method, scorer in _scorers(detector, untrained, prepared, params, number).items():
            scores, threshold = scorer()
            alarms = alarm_mask(
                scores,
                threshold.value,
                max_gap=detector.params.merge_gap,
                segment_starts=series.segment_starts,
            )
            metrics = _test_metrics(prepared, scores, alarms, max_buffer)
            metrics |= _promise(threshold, detector, series.period_s)
            replays.append(Replay(method, series.asset, scores, alarms, threshold, metrics))
    return replays


def summarize(replays: Sequence[Replay]) -> dict[str, dict[str, float]]:
    """Return the fleet's metrics of each method."""
    methods = dict.fromkeys(replay.method for replay in replays)
    return {method: _fleet([replay.metrics for replay in replays if replay.method == method]) for method in methods}


def _scorers(
    detector: Detector, untrained: Detector, prepared: Prepared, params: EvaluateParams, number: int
) -> Mapping[str, Callable[[], tuple[FloatArray, Threshold]]]:
    """Return for each method a function that gives scores (T,) and a threshold."""
    series, scaled = prepared.series, prepared.scaled.astype(np.float64)
    start, stop = prepared.split.train
    training = scaled[start:stop][prepared.normal[start:stop]]

    def network(which: Detector) -> tuple[FloatArray, Threshold]:
        calibration = which.assets[series.asset]
        return which.scores(series, calibration), calibration.threshold

    def simple(raw: FloatArray) -> tuple[FloatArray, Threshold]:
        scores = moving_mean(raw[:, None], series.segments, detector.params.smoothing, detector.lead)[:, 0]
        rows = calibration_rows(prepared, detector.context, detector.delay)
        calibrated = series.rows(0, len(rows))
        return scores, detector.choose_threshold(calibrated, scores[: len(rows)], rows)

    return {
        LSTM: lambda: network(detector),
        "untrained_network": lambda: network(untrained),
        "pca": lambda: simple(pca_scores(scaled, training, params.n_components)),
        "moving_average": lambda: simple(moving_average_scores(scaled, series.segments, detector.window_size)),
        "random": lambda: simple(random_scores(series.n_timesteps, params.seed + number)),
    }


def _test_metrics(prepared: Prepared, scores: FloatArray, alarms: BoolArray, max_buffer: int) -> dict[str, float]:
    """Return the metrics of the test span's timesteps that have a score and are not excluded."""
    start, stop = prepared.split.test
    kept = np.zeros(len(scores), dtype=bool)
    kept[start:stop] = True
    kept &= ~np.isnan(scores) & ~prepared.excluded
    if not kept.any():
        raise StageError(
            f"asset '{prepared.series.asset}': no timestep of its test span has a score: "
            "give more readings, or a smaller prepare.train_share or prepare.calibration_share"
        )
    rows = np.flatnonzero(kept)
    segment = np.searchsorted(prepared.series.segment_starts, rows, side="right")
    cuts = np.flatnonzero(np.r_[True, np.diff(segment) > 0])
    return evaluate_scores(
        prepared.labelled[kept],
        scores[kept],
        alarms[kept],
        period_s=prepared.series.period_s,
        max_buffer=max_buffer,
        segment_starts=cuts,
    )


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
