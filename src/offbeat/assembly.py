"""A network and prepared readings to a calibrated detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offbeat.detection.calibration import Calibration, CalibrationSpan, group_maxima
from offbeat.detection.detector import Detector
from offbeat.detection.reference import Reference, reference_of
from offbeat.detection.runtime import Runtime
from offbeat.detection.scaling import Scaling
from offbeat.detection.scores import Usual
from offbeat.detection.streaming import tail_start
from offbeat.detection.thresholds import Threshold
from offbeat.detection.windows import reach_mask
from offbeat.params import CalibrateParams, PrepareParams
from offbeat.preparation import Prepared, calibration_rows, held_out_rows, labelled_rows
from offbeat.progress import Report, parts, silent
from offbeat.readings.series import Series
from offbeat.typing import FloatArray


def assemble(
    graph: bytes,
    like: Series,
    prepare: PrepareParams,
    calibrate: CalibrateParams,
    lineage: Mapping[str, str],
) -> Detector:
    """Return a detector around a network, for the channels and period of `like`; no asset is calibrated yet."""
    return Detector(
        runtime=Runtime(graph),
        channels=like.channels,
        step=like.step,
        is_time=like.is_time,
        max_gap=like.max_gap,
        preprocessing=prepare.preprocessing,
        params=calibrate,
        lineage=dict(lineage),
    )


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an asset's calibration rests on; what it lacks is a threshold, for which its group is asked.

    Attributes
    ----------
    scaling : Scaling
    usual : Usual
    span : CalibrationSpan
        From the first row of the calibration span to the test span.
    reference : Reference or None
    """

    scaling: Scaling
    usual: Usual
    span: CalibrationSpan
    reference: Reference | None


def calibrate_fleet(
    detector: Detector, fleet: Sequence[Prepared], report: Report = silent, work: str = "calibrating"
) -> None:
    """Give the detector usual errors, a threshold and a reference for every asset, in place.

    Usual errors come from the held-out part of the training span, the threshold from the calibration span. A score
    counts only if every reading that shapes it is normal and lies after the training span; to the methods that ask for
    labels, those of labelled timesteps count as well. `report` takes each step of the `work`, in timesteps.
    """
    reports = parts(report, work, [prepared.split.test[0] for prepared in fleet])
    conclude(detector, [evidence_of(detector, one, part) for one, part in zip(fleet, reports, strict=True)])


def evidence_of(detector: Detector, prepared: Prepared, report: Report = silent) -> Evidence:
    """Return what one asset's calibration rests on; `report` takes each step, in timesteps."""
    split, series = prepared.split, prepared.series.rows(0, prepared.split.test[0])
    usual = _usual_errors(detector, prepared)
    unlimited = Calibration(prepared.scaling, usual, Threshold(np.inf, "none", None))
    scores = detector.scores(series, unlimited, report)
    normal = prepared.normal[: series.n_timesteps]
    # a score counts if all readings that shape it are normal
    whole = reach_mask(normal, series.segment_starts, detector.context, detector.delay)
    unseen = np.where(whole, scores, np.nan)
    reference = reference_of(series, normal, unseen, split.held_out[1], split.held_out[0])
    return Evidence(prepared.scaling, usual, span_of(detector, prepared, scores), reference)


def conclude(detector: Detector, evidence: Sequence[Evidence]) -> None:
    """Give the detector the calibrations of a group, of which this is the evidence, and what it lends, in place."""
    spans = [one.span for one in evidence]
    thresholds = detector.choose_thresholds(spans)
    detector.lent = group_maxima(spans, detector.reach)
    for one, threshold in zip(evidence, thresholds, strict=True):
        detector.assets[one.span.asset] = Calibration(one.scaling, one.usual, threshold, reference=one.reference)


def fleet_thresholds(detector: Detector, fleet: Sequence[Prepared], scores: Sequence[FloatArray]) -> list[Threshold]:
    """Return a threshold for each asset from scores (T,) of at least the rows before its test span."""
    return detector.choose_thresholds(
        [span_of(detector, prepared, values) for prepared, values in zip(fleet, scores, strict=True)]
    )


def span_of(detector: Detector, prepared: Prepared, scores: FloatArray) -> CalibrationSpan:
    """Return the calibration span of an asset, from scores (T,) of at least the rows before its test span."""
    start, stop = prepared.split.calibration[0], prepared.split.test[0]  # none before the span counts
    return CalibrationSpan(
        asset=prepared.series.asset,
        scores=scores[start:stop],
        normal=calibration_rows(prepared, detector.context, detector.delay)[start:],
        segment_starts=prepared.series.rows(start, stop).segment_starts,
        labelled=labelled_rows(prepared, detector.context, detector.delay)[start:],
    )


def _usual_errors(detector: Detector, prepared: Prepared) -> Usual:
    """Return what the errors of the held-out part of the training span are like."""
    start, stop = prepared.split.held_out
    # scored apart from the rest, so that no error of any other reading is kept
    begin = tail_start(detector, prepared.series, start)
    end = min(stop + detector.window_size, prepared.split.test[0])  # later windows vote on its last timesteps
    errors = detector.errors(prepared.series.rows(begin, end), prepared.scaling)
    return detector.usual_errors(errors[held_out_rows(prepared, detector.window_size)[begin:end]])
