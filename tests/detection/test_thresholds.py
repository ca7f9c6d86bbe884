"""A threshold keeps the promise it states, and says so when it cannot promise what was asked."""

import re
from itertools import pairwise, product

import naive
import numpy as np
import pytest

from offbeat.detection.events import alarm_mask
from offbeat.detection.thresholds import (
    Maxima,
    block_maxima,
    conformal_threshold,
    dynamic_threshold,
    quantile_threshold,
    sigma_threshold,
)

NO_STARTS = np.array([0])


# --- blocks -----------------------------------------------------------------------------------------------------------


def test_block_maxima_are_those_of_the_plain_loop():
    rng = np.random.default_rng(0)
    for n, block_size, share in product(range(1, 13), range(1, 5), (0.5, 0.8, 1.0)):
        for cut in range(n):
            scores, normal = rng.random(n), rng.random(n) < share
            scores[rng.random(n) < 0.3] = np.nan
            starts = np.unique([0, cut])
            expected = naive.block_maxima(scores, normal, starts, block_size)
            assert block_maxima(scores, normal, starts, block_size).tolist() == expected


def test_a_block_holds_normal_timesteps_of_one_segment_only():
    scores = np.arange(12.0)
    normal = np.ones(12, dtype=bool)
    normal[4] = False
    # runs [0, 4), [5, 9), [9, 12): whole blocks of 3 are 0-2, 5-7, 9-11
    assert block_maxima(scores, normal, np.array([0, 9]), 3).tolist() == [2, 7, 11]


# --- conformal --------------------------------------------------------------------------------------------------------


def rate_of(share, block_size=1):
    """The alarms per timestep of which, come at random, that share of blocks has at least one."""
    return -np.log1p(-share) / block_size


def alone(maxima, block_size, rate):
    """The threshold of an asset that is the only one of its group."""
    return conformal_threshold(Maxima(maxima), Maxima(maxima), block_size, rate)


@pytest.mark.parametrize(
    ("n_blocks", "share", "place"),
    [
        (19, 0.05, 19),  # share .05: rank ceil(20 · 0.95) = 19, the highest
        (19, 0.10, 18),  # ceil(20 · 0.90) = 18
        (20, 0.10, 19),  # ceil(21 · 0.90) = ceil(18.9) = 19
        (99, 0.01, 99),  # ceil(100 · 0.99) = 99
        (99, 0.02, 98),
    ],
)
def test_the_conformal_threshold_has_the_rank_that_the_formula_says(n_blocks, share, place):
    maxima = np.random.default_rng(0).permutation(np.arange(1.0, n_blocks + 1))
    threshold = alone(maxima, 1, rate_of(share))
    assert (threshold.value, threshold.promised_alarm_rate, threshold.warning) == (place, rate_of(share), "")


def test_however_large_the_budget_at_most_a_tenth_of_normal_blocks_may_go_over():
    threshold = alone(np.arange(1.0, 20.0), 5, 3.0)  # three alarms a timestep
    assert threshold.value == 18  # ceil(20 · 0.9)
    assert threshold.promised_alarm_rate == pytest.approx(rate_of(0.1, 5))
    assert threshold.warning == ""


def test_few_blocks_are_enough_for_a_large_budget_and_promise_what_they_can():
    threshold = alone(np.arange(4.0), 5, 3.0)
    assert (threshold.value, threshold.warning) == (3, "")
    assert threshold.promised_alarm_rate == pytest.approx(rate_of(1 / 5, 5))


def test_ten_times_longer_blocks_at_a_tenth_of_the_rate_are_the_same():
    maxima = np.arange(1.0, 20.0)
    assert alone(maxima, 10, rate_of(0.1, 10)).value == alone(maxima, 1, rate_of(0.1)).value == 18


def test_enough_blocks_of_its_own_need_no_group():
    own = np.arange(1.0, 20.0)
    assert conformal_threshold(Maxima(own), Maxima(np.append(own, [100.0] * 50)), 1, rate_of(0.1)) == alone(
        own, 1, rate_of(0.1)
    )


def test_an_asset_with_too_few_blocks_borrows_the_groups_and_says_so():
    # a share of 0.1 takes 9 blocks; of the group's 19 the rank is ceil(20 · 0.9) = 18
    threshold = conformal_threshold(Maxima(np.arange(1.0, 5.0)), Maxima(np.arange(1.0, 20.0)), 2, rate_of(0.1, 2))
    assert (threshold.value, threshold.promised_alarm_rate) == (18, rate_of(0.1, 2))
    assert "needs 9 calibration blocks of 2 timesteps, got 4: borrowed the group's 19" in threshold.warning
    assert "on average over the group" in threshold.warning


def test_a_borrowed_threshold_stays_above_the_assets_own_highest_maximum():
    assert (
        conformal_threshold(Maxima(np.array([3.0, 19.0])), Maxima(np.arange(1.0, 20.0)), 2, rate_of(0.1, 2)).value == 19
    )


