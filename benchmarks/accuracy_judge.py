"""One method on one asset: the row of figures that the table is made of.

How well scores rank is told over the whole series, training part included, as the published figures are; what the
calibrated threshold does is told on the test span alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.accuracy_methods import Scored
from offbeat.detection.events import alarm_mask, events_of
from offbeat.detection.periods import dominant_period
from offbeat.detection.thresholds import Threshold, block_maxima
from offbeat.detection.windows import reach_mask
from offbeat.errors import ReadingsError
from offbeat.evaluation.areas import average_precision, vus_pr
from offbeat.evaluation.metrics import event_scores
from offbeat.preparation import Prepared
from offbeat.typing import BoolArray, FloatArray

LASTING_S = 86_400.0  # an alarm of a day is no blip
UNLIKELY = 0.05


def judge(
    scored: Scored, which: int, one: Prepared, merge_gap: int, max_buffer: int | None, *, to_failure: bool = False
) -> dict[str, Any]:
    """Return the figures of a method on one asset.

    Parameters
    ----------
    scored : Scored
    which : int
        Place of the asset in it.
    one : Prepared
    merge_gap : int
        In timesteps.
    max_buffer : int or None
        Longest buffer of VUS-PR; None: the dominant period of the first channel, 125 where there is none.
    to_failure : bool
        The asset wears until it fails and nobody knows since when: no row of its test span is known to be normal.

    Returns
    -------
    dict
        `vus_pr`, `auc_pr`: whole series. `whole_*`: counts of its timesteps at the threshold. The keys of
        `event_scores`: test span. `before_*`, `normal_*`: as `realised` returns them, on the test rows before the first
        event and on all normal ones; `promise_*`: the verdict on those that are long enough. For a run to failure
        `lasting_*` instead.

    Raises
    ------
    ReadingsError
        If no timestep has a score.
    """
    series, scores, threshold = one.series, scored.scores[which], scored.thresholds[which]
    if np.isnan(scores).all():
        raise ReadingsError(f"asset '{series.asset}': {scored.method} has no score at all: shorten prepare.window_size")
    first = one.split.test[0]
    filled = np.where(np.isnan(scores), np.nanmin(scores), scores)  # what cannot be scored ranks lowest
    alarms = alarm_mask(scores, threshold.value, max_gap=merge_gap, segment_starts=series.segment_starts)
    channel = series.values[:, 0]
    max_buffer = max_buffer or dominant_period(np.where(np.isnan(channel), np.nanmean(channel), channel))
    whole = event_scores(one.labelled, alarms, period_s=series.period_s, segment_starts=series.segment_starts)
    cuts = series.rows(first, series.n_timesteps).segment_starts
    test = event_scores(one.labelled[first:], alarms[first:], period_s=series.period_s, segment_starts=cuts)
    return {
        "vus_pr": vus_pr(one.labelled, filled, max_buffer),
        "auc_pr": average_precision(one.labelled, filled),
        "max_buffer": max_buffer,
        **{f"whole_{key}": whole[key] for key in ("n_timesteps", "n_labelled", "true_positives", "false_positives")},
        **test,
        "promised_rate": math.nan if threshold.promised_alarm_rate is None else threshold.promised_alarm_rate,
        "threshold": threshold.value,
        "threshold_warning": threshold.warning,
        "delay": scored.delay,
        **(_lasting(one, alarms) if to_failure else _promises(scored, one, scores, threshold, alarms)),
    }


def _promises(
    scored: Scored, one: Prepared, scores: FloatArray, threshold: Threshold, alarms: BoolArray
) -> dict[str, Any]:
    """Return what the threshold promised and what came, on normal test rows that no event and no training reaches."""
    starts, first = one.series.segment_starts, one.split.test[0]
    normal = one.normal.copy()
    normal[:first] = False
    clear = reach_mask(normal, starts, 0, scored.delay)  # no event shapes the scores of these yet
    before = clear.copy()
    labelled = np.flatnonzero(one.labelled[first:])
    if len(labelled):
        before[first + labelled[0] :] = False
    far = reach_mask(normal, starts, scored.context, scored.delay)
    figures: dict[str, Any] = {}
    for name, rows in (("before", before), ("normal", far)):
        counts = realised(scores, alarms, rows, threshold, starts, scored.context + scored.delay + 1)
        figures |= {f"{name}_{key}": value for key, value in counts.items()}
    figures["promise_on"] = "before" if figures["before_blocks"] else "normal"  # long enough: a block at least
    for key in ("verdict", "block_verdict"):
        figures[f"promise_{key}"] = figures[f"{figures['promise_on']}_{key}"]
    return figures


def realised(
    scores: FloatArray, alarms: BoolArray, rows: BoolArray, threshold: Threshold, starts: Any, block_size: int
) -> dict[str, Any]:
    """Count alarms on normal rows (T,), and whole blocks of them with one, beside what the threshold promised.

    An alarm that never ends counts once; of blocks it fills all.
    """
    n_rows, n_alarms = int(rows.sum()), len(events_of(alarms & rows, starts))
    maxima = block_maxima(scores, rows, starts, block_size)
    n_over = int((maxima > threshold.value).sum())
    rate = math.nan if threshold.promised_alarm_rate is None else threshold.promised_alarm_rate
    expected, expected_over = rate * n_rows, len(maxima) * -math.expm1(-rate * block_size)
    return {
        "rows": n_rows,
        "alarms": n_alarms,
        "expected": expected,
        "verdict": verdict(n_alarms, expected) if n_rows else "",
        "blocks": len(maxima),
        "blocks_over": n_over,
        "blocks_expected": expected_over,
        "block_verdict": verdict(n_over, expected_over) if len(maxima) else "",
        "in_alarm": float(alarms[rows].mean()) if n_rows else math.nan,
    }


def verdict(seen: int, expected: float) -> str:
    """Return whether a count is `within` twice and half of what was promised, `above` or `below`; or empty for none.

    A count further off is still within where chance alone makes it so: where a Poisson variable of the promised mean
    goes so far with a probability of at least `UNLIKELY`. A promise of 0.3 alarms is kept by none, and by one.
    """
    if math.isnan(expected):
        return ""
    if seen > 2 * expected and 1 - poisson_below(seen, expected) < UNLIKELY:
        return "above"
    if seen < expected / 2 and poisson_below(seen + 1, expected) < UNLIKELY:
        return "below"
    return "within"


def poisson_below(count: int, mean: float) -> float:
    """Return the probability that a Poisson variable is less than `count`."""
    if mean <= 0:
        return 1.0 if count > 0 else 0.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count))


def _lasting(one: Prepared, alarms: BoolArray) -> dict[str, float]:
    """Return when the first lasting alarm began: days before the end, and how many begin in the first half."""
    series = one.series
    if series.period_s is None:
        raise ReadingsError(f"asset '{series.asset}': an alarm lasts a day, and its readings have no time")
    runs = events_of(alarms, series.segment_starts)
    lasting = runs[(runs[:, 1] - runs[:, 0]) * series.period_s >= LASTING_S]
    half = series.n_timesteps // 2
    later = lasting[lasting[:, 0] >= half]
    lead = (series.n_timesteps - later[0, 0]) * series.period_s / 86_400 if len(later) else math.nan
    return {"lasting_lead_days": lead, "lasting_in_first_half": int((lasting[:, 0] < half).sum())}
