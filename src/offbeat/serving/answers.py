"""Scores on the wire: what a detector says of a series, as JSON and CSV have it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from offbeat.detection.calibration import SECONDS_PER_WEEK, Calibration
from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.detection.result import Event, ScoreResult
from offbeat.detection.streaming import final_rows
from offbeat.readings.moments import step_json
from offbeat.readings.series import Series
from offbeat.registry import Model
from offbeat.serving.stamps import stamp_texts
from offbeat.typing import FloatArray


def to_json(content: Any) -> bytes:
    """Return content as JSON; NaN, which JSON lacks, becomes null."""
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def answer(result: ScoreResult, series: Series, detector: Detector, lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a detector says of a series, ready for `to_json`."""
    texts = stamp_texts(result.stamps, result.is_time)
    settled = np.flatnonzero(result.settled)
    shares: list[FloatArray | None] = [None] * len(texts)
    for row in np.flatnonzero(result.alarms).tolist():
        shares[row] = result.channel_shares[row]
    return {
        "asset": result.asset,
        "channels": list(result.channels),
        "timestamps": texts,
        "scores": result.scores,
        "threshold": result.threshold,
        "alarms": result.alarms,
        "shares": shares,
        "events": [_event(event, result) for event in result.events],
        "settled_from": texts[settled[0]] if len(settled) else None,
        "final": final_rows(detector, series),
        "lineage": dict(lineage),
    }


def to_csv(result: ScoreResult) -> str:
    """Return a line for each timestep: timestamp, score, threshold, alarm and the share of each channel."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    shares = [f"share.{channel}" for channel in result.channels]
    writer.writerow(["timestamp" if result.is_time else "index", "asset", "score", "threshold", "alarm", *shares])
    rows = zip(
        stamp_texts(result.stamps, result.is_time),
        result.scores.tolist(),
        result.alarms.tolist(),
        result.channel_shares.tolist(),
        strict=True,
    )
    for stamp, score, alarm, share in rows:
        writer.writerow([stamp, result.asset, "" if score != score else score, result.threshold, alarm, *share])
    return text.getvalue()


def lineage_of(model: Model, detector: Detector, asset: str) -> dict[str, Any]:
    """Return where the scores of an asset come from: model, data, code, params, calibration and its promise."""
    calibration = detector.assets[asset]
    return {
        "model": model.version,
        **detector.lineage,
        **calibration.origin,
        "calibrated": model.card.get("calibrated", {}).get(asset, model.card["registered"]),
        **_promise(calibration, detector),
    }


def card(model: Model, fleet: Fleet) -> dict[str, Any]:
    """Return the model card; one of several groups has what is of a group in a block for each."""
    heads = {group: _group_card(detector) for group, detector in sorted(fleet.groups.items())}
    named = len(heads) > 1
    assets = {
        asset: ({"group": group} if named else {}) | _asset_card(fleet.groups[group], asset)
        for asset, group in sorted(fleet.group_of.items())
    }
    return {**_model_card(model), **({"groups": heads} if named else next(iter(heads.values()))), "assets": assets}


def card_of_asset(model: Model, fleet: Fleet, asset: str) -> dict[str, Any]:
    """Return the model card as it would be if there were one asset alone, which the model knows; with its group."""
    detector = fleet.detector_of(asset)
    group = {"group": fleet.group_of[asset]} if len(fleet.groups) > 1 else {}
    return {**_model_card(model), **group, **_group_card(detector), "assets": {asset: _asset_card(detector, asset)}}


def _model_card(model: Model) -> dict[str, Any]:
    return {
        "version": model.version,
        "registered": model.card["registered"],
        "metrics": model.card.get("metrics") or {},
    }


def _group_card(detector: Detector) -> dict[str, Any]:
    return {
        "channels": list(detector.channels),
        "period": step_json(detector.step, detector.is_time),
        "window_size": detector.window_size,
        "context": detector.context,
        "delay": detector.delay,
        "stream_rows": stream_rows(detector),
        "max_gap": detector.max_gap,
        "lineage": dict(detector.lineage),
    }


def _asset_card(detector: Detector, asset: str) -> dict[str, Any]:
    calibration = detector.assets[asset]
    threshold = calibration.threshold
    return {"threshold": threshold.value, "method": threshold.method, **_promise(calibration, detector)}


def stream_rows(detector: Detector) -> int:
    """Return how many timesteps before its first new one a stream sends along: see `streaming.tail_start`."""
    return detector.context + detector.window_size


def _promise(calibration: Calibration, detector: Detector) -> dict[str, Any]:
    """Return how far a threshold can be trusted, and the promised alarms: per week or per 10,000 timesteps, or None."""
    threshold = calibration.threshold
    rate, trust = threshold.promised_alarm_rate, {"maturity": threshold.maturity, "warning": threshold.warning}
    if detector.period_s is None:
        return {**trust, "promised_false_alarms_per_10000_timesteps": None if rate is None else rate * 10_000}
    weekly = None if rate is None else rate * SECONDS_PER_WEEK / detector.period_s
    return {**trust, "promised_false_alarms_per_week": weekly}


def _event(event: Event, result: ScoreResult) -> dict[str, Any]:
    first, last = stamp_texts(np.array([event.first_stamp, event.last_stamp]), event.is_time)
    return {
        "first": first,
        "last": last,
        "n_timesteps": event.stop - event.start,
        "peak_score": event.peak_score,
        "peak_ratio": event.peak_score / result.threshold if result.threshold > 0 else None,
        "channels": [{"channel": name, "share": share} for name, share in event.channels],
    }
