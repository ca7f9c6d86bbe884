"""Statistics of chunks of readings, such as days: what a drift check compares.

Neighbouring readings are alike, so a thousand of them say little more than one; chunks are nearly independent, and two
of the same part of the day or week can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offbeat.typing import BoolArray, FloatArray, IntArray

MINUTE = 60_000_000_000
DAY = 1440 * MINUTE
# every one divides the day; the longest that is short enough is taken
LENGTHS = tuple(minutes * MINUTE for minutes in (1440, 720, 360, 180, 60, 30, 15, 5, 1))
FEWEST_CHUNKS = 24  # that a reference should have
FEWEST_ROWS = 8  # of a chunk
STATISTICS = ("mean", "spread", "offset", "scatter")
FAULTS = ("missing", "stuck", "outside")
LOWEST_SPREAD = 1e-3  # in units of the channel
WEAKEST_TIE = 0.5  # correlation below which two channels do not go together
PARTNER_ROWS = 20_000  # at most, that correlations are taken from


@dataclass(frozen=True, eq=False)
class Measure:
    """What chunks are measured by.

    Attributes
    ----------
    length : int
        Of a chunk, in nanoseconds or steps.
    centre, unit : ndarray of shape (F,)
        Mean and standard deviation of each channel; where it stands still, the unit is its size, or 1.
    low, high : ndarray of shape (F,)
        A reading below or above counts as outside.
    longest_run : ndarray of shape (F,), int
        A reading in a longer run of equal ones counts as stuck; 0 where the channel stands still anyway.
    partner : ndarray of shape (F,), int
        The channel that each goes with most; -1 where it goes with none.
    slope : ndarray of shape (F,)
        Their correlation: by how many units each channel goes up with one of its partner's.
    """

    length: int
    centre: FloatArray
    unit: FloatArray
    low: FloatArray
    high: FloatArray
    longest_run: IntArray
    partner: IntArray
    slope: FloatArray


@dataclass(frozen=True, eq=False)
class Chunks:
    """Statistics of successive chunks.

    Attributes
    ----------
    numbers : ndarray of shape (n,), int, increasing
        A chunk holds the stamps from `number * length` on.
    statistics : ndarray of shape (n, F, 4)
        Mean in units from the centre and logarithm of the standard deviation in units; and the same of the distance
        from where the partner says that the channel should be. NaN where fewer than half of the rows have it.
    faults : ndarray of shape (n, F, 3)
        Shares of the chunk's readings: missing, stuck, outside the range. NaN without any.
    coverage : ndarray of shape (n,)
        Share of the timesteps that count at which anything was read; NaN where none counts.
    scores : ndarray of shape (n,)
        Logarithm of the mean anomaly score; NaN where it was not scored.
    """

    numbers: IntArray
    statistics: FloatArray
    faults: FloatArray
    coverage: FloatArray
    scores: FloatArray


def chunk_length(n_timesteps: int, step: int, is_time: bool) -> int:
    """Return how long a chunk is for a reference of so many timesteps: a day, or a part of one that divides it.

    Readings without time get a forty-eighth of the reference.
    """
    if not is_time:
        return max(FEWEST_ROWS, n_timesteps // (2 * FEWEST_CHUNKS)) * step
    fitting = (length for length in LENGTHS if n_timesteps * step >= FEWEST_CHUNKS * length)
    return max(next(fitting, LENGTHS[-1]), FEWEST_ROWS * step)


def phases(numbers: IntArray, length: int, is_time: bool, n_rounds: float) -> IntArray:
    """Return which part of the day or week each chunk (n,) is; all are 0 where a reference has too few rounds.

    Parameters
    ----------
    numbers : ndarray of shape (n,), int
    length : int
    is_time : bool
    n_rounds : float
        Days that the reference covers, each of which must come at least three times.
    """
    if not is_time or length > DAY:
        return np.zeros(len(numbers), dtype=np.int64)
    per_day = DAY // length if DAY % length == 0 else 1
    if per_day > 1:
        return numbers % per_day if n_rounds >= 3 else np.zeros(len(numbers), dtype=np.int64)
    return numbers % 7 if length == DAY and n_rounds >= 21 else np.zeros(len(numbers), dtype=np.int64)


def measure_of(values: FloatArray, n_trained: int, length: int, segment_starts: IntArray) -> Measure:
    """Learn what chunks are measured by from normal rows (n, F).

    Centre, unit and partners are those of the training span, the first `n_trained` rows; what is outside or stuck is
    told by all of them.
    """
    # channel by channel in double precision, so that what is made on the way stays small beside the readings
    low, high, centre, unit, runs = np.array([_figures(column, n_trained, segment_starts) for column in values.T]).T
    still = unit <= 1e-9 * np.abs(centre)
    unit = np.where(still, np.where(centre != 0, np.abs(centre), 1.0), unit)
    margin = np.where(still, 0.05 * unit, 0.25 * (high - low))
    longest = np.where(still, 0, np.maximum(2 * runs, 5)).astype(np.int64)
    thinned = values[: n_trained : max(1, n_trained // PARTNER_ROWS)]
    return Measure(length, centre, unit, low - margin, high + margin, longest, *_partners((thinned - centre) / unit))


def _figures(column: FloatArray, n_trained: int, segment_starts: IntArray) -> tuple[float, ...]:
    """Return of a channel (n,) its range, mean and standard deviation of the first rows, longest run of equal ones."""
    column = column.astype(np.float64)
    trained = column[:n_trained]
    longest = run_lengths(column, segment_starts).max(initial=1)
    return (np.nanmin(column), np.nanmax(column), np.nanmean(trained), np.nanstd(trained), longest)


def chunks_of(
    values: FloatArray,
    stamps: IntArray,
    usable: BoolArray,
    step: int,
    measure: Measure,
    *,
    scores: FloatArray | None = None,
    until: int | None = None,
    segment_starts: IntArray | None = None,
) -> Chunks:
    """Return the statistics of the chunks from the first row to the last, empty ones among them.

    Parameters
    ----------
    values : ndarray of shape (T, F)
    stamps : ndarray of shape (T,), int
    usable : ndarray of shape (T,), bool
        Rows that count.
    step : int
        Of the grid.
    measure : Measure
    scores : ndarray of shape (T,), optional
        NaN where there is none.
    until : int, optional
        The stamp up to which readings are expected; that of the last row by default.
    segment_starts : ndarray of int, optional
        First rows of stretches between long gaps, over which no run goes.
    """
    last = int(stamps[-1]) if until is None else max(until, int(stamps[-1]))
    numbers = np.arange(stamps[0] // measure.length, last // measure.length + 1)
    place = (stamps // measure.length - numbers[0]).astype(np.int64)
    begin = np.maximum(numbers * measure.length, stamps[0])
    end = np.minimum((numbers + 1) * measure.length - 1, last)
    expected: IntArray = np.maximum((end - begin) // step + 1, 1)  # (n,); the first and the last chunk may be cut
    bins = _Bins(place, len(numbers))
    read = ~np.isnan(values)
    anything = np.asarray(read.any(axis=1))
    kept = read & usable[:, None]
    scaled = np.where(kept, (values - measure.centre) / measure.unit, 0.0)
    count = bins.sums(kept)  # (n, F)
    enough = 2 * count >= np.minimum(expected, measure.length // step)[:, None]
    statistics = _statistics(bins, scaled, kept, count, measure)
    statistics[~(enough & (count >= FEWEST_ROWS // 2))] = np.nan
    stuck = np.column_stack(
        [_stuck(column, longest, segment_starts) for column, longest in zip(values.T, measure.longest_run, strict=True)]
    )
    faulty = (~read & anything[:, None], stuck & read, (values < measure.low) | (values > measure.high))
    rows = bins.sums(anything & usable)
    with np.errstate(invalid="ignore"):
        faults = np.stack([bins.sums(one & usable[:, None]) / rows[:, None] for one in faulty], axis=-1)
    due = expected - bins.sums(~usable)  # what does not count was neither read nor lost
    coverage = np.where(due > 0, np.minimum(rows / np.maximum(due, 1), 1.0), np.nan)
    return Chunks(numbers, statistics, faults, coverage, _score_means(bins, scores, usable, expected))


@dataclass(frozen=True)
class _Bins:
    """Sums of rows by chunk; `place` (T,) is each row's chunk, not decreasing."""

    place: IntArray
    n: int

    def sums(self, values: FloatArray | BoolArray) -> FloatArray:
        """Return the sums (n, ...) of rows (T, ...)."""
        first = np.flatnonzero(np.concatenate(([True], np.diff(self.place) > 0)))
        total = np.zeros((self.n, *values.shape[1:]))
        total[self.place[first]] = np.add.reduceat(values, first, axis=0, dtype=np.float64)
        return total


