"""New thresholds for the model in service, without training: what people said of its alarms enters the calibration.

All normal readings since the training span count; alarms marked as false are normal, all others are not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offbeat.detection.calibration import SECONDS_PER_WEEK, CalibrationSpan
from offbeat.detection.detector import Detector, few_like
from offbeat.detection.thresholds import Threshold
from offbeat.detection.windows import reach_mask
from offbeat.errors import ModelError, ReadingsError
from offbeat.params import CalibrateParams, changed
from offbeat.readings.folder import Folder
from offbeat.readings.messages import count
from offbeat.readings.series import Series, series_hash
from offbeat.readings.spans import Span, span_mask


@dataclass(frozen=True)
class Change:
    """The threshold of an asset before and after, and how many scores of normal readings it was chosen from."""

    asset: str
    before: Threshold
    after: Threshold
    n_scores: int


@dataclass(frozen=True, eq=False)
class Recalibrated:
    """A detector with new thresholds, what changed, and what kept an asset from it."""

    detector: Detector
    changes: tuple[Change, ...]
    problems: Mapping[str, str]


def recalibrate(
    detector: Detector,
    folder: Folder,
    learnt_until: Mapping[str, int],
    doubtful: Sequence[Span],
    assets: Collection[str] | None = None,
    false_alarms: Sequence[Span] = (),
) -> Recalibrated:
    """Choose thresholds anew from all normal readings since the training span.

    Parameters
    ----------
    detector : Detector
        Stays as it is.
    folder : Folder
        Readings on the detector's period; what its labels and exclusions name is not normal. Only the methods that
        choose by labels look at the scores of its labels.
    learnt_until : mapping of asset to stamp
        The last row of each asset's training span; an asset that is not in it never was in training, and all of its
        readings count.
    doubtful : sequence of Span
        Further readings that are not normal: alarms that nobody marked as false.
    assets : collection of str, optional
        Which get a new threshold; all that the detector knows by default. The others still lend their scores to those
        that have too few of their own.
    false_alarms : sequence of Span, optional
        Normal for their own asset; what it lends to others leaves them out, lest one machine's odd hour makes another
        blind.

    Returns
    -------
    Recalibrated
        Scaling and usual errors stay, and so do parameters that an earlier calibration of an asset changed. Alarms that
        nobody judged are left out: where they were false, the thresholds come out too low, so have them judged first.

    Raises
    ------
    ModelError
        If the detector does not know one of `assets`.
    """
    wanted = _wanted(detector, assets)
    spans, lent, hashes, problems = [], [], {}, {}
    for series in folder.series:
        if series.asset not in detector.assets:
            continue
        try:
            span = _span(detector, series, learnt_until.get(series.asset), folder, doubtful)
        except (ReadingsError, ModelError) as error:
            problems[series.asset] = str(error)
            continue
        spans.append(span)
        odd = reach_mask(~span_mask(series, false_alarms), series.segment_starts, detector.context, detector.delay)
        lent.append(replace(span, normal=span.normal & odd))
        hashes[series.asset] = series_hash(series)
    problems |= dict.fromkeys(sorted(wanted - {one.asset for one in folder.series}), "there are no readings of it")
    known, changes = dict(detector.assets), []
    for place, span in enumerate(spans):
        if span.asset not in wanted:
            continue
        before = known[span.asset]
        others = [one for k, one in enumerate(lent) if k != place and not np.isnan(one.scores[one.normal]).all()]
        chosen = detector.choose_thresholds([span, *others], _params(detector, span.asset))[0]
        threshold = max(before.threshold, chosen, key=lambda one: one.value)
        origin = {**before.origin, "data_hash": hashes[span.asset]}
        known[span.asset] = replace(before, threshold=threshold, origin=origin)
        changes.append(
            Change(span.asset, before.threshold, threshold, int((span.normal & ~np.isnan(span.scores)).sum()))
        )
    unable = {asset: why for asset, why in problems.items() if asset in wanted}
    return Recalibrated(replace(detector, assets=known), tuple(changes), unable)


def change_lines(recalibrated: Recalibrated) -> list[str]:
    """Return a line an asset: its threshold before and after, and what it promises; then what could not be done."""
    period_s = recalibrated.detector.period_s
    per_week = None if period_s is None else SECONDS_PER_WEEK / period_s
    lines = [
        f"{change.asset}: threshold {change.before.value:.3g} -> {change.after.value:.3g}, from "
        f"{count(change.n_scores, 'normal timestep')}; {_promise(change.after, per_week)}"
        for change in recalibrated.changes
    ]
    return lines + [f"{asset}: unchanged: {why}" for asset, why in recalibrated.problems.items()]


def _promise(threshold: Threshold, per_week: float | None) -> str:
    rate = threshold.promised_alarm_rate
    if rate is None:
        return f"{threshold.method} promises nothing"
    amount = f"{rate * 10_000:.3g} in 10,000 timesteps" if per_week is None else f"{rate * per_week:.3g} a week"
    return f"false alarms promised at most: {amount}" + (f"; warning: {threshold.warning}" if threshold.warning else "")


def _wanted(detector: Detector, assets: Collection[str] | None) -> set[str]:
    wanted = set(detector.assets if assets is None else assets)
    if unknown := wanted - set(detector.assets):
        raise ModelError(
            f"asset '{min(unknown)}' was never calibrated (known: {few_like(min(unknown), sorted(detector.assets))}): "
            "calibrate it with a span of its normal readings first (offbeat calibrate)"
        )
    return wanted


def _span(
    detector: Detector, series: Series, learnt_until: int | None, folder: Folder, doubtful: Sequence[Span]
) -> CalibrationSpan:
    """Return the scores of an asset, and which of them rest on known readings after its training span alone."""
    later = np.ones(series.n_timesteps, dtype=bool) if learnt_until is None else series.stamps > learnt_until
    normal = later & ~span_mask(series, [*folder.labels, *folder.exclude, *doubtful])
    labelled = later & span_mask(series, folder.labels) & ~span_mask(series, folder.exclude)
    span = detector.calibration_span(series, detector.assets[series.asset], normal, labelled)
    if np.isnan(span.normal_scores).all():
        need = detector.context + detector.delay + 1
        raise ReadingsError(
            f"no score rests on normal readings since its training span alone, which takes {need} of them in a row"
        )
    return span


def _params(detector: Detector, asset: str) -> CalibrateParams:
    """Return the params that choose the asset's threshold: the detector's, as an earlier calibration changed them."""
    return changed(detector.params, {k: v for k, v in detector.assets[asset].origin.items() if k != "data_hash"})
