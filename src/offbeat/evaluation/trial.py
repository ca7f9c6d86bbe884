"""Injected events: what a method finds where nothing is labelled, or too little to tell two methods apart.

Each event has its own copy of its surroundings, normal readings of the replay, so that no event touches another and the
cost does not grow with the readings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from offbeat.detection.events import events_of
from offbeat.detection.windows import reach_mask
from offbeat.evaluation.judging import Stretch
from offbeat.evaluation.replay import Method
from offbeat.readings.injection import DEFAULT_STRENGTHS, inject
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray

EVENTS_EACH = 6  # of a kind at a strength: 114 in all, in seconds
STRENGTHS = (0.5, 1.0, 2.0)  # in units of `DEFAULT_STRENGTHS`: faint ones part methods that find all clear ones
ONE_STRENGTH = {"stuck_sensor"}
SPIKE_LENGTHS = (1, 3)  # timesteps
LENGTHS = (1, 4)  # windows, of all other kinds


@dataclass(frozen=True, eq=False)
class Trial:
    """One injected event.

    Attributes
    ----------
    kind : str
    strength : float
        In units of `DEFAULT_STRENGTHS`.
    channel : str
    row : int
        First row of the event in the stretch it was put into.
    series : Series
        The event and the normal rows around it that shape the scores in it.
    start, stop : int
        Rows of the event in `series`.
    """

    kind: str
    strength: float
    channel: str
    row: int
    series: Series
    start: int
    stop: int


def quiet_rows(stretch: Stretch, context: int, delay: int) -> BoolArray:
    """Return the rows (T,) that count and whose scores rest on normal readings alone.

    `context` timesteps before t and `delay` after it shape the score at t.
    """
    return stretch.kept & reach_mask(stretch.normal, stretch.series.segment_starts, context, delay)


def draw_trials(stretches: Sequence[Stretch], window_size: int, context: int, delay: int, seed: int) -> list[Trial]:
    """Put events of every kind and strength into normal rows, at places and in channels drawn by chance.

    Parameters
    ----------
    stretches : sequence of Stretch
    window_size : int
        Events last one to four windows; spikes one to three timesteps.
    context, delay : int
        Of the method that reaches furthest. Events lie in the `quiet_rows`.
    seed : int

    Returns
    -------
    list of Trial
        `EVENTS_EACH` of each kind and strength, assets in the order of `stretches`. Fewer where readings stand still,
        so that an event would change none; none where no stretch has quiet rows for a window.
    """
    rng = np.random.default_rng(seed)
    rooms = [quiet_rows(stretch, context, delay) for stretch in stretches]
    longest = [_longest(room) for room in rooms]
    sizes = [room.sum() if length >= window_size else 0 for room, length in zip(rooms, longest, strict=True)]
    drawn: list[list[Trial]] = [[] for _ in stretches]
    for kind, strength in _kinds_and_strengths() if any(sizes) else ():
        k = int(rng.choice(len(stretches), p=np.divide(sizes, sum(sizes))))
        low, high = SPIKE_LENGTHS if kind == "spike" else (window_size * n for n in LENGTHS)
        length = min(int(rng.integers(low, high, endpoint=True)), longest[k])
        row = int(rng.choice(np.flatnonzero(reach_mask(rooms[k], np.empty(0, dtype=np.int64), 0, length - 1))))
        channel, values = _changed(stretches[k].series, kind, strength, (row, row + length), rng)
        if values is not None:
            around = stretches[k].series.rows(row - context, row + length + delay)
            values = values[row - context : row + length + delay]
            series = replace(around, values=values)
            drawn[k].append(Trial(kind, strength, channel, row, series, context, context + length))
    return [trial for trials in drawn for trial in trials]


def find_trials(method: Method, trials: Sequence[Trial], quiet: Mapping[str, BoolArray]) -> BoolArray:
    """Return which trials (n_trials,) a method finds.

    Parameters
    ----------
    method : Method
    trials : sequence of Trial
        Each asset's next to each other.
    quiet : mapping of asset to ndarray of shape (T,), bool
        The method's alarms on each stretch as it is. An event in which there was an alarm before it was put there is
        not found, so a method that is always in alarm finds none.
    """
    found: list[bool] = []
    for asset, own in groupby(trials, key=lambda trial: trial.series.asset):
        group = list(own)
        joined = _end_to_end([trial.series for trial in group])
        alarms = method.alarms(joined, method.score(joined))
        for trial, offset in zip(group, joined.segment_starts.tolist(), strict=True):
            raised = alarms[offset + trial.start : offset + trial.stop].any()
            before = quiet[asset][trial.row : trial.row + trial.stop - trial.start].any()
            found.append(bool(raised and not before))
    return np.array(found, dtype=bool)


def _kinds_and_strengths() -> list[tuple[str, float]]:
    each = [(kind, (1.0,) if kind in ONE_STRENGTH else STRENGTHS) for kind in DEFAULT_STRENGTHS]
    return [(kind, strength) for kind, strengths in each for strength in strengths for _ in range(EVENTS_EACH)]


def _longest(room: BoolArray) -> int:
    runs = events_of(room)  # none crosses a segment: the scores at its start would reach over it
    return int((runs[:, 1] - runs[:, 0]).max(initial=0))


def _changed(
    series: Series, kind: str, strength: float, rows: tuple[int, int], rng: np.random.Generator
) -> tuple[str, FloatArray | None]:
    """Return the first channel by chance in which the event changes a reading, and the new values (T, F)."""
    for k in rng.permutation(series.n_channels).tolist():
        column = series.values[:, [k]]
        if np.isfinite(column).any():
            changed = inject(column, kind, *rows, 0, strength * DEFAULT_STRENGTHS[kind], rng)
            if not np.array_equal(changed, column, equal_nan=True):
                values = series.values.copy()
                values[:, [k]] = changed
                return series.channels[k], values
    return "", None


def _end_to_end(parts: Sequence[Series]) -> Series:
    """Return pieces of one asset's readings as the segments of one series, so that they are scored at once.

    Timestamps may repeat and go back: what scores a segment asks only where its own rows stand on the grid.
    """
    values: FloatArray = np.concatenate([part.values for part in parts])
    stamps = np.concatenate([part.stamps for part in parts])
    starts = np.cumsum([0, *(part.n_timesteps for part in parts[:-1])])
    return replace(parts[0], values=values, stamps=stamps, segment_starts=starts)
