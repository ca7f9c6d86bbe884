"""Later readings against what a detector was made from: chunks, moves, verdicts, for each machine and for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from offbeat.detection.chunks import DAY, FAULTS, STATISTICS, Chunks, Measure, chunks_of
from offbeat.detection.detector import Detector
from offbeat.detection.reference import Reference
from offbeat.detection.windows import reach_mask
from offbeat.drift.moves import (
    FEWEST_CHUNKS,
    LONGEST_SHARE,
    Columns,
    centres,
    columns_of,
    flat,
    moved,
    phase_of,
    usual_moves,
    worst_shares,
)
from offbeat.drift.verdict import (
    NONE,
    RECORDING,
    UNKNOWN,
    VERDICTS,
    AssetDrift,
    ChannelDrift,
    Figure,
    judge,
)
from offbeat.errors import ModelError, ReadingsError
from offbeat.params import DriftParams
from offbeat.readings.messages import length_text
from offbeat.readings.moments import moment_json, moment_of
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray, IntArray

SCORE = "anomaly score"
MOST_SCORED = 50_000  # timesteps of a machine; of more, only every so-manieth chunk is scored
SAMPLING_LEEWAY = 0.1  # of the period, that readings may come more or less often


@dataclass(frozen=True, eq=False)
class Arrived:
    """Later readings of a machine.

    Attributes
    ----------
    asset : str
    series : Series or None
        On the detector's grid, with its channels; None where they cannot be used, for the reason in `problem`.
    known : ndarray of shape (T,), bool, optional
        Rows in a labelled event or an exclusion: they do not count.
    step : int, optional
        The most common step between readings as they came, before the grid.
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
    """The later readings of a machine in chunks, and the columns of its reference."""

    arrived: Arrived
    reference: Reference
    columns: Columns
    chunks: Chunks

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
        """What must be the same for two machines to share what moves by chance."""
        return self.reference.measure.length, len(self.chunks.numbers)


@dataclass(frozen=True, eq=False)
class Compared:
    """What was compared of a machine, column by column, each in shares of how far it must move to count.

    Attributes
    ----------
    names : tuple of str
    reference, current : ndarray of shape (n, M)
        Chunks of the reference and of what decided: the later half and, for the score, the highest quarter. Their means
        differ by the move. NaN where there is none.
    """

    names: tuple[str, ...]
    reference: FloatArray
    current: FloatArray


@dataclass(frozen=True)
class Drift:
    """The verdict on all machines, the worst of theirs; each machine's own; and what was compared of each."""

    verdict: str
    assets: tuple[AssetDrift, ...]
    compared: Mapping[str, Compared]

    @property
    def retrain(self) -> bool:
        """Whether a new model is asked for."""
        return self.verdict == "regime"

    @property
    def reason(self) -> str:
        """One line for people and events."""
        named = [one.asset for one in self.assets if one.verdict == self.verdict]
        first = next((one for one in self.assets if one.verdict == self.verdict and one.reasons), None)
        about = f" ({first.asset}: {first.reasons[0]})" if first is not None else ""
        some = f"{', '.join(named[:4])}{f' and {len(named) - 4} more' if len(named) > 4 else ''}"
        return f"{VERDICTS[self.verdict]}: {some}{about}" if self.verdict != NONE else VERDICTS[NONE]


def check(detector: Detector, arrived: Sequence[Arrived], params: DriftParams) -> Drift:
    """Compare later readings with those that a detector was made from.

    Raises
    ------
    ModelError
        If the detector carries no reference of any of the machines.
    """
    referenced = {name: one.reference for name, one in detector.assets.items() if one.reference is not None}
    if not any(one.asset in referenced for one in arrived):
        raise ModelError(
            "the model carries no reference of these machines to compare with (it was made by an earlier version, or "
            "from too few readings): run `dvc repro calibrate` or train it again, with more readings"
        )
    now = max((int(one.series.stamps[-1]) for one in arrived if one.series is not None), default=0)
    periods, verdicts = [], {}
    for one in arrived:
        found = _period(detector, one, referenced.get(one.asset), now, params)
        if isinstance(found, Period):
            periods.append(found)
        else:
            verdicts[one.asset] = found
    judged = _judged(detector, periods, params)
    verdicts |= {one.asset: one for one, _ in judged}
    assets = tuple(verdicts[one.asset] for one in arrived)
    order = list(VERDICTS)
    worst = min((one.verdict for one in assets), key=order.index)
    return Drift(worst, assets, {one.asset: compared for one, compared in judged})


