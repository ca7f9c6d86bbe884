"""The window that readings ask for, where prepare.window_size is null: as long as the rhythm that they show."""

from __future__ import annotations

import numpy as np

from offbeat.detection.periods import clear_period
from offbeat.errors import ReadingsError
from offbeat.params import CHOSEN_WINDOWS, PrepareParams, PrepareSection
from offbeat.preparation import split_of
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series
from offbeat.typing import FloatArray

WITHOUT_PERIOD = 32  # timesteps


def choose_window(folder: Folder, section: PrepareSection) -> tuple[PrepareParams, list[str]]:
    """Return the params with a window, and in a line which one was chosen and why; none if it was given.

    The choice is the median, over all channels of all assets, of the periods in which the readings of the training span
    clearly repeat themselves, within `CHOSEN_WINDOWS` and as the spans have room; channels without a clear one have no
    say.

    Raises
    ------
    ReadingsError
        If a series is too short for its spans, whatever the window.
    """
    if section.window_size is not None:
        return section.with_window(section.window_size), []
    smallest, largest = CHOSEN_WINDOWS
    loosest = section.with_window(smallest)  # the training span does not depend on the window
    columns = [column for one in folder.series for column in _training_readings(folder, one, loosest).T]
    periods = [period for period in map(clear_period, columns) if period is not None]
    wanted = round(float(np.median(periods))) if periods else WITHOUT_PERIOD
    params = _with_room(folder, section, int(np.clip(wanted, smallest, largest)))
    why = "no channel shows a clear period"
    if periods:
        why = f"{wanted} is the median of the periods that {len(periods)} of {len(columns)} channels show"
    if params.window_size > wanted:
        why += f", and {smallest} is the least"
    elif params.window_size < wanted:
        most = f"{largest} is the most" if params.window_size == largest else "the spans have room for no more"
        why += f", and {most}"
    return params, [f"window of {params.window_size} timesteps, chosen because {why}"]


def _with_room(folder: Folder, section: PrepareSection, window_size: int) -> PrepareParams:
    """Return the params with the longest window, up to a size, for which every span of every asset has room."""
    params = section.with_window(window_size)
    try:
        for series in folder.series:
            split_of(series, folder, params)
    except ReadingsError:
        if window_size <= CHOSEN_WINDOWS[0]:
            raise
        return _with_room(folder, section, window_size - 1)
    return params


def _training_readings(folder: Folder, series: Series, params: PrepareParams) -> FloatArray:
    """Return the longest stretch of the training span without a long gap (n, F), over which no rhythm is kept.

    NaN where a reading is missing or not normal.
    """
    span = series.rows(*split_of(series, folder, params).train)
    start, stop = max(span.segments, key=lambda segment: segment[1] - segment[0])
    unusual = np.any(folder.masks(series), axis=0)[start:stop]
    return np.where(unusual[:, None], np.nan, span.values[start:stop])
