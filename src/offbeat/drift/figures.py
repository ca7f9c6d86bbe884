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
from offbeat.typing import FloatArray

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
    n, n_quarter, centre, reference = period.n_late, period.n_quarter, centres(period.columns), period.reference
    late, last = (moved(period.values[-k:], period.phase[-k:], centre) for k in (n, n_quarter))
    # what is on its way back has not stayed
    stayed = (np.sign(late) == np.sign(last)) & (2 * np.abs(last) >= np.abs(late))
    before = mean_of(reference.chunks.statistics[reference.trained])  # (F, 4)
    after, relative, stays = (
        part.reshape(before.shape) for part in (before.ravel() + late[:-1], (late / limits)[:-1], stayed[:-1])
    )
    worst, shares = worst_shares(reference.chunks.faults, n), mean_of(period.chunks.faults[-n:])  # (F, 3)
    result = []
    for k, name in enumerate(detector.channels):
        figures = {}
        for i, of in enumerate(STATISTICS):
            was, now = (_natural(values[k, i], of, reference.measure, k) for values in (before, after))
            figures[of] = Figure(was, now, float(relative[k, i]), bool(stays[k, i]))
        both = {fault: (float(worst[k, i]), float(shares[k, i])) for i, fault in enumerate(FAULTS)}
        # the first that counts: what is missing cannot be stuck
        fault = next((f for f, (was, now) in both.items() if now - was > params.fault_share), "")
        partner = int(reference.measure.partner[k])
        result.append(ChannelDrift(name, detector.channels[partner] if partner >= 0 else None, figures, both, fault))
    return result


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
    lost = 1 - float(period.chunks.coverage[-n:].mean())
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
    known = period.phase < len(centre)
    reference = np.where(columns.base, columns.values - centre[columns.phase], np.nan)
    current = np.where(known[:, None], period.values - centre[np.where(known, period.phase, 0)], np.nan)
    late = current[-period.n_late :].copy()
    late[:, -1] = np.nan
    late[: highest.stop - highest.start, -1] = current[highest, -1]
    return Compared((*names, SCORE), reference / limit, late / limit)
