"""Scaling measures each channel by how much it moves, leaves missing readings missing, and can be taken back."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from offbeat.detection.scaling import Scaling, fit_scaling, measure, usual_scale_of
from offbeat.errors import ReadingsError
from offbeat.params import load_params
from offbeat.readings.series import Series

HOUR = 3_600_000_000_000


def rules(**changes):
    return load_params(changes={"prepare": {"clip": 100.0, **changes}}).prepare.preprocessing


def series_of(values, segment_starts=(0,), start="2026-01-05", step=HOUR):
    values = np.asarray(values, dtype=np.float64)
    stamps = pd.Timestamp(start).value + step * np.arange(len(values))
    names = tuple(f"c{k}" for k in range(values.shape[1]))
    return Series("pump-1", names, values, stamps, True, step, np.array(segment_starts))


def fitted(values, usual_scale=None, segment_starts=(0,), **changes):
    series = series_of(values, segment_starts)
    return fit_scaling(series, np.ones(len(values), dtype=bool), rules(**changes), usual_scale)


def scaled(values, segment_starts=(0,), **changes):
    scaling = fitted(values, segment_starts=segment_starts, **changes)
    return scaling.apply(series_of(values, segment_starts))


# --- scaling ----------------------------------------------------------------------------------------------------------


def test_scaled_training_readings_have_mean_0_and_standard_deviation_1():
    values = scaled(np.random.default_rng(0).normal([5, -300], [0.01, 40], (500, 2)))
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)
    assert values.dtype == np.float32


def test_missing_readings_are_left_out_of_the_fit_and_stay_missing():
    # mean 2, standard deviation 1
    np.testing.assert_array_equal(scaled([[1.0], [np.nan], [3.0]]), [[-1], [np.nan], [1]])


def test_scaled_readings_are_clipped():
    scaling = Scaling(rules(clip=3), np.zeros((1, 1)), np.array([10.0]), np.array([2.0]))
    assert scaling.apply(series_of([[0.0], [12.0], [99.0]])).ravel().tolist() == [-3, 1, 3]


def test_only_normal_rows_are_learnt_from():
    series = series_of([[1.0], [1e9], [3.0], [-1e9]])
    scaling = fit_scaling(series, np.array([True, False, True, False]), rules())
    assert (scaling.centre.tolist(), scaling.scale.tolist()) == ([2], [1])


def test_robust_scaling_goes_by_median_and_quartiles():
    scaling = fitted(np.array([[1.0, 2, 3, 4, 1e6]]).T, scaling="robust")
    assert scaling.centre.tolist() == [3]
    assert scaling.scale == pytest.approx([(4 - 2) / 1.349])
    normal = np.random.default_rng(1).normal(5, 2, (20_000, 1))
    assert fitted(normal, scaling="robust").scale == pytest.approx([2], rel=0.03)  # as the standard deviation


def test_where_the_quartiles_are_one_robust_scaling_goes_by_the_standard_deviation():
    values = np.array([[0.0] * 9 + [10.0]]).T
    assert fitted(values, scaling="robust").scale == pytest.approx([values.std()])


def test_min_max_scaling_makes_the_range_minus_1_to_1():
    assert scaled(np.array([[4.0, 6.0, np.nan, 8.0]]).T, scaling="min_max")[[0, 1, 3], 0].tolist() == [-1, 0, 1]


@pytest.mark.parametrize("rule", ["standard", "robust", "min_max"])
def test_a_channel_that_stands_still_takes_the_usual_scale_of_the_fleet(rule):
    values = np.full((50, 3), [0.1, 7.0, -4.0])  # the mean of many 0.1 is not 0.1
    for season in ("none", "day", "week"):
        changes = {"scaling": rule, "season": season}
        assert fitted(values, np.array([2.5, 0.0, 3.0]), **changes).scale.tolist() == [2.5, 1.0, 3.0]
        assert fitted(values, **changes).scale.tolist() == [1, 1, 1]


def test_in_a_fleet_the_usual_scale_is_the_median_over_the_assets_that_move():
    everything = np.ones(4, dtype=bool)
    steps = np.array([[-1.0], [1.0], [-1.0], [1.0]])
    fleet = [measure(series_of(size * steps + 7), everything, rules()) for size in (0, 1, 3, 8)]
    assert usual_scale_of(fleet).tolist() == [3]


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_the_unit_of_a_channel_does_not_matter(unit):
    values = np.random.default_rng(2).normal(0, 1, (100, 1))
    np.testing.assert_allclose(scaled(values * unit), scaled(values), rtol=1e-5)


# --- what comes before it ---------------------------------------------------------------------------------------------


def test_the_logarithm_makes_equal_factors_equal_steps():
    values = np.array([[0.0], [9.0], [99.0], [999.0]])  # of 1 + each: 1, 10, 100, 1000
    np.testing.assert_allclose(np.diff(scaled(values, transform="log"), axis=0), np.sqrt(0.8), rtol=1e-6)


def test_a_reading_below_zero_has_no_logarithm_to_learn_and_counts_as_zero_later():
    normal = np.array([True, True, False])
    series = series_of([[1.0, 5.0], [3.0, 6.0], [0.0, -2.0]])
    scaling = fit_scaling(series, normal, rules(transform="log"))
    below, zero = (scaling.apply(series_of([[low, low]])) for low in (-2.0, 0.0))
    assert np.array_equal(below, zero)
    message = "asset 'pump-1': channel 'c1' has a reading of -2 .*set prepare.transform to none, or exclude"
    with pytest.raises(ReadingsError, match=message):
        fit_scaling(series, np.ones(3, dtype=bool), rules(transform="log"))


def test_the_seasonal_mean_is_taken_away_hour_by_hour():
    day = np.sin(np.arange(24) * 2 * np.pi / 24) * 50
    values = np.tile(day, 14)[:, None] + np.repeat([1.0, -1.0], 7 * 24)[:, None]  # a week up, a week down
    for season in ("day", "week"):
        np.testing.assert_allclose(scaled(values, season=season)[:, 0], np.repeat([1.0, -1.0], 7 * 24), rtol=1e-5)


def test_the_seasonal_mean_is_that_of_the_normal_rows():
    values = np.tile(np.arange(24.0), 6)[:, None]
    values[24:48] += 1000
    normal = np.ones(144, dtype=bool)
    normal[24:48] = False
    scaling = fit_scaling(series_of(values), normal, rules(season="day"))
    np.testing.assert_allclose(scaling.profile[:, 0], np.arange(24))


def test_a_difference_begins_anew_with_each_segment_and_needs_both_readings():
    values = np.array([[1.0], [4.0], [5.0], [50.0], [51.0], [np.nan], [53.0], [54.0]])
    found = scaled(values, segment_starts=(0, 3), difference=1, scaling="min_max")
    # steps 3, 1, 1, 1: their range is 1 to 3, its middle 2
    expected = [np.nan, 1, -1, np.nan, -1, np.nan, np.nan, -1]
    np.testing.assert_array_equal(found[:, 0], expected)


def test_a_difference_is_learnt_only_between_two_normal_rows():
    series, normal = series_of([[0.0], [1.0], [500.0], [600.0], [603.0]]), np.array([1, 1, 0, 1, 1], dtype=bool)
    scaling = fit_scaling(series, normal, rules(difference=1))
    assert (scaling.centre.tolist(), scaling.scale.tolist()) == ([2], [1])  # of 1 and 3


def test_a_channel_without_a_difference_is_named():
    values = np.column_stack([np.arange(6.0), [1, np.nan, 1, np.nan, 1, np.nan]])
    with pytest.raises(ReadingsError, match=r"channel 'c1' has no two normal readings in a row .*difference to 0"):
        fitted(values, difference=1)


# --- and back ---------------------------------------------------------------------------------------------------------

WAYS = list(product(("none", "log"), ("none", "day", "week"), (0, 1), ("standard", "robust", "min_max")))


@pytest.mark.parametrize(("transform", "season", "difference", "scaling"), WAYS)
def test_what_was_scaled_can_be_taken_back(transform, season, difference, scaling):
    rng = np.random.default_rng(5)
    values = np.abs(rng.normal([3, 4000], [1, 900], (400, 2)))
    values[rng.random(values.shape) < 0.1] = np.nan
    series = series_of(values, (0, 120, 121, 300))
    learnt = series.rows(0, 250)
    changes = {"transform": transform, "season": season, "difference": difference, "scaling": scaling}
    fit = fit_scaling(learnt, np.ones(250, dtype=bool), rules(**changes))
    back = fit.invert(fit.apply(series), series)
    expected = values.copy()
    if difference:  # nothing to build on: the reading before is missing, or in another segment
        expected[1:][np.isnan(values[:-1])] = np.nan
        expected[series.segment_starts] = np.nan
    np.testing.assert_allclose(back, expected, rtol=1e-5, atol=1e-3)
    assert np.isfinite(back).sum() > 500


def test_with_differences_each_value_builds_on_the_reading_before_it():
    series = series_of([[10.0], [20.0], [40.0]])
    scaling = Scaling(rules(difference=1), np.zeros((1, 1)), np.array([1.0]), np.array([2.0]))
    # 0 stands for a step of 1, 3 for one of 7
    assert scaling.invert(np.array([[0.0], [0.0], [3.0]]), series)[1:].ravel().tolist() == [11, 27]


def test_usual_readings_are_those_of_the_hour():
    values = np.tile(np.arange(24.0) + 1, 21)[:, None] * np.random.default_rng(0).uniform(0.99, 1.01, (504, 1))
    stamps = series_of(values).stamps[5:12]
    for transform, season, difference in product(("none", "log"), ("day", "week"), (0, 1)):
        scaling = fitted(values, transform=transform, season=season, difference=difference)
        np.testing.assert_allclose(scaling.usual_readings(stamps)[:, 0], np.arange(6, 13), rtol=0.01)
    for difference in (0, 1):
        usual = fitted(values, difference=difference).usual_readings(stamps)
        np.testing.assert_allclose(usual, values.mean(), rtol=1e-12)


def test_scaling_changes_no_series():
    series = series_of([[1.0], [2.0], [4.0]])
    before = series.values.copy()
    scaling = fit_scaling(series, np.ones(3, dtype=bool), rules(transform="log", season="day", difference=1))
    scaling.invert(scaling.apply(series), series)
    assert np.array_equal(series.values, before)


@pytest.mark.parametrize("difference", [0, 1])
@pytest.mark.parametrize("at_once", [1, 9, 40])
def test_scaling_does_not_change_with_how_many_readings_are_taken_at_once(
    make_series, monkeypatch, difference, at_once
):
    changes = {"prepare": {"difference": difference, "transform": "log", "season": "day", "scaling": "robust"}}
    preprocessing = load_params(changes=changes).prepare.preprocessing
    series = make_series(300, gaps=[(40, 60)], missing=0.1)
    normal = np.arange(series.n_timesteps) % 7 > 0
    whole = fit_scaling(series, normal, preprocessing)
    expected = whole.apply(series)
    monkeypatch.setattr("offbeat.detection.scaling.AT_ONCE", at_once)
    scaling = fit_scaling(series, normal, preprocessing)
    for name in ("profile", "centre", "scale"):
        np.testing.assert_allclose(getattr(scaling, name), getattr(whole, name), rtol=1e-12)
    np.testing.assert_array_equal(whole.apply(series), expected)


def test_single_precision_is_scaled_as_the_same_numbers_in_double(make_series):
    preprocessing = load_params(changes={"prepare": {"difference": 1, "transform": "log"}}).prepare.preprocessing
    series = make_series(300, missing=0.1)
    single = replace(series, values=series.values.astype(np.float32))
    double = replace(series, values=single.values.astype(np.float64))
    normal = np.ones(series.n_timesteps, dtype=bool)
    one, other = (fit_scaling(s, normal, preprocessing) for s in (single, double))
    np.testing.assert_array_equal(one.apply(single), other.apply(double))
