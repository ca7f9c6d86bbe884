"""How far chunks of later readings have moved from the training span, and how far normal ones move by chance.

What moves by chance is measured, not assumed: stretches of the training span against the rest of it, and stretches of
the calibration span, which the model has not learnt from, against the training span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from offbeat.detection.chunks import DAY, Chunks, phases
from offbeat.detection.reference import Reference
from offbeat.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Columns:
    """Chunk statistics side by side, M = 4 F + 1: the four of each channel in turn, and at the end the score.

    Attributes
    ----------
    values : ndarray of shape (n, M)
    phase : ndarray of shape (n,), int
        Part of the day or week; only chunks of the same part are compared.
    base : ndarray of shape (n, M), bool
        Which chunks make the centre: those of the training span and, for the score, all.
    """

    values: FloatArray
    phase: IntArray
    base: BoolArray


@dataclass(frozen=True, eq=False)
class Usual:
    """How far stretches of some chunks move by chance.

    Attributes
    ----------
    scale : ndarray of shape (assets, M)
        Root mean square of the asset's own moves or of those of all assets, whichever is larger.
    largest : ndarray of shape (M,)
        Of all assets.
    freedom : ndarray of shape (M,)
        Degrees of freedom of the scale.
    """

    scale: FloatArray
    largest: FloatArray
    freedom: FloatArray

    def limits(self, false_share: float, n_tests: int, least: float) -> FloatArray:
        """Return how far a column must move to count (assets, M), NaN where nothing is known of it.

        Notes
        -----
        Student's t at `false_share` shared out over all tests (Bonferroni), in units of `scale`; but never less than
        the largest move in the reference itself, nor less than `least`.
        """
        quantile = student.ppf(1 - false_share / (2 * max(n_tests, 1)), np.maximum(self.freedom, 1.0))
        limits: FloatArray = np.maximum(np.maximum(quantile * self.scale, self.largest), least)
        return limits


def columns_of(reference: Reference, is_time: bool) -> Columns:
    """Return the columns of a reference."""
    values = flat(reference.chunks)
    base = np.repeat(reference.trained[:, None], values.shape[1], axis=1)
    base[:, -1] = True
    return Columns(values, phase_of(reference, reference.chunks.numbers, is_time), base)


def flat(chunks: Chunks) -> FloatArray:
    """Return the statistics (n, M) of chunks side by side."""
    n = len(chunks.numbers)
    return np.concatenate([chunks.statistics.reshape(n, -1), chunks.scores[:, None]], axis=1)


def phase_of(reference: Reference, numbers: IntArray, is_time: bool) -> IntArray:
    """Return the part of the day or week of chunks (n,), as far as a reference knows each part."""
    length = reference.measure.length
    return phases(numbers, length, is_time, reference.trained.sum() * length / DAY)


def centres(columns: Columns) -> FloatArray:
    """Return the centre (P, M) of each part of the day or week; NaN where there is none."""
    total, count = _sums(columns.values, columns.phase, columns.base, int(columns.phase.max()) + 1)
    return _ratio(total, count)


def moved(values: FloatArray, phase: IntArray, centre: FloatArray) -> FloatArray:
    """Return how far chunks (n, M) lie on average from the centres (P, M); NaN where fewer than half can tell."""
    known = phase < len(centre)
    away = values[known] - centre[phase[known]]
    counts = (~np.isnan(away)).sum(axis=0)
    mean = _ratio(np.nansum(away, axis=0), counts)
    return np.where(2 * counts >= max(len(values), 1), mean, np.nan)


def usual_moves(fleet: Sequence[Columns], moves: Sequence[FloatArray], size: int) -> Usual:
    """Return how far stretches of `size` chunks move by chance, over like assets, from the `stretch_moves` of each.

    Each stretch of each reference is compared with the centres that the other chunks make.
    """
    pooled = np.concatenate(moves)
    scale = np.fmax(np.stack([_root_mean_square(own) for own in moves]), _root_mean_square(pooled))
    known = ~np.isnan(pooled)
    largest = np.where(known.any(axis=0), np.max(np.where(known, np.abs(pooled), 0.0), axis=0, initial=0.0), np.nan)
    # neighbouring stretches depend on each other, so only every second counts; each asset's centre costs one
    valid = np.stack([(~np.isnan(columns.values)).sum(axis=0) for columns in fleet])
    return Usual(scale, largest, np.maximum(valid / (2 * size) - 1, 0).sum(axis=0))


def _root_mean_square(moves: FloatArray) -> FloatArray:
    """Return it of each column (M,) of moves (stretches, M), NaN left out."""
    return np.sqrt(_ratio(np.nansum(moves**2, axis=0), (~np.isnan(moves)).sum(axis=0)))


def stretch_moves(columns: Columns, size: int) -> FloatArray:
    """Return the moves (stretches, M) of all stretches of `size` successive chunks, each left out of the centres."""
    n, n_phases = len(columns.values), int(columns.phase.max()) + 1
    total, count = _sums(columns.values, columns.phase, columns.base, n_phases)
    moves = []
    for start in range(max(n - size + 1, 0)):
        rows = slice(start, start + size)
        own = _sums(columns.values[rows], columns.phase[rows], columns.base[rows], n_phases)
        moves.append(moved(columns.values[rows], columns.phase[rows], _ratio(total - own[0], count - own[1])))
    return np.array(moves).reshape(-1, columns.values.shape[1])


def mean_of(values: FloatArray) -> FloatArray:
    """Return the mean over the first axis, NaN left out; NaN where there is nothing."""
    return _ratio(np.nansum(values, axis=0), (~np.isnan(values)).sum(axis=0))


def worst_shares(shares: FloatArray, size: int) -> FloatArray:
    """Return the highest mean (...) of any `size` successive chunks of shares (n, ...), those of NaN left out."""
    known = np.nan_to_num(shares)
    summed = np.concatenate([np.zeros((1, *shares.shape[1:])), np.cumsum(known, axis=0)])
    size = min(size, len(shares))
    return np.asarray((summed[size:] - summed[:-size]).max(axis=0) / size)


def _sums(values: FloatArray, phase: IntArray, base: BoolArray, n_phases: int) -> tuple[FloatArray, FloatArray]:
    """Return sums and counts (P, M) of the values (n, M) that are known and in `base`, for each phase."""
    kept = base & ~np.isnan(values)
    total, count = np.zeros((2, n_phases, values.shape[1]))
    np.add.at(total, phase, np.where(kept, values, 0.0))
    np.add.at(count, phase, kept)
    return total, count


def _ratio(total: FloatArray, count: FloatArray) -> FloatArray:
    """Divide, NaN where the count is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0.5, total / count, np.nan)
