"""Peaks over threshold keeps its promise on scores like real ones, and says so where its fit cannot be trusted."""

import naive
import numpy as np
import pytest

from offbeat.detection.events import events_of, merge_events
from offbeat.detection.extremes import FEW_PEAKS, LEAST_PEAKS, SHAPES, fit_pareto, pot_threshold
from offbeat.detection.thresholds import Maxima, block_maxima, conformal_threshold

MAXIMA = np.random.default_rng(0).gumbel(10, 2, size=400)


def rate_of(share, block_size=1):
    """The alarms per timestep of which, come at random, that share of blocks has at least one."""
    return -np.log1p(-share) / block_size


def alone(maxima, share, quantile=0.8, block_size=1):
    """The threshold of an asset that is the only one of its group."""
    return pot_threshold(Maxima(maxima), Maxima(maxima), block_size, rate_of(share, block_size), quantile)


# --- the fit ----------------------------------------------------------------------------------------------------------


def test_the_fit_is_that_of_the_plain_loop_where_the_shape_is_within_its_limits():
    rng, n_within = np.random.default_rng(1), 0
    for n in range(3, 120):
        excesses = rng.pareto(4, size=n)
        shape, scale = naive.pareto_fit(excesses.tolist())
        if SHAPES[0] < shape < SHAPES[1]:
            n_within += 1
            assert fit_pareto(excesses) == pytest.approx((shape, scale))
    assert n_within > 50


def test_the_fit_of_three_excesses_is_that_by_hand():
    # 1, 2, 7: a0 = 10 / 3; a1 = (1 · 2/2 + 2 · 1/2 + 7 · 0) / 3 = 2 / 3; a0 - 2 a1 = 2; shape 2 - 5 / 3 = 1 / 3;
    # scale 10 / 3 · (1 - 1 / 3) = 20 / 9
    assert fit_pareto(np.array([7.0, 1.0, 2.0])) == pytest.approx((1 / 3, 20 / 9))


@pytest.mark.parametrize(("shape", "scale"), [(0.1, 1.0), (0.3, 5.0)])
def test_the_fit_finds_shape_and_scale_of_many_excesses(shape, scale):
    draws = np.random.default_rng(2).random(200_000)
    assert fit_pareto(scale / shape * (draws**-shape - 1)) == pytest.approx((shape, scale), rel=0.05)


@pytest.mark.parametrize("excesses", [np.full(12, 2.0), np.linspace(1, 3, 12), np.array([0.1, 0.1])])
def test_a_tail_that_seems_to_end_is_taken_for_exponential(excesses):
    assert fit_pareto(excesses) == pytest.approx((0.0, excesses.mean()))


def test_a_shape_beyond_a_half_is_a_half_and_keeps_the_mean():
    excesses = np.r_[np.ones(20), 1e6]
    assert fit_pareto(excesses) == pytest.approx((0.5, excesses.mean() / 2))


# --- the threshold ----------------------------------------------------------------------------------------------------


def test_the_threshold_is_that_of_the_formula():
    # 80 of 400 maxima are peaks, a share of 0.2; a budget of 0.001 is passed 200 times more rarely
    threshold = alone(MAXIMA, 0.001)
    above = np.quantile(MAXIMA, 0.8)
    shape, scale = fit_pareto(MAXIMA[above < MAXIMA] - above)
    shape += 1 / 80
    assert threshold.value == pytest.approx(above + scale / shape * ((0.001 * 400 / 80) ** -shape - 1))
    assert (threshold.method, threshold.warning) == ("pot", "")
    assert threshold.promised_alarm_rate == pytest.approx(rate_of(0.001))


def test_it_reaches_beyond_the_highest_score_where_the_budget_is_smaller_than_one_block():
    assert alone(MAXIMA, 1e-4).value > MAXIMA.max() > alone(MAXIMA, 0.05).value


def test_below_the_tail_ranks_tell_the_threshold_without_a_fit():
    # a share of 0.1 of 400 blocks goes over the threshold, and the tail is the highest 20
    threshold = alone(MAXIMA, 0.1, quantile=0.95)
    assert threshold.value == conformal_threshold(Maxima(MAXIMA), Maxima(MAXIMA), 1, rate_of(0.1)).value
    assert threshold.method == "pot"


def test_a_larger_budget_never_raises_the_threshold():
    for n_own in (3, 60, 400):
        for quantile in (0.5, 0.8, 0.95):
            rates = np.geomspace(1e-7, 1, 120)
            values = [pot_threshold(Maxima(MAXIMA[:n_own]), Maxima(MAXIMA), 1, rate, quantile).value for rate in rates]
            assert (np.diff(values) <= 1e-9).all()
            assert values[0] > values[-1]


def test_the_threshold_follows_unit_and_offset_of_the_scores():
    assert alone(1000 * MAXIMA + 7, 0.001).value == pytest.approx(1000 * alone(MAXIMA, 0.001).value + 7)


def test_ten_times_longer_blocks_at_a_tenth_of_the_rate_are_the_same():
    assert alone(MAXIMA, 0.001, block_size=10).value == pytest.approx(alone(MAXIMA, 0.001).value)


