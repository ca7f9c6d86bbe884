"""Readings to what a network sees, and back: logarithm, seasonal means, differences, scaling.

Each asset has its own numbers, fitted on normal rows of its training span alone, so that one network serves machines
that run at different levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from offbeat.detection.seasons import hours_of, seasonal_means
from offbeat.detection.windows import reach_mask
from offbeat.errors import ReadingsError
from offbeat.params import Preprocessing
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray, IntArray

AT_ONCE = 1 << 20  # readings in double precision, some times over: 8 MB each
NORMAL_QUARTILES = 1.349  # distance of the quartiles of a normal distribution, in standard deviations


@dataclass(frozen=True, eq=False)
class Scaling:
    """What was learnt of an asset's channels.

    Attributes
    ----------
    preprocessing : Preprocessing
    profile : ndarray of shape (n_hours, F)
        What is taken from the readings (their logarithms, if so) at each hour of the season. Without a season one row:
        zeros or, with differences, the mean, which differences then lose.
    centre, scale : ndarray of shape (F,)
        Of what is left, in its units.
    """

    preprocessing: Preprocessing
    profile: FloatArray
    centre: FloatArray
    scale: FloatArray

    def apply(self, series: Series) -> FloatArray:
        """Return the readings of a series in scaled units, (T, F), float32, cut at ±`clip`.

        A missing reading is NaN. So is a difference of which one reading is missing, or that would reach over a long
        gap: the first of a segment. A reading below zero counts as zero where logarithms are taken: it has none, and
        to call it missing would hide it.
        """
        n, difference = series.n_timesteps, self.preprocessing.difference
        scaled = np.empty(series.values.shape, dtype=np.float32)
        rows_at_once = max(AT_ONCE // max(series.n_channels, 1), 1)
        for start in range(0, n, rows_at_once):
            first, stop = max(start - difference, 0), min(start + rows_at_once, n)
            scaled[start:stop] = self._applied(series.rows(first, stop))[start - first :]
        return scaled

    def _applied(self, series: Series) -> FloatArray:
        level, clip = _level(series, self.preprocessing, self.profile), self.preprocessing.clip
        steps = level - _before(level, series.segment_starts) if self.preprocessing.difference else level
        return np.clip((steps - self.centre) / self.scale, -clip, clip)

    def invert(self, scaled: FloatArray, series: Series) -> FloatArray:
        """Return values (T, F) in scaled units as readings, float64.

        Parameters
        ----------
        scaled : ndarray of shape (n_timesteps, n_channels)
            Of the timesteps of `series`, such as what a network made of them.
        series : Series
            Gives the hours and, for differences, the reading before each timestep.

        Returns
        -------
        ndarray of the same shape
            `invert(apply(series), series)` are the readings, but for what `apply` cut and the precision of float32.
            With differences NaN where the reading before is missing.
        """
        values = scaled.astype(np.float64) * self.scale + self.centre
        if self.preprocessing.difference:
            values = values + _before(_level(series, self.preprocessing, self.profile), series.segment_starts)
        return self._readings(values, series.stamps)

    def usual_readings(self, stamps: IntArray) -> FloatArray:
        """Return readings (T, F) as they usually are at some stamps (T,)."""
        level = np.zeros_like(self.centre) if self.preprocessing.difference else self.centre
        return self._readings(np.broadcast_to(level, (len(stamps), len(level))), stamps)

    def _readings(self, level: FloatArray, stamps: IntArray) -> FloatArray:
        values: FloatArray = level + self.profile[hours_of(stamps, self.preprocessing.season)]
        return np.expm1(values) if self.preprocessing.transform == "log" else values


def fit_scaling(
    series: Series, normal: BoolArray, preprocessing: Preprocessing, usual_scale: FloatArray | None = None
) -> Scaling:
    """Learn the scaling of an asset.

    Parameters
    ----------
    series : Series
    normal : ndarray of shape (n_timesteps,), bool
        Which rows count; each channel has at least one reading in them.
    preprocessing : Preprocessing
    usual_scale : ndarray of shape (n_channels,), optional
        Takes the place of a scale that is zero: a channel that did not move here is measured by how much it moves
        elsewhere. Where that is zero or absent, the scale is 1.

    Raises
    ------
    ReadingsError
        If the logarithm of a reading below zero is asked for, or a channel has no difference.
    """
    return scaling_of(measure(series, normal, preprocessing), preprocessing, usual_scale)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a scaling is made of.

    Attributes
    ----------
    profile : ndarray of shape (n_hours, F)
        As of `Scaling`.
    centre, spread, size : ndarray of shape (F,)
        Middle and scale of what is scaled, and the size of what that is made of.
    moves : ndarray of shape (F,), bool
        Whether the channel does.
    """

    profile: FloatArray
    centre: FloatArray
    spread: FloatArray
    size: FloatArray
    moves: BoolArray


def usual_scale_of(measured: Sequence[Measured]) -> FloatArray:
    """Return the usual scale (F,) of like assets: of each channel the median over those in which it moves, or 0."""
    scales = np.stack([one.spread for one in measured])  # (assets, F)
    moves = np.stack([one.moves for one in measured])
    return np.array([np.median(s[m]) if m.any() else 0.0 for s, m in zip(scales.T, moves.T, strict=True)])


