"""The window that readings ask for, where prepare.window_size is null: as long as the rhythm that they show."""

from __future__ import annotations

import math

import numpy as np

from offbeat.detection.periods import clear_period
from offbeat.params import CHOSEN_WINDOWS, PrepareParams, PrepareSection
from offbeat.preparation import split_of
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series
from offbeat.typing import FloatArray


def choose_window(folder: Folder, section: PrepareSection) -> tuple[PrepareParams, list[str]]:
    """Return the params with a window, and in a line which one was chosen and why; none if it was given.

    The period is the median, over all channels of all assets, of those in which the normal readings of the training
    span clearly repeat themselves; channels without a clear one have no say. The window is as many whole periods as
    make the smallest of `CHOSEN_WINDOWS`, at most the largest; the smallest where there is no period.

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
    if not periods:
        line = f"window of {smallest} timesteps, chosen because no channel shows a clear period"
        return section.with_window(smallest), [line]
    period = round(float(np.median(periods)))
    whole = math.ceil(smallest / period) * period
    chosen = min(whole, largest)
    beyond = "" if chosen == whole else f", cut at {largest}"
    line = (
        f"window of {chosen} timesteps, chosen as whole periods of {period}, the median of those that "
        f"{len(periods)} of {len(columns)} channels show{beyond}"
    )
    return section.with_window(chosen), [line]


def _training_readings(folder: Folder, series: Series, params: PrepareParams) -> FloatArray:
    """Return the training span (n, F); NaN where a reading is missing or not normal."""
    start, stop = split_of(series, folder, params).train
    unusual = np.any(folder.masks(series), axis=0)[start:stop]
    return np.where(unusual[:, None], np.nan, series.values[start:stop])
