"""The window that readings ask for, where prepare.window_size is null: as long as the rhythm that they show."""

from __future__ import annotations

import numpy as np

from offbeat.detection.periods import dominant_period
from offbeat.params import CHOSEN_WINDOWS, PrepareParams, PrepareSection
from offbeat.preparation import split_of
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series
from offbeat.typing import FloatArray

WITHOUT_PERIOD = 32  # timesteps
LONGEST_LAG = 300  # timesteps: short enough that a day of half hours does not give way to the week
LEAST_CORRELATION = 0.2  # noise of a few hundred readings stays below it


def choose_window(folder: Folder, section: PrepareSection) -> tuple[PrepareParams, list[str]]:
    """Return the params with a window, and in a line which one was chosen and why; none if it was given.

    The choice is the median, over all channels of all assets, of the dominant periods of the normal readings of the
    training span, within `CHOSEN_WINDOWS`; channels without a clear one have no say.

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
    periods = [period for period in map(_clear_period, columns) if period]
    if not periods:
        line = f"window of {WITHOUT_PERIOD} timesteps, chosen because no channel shows a clear period"
        return section.with_window(WITHOUT_PERIOD), [line]
    median = float(np.median(periods))
    chosen = int(np.clip(round(median), smallest, largest))
    beyond = "" if chosen == round(median) else f", but at least {smallest} and at most {largest}"
    line = (
        f"window of {chosen} timesteps, chosen as the median of the dominant periods, {median:g}, that "
        f"{len(periods)} of {len(columns)} channels show{beyond}"
    )
    return section.with_window(chosen), [line]


def _training_readings(folder: Folder, series: Series, params: PrepareParams) -> FloatArray:
    """Return the training span (n, F); NaN where a reading is missing or not normal."""
    start, stop = split_of(series, folder, params).train
    unusual = np.any(folder.masks(series), axis=0)[start:stop]
    return np.where(unusual[:, None], np.nan, series.values[start:stop])


def _clear_period(values: FloatArray) -> int:
    """Return the dominant period of readings (n,) of which some are missing; 0 where none is clear."""
    if np.isnan(values).all():
        return 0
    filled = np.where(np.isnan(values), np.nanmean(values), values)  # to leave them out would shift the rhythm
    return dominant_period(filled, default=0, longest_lag=LONGEST_LAG, least_correlation=LEAST_CORRELATION)
