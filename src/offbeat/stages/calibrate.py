"""artifacts/model/ and the calibration spans to artifacts/detector/: usual errors and a threshold for each asset."""

from __future__ import annotations

from pathlib import Path

from offbeat.assembly import assemble, calibrate_fleet
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
    thresholds = {name: calibration.threshold for name, calibration in detector.assets.items()}
    lines = [f"{name}: threshold {threshold.value:.3g} ({threshold.method})" for name, threshold in thresholds.items()]
    return lines + [f"{name}: warning: {t.warning}" for name, t in thresholds.items() if t.warning]
