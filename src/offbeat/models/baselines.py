"""Simple methods to stand beside the network: what it does not beat, it is not needed for.

Each returns one raw score per timestep of scaled readings; smoothing and threshold are the detector's own. Those that
look at windows stand in `window_baselines`.
"""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from offbeat.detection.scores import moving_mean
from offbeat.detection.windows import Segments
from offbeat.typing import FloatArray

# Scaled units squared, added to every variance: a channel that stood still is not trusted to stand still for ever
RIDGE = 0.01


def constant_scores(n_timesteps: int) -> FloatArray:
    """Return scores (T,) that are all 1: a method that flags everything."""
    return np.ones(n_timesteps)


def position_scores(n_timesteps: int) -> FloatArray:
    """Return scores (T,) that know the row alone: 1 in the middle of the readings, falling to 0 at both ends."""
    return 1 - np.abs(np.linspace(-1, 1, n_timesteps)) if n_timesteps > 1 else np.ones(n_timesteps)


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


def difference_scores(scaled: FloatArray, segments: Segments) -> FloatArray:
    """Return the mean over channels (T,) of the distance of scaled readings (T, F) to the reading before.

    NaN at the first timestep of a segment, and where no channel was read twice in a row.
    """
    before = np.full(scaled.shape, np.nan)
    for start, stop in segments:
        before[start + 1 : stop] = scaled[start : stop - 1]
    return _mean_of_known(np.abs(scaled - before))


def norm_scores(scaled: FloatArray, training: FloatArray) -> FloatArray:
    """Return the Euclidean norm (T,) of each row of readings that the training rows (n, F) put between 0 and 1.

    A missing reading adds nothing; NaN where nothing was read.

    Notes
    -----
    Sarfraz et al. 2024, "Position: Quo vadis, unsupervised time series anomaly detection?": how large the readings
    are, whatever is usual. Differs: a channel that stands still in training is shifted and not divided.
    """
    low, high = np.nanmin(training, axis=0), np.nanmax(training, axis=0)
    span = np.where(high > low, high - low, 1.0)
    squares = np.square((scaled.astype(np.float64) - low) / span)
    return np.where(np.isnan(scaled).all(axis=1), np.nan, np.sqrt(np.nansum(squares, axis=1)))


def gaussian_scores(scaled: FloatArray) -> FloatArray:
    """Return the mean over channels (T,) of the squared distance to the training mean, in variances of the training.

    That is what scaled readings (T, F) are made of: each channel a Gaussian of its own. NaN where nothing was read.
    """
    return _mean_of_known(np.square(scaled.astype(np.float64)))


def mahalanobis_scores(scaled: FloatArray, training: FloatArray) -> FloatArray:
    """Return the squared Mahalanobis distance (T,) to the training rows (n, F), by channel: one Gaussian for all.

    A missing reading counts as 0, the mean of the training span; NaN where nothing was read. `RIDGE` is added to each
    variance.
    """
    rows = np.nan_to_num(training, nan=0.0).astype(np.float64)
    centre = rows.mean(axis=0)
    covariance = (rows - centre).T @ (rows - centre) / len(rows) + RIDGE * np.eye(rows.shape[1])
    distances = np.nan_to_num(scaled, nan=0.0) - centre
    squares = (distances * np.linalg.solve(covariance, distances.T).T).mean(axis=1)
    return np.where(np.isnan(scaled).all(axis=1), np.nan, squares)


def isolation_forest_scores(scaled: FloatArray, training: FloatArray, seed: int) -> FloatArray:
    """Return how easily random cuts set each row (T, F) apart from the training rows (n, F); between 0 and 1.

    A missing reading counts as 0, the mean of the training span; NaN where nothing was read.

    Notes
    -----
    Liu, Ting and Zhou 2008, "Isolation forest", with 100 trees of 256 rows.
    """
    forest = IsolationForest(n_estimators=100, max_samples=min(256, len(training)), random_state=seed)
    forest.fit(np.nan_to_num(training, nan=0.0))
    scores: FloatArray = -forest.score_samples(np.nan_to_num(scaled, nan=0.0))
    return np.where(np.isnan(scaled).all(axis=1), np.nan, scores)


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
