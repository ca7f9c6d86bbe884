"""Readings for a detector: files are read on the grid that it learnt, whatever they seem to show of their period."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from offbeat.detection.detector import Detector
from offbeat.errors import ReadingsError
from offbeat.readings.series import Series

if TYPE_CHECKING:
    from offbeat.readings.frames import Period

LEEWAY = 1.5  # of the period at which readings come, before they are put on the detector's
_Read = TypeVar("_Read")


def read_for(
    detector: Detector, read: Callable[[Period | None], _Read], series_of: Callable[[_Read], Sequence[Series]]
) -> _Read:
    """Read on the detector's period.

    Parameters
    ----------
    detector : Detector
    read : callable
        Reads with a given period, or with the one that the readings show.
    series_of : callable
        Takes what `read` returns.

    Raises
    ------
    ReadingsError
        As `read`.
    ModelError
        If the readings come more than `LEEWAY` times slower or faster than those that the detector learnt from.
    """
    try:
        found = read(None)
    except ReadingsError:
        pass  # too few or too irregular to tell their period; what else is wrong is wrong below too
    else:
        for series in series_of(found):
            detector.check_period(series, leeway=LEEWAY)
        if all(series.period == detector.period for series in series_of(found)):
            return found
    return read(detector.period)
