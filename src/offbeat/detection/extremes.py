"""Peaks over threshold: a false-alarm budget to a threshold that may lie beyond the highest score seen.

The highest scores of independent blocks are taken for the tail of a generalized Pareto distribution; where that is
wrong, so is the threshold. `conformal_threshold` needs no such belief, but more blocks.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from offbeat.detection.thresholds import LARGEST_SHARE, Maxima, Threshold, conformal_threshold
from offbeat.typing import FloatArray

LEAST_PEAKS = 10  # fewer fit nothing
FEW_PEAKS = 30  # fewer make a loose fit
# A tail that ends (shape below 0) is what few peaks often suggest, and the next peak passes; above a half, the
# moments that the fit rests on have no variance.
SHAPES = (0.0, 0.5)


def pot_threshold(own: Maxima, group: Maxima, block_size: int, alarm_rate: float, quantile: float) -> Threshold:
    """Return the threshold that keeps false alarms within a budget if the tail of the scores is generalized Pareto.

    Parameters
    ----------
    own : Maxima
        `block_maxima` of the asset, one at least.
    group : Maxima
        Those of all like assets, its own among them.
    block_size : int
        In timesteps.
    alarm_rate : float
        The budget: false alarms per timestep.
    quantile : float
        Of the maxima; those above it are the peaks.

    Returns
    -------
    Threshold
        A share a = 1 - exp(-alarm_rate · block_size) of new normal blocks, at most `LARGEST_SHARE`, goes over it in
        expectation, *if* what peaks exceed the quantile by follows a generalized Pareto distribution with a shape
        within `SHAPES`. It takes no number of blocks to promise that, and no data prove it. An asset with fewer than
        `LEAST_PEAKS` peaks borrows the group's, and stays above its own highest maximum; then the promise holds on
        average over the group. If those are too few as well, or hardly vary, the threshold and the promise are the
        conformal ones. The warning says all this, and that a fit to fewer than `FEW_PEAKS` is loose.

    Notes
    -----
    Siffer et al. 2017, "Anomaly detection in streams with extreme value theory", eq. 1: with a share p of peaks over
    u, z = u + σ / γ · ((a / p)^-γ - 1). Where a is at least p, ranks tell z without a fit.
    Differs: the scores are block maxima, for exceedances of neighbouring timesteps share readings. The fit is that of
    `fit_pareto`, not of likelihood. And γ is larger by 1 / n for n peaks: of exponential excesses with their mean for
    σ, a share (1 + log(p / a) / n)^-n goes over the z of γ = 0, on average over the samples, and a over that of 1 / n.
    """
    rate = min(alarm_rate, -math.log1p(-LARGEST_SHARE) / block_size)
    share = -math.expm1(-rate * block_size)
    n_own, n_group = (len(_excesses(maxima, quantile)) for maxima in (own, group))
    if n_own >= LEAST_PEAKS:
        return Threshold(_tail_rank(own, quantile, share), "pot", rate, _looseness(n_own))
    few = f"{n_own} peaks over the {quantile:g} quantile, fewer than {LEAST_PEAKS}"
    if n_group >= LEAST_PEAKS:
        value = max(_tail_rank(group, quantile, share), own.highest)
        borrowed = f"{few}: borrowed the group's {n_group}, so the promise holds on average over the group"
        return Threshold(value, "pot", rate, "; ".join(filter(None, (borrowed, _looseness(n_group)))))
    fallback = conformal_threshold(own, group, block_size, alarm_rate)
    few += f" ({n_group} in the group): no tail can be fitted, and the threshold is the conformal one"
    return replace(fallback, warning="; ".join(filter(None, (few, fallback.warning))))


def fit_pareto(excesses: FloatArray) -> tuple[float, float]:
    """Return shape γ and scale σ of the generalized Pareto distribution, P(X > x) = (1 + γ x / σ)^(-1 / γ).

    Parameters
    ----------
    excesses : ndarray of shape (n,)
        Above 0, at least two.

    Returns
    -------
    shape, scale : float
        A shape outside `SHAPES` is the nearer end, with the scale that keeps the mean.

    Notes
    -----
    Hosking & Wallis 1987, "Parameter and quantile estimation for the generalized Pareto distribution", probability-
    weighted moments a0 = E[X] and a1 = E[X (1 - F(X))]: γ = 2 - a0 / (a0 - 2 a1), σ = a0 (1 - γ), which is their
    2 a0 a1 / (a0 - 2 a1). Differs: a1 is the unbiased mean of x_i (n - i) / (n - 1), not of plotting positions.
    """
    ordered, n = np.sort(excesses), len(excesses)
    mean = float(ordered.mean())
    weighted = float((ordered * np.arange(n - 1, -1, -1)).mean() / (n - 1))
    spread = mean - 2 * weighted  # half of Gini's mean difference; 0 where all are equal
    lowest, highest = SHAPES
    # compared without the quotient, which equal excesses make infinite
    shape = lowest if mean >= (2 - lowest) * spread else min(2 - mean / spread, highest)
    return shape, mean * (1 - shape)


@lru_cache(maxsize=4)  # the group's is asked for again with each of its assets
def _tail_rank(maxima: Maxima, quantile: float, share: float) -> float:
    """Return the value that a `share` of new maxima goes over: by the tail's fit, or by ranks below the tail."""
    excesses = _excesses(maxima, quantile)
    ratio = len(excesses) / len(maxima) / share
    if ratio <= 1:
        return maxima.rank(share)
    shape, scale = fit_pareto(excesses)
    shape += 1 / len(excesses)
    return float(np.quantile(maxima.ordered, quantile)) + scale * math.expm1(shape * math.log(ratio)) / shape


@lru_cache(maxsize=4)
def _excesses(maxima: Maxima, quantile: float) -> FloatArray:
    over: FloatArray = maxima.ordered - np.quantile(maxima.ordered, quantile)
    return over[over > 0]


def _looseness(n_peaks: int) -> str:
    if n_peaks >= FEW_PEAKS:
        return ""
    return f"a tail fitted to {n_peaks} peaks, fewer than {FEW_PEAKS}, is loose: lengthen the calibration span"
