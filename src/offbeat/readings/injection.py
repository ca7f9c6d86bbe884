"""Put events of known kind into readings.

Each kind is one pure function of a channel's readings that gives its new values inside the event; `inject` is the door.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offbeat.typing import FloatArray

# What `inject` takes as strength where nothing better is known; the unit is the kind's own, see `inject`.
DEFAULT_STRENGTHS = {
    "spike": 4.0,
    "level_shift": 1.5,
    "slow_drift": 2.5,
    "stuck_sensor": 1.0,
    "noise_burst": 1.0,
    "broken_correlation": 1.0,
    "phase_shift": 0.25,
}
EVENT_KINDS = tuple(DEFAULT_STRENGTHS)


def inject(
    values: FloatArray, kind: str, start: int, stop: int, channel: int, strength: float, rng: np.random.Generator
) -> FloatArray:
    """Put one event into `[start, stop)` of one channel and leave every other reading as it is.

    Parameters
    ----------
    values : ndarray of shape (T, F)
        Readings; not written to. A NaN stays NaN.
    kind : str
        One of `EVENT_KINDS`.
    start, stop : int
        First timestep of the event, and the first after it.
    channel : int
        Column to change. A constant channel stays as it is, for its standard deviation is the unit of change.
    strength : float
        Above 0. For `spike` and `level_shift` the step, for `slow_drift` the step reached at its end and for
        `noise_burst` the standard deviation of the noise, all in standard deviations of the channel (by its quartiles,
        so that a standstill does not count). For
        `broken_correlation` how far the channel moves against its own course (1: its mirror image), never leaving the
        range it has in `values`. For `phase_shift` the delay as a share of the event's length. A `stuck_sensor` has
        only one strength.
    rng : numpy Generator
        Picks signs and noise.

    Returns
    -------
    ndarray of shape (T, F)

    Raises
    ------
    ValueError
        If the kind is unknown, the span does not lie in the readings, the channel is all NaN, or nothing stands
        before a `phase_shift`.
    """
    if kind not in _INJECTORS:
        raise ValueError(f"kind must be one of {', '.join(EVENT_KINDS)}, got {kind!r}")
    if not 0 <= start < stop <= len(values):
        raise ValueError(f"an event must lie within the {len(values)} readings, got [{start}, {stop})")
    if not strength > 0:
        raise ValueError(f"strength must be above 0, got {strength}")
    if not np.isfinite(values[:, channel]).any():
        raise ValueError(f"channel {channel} has no reading at all: choose another")
    if kind == "phase_shift" and start == 0:
        raise ValueError("a phase_shift needs readings before it: start it at 1 or later")
    changed = values.copy()
    changed[start:stop, channel] = _INJECTORS[kind](values[:, channel], start, stop, strength, rng)
    changed[np.isnan(values)] = np.nan
    return changed


def _spread(column: FloatArray) -> float:
    """Tell the standard deviation by the quartiles of a normal distribution, or plainly where they coincide."""
    low, high = np.nanquantile(column, [0.25, 0.75])
    return float((high - low) / 1.349 if high > low else np.nanstd(column))


def _level_shift(column: FloatArray, start: int, stop: int, strength: float, rng: np.random.Generator) -> FloatArray:
    return column[start:stop] + float(rng.choice([-1.0, 1.0])) * strength * _spread(column)


def _slow_drift(column: FloatArray, start: int, stop: int, strength: float, rng: np.random.Generator) -> FloatArray:
    ramp = np.arange(1, stop - start + 1) / (stop - start)
    return column[start:stop] + float(rng.choice([-1.0, 1.0])) * strength * _spread(column) * ramp


def _stuck_sensor(column: FloatArray, start: int, stop: int, _strength: float, _rng: np.random.Generator) -> FloatArray:
    seen = column[: start + 1][np.isfinite(column[: start + 1])]
    return np.full(stop - start, seen[-1] if len(seen) else np.nan)


def _noise_burst(column: FloatArray, start: int, stop: int, strength: float, rng: np.random.Generator) -> FloatArray:
    return column[start:stop] + strength * _spread(column) * rng.standard_normal(stop - start)


def _broken_correlation(
    column: FloatArray, start: int, stop: int, strength: float, _rng: np.random.Generator
) -> FloatArray:
    part = column[start:stop]
    if np.isnan(part).all():
        return part
    centre = np.nanmean(part)
    mirrored: FloatArray = np.clip(centre - strength * (part - centre), np.nanmin(column), np.nanmax(column))
    return mirrored


def _phase_shift(column: FloatArray, start: int, stop: int, strength: float, _rng: np.random.Generator) -> FloatArray:
    delay = min(max(1, round(strength * (stop - start))), start)
    return column[start - delay : stop - delay]


_Injector = Callable[[FloatArray, int, int, float, np.random.Generator], FloatArray]
_INJECTORS: dict[str, _Injector] = {
    "spike": _level_shift,  # a spike is a level shift of one to three timesteps
    "level_shift": _level_shift,
    "slow_drift": _slow_drift,
    "stuck_sensor": _stuck_sensor,
    "noise_burst": _noise_burst,
    "broken_correlation": _broken_correlation,
    "phase_shift": _phase_shift,
}
