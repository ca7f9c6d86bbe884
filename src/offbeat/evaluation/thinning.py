"""Long series in few points: the lowest and the highest reading of each bucket of timesteps, so no extreme is lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offbeat.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Thinning:
    """Which timesteps stand together, and where their points are drawn.

    Attributes
    ----------
    starts : ndarray of shape (n_buckets,), int
        First row of each bucket; none reaches over a long gap, unless there are more gaps than buckets.
    n_timesteps : int
    offsets : ndarray of shape (n_points,), int
        Place of each point on the time grid, counted from the first row; ascending.
    gaps : ndarray of int
        Points before which nothing was read for long.
    """

    starts: IntArray
    n_timesteps: int
    offsets: IntArray
    gaps: IntArray

    @property
    def is_whole(self) -> bool:
        """Whether every timestep has a point of its own."""
        return len(self.starts) == self.n_timesteps

    def extremes(self, values: FloatArray) -> FloatArray:
        """Return lowest and highest values of each bucket in the order in which they came.

        Parameters
        ----------
        values : ndarray of shape (n_timesteps, n_columns)

        Returns
        -------
        ndarray of shape (n_points, n_columns)
            Two rows a bucket, or its one row where there is no more; NaN where a bucket has no value, and at gaps.
        """
        if self.is_whole:
            return np.insert(values, self.gaps, np.nan, axis=0)
        low, high = np.fmin.reduceat(values, self.starts), np.fmax.reduceat(values, self.starts)
        low_first = self._first(values, low) <= self._first(values, high)
        pairs = np.stack([np.where(low_first, low, high), np.where(low_first, high, low)], axis=1)
        return np.insert(pairs.reshape(-1, values.shape[1]), self.gaps, np.nan, axis=0)

    def means(self, values: FloatArray) -> FloatArray:
        """Return the mean of each bucket, twice, as `extremes` returns its two; NaN is left out."""
        if self.is_whole:
            return np.insert(values, self.gaps, np.nan, axis=0)
        known = ~np.isnan(values)
        count = np.add.reduceat(known, self.starts, dtype=np.float64)
        total = np.add.reduceat(np.where(known, values, 0.0), self.starts)
        mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
        return np.insert(np.repeat(mean, 2, axis=0), self.gaps, np.nan, axis=0)

    def _first(self, values: FloatArray, wanted: FloatArray) -> IntArray:
        """Return the first row of each bucket that has a value; the end of all where none has."""
        rows = np.arange(self.n_timesteps)[:, None]
        is_wanted: BoolArray = values == np.repeat(wanted, np.diff(self.starts, append=self.n_timesteps), axis=0)
        first: IntArray = np.minimum.reduceat(np.where(is_wanted, rows, self.n_timesteps), self.starts)
        return first


def thinning(positions: IntArray, segment_starts: IntArray, most_points: int) -> Thinning:
    """Choose buckets of equal length for a series.

    Parameters
    ----------
    positions : ndarray of shape (n_timesteps,), int
        Place of each row on the time grid.
    segment_starts : ndarray of int
        Rows before which there is a long gap, and 0.
    most_points : int
        To be drawn, two or more; a series with no more timesteps keeps each of them. Long gaps may add to it, at most
        as many again.
    """
    n = len(positions)
    size = 1 if n <= most_points else -(-n // (most_points // 2))
    cuts = segment_starts[segment_starts > 0]
    if size > 1 and 4 * len(cuts) > most_points:
        cuts = cuts[:0]  # drawn through: more gaps than a picture has room for
    starts = np.union1d(np.arange(0, n, size), cuts)
    middles = (starts + np.append(starts[1:], n)) // 2
    rows = starts if size == 1 else np.stack([starts, middles], axis=1).ravel()
    gaps = np.searchsorted(rows, cuts)
    offsets = positions[rows] - positions[0]
    return Thinning(starts, n, np.insert(offsets, gaps, offsets[gaps - 1] + 1), gaps)