def test_however_large_the_budget_at_most_a_tenth_of_normal_blocks_may_go_over():
    threshold = pot_threshold(Maxima(MAXIMA), Maxima(MAXIMA), 5, 3.0, 0.8)
    assert threshold == alone(MAXIMA, 0.1, block_size=5)
    assert threshold.promised_alarm_rate == pytest.approx(rate_of(0.1, 5))


# --- few peaks --------------------------------------------------------------------------------------------------------


def test_few_peaks_are_a_loose_fit_and_said_to_be():
    for n_blocks in range(5 * LEAST_PEAKS, 200):
        threshold = alone(MAXIMA[:n_blocks], 0.001)
        n_peaks = int((MAXIMA[:n_blocks] > np.quantile(MAXIMA[:n_blocks], 0.8)).sum())
        expected = f"a tail fitted to {n_peaks} peaks, fewer than {FEW_PEAKS}, is loose: lengthen"
        assert threshold.warning.startswith(expected) if n_peaks < FEW_PEAKS else not threshold.warning


def test_an_asset_with_too_few_peaks_borrows_the_groups():
    threshold = pot_threshold(Maxima(MAXIMA[:20]), Maxima(MAXIMA), 1, rate_of(0.001), 0.8)
    assert threshold.value == alone(MAXIMA, 0.001).value
    assert threshold.promised_alarm_rate == pytest.approx(rate_of(0.001))
    assert "4 peaks over the 0.8 quantile, fewer than 10: borrowed the group's 80" in threshold.warning
    assert "on average over the group" in threshold.warning


def test_a_borrowed_threshold_stays_above_the_assets_own_highest_maximum():
    own = np.array([3.0, 1000.0])
    assert pot_threshold(Maxima(own), Maxima(MAXIMA), 1, rate_of(0.05), 0.8).value == 1000


@pytest.mark.parametrize(
    "maxima", [MAXIMA[:12], np.full(300, 0.1), np.zeros(300), MAXIMA[:1], np.r_[np.zeros(295), 1, 2, 3, 4, 5]]
)
def test_scores_that_fit_no_tail_fall_back_on_the_conformal_threshold(maxima):
    threshold = alone(maxima, 0.01)
    conformal = conformal_threshold(Maxima(maxima), Maxima(maxima), 1, rate_of(0.01))
    assert (threshold.value, threshold.method) == (conformal.value, "conformal")
    assert threshold.promised_alarm_rate == conformal.promised_alarm_rate
    assert threshold.warning.endswith(conformal.warning)
    assert "no tail can be fitted, and the threshold is the conformal one" in threshold.warning


# --- the promise ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_blocks", [50, 100, 400])
@pytest.mark.parametrize("reach", [1, 5])  # times the blocks that it takes to see one such maximum
def test_with_an_exponential_tail_the_realised_rate_is_the_promised_on_average(n_blocks, reach):
    rng, share = np.random.default_rng(n_blocks + reach), 1 / n_blocks / reach
    values = np.array([alone(rng.exponential(size=n_blocks), share).value for _ in range(1000)])
    ratio = np.exp(-values) / share  # the share of an exponential above each threshold, against the promised
    assert 0.4 < ratio.mean() < 1.3  # below 1 with many blocks, for shapes below 0 count as 0


def autocorrelated(rng, n):
    """Positive scores that wander: AR(1) noise with a memory of about ten timesteps, exponentiated."""
    noise = rng.standard_normal(n) * np.sqrt(1 - 0.9**2)
    for t in range(1, n):
        noise[t] += 0.9 * noise[t - 1]
    return np.exp(noise / 2)


def alarms_per_timestep(scores, threshold):
    return len(merge_events(events_of(scores > threshold), 16)) / len(scores)


@pytest.mark.parametrize(
    ("n_blocks", "needed"),
    [
        (60, 30),  # the budget of one alarm in 30 blocks can be seen in 60
        (60, 240),  # this one cannot: pot extrapolates, conformal promises less
        (150, 75),
        (150, 600),
    ],
)
def test_on_autocorrelated_scores_realised_alarms_keep_to_the_promise(n_blocks, needed):
    """40 calibration spans, each threshold against the same 600,000 new timesteps: mean ratio of realised to promised.

    Bounds: of pot 0.6 to 1.5, for its promise is an estimate; of conformal at most 1.3, for it promises a bound in
    expectation, here over 40 spans.
    """
    rng, block_size = np.random.default_rng(n_blocks + needed), 40
    fresh, rate = autocorrelated(rng, 600_000), 1 / needed / block_size
    ratios = {"pot": [], "conformal": []}
    for _ in range(40):
        scores = autocorrelated(rng, n_blocks * block_size)
        maxima = block_maxima(scores, np.ones(len(scores), dtype=bool), np.array([0]), block_size)
        for threshold in (
            pot_threshold(Maxima(maxima), Maxima(maxima), block_size, rate, 0.8),
            conformal_threshold(Maxima(maxima), Maxima(maxima), block_size, rate),
        ):
            realised = alarms_per_timestep(fresh, threshold.value)
            ratios[threshold.method].append(realised / threshold.promised_alarm_rate)
            if threshold.method == "pot":
                assert threshold.promised_alarm_rate == pytest.approx(rate)  # what was asked for
            elif n_blocks < needed - 1:
                assert threshold.promised_alarm_rate > 3 * rate
    assert 0.6 < np.mean(ratios["pot"]) < 1.5
    assert np.mean(ratios["conformal"]) < 1.3
