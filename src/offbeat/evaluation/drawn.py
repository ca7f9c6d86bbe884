"""Figures of a page: numbers in no more digits than a picture shows, histograms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from offbeat.typing import FloatArray

STEPS = 10_000  # that a channel's range is told apart by: more than a screen has lines
BINS = 48
WIDE = 50.0  # times the middle score: from here on a histogram counts by powers


def on_axis(stamp: int, is_time: bool) -> float:
    """Return a stamp, or a step, as a page counts: in milliseconds since 1970, or as the integer index has it."""
    if not is_time:
        return int(stamp)
    whole, rest = divmod(int(stamp), 1_000_000)
    return whole + rest / 1_000_000 if rest else whole


def numbers(values: FloatArray) -> list[float | None]:
    """Return values (n,), rounded to a ten-thousandth of their range or finer; NaN, which JSON lacks, becomes None."""
    known = values[~np.isnan(values)]
    span = float(known.max() - known.min()) if len(known) else 0.0
    digits = 6 if span == 0 else math.ceil(-math.log10(span / STEPS))
    return [None if value != value else value for value in np.round(values, digits).tolist()]


def significant(values: FloatArray, digits: int = 4) -> list[float | None]:
    """Return values (n,) in so many significant digits: scores, which span powers of ten; NaN becomes None."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(values))) - digits + 1)
        rounded = np.where(unit > 0, np.round(values / unit) * unit, values)
    return [None if value != value else float(f"{value:.{digits}g}") for value in rounded.tolist()]


def histogram(groups: dict[str, FloatArray], threshold: float) -> dict[str, Any]:
    """Return how often which score came in each group, on common bins, as shares of the group.

    Parameters
    ----------
    groups : dict of str to ndarray of shape (n,)
        Scores; NaN is left out.
    threshold : float
        Lies within the bins.
    """
    known = {name: scores[~np.isnan(scores)] for name, scores in groups.items()}
    every = np.concatenate([*known.values(), [threshold] if math.isfinite(threshold) else []])
    if not len(every):
        return {"edges": [], "log": False, "groups": []}
    positive = every[every > 0]
    log = len(positive) > 0 and every.max() > WIDE * np.median(positive)
    low = positive.min() if log else every.min()
    edges = np.geomspace(low, every.max(), BINS + 1) if log else np.linspace(low, every.max(), BINS + 1)
    edges[0], edges[-1] = low, every.max()  # exactly: rounding must not put the highest score outside
    return {
        "edges": significant(edges),
        "log": bool(log),
        "groups": [
            {
                "name": name,
                "n": len(scores),
                "shares": [float(f"{share:.4g}") for share in _counts(scores, edges) / max(len(scores), 1)],
            }
            for name, scores in known.items()
        ],
    }


def _counts(scores: FloatArray, edges: FloatArray) -> FloatArray:
    """Return how many scores lie in each bin; those below the first edge, which has no power of ten, in the first."""
    counts: FloatArray = np.histogram(np.maximum(scores, edges[0]), bins=edges)[0].astype(np.float64)
    return counts
