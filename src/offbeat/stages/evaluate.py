"""artifacts/detector/ and the test spans to metrics, beside the untrained network and simple methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.detector import Detector
from offbeat.evaluation.areas import precision_recall_curve
from offbeat.evaluation.replay import UNTRAINED, Replay, replay_fleet, summarize
from offbeat.files import new_directory, write_csv, write_json
from offbeat.params import EvaluateParams, PrepareParams, TrainParams
from offbeat.preparation import Prepared
from offbeat.progress import Report, parts, silent
from offbeat.readings.messages import count
from offbeat.stages.artifacts import (
    DETECTOR,
    METRICS,
    MODEL,
    PRECISION_RECALL,
    PREPARED,
    SCORES,
    read_json,
    read_prepared,
    whole,
)

CURVE_POINTS = 50


def run(evaluate: EvaluateParams, *, root: Path, report: Report = silent) -> list[str]:
    """Evaluate on the test spans; return what to tell the person who runs it."""
    fleet, card = read_prepared(root / PREPARED)
    detector = Detector.load(root / DETECTOR)
    prepare = PrepareParams.model_validate(card["prepare"])
    untrained = _untrained(root, detector, fleet, prepare, report)
    replays = replay_fleet(detector, untrained, fleet, evaluate, report)
    baselines = summarize(replays)
    own = baselines.pop(detector.method)
    with new_directory(root / SCORES) as scratch:
        reports = parts(report, "scoring", [prepared.series.n_timesteps for prepared in fleet])
        for prepared, part in zip(fleet, reports, strict=True):
            _write_scores(scratch, detector, prepared, part)
    write_csv(
        root / PRECISION_RECALL, ("asset", "recall", "precision", "threshold"), _curves(fleet, replays, detector.method)
    )
    write_json(
        root / METRICS,
        {
            "training": read_json(root / MODEL / "training.json"),
            "method": detector.method,
            "fleet": own,
            "baselines": baselines,
            "assets": {replay.asset: replay.metrics for replay in replays if replay.method == detector.method},
        },
    )
    false_alarms = count(int(own["false_alarms"]), "false alarm")
    found = f"{own['n_events_found']} of {own['n_events']} events found, {false_alarms}"
    beside = f", untrained {baselines[UNTRAINED]['vus_pr']:.3f}" if untrained else ""
    return [f"{found}; VUS-PR {own['vus_pr']:.3f}{beside}"]


def _untrained(
    root: Path, detector: Detector, fleet: list[Prepared], prepare: PrepareParams, report: Report
) -> Detector | None:
    """Return the detector around the network before training, calibrated; None if the model is no network."""
    with whole(root / MODEL / "train.json"):
        if not TrainParams.model_validate(read_json(root / MODEL / "train.json")).is_trained:
            return None
    path = root / MODEL / "untrained.onnx"
    with whole(path):
        untrained = assemble(path.read_bytes(), fleet, prepare, detector.params, detector.lineage)
    calibrate_fleet(untrained, fleet, report, f"calibrating {UNTRAINED}")
    return untrained


def _write_scores(directory: Path, detector: Detector, prepared: Prepared, report: Report) -> None:
    frame = detector.score(prepared.series, report=report).to_frame()
    frame["labelled"] = prepared.labelled
    frame["test"] = np.arange(len(frame)) >= prepared.split.test[0]
    frame.to_parquet(directory / f"{prepared.series.asset}.parquet")


def _curves(fleet: Sequence[Prepared], replays: Sequence[Replay], method: str) -> list[tuple[object, ...]]:
    """Return the precision–recall curve of each asset that has an event in its test span."""
    scores = {replay.asset: replay.scores for replay in replays if replay.method == method}
    rows: list[tuple[object, ...]] = []
    for prepared in fleet:
        asset, (start, stop) = prepared.series.asset, prepared.split.test
        kept = np.flatnonzero(~np.isnan(scores[asset][start:stop]) & ~prepared.excluded[start:stop]) + start
        if prepared.labelled[kept].any():
            curve = precision_recall_curve(prepared.labelled[kept], scores[asset][kept], CURVE_POINTS)
            rows += [(asset, recall, precision, threshold) for precision, recall, threshold in zip(*curve, strict=True)]
    return rows