def scaling_of(measured: Measured, preprocessing: Preprocessing, usual_scale: FloatArray | None) -> Scaling:
    """Return the scaling of an asset; `usual_scale` as for `fit_scaling`."""
    spread = measured.spread
    still = spread <= 1e-9 * measured.size  # what rounding leaves of a constant, whatever its unit
    fallback = np.ones_like(spread) if usual_scale is None else np.where(usual_scale > 0, usual_scale, 1.0)
    return Scaling(preprocessing, measured.profile, measured.centre, np.where(still, fallback, spread))


def measure(series: Series, normal: BoolArray, preprocessing: Preprocessing) -> Measured:
    """Measure the normal rows (T,) of an asset; errors as for `fit_scaling`.

    Channels are taken a few at a time, so that what is made on the way does not grow with all of the readings.
    """
    n_at_once = max(AT_ONCE // max(series.n_timesteps, 1), 1)
    some = [
        _measure_some(_channels_of(series, first, first + n_at_once), normal, preprocessing)
        for first in range(0, series.n_channels, n_at_once)
    ]
    return Measured(**{name: np.concatenate([vars(one)[name] for one in some], axis=-1) for name in vars(some[0])})


def _channels_of(series: Series, first: int, stop: int) -> Series:
    return replace(series, channels=series.channels[first:stop], values=series.values[:, first:stop])


def _measure_some(series: Series, normal: BoolArray, preprocessing: Preprocessing) -> Measured:
    if preprocessing.transform == "log":
        _check_not_negative(series, normal)
    learnt = _transformed(series.values[normal], preprocessing)
    profile = _profile(learnt, series.stamps[normal], preprocessing)
    level = _level(series, preprocessing, profile)
    if preprocessing.difference:
        both = reach_mask(normal, series.segment_starts, 1, 0)  # a difference is normal if both of its readings are
        steps: FloatArray = (level - _before(level, series.segment_starts))[both]
        _check_differences(series, steps)
    else:
        steps = level[normal]
    centre, spread = _centre_and_spread(steps, preprocessing.scaling)
    moves = np.nanmin(learnt, axis=0) < np.nanmax(learnt, axis=0)
    return Measured(profile, centre, spread, np.abs(np.nanmean(learnt, axis=0)), moves)


def _transformed(values: FloatArray, preprocessing: Preprocessing) -> FloatArray:
    values = values.astype(np.float64, copy=False)  # single precision would be too little for sums
    return values if preprocessing.transform == "none" else np.log1p(np.maximum(values, 0.0))


def _profile(learnt: FloatArray, stamps: IntArray, preprocessing: Preprocessing) -> FloatArray:
    season = preprocessing.season
    if season == "none" and not preprocessing.difference:
        return np.zeros((1, learnt.shape[1]))
    return seasonal_means(learnt, hours_of(stamps, season), season)


def _level(series: Series, preprocessing: Preprocessing, profile: FloatArray) -> FloatArray:
    """Return what is left of the readings (T, F), or of their logarithms, without the profile."""
    usual = profile[hours_of(series.stamps, preprocessing.season)]
    return _transformed(series.values, preprocessing) - usual


def _before(level: FloatArray, segment_starts: IntArray) -> FloatArray:
    """Return for each row (T, F) the row before it in the same segment; NaN where there is none."""
    before = np.roll(level, 1, axis=0)
    before[segment_starts] = np.nan
    return before


def _centre_and_spread(values: FloatArray, rule: str) -> tuple[FloatArray, FloatArray]:
    """Return the middle and the scale (F,) of each channel of values (n, F), missing ones left out.

    standard: mean and standard deviation. min_max: middle and half of the range, so that what was learnt from comes to
    lie from -1 to 1. robust: median, and the distance of the quartiles in units of that of a normal distribution's
    standard deviation; or the standard deviation itself where half of the values or more are one and the same.
    """
    if rule == "min_max":
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        return (low + high) / 2, (high - low) / 2
    deviation: FloatArray = np.nanstd(values, axis=0)
    if rule == "standard":
        return np.nanmean(values, axis=0), deviation
    first, median, third = np.nanpercentile(values, (25, 50, 75), axis=0)
    spread = (third - first) / NORMAL_QUARTILES
    return median, np.where(spread > 0, spread, deviation)


def _check_not_negative(series: Series, normal: BoolArray) -> None:
    for channel, column in zip(series.channels, series.values[normal].T, strict=True):
        if (column < 0).any():
            raise ReadingsError(
                f"asset '{series.asset}': channel '{channel}' has a reading of {np.nanmin(column):g} among those to "
                "learn from, and prepare.transform=log takes none below 0: set prepare.transform to none, or exclude "
                "the readings that are wrong"
            )


def _check_differences(series: Series, steps: FloatArray) -> None:
    for channel, column in zip(series.channels, steps.T, strict=True):
        if np.isnan(column).all():
            raise ReadingsError(
                f"asset '{series.asset}': channel '{channel}' has no two normal readings in a row to learn from, which "
                "prepare.difference=1 takes: set prepare.difference to 0, or give more readings"
            )
