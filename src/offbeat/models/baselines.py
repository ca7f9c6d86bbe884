"""Simple methods to stand beside the network: what it does not beat, it is not needed for.

Each returns one raw score per timestep of scaled readings; smoothing and threshold are the detector's own.
"""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from offbeat.detection.scores import moving_mean
from offbeat.detection.windows import Segments
from offbeat.typing import FloatArray


def random_scores(n_timesteps: int, seed: int) -> FloatArray:
    """Return scores (T,) that know nothing: uniform in [0, 1)."""
    return np.random.default_rng(seed).random(n_timesteps)


def moving_average_scores(scaled: FloatArray, segments: Segments, width: int) -> FloatArray:
    """Return the mean over channels of the distance to the mean of the `width` timesteps before.

    Parameters
    ----------
    scaled : ndarray of shape (n_timesteps, n_channels)
        NaN where a reading is missing.
    segments : list of (start, stop)
    width : int
        In timesteps.

    Returns
    -------
    ndarray of shape (n_timesteps,)
        NaN at the first timestep of a segment, and where nothing was read.
    """
    means = moving_mean(scaled.astype(np.float64), segments, width)
    before = np.full(means.shape, np.nan)
    for start, stop in segments:
        before[start + 1 : stop] = means[start : stop - 1]
    return _mean_of_known(np.abs(scaled - before))


def pca_scores(scaled: FloatArray, training: FloatArray, n_components: int) -> FloatArray:
    """Return T² + Q, each in units of its mean over the training rows.

    Parameters
    ----------
    scaled, training : ndarray of shape (n, n_channels)
        A missing reading counts as 0, the mean of the training span.
    n_components : int
        Capped at the channels less one; a single channel keeps it.

    Returns
    -------
    ndarray of shape (n_timesteps,)
        NaN where nothing was read.

    Notes
    -----
    Jackson and Mudholkar 1979, "Control procedures for residuals associated with principal component analysis".
    Differs: the two statistics are added in units of their means instead of each having its own limit.
    """
    n_kept = max(1, min(n_components, scaled.shape[1] - 1, len(training) - 1))
    with np.errstate(invalid="ignore", divide="ignore"):  # the share of variance, where nothing varies
        pca = PCA(n_components=n_kept, svd_solver="full").fit(np.nan_to_num(training, nan=0.0))

    def statistics(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        filled = np.nan_to_num(rows, nan=0.0)
        parts = pca.transform(filled)  # (n, n_components)
        t2 = (np.square(parts) / np.maximum(pca.explained_variance_, 1e-12)).sum(axis=1)
        residuals = np.where(np.isnan(rows), 0.0, filled - pca.inverse_transform(parts))
        return t2, np.square(residuals).sum(axis=1)

    usual_t2, usual_q = (max(float(values.mean()), 1e-12) for values in statistics(training))
    t2, q = statistics(scaled)
    return np.where(np.isnan(scaled).all(axis=1), np.nan, t2 / usual_t2 + q / usual_q)


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Return the mean over channels (T,), NaN left out; NaN where all are."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: FloatArray = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    return mean
