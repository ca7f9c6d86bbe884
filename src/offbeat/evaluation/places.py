"""Where to look: every alarm and missed event of an asset, what each channel read there, and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offbeat.detection.detector import Detector
from offbeat.detection.result import ScoreResult
from offbeat.evaluation.drawn import numbers, on_axis
from offbeat.evaluation.judging import Judged
from offbeat.evaluation.thinning import thinning
from offbeat.preparation import Prepared
from offbeat.readings.features import band_places
from offbeat.typing import BoolArray, FloatArray

CONTEXT = 48  # timesteps shown before and after a place
DETAIL_POINTS = 300


@dataclass(frozen=True)
class Place:
    """Rows [start, stop) worth a look, and why.

    `verdict` is found (an alarm on a labelled event), false, missed (an event without an alarm), or outside: an alarm
    that counts neither way, because it lies before the test span or in excluded readings.
    """

    start: int
    stop: int
    verdict: str

    @property
    def is_alarm(self) -> bool:
        """Whether there is an alarm."""
        return self.verdict != "missed"


def places_of(result: ScoreResult, judged: Judged) -> list[Place]:
    """Return every alarm and every missed event of an asset, in the order of time; those judged as the metrics do."""
    counted = [
        Place(start, stop, "found" if on_event else "false")
        for (start, stop), on_event in zip(judged.alarms.tolist(), judged.on_event.tolist(), strict=True)
    ]
    missed = [Place(start, stop, "missed") for start, stop in judged.events[~judged.found].tolist()]
    others = [
        Place(event.start, event.stop, "outside")
        for event in result.events
        if not any(place.start < event.stop and event.start < place.stop for place in counted)
    ]
    return sorted([*counted, *missed, *others], key=lambda place: (place.start, place.stop))


def worth_detail(places: Sequence[Place], result: ScoreResult, most: int) -> list[int]:
    """Return which places are shown in detail: those of the test span first, the strongest first, at most so many."""
    peaks = [_peak(result.scores[place.start : place.stop]) for place in places]
    order = sorted(range(len(places)), key=lambda k: (places[k].verdict == "outside", -peaks[k]))
    return sorted(order[:most])


def place_json(place: Place, result: ScoreResult) -> dict[str, Any]:
    """Return a place for the page: when, verdict, how strong, and every channel's share, the largest first."""
    scores = result.scores[place.start : place.stop]
    peak = _peak(scores)
    shares = _mean_shares(scores, result.channel_shares[place.start : place.stop], result.threshold)
    order = np.argsort(-shares, kind="stable")
    return {
        "first": on_axis(result.stamps[place.start], result.is_time),
        "last": on_axis(result.stamps[place.stop - 1], result.is_time),
        "n_timesteps": place.stop - place.start,
        "verdict": place.verdict,
        "peak": round(peak, 3) if np.isfinite(peak) else None,
        "ratio": round(peak / result.threshold, 2) if np.isfinite(peak) and result.threshold > 0 else None,
        "shares": [{"channel": result.channels[k], "share": round(float(shares[k]), 4)} for k in order],
    }


def detail(detector: Detector, prepared: Prepared, place: Place) -> dict[str, Any]:
    """Return readings and what the model expected around a place, at full resolution where it is not too long."""
    series = prepared.series.in_order(detector.channels)
    first, last = max(place.start - CONTEXT, 0), min(place.stop + CONTEXT, series.n_timesteps)
    # with what its windows reach, so that the estimates are those behind the scores
    begin, end = max(first - detector.context, 0), min(last + detector.window_size, series.n_timesteps)
    part = series.rows(begin, end)
    inner = slice(first - begin, last - begin)
    if max(stop - start for start, stop in part.segments) >= detector.window_size:
        expected = detector.estimates(part, detector.assets[series.asset].scaling)[inner]
    else:  # cut off by long gaps: nothing there has a score
        expected = np.full((last - first, series.n_channels), np.nan)
    shown = series.rows(first, last)
    thin = thinning(shown.positions, shown.segment_starts, DETAIL_POINTS)
    return {
        "first": on_axis(shown.stamps[0], series.is_time),
        "offsets": thin.offsets.tolist(),
        "readings": [numbers(column) for column in thin.extremes(shown.values).T],
        "estimates": [numbers(column) for column in thin.extremes(expected).T],
        "bands": band_levels(series.channels, series.values[place.start : place.stop]),
    }


def band_levels(channels: Sequence[str], values: FloatArray) -> Mapping[str, Any]:
    """Return the median energy of each band of each sensor, for readings (T, F) that are features of raw snapshots."""
    return {
        sensor: [
            {"low": low, "high": high, "energy": float(np.nanmedian(column))}
            for (low, high), k in bands
            if not np.isnan(column := values[:, k]).all()
        ]
        for sensor, bands in band_places(channels).items()
    }


def _peak(scores: FloatArray) -> float:
    return float(np.nanmax(scores)) if not np.isnan(scores).all() else float("-inf")


def _mean_shares(scores: FloatArray, shares: FloatArray, threshold: float) -> FloatArray:
    """Return each channel's share (F,) of a place: timesteps over the threshold weigh as their score, or all alike."""
    over: BoolArray = scores > threshold
    weights = np.where(over, scores, 0.0) if over.any() else np.ones(len(scores))
    mean: FloatArray = weights @ shares / weights.sum()
    return mean
