"""Events and alarms: runs of timesteps, how they merge, and which of them meet.

A mask says per timestep whether something holds; events are its maximal runs, one row [start, stop) each, ascending.
Where segments are named (assets laid end to end, the two sides of a long gap), no run crosses from one to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from offbeat.typing import BoolArray, FloatArray, IntArray


def events_of(mask: BoolArray, segment_starts: ArrayLike | None = None) -> IntArray:
    """Return the maximal runs of true timesteps.

    Parameters
    ----------
    mask : ndarray of shape (n_timesteps,), bool
    segment_starts : array of shape (n_segments,), int, optional
        First timestep of each segment, in any order; a run is cut where a segment starts.

    Returns
    -------
    ndarray of shape (n_events, 2), int
        Start and stop of each run, stop exclusive.

    Raises
    ------
    ValueError
        If `mask` is not one-dimensional, or a segment starts outside the series.
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.ndim != 1:
        raise ValueError(f"a mask has one dimension, got shape {mask.shape}")
    before = np.concatenate(([False], mask[:-1]))
    starts = mask & ~before
    ends = ~mask & before  # true where a run has just stopped
    cuts = _checked_starts(segment_starts, len(mask))
    starts[cuts] = mask[cuts]
    ends[cuts] = before[cuts]
    stops = np.flatnonzero(ends)
    if len(mask) and mask[-1]:
        stops = np.append(stops, len(mask))
    return np.stack([np.flatnonzero(starts), stops], axis=1)


def mask_of(events: IntArray, n_timesteps: int) -> BoolArray:
    """Return the mask (n_timesteps,) that is true in every event; events may overlap.

    Raises
    ------
    ValueError
        If an event is empty, or reaches outside the series.
    """
    events = _checked_events(events)
    if len(events) and (events[:, 0].min() < 0 or events[:, 1].max() > n_timesteps):
        outside = events[(events[:, 0] < 0) | (events[:, 1] > n_timesteps)][0]
        raise ValueError(f"events lie within [0, {n_timesteps}), got [{outside[0]}, {outside[1]})")
    steps = np.zeros(n_timesteps + 1, dtype=np.int64)
    np.add.at(steps, events[:, 0], 1)
    np.add.at(steps, events[:, 1], -1)
    mask: BoolArray = np.cumsum(steps[:-1]) > 0
    return mask


def merge_events(events: IntArray, max_gap: int, segment_starts: ArrayLike | None = None) -> IntArray:
    """Join events that overlap, touch, or lie at most `max_gap` timesteps apart.

    Parameters
    ----------
    events : ndarray of shape (n_events, 2), int
        In any order.
    max_gap : int
        Timesteps between the stop of one event and the start of the next.
    segment_starts : array of shape (n_segments,), int, optional
        Events on two sides of a segment start stay apart.

    Returns
    -------
    ndarray of shape (n_merged, 2), int
        Ascending and disjoint.
    """
    if max_gap < 0:
        raise ValueError(f"max_gap is at least 0 timesteps, got {max_gap}")
    events = _checked_events(events)
    if not len(events):
        return events
    events = events[np.argsort(events[:, 0], kind="stable")]
    reach = np.maximum.accumulate(events[:, 1])  # how far the events so far extend
    apart = events[1:, 0] - reach[:-1] > max_gap
    if segment_starts is not None:
        cuts = np.sort(np.asarray(segment_starts, dtype=np.int64))
        # the events lie in two segments when more segments have started by the later one's first timestep
        apart |= np.searchsorted(cuts, events[1:, 0], "right") > np.searchsorted(cuts, events[:-1, 0], "right")
    first = np.concatenate(([True], apart))
    last = np.concatenate((apart, [True]))
    return np.stack([events[first, 0], reach[last]], axis=1)


def alarm_mask(
    scores: FloatArray, threshold: float, *, max_gap: int = 0, segment_starts: ArrayLike | None = None
) -> BoolArray:
    """Return the timesteps in alarm: score > threshold, and gaps of at most `max_gap` timesteps between two such runs.

    A timestep without a score (NaN) is not over the threshold; a gap that is bridged may contain some.
    """
    over = events_of(np.asarray(scores) > threshold, segment_starts)
    return mask_of(merge_events(over, max_gap, segment_starts), len(scores))


def overlaps(events: IntArray, others: IntArray) -> BoolArray:
    """Return for each event whether at least one of its timesteps lies in one of `others`.

    Parameters
    ----------
    events : ndarray of shape (n_events, 2), int
    others : ndarray of shape (n_others, 2), int
        Ascending and disjoint, as `events_of` and `merge_events` return them.

    Returns
    -------
    ndarray of shape (n_events,), bool
    """
    first = _first_touch(events, others)
    touched: BoolArray = first < np.asarray(events)[:, 1]
    return touched


def detection_delays(events: IntArray, alarms: ArrayLike) -> FloatArray:
    """Return how long after each event's start the first alarm timestep within it comes.

    Parameters
    ----------
    events : ndarray of shape (n_events, 2), int
    alarms : ndarray of shape (n_timesteps,), bool, or (n_alarms, 2), int
        A mask, or ascending disjoint events.

    Returns
    -------
    ndarray of shape (n_events,), float
        In timesteps; 0 where an alarm is already on when the event starts, NaN where the event is missed.
    """
    events = _checked_events(events)
    given = np.asarray(alarms)
    first = _first_touch(events, given if given.ndim == 2 else events_of(given))
    return np.where(first < events[:, 1], first - events[:, 0], np.nan)


def _first_touch(events: IntArray, others: IntArray) -> IntArray:
    """Return the first timestep of `others` at or after each event's start; the event's stop if there is none."""
    events, others = _checked_events(events), _checked_events(others)
    if not len(others):
        return events[:, 1]
    after = np.searchsorted(others[:, 1], events[:, 0], "right")  # the first of the others that stops after the start
    found = after < len(others)
    starts = others[np.minimum(after, len(others) - 1), 0]
    return np.where(found, np.maximum(starts, events[:, 0]), events[:, 1])


def _checked_starts(segment_starts: ArrayLike | None, n_timesteps: int) -> IntArray:
    starts = np.asarray([] if segment_starts is None else segment_starts, dtype=np.int64)
    if len(starts) and (starts.min() < 0 or starts.max() >= n_timesteps):
        raise ValueError(f"segments start within [0, {n_timesteps}), got {starts.min()} to {starts.max()}")
    return starts


def _checked_events(events: IntArray) -> IntArray:
    events = np.asarray(events, dtype=np.int64).reshape(-1, 2)
    empty = events[:, 1] <= events[:, 0]
    if empty.any():
        start, stop = events[empty][0]
        raise ValueError(f"an event [start, stop) stops after it starts, got [{start}, {stop})")
    return events