def _statistics(bins: _Bins, scaled: FloatArray, kept: BoolArray, count: FloatArray, measure: Measure) -> FloatArray:
    """Return (n, F, 4) of scaled readings (T, F), 0 where they are not kept."""
    own = _mean_and_log_deviation(bins.sums(scaled), bins.sums(scaled**2), count)
    return np.stack([*own, *_ties(bins, scaled, kept, measure)], axis=-1)


def _ties(bins: _Bins, scaled: FloatArray, kept: BoolArray, measure: Measure) -> tuple[FloatArray, FloatArray]:
    """Return how far each channel is from where its partner says: the mean (n, F), and the log of its deviation."""
    offset, scatter = (np.full((bins.n, scaled.shape[1]), np.nan) for _ in range(2))
    for channel in np.flatnonzero(measure.partner >= 0):
        partner = measure.partner[channel]
        both = kept[:, channel] & kept[:, partner]
        apart = np.where(both, scaled[:, channel] - measure.slope[channel] * scaled[:, partner], 0.0)
        total, square, n = bins.sums(np.column_stack([apart, apart**2, both])).T
        offset[:, channel], scatter[:, channel] = _mean_and_log_deviation(total, square, n)
    return offset, scatter


def _mean_and_log_deviation(total: FloatArray, square: FloatArray, count: FloatArray) -> tuple[FloatArray, FloatArray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        deviation = np.sqrt(np.maximum(square / count - mean**2, 0.0))
        return mean, np.log(np.maximum(deviation, LOWEST_SPREAD))


def _partners(scaled: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the channel (F,) that each of (n, F) goes with most, -1 where that is weak, and the correlation (F,)."""
    known = ~np.isnan(scaled)
    filled = np.where(known, scaled, 0.0)
    together = known.T.astype(np.float64) @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.nan_to_num(filled.T @ filled / together)  # of readings in units from their centre
    size = np.sqrt(np.maximum(np.diag(correlation), 1e-12))
    correlation = np.clip(correlation / np.outer(size, size), -1.0, 1.0)
    np.fill_diagonal(correlation, 0.0)
    best = np.abs(correlation).argmax(axis=1)
    slope = correlation[np.arange(len(best)), best]
    return np.where(np.abs(slope) >= WEAKEST_TIE, best, -1), slope


def run_lengths(column: FloatArray, segment_starts: IntArray | None = None) -> IntArray:
    """Return for each timestep (T,) how long the run of equal readings is that it stands in; missing ones end a run."""
    new = np.concatenate(([True], column[1:] != column[:-1]))  # NaN differs from everything
    if segment_starts is not None:
        new[segment_starts] = True
    first = np.flatnonzero(new)
    lengths = np.diff(np.append(first, len(column)))
    return np.repeat(lengths, lengths)


def _stuck(column: FloatArray, longest: int, segment_starts: IntArray | None) -> BoolArray:
    if longest == 0:
        return np.zeros(len(column), dtype=bool)
    stuck: BoolArray = run_lengths(column, segment_starts) > longest
    return stuck


def _score_means(bins: _Bins, scores: FloatArray | None, usable: BoolArray, expected: IntArray) -> FloatArray:
    if scores is None:
        return np.full(bins.n, np.nan)
    kept = ~np.isnan(scores) & usable
    count = bins.sums(kept)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.log(bins.sums(np.where(kept, scores, 0.0)) / count)
    means[(2 * count < expected) | ~np.isfinite(means)] = np.nan
    return means
