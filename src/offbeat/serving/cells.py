"""Cells of CSV as the service and its client read them: which column holds the timestamps, which text is a number."""

from __future__ import annotations

import math

from offbeat.readings.limits import LARGEST_READING

TIME_COLUMNS = ("timestamp", "datetime", "time", "date", "ts", "index")
MISSING = ("", "na", "nan", "null", "none", "n/a")


def number_of(cell: str) -> float:
    """Return a reading, NaN where it is missing.

    Raises
    ------
    ValueError
        If it is no number, or none that a sensor reads.
    """
    if cell.lower() in MISSING:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        raise ValueError(f"{cell[:40]!r} is no number") from None
    if "_" in cell or not abs(value) <= LARGEST_READING:
        raise ValueError(f"{cell[:40]!r} is no reading: it must lie within ±{LARGEST_READING:g}")
    return value
