"""Simple methods that look at windows: principal components of windows, and the nearest windows of the training span.

Each learns from windows of scaled readings and returns a function of starts to errors (n, W, K), as the runtime's are,
so that a detector's own rule spreads them over the timesteps. Windows are gathered batch by batch, never all at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offbeat.detection.windows import BATCH_SIZE, gather_windows, hold_missing
from offbeat.typing import FloatArray, IntArray

ErrorsOf = Callable[[IntArray], FloatArray]
MOST_WINDOWS = 5000  # to learn from; more are thinned evenly


def window_pca(scaled: FloatArray, starts: IntArray, window_size: int, share: float = 0.9) -> ErrorsOf:
    """Learn the principal components of flattened windows; return what gives the squared residual of each reading.

    Parameters
    ----------
    scaled : ndarray of shape (n_timesteps, n_channels)
        NaN where a reading is missing; it is held as for the network, and its error is NaN.
    starts : ndarray of int
        Windows to learn from; at most `MOST_WINDOWS` of them are used.
    window_size : int
    share : float
        Of the variance; the fewest components that carry it are kept, at most all but one.

    Returns
    -------
    callable
        Takes starts (n,) of windows of the same readings, returns errors (n, W, F) in scaled units squared.
    """
    centre, components = _components(scaled, _thinned(starts, MOST_WINDOWS), window_size, share)

    def errors_of(begins: IntArray) -> FloatArray:
        windows = gather_windows(scaled, begins, window_size)
        flat = _flat(windows) - centre
        residuals = flat - (flat @ components) @ components.T
        return np.square(np.where(np.isnan(windows), np.nan, residuals.reshape(windows.shape)))

    return errors_of


def nearest_windows(scaled: FloatArray, starts: IntArray, window_size: int, n_neighbours: int = 5) -> ErrorsOf:
    """Keep windows of the training span; return what gives the mean squared distance to the nearest of them.

    Parameters
    ----------
    scaled : ndarray of shape (n_timesteps, n_channels)
        NaN where a reading is missing; it is held as for the network.
    starts : ndarray of int
        Windows to compare with; at most `MOST_WINDOWS` of them are used.
    window_size, n_neighbours : int

    Returns
    -------
    callable
        Takes starts (n,) of windows of the same readings, returns errors (n, W, 1), the same at each timestep of a
        window: the mean over its `n_neighbours` nearest training windows that it does not overlap, and over its
        readings, of the squared difference; NaN where it overlaps all of them.
    """
    kept = _thinned(starts, MOST_WINDOWS)
    known = np.concatenate([_flat(gather_windows(scaled, batch, window_size)) for batch in _batches(kept)])
    squares = np.square(known).sum(axis=1)  # (N,)
    n_neighbours = min(n_neighbours, len(kept))

    def distances_of(begins: IntArray) -> FloatArray:
        flat = _flat(gather_windows(scaled, begins, window_size))
        ranks = squares - 2 * (flat @ known.T)  # (n, N), but for |flat|², which is the same for all of a row
        ranks[np.abs(begins[:, None] - kept) < window_size] = np.inf
        nearest = np.argpartition(ranks, n_neighbours - 1, axis=1)[:, :n_neighbours]
        apart = np.isfinite(np.take_along_axis(ranks, nearest, axis=1))  # (n, k)
        # told anew: the difference of large squares is no good for what is almost equal
        exact = np.stack([np.square(flat - known[column]).mean(axis=1) for column in nearest.T], axis=1)
        with np.errstate(invalid="ignore"):
            means: FloatArray = np.where(apart, exact, 0.0).sum(axis=1) / apart.sum(axis=1)
        return means

    def errors_of(begins: IntArray) -> FloatArray:
        distances = np.concatenate([distances_of(batch) for batch in _batches(begins)])
        return np.repeat(distances[:, None, None], window_size, axis=1)

    return errors_of


def _components(scaled: FloatArray, starts: IntArray, window_size: int, share: float) -> tuple[FloatArray, FloatArray]:
    """Return mean (W F,) and components (W F, K) of flattened windows, from sums over batches of them."""
    size = window_size * scaled.shape[1]
    total, products = np.zeros(size), np.zeros((size, size))
    for batch in _batches(starts):
        flat = _flat(gather_windows(scaled, batch, window_size))
        total += flat.sum(axis=0)
        products += flat.T @ flat
    centre = total / len(starts)
    variances, vectors = np.linalg.eigh(products / len(starts) - np.outer(centre, centre))
    falling = np.maximum(variances[::-1], 0.0)
    if not falling.sum():
        return centre, np.zeros((size, 0))
    n_kept = int(np.searchsorted(np.cumsum(falling), share * falling.sum())) + 1
    return centre, vectors[:, ::-1][:, : min(n_kept, size - 1)]


def _flat(windows: FloatArray) -> FloatArray:
    """Return windows (n, W, F) as rows (n, W F), missing readings held."""
    return hold_missing(windows).reshape(len(windows), -1)


def _thinned(starts: IntArray, most: int) -> IntArray:
    """Return at most `most` of the starts, evenly spread, the first and the last included."""
    if len(starts) <= most:
        return starts
    return starts[np.linspace(0, len(starts) - 1, most).astype(np.int64)]


def _batches(starts: IntArray) -> list[IntArray]:
    return [starts[first : first + BATCH_SIZE] for first in range(0, len(starts), BATCH_SIZE)]
