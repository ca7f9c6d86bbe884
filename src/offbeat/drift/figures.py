"""One machine's period and the limits of chance to its figures and its verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offbeat.detection.chunks import FAULTS, STATISTICS, Measure
from offbeat.detection.detector import Detector
from offbeat.drift.moves import centres, mean_of, moved, worst_shares
from offbeat.drift.period import Period
from offbeat.drift.verdict import NONE, UNKNOWN, AssetDrift, ChannelDrift, Figure, judge
from offbeat.params import DriftParams
from offbeat.readings.messages import length_text
from offbeat.readings.moments import moment_json, moment_of
from offbeat.typing import BoolArray, FloatArray

SCORE = "anomaly score"
SAMPLING_LEEWAY = 0.1  # of the period, that readings may come more or less often


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


@dataclass(frozen=True, eq=False)
class Limits:
    """How far (M,) the later half and a quarter of a machine's period must move to count."""

    late: FloatArray
    quarter: FloatArray


def asset_drift(detector: Detector, period: Period, limits: Limits, params: DriftParams) -> tuple[AssetDrift, Compared]:
    """Return the verdict on a machine, and what was compared."""
    channels = _channels(detector, period, limits.late, params)
    score, highest = _score(period, float(limits.quarter[-1]))
    recording, sampling = _recording(detector, period, params)
    verdict, reasons = judge(channels, score, recording, params.regime_share)
    if verdict == NONE and all(not one.told for one in channels):
        verdict, reasons = UNKNOWN, ["the later half of the period has no readings that count: labelled, or excluded"]
    numbers, length = period.chunks.numbers, period.reference.measure.length
    first, last = (moment_json(moment_of(int(n) * length, detector.is_time)) for n in (numbers[0], numbers[-1] + 1))
    found = AssetDrift(
        asset=period.arrived.asset,
        verdict=verdict,
        reasons=(*reasons, *period.arrived.notes),
        period=(first, last),
        n_chunks=len(numbers),
        chunk=length_text(length, detector.is_time),
        channels=tuple(channels),
        score=score,
        sampling=sampling,
    )
    return found, _compared(detector, period, limits, highest)


def _channels(detector: Detector, period: Period, limits: FloatArray, params: DriftParams) -> list[ChannelDrift]:
    """Return what each channel did, in the readings' own units."""
    centre, reference = centres(period.columns), period.reference
    late, last = (moved(period.values[-k:], period.phase[-k:], centre) for k in (period.n_late, period.n_quarter))
    each = _away(period, centre)[-period.n_late :]
    before = mean_of(reference.chunks.statistics[reference.trained])  # (F, 4)
    after, relative, stays, holds = (
        part.reshape(before.shape)
        for part in (
            before.ravel() + late[:-1],
            (late / limits)[:-1],
            _as_far(last, late)[:-1],
            _mostly(each, late)[:-1],
        )
    )
    faults = _faults(period, params)
    result = []
    for k, name in enumerate(detector.channels):
        figures = {}
        for i, of in enumerate(STATISTICS):
            was, now = (_natural(values[k, i], of, reference.measure, k) for values in (before, after))
            figures[of] = Figure(was, now, float(relative[k, i]), bool(stays[k, i]), bool(holds[k, i]))
        partner = int(reference.measure.partner[k])
        result.append(ChannelDrift(name, detector.channels[partner] if partner >= 0 else None, figures, *faults[k]))
    return result


def _as_far(part: FloatArray, whole: FloatArray) -> BoolArray:
    """Whether each move of a part is at least half as far as that of the whole, to the same side."""
    far: BoolArray = (np.sign(part) == np.sign(whole)) & (2 * np.abs(part) >= np.abs(whole))
    return far


def _mostly(each: FloatArray, whole: FloatArray) -> BoolArray:
    """Whether more than half of the chunks (n, ...) are so far; a single day, however far, moves the mean alone."""
    mostly: BoolArray = 2 * _as_far(each, whole).sum(axis=0) > (~np.isnan(each)).sum(axis=0)
    return mostly


