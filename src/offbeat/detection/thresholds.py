"""Scores of a normal span to a threshold, and what that threshold promises.

The default turns a false-alarm budget into a threshold through block maxima: neighbouring scores share readings, so
only whole blocks, each at least as long as a score's reach, count as independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from offbeat.detection.events import events_of, merge_events
from offbeat.typing import BoolArray, FloatArray, IntArray

# Of normal blocks that may go over a threshold, however large the budget: alarms are counted, and one that never ends
# would count once.
LARGEST_SHARE = 0.1
# Standard deviations above the mean that `dynamic_threshold` tries; below two most of what it flags is normal.
DYNAMIC_SIGMAS = np.arange(2.0, 10.5, 0.5)
LEAST_DROP = 0.13  # from one peak to the next lower one, for the higher to be an anomaly


@dataclass(frozen=True)
class Threshold:
    """A threshold and its promise.

    Attributes
    ----------
    value : float
        Alarm when score > value.
    method : str
    promised_alarm_rate : float or None
        False alarms per timestep at most, in expectation; None where the method promises nothing.
    warning : str
        Empty, or why the promise is weaker than what was asked for.
    """

    value: float
    method: str
    promised_alarm_rate: float | None
    warning: str = ""

    @property
    def maturity(self) -> str:
        """`calibrated` where the asset's own readings carry the promise, else `provisional`; the warning says why."""
        return "provisional" if self.warning else "calibrated"


class Maxima:
    """Highest scores of independent blocks (n,), put in order once: those of a group are asked for each of its assets.

    Attributes
    ----------
    ordered : ndarray of shape (n,), ascending
    """

    def __init__(self, values: FloatArray) -> None:
        self.ordered: FloatArray = np.sort(values)

    def __len__(self) -> int:
        return len(self.ordered)

    @property
    def highest(self) -> float:
        """The highest of all; there is one at least."""
        return float(self.ordered[-1])

    def rank(self, share: float) -> float:
        """Return the smallest maximum that at most `share` of new blocks go over; there are enough of them for that."""
        rank = math.ceil((len(self) + 1) * (1 - share) - 1e-9)
        return float(self.ordered[max(rank, 1) - 1])


def block_maxima(scores: FloatArray, normal: BoolArray, segment_starts: IntArray, block_size: int) -> FloatArray:
    """Return the highest score of each whole block of `block_size` consecutive normal timesteps.

    Parameters
    ----------
    scores : ndarray of shape (n_timesteps,)
        NaN where there is no score; a block takes the maximum of the others, and one without any is left out.
    normal : ndarray of shape (n_timesteps,), bool
    segment_starts : ndarray of int
        No block crosses one.
    block_size : int
        In timesteps.
    """
    maxima = []
    for start, stop in events_of(normal, segment_starts):
        n_blocks = (stop - start) // block_size
        blocks = scores[start : start + n_blocks * block_size].reshape(n_blocks, block_size)
        blocks = blocks[~np.isnan(blocks).all(axis=1)]
        maxima.append(np.nanmax(blocks, axis=1))
    return np.concatenate(maxima) if maxima else np.empty(0)


def conformal_threshold(own: Maxima, group: Maxima, block_size: int, alarm_rate: float) -> Threshold:
    """Return the threshold that keeps false alarms within a budget.

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

    Returns
    -------
    Threshold
        At most a share a = 1 - exp(-alarm_rate · block_size) of new normal blocks goes over it, in expectation over
        exchangeable blocks: that share of blocks has an alarm where alarms come at random at that rate. a is at most
        `LARGEST_SHARE`, which promises fewer alarms than a large budget allows. It takes 1/a - 1 blocks to promise
        it. An asset with fewer borrows the group's, and stays above its own highest maximum; then the promise holds
        on average over the group, and the warning says so. If those are too few as well, the threshold is the
        highest of all, over which a share 1 / (n + 1) of blocks goes.

    Notes
    -----
    Bates et al. 2021, arXiv 2104.08279, split conformal p-values, p = (1 + #{calibration ≥ score}) / (n + 1).
    Differs: the scores are block maxima.
    """
    budget = alarm_rate
    share = min(-math.expm1(-budget * block_size), LARGEST_SHARE)
    alarm_rate = min(alarm_rate, -math.log1p(-LARGEST_SHARE) / block_size)
    need = math.ceil(1 / share - 1 - 1e-9)
    if len(own) >= need:
        return Threshold(own.rank(share), "conformal", alarm_rate)
    short = f"the budget needs {need} calibration blocks of {block_size} timesteps, got {len(own)}"
    if len(group) >= need:
        value = max(group.rank(share), own.highest)
        warning = f"{short}: borrowed the group's {len(group)}, so the promise holds on average over the group"
        return Threshold(value, "conformal", alarm_rate, warning)
    value = max(group.highest, own.highest)
    promised = -math.log1p(-1 / (len(group) + 1)) / block_size
    if promised <= budget:
        return Threshold(value, "conformal", promised)
    of_group = f", {len(group)} in the group" if len(group) > len(own) else ""
    warning = (
        f"{short}{of_group}: the promise is {promised / budget:.3g} times the budget; "
        "lengthen the calibration span or raise the budget"
    )
    return Threshold(value, "conformal", promised, warning)


