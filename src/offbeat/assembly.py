"""A network and prepared readings to a calibrated detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from offbeat.detection.calibration import Calibration
from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.detection.scores import anomaly_scores, channel_scores, usual_errors
from offbeat.params import CalibrateParams, PrepareParams
from offbeat.preparation import Prepared, calibration_rows, held_out_rows


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
        period=first.period,
        max_gap=prepare.max_gap,
        clip=prepare.clip,
        params=calibrate,
        lineage=dict(lineage),
    )


def calibrate_fleet(detector: Detector, fleet: Sequence[Prepared]) -> None:
    """Give the detector usual errors and a threshold for every asset, in place.

    Usual errors come from the held-out part of the training span, the threshold from the calibration span. A score
    counts only if every reading that shapes it is normal and lies after the training span.
    """
    for prepared in fleet:
        series = prepared.series.rows(0, prepared.split.calibration[1])
        errors = detector.errors(series, prepared.scaling)
        usual = usual_errors(errors[held_out_rows(prepared, detector.window_size)])
        scores = anomaly_scores(
            channel_scores(errors, usual, series.segments, detector.params.smoothing, detector.lead)
        )
        threshold = detector.choose_threshold(
            series, scores, calibration_rows(prepared, detector.context, detector.delay)
        )
        detector.assets[series.asset] = Calibration(prepared.scaling, usual, threshold)
