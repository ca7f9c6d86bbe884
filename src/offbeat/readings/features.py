"""Raw vibration snapshots in features: a second of tens of thousands of samples becomes a few numbers for each sensor.

The bands split what `rms` sums up: bands that cover the whole spectrum add up to rms², so a band says how much of the
vibration lies there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from offbeat.errors import ReadingsError
from offbeat.typing import FloatArray

Band: TypeAlias = tuple[float, float]  # low, high in Hz: [low, high), and [low, high] where high is half the rate
_BAND_NAME = re.compile(r"(?P<channel>.+)_band_(?P<low>[\d.e+-]+)_(?P<high>[\d.e+-]+)_hz")
FEATURES = ("mean_abs", "rms", "peak", "crest_factor", "kurtosis")


def feature_names(channels: Sequence[str], bands_hz: Sequence[Band]) -> list[str]:
    """Names of all features, channel by channel: ``<channel>_rms``, ``<channel>_band_0_1000_hz`` and so on."""
    names = [*FEATURES, *(f"band_{low:.12g}_{high:.12g}_hz" for low, high in bands_hz)]
    return [f"{channel}_{name}" for channel in channels for name in names]


def band_places(names: Sequence[str]) -> dict[str, list[tuple[Band, int]]]:
    """Return the bands of each sensor and where they stand among feature names, the lowest first."""
    found: dict[str, list[tuple[Band, int]]] = {}
    for place, name in enumerate(names):
        if match := _BAND_NAME.fullmatch(name):
            found.setdefault(match["channel"], []).append(((float(match["low"]), float(match["high"])), place))
    return {channel: sorted(bands) for channel, bands in found.items()}


def check_bands(bands_hz: Sequence[Band], sampling_hz: float) -> None:
    """Check that every band lies between 0 and half the sampling rate, and stands there once.

    Raises
    ------
    ReadingsError
        Naming the sampling rate or the band.
    """
    if not 0 < sampling_hz < math.inf:
        raise ReadingsError(f"sampling_hz must be a number of samples per second above 0, got {sampling_hz}")
    for k, (low, high) in enumerate(bands_hz):
        band = f"band {low:.12g} to {high:.12g} Hz"
        if not 0 <= low < high:
            raise ReadingsError(
                f"{band}: a band goes from a lower to a higher frequency, not below 0: correct bands_hz"
            )
        if high > sampling_hz / 2:
            raise ReadingsError(
                f"{band}: a band may reach {sampling_hz / 2:.12g} Hz, half of sampling_hz={sampling_hz:.12g}: "
                "lower the band, or correct sampling_hz"
            )
        if (low, high) in bands_hz[:k]:
            raise ReadingsError(f"{band} stands in bands_hz more than once: drop one")


def snapshot_features(samples: FloatArray, sampling_hz: float, bands_hz: Sequence[Band]) -> FloatArray:
    """Compute the features of one snapshot for each sensor.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, n_sensors)
        Readings x at equal intervals, in the unit of the sensor; at least one. A sensor of which a sample is NaN or
        infinite gets NaN for every feature.
    sampling_hz : float
        Samples per second.
    bands_hz : sequence of (low, high)
        As `check_bands` lets them pass.

    Returns
    -------
    ndarray of shape (n_sensors, len(FEATURES) + len(bands_hz))
        mean_abs
            mean |x|, its offset from zero included, as in all that follow but kurtosis.
        rms
            sqrt(mean x²).
        peak
            max |x|.
        crest_factor
            peak / rms; NaN where rms is 0.
        kurtosis
            m₄ / m₂² of the central moments over all samples: 3 for normal noise, 1.5 for a sine (Pearson's definition,
            biased). NaN where the sensor is constant.
        band energies
            Mean square of the part of x whose frequency lies in the band, in units squared.

    Raises
    ------
    ReadingsError
        If a band lies between two lines of the spectrum, which are sampling_hz / n_samples apart.

    Notes
    -----
    By Parseval's theorem mean x² = Σ c_k |X_k|² / n² over the lines k = 0 … n // 2 of the discrete Fourier transform X,
    with c_k = 1 for the lines at 0 and at half the sampling rate, 2 for those between. No taper is applied, which would
    break that sum; so a tone between two lines leaves a little of its energy in the bands around its own.
    """
    rows = np.ascontiguousarray(samples.T, dtype=np.float64)  # (n_sensors, n_samples): half the time of columns
    rows = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, np.nan)
    magnitudes = np.abs(rows)
    rms, peak = np.sqrt(np.mean(rows**2, axis=1)), magnitudes.max(axis=1)
    return np.column_stack(
        [
            magnitudes.mean(axis=1),
            rms,
            peak,
            _ratio(peak, rms),
            _kurtosis(rows),
            _band_energies(rows, sampling_hz, bands_hz),
        ]
    )


def _kurtosis(rows: FloatArray) -> FloatArray:
    squares = (rows - rows.mean(axis=1, keepdims=True)) ** 2
    kurtosis = _ratio(np.mean(squares**2, axis=1), squares.mean(axis=1) ** 2)
    # the mean of a constant may be off by rounding, which would leave a ratio of noise
    return np.where(rows.max(axis=1) == rows.min(axis=1), np.nan, kurtosis)


def _band_energies(rows: FloatArray, sampling_hz: float, bands_hz: Sequence[Band]) -> FloatArray:
    """Mean square of each row within each band, shape (n_rows, n_bands)."""
    n_samples = rows.shape[1]
    spectrum = np.fft.rfft(rows, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) * (2 / n_samples**2)  # (n_rows, n_samples // 2 + 1)
    power[:, 0] /= 2
    if n_samples % 2 == 0:
        power[:, -1] /= 2
    frequencies = np.arange(power.shape[1]) * sampling_hz / n_samples
    energies = np.empty((len(rows), len(bands_hz)))
    for k, (low, high) in enumerate(bands_hz):
        first, stop = np.searchsorted(frequencies, (low, high))
        stop = power.shape[1] if high >= sampling_hz / 2 else stop
        if first >= stop:
            raise ReadingsError(
                f"band {low:.12g} to {high:.12g} Hz lies between two lines of the spectrum, which "
                f"{n_samples:,} samples at {sampling_hz:.12g} Hz put {sampling_hz / n_samples:.4g} Hz apart: widen it"
            )
        energies[:, k] = power[:, first:stop].sum(axis=1)
    return energies


def _ratio(top: FloatArray, bottom: FloatArray) -> FloatArray:
    """Divide; NaN where the bottom is 0."""
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom != 0)
