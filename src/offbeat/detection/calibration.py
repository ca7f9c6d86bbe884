"""What a detector knows of one asset, and how params.yaml's `calibrate` becomes its threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offbeat.detection.scaling import Scaling
from offbeat.detection.thresholds import (
    Threshold,
    block_maxima,
    conformal_threshold,
    quantile_threshold,
    sigma_threshold,
)
from offbeat.errors import ReadingsError
from offbeat.params import CalibrateParams
from offbeat.typing import BoolArray, FloatArray, IntArray

SECONDS_PER_WEEK = 7 * 86_400.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a detector knows of one asset."""

    scaling: Scaling
    usual: FloatArray  # (F,) usual error of each channel, scaled units squared
    threshold: Threshold


def budget_rate(params: CalibrateParams, period_s: float | None) -> float:
    """Return the budget in false alarms per timestep, for readings every `period_s` seconds or without time."""
    if period_s is None:
        return params.false_alarms_per_10000_timesteps / 10_000
    return params.false_alarms_per_week * period_s / SECONDS_PER_WEEK


def choose_threshold(
    scores: FloatArray,
    normal: BoolArray,
    segment_starts: IntArray,
    *,
    params: CalibrateParams,
    block_size: int,
    period_s: float | None,
    asset: str,
) -> Threshold:
    """Return the threshold for an asset from its scores (T,) on the timesteps that are `normal` (T,).

    Parameters
    ----------
    scores, normal, segment_starts
        As in `block_maxima`.
    params : CalibrateParams
    block_size : int
        In timesteps; at least the reach of one score.
    period_s : float or None
        Seconds between readings; None for data without time.
    asset : str
        For messages.

    Raises
    ------
    ReadingsError
        If no block of normal timesteps has a score.
    """
    maxima = block_maxima(scores, normal, segment_starts, block_size)
    if not len(maxima):
        raise ReadingsError(
            f"asset '{asset}': calibration needs at least {block_size} consecutive normal timesteps with a score, "
            f"got {int((normal & ~np.isnan(scores)).sum())} in pieces shorter than that: lengthen the calibration span"
        )
    if params.method == "conformal":
        return conformal_threshold(maxima, block_size, budget_rate(params, period_s))
    if params.method == "quantile":
        return quantile_threshold(scores[normal], params.quantile)
    return sigma_threshold(scores[normal], params.n_sigmas)
