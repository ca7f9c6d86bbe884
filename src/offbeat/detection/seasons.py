"""Hours of the day and of the week, and the mean reading of each.

Hours are those of the stamps, so in UTC: where clocks change twice a year, habits move by an hour against them.
"""

from __future__ import annotations

import numpy as np

from offbeat.typing import FloatArray, IntArray

HOUR = 3_600_000_000_000  # nanoseconds
THURSDAY = 3  # days after Monday: the day of the week on which stamps begin, 1 January 1970
N_HOURS = {"none": 1, "day": 24, "week": 168}


def hours_of(stamps: IntArray, season: str) -> IntArray:
    """Return the hour (T,) of each stamp (T,) in its season: of the day, or of the week from Monday on.

    All are 0 where `season` is none.
    """
    if season == "none":
        return np.zeros(len(stamps), dtype=np.int64)
    hours: IntArray = (stamps // HOUR + 24 * THURSDAY) % N_HOURS[season]
    return hours


def seasonal_means(values: FloatArray, hours: IntArray, season: str) -> FloatArray:
    """Return the mean of each hour of a season.

    Parameters
    ----------
    values : ndarray of shape (n, n_channels)
        Each channel has at least one reading; NaN is left out.
    hours : ndarray of shape (n,), int
        As `hours_of` returns them.
    season : str
        none, day or week.

    Returns
    -------
    ndarray of shape (n_hours, n_channels)
        An hour of the week without a reading takes the mean of its hour of the day, and one whose hour of the day has
        none either the mean of all.
    """
    means = np.broadcast_to(np.nanmean(values, axis=0), (N_HOURS[season], values.shape[1]))
    for n_hours in (24, 168):  # from the coarse to the fine
        if n_hours <= N_HOURS[season]:
            own = _means(values, hours % n_hours, n_hours)
            wide = np.tile(own, (N_HOURS[season] // n_hours, 1))
            means = np.where(np.isnan(wide), means, wide)
    return np.array(means)


def _means(values: FloatArray, bins: IntArray, n_bins: int) -> FloatArray:
    """Return the mean (n_bins, F) of the rows of each bin, NaN left out; NaN where there is none."""
    known = ~np.isnan(values)
    total, count = np.zeros((2, n_bins, values.shape[1]))
    np.add.at(total, bins, np.where(known, values, 0.0))
    np.add.at(count, bins, known)
    with np.errstate(invalid="ignore"):
        means: FloatArray = total / count
    return means
