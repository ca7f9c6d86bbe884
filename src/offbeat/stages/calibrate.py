"""artifacts/model/ and the calibration spans to artifacts/detector/: usual errors and a threshold for each asset."""

from __future__ import annotations

from pathlib import Path

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.detector import Detector
from offbeat.lineage import lineage_of
from offbeat.params import CalibrateParams, PrepareParams, TrainParams
from offbeat.stages.artifacts import DETECTOR, MODEL, PREPARED, read_json, read_prepared


def run(calibrate: CalibrateParams, *, root: Path) -> list[str]:
    """Calibrate and save the detector; return what to tell the person who runs it."""
    fleet, card = read_prepared(root / PREPARED)
    prepare = PrepareParams.model_validate(card["prepare"])
    train = TrainParams.model_validate(read_json(root / MODEL / "train.json"))
    detector = assemble(
        (root / MODEL / "model.onnx").read_bytes(),
        fleet,
        prepare,
        calibrate,
        lineage_of(card["data_hash"], prepare, train, calibrate),
    )
    calibrate_fleet(detector, fleet)
    detector.save(root / DETECTOR)
    return [*promise_lines(detector)]


def promise_lines(detector: Detector) -> list[str]:
    """Return a line an asset: its threshold, and a warning where the budget cannot be promised."""
    lines = []
    for name, calibration in detector.assets.items():
        threshold = calibration.threshold
        lines.append(f"{name}: threshold {threshold.value:.3g} ({threshold.method})")
        if threshold.warning:
            lines.append(f"{name}: warning: {threshold.warning}")
    return lines
