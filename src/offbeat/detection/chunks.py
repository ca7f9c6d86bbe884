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
READINGS_AT_ONCE = 1 << 18  # or one chunk: in double precision, some times over


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


def measure_of(values: FloatArray, rows: IntArray, n_trained: int, length: int, segment_starts: IntArray) -> Measure:
    """Learn what chunks are measured by from normal rows (n,) of values (T, F).

    Centre, unit and partners are those of the training span, the first `n_trained` rows; what is outside or stuck is
    told by all of them.
    """
    low, high, centre, unit = _figures(values, rows, n_trained)
    runs = np.array([_longest_run(column[rows], segment_starts) for column in values.T])
    still = unit <= 1e-9 * np.abs(centre)
    unit = np.where(still, np.where(centre != 0, np.abs(centre), 1.0), unit)
    margin = np.where(still, 0.05 * unit, 0.25 * (high - low))
    longest = np.where(still, 0, np.maximum(2 * runs, 5)).astype(np.int64)
    thinned = values[rows[: n_trained : max(1, n_trained // PARTNER_ROWS)]]
    return Measure(length, centre, unit, low - margin, high + margin, longest, *_partners((thinned - centre) / unit))


def _figures(values: FloatArray, rows: IntArray, n_trained: int) -> tuple[FloatArray, ...]:
    """Return lowest and highest reading (F,) of rows (n,) of values (T, F); mean and deviation of the first of them."""
    n_at_once = max(READINGS_AT_ONCE // values.shape[1], 1)
    low, high, centre, square = np.full((4, values.shape[1]), [[np.nan], [np.nan], [0.0], [0.0]])
    for first in range(0, len(rows), n_at_once):
        some = values[rows[first : first + n_at_once]]
        low, high = np.fmin(low, np.fmin.reduce(some)), np.fmax(high, np.fmax.reduce(some))
    parts = [rows[first : min(first + n_at_once, n_trained)] for first in range(0, n_trained, n_at_once)]
    count = sum((~np.isnan(values[part])).sum(axis=0) for part in parts)
    for part in parts:
        centre += np.nansum(values[part], axis=0, dtype=np.float64) / count
    for part in parts:
        square += np.nansum(np.square(values[part] - centre), axis=0) / count
    return low, high, centre, np.sqrt(square)


def _longest_run(column: FloatArray, segment_starts: IntArray) -> int:
    """Return the length of the longest run of equal readings (n,), at least 1; missing ones end a run."""
    new = np.concatenate(([True], column[1:] != column[:-1]))
    new[segment_starts] = True
    last, longest = 0, 1
    for first in range(0, len(new), READINGS_AT_ONCE):
        begins = np.flatnonzero(new[first : first + READINGS_AT_ONCE]) + first
        longest = max(longest, int(np.diff(begins, prepend=last).max(initial=0)))
        last = int(begins[-1]) if len(begins) else last
    return max(longest, len(new) - last)


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
    begin = np.maximum(numbers * measure.length, stamps[0])
    end = np.minimum((numbers + 1) * measure.length - 1, last)
    expected: IntArray = np.maximum((end - begin) // step + 1, 1)  # (n,); the first and the last chunk may be cut
    rows = _Rows(values, stamps, usable, scores, np.array([0]) if segment_starts is None else segment_starts)
    sums = _sums_of(rows, numbers, measure)
    enough = 2 * sums.kept >= np.minimum(expected, measure.length // step)[:, None]
    statistics = _statistics(sums, measure)
    statistics[~(enough & (sums.kept >= FEWEST_ROWS // 2))] = np.nan
    with np.errstate(invalid="ignore"):
        faults = sums.faults / sums.read[:, None, None]
    due = expected - sums.unusable  # what does not count was neither read nor lost
    coverage = np.where(due > 0, np.minimum(sums.read / np.maximum(due, 1), 1.0), np.nan)
    return Chunks(numbers, statistics, faults, coverage, _score_means(sums, expected))


@dataclass(frozen=True, eq=False)
class _Rows:
    """What `chunks_of` takes of T rows."""

    values: FloatArray
    stamps: IntArray
    usable: BoolArray
    scores: FloatArray | None
    segment_starts: IntArray


@dataclass(frozen=True, eq=False)
class _Sums:
    """Of each chunk (n, ...): how many of each channel's readings count, and sums over its rows that do."""

    kept: FloatArray
    total: FloatArray
    square: FloatArray
    ties: FloatArray  # (n, F, 3): distance from where the partner says, its square, how many
    faults: FloatArray  # (n, F, 3)
    read: FloatArray
    unusable: FloatArray
    scores: FloatArray  # (n, 2): scores, how many


def _sums_of(rows: _Rows, numbers: IntArray, measure: Measure) -> _Sums:
    """Return the sums of chunks, taken from some chunks after the others: what is made on the way stays small."""
    bounds = np.append(np.searchsorted(rows.stamps, numbers * measure.length), len(rows.stamps))
    n_rows = max(READINGS_AT_ONCE // rows.values.shape[1], 1)
    parts, first = [], 0
    while first < len(numbers):
        last = max(int(np.searchsorted(bounds, bounds[first] + n_rows, side="right")) - 1, first + 1)
        last = min(last, len(numbers))
        parts.append(_sums_between(rows, bounds[first : last + 1], measure))
        first = last
    return _Sums(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def _sums_between(rows: _Rows, bounds: IntArray, measure: Measure) -> _Sums:
    """Return the sums of chunks whose first rows, and the last one's end, are `bounds` (n + 1,)."""
    start, stop = int(bounds[0]), int(bounds[-1])
    values, usable = rows.values[start:stop], rows.usable[start:stop]
    bins = _Bins(bounds - start)
    read = ~np.isnan(values)
    anything = np.asarray(read.any(axis=1))
    kept = read & usable[:, None]
    scaled = np.where(kept, (values - measure.centre) / measure.unit, 0.0)
    stuck = _stuck(rows, start, stop, measure.longest_run)
    faulty = (~read & anything[:, None], stuck & read, (values < measure.low) | (values > measure.high))
    scores = np.full(stop - start, np.nan) if rows.scores is None else rows.scores[start:stop]
    scored = ~np.isnan(scores) & usable
    return _Sums(
        kept=bins.sums(kept),
        total=bins.sums(scaled),
        square=bins.sums(scaled**2),
        ties=_ties(bins, scaled, kept, measure),
        faults=np.stack([bins.sums(one & usable[:, None]) for one in faulty], axis=-1),
        read=bins.sums(anything & usable),
        unusable=bins.sums(~usable),
        scores=bins.sums(np.column_stack([np.where(scored, scores, 0.0), scored])),
    )


@dataclass(frozen=True)
class _Bins:
    """Sums of rows by chunk; `bounds` (n + 1,) are the first row of each, and the last one's end."""

    bounds: IntArray

    def sums(self, values: FloatArray | BoolArray) -> FloatArray:
        """Return the sums (n, ...) of rows (T, ...)."""
        filled = np.flatnonzero(np.diff(self.bounds) > 0)  # a sum over no row would be the row after it
        total = np.zeros((len(self.bounds) - 1, *values.shape[1:]))
        if len(filled):
            total[filled] = np.add.reduceat(values, self.bounds[filled], axis=0, dtype=np.float64)
        return total


def _statistics(sums: _Sums, measure: Measure) -> FloatArray:
    """Return (n, F, 4): of each channel's readings, and of their distance from where its partner says that they are."""
    own = _mean_and_log_deviation(sums.total, sums.square, sums.kept)
    ties = _mean_and_log_deviation(*np.moveaxis(sums.ties, -1, 0))
    return np.stack([*own, *(np.where(measure.partner >= 0, one, np.nan) for one in ties)], axis=-1)


def _ties(bins: _Bins, scaled: FloatArray, kept: BoolArray, measure: Measure) -> FloatArray:
    """Return sums (n, F, 3) of how far each channel is from where its partner says, its square, and how many."""
    ties = np.zeros((len(bins.bounds) - 1, scaled.shape[1], 3))
    for channel in np.flatnonzero(measure.partner >= 0):
        partner = measure.partner[channel]
        both = kept[:, channel] & kept[:, partner]
        apart = np.where(both, scaled[:, channel] - measure.slope[channel] * scaled[:, partner], 0.0)
        ties[:, channel] = bins.sums(np.column_stack([apart, apart**2, both]))
    return ties


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


def _stuck(rows: _Rows, start: int, stop: int, longest_runs: IntArray) -> BoolArray:
    """Return which readings (n, F) of rows [start, stop) stand in a run longer than the longest of their channel."""
    stuck = np.zeros((stop - start, len(longest_runs)), dtype=bool)
    for channel in np.flatnonzero(longest_runs).tolist():
        longest = int(longest_runs[channel])
        begin, end = max(start - longest, 0), min(stop + longest, len(rows.values))  # enough of a run to tell
        starts = rows.segment_starts[(rows.segment_starts > begin) & (rows.segment_starts < end)] - begin
        runs = run_lengths(rows.values[begin:end, channel], starts)
        stuck[:, channel] = runs[start - begin : stop - begin] > longest
    return stuck


def _score_means(sums: _Sums, expected: IntArray) -> FloatArray:
    total, count = sums.scores.T
    with np.errstate(invalid="ignore", divide="ignore"):
        means: FloatArray = np.log(total / count)
    means[(2 * count < expected) | ~np.isfinite(means)] = np.nan
    return means
