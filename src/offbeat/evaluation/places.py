"""Where to look: every alarm and missed event of an asset, what each channel read there, and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
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


def worth_detail(places: Sequence[Sequence[Place]], results: Sequence[ScoreResult], most: int) -> list[set[int]]:
    """Return which places of each asset of a fleet are shown in detail.

    Those of the test spans come first, and of them the strongest of the fleet, measured by each asset's threshold.

    Parameters
    ----------
    places : sequence of sequence of Place
        Of each asset, as `places_of` returns them.
    results : sequence of ScoreResult
        Of each asset.
    most : int
        How many numbers the details may hold together.
    """
    each = [(a, k) for a, some in enumerate(places) for k in range(len(some))]
    each.sort(key=lambda one: (places[one[0]][one[1]].verdict == "outside", -_strength(places, results, *one)))
    sizes = [2 * len(results[a].channels) * _n_shown(places[a][k], len(results[a].scores)) for a, k in each]
    kept = {one for one, total in zip(each, accumulate(sizes), strict=True) if total <= most}
    return [{k for k in range(len(some)) if (a, k) in kept} for a, some in enumerate(places)]


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
    first, last = _shown(place, series.n_timesteps)
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


def _shown(place: Place, n_timesteps: int) -> tuple[int, int]:
    """Return the rows [first, last) that the detail of a place shows."""
    return max(place.start - CONTEXT, 0), min(place.stop + CONTEXT, n_timesteps)


def _n_shown(place: Place, n_timesteps: int) -> int:
    """Return how many points a channel has in the detail of a place, long gaps left aside."""
    first, last = _shown(place, n_timesteps)
    return min(last - first, DETAIL_POINTS)


def _strength(places: Sequence[Sequence[Place]], results: Sequence[ScoreResult], asset: int, k: int) -> float:
    """Return a place's highest score in thresholds, which assets have in common; as it is where that is no measure."""
    place, result = places[asset][k], results[asset]
    peak, threshold = _peak(result.scores[place.start : place.stop]), result.threshold
    return peak / threshold if 0 < threshold < float("inf") else peak


def _peak(scores: FloatArray) -> float:
    return float(np.nanmax(scores)) if not np.isnan(scores).all() else float("-inf")


def _mean_shares(scores: FloatArray, shares: FloatArray, threshold: float) -> FloatArray:
    """Return each channel's share (F,) of a place: timesteps over the threshold weigh as their score, or all alike."""
    over: BoolArray = scores > threshold
    weights = np.where(over, scores, 0.0) if over.any() else np.ones(len(scores))
    mean: FloatArray = weights @ shares / weights.sum()
    return mean
