"""Where in the day and in the week a reading stands, as a network can read it."""

from __future__ import annotations

import numpy as np

from offbeat.typing import FloatArray, IntArray

NS_PER_HOUR = 3_600_000_000_000
HOURS = {"day": (24,), "week": (24, 168)}
N_COLUMNS = {"none": 0, **{name: 2 * len(hours) for name, hours in HOURS.items()}}


def calendar_code(stamps: IntArray, n_columns: int) -> FloatArray:
    """Return sine and cosine of the hour of the day, then of the hour of the week.

    Parameters
    ----------
    stamps : ndarray of shape (n_timesteps,), int
        Nanoseconds since 1970, UTC, which was a Thursday.
    n_columns : int
        0, 2 for the day, or 4 for day and week.

    Returns
    -------
    ndarray of shape (n_timesteps, n_columns), float32
    """
    columns = []
    for hours in HOURS["week"][: n_columns // 2]:
        cycle = hours * NS_PER_HOUR
        angle = 2 * np.pi * (stamps % cycle) / cycle
        columns += [np.sin(angle), np.cos(angle)]
    return np.array(columns, dtype=np.float32).reshape(n_columns, len(stamps)).T