def quantile_threshold(scores: FloatArray, quantile: float) -> Threshold:
    """Return the `quantile` of the calibration scores.

    It promises nothing: scores of neighbouring timesteps are alike, and how many alarms a share of timesteps makes
    depends on how they cluster.
    """
    return Threshold(float(np.nanquantile(scores, quantile)), "quantile", None)


def sigma_threshold(scores: FloatArray, n_sigmas: float) -> Threshold:
    """Return mean + `n_sigmas` standard deviations of the calibration scores.

    It promises nothing: scores are skewed, and no k fits all machines.
    """
    return Threshold(float(np.nanmean(scores) + n_sigmas * np.nanstd(scores)), "sigma", None)


def dynamic_threshold(scores: FloatArray, normal: BoolArray, segment_starts: IntArray, max_gap: int) -> Threshold:
    """Return the threshold that sets apart the few runs of scores that stand out of a span, if any do.

    For a calibration span that may hold anomalies nobody has labelled, which would raise the other thresholds.

    Parameters
    ----------
    scores : ndarray of shape (n_timesteps,)
        Not negative; NaN where there is no score.
    normal : ndarray of shape (n_timesteps,), bool
        Which of them count, one at least.
    segment_starts : ndarray of int
        No run crosses one.
    max_gap : int
        In timesteps; runs no further apart are one.

    Returns
    -------
    Threshold
        Of mean + z standard deviations, z in `DYNAMIC_SIGMAS`, the one whose removal of all scores above it gains most,
        and above the peak of every run that is pruned. If nothing stands out, it is the highest score. It promises
        nothing: it sees what stands out, whether anomaly or the odd hour of a normal machine.

    Notes
    -----
    Hundman et al. 2018, "Detecting spacecraft anomalies using LSTMs and nonparametric dynamic thresholding",
    arXiv 1802.04431, section 3.2: (Δμ / μ + Δσ / σ) / (flagged timesteps + runs²) is largest; section 3.3: of the
    runs' peaks, descending, with the highest score of no run at the end, those after the last drop of more than
    `LEAST_DROP` are pruned. Differs: over one span instead of a moving one; runs close together are one.
    """
    counted = np.where(normal, scores, np.nan)
    best, peaks = _largest_gain(counted, segment_starts, max_gap)
    if not len(peaks):
        return Threshold(float(np.nanmax(counted)), "dynamic", None)
    rest = np.nanmax(counted[~(counted > best)])
    ladder = np.append(np.sort(peaks)[::-1], rest)
    drops = np.flatnonzero(ladder[:-1] - ladder[1:] > LEAST_DROP * ladder[:-1])
    n_kept = drops[-1] + 1 if len(drops) else 0
    # the highest pruned peak, where it is over the chosen threshold
    return Threshold(float(max(best, ladder[n_kept])), "dynamic", None)


def _largest_gain(scores: FloatArray, segment_starts: IntArray, max_gap: int) -> tuple[float, FloatArray]:
    """Return the threshold whose flagged scores, when removed, lower mean and deviation most, and its runs' peaks."""
    known = scores[~np.isnan(scores)]
    mean, std = known.mean(), known.std()
    best, best_gain, peaks = math.inf, 0.0, np.empty(0)
    for threshold in mean + DYNAMIC_SIGMAS * std:
        rest = known[known <= threshold]
        if not 0 < len(rest) < len(known):  # nothing over it, nor over higher ones; or all, where only rounding varies
            break
        runs = merge_events(events_of(scores > threshold, segment_starts), max_gap, segment_starts)
        gain = ((mean - rest.mean()) / mean + (std - rest.std()) / std) / (len(known) - len(rest) + len(runs) ** 2)
        if gain > best_gain:  # of several that flag the same, the lowest
            best, best_gain = float(threshold), gain
            peaks = np.array([np.nanmax(scores[start:stop]) for start, stop in runs])
    return best, peaks
