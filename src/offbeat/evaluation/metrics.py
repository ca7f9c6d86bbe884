"""How good the alarms are: events found, false alarms, delay, at the threshold in use.

One flat mapping per asset, with stable keys; counts stand beside the ratios, so that a fleet's ratios come from summed
counts. A ratio over nothing is NaN: recall, F1, delays and areas where no event is labelled, precision where no alarm
was raised. F1 is 0 where events are labelled and none is found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from offbeat.detection.events import detection_delays, events_of, mask_of, overlaps
from offbeat.evaluation.areas import average_precision, best_f1, vus_pr
from offbeat.typing import BoolArray

SECONDS_PER_DAY = 86_400.0
COUNTS = (
    "n_timesteps",
    "n_labelled",
    "n_events",
    "n_events_found",
    "n_alarms",
    "false_alarms",
    "true_positives",
    "false_positives",
    "pa_true_positives",
)
AREAS = ("vus_pr", "auc_pr", "oracle_f1")


def event_scores(
    labels: ArrayLike, alarms: ArrayLike, *, period_s: float | None = None, segment_starts: ArrayLike | None = None
) -> dict[str, float]:
    """Compare the alarms of one asset with its labels.

    Parameters
    ----------
    labels : array of shape (n_timesteps,), bool
    alarms : array of shape (n_timesteps,), bool
        After merging, as `alarm_mask` returns them.
    period_s : float, optional
        Seconds from one timestep to the next. Without it there are no days: `false_alarms_per_day`, `normal_days` and
        the delays in seconds are replaced by `false_alarms_per_10000_timesteps`.
    segment_starts : array of shape (n_segments,), int, optional
        First timestep of each segment; neither events nor alarms run across.

    Returns
    -------
    dict of str to float
        Counts: `n_timesteps`, `n_labelled`, `n_events`, `n_events_found`, `n_alarms`, `false_alarms` (alarms that touch
        no labelled timestep), and in timesteps `true_positives`, `false_positives`, `pa_true_positives`.
        Events: `event_precision` (alarms on an event / alarms), `event_recall` (events with an alarm / events),
        `event_f1`; one shared timestep is enough.
        Timesteps: `point_precision`, `point_recall`, `point_f1`, `false_alarm_rate` = FP / (FP + TN),
        `missed_alarm_rate` = FN / (FN + TP).
        Operation: `false_alarms_per_day` over `normal_days`, the unlabelled time.
        Delay of the events found, in timesteps and seconds: `detection_delay_mean`, `detection_delay_median`,
        `detection_delay_mean_s`, `detection_delay_median_s`.
        Diagnostic only: `pa_precision`, `pa_recall`, `pa_f1`, where one hit marks the whole event found.

    Raises
    ------
    ValueError
        If the shapes differ, there is no timestep, or the period is not positive.
    """
    labels, alarms = _checked_masks(labels, alarms)
    if period_s is not None and not period_s > 0:
        raise ValueError(f"period_s is above 0 seconds, got {period_s}")
    counts = _counts(labels, alarms, segment_starts)
    if period_s is not None:
        counts["normal_days"] = (counts["n_timesteps"] - counts["n_labelled"]) * period_s / SECONDS_PER_DAY
    delays = detection_delays(events_of(labels, segment_starts), alarms)
    delays = delays[~np.isnan(delays)]
    delay = {
        "detection_delay_mean": float(delays.mean()) if len(delays) else float("nan"),
        "detection_delay_median": float(np.median(delays)) if len(delays) else float("nan"),
    }
    if period_s is not None:
        delay |= {f"{key}_s": value * period_s for key, value in delay.items()}
    return counts | _ratios(counts) | delay


def evaluate_scores(
    labels: ArrayLike,
    scores: ArrayLike,
    alarms: ArrayLike,
    *,
    period_s: float | None,
    max_buffer: int,
    segment_starts: ArrayLike | None = None,
    n_thresholds: int = 250,
) -> dict[str, float]:
    """Evaluate the scores of one asset and the alarms that its threshold made of them.

    Parameters
    ----------
    labels, alarms : arrays of shape (n_timesteps,), bool
    scores : array of shape (n_timesteps,)
        Timesteps without a score are left out of all three arrays by the caller; if that cuts normal time out from
        between two events, name the cut in `segment_starts`.
    period_s, segment_starts
        As in `event_scores`.
    max_buffer : int
        Longest buffer of VUS-PR, in timesteps; `dominant_period` of the first channel.
    n_thresholds : int
        Of VUS-PR.

    Returns
    -------
    dict of str to float
        `vus_pr`, `auc_pr`, the keys of `event_scores`, and with a threshold chosen on the labels, which no deployed
        detector has, `oracle_f1` (the best point F1) and `oracle_threshold`.

    Raises
    ------
    ValueError
        If a score is NaN, the shapes differ, or there is no timestep.
    """
    oracle_f1, oracle_threshold = best_f1(labels, scores)
    return {
        "vus_pr": vus_pr(labels, scores, max_buffer, n_thresholds),
        "auc_pr": average_precision(labels, scores),
        **event_scores(labels, alarms, period_s=period_s, segment_starts=segment_starts),
        "oracle_f1": oracle_f1,
        "oracle_threshold": oracle_threshold,
    }


def fleet_metrics(assets: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Put the metrics of several assets together.

    Parameters
    ----------
    assets : sequence of mappings
        One result of `evaluate_scores` or `event_scores` per asset.

    Returns
    -------
    dict of str to float
        Counts are summed, and the ratios and false alarms per day computed from the sums: a long asset weighs more.
        Delays are the mean over all events found; a median cannot be had from medians and is left out.
        `vus_pr`, `auc_pr` and `oracle_f1` are means over the assets that have a figure, those with a labelled event:
        scores of two assets share no scale. `oracle_threshold` is left out.
        `n_assets` and `n_assets_with_events` say over how many.
        If some asset has no period, false alarms are per 10,000 timesteps and delays in timesteps only.

    Raises
    ------
    ValueError
        If there is no asset.
    """
    if not assets:
        raise ValueError("fleet metrics need at least one asset, got none")
    counts = {key: sum(asset[key] for asset in assets) for key in COUNTS}
    timed = all("normal_days" in asset for asset in assets)
    if timed:
        counts["normal_days"] = sum(asset["normal_days"] for asset in assets)
    delays = ("detection_delay_mean", "detection_delay_mean_s") if timed else ("detection_delay_mean",)
    found = [asset for asset in assets if asset["n_events_found"]]
    return {
        "n_assets": len(assets),
        "n_assets_with_events": sum(asset["n_events"] > 0 for asset in assets),
        **{key: _mean_of(key, assets) for key in AREAS if all(key in asset for asset in assets)},
        **counts,
        **_ratios(counts),
        **{
            key: _ratio(sum(asset[key] * asset["n_events_found"] for asset in found), counts["n_events_found"])
            for key in delays
        },
    }


