"""A network and prepared readings to a calibrated detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from offbeat.detection.calibration import Calibration, CalibrationSpan
from offbeat.detection.detector import Detector
from offbeat.detection.reference import reference_of
from offbeat.detection.runtime import Runtime
from offbeat.detection.scores import Usual
from offbeat.detection.streaming import tail_start
from offbeat.detection.thresholds import Threshold
from offbeat.detection.windows import reach_mask
from offbeat.params import CalibrateParams, PrepareParams
from offbeat.preparation import Prepared, calibration_rows, held_out_rows, labelled_rows
from offbeat.progress import Report, parts, silent
from offbeat.typing import FloatArray


def assemble(
    graph: bytes,
    fleet: Sequence[Prepared],
    prepare: PrepareParams,
    calibrate: CalibrateParams,
    lineage: Mapping[str, str],
) -> Detector:
    """Return a detector around a network, for the fleet's channels and period; no asset is calibrated yet."""
    first = fleet[0].series
    return Detector(
        runtime=Runtime(graph),
        channels=first.channels,
        step=first.step,
        is_time=first.is_time,
        max_gap=first.max_gap,
        preprocessing=prepare.preprocessing,
        params=calibrate,
        lineage=dict(lineage),
    )


def calibrate_fleet(
    detector: Detector, fleet: Sequence[Prepared], report: Report = silent, work: str = "calibrating"
) -> None:
    """Give the detector usual errors, a threshold and a reference for every asset, in place.

    Usual errors come from the held-out part of the training span, the threshold from the calibration span. A score
    counts only if every reading that shapes it is normal and lies after the training span; to the methods that ask for
    labels, those of labelled timesteps count as well. `report` takes each step of the `work`, in timesteps.
    """
    learnt, scores = [], []
    reports = parts(report, work, [prepared.split.test[0] for prepared in fleet])
    for prepared, part in zip(fleet, reports, strict=True):
        usual = _usual_errors(detector, prepared)
        learnt.append(usual)
        unlimited = Calibration(prepared.scaling, usual, Threshold(np.inf, "none", None))
        scores.append(detector.scores(prepared.series.rows(0, prepared.split.test[0]), unlimited, part))
    thresholds = fleet_thresholds(detector, fleet, scores)
    for prepared, usual, threshold, values in zip(fleet, learnt, thresholds, scores, strict=True):
        split, series = prepared.split, prepared.series.rows(0, prepared.split.test[0])
        normal = prepared.normal[: series.n_timesteps]
        # a score counts if all readings that shape it are normal
        whole = reach_mask(normal, series.segment_starts, detector.context, detector.delay)
        unseen = np.where(whole, values, np.nan)
        reference = reference_of(series, normal, unseen, split.held_out[1], split.held_out[0])
        detector.assets[prepared.series.asset] = Calibration(prepared.scaling, usual, threshold, reference=reference)


def fleet_thresholds(detector: Detector, fleet: Sequence[Prepared], scores: Sequence[FloatArray]) -> list[Threshold]:
    """Return a threshold for each asset from scores (T,) of at least the rows before its test span."""
    spans = [
        CalibrationSpan(
            asset=prepared.series.asset,
            scores=values[: prepared.split.test[0]],
            normal=calibration_rows(prepared, detector.context, detector.delay),
            segment_starts=prepared.series.rows(0, prepared.split.test[0]).segment_starts,
            labelled=labelled_rows(prepared, detector.context, detector.delay),
        )
        for prepared, values in zip(fleet, scores, strict=True)
    ]
    return detector.choose_thresholds(spans)


def _usual_errors(detector: Detector, prepared: Prepared) -> Usual:
    """Return what the errors of the held-out part of the training span are like."""
    start, stop = prepared.split.held_out
    # scored apart from the rest, so that no error of any other reading is kept
    begin = tail_start(detector, prepared.series, start)
    end = min(stop + detector.window_size, prepared.split.test[0])  # later windows vote on its last timesteps
    errors = detector.errors(prepared.series.rows(begin, end), prepared.scaling)
    return detector.usual_errors(errors[held_out_rows(prepared, detector.window_size)[begin:end]])
