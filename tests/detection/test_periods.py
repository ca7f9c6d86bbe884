"""The dominant period is the lag at which readings most resemble themselves, and none is made up."""

import naive
import numpy as np
import pytest

from offbeat.detection.periods import dominant_period


@pytest.mark.parametrize("period", [8, 25, 100, 290])
def test_the_period_of_a_sine_is_found_in_noise_and_with_readings_missing(period):
    rng = np.random.default_rng(0)
    values = np.sin(2 * np.pi * np.arange(6000) / period) + 0.05 * rng.normal(size=6000)
    values[-40:] = np.nan
    assert dominant_period(values) == pytest.approx(period, abs=2)


def test_the_period_is_the_highest_peak_of_the_plain_autocorrelation():
    rng = np.random.default_rng(3)
    values = np.convolve(rng.normal(size=260), np.ones(6), "valid") + np.sin(np.arange(255) / 4)
    correlation = [naive.autocorrelation_at(values.tolist(), lag) for lag in range(len(values))]
    peaks = [k for k in range(4, 254) if correlation[k] > max(correlation[k - 1], correlation[k + 1])]
    assert dominant_period(values) == max(peaks, key=lambda k: correlation[k])


@pytest.mark.parametrize("values", [np.ones(500), np.arange(500.0), np.full(9, np.nan), [], [1.0], [1.0, 2.0, 1.0]])
def test_what_has_no_period_gets_the_default(values):
    assert dominant_period(values) == 125
    assert dominant_period(values, default=60) == 60


def test_a_day_is_found_within_a_week_where_longer_lags_are_not_looked_at():
    t = np.arange(48 * 7 * 8)
    values = np.sin(2 * np.pi * t / 48) + 0.8 * np.isin(t // 48 % 7, (5, 6))  # half hours, quieter on five days
    assert dominant_period(values) == 125  # the week of 336 is out of range
    assert dominant_period(values, longest_lag=300) == 48


def test_a_peak_lower_than_asked_for_does_not_count():
    rng = np.random.default_rng(0)
    noise, rhythm = rng.normal(size=400), np.sin(2 * np.pi * np.arange(400) / 40)
    assert dominant_period(noise, default=0) > 0  # some lag is always the highest
    assert dominant_period(noise, default=0, least_correlation=0.2) == 0
    assert dominant_period(noise + 2 * rhythm, default=0, least_correlation=0.2) == pytest.approx(40, abs=2)


def test_the_period_is_that_of_one_channel():
    with pytest.raises(ValueError, match=r"one channel, got values of shape \(4, 2\)"):
        dominant_period(np.zeros((4, 2)))