def _counts(labels: BoolArray, alarms: BoolArray, segment_starts: ArrayLike | None) -> dict[str, float]:
    events, alarm_events = events_of(labels, segment_starts), events_of(alarms, segment_starts)
    found = overlaps(events, alarm_events)
    counts = (
        len(labels),
        labels.sum(),
        len(events),
        found.sum(),
        len(alarm_events),
        (~overlaps(alarm_events, events)).sum(),
        (labels & alarms).sum(),
        (alarms & ~labels).sum(),
        mask_of(events[found], len(labels)).sum(),
    )
    return {key: int(count) for key, count in zip(COUNTS, counts, strict=True)}


def _ratios(counts: Mapping[str, float]) -> dict[str, float]:
    """Return every ratio that follows from counts, summed or not."""
    labelled, false = counts["n_labelled"], counts["false_positives"]
    normal = counts["n_timesteps"] - labelled
    alarms_on_event = counts["n_alarms"] - counts["false_alarms"]
    ratios = {
        **_precision_recall_f1(
            "event", alarms_on_event, counts["n_alarms"], counts["n_events_found"], counts["n_events"]
        ),
        **_points("point", counts["true_positives"], false, labelled),
        "false_alarm_rate": _ratio(false, normal),
        "missed_alarm_rate": _ratio(labelled - counts["true_positives"], labelled),
    }
    if "normal_days" in counts:
        ratios["false_alarms_per_day"] = _ratio(counts["false_alarms"], counts["normal_days"])
    else:
        ratios["false_alarms_per_10000_timesteps"] = _ratio(10_000 * counts["false_alarms"], normal)
    return ratios | _points("pa", counts["pa_true_positives"], false, labelled)


def _points(name: str, hits: float, false: float, labelled: float) -> dict[str, float]:
    return _precision_recall_f1(name, hits, hits + false, hits, labelled)


def _precision_recall_f1(name: str, right: float, raised: float, found: float, wanted: float) -> dict[str, float]:
    precision, recall = _ratio(right, raised), _ratio(found, wanted)
    f1 = 0.0 if wanted and not found else _ratio(2 * precision * recall, precision + recall)
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean_of(key: str, assets: Sequence[Mapping[str, float]]) -> float:
    figures = [asset[key] for asset in assets if not np.isnan(asset[key])]
    return float(np.mean(figures)) if figures else float("nan")


def _checked_masks(labels: ArrayLike, alarms: ArrayLike) -> tuple[BoolArray, BoolArray]:
    labels, alarms = np.asarray(labels, dtype=bool), np.asarray(alarms, dtype=bool)
    if labels.ndim != 1 or labels.shape != alarms.shape or not len(labels):
        raise ValueError(f"labels and alarms have one shape (T,), T > 0; got {labels.shape} and {alarms.shape}")
    return labels, alarms
