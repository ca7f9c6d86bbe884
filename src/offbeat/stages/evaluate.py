"""artifacts/detector/ and the test spans to metrics, beside the untrained network and simple methods; and a page."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.detector import Detector
from offbeat.detection.result import ScoreResult
from offbeat.evaluation.replay import UNTRAINED, replay_fleet, score_fleet, summarize
from offbeat.evaluation.report import Evaluated, write_report
from offbeat.files import file_stem, new_directory, write_csv, write_json
from offbeat.params import EvaluateParams, PrepareParams, TrainParams
from offbeat.preparation import Prepared
from offbeat.progress import Report, silent
from offbeat.readings.messages import count
from offbeat.stages.artifacts import (
    DETECTOR,
    METRICS,
    MODEL,
    PRECISION_RECALL,
    PREPARED,
    REPORT,
    SCORES,
    read_json,
    read_prepared,
    whole,
)
from offbeat.summary import all_doubts


def run(evaluate: EvaluateParams, *, root: Path, report: Report = silent) -> list[str]:
    """Evaluate on the test spans; return what to tell the person who runs it."""
    fleet, card = read_prepared(root / PREPARED)
    detector = Detector.load(root / DETECTOR)
    with whole(root / MODEL / "train.json"):
        train = TrainParams.model_validate(read_json(root / MODEL / "train.json"))
    untrained = _untrained(root, detector, fleet, card, report) if train.is_trained else None
    results = score_fleet(detector, fleet, report)
    replays = replay_fleet(detector, untrained, fleet, results, evaluate, report)
    baselines = summarize(replays)
    own = baselines.pop(detector.method)
    training = read_json(root / MODEL / "training.json")
    explained = training["explained_variance"]
    evaluated = Evaluated(
        detector, train, fleet, results, replays, _epochs(root), explained, all_doubts(detector, replays, explained)
    )
    with new_directory(root / SCORES) as scratch:
        for prepared, result in zip(fleet, results, strict=True):
            _write_scores(scratch, result, prepared)
    rows = [(asset, *point) for asset, curve in evaluated.curves.items() for point in curve]
    write_csv(root / PRECISION_RECALL, ("asset", "recall", "precision", "threshold"), rows)
    write_json(
        root / METRICS,
        {
            "training": training,
            "method": detector.method,
            "fleet": own,
            "baselines": baselines,
            "assets": {asset: replay.metrics for asset, replay in evaluated.own.items()},
        },
    )
    write_report(root / REPORT, evaluated, report)
    false_alarms = count(int(own["false_alarms"]), "false alarm")
    found = f"{own['n_events_found']} of {own['n_events']} events found, {false_alarms}"
    beside = f", untrained {baselines[UNTRAINED]['vus_pr']:.3f}" if untrained else ""
    return [f"{found}; VUS-PR {own['vus_pr']:.3f}{beside}"]


def _untrained(
    root: Path, detector: Detector, fleet: list[Prepared], card: dict[str, object], report: Report
) -> Detector:
    """Return the detector around the network before training, calibrated."""
    path = root / MODEL / "untrained.onnx"
    with whole(path):
        prepare = PrepareParams.model_validate(card["prepare"])
        untrained = assemble(path.read_bytes(), fleet[0].series, prepare, detector.params, detector.lineage)
    calibrate_fleet(untrained, fleet, report, f"calibrating {UNTRAINED}")
    return untrained


def _epochs(root: Path) -> list[tuple[int, float, float]]:
    """Return epoch, loss and held-out loss of each epoch; none of a model that is fitted at once."""
    path = root / MODEL / "loss.csv"
    with whole(path), path.open(encoding="utf-8", newline="") as file:
        return [(int(row["epoch"]), float(row["loss"]), float(row["held_out_loss"])) for row in csv.DictReader(file)]


def _write_scores(directory: Path, result: ScoreResult, prepared: Prepared) -> None:
    frame = result.to_frame()
    frame["labelled"] = prepared.labelled
    frame["test"] = np.arange(len(frame)) >= prepared.split.test[0]
    frame.to_parquet(directory / f"{file_stem(result.asset)}.parquet")
