"""The rhythm of readings: after how many timesteps they most resemble themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from offbeat.typing import FloatArray

SHORTEST_LAG = 3  # timesteps


def dominant_period(values: ArrayLike, default: int = 125, *, longest_lag: int = 400) -> int:
    """Return the lag of the highest peak of the autocorrelation, the buffer length that goes with VUS-PR.

    Parameters
    ----------
    values : array of shape (n_timesteps,)
        One channel. Missing readings (NaN) are dropped, and the first 20,000 of the rest used.
    default : int
        Returned where the highest peak lies outside lags 6 to 303, or there is none: a trend, a constant.
    longest_lag : int
        Peaks are looked for up to this lag. With a week of 336 half hours and the default, a daily rhythm of 48 gives
        way to the week, which is out of range, and `default` is returned; with 300 the answer is 48.

    Returns
    -------
    int
        In timesteps.

    Notes
    -----
    With the defaults, `find_length` of TSB-AD 1.5: the biased autocorrelation at lags 3 to 400, its strict local
    maxima, the highest of them.
    """
    channel = np.asarray(values, dtype=np.float64)
    if channel.ndim != 1:
        raise ValueError(f"the period is that of one channel, got values of shape {channel.shape}")
    correlation = _autocorrelation(channel[~np.isnan(channel)][:20_000])[SHORTEST_LAG : longest_lag + 1]
    rises = correlation[1:] > correlation[:-1]
    falls = correlation[1:] < correlation[:-1]
    peaks = np.flatnonzero(rises[:-1] & falls[1:]) + 1
    if not len(peaks):
        return default
    peak = int(peaks[np.argmax(correlation[peaks])])
    # the offset is not counted in the range, so lags 6 to 303 pass; kept, for figures that compare
    return peak + SHORTEST_LAG if 3 <= peak <= 300 else default


def clear_period(values: ArrayLike, longest_lag: int = 300, least_correlation: float = 0.2) -> int | None:
    """Return the lag at which readings (T,) clearly repeat themselves, or None where they do not.

    Parameters
    ----------
    values : array of shape (n_timesteps,)
        One channel. Missing readings (NaN) count as the mean, lest they shift the rhythm; the first 20,000 are used.
    longest_lag : int
        Peaks are looked for up to this lag.
    least_correlation : float
        Peaks that are lower do not count; those of noise stay below the default from a few hundred readings on.

    Notes
    -----
    The highest peak of the biased autocorrelation after it first fell below zero. What lies before is the slope on
    which any slow readings resemble themselves: a little noise makes peaks there too, and `dominant_period` takes
    them. A drift that outweighs the rhythm keeps the autocorrelation above zero, and hides it.
    """
    channel = np.asarray(values, dtype=np.float64)[:20_000]
    missing = np.isnan(channel)
    if missing.all():
        return None
    correlation = _autocorrelation(np.where(missing, channel[~missing].mean(), channel))[: longest_lag + 2]
    before, here, after = correlation[:-2], correlation[1:-1], correlation[2:]
    high = (here > before) & (here > after) & (here >= least_correlation)
    peaks = np.flatnonzero(high & (np.minimum.accumulate(here) < 0)) + 1
    return int(peaks[np.argmax(correlation[peaks])]) if len(peaks) else None


def _autocorrelation(values: FloatArray) -> FloatArray:
    """Return the biased autocorrelation at lags 0 to T - 1; all zero for a constant, which has none."""
    if not len(values) or np.ptp(values) == 0:
        return np.zeros(len(values))
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * len(values))  # padded: no lag wraps around
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: len(values)]
    return np.asarray(products / products[0])
