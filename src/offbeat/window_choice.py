"""The window that readings ask for, where prepare.window_size is null: as long as the rhythm that they show."""

from __future__ import annotations

import math

import numpy as np

from offbeat.detection.periods import clear_period
from offbeat.errors import ReadingsError
from offbeat.params import CHOSEN_WINDOWS, PrepareParams, PrepareSection
from offbeat.preparation import split_of
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series
from offbeat.typing import FloatArray

WANTED = 64  # timesteps


def choose_window(folder: Folder, section: PrepareSection) -> tuple[PrepareParams, list[str]]:
    """Return the params for the folder's channels with a window, and in a line why that one; none if it was given.

    The period is the median, over all channels of all assets, of those in which the readings of the training span
    clearly repeat themselves; channels without a clear one have no say. The window is as many whole periods as make
    `WANTED` timesteps, or `WANTED` where there is no period; at most the largest of `CHOSEN_WINDOWS`, and as the spans
    have room.

    Raises
    ------
    ReadingsError
        If a series is too short for its spans, whatever the window.
    """
    section = section.for_channels(folder.series[0].n_channels)
    if section.window_size is not None:
        return section.with_window(section.window_size), []
    smallest, largest = CHOSEN_WINDOWS
    loosest = section.with_window(smallest)  # the training span does not depend on the window
    columns = [column for one in folder.series for column in _training_readings(folder, one, loosest).T]
    periods = [period for period in map(clear_period, columns) if period is not None]
    period = round(float(np.median(periods))) if periods else WANTED
    wanted = math.ceil(WANTED / period) * period
    params = _with_room(folder, section, min(wanted, largest))
    why = "no channel shows a clear period"
    if periods:
        why = f"{len(periods)} of {len(columns)} channels show a period, {period} in the median"
    if params.window_size < wanted:
        most = f"{largest} is the most" if params.window_size == largest else "the spans have room for no more"
        why += f", and {most}"
    return params, [f"window of {params.window_size} timesteps, chosen because {why}"]


def _with_room(folder: Folder, section: PrepareSection, window_size: int) -> PrepareParams:
    """Return the params with the longest window, up to a size, for which every span of every asset has room."""
    for size in range(window_size, CHOSEN_WINDOWS[0], -1):
        params = section.with_window(size)
        try:
            for series in folder.series:
                split_of(series, folder, params)
        except ReadingsError:
            continue
        return params
    return section.with_window(CHOSEN_WINDOWS[0])  # where there is no room for this either, preparation says so


def _training_readings(folder: Folder, series: Series, params: PrepareParams) -> FloatArray:
    """Return the longest stretch of the training span without a long gap (n, F), over which no rhythm is kept.

    NaN where a reading is missing or not normal.
    """
    span = series.rows(*split_of(series, folder, params).train)
    start, stop = max(span.segments, key=lambda segment: segment[1] - segment[0])
    unusual = np.any(folder.masks(series), axis=0)[start:stop]
    return np.where(unusual[:, None], np.nan, span.values[start:stop])