def _period(
    detector: Detector, arrived: Arrived, reference: Reference | None, now: int, params: DriftParams
) -> Period | AssetDrift:
    """Return the chunks to compare, or why there is nothing to compare."""
    asset = arrived.asset
    if arrived.series is None:
        return AssetDrift(asset, RECORDING if reference is not None else UNKNOWN, (arrived.problem,))
    if reference is None:
        return AssetDrift(asset, UNKNOWN, (f"the model carries no reference of {asset}",))
    length, is_time = reference.measure.length, detector.is_time
    wanted = params.days * DAY if is_time else params.timesteps * detector.step
    most = int(LONGEST_SHARE * len(reference.trained))
    n_chunks = max(min(round(wanted / length), most), FEWEST_CHUNKS)
    last = (now + detector.step - length // 2) // length  # the last chunk that is half over
    first = max(last - n_chunks + 1, reference.until // length + 1)
    if last - first + 1 < FEWEST_CHUNKS:
        have = length_text(max(last - first + 1, 0) * length, is_time)
        need = length_text(FEWEST_CHUNKS * length, is_time)
        return AssetDrift(asset, UNKNOWN, (f"{have} of readings after those that the model knows, it takes {need}",))
    return Period(
        arrived, reference, columns_of(reference, is_time), _chunks(detector, arrived, reference, first, last)
    )


def _chunks(detector: Detector, arrived: Arrived, reference: Reference, first: int, last: int) -> Chunks:
    """Return the chunks from number `first` to number `last`; what is not there is empty."""
    series, measure = arrived.series, reference.measure
    assert series is not None
    begin, end = (int(np.searchsorted(series.stamps, n * measure.length)) for n in (first, last + 1))
    numbers = np.arange(first, last + 1)
    if begin == end:
        return _empty(numbers, series.n_channels)
    usable = np.ones(series.n_timesteps, dtype=bool) if arrived.known is None else ~arrived.known
    # a score counts if all readings that shape it do
    whole = reach_mask(usable, series.segment_starts, detector.context, detector.delay)
    part = series.rows(begin, end)
    chunks = chunks_of(
        part.values,
        part.stamps,
        usable[begin:end],
        detector.step,
        measure,
        scores=np.where(whole[begin:end], _scores(detector, series, begin, end, numbers, measure.length), np.nan),
        until=(last + 1) * measure.length - detector.step if end < series.n_timesteps else None,
        segment_starts=part.segment_starts,
    )
    return _padded(chunks, numbers)


def _scores(detector: Detector, series: Series, begin: int, end: int, numbers: IntArray, length: int) -> FloatArray:
    """Return the scores of rows `begin` to `end`; of many, those of every so-manieth chunk, counted from the last."""
    scores = np.full(end - begin, np.nan)
    every = min(1 + (end - begin) // MOST_SCORED, max(1, len(numbers) // 4))
    for number in numbers[::-every] if every > 1 else [None]:
        start, stop = begin, end
        if number is not None:
            start, stop = (int(np.searchsorted(series.stamps, n * length)) for n in (number, number + 1))
        lead = max(0, start - detector.context)
        stop = min(stop, end)
        try:
            found = detector.scores(series.rows(lead, stop), detector.assets[series.asset])
        except ReadingsError:  # no stretch of it is as long as a window
            continue
        scores[start - begin : stop - begin] = found[start - lead :]
    return scores


def _empty(numbers: IntArray, n_channels: int) -> Chunks:
    statistics, faults = (np.full((len(numbers), n_channels, len(of)), np.nan) for of in (STATISTICS, FAULTS))
    return Chunks(numbers, statistics, faults, np.zeros(len(numbers)), np.full(len(numbers), np.nan))


def _padded(chunks: Chunks, numbers: IntArray) -> Chunks:
    """Return the chunks with these numbers, empty ones where there are none."""
    padded = _empty(numbers, chunks.statistics.shape[1])
    places, found = np.searchsorted(chunks.numbers, numbers), np.isin(numbers, chunks.numbers)
    parts = {}
    for name in ("statistics", "faults", "coverage", "scores"):
        values = getattr(padded, name).copy()
        values[found] = getattr(chunks, name)[places[found]]
        parts[name] = values
    return Chunks(numbers, **parts)


def _judged(detector: Detector, periods: Sequence[Period], params: DriftParams) -> list[tuple[AssetDrift, Compared]]:
    """Return the verdicts, machines with equally many chunks of equal length sharing what moves by chance."""
    n_tests = sum(one.columns.values.shape[1] - 1 + 4 for one in periods)  # each column once, the score four times
    judged = []
    for kind in dict.fromkeys(one.kind for one in periods):
        alike = [one for one in periods if one.kind == kind]
        columns = [one.columns for one in alike]
        late, quarter = (usual_moves(columns, size) for size in (alike[0].n_late, alike[0].n_quarter))
        limits = [usual.limits(params.false_share, n_tests, params.least_change) for usual in (late, quarter)]
        judged += [_asset_drift(detector, *one, params) for one in zip(alike, *limits, strict=True)]
    return judged


def _asset_drift(
    detector: Detector, period: Period, limits: FloatArray, quarter_limits: FloatArray, params: DriftParams
) -> tuple[AssetDrift, Compared]:
    """Return the verdict on a machine, from how far (M,) its later half and its quarters must move to count."""
    values, reference = flat(period.chunks), period.reference
    phase = phase_of(reference, period.chunks.numbers, detector.is_time)
    centre = centres(period.columns)
    half = slice(len(values) - period.n_late, None)
    last = slice(len(values) - period.n_quarter, None)
    late_move, last_move = (moved(values[rows], phase[rows], centre) for rows in (half, last))
    # what is on its way back has not stayed
    stayed = (np.sign(late_move) == np.sign(last_move)) & (2 * np.abs(last_move) >= np.abs(late_move))
    channels = _channel_drifts(detector, period, late_move, late_move / limits, stayed, params)
    score, highest = _score_figure(period, values, phase, centre, quarter_limits[-1])
    recording, sampling = _recording(detector, period, params)
    verdict, reasons = judge(channels, score, recording, params.regime_share)
    numbers, length = period.chunks.numbers, reference.measure.length
    ends = (int(numbers[0]) * length, int(numbers[-1] + 1) * length)
    compared = _compared(detector, period, values, phase, centre, np.append(limits[:-1], quarter_limits[-1]), highest)
    found = AssetDrift(
        asset=period.arrived.asset,
        verdict=verdict,
        reasons=(*reasons, *period.arrived.notes),
        period=(moment_json(moment_of(ends[0], detector.is_time)), moment_json(moment_of(ends[1], detector.is_time))),
        n_chunks=len(numbers),
        chunk=length_text(length, detector.is_time),
        channels=tuple(channels),
        score=score,
        sampling=sampling,
    )
    return found, compared


def _compared(
    detector: Detector,
    period: Period,
    values: FloatArray,
    phase: IntArray,
    centre: FloatArray,
    limits: FloatArray,
    highest: slice,
) -> Compared:
    names = [f"{channel}: {statistic}" for channel in detector.channels for statistic in STATISTICS]
    columns, known = period.columns, phase < len(centre)
    reference = np.where(columns.base, columns.values - centre[columns.phase], np.nan)
    current = np.where(known[:, None], values - centre[np.minimum(phase, len(centre) - 1)], np.nan)
    late = current[-period.n_late :].copy()
    late[:, -1] = np.nan
    late[: highest.stop - highest.start, -1] = current[highest, -1]
    return Compared((*names, SCORE), reference / limits, late / limits)


def _channel_drifts(
    detector: Detector,
    period: Period,
    moves: FloatArray,
    relative: FloatArray,
    stayed: BoolArray,
    params: DriftParams,
) -> list[ChannelDrift]:
    """Return what each channel did, in the readings' own units."""
    measure, n = period.reference.measure, period.n_late
    before = _mean(period.reference.chunks.statistics[period.reference.trained])  # (F, 4)
    after = before + moves[:-1].reshape(before.shape)
    worst = worst_shares(period.reference.chunks.faults, n)  # (F, 3)
    with np.errstate(invalid="ignore"):
        shares = _mean(period.chunks.faults[-n:])
    result = []
    for k, name in enumerate(detector.channels):
        figures = {}
        for i, statistic in enumerate(STATISTICS):
            was, now = (_natural(values[k, i], statistic, measure, k) for values in (before, after))
            place = len(STATISTICS) * k + i
            figures[statistic] = Figure(was, now, float(relative[place]), bool(stayed[place]))
        both = {fault: (float(worst[k, i]), float(shares[k, i])) for i, fault in enumerate(FAULTS)}
        # the first that counts: what is missing cannot be stuck
        fault = next((f for f, (was, now) in both.items() if now - was > params.fault_share), "")
        partner = detector.channels[measure.partner[k]] if measure.partner[k] >= 0 else None
        result.append(ChannelDrift(name, partner, figures, both, fault))
    return result


def _natural(value: float, statistic: str, measure: Measure, channel: int) -> float:
    """Return a statistic in the readings' own units."""
    unit = float(measure.unit[channel])
    if statistic in ("spread", "scatter"):
        return float(np.exp(value)) * unit
    return float(value) * unit + (float(measure.centre[channel]) if statistic == "mean" else 0.0)


def _mean(values: FloatArray) -> FloatArray:
    """Return the mean over the first axis, NaN left out, NaN where there is nothing."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0))


def _score_figure(
    period: Period, values: FloatArray, phase: IntArray, centre: FloatArray, limit: float
) -> tuple[Figure | None, slice]:
    """Return the anomaly score's highest quarter and its rows; None where there is nothing to compare."""
    n = period.n_quarter
    quarters = [slice(stop - n, stop) for stop in range(len(values), n - 1, -n)]  # the last first
    moves = np.array([moved(values[rows], phase[rows], centre)[-1] for rows in quarters])
    if np.isnan(moves).all() or np.isnan(limit):
        return None, quarters[0]
    usual = float(_mean(period.columns.values[:, -1:])[0])
    highest = float(np.nanmax(moves))
    figure = Figure(
        float(np.exp(usual)), float(np.exp(usual + highest)), float(highest / limit), bool(moves[0] >= limit)
    )
    return figure, quarters[int(np.nanargmax(moves))]


def _recording(detector: Detector, period: Period, params: DriftParams) -> tuple[list[str], dict[str, float]]:
    """Return what is wrong with how readings come, in words, and its figures."""
    words, n, step = [], period.n_late, period.arrived.step
    lost = 1 - float(period.chunks.coverage[-n:].mean())
    worst = float(worst_shares(1 - period.reference.chunks.coverage, n))
    if lost - worst > params.fault_share:
        words.append(f"{lost:.0%} of the readings never came (before: {worst:.0%} at most)")
    ratio = 1.0 if step is None else step / detector.step
    if abs(ratio - 1) > SAMPLING_LEEWAY and step is not None:
        learnt = length_text(detector.step, detector.is_time)
        words.append(f"readings come every {length_text(step, detector.is_time)}, the model learnt every {learnt}")
    return words, {"lost": lost, "lost_before": worst, "period": ratio}


def to_json(drift: Drift, model: Mapping[str, str]) -> dict[str, object]:
    """Return a check as JSON holds it."""
    return {"verdict": drift.verdict, "words": drift.reason, "retrain": drift.retrain, "model": dict(model)} | {
        "assets": [asdict(one) for one in drift.assets]
    }
