"""What the evaluation page holds of one asset: readings and scores in few points, places to look at, its histogram."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from offbeat.detection.detector import Detector
from offbeat.detection.events import events_of
from offbeat.detection.result import ScoreResult
from offbeat.evaluation.drawn import histogram, numbers, on_axis, significant
from offbeat.evaluation.places import Place, band_levels, detail, place_json
from offbeat.evaluation.thinning import Thinning, thinning
from offbeat.preparation import Prepared, calibration_rows

# Numbers on a page, about 4 bytes each: with the details of alarms a fleet of any size stays below 15 MB
MOST_READINGS = 1_400_000
FEWEST_POINTS, MOST_POINTS = 200, 10_000  # of a channel; more than a screen is wide, few enough to be drawn at once
SPANS = {"train": "training", "calibration": "calibration", "test": "test"}


def asset_block(
    detector: Detector,
    prepared: Prepared,
    result: ScoreResult,
    places: Sequence[Place],
    curve: Sequence[tuple[float, float, float]],
    detailed: Collection[int],
    n_assets: int,
) -> dict[str, Any]:
    """Return all that is drawn of an asset, as JSON holds it.

    Parameters
    ----------
    detector, prepared, result
        Of the asset.
    places : sequence of Place
        As `places_of` returns them.
    curve : sequence of (recall, precision, threshold)
        Empty where no event is labelled.
    detailed : collection of int
        Which of the places are shown in detail.
    n_assets : int
        That share the page.
    """
    series = prepared.series.in_order(detector.channels)
    points = MOST_READINGS // n_assets // (series.n_channels + 1)
    thin = thinning(series.positions, series.segment_starts, int(np.clip(points, FEWEST_POINTS, MOST_POINTS)))
    return {
        "first": on_axis(series.stamps[0], series.is_time),
        "offsets": thin.offsets.tolist(),
        "whole": thin.is_whole,
        "readings": [numbers(column) for column in thin.extremes(series.values).T],
        "scores": significant(thin.extremes(result.scores[:, None])[:, 0]),
        "shares": _alarm_shares(thin, result),
        "events": _events(prepared),
        "spans": _spans(prepared),
        "places": [
            place_json(place, result)
            | {"span": _span_at(prepared, place.start)}
            | ({"detail": detail(detector, prepared, place)} if k in detailed else {})
            for k, place in enumerate(places)
        ],
        "usual_bands": _usual_bands(prepared, detector),
        "histogram": histogram(_groups(detector, prepared, result), result.threshold),
        "curve": [list(point) for point in curve],
    }


def _alarm_shares(thin: Thinning, result: ScoreResult) -> list[list[int] | None]:
    """Return for each point the channels' shares in percent, None where no timestep of it is in alarm."""
    shares = thin.means(np.where(result.alarms[:, None], result.channel_shares, np.nan))
    percent = np.round(100 * np.nan_to_num(shares, nan=0.0)).astype(int).tolist()
    return [row if known else None for row, known in zip(percent, ~np.isnan(shares[:, 0]), strict=True)]


def _events(prepared: Prepared) -> list[dict[str, Any]]:
    """Return the labelled events of the whole series."""
    series = prepared.series
    return [
        {
            "first": on_axis(series.stamps[start], series.is_time),
            "last": on_axis(series.stamps[stop - 1], series.is_time),
        }
        for start, stop in events_of(prepared.labelled, series.segment_starts).tolist()
    ]


def _spans(prepared: Prepared) -> list[dict[str, Any]]:
    series = prepared.series
    return [
        {"name": name, "first": on_axis(series.stamps[getattr(prepared.split, key)[0]], series.is_time)}
        for key, name in SPANS.items()
    ]


def _span_at(prepared: Prepared, row: int) -> str:
    """Return the name of the span that began last before a row."""
    return [name for key, name in SPANS.items() if getattr(prepared.split, key)[0] <= row][-1]


def _usual_bands(prepared: Prepared, detector: Detector) -> Mapping[str, Any]:
    """Return the band energies of the normal part of the training span."""
    start, stop = prepared.split.train
    values = prepared.series.in_order(detector.channels).values[start:stop]
    return band_levels(detector.channels, values[prepared.normal[start:stop]])


def _groups(detector: Detector, prepared: Prepared, result: ScoreResult) -> dict[str, Any]:
    """Return the scores that the threshold was chosen on, and those of the test span."""
    normal = calibration_rows(prepared, detector.context, detector.delay)
    tested = ~prepared.excluded
    tested[: prepared.split.test[0]] = False
    return {
        "calibration": result.scores[: len(normal)][normal],
        "test, normal": result.scores[tested & ~prepared.labelled],
        "test, labelled": result.scores[tested & prepared.labelled],
    }