def test_too_few_blocks_promise_less_and_say_how_many_are_needed():
    # share 0.05 takes 1 / 0.05 - 1 = 19 blocks; of 9 a share of 0.1 goes over: log(0.9) / log(0.95) = 2.05 times
    threshold = alone(np.arange(9.0), 5, rate_of(0.05, 5))
    assert threshold.value == 8
    assert threshold.promised_alarm_rate == pytest.approx(rate_of(0.1, 5))
    assert (
        "needs 19 calibration blocks of 5 timesteps, got 9: the promise is 2.05 times the budget" in threshold.warning
    )
    assert "lengthen the calibration span" in threshold.warning


def test_a_group_with_too_few_blocks_is_counted_too():
    threshold = conformal_threshold(Maxima(np.arange(9.0)), Maxima(np.arange(15.0)), 5, rate_of(0.05, 5))
    assert (threshold.value, threshold.promised_alarm_rate) == (14, pytest.approx(rate_of(1 / 16, 5)))
    assert "got 9, 15 in the group: the promise is 1.26 times the budget" in threshold.warning


def test_the_promise_is_the_budget_from_exactly_the_needed_number_of_blocks_on():
    for n_blocks, needed in product(range(1, 60), range(9, 60)):
        threshold = alone(np.arange(float(n_blocks)), 1, rate_of(1 / (needed + 1)))
        assert bool(threshold.warning) == (n_blocks < needed)
        if threshold.warning:
            assert int(re.search(r"needs (\d+)", threshold.warning)[1]) == needed


@pytest.mark.parametrize(("n_blocks", "share"), [(39, 0.1), (50, 0.1), (19, 0.05), (9, 0.05), (200, 0.013)])
def test_the_realised_rate_of_exchangeable_blocks_keeps_the_promise(n_blocks, share):
    """10,000 calibrations with one new block each: the share that goes over is the promised one, but for chance."""
    rng, n_repeats, block_size = np.random.default_rng(n_blocks), 10_000, 7
    blocks = rng.gamma(2.0, size=(n_repeats, n_blocks + 1))
    thresholds = [alone(row[:-1], block_size, rate_of(share, block_size)) for row in blocks]
    over = np.mean([row[-1] > threshold.value for row, threshold in zip(blocks, thresholds, strict=True)])
    promised = -np.expm1(-thresholds[0].promised_alarm_rate * block_size)
    tolerance = 4 * np.sqrt(promised * (1 - promised) / n_repeats)  # four standard errors
    assert promised - 1 / (n_blocks + 1) - tolerance <= over <= promised + tolerance


def test_the_realised_rate_with_borrowed_blocks_keeps_the_promise_on_average_over_the_group():
    """5,000 groups of 4 assets, of unlike strength, with 10 blocks each, where the share of 0.05 takes 19."""
    rng, n_repeats, share = np.random.default_rng(3), 5_000, 0.05
    blocks = rng.gamma(2.0, size=(n_repeats, 4, 11)) * np.array([1.0, 1.1, 0.9, 1.5])[:, None]
    over = [
        asset[-1] > conformal_threshold(Maxima(asset[:-1]), Maxima(group[:, :-1].ravel()), 1, rate_of(share)).value
        for group in blocks
        for asset in group
    ]
    assert np.mean(over) <= share + 4 * np.sqrt(share * (1 - share) / len(over))


def test_a_larger_budget_never_raises_the_threshold():
    rng = np.random.default_rng(1)
    for n_own in (3, 20, 60):
        group = rng.random(80)
        values = [
            conformal_threshold(Maxima(group[:n_own]), Maxima(group), 4, rate).value
            for rate in np.geomspace(1e-4, 1, 80)
        ]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1]


# --- dynamic ----------------------------------------------------------------------------------------------------------


def dynamic(scores, normal=None, starts=NO_STARTS, max_gap=0):
    normal = np.ones(len(scores), dtype=bool) if normal is None else normal
    return dynamic_threshold(np.asarray(scores, dtype=float), normal, starts, max_gap)


