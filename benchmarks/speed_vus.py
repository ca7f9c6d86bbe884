"""VUS-PR by plain loops over buffers and thresholds, and how much sooner offbeat's comes to the same."""

from __future__ import annotations

import numpy as np

from benchmarks.speed_goals import Outcome
from benchmarks.speed_measure import Plan, in_turn, median, ratios, seconds
from offbeat.evaluation.areas import vus_pr
from offbeat.typing import BoolArray, FloatArray

MAX_BUFFER = 100  # timesteps
SAME = 1e-3


def against_plain(plan: Plan) -> dict[str, Outcome]:
    """Return how many times sooner offbeat's VUS-PR is there than the plain one."""
    n_timesteps, max_buffer = (2_000, 10) if plan.short else (100_000, MAX_BUFFER)
    labels, scores = made_up(n_timesteps)
    found: list[float] = []
    ours, theirs = in_turn(
        plan.rounds,
        lambda: seconds(lambda: found.append(vus_pr(labels, scores, max_buffer))),
        lambda: seconds(lambda: found.append(plain_vus_pr(labels, scores, max_buffer))),
    )
    apart = abs(found[0] - found[1])
    note = f"T={n_timesteps:,}, buffers to {max_buffer}: {median(ours):.3g} s against {median(theirs):.3g} s"
    return {"vus_pr": Outcome(ratios(theirs, ours), f"{note}; {apart:.0e} apart", holds=apart <= SAME)}


def made_up(n_timesteps: int) -> tuple[BoolArray, FloatArray]:
    """Return labels (T,) of ten events and scores that know a little of them."""
    labels = np.zeros(n_timesteps, dtype=bool)
    for start in np.linspace(0.05, 0.9, 10):
        labels[int(start * n_timesteps) :][: n_timesteps // 200] = True
    return labels, np.random.default_rng(3).random(n_timesteps) + 0.5 * labels


def plain_vus_pr(labels: BoolArray, scores: FloatArray, max_buffer: int, n_thresholds: int = 250) -> float:
    """Return what `areas.vus_pr` returns, from its definition: each buffer, then each threshold, over all timesteps."""
    places = np.linspace(0, len(scores) - 1, n_thresholds).astype(np.int64)
    thresholds = np.sort(scores)[::-1][places]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels.astype(int), [0]])))
    events = edges.reshape(-1, 2)
    areas = [_area(labels, scores, thresholds, events, buffer) for buffer in range(max_buffer + 1)]
    return float(np.mean(areas))


def _area(labels: BoolArray, scores: FloatArray, thresholds: FloatArray, events: FloatArray, buffer: int) -> float:
    """Return the area under the curve for one buffer."""
    weights, buffered = labels.astype(float), labels.copy()
    for start, stop in events:
        for distance in range(1, buffer // 2 + 1):
            for t in (start - distance, stop - 1 + distance):
                if 0 <= t < len(labels):
                    weights[t] = min(1.0, weights[t] + (1 - distance / buffer) ** 0.5)
                    buffered[t] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], buffered.astype(int), [0]])))
    groups = edges.reshape(-1, 2)  # events with their buffers; those that touch are one
    area = recall_before = 0.0
    for threshold in thresholds:
        flagged = scores >= threshold
        hits = float(weights @ flagged.astype(float))
        on_buffers = hits - np.count_nonzero(labels & flagged)
        touched = sum(bool(flagged[first:last].any()) for first, last in groups)
        recall = min(hits / (np.count_nonzero(labels) + on_buffers / 2), 1.0) * touched / len(groups)
        area += (recall - recall_before) * hits / np.count_nonzero(flagged)
        recall_before = recall
    return area
