"""Estimates to errors, errors to one anomaly score per timestep, and each channel's share in it.

A channel's error counts in units of its own usual error on normal readings, so that a channel that is hard to
reconstruct does not drown one that never errs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offbeat.detection.windows import Segments
from offbeat.typing import FloatArray

# Scaled units squared: a thousandth of a standard deviation. A channel that is reconstructed better than this
# is not trusted to be exact for ever.
LEAST_USUAL_ERROR = 1e-6
LEAST_SHRINKAGE = 1e-6  # so that the covariance has an inverse, however few or alike the errors are
INTERVAL_ALPHA = 0.2  # of readings that may lie outside the bounds
REST = 0.3  # standard deviations; added to how much a window moves, so that one at rest has a finite error


@dataclass(frozen=True, eq=False)
class Usual:
    """What the errors of normal readings are like.

    Attributes
    ----------
    error : ndarray of shape (F,)
        Mean error of each channel.
    centre, precision : ndarray of shape (F,) and (F, F), or None
        Mean of the signed errors and inverse of their covariance, where channels are whitened.
    """

    error: FloatArray
    centre: FloatArray | None = None
    precision: FloatArray | None = None

    def relative(self, errors: FloatArray) -> FloatArray:
        """Return errors (T, F) in units of the usual ones; about 1 is usual. NaN stays NaN.

        Whitened ones are each channel's part of the squared Mahalanobis distance, which may be below 0: parts of a
        distance that others make up for. A missing reading counts as usual in the parts of the others.

        Notes
        -----
        Mahalanobis 1936; the parts are those of the quadratic form, d_i · (P d)_i.
        """
        if self.centre is None or self.precision is None:
            return errors / self.error
        off = errors - self.centre
        known = np.nan_to_num(off, nan=0.0)
        return off * (known @ self.precision)


def errors_of(readings: FloatArray, estimates: FloatArray, kind: str) -> FloatArray:
    """Return the errors (N, H, F) of estimates.

    Parameters
    ----------
    readings : ndarray of shape (N, H, F)
        In scaled units, NaN where missing.
    estimates : ndarray of shape (N, H, F) or (N, H, F, 3)
        With a bound below and above in first and last place.
    kind : str
        `squared`, `absolute`, `signed` (reading less estimate), or `window`: all readings of a window and channel have
        the root of the mean fourth power of their distances, over the standard deviation of the readings plus `REST`;
        of estimates with bounds also `interval_width`, `interval_exceedance` (how far the reading lies outside) and
        `interval_score`.

    Notes
    -----
    Gneiting and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation", section 6.2:
    S = width + 2 / α · exceedance, with α = 0.2 for bounds at the 0.1 and 0.9 quantile.
    """
    off: FloatArray = np.subtract(readings, middle_of(estimates), dtype=np.float64)
    if kind == "signed":
        return off
    if kind == "squared":
        return np.square(off)
    if kind == "absolute":
        return np.abs(off)
    if kind == "window":
        return np.where(np.isnan(off), np.nan, _window_errors(off, readings))
    low, high = estimates[..., 0].astype(np.float64), estimates[..., 2].astype(np.float64)
    width = np.where(np.isnan(readings), np.nan, high - low)
    exceedance = np.maximum(np.maximum(low - readings, readings - high), 0.0)
    of_kind: FloatArray = {
        "interval_width": width,
        "interval_exceedance": exceedance,
        "interval_score": width + 2 / INTERVAL_ALPHA * exceedance,
    }[kind]
    return of_kind


def middle_of(estimates: FloatArray) -> FloatArray:
    """Return the estimates (N, H, F) themselves, of those with bounds (N, H, F, 3) too."""
    return estimates[..., 1] if estimates.ndim == 4 else estimates


def _window_errors(off: FloatArray, readings: FloatArray) -> FloatArray:
    """Return the error (N, 1, F) of each window and channel; NaN where nothing was read."""
    known = ~np.isnan(off)
    with np.errstate(invalid="ignore"):
        count = known.sum(axis=1, keepdims=True).astype(np.float64)
        worst = np.where(known, np.square(np.square(off)), 0.0).sum(axis=1, keepdims=True) / count
        mean = np.where(known, readings, 0.0).sum(axis=1, keepdims=True, dtype=np.float64) / count
        variance = np.where(known, np.square(readings - mean), 0.0).sum(axis=1, keepdims=True) / count
    errors: FloatArray = np.sqrt(worst) / (np.sqrt(variance) + REST)
    return errors


def usual_errors(errors: FloatArray, *, floor: float = 0.0, whitened: bool = False) -> Usual:
    """Return what errors (T, F) of normal readings are like; NaN is left out.

    `floor` is added to each channel's. A channel without any error counts as having the mean of the others. Where they
    are to be whitened, the errors are signed, and a missing one counts as of usual size without any tie to others.
    """
    magnitudes = np.square(errors) if whitened else errors
    known = ~np.isnan(magnitudes)
    count = known.sum(axis=0)
    mean = np.where(known, magnitudes, 0.0).sum(axis=0) / np.maximum(count, 1)
    others = mean[count > 0].mean() if (count > 0).any() else 1.0
    error = np.maximum(np.where(count > 0, mean, others) + floor, LEAST_USUAL_ERROR)
    if not whitened:
        return Usual(error)
    centre = np.where(known, errors, 0.0).sum(axis=0) / np.maximum(count, 1)
    spread = np.sqrt(np.maximum(error - np.square(centre), LEAST_USUAL_ERROR))
    unit = np.nan_to_num((errors - centre) / spread, nan=0.0)  # (T, F)
    covariance = _shrunk_covariance(unit)
    # missing readings, and channels that hardly err, have less than their part of 1
    covariance += np.diag(np.maximum(1 - np.diag(covariance), 0.0))
    return Usual(error, centre, np.linalg.inv(covariance) / np.outer(spread, spread))


def _shrunk_covariance(rows: FloatArray) -> FloatArray:
    """Return the covariance (F, F) of rows (T, F) around 0, shrunk towards equal variances without correlation.

    Notes
    -----
    Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices", lemma 3.2 and
    section 3.2: m = tr(S) / p, d² = |S - m I|², b² = Σ |x xᵀ - S|² / n², at most d²; S* = b²/d² m I + (1 - b²/d²) S.
    """
    n, p = rows.shape
    sample = rows.T @ rows / n
    level = np.trace(sample) / p
    distance = np.square(sample - level * np.eye(p)).sum()
    uncertainty = (np.square(np.square(rows).sum(axis=1)).sum() / n - np.square(sample).sum()) / n
    share = 1.0 if distance <= 0 else min(max(uncertainty / distance, LEAST_SHRINKAGE), 1.0)
    shrunk: FloatArray = share * level * np.eye(p) + (1 - share) * sample
    return shrunk


def channel_scores(relative: FloatArray, segments: Segments, smoothing: int, lead: int) -> FloatArray:
    """Return the moving mean of relative errors (T, F)."""
    return moving_mean(relative, segments, smoothing, lead)


def anomaly_scores(by_channel: FloatArray, combine: str) -> FloatArray:
    """Return one score a timestep (T,) of channel scores (T, F); NaN where no channel has one.

    Their mean, or with `combine` max the highest. Whitened channel scores are combined by their mean.
    """
    known = ~np.isnan(by_channel)
    count = known.sum(axis=1)
    if combine == "max":
        return np.where(count > 0, np.where(known, by_channel, -np.inf).max(axis=1), np.nan)
    with np.errstate(invalid="ignore"):
        scores: FloatArray = np.where(known, by_channel, 0.0).sum(axis=1) / count
    return scores


def channel_shares(by_channel: FloatArray) -> FloatArray:
    """Return each channel's part (T, F) of the score; a row sums to 1, or to 0 where there is no score."""
    known = np.maximum(np.nan_to_num(by_channel, nan=0.0), 0.0)  # a whitened one may be below 0
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