def test_the_dynamic_threshold_is_that_of_the_plain_loop():
    rng = np.random.default_rng(5)
    for _ in range(400):
        n = int(rng.integers(3, 80))
        scores, normal = rng.gamma(rng.uniform(0.3, 3), size=n), rng.random(n) < 0.9
        for _ in range(rng.integers(0, 4)):  # anomalies
            start = rng.integers(n)
            scores[start : start + rng.integers(1, 5)] += rng.uniform(0, 30)
        scores[rng.random(n) < 0.1] = np.nan
        normal[0], scores[0] = True, 1.0
        starts, max_gap = np.array([0, n // 2]), int(rng.integers(0, 4))
        expected = naive.dynamic_threshold(scores.tolist(), normal.tolist(), starts, max_gap)
        assert dynamic(scores, normal, starts, max_gap).value == pytest.approx(expected)


def test_the_dynamic_threshold_sets_apart_what_stands_out_by_hand():
    # 98 ones and two runs of one timestep, at 5 and at 9: mean 1.12, deviation sqrt((16 + 64) / 100 - 0.12²) = 0.886.
    # z up to 4 flags both: (0.12 / 1.12 + 1) / (2 + 2²) = 0.185; z from 4.5 on the higher alone, a mean of 1.040 and a
    # deviation of 0.4 left: (0.071 + 0.549) / (1 + 1) = 0.310. The peak drops from 9 to 5, by more than 13 %.
    scores = np.ones(100)
    scores[[20, 70]] = 5, 9
    threshold = dynamic(scores)
    mean, std = scores.mean(), scores.std()
    assert threshold.value == pytest.approx(mean + 4.5 * std)
    assert (threshold.method, threshold.promised_alarm_rate, threshold.warning) == ("dynamic", None, "")


def test_what_stands_out_by_little_is_pruned_and_the_threshold_is_then_the_highest_score():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.9, 1.1, 200)
    scores[100] = 1.25  # flagged, for it lies far out in units of deviation, but no 13 % above the others
    assert scores[100] > scores.mean() + 3 * scores.std()
    assert dynamic(scores).value == scores[100]


def test_a_peak_that_is_pruned_lies_under_the_threshold_and_a_higher_one_over_it():
    # of 40 at 10, 11 and 100: over mean + 2 deviations lies 100 alone, and over the rest of the ladder by 89 %
    scores = np.full(40, 10.0)
    scores[[5, 30]] = 11, 100
    assert 11 < dynamic(scores).value < 100


def test_runs_close_together_are_one():
    # as six runs, the five weaker cost more than they gain, and are left as normal; as two, all are set apart
    scores = np.ones(400)
    scores[[20, 22, 24, 26, 28]], scores[80] = 12, 15
    assert dynamic(scores, max_gap=0).value > 12 > dynamic(scores, max_gap=1).value


@pytest.mark.parametrize("scores", [[0.1] * 30, [0.0] * 30, [3.0], [1.0, 2.0], [1.0, np.nan]])
def test_where_nothing_stands_out_the_dynamic_threshold_is_the_highest_score(scores):
    assert dynamic(scores).value == np.nanmax(scores)


def test_the_dynamic_threshold_looks_at_normal_timesteps_alone():
    scores = np.r_[np.random.default_rng(1).uniform(1, 2, 100), [50.0]]
    normal = np.r_[np.ones(100, dtype=bool), [False]]
    assert dynamic(scores, normal) == dynamic(scores[:100])


def test_the_dynamic_threshold_scales_with_the_scores():
    scores = np.random.default_rng(2).gamma(1.0, size=300)
    assert dynamic(scores * 1000).value == pytest.approx(dynamic(scores).value * 1000)


def test_unlabelled_anomalies_raise_the_dynamic_threshold_less_than_the_highest_score():
    rng = np.random.default_rng(3)
    clean = rng.gamma(4.0, size=1000)
    dirty = clean.copy()
    dirty[300:330] += 60
    assert clean.max() < dynamic(dirty).value < 40
    assert sigma_threshold(dirty, 6.0).value > 60


# --- the others -------------------------------------------------------------------------------------------------------


def test_the_quantile_threshold_is_the_quantile_of_the_known_scores_and_promises_nothing():
    scores = np.append(np.arange(11.0), np.nan)
    threshold = quantile_threshold(scores, 0.9)
    assert (threshold.value, threshold.promised_alarm_rate) == (9.0, None)


def test_the_sigma_threshold_is_mean_plus_k_standard_deviations_and_promises_nothing():
    threshold = sigma_threshold(np.array([1.0, 3.0, np.nan]), 3)  # mean 2, standard deviation 1
    assert (threshold.value, threshold.promised_alarm_rate) == (5.0, None)


def test_a_higher_threshold_never_adds_an_alarm():
    scores = np.random.default_rng(2).random(300)
    scores[::17] = np.nan
    masks = [alarm_mask(scores, threshold, segment_starts=[0, 150]) for threshold in np.linspace(0, 1, 40)]
    assert all((higher <= lower).all() for lower, higher in pairwise(masks))


# --- maturity ---------------------------------------------------------------------------------------------------------


def test_a_threshold_is_provisional_until_its_own_readings_carry_the_promise():
    own, group = Maxima(np.arange(10.0)), Maxima(np.arange(200.0))
    borrowed, enough = (conformal_threshold(one, group, 1, 0.02) for one in (own, group))
    assert ("borrowed" in borrowed.warning, borrowed.maturity) == (True, "provisional")
    assert (enough.warning, enough.maturity) == ("", "calibrated")
