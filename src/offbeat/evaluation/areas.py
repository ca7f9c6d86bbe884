"""How well scores rank, whatever the threshold: precision and recall, AUC-PR and VUS-PR.

Only the order of the scores matters. Labels and scores are those of one asset; the caller leaves out timesteps without
a score.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from offbeat.detection.events import events_of
from offbeat.typing import BoolArray, FloatArray, IntArray


def precision_recall_curve(
    labels: ArrayLike, scores: ArrayLike, max_points: int | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return precision and recall of `score >= t` for each distinct score t, highest first.

    Parameters
    ----------
    labels : array of shape (n_timesteps,), bool
    scores : array of shape (n_timesteps,)
    max_points : int, optional
        For plots: keep at most so many points, evenly spread over the distinct scores, the ends included.

    Returns
    -------
    precision, recall, thresholds : ndarrays of shape (n_points,)
        Recall never falls. It is NaN throughout where no timestep is labelled.

    Raises
    ------
    ValueError
        If a score is NaN, the shapes differ, or there is no timestep.
    """
    labels, scores = checked(labels, scores)
    hits, flagged, thresholds = _cumulated(labels, scores)
    if max_points is not None and max_points < len(hits):
        if max_points < 2:
            raise ValueError(f"max_points is at least 2, got {max_points}")
        keep = np.linspace(0, len(hits) - 1, max_points).astype(np.int64)
        hits, flagged, thresholds = hits[keep], flagged[keep], thresholds[keep]
    n_labelled = int(labels.sum())
    recall = hits / n_labelled if n_labelled else np.full(len(hits), np.nan)
    return hits / flagged, recall, thresholds


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return AUC-PR, the step-wise area sum over n of (R_n - R_n-1) P_n; equal scores make one step.

    NaN where no timestep is labelled, or all are: there is nothing to rank. Raises as `precision_recall_curve`.
    """
    labels, scores = checked(labels, scores)
    if _one_sided(labels):
        return float("nan")
    precision, recall, _ = precision_recall_curve(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def best_f1(labels: ArrayLike, scores: ArrayLike) -> tuple[float, float]:
    """Return the best point F1 over all thresholds, and the highest threshold t whose alarms `score > t` reach it.

    It looks at the labels, so it is an oracle's. (NaN, NaN) where no timestep is labelled.
    """
    labels, scores = checked(labels, scores)
    n_labelled = int(labels.sum())
    if n_labelled == 0:
        return float("nan"), float("nan")
    hits, flagged, thresholds = _cumulated(labels, scores)
    f1 = 2 * hits / (flagged + n_labelled)  # 2 TP / (2 TP + FP + FN)
    best = int(np.argmax(f1))
    # the next number below, in the scores' own precision: `score > t` is then what `score >= thresholds[best]` is
    below = np.nextafter(thresholds[best], thresholds.dtype.type(-np.inf))
    return float(f1[best]), float(below)


def vus_pr(labels: ArrayLike, scores: ArrayLike, max_buffer: int, n_thresholds: int = 250) -> float:
    """Return the volume under the range-aware precision-recall surface.

    Parameters
    ----------
    labels : array of shape (n_timesteps,), bool
    scores : array of shape (n_timesteps,)
    max_buffer : int
        Longest buffer L in timesteps; the area is averaged over the lengths 0, 1, ... L. State it beside the figure:
        `periods.dominant_period` of the first channel is what public leaderboards use.
    n_thresholds : int
        Scores taken at even ranks, the highest and the lowest included.

    Returns
    -------
    float
        NaN where no timestep is labelled, or all are.

    Raises
    ------
    ValueError
        If a score is NaN, the shapes differ, or an argument is out of range.

    Notes
    -----
    Paparrizos et al., "Volume under the surface", PVLDB 15(11), 2022, as VUS 0.0.6 and TSB-AD 1.5 compute it ("opt").
    For a buffer of length l, a timestep d <= l // 2 beyond either end of an event weighs sqrt(1 - d / l); weights of
    neighbouring events add up to at most 1. With A the flagged timesteps, P the labelled ones and w the weights:

        TP = sum of w over A              precision = TP / |A|
        P' = P + (TP - |A and P|) / 2     recall = min(TP / P', 1) x share of buffered events that A touches

    Events whose buffers touch count once in that share. The area is the sum of recall steps times precision.
    Two consequences: the first threshold flags one timestep and each next one T / 249 more, so an event shorter than
    that cannot reach 1 even when ranked perfectly; and time is the row, so a gap between rows is not seen.
    """
    labels, scores = checked(labels, scores)
    if max_buffer < 0 or n_thresholds < 2:
        raise ValueError(f"max_buffer >= 0 and n_thresholds >= 2 are needed, got {max_buffer} and {n_thresholds}")
    if _one_sided(labels):
        return float("nan")
    events = events_of(labels)
    ranks = _threshold_ranks(scores, n_thresholds)
    n_flagged = np.cumsum(np.bincount(ranks, minlength=n_thresholds))
    n_hits = np.cumsum(np.bincount(ranks[labels], minlength=n_thresholds))
    near = np.flatnonzero(_dilated(labels, events, max_buffer // 2) & ~labels)  # the only timesteps a buffer can reach
    areas = []
    for buffer in range(max_buffer + 1):
        weights = _buffer_weights(events, len(labels), buffer)[near]
        buffered = np.cumsum(np.bincount(ranks[near], weights=weights, minlength=n_thresholds))
        true_positives = n_hits + buffered
        recall = np.minimum(true_positives / (n_hits[-1] + buffered / 2), 1.0)
        recall *= _touched_share(events, ranks, buffer // 2, n_thresholds)
        areas.append(np.sum(np.diff(recall, prepend=0.0) * (true_positives / n_flagged)))
    return float(np.mean(areas))


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Return labels as bool and scores as floats of one shape (T,), or raise ValueError."""
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores)
    if not np.issubdtype(scores.dtype, np.floating):
        scores = scores.astype(np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape or not len(labels):
        raise ValueError(f"labels and scores have one shape (T,), T > 0; got {labels.shape} and {scores.shape}")
    missing = np.isnan(scores)
    if missing.any():
        raise ValueError(
            f"every timestep needs a score, got NaN at {int(missing.sum())} of {len(scores)}, first at timestep "
            f"{int(np.argmax(missing))}: leave timesteps without a score out of labels and scores"
        )
    return labels, scores


def _one_sided(labels: BoolArray) -> bool:
    return bool(labels.all() or not labels.any())


def _cumulated(labels: BoolArray, scores: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return labelled and all timesteps with score >= t, and t, for each distinct score t, highest first."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(falling) - 1)  # of each run of equal scores
    return np.cumsum(labels[order])[last], last + 1, falling[last]


def _threshold_ranks(scores: FloatArray, n_thresholds: int) -> IntArray:
    """Return for each timestep the number of the first threshold, highest first, that its score reaches."""
    rising = np.sort(scores)
    positions = np.linspace(0, len(scores) - 1, n_thresholds).astype(np.int64)
    thresholds = rising[::-1][positions]
    # score >= thresholds[k] holds from k = n - (number of thresholds that are <= score) on
    ranks: IntArray = n_thresholds - np.searchsorted(thresholds[::-1], scores, "right")
    return ranks


def _dilated(labels: BoolArray, events: IntArray, reach: int) -> BoolArray:
    steps = np.zeros(len(labels) + 1, dtype=np.int64)
    np.add.at(steps, np.maximum(events[:, 0] - reach, 0), 1)
    np.add.at(steps, np.minimum(events[:, 1] + reach, len(labels)), -1)
    return np.asarray(np.cumsum(steps[:-1]) > 0)


def _buffer_weights(events: IntArray, n_timesteps: int, buffer: int) -> FloatArray:
    """Return the slopes that a buffer adds around the events; what it holds inside an event is not meant."""
    distances = np.arange(1, buffer // 2 + 1)
    if not len(distances):
        return np.zeros(n_timesteps)
    slope = np.sqrt(1 - distances / buffer)
    before = events[:, :1] - distances  # (E, d)
    after = events[:, 1:] - 1 + distances
    places = np.concatenate((before, after)).ravel()
    slopes = np.tile(slope, 2 * len(events))
    inside = (places >= 0) & (places < n_timesteps)
    return np.minimum(np.bincount(places[inside], weights=slopes[inside], minlength=n_timesteps), 1.0)


def _touched_share(events: IntArray, ranks: IntArray, reach: int, n_thresholds: int) -> FloatArray:
    """Return at each threshold the share of buffered events with a flagged timestep; touching buffers are one."""
    apart = events[1:, 0] - (events[:-1, 1] - 1) > 2 * reach
    starts = np.maximum(events[np.concatenate(([True], apart)), 0] - reach, 0)
    stops = np.minimum(events[np.concatenate((apart, [True])), 1] + reach, len(ranks))
    bounds = np.stack([starts, stops], axis=1).ravel()
    padded = np.append(ranks, n_thresholds)  # so that a stop at the end of the series is a place
    first = np.minimum.reduceat(padded, bounds)[::2]
    return np.asarray(np.cumsum(np.bincount(first, minlength=n_thresholds)) / len(first))