def _away(period: Period, centre: FloatArray) -> FloatArray:
    """Return how far each chunk (n, M) is from the centre of its part of the day or week; NaN where there is none."""
    known = period.phase < len(centre)
    return np.where(known[:, None], period.values - centre[np.where(known, period.phase, 0)], np.nan)


def _faults(period: Period, params: DriftParams) -> list[tuple[dict[str, tuple[float, float]], str, bool, str]]:
    """Return of each channel the shares of each fault, before at most and now, and which counts, held, or is over.

    The first is named, as what is missing cannot be stuck. One counts while the last quarter shows it too: an incident
    that ended is neither a broken sensor nor another regime.
    """
    worst = worst_shares(period.reference.chunks.faults, period.n_late)  # (F, 3)
    late = period.chunks.faults[-period.n_late :]
    now, last = mean_of(late), mean_of(late[-period.n_quarter :])
    more, least = now - worst, params.fault_share
    counts = more > least
    stays, holds = (last - worst > least) & _as_far(last - worst, more), _mostly(late - worst, more)
    found = []
    for k in range(len(worst)):
        both = {fault: (float(worst[k, i]), float(now[k, i])) for i, fault in enumerate(FAULTS)}
        counting = [i for i in range(len(FAULTS)) if counts[k, i]]
        lasting = [i for i in counting if stays[k, i]]
        fault, ended = (FAULTS[of[0]] if of else "" for of in (lasting, counting))
        found.append((both, fault, bool(lasting and holds[k, lasting[0]]), "" if fault else ended))
    return found


def _natural(value: float, statistic: str, measure: Measure, channel: int) -> float:
    """Return a statistic in the readings' own units."""
    unit = float(measure.unit[channel])
    if statistic in ("spread", "scatter"):
        return float(np.exp(value)) * unit
    return float(value) * unit + (float(measure.centre[channel]) if statistic == "mean" else 0.0)


def _score(period: Period, limit: float) -> tuple[Figure | None, slice]:
    """Return the anomaly score's highest quarter and its rows; None where there is nothing to compare."""
    n, values, centre = period.n_quarter, period.values, centres(period.columns)
    quarters = [slice(stop - n, stop) for stop in range(len(values), n - 1, -n)]  # the last first
    moves = np.array([moved(values[rows], period.phase[rows], centre)[-1] for rows in quarters])
    if np.isnan(moves).all() or np.isnan(limit):
        return None, quarters[0]
    usual, highest = float(mean_of(period.columns.values[:, -1:])[0]), float(np.nanmax(moves))
    figure = Figure(float(np.exp(usual)), float(np.exp(usual + highest)), highest / limit, bool(moves[0] >= limit))
    return figure, quarters[int(np.nanargmax(moves))]


def _recording(detector: Detector, period: Period, params: DriftParams) -> tuple[list[str], dict[str, float]]:
    """Return what is wrong with how readings come, in words, and its figures."""
    words, n, step = [], period.n_late, period.arrived.step
    lost = 1 - float(mean_of(period.chunks.coverage[-n:]))  # NaN, which is no more than before, where none counts
    worst = float(worst_shares(1 - period.reference.chunks.coverage, n))
    if lost - worst > params.fault_share:
        words.append(f"{lost:.0%} of the readings never came (before: {worst:.0%} at most)")
    ratio = 1.0 if step is None else step / detector.step
    if step is not None and abs(ratio - 1) > SAMPLING_LEEWAY:
        learnt = length_text(detector.step, detector.is_time)
        words.append(f"readings come every {length_text(step, detector.is_time)}, the model learnt every {learnt}")
    return words, {"lost": lost, "lost_before": worst, "period": ratio}


def _compared(detector: Detector, period: Period, limits: Limits, highest: slice) -> Compared:
    names = [f"{channel}: {statistic}" for channel in detector.channels for statistic in STATISTICS]
    columns, centre = period.columns, centres(period.columns)
    limit = np.append(limits.late[:-1], limits.quarter[-1])
    reference = np.where(columns.base, columns.values - centre[columns.phase], np.nan)
    current = _away(period, centre)
    late = current[-period.n_late :].copy()
    late[:, -1] = np.nan
    late[: highest.stop - highest.start, -1] = current[highest, -1]
    return Compared((*names, SCORE), reference / limit, late / limit)
