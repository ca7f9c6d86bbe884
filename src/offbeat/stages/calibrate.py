"""artifacts/model/ and the calibration spans to artifacts/detector/: usual errors and a threshold for each asset."""

from __future__ import annotations

from pathlib import Path

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.lineage import lineage_of
from offbeat.params import CalibrateSection, PrepareParams, TrainParams
from offbeat.progress import Report, silent
from offbeat.reporting import threshold_lines
from offbeat.stages.artifacts import DETECTOR, MODEL, PREPARED, read_json, read_prepared, whole


def run(calibrate: CalibrateSection, *, root: Path, report: Report = silent) -> list[str]:
    """Calibrate and save the detector; return what to tell the person who runs it."""
    fleet, card = read_prepared(root / PREPARED)
    prepare = PrepareParams.model_validate(card["prepare"])
    with whole(root / MODEL / "train.json"):
        train = TrainParams.model_validate(read_json(root / MODEL / "train.json"))
    params = calibrate.for_model(train, len(card["channels"])).for_window(prepare.window_size)
    start = read_json(root / MODEL / "training.json").get("start", {})
    lineage = lineage_of(card["data_hash"], prepare, train, params, start)
    with whole(root / MODEL / "model.onnx"):
        graph = (root / MODEL / "model.onnx").read_bytes()
        detector = assemble(graph, fleet[0].series, prepare, params, lineage)
    calibrate_fleet(detector, fleet, report)
    detector.save(root / DETECTOR)
    return threshold_lines(detector, list(detector.assets))
