"""The dominant period is the lag at which readings most resemble themselves, and none is made up."""

import naive
import numpy as np
import pytest

from offbeat.detection.periods import clear_period, dominant_period


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


@pytest.mark.parametrize("period", [2, 10, 40, 200, 300])
def test_a_clear_period_is_found_in_noise_and_with_readings_missing(period):
    rng, t = np.random.default_rng(0), np.arange(1200)
    values = 3 * np.cos(2 * np.pi * t / period) + rng.normal(size=1200)
    values[400:417] = np.nan
    assert clear_period(values) == pytest.approx(period, rel=0.03)


def test_the_clear_period_is_the_highest_peak_of_the_plain_autocorrelation_after_it_fell_below_zero():
    rng = np.random.default_rng(3)
    values = np.convolve(rng.normal(size=260), np.ones(6), "valid") + 3 * np.sin(np.arange(255) / 4)
    correlation = [naive.autocorrelation_at(values.tolist(), lag) for lag in range(len(values))]
    fallen = next(lag for lag, value in enumerate(correlation) if value < 0)
    peaks = [k for k in range(fallen + 1, 254) if correlation[k] > max(correlation[k - 1], correlation[k + 1])]
    assert clear_period(values) == max(peaks, key=lambda k: correlation[k])


def test_what_repeats_itself_faintly_or_not_at_all_has_no_clear_period():
    noise, t = np.random.default_rng(0).normal(size=400), np.arange(400)
    assert clear_period(noise) is None
    assert clear_period(noise, least_correlation=0.01) is not None  # some lag is always the highest
    assert clear_period(noise + 0.2 * np.sin(t / 5)) is None
    assert clear_period(0.1 * noise + t) is None  # little peaks on the slope of a drift


@pytest.mark.parametrize("values", [np.ones(500), np.arange(500.0), np.full(9, np.nan), [], [1.0], [1.0, 2.0, 1.0]])
def test_what_has_no_period_has_no_clear_one(values):
    assert clear_period(values) is None


def test_the_period_is_that_of_one_channel():
    with pytest.raises(ValueError, match=r"one channel, got values of shape \(4, 2\)"):
        dominant_period(np.zeros((4, 2)))
