"""Thresholds chosen by labelled events of a validation span: the calibration span, never the test span.

Point F1 counts timesteps: those with score > threshold against those in an event.
"""

from __future__ import annotations

import math

import numpy as np

from offbeat.detection.thresholds import Threshold
from offbeat.typing import FloatArray

BLIND = "the scores do not tell its events from normal readings, so choose another calibrate.method"


def labelled_threshold(normal: FloatArray, labelled: FloatArray) -> Threshold:
    """Return the threshold with the best point F1 on a labelled validation span.

    Parameters
    ----------
    normal : ndarray of shape (n_normal,)
        Validation scores that rest on normal readings alone; NaN where there is none.
    labelled : ndarray of shape (n_labelled,)
        Those of timesteps in a labelled event, at least one known.

    Returns
    -------
    Threshold
        Halfway between the two scores that it separates; of several thresholds as good, the highest. It promises
        nothing: F1 was the best one on events that are known, and future events and false alarms need not be like them;
        the fewer the events, the less so. F1 also depends on the share of time that is labelled, which in calibration
        spans is often other than in service. If no threshold does better than to flag everything, the warning says
        so.
    """
    scores, f1 = _f1_at(normal, labelled)
    best = int(np.argmax(f1))
    if best < len(scores) - 1:
        return Threshold(_below(scores[best], (scores[best] + scores[best + 1]) / 2), "labelled", None)
    warning = f"to flag everything has the best F1, {f1[best]:.2g}: {BLIND}"
    return Threshold(_below(scores[best], scores[best]), "labelled", None, warning)


def gaussian_epsilon_threshold(normal: FloatArray, labelled: FloatArray) -> Threshold:
    """Return the score above the mean whose density under a Gaussian is the epsilon with the best point F1.

    Parameters
    ----------
    normal, labelled : ndarray
        As for `labelled_threshold`. The Gaussian is fitted to the normal scores.

    Returns
    -------
    Threshold
        A score is flagged if it lies above the normal mean and its density is below epsilon, the geometric mean of the
        densities of the two scores that it separates; of several as good, the lowest epsilon. It promises nothing,
        not even what a Gaussian would: epsilon was chosen for known events, and scores are skewed. So it differs from
        `labelled_threshold` in that no threshold lies below the mean of normal scores, and in where it lies between two
        scores. If normal scores do not vary, no Gaussian fits: then it is that threshold, and the warning says so.

    Notes
    -----
    The multivariate Gaussian density with a threshold epsilon chosen by F1 on labelled examples (A. Ng, Machine
    Learning, Coursera 2011, lecture 15). Of a multivariate Gaussian the density falls with the Mahalanobis distance
    alone, so that a threshold on the one is a threshold on the other; here the Gaussian is that of the anomaly score.
    Differs: every epsilon that makes a difference is tried, not a grid, and low scores are never flagged.
    """
    mean, std = float(np.nanmean(normal)), float(np.nanstd(normal))
    scores, f1 = _f1_at(normal, labelled)
    n_above = int((scores > mean).sum())
    if np.nanmin(normal) == np.nanmax(normal) or not (std > 0 and n_above):  # the latter two through rounding alone
        found = labelled_threshold(normal, labelled)
        why = "normal scores do not vary, and no Gaussian fits them: best F1 without one"
        return Threshold(found.value, "gaussian_epsilon", None, "; ".join(filter(None, (why, found.warning))))
    best = int(np.argmax(f1[:n_above]))
    lower = scores[best + 1] if best + 1 < len(scores) else mean
    # -2 log density is, but for a constant, the squared distance from the mean; the mean of two is the geometric one
    near, far = (max((score - mean) / std, 0.0) for score in (lower, scores[best]))
    value = mean + std * math.hypot(near, far) / math.sqrt(2)
    warning = "" if f1[best] > 0 else f"no labelled score lies above the mean of the normal ones: {BLIND}"
    return Threshold(_below(scores[best], value), "gaussian_epsilon", None, warning)


def _f1_at(normal: FloatArray, labelled: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distinct scores, descending, and the point F1 of flagging each and all above it."""
    known = [values[~np.isnan(values)] for values in (normal, labelled)]
    scores = np.concatenate(known)
    order = np.argsort(scores)[::-1]
    scores, hits = scores[order], np.cumsum((order >= len(known[0])).astype(np.float64))
    last = np.flatnonzero(np.r_[scores[1:] < scores[:-1], True])  # equal scores are flagged together
    # 2 TP / (2 TP + FP + FN)
    return scores[last], 2 * hits[last] / (last + 1 + len(known[1]))


def _below(upper: float, value: float) -> float:
    """Return `value` where it is below `upper`, else the next number below, so that `upper` itself is flagged."""
    return min(float(value), float(np.nextafter(upper, -np.inf)))
