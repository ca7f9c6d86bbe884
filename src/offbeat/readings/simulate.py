"""The bundled sample fleet: six pumps with labelled events.

Six like pumps follow one demand: speed follows demand, flow and pressure follow speed, current follows torque, the
temperatures lag behind. Every event breaks one of these ties while most readings stay inside their usual range.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.injection import DEFAULT_STRENGTHS, inject
from offbeat.readings.layout import new_folder, write_readings, write_spans
from offbeat.typing import FloatArray

CHANNELS = {  # name: decimals in the file
    "speed_rpm": 0,
    "flow_m3h": 1,
    "discharge_pressure_bar": 2,
    "motor_current_a": 1,
    "bearing_temp_c": 1,
    "vibration_mm_s": 2,
    "motor_temp_c": 1,
}
N_PUMPS = 6
N_DAYS = 60
ROWS_PER_DAY = 144  # one reading every 10 minutes
N_ROWS = N_DAYS * ROWS_PER_DAY
TEST_START = N_ROWS * 8 // 10
START = pd.Timestamp("2026-01-05")  # a Monday, UTC


@dataclass(frozen=True)
class _Plan:
    """How often a kind stands in the test span, its least and greatest length in rows, and the channels it may hit."""

    count: int
    shortest: int
    longest: int
    channels: tuple[int, ...]


_PLANS = {
    "spike": _Plan(3, 1, 3, (1, 2, 3)),
    "level_shift": _Plan(3, 36, 96, (1, 2, 3)),
    "slow_drift": _Plan(2, 144, 216, (1, 2, 4)),
    "stuck_sensor": _Plan(2, 72, 120, (1, 2, 3)),
    "noise_burst": _Plan(3, 24, 72, (2, 3, 4)),
    "broken_correlation": _Plan(2, 108, 180, (1, 2, 3)),
    "phase_shift": _Plan(2, 120, 180, (1, 2, 3)),
}
# pump number: kind of an event in its training span, so that keeping labelled events out of training is exercised
_EARLY_EVENTS = {1: "level_shift", 2: "spike", 4: "stuck_sensor", 5: "noise_burst"}
_STOPPED = {3: (3168, 3300)}  # pump number: rows of its maintenance
_WARM_UP = 60  # rows from restart until the temperatures are back
_GAPS = {2: (3600, 3672), 5: (2900, 2904)}  # pump number: rows that were never recorded (12 hours, 40 minutes)
_DEGRADATION = 3 * ROWS_PER_DAY  # how long before the end the last pump begins to fail
_MISSING_SHARE = 0.001


def simulate_fleet(directory: Path, seed: int) -> None:
    """Write the sample fleet: 6 pumps, 60 days of 10-minute readings, labelled events, one maintenance stretch.

    The last fifth of each pump's readings holds most events, the first three fifths a few, the fifth between none.
    The last pump degrades to failure. The same seed writes the same bytes.

    Parameters
    ----------
    directory : Path
        Missing or empty folder; written whole or not at all.
    seed : int
        Not negative.

    Raises
    ------
    ReadingsError
        If the seed is negative or the folder is not empty.
    """
    if seed < 0:
        raise ReadingsError(f"the seed must not be negative, got {seed}: choose 0 or any larger whole number")
    times = pd.date_range(START, periods=N_ROWS, freq="10min")
    scheduled = _schedule(np.random.default_rng([seed, 0]))
    labels: list[tuple[object, ...]] = []
    exclusions: list[tuple[object, ...]] = []
    with new_folder(directory) as folder:
        for pump in range(1, N_PUMPS + 1):
            rng = np.random.default_rng([seed, pump])
            stopped = _STOPPED.get(pump)
            values, events = _with_events(pump_values(rng, stopped), scheduled[pump], rng, degrades=pump == N_PUMPS)
            frame = _as_recorded(values, events, _GAPS.get(pump), times, rng)
            write_readings(folder, f"pump-{pump}", frame)
            labels += [(f"pump-{pump}", times[start], times[stop - 1], kind) for kind, start, stop in events]
            if stopped:
                exclusions.append((f"pump-{pump}", times[stopped[0]], times[stopped[1] + _WARM_UP - 1], "maintenance"))
        write_spans(folder, "labels", labels)
        write_spans(folder, "exclude", exclusions)


def pump_values(rng: np.random.Generator, stopped: tuple[int, int] | None = None) -> FloatArray:
    """Simulate one normal pump over the whole span.

    Parameters
    ----------
    rng : numpy Generator
        Draws the pump's own levels, its load and its noise.
    stopped : pair of int, optional
        First row at a standstill, and the first after it.

    Returns
    -------
    ndarray of shape (N_ROWS, 7)
        In the order and units of `CHANNELS`.

    Notes
    -----
    The working point is where the pump's curve ``a s² - b q²`` meets the system's ``h + r q²``, with speed `s` and
    flow `q` relative to their rated values.
    """
    gains = 1 + 0.06 * rng.uniform(-1, 1, len(CHANNELS))
    running = np.ones(N_ROWS)
    if stopped:
        running[slice(*stopped)] = 0
    speed = (0.55 + 0.45 * _demand(rng)) * running
    resistance = 0.9 + 0.02 * _autoregressive(rng, 0.995)
    flow = np.sqrt(np.maximum(1.6 * speed**2 - 0.15, 0) / (0.55 + resistance))
    pressure = 0.15 + resistance * flow**2
    torque = 0.25 * running + 0.75 * flow * pressure / np.maximum(speed, 0.1)
    ambient = _ambient(rng)
    motor_temp = ambient + _lagged(12 * running + 42 * torque, 18)
    bearing_temp = ambient + _lagged(20 * speed**2 + 8 * torque + 4 * running, 30)
    vibration = 0.08 + 0.6 * running + 1.6 * speed**3
    clean = np.column_stack([speed, flow, pressure, torque, bearing_temp, vibration, motor_temp])
    rated = np.array([1480.0, 185.0, 6.2, 58.0, 1.0, 1.0, 1.0]) * gains
    noise_sd = np.array([2.5, 0.9, 0.035, 0.30, 0.22, 0.035, 0.25])
    noise = np.column_stack([_autoregressive(rng, 0.4) for _ in CHANNELS]) * noise_sd  # (T, F)
    noise[:, :4] *= running[:, None]
    values: FloatArray = np.maximum(clean * rated + noise, 0)
    return values


def _demand(rng: np.random.Generator) -> FloatArray:
    """Relative demand, about 0.3 to 1: a daily rhythm that is weaker at weekends, load steps, slow wandering."""
    row = np.arange(N_ROWS)
    hour = 2 * np.pi * (row % ROWS_PER_DAY) / ROWS_PER_DAY
    weekend = (row // ROWS_PER_DAY) % 7 >= 5
    rhythm = -0.16 * np.cos(hour - 0.5) - 0.05 * np.cos(2 * (hour - 0.9))
    steps = np.empty(N_ROWS)
    at = 0
    while at < N_ROWS:
        hold = int(rng.integers(30, 120))  # a set point is held for 5 to 20 hours
        steps[at : at + hold] = rng.choice([-0.12, -0.06, 0.0, 0.0, 0.06, 0.12])
        at += hold
    level = 0.66 + rhythm * np.where(weekend, 0.6, 1.0) - 0.07 * weekend + steps
    return _lagged(level, 3) + 0.02 * _autoregressive(rng, 0.99)


def _ambient(rng: np.random.Generator) -> FloatArray:
    hour = 2 * np.pi * np.arange(N_ROWS) / ROWS_PER_DAY
    return 18 - 3.5 * np.cos(hour - 0.8) + 1.5 * _autoregressive(rng, 0.998)


def _lagged(target: FloatArray, lag_rows: float) -> FloatArray:
    """Follow the target as a first-order lag does, starting on it."""
    followed, level = [], float(target[0])
    for goal in target.tolist():
        level += (goal - level) / lag_rows
        followed.append(level)
    return np.array(followed)


def _autoregressive(rng: np.random.Generator, memory: float) -> FloatArray:
    """Noise of unit variance whose neighbours correlate by `memory`."""
    steps = rng.standard_normal(N_ROWS)
    steps[1:] *= np.sqrt(1 - memory**2)
    noise, level = [], 0.0
    for step in steps.tolist():
        level = memory * level + step
        noise.append(level)
    return np.array(noise)


_Event = tuple[str, int, int]


def _schedule(rng: np.random.Generator) -> dict[int, list[_Event]]:
    """Deal the planned events out over the pumps' test spans, one to a slot, and add the early ones."""
    kinds = [kind for kind, plan in _PLANS.items() for _ in range(plan.count)]
    rng.shuffle(kinds)
    scheduled: dict[int, list[_Event]] = {}
    for pump in range(1, N_PUMPS + 1):
        events = [_placed(rng, _EARLY_EVENTS[pump], 600, 2400)] if pump in _EARLY_EVENTS else []
        last = N_ROWS - (_DEGRADATION if pump == N_PUMPS else 0)
        edges = np.linspace(TEST_START + ROWS_PER_DAY, last, (2 if pump == N_PUMPS else 3) + 1).astype(int)
        events += [_placed(rng, kinds.pop(), int(left), int(right)) for left, right in pairwise(edges)]
        scheduled[pump] = events
    return scheduled


