"""Errors to one anomaly score per timestep, and each channel's share in it.

A channel's error counts in units of its own usual error on normal readings, so that a channel that is hard to
reconstruct does not drown one that never errs.
"""

from __future__ import annotations

import numpy as np

from offbeat.detection.windows import Segments
from offbeat.typing import FloatArray

# Scaled units squared: a thousandth of a standard deviation. A channel that is reconstructed better than this
# is not trusted to be exact for ever.
LEAST_USUAL_ERROR = 1e-6


def usual_errors(errors: FloatArray) -> FloatArray:
    """Return each channel's mean error (F,) over errors (T, F) of normal readings; NaN is left out.

    A channel without any error counts as having the mean of the others.
    """
    known = ~np.isnan(errors)
    count = known.sum(axis=0)
    mean = np.where(known, errors, 0.0).sum(axis=0) / np.maximum(count, 1)
    others = mean[count > 0].mean() if (count > 0).any() else 1.0
    return np.maximum(np.where(count > 0, mean, others), LEAST_USUAL_ERROR)


def channel_scores(errors: FloatArray, usual: FloatArray, segments: Segments, smoothing: int, lead: int) -> FloatArray:
    """Return the moving mean of errors (T, F) in units of the usual errors (F,)."""
    return moving_mean(errors / usual, segments, smoothing, lead)


def anomaly_scores(by_channel: FloatArray) -> FloatArray:
    """Return the mean over channels (T,) of channel scores (T, F); NaN where no channel has one."""
    known = ~np.isnan(by_channel)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore"):
        scores: FloatArray = np.where(known, by_channel, 0.0).sum(axis=1) / count
    return scores


def channel_shares(by_channel: FloatArray) -> FloatArray:
    """Return each channel's part (T, F) of the score; a row sums to 1, or to 0 where there is no score."""
    known = np.nan_to_num(by_channel, nan=0.0)
    total = known.sum(axis=1, keepdims=True)
    shares: FloatArray = np.divide(known, total, out=np.zeros_like(known), where=total > 0)
    return shares


def moving_mean(values: FloatArray, segments: Segments, width: int, lead: int = 0) -> FloatArray:
    """Average each timestep with its neighbours in the same segment, leaving NaN out.

    Parameters
    ----------
    values : ndarray of shape (n_timesteps, n_channels)
    segments : list of (start, stop)
    width : int
        Timesteps averaged; at a segment's ends those there are.
    lead : int
        How many of them lie after the timestep, 0 <= lead < width; 0 makes a trailing mean.

    Returns
    -------
    ndarray of the same shape
        NaN where all `width` timesteps are NaN.
    """
    result = np.full(values.shape, np.nan)
    for start, stop in segments:
        part = values[start:stop]
        known = ~np.isnan(part)
        total = _moving_sum(np.where(known, part, 0.0), width, lead)
        count = _moving_sum(known.astype(np.float64), width, lead)
        with np.errstate(invalid="ignore"):
            result[start:stop] = np.where(count > 0, total / count, np.nan)
    return result


def _moving_sum(values: FloatArray, width: int, lead: int) -> FloatArray:
    """Return sums over `width` rows, each added afresh: a running total would carry old large errors along."""
    padded = np.zeros((len(values) + width - 1, values.shape[1]))
    padded[width - 1 - lead : len(padded) - lead] = values
    sums: FloatArray = np.lib.stride_tricks.sliding_window_view(padded, width, axis=0).sum(axis=-1)
    return sums
