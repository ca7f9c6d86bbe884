"""Later readings of a machine in chunks, beside the chunks of its reference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from offbeat.detection.chunks import DAY, FAULTS, STATISTICS, Chunks, chunks_of
from offbeat.detection.detector import Detector
from offbeat.detection.reference import Reference
from offbeat.detection.windows import reach_mask
from offbeat.drift.moves import Columns, columns_of, flat, phase_of, stretch_moves
from offbeat.errors import ReadingsError
from offbeat.params import DriftParams
from offbeat.readings.messages import length_text
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray, IntArray

FEWEST_CHUNKS = 4  # two halves, the later of at least two
LONGEST_SHARE = 0.25  # of the reference that later readings may be as long as
MOST_SCORED = 50_000  # timesteps of a machine; of more, only every so-manieth chunk is scored


@dataclass(frozen=True, eq=False)
class Arrived:
    """Later readings of a machine.

    Attributes
    ----------
    asset : str
    series : Series or None
        On the detector's grid, with its channels in its order; None where they cannot be used, as `problem` says.
    known : ndarray of shape (T,), bool, optional
        Rows in a labelled event or an exclusion: they do not count.
    step : int, optional
        The usual step between readings as they came, before the grid.
    notes : tuple of str
    problem : str
    """

    asset: str
    series: Series | None
    known: BoolArray | None = None
    step: int | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, eq=False)
class Period:
    """The later readings of a machine in chunks, and its reference."""

    arrived: Arrived
    reference: Reference
    chunks: Chunks
    is_time: bool

    @property
    def n_late(self) -> int:
        """Chunks in the later half."""
        return (len(self.chunks.numbers) + 1) // 2

    @property
    def n_quarter(self) -> int:
        """Chunks in a quarter."""
        return max(1, len(self.chunks.numbers) // 4)

    @property
    def kind(self) -> tuple[int, int]:
        """What must be the same for machines to share what moves by chance."""
        return self.reference.measure.length, len(self.chunks.numbers)

    @cached_property
    def columns(self) -> Columns:
        """Those of the reference."""
        return columns_of(self.reference, self.is_time)

    @cached_property
    def usual_moves(self) -> tuple[FloatArray, FloatArray]:
        """The moves (stretches, M) of stretches of the reference as long as the later half, and as a quarter."""
        return stretch_moves(self.columns, self.n_late), stretch_moves(self.columns, self.n_quarter)

    @cached_property
    def values(self) -> FloatArray:
        """The statistics (n, M) of the later readings."""
        return flat(self.chunks)

    @cached_property
    def phase(self) -> IntArray:
        """Which part of the day or week each of their chunks (n,) is."""
        return phase_of(self.reference, self.chunks.numbers, self.is_time)


def period_of(
    detector: Detector, arrived: Arrived, reference: Reference, now: int, params: DriftParams
) -> Period | str:
    """Return the later readings up to the stamp `now` in chunks, or in words why they are too few."""
    length, is_time = reference.measure.length, detector.is_time
    wanted = params.days * DAY if is_time else params.timesteps * detector.step
    most = int(LONGEST_SHARE * len(reference.trained))
    n_chunks = max(min(round(wanted / length), most), FEWEST_CHUNKS)
    last = (now + detector.step - (length + 1) // 2) // length  # the last chunk that is half over
    first = max(last - n_chunks + 1, reference.until // length + 1)
    if last - first + 1 < FEWEST_CHUNKS:
        have = length_text(max(last - first + 1, 0) * length, is_time)
        need = length_text(FEWEST_CHUNKS * length, is_time)
        return f"{have} of readings after those that the model knows, it takes {need}"
    return Period(arrived, reference, _chunks(detector, arrived, reference, np.arange(first, last + 1)), is_time)


def _chunks(detector: Detector, arrived: Arrived, reference: Reference, numbers: IntArray) -> Chunks:
    """Return the chunks with these numbers; what is not there is empty."""
    series, measure = arrived.series, reference.measure
    assert series is not None
    begin, end = np.searchsorted(series.stamps, np.array([numbers[0], numbers[-1] + 1]) * measure.length).tolist()
    if begin == end:
        return _empty(numbers, series.n_channels)
    usable = np.ones(series.n_timesteps, dtype=bool) if arrived.known is None else ~arrived.known
    # a score counts if all readings that shape it do
    whole = reach_mask(usable, series.segment_starts, detector.context, detector.delay)
    scores = np.where(whole, _scores(detector, series, numbers, measure.length), np.nan)
    part = series.rows(begin, end)
    chunks = chunks_of(
        part.values,
        part.stamps,
        usable[begin:end],
        detector.step,
        measure,
        scores=scores[begin:end],
        until=(int(numbers[-1]) + 1) * measure.length - detector.step if end < series.n_timesteps else None,
        segment_starts=part.segment_starts,
    )
    return _padded(chunks, numbers)


def _scores(detector: Detector, series: Series, numbers: IntArray, length: int) -> FloatArray:
    """Return the scores (T,) of the chunks; of many timesteps, those of every so-manieth chunk, from the last back."""
    scores = np.full(series.n_timesteps, np.nan)
    edges = np.searchsorted(series.stamps, np.append(numbers, numbers[-1] + 1) * length)
    every = min(1 + int(edges[-1] - edges[0]) // MOST_SCORED, max(1, len(numbers) // 4))
    chosen = [(edges[0], edges[-1])] if every == 1 else list(pairwise(edges))[::-every]
    for start, stop in chosen:
        lead, tail = max(0, int(start) - detector.context), min(int(stop) + detector.delay, series.n_timesteps)
        try:
            found = detector.scores(series.rows(lead, tail), detector.assets[series.asset])
        except ReadingsError:  # no stretch of it is as long as a window
            continue
        scores[start:stop] = found[start - lead : stop - lead]
    return scores


def _empty(numbers: IntArray, n_channels: int) -> Chunks:
    statistics, faults = (np.full((len(numbers), n_channels, len(of)), np.nan) for of in (STATISTICS, FAULTS))
    return Chunks(numbers, statistics, faults, np.zeros(len(numbers)), np.full(len(numbers), np.nan))


def _padded(chunks: Chunks, numbers: IntArray) -> Chunks:
    """Return the chunks with these numbers, empty ones where there are none."""
    padded = _empty(numbers, chunks.statistics.shape[1])
    own = chunks.numbers - numbers[0]
    for name in ("statistics", "faults", "coverage", "scores"):
        getattr(padded, name)[own] = getattr(chunks, name)
    return padded