def _placed(rng: np.random.Generator, kind: str, left: int, right: int) -> _Event:
    length = int(rng.integers(_PLANS[kind].shortest, _PLANS[kind].longest, endpoint=True))
    # half a day of normal readings on either side tells neighbours apart
    start = int(rng.integers(left + 72, right - 72 - length, endpoint=True))
    return kind, start, start + length


def _with_events(
    values: FloatArray, events: list[_Event], rng: np.random.Generator, degrades: bool
) -> tuple[FloatArray, list[_Event]]:
    for kind, start, stop in events:
        channel = int(rng.choice(_PLANS[kind].channels))
        strength = DEFAULT_STRENGTHS[kind] * rng.uniform(0.9, 1.2)
        values = inject(values, kind, start, stop, channel, strength, rng)
    if not degrades:
        return np.maximum(values, 0), events
    start = N_ROWS - _DEGRADATION
    return _degraded(np.maximum(values, 0), start), [*events, ("degradation", start, N_ROWS)]


def _degraded(values: FloatArray, start: int) -> FloatArray:
    """Let a bearing wear out from `start` on: vibration and bearing temperature rise ever faster."""
    worn = values.copy()
    wear = (np.arange(1, len(values) - start + 1) / (len(values) - start)) ** 1.5
    bearing, vibration = list(CHANNELS).index("bearing_temp_c"), list(CHANNELS).index("vibration_mm_s")
    worn[start:, vibration] *= 1 + 2.5 * wear
    worn[start:, bearing] += 22 * wear
    return worn


def _as_recorded(
    values: FloatArray,
    events: list[_Event],
    gap: tuple[int, int] | None,
    times: pd.DatetimeIndex,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Round as the recorder does, lose a few cells outside the events, and leave out the rows of the gap."""
    lost = rng.random(values.shape) < _MISSING_SHARE
    for _, start, stop in events:
        lost[start:stop] = False
    columns = {
        name: pd.Series(np.round(values[:, at], decimals), index=times).mask(lost[:, at])
        for at, (name, decimals) in enumerate(CHANNELS.items())
    }
    frame = pd.DataFrame(columns).astype({name: "Int64" for name, decimals in CHANNELS.items() if decimals == 0})
    return frame.drop(index=times[slice(*gap)]) if gap else frame
