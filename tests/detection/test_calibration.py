"""The params of `calibrate` become one threshold for an asset, or a message that says what is missing."""

import numpy as np
import pytest

from offbeat.detection.calibration import budget_rate, choose_threshold
from offbeat.errors import ReadingsError
from offbeat.params import changed, load_params

SCORES = np.random.default_rng(0).gamma(2, size=700)


def chosen(scores=SCORES, normal=None, block_size=7, period_s=3600.0, starts=(0,), **changes):
    return choose_threshold(
        scores,
        np.ones(len(scores), dtype=bool) if normal is None else normal,
        np.array(starts),
        params=changed(load_params().calibrate, changes),
        block_size=block_size,
        period_s=period_s,
        asset="pump-1",
    )


def test_a_weekly_budget_is_spread_over_the_timesteps_of_a_week():
    params = changed(load_params().calibrate, {"false_alarms_per_week": 2.0})
    assert budget_rate(params, period_s=3600.0) == pytest.approx(2 / 168)


def test_data_without_time_has_a_budget_per_10000_timesteps():
    params = changed(load_params().calibrate, {"false_alarms_per_10000_timesteps": 5.0})
    assert budget_rate(params, period_s=None) == pytest.approx(0.0005)


def test_the_conformal_threshold_is_the_block_maximum_of_its_rank():
    # 700 timesteps are 100 blocks of 7; 2.4 a week are 0.1 a block of 7 hours: rank ceil(101 · 0.9) = 91
    maxima = sorted(SCORES.reshape(100, 7).max(axis=1))
    threshold = chosen(false_alarms_per_week=2.4)
    assert (threshold.value, threshold.method, threshold.warning) == (maxima[90], "conformal", "")


@pytest.mark.parametrize("period_s", [3600.0, None])
def test_a_larger_budget_never_raises_the_threshold(period_s):
    key = "false_alarms_per_week" if period_s else "false_alarms_per_10000_timesteps"
    values = [chosen(period_s=period_s, **{key: budget}).value for budget in np.geomspace(0.01, 1000, 30)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


def test_quantile_and_sigma_use_the_normal_timesteps_alone():
    normal = np.arange(700) < 350
    assert chosen(normal=normal, method="quantile", quantile=0.9).value == np.quantile(SCORES[:350], 0.9)
    expected = SCORES[:350].mean() + 2 * SCORES[:350].std()
    assert chosen(normal=normal, method="sigma", n_sigmas=2.0).value == pytest.approx(expected)


@pytest.mark.parametrize("method", ["conformal", "quantile", "sigma"])
def test_a_span_without_a_whole_block_is_refused_with_the_asset_and_what_it_needs(method):
    with pytest.raises(ReadingsError, match=r"'pump-1'.* at least 300 consecutive .*lengthen the calibration span"):
        chosen(block_size=300, starts=(0, 250, 500), method=method)


def test_a_span_without_scores_is_refused():
    with pytest.raises(ReadingsError, match="got 0"):
        chosen(scores=np.full(50, np.nan))
