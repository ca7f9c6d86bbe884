"""Thresholds by labels have the best F1 on what they are shown, and say where the labels do not help."""

import math

import naive
import numpy as np
import pytest

from offbeat.detection.labelled_thresholds import gaussian_epsilon_threshold, labelled_threshold


def samples(n_samples=300):
    """Normal and labelled scores with ties, of unlike overlap and size."""
    rng = np.random.default_rng(0)
    for _ in range(n_samples):
        n_normal, n_labelled = rng.integers(2, 25), rng.integers(1, 12)
        decimals = int(rng.integers(0, 4))
        normal = np.round(rng.gamma(2.0, size=n_normal), decimals)
        yield normal, np.round(rng.gamma(2.0, size=n_labelled) * rng.uniform(0.5, 4), decimals)


def f1_of(normal, labelled, threshold):
    return naive.point_f1(normal.tolist(), labelled.tolist(), threshold)


# --- labelled ---------------------------------------------------------------------------------------------------------


def test_the_labelled_threshold_is_that_of_the_plain_loop():
    for normal, labelled in samples():
        expected = naive.labelled_threshold(normal.tolist(), labelled.tolist())
        threshold = labelled_threshold(normal, labelled)
        if math.isinf(expected):
            assert threshold.value < min(normal.min(), labelled.min())
        else:
            assert threshold.value == pytest.approx(expected)


def test_no_threshold_has_a_better_f1():
    for normal, labelled in samples(100):
        best = f1_of(normal, labelled, labelled_threshold(normal, labelled).value)
        grid = np.linspace(-1, normal.max() + labelled.max(), 200)
        assert best >= max(f1_of(normal, labelled, value) for value in grid)


def test_the_labelled_threshold_lies_halfway_between_the_scores_that_it_separates():
    # over 2: 3 and 5 of the labelled, F1 4 / 4 = 1
    threshold = labelled_threshold(np.array([1.0, 2.0, np.nan]), np.array([3.0, 5.0, np.nan]))
    assert (threshold.value, threshold.method, threshold.promised_alarm_rate) == (2.5, "labelled", None)
    assert threshold.warning == ""


def test_of_thresholds_as_good_the_highest_is_taken():
    # over 8: 1 hit, F1 2 / (1 + 2) = 0.667; over 6: 1 hit, 1 false, 2 / 4; over 3: 2 hits, 2 false, 4 / (4 + 2) = 0.667
    assert labelled_threshold(np.array([1.0, 5.0, 7.0]), np.array([4.0, 9.0])).value == 8


def test_labels_that_scores_do_not_tell_from_normal_readings_are_warned_of():
    threshold = labelled_threshold(np.array([2.0, 3.0]), np.array([1.0, 1.0, 1.0]))
    assert threshold.value < 1
    assert "to flag everything has the best F1, 0.75" in threshold.warning  # 6 / (5 + 3)
    assert "choose another calibrate.method" in threshold.warning


@pytest.mark.parametrize("lower", [1.0, 1e300, 5e-324])
def test_a_threshold_between_neighbours_in_floating_point_still_separates_them(lower):
    upper = float(np.nextafter(lower, np.inf))
    assert lower <= labelled_threshold(np.array([lower]), np.array([upper])).value < upper


# --- gaussian epsilon -------------------------------------------------------------------------------------------------


def test_the_gaussian_threshold_has_the_density_that_the_plain_loop_chooses():
    for normal, labelled in samples():
        if normal.min() == normal.max():
            continue
        mean, std, epsilon = naive.gaussian_epsilon(normal.tolist(), labelled.tolist())
        # density(z) = exp(-z² / 2) / (std · sqrt(2 pi)), solved for z
        expected = mean + std * math.sqrt(-2 * math.log(epsilon * std * math.sqrt(2 * math.pi)))
        assert gaussian_epsilon_threshold(normal, labelled).value == pytest.approx(expected)


def test_by_hand_the_gaussian_threshold_lies_at_the_root_mean_square_distance():
    # mean 2, deviation 1: 3 lies one deviation off, 9 seven: sqrt((1 + 49) / 2) = 5
    threshold = gaussian_epsilon_threshold(np.array([1.0, 3.0]), np.array([9.0]))
    assert threshold.value == pytest.approx(7.0)
    assert (threshold.method, threshold.promised_alarm_rate, threshold.warning) == ("gaussian_epsilon", None, "")


def test_scores_far_below_the_mean_are_never_flagged():
    normal = np.r_[0.0, np.full(20, 10.0), np.full(20, 10.2)]
    assert gaussian_epsilon_threshold(normal, np.array([0.0, 11.0])).value > normal.mean()


def test_among_thresholds_above_the_mean_none_has_a_better_f1():
    for normal, labelled in samples(100):
        if normal.min() < normal.max():
            value = gaussian_epsilon_threshold(normal, labelled).value
            assert value >= normal.mean() - 1e-12
            grid = np.linspace(normal.mean(), normal.max() + labelled.max(), 200)
            assert f1_of(normal, labelled, value) >= max(f1_of(normal, labelled, each) for each in grid)


def test_densities_too_small_for_a_number_still_have_an_order():
    threshold = gaussian_epsilon_threshold(np.array([1.0, 3.0]), np.array([1e6]))
    assert 3 < threshold.value < 1e6


@pytest.mark.parametrize("level", [1.0, 0.1, 0.0])
def test_normal_scores_that_do_not_vary_fit_no_gaussian_and_take_the_best_f1(level):
    threshold = gaussian_epsilon_threshold(np.full(7, level), np.array([2.0, 4.0]))
    assert (threshold.value, threshold.method) == ((level + 2) / 2, "gaussian_epsilon")
    assert "do not vary, and no Gaussian fits them" in threshold.warning


def test_events_below_the_mean_are_warned_of():
    threshold = gaussian_epsilon_threshold(np.array([1.0, 3.0]), np.array([0.5]))
    assert "no labelled score lies above the mean of the normal ones" in threshold.warning
    assert 2 < threshold.value < 3


@pytest.mark.parametrize("rule", [labelled_threshold, gaussian_epsilon_threshold])
def test_a_threshold_by_labels_follows_the_unit_of_the_scores(rule):
    for normal, labelled in samples(20):
        one, thousand = (rule(normal * unit, labelled * unit) for unit in (1, 1000))
        assert thousand.value == pytest.approx(one.value * 1000)


@pytest.mark.parametrize("rule", [labelled_threshold, gaussian_epsilon_threshold])
def test_scores_that_are_missing_change_nothing(rule):
    for normal, labelled in samples(20):
        assert rule(np.append(normal, np.nan), np.append(np.nan, labelled)) == rule(normal, labelled)
