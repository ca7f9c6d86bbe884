"""Quality of one channel: its figures, its grade and what to do about its problems.

The grade follows from the table `LIMITS`, so that it can be disputed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from offbeat.typing import FloatArray, IntArray

GRADES = "ABCDF"
# a channel gets the first grade whose limits it keeps: share missing, share of the longest constant stretch, outliers
LIMITS = {"A": (0.01, 0.10, 0.001), "B": (0.05, 0.25, 0.01), "C": (0.20, 0.50, 0.03), "D": (0.50, 0.90, 0.10)}
OUTLIER_SIGMAS = 10
CODE_STAY = 3  # timesteps in a row; an error code stays for fewer on average
FEW_LEVELS = 10  # a channel of so few distinct values is a switch or a counter: it may stand still for long
LABEL_NAMES = ("label", "labels", "anomaly", "is_anomaly", "changepoint", "target", "fault", "class")


@dataclass(frozen=True)
class ChannelQuality:
    """What one channel holds outside labels and exclusions; shares are of those rows, stretches in timesteps."""

    channel: str
    missing_share: float
    longest_constant: int
    minimum: float
    maximum: float
    mean: float
    std: float
    n_distinct: int
    outlier_share: float
    grade: str
    problems: tuple[str, ...] = ()


def assess_channel(name: str, values: FloatArray, runs: IntArray) -> ChannelQuality:
    """Describe and grade one channel.

    Parameters
    ----------
    name : str
    values : ndarray of shape (n,)
        Its readings that count, NaN where one is missing.
    runs : ndarray of int
        Places among them where a stretch of successive timesteps begins.
    """
    present = values[~np.isnan(values)]
    missing = (len(values) - len(present)) / len(values)
    if not len(present):
        text = f"channel {name!r} has no reading at all: drop it, or mend its source"
        nan = float("nan")
        return ChannelQuality(name, 1.0, 0, nan, nan, nan, nan, 0, 0.0, "F", (text,))
    longest, distinct = _longest_constant(values, runs), len(np.unique(present))
    outliers = _outlier_share(present)
    still = longest / len(values) if distinct > FEW_LEVELS else 0.0
    return ChannelQuality(
        channel=name,
        missing_share=missing,
        longest_constant=longest,
        minimum=float(present.min()),
        maximum=float(present.max()),
        mean=float(present.mean()),
        std=float(present.std()),
        n_distinct=distinct,
        outlier_share=outliers,
        grade="F" if distinct == 1 else _grade(missing, still, outliers),
        problems=tuple(_channel_problems(name, missing, longest, still, distinct, outliers)),
    )


def _grade(*measures: float) -> str:
    kept = (
        grade
        for grade, limits in LIMITS.items()
        if all(measure <= limit for measure, limit in zip(measures, limits, strict=True))
    )
    return next(kept, "F")


def _channel_problems(
    name: str, missing: float, longest: int, still: float, distinct: int, outliers: float
) -> Iterable[str]:
    missing_limit, still_limit, outlier_limit = LIMITS["B"]
    if name.lower() in LABEL_NAMES:
        yield f"channel {name!r} is named like a label: a model must not see labels; move it to labels.csv"
    if distinct == 1:
        yield f"channel {name!r} is constant: it carries no information; drop it, or record until it changes"
    if missing > missing_limit:
        yield f"channel {name!r} misses {missing:.0%} of its readings: mend its source, or drop it"
    if still > still_limit and distinct > 1:
        yield (
            f"channel {name!r} stands still for {longest:,} timesteps: if the sensor was stuck or the machine off, add "
            "the stretch to exclude.csv"
        )
    if outliers > outlier_limit:
        yield (
            f"channel {name!r} has {outliers:.1%} readings beyond {OUTLIER_SIGMAS} robust standard deviations: look "
            "for error codes such as -999 and leave them empty, or add incidents to labels.csv"
        )


def _longest_constant(values: FloatArray, runs: IntArray) -> int:
    """Longest run of equal readings, in timesteps; a missing reading or a row left out ends a run."""
    new = np.concatenate(([True], values[1:] != values[:-1]))  # NaN differs from everything, itself included
    new[runs] = True
    lengths = np.diff(np.append(np.flatnonzero(new), len(values)))
    return int(lengths[~np.isnan(values[new])].max())


def _outlier_share(present: FloatArray) -> float:
    core = _without_codes(present)
    median = np.median(core)
    low, high = np.quantile(core, [0.05, 0.95])
    sigma = max(1.4826 * np.median(np.abs(core - median)), (high - low) / 3.29)
    return float((np.abs(present - median) > OUTLIER_SIGMAS * sigma).mean()) if sigma > 0 else 0.0


def _without_codes(present: FloatArray) -> FloatArray:
    """Leave out a lowest or highest value that comes again and again, but never stays: it may be an error code.

    Else a code in one reading of twenty would count as the channel's spread. A machine that is off stays off.
    """
    kept = np.ones(len(present), dtype=bool)
    for extreme in (present.min(), present.max()):
        at = present == extreme
        n_stretches = int((at & ~np.append(False, at[:-1])).sum())
        if 1 < at.sum() < CODE_STAY * n_stretches:
            kept &= ~at
    return present[kept] if 2 * kept.sum() >= len(present) else present
