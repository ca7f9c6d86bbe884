"""The rhythm of readings: after how many timesteps they most resemble themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from offbeat.typing import FloatArray

SHORTEST_LAG = 3  # timesteps


def dominant_period(
    values: ArrayLike, default: int = 125, *, longest_lag: int = 400, least_correlation: float = -1.0
) -> int:
    """Return the lag of the highest peak of the autocorrelation.

    With the defaults it is the buffer length that goes with VUS-PR.

    Parameters
    ----------
    values : array of shape (n_timesteps,)
        One channel. Missing readings (NaN) are dropped, and the first 20,000 of the rest used.
    default : int
        Returned where the highest peak lies outside lags 6 to 303, or there is none: a trend, a constant.
    longest_lag : int
        Peaks are looked for up to this lag. With a week of 336 half hours and the default, a daily rhythm of 48 gives
        way to the week, which is out of range, and `default` is returned; with 300 the answer is 48.
    least_correlation : float
        Peaks that are lower do not count.

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
    peaks = peaks[correlation[peaks] >= least_correlation]
    if not len(peaks):
        return default
    peak = int(peaks[np.argmax(correlation[peaks])])
    # the offset is not counted in the range, so lags 6 to 303 pass; kept, for figures that compare
    return peak + SHORTEST_LAG if 3 <= peak <= 300 else default


def _autocorrelation(values: FloatArray) -> FloatArray:
    """Return the biased autocorrelation at lags 0 to T - 1; all zero for a constant, which has none."""
    if not len(values) or np.ptp(values) == 0:
        return np.zeros(len(values))
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 2 * len(values))  # padded: no lag wraps around
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: len(values)]
    return np.asarray(products / products[0])
