"""The params of `calibrate` become a threshold for each asset, or a message that says what is missing."""

import numpy as np
import pytest

from offbeat.detection.calibration import CalibrationSpan, budget_rate, choose_thresholds, group_maxima
from offbeat.detection.extremes import pot_threshold
from offbeat.detection.labelled_thresholds import gaussian_epsilon_threshold, labelled_threshold
from offbeat.detection.thresholds import Maxima, dynamic_threshold
from offbeat.errors import ReadingsError
from offbeat.params import changed, load_params

SCORES = np.random.default_rng(0).gamma(2, size=700)


METHODS = ["conformal", "pot", "quantile", "sigma", "dynamic", "labelled", "gaussian_epsilon"]
RULES = {"labelled": labelled_threshold, "gaussian_epsilon": gaussian_epsilon_threshold}
by_labels = pytest.mark.parametrize("method", list(RULES))


def span_of(scores=SCORES, normal=None, starts=(0,), asset="pump-1", labelled=None):
    normal = np.ones(len(scores), dtype=bool) if normal is None else normal
    return CalibrationSpan(asset, scores, normal, np.array(starts), labelled)


def with_event(start, stop, factor, **changes):
    """A span with an event that scores higher; the ten timesteps on either side of it count as nothing."""
    rows, scores = np.arange(len(SCORES)), SCORES.copy()
    scores[start:stop] *= factor
    normal = (rows < start - 10) | (rows >= stop + 10)
    return span_of(scores, normal, labelled=(rows >= start) & (rows < stop), **changes)


def chosen(*spans, reach=7, period_s=3600.0, lent=None, **changes):
    params = changed(load_params().calibrate, changes)
    return choose_thresholds(spans or [span_of()], params=params, reach=reach, period_s=period_s, lent=lent)


@pytest.mark.parametrize("method", METHODS)
def test_the_margin_raises_every_threshold_by_its_factor_and_changes_no_promise(method):
    span = with_event(300, 320, 6)
    [plain], [raised] = (chosen(span, method=method, margin=margin) for margin in (1.0, 1.5))
    assert raised.value == pytest.approx(1.5 * plain.value)
    assert (raised.method, raised.promised_alarm_rate, raised.warning) == (
        plain.method,
        plain.promised_alarm_rate,
        plain.warning,
    )


def test_a_weekly_budget_is_spread_over_the_timesteps_of_a_week():
    params = changed(load_params().calibrate, {"false_alarms_per_week": 2.0})
    assert budget_rate(params, period_s=3600.0) == pytest.approx(2 / 168)


def test_data_without_time_has_a_budget_per_10000_timesteps():
    params = changed(load_params().calibrate, {"false_alarms_per_10000_timesteps": 5.0})
    assert budget_rate(params, period_s=None) == pytest.approx(0.0005)


def test_the_conformal_threshold_is_the_block_maximum_of_its_rank():
    # 700 timesteps are 100 blocks of 7; 2.4 a week are 0.1 a block of 7 hours, so a share of
    # 1 - exp(-0.1) = 0.0952 has one: rank ceil(101 · 0.9048) = 92
    maxima = sorted(SCORES.reshape(100, 7).max(axis=1))
    [threshold] = chosen(false_alarms_per_week=2.4)
    assert (threshold.value, threshold.method, threshold.warning) == (maxima[91], "conformal", "")
    assert threshold.promised_alarm_rate == pytest.approx(0.1 / 7)


@pytest.mark.parametrize("period_s", [3600.0, None])
def test_a_larger_budget_never_raises_the_threshold(period_s):
    key = "false_alarms_per_week" if period_s else "false_alarms_per_10000_timesteps"
    values = [chosen(period_s=period_s, **{key: budget})[0].value for budget in np.geomspace(0.01, 1000, 30)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


def test_quantile_and_sigma_use_the_normal_timesteps_alone():
    span = span_of(normal=np.arange(700) < 350)
    assert chosen(span, method="quantile", quantile=0.9)[0].value == np.quantile(SCORES[:350], 0.9)
    expected = SCORES[:350].mean() + 2 * SCORES[:350].std()
    assert chosen(span, method="sigma", n_sigmas=2.0)[0].value == pytest.approx(expected)


def test_an_asset_with_too_few_blocks_borrows_those_of_its_group():
    # 2.4 a week take 10 blocks of 7 hours; the short span has 3, the two together 103: rank ceil(104 · 0.9048) = 95
    short = span_of(SCORES[:21], asset="pump-2")
    own, borrowed = chosen(span_of(), short, false_alarms_per_week=2.4)
    assert own == chosen(false_alarms_per_week=2.4)[0]
    maxima = sorted([*SCORES.reshape(100, 7).max(axis=1), *SCORES[:21].reshape(3, 7).max(axis=1)])
    assert borrowed.value == maxima[94]
    assert "borrowed the group's 103" in borrowed.warning


def test_quantile_and_sigma_borrow_nothing():
    short = span_of(SCORES[:21], asset="pump-2")
    assert chosen(span_of(), short, method="quantile")[1] == chosen(short, method="quantile")[0]


def test_blocks_shorter_than_a_scores_reach_are_warned_of():
    # the longest normal run is 5, and 8 blocks of 5 hours would keep one false alarm in 45 hours: 3.73 a week
    normal = np.arange(48) % 6 > 0
    [threshold] = chosen(span_of(SCORES[:48], normal), false_alarms_per_week=3.74)
    assert threshold.value == SCORES[:48][normal].max()
    assert "blocks of 5 timesteps" in threshold.warning
    assert "shorter than the 7 that shape a score" in threshold.warning


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lack", ["scores", "normal rows"])
def test_a_span_without_a_normal_score_is_refused_with_the_asset_and_a_remedy(method, lack):
    bare = span_of(np.full(50, np.nan)) if lack == "scores" else span_of(normal=np.zeros(700, dtype=bool))
    with pytest.raises(
        ReadingsError, match=r"'pump-1': no score .* 7 normal timesteps in a row, so give a longer calibr"
    ):
        chosen(span_of(asset="pump-2"), bare, method=method)


def test_pot_takes_the_budget_and_the_maxima_that_conformal_takes():
    maxima = SCORES.reshape(100, 7).max(axis=1)
    [threshold] = chosen(method="pot", pot_quantile=0.7, false_alarms_per_week=0.24)
    assert threshold == pot_threshold(Maxima(maxima), Maxima(maxima), 7, 0.24 / 168, 0.7)
    assert threshold.value > maxima.max()


def test_an_asset_with_too_few_peaks_borrows_those_of_its_group():
    short = span_of(SCORES[:21], asset="pump-2")
    own, borrowed = chosen(span_of(), short, method="pot", false_alarms_per_week=2.4)
    assert own == chosen(method="pot", false_alarms_per_week=2.4)[0]
    assert "borrowed the group's 21" in borrowed.warning
    assert borrowed.promised_alarm_rate == own.promised_alarm_rate


def test_pot_warns_of_short_blocks_as_conformal_does():
    normal = np.arange(700) % 6 > 0
    assert "blocks of 5 timesteps" in chosen(span_of(normal=normal), method="pot")[0].warning


def test_dynamic_takes_scores_less_than_a_reach_apart_for_one_run():
    scores = np.ones(400)
    scores[[20, 22, 24, 26, 28]], scores[80] = 12, 15
    joined, apart = (chosen(span_of(scores), method="dynamic", reach=reach)[0] for reach in (7, 1))
    assert joined == dynamic_threshold(scores, np.ones(400, dtype=bool), np.array([0]), 6)
    assert joined.value < 12 < apart.value


# --- by labels --------------------------------------------------------------------------------------------------------


@by_labels
def test_the_rows_around_an_event_count_neither_as_normal_nor_as_labelled(method):
    span = with_event(300, 340, 20)
    wild = span.scores.copy()
    wild[290:300] = wild[340:350] = 1e6
    expected = RULES[method](np.r_[SCORES[:290], SCORES[350:]], 20 * SCORES[300:340])
    assert chosen(span, method=method) == [expected]
    assert chosen(span_of(wild, span.normal, labelled=span.labelled), method=method) == [expected]


@by_labels
def test_an_asset_without_a_labelled_event_takes_the_threshold_of_its_group(method):
    spans = [with_event(300, 340, 20), span_of(SCORES[:300] * 2, asset="pump-2"), with_event(100, 120, 8)]
    own, borrowed, other = chosen(*spans, method=method)
    assert [own] == chosen(spans[0], method=method)
    assert [other] == chosen(spans[2], method=method)
    normal, labelled = ([getattr(s, f"{kind}_scores") for s in spans] for kind in ("normal", "labelled"))
    assert borrowed.value == RULES[method](np.concatenate(normal), np.concatenate(labelled)).value
    assert "no labelled event in its own calibration span: chosen by those of its group" in borrowed.warning
    assert (own.warning, other.warning) == ("", "")


@by_labels
@pytest.mark.parametrize("scored", [True, False])
def test_a_group_without_a_labelled_event_that_is_scored_is_refused_with_a_remedy(method, scored):
    scores, labelled = SCORES.copy(), np.arange(700) >= 690
    scores[690:] = np.nan
    spans = [span_of(), span_of(asset="pump-2")] if scored else [span_of(scores, ~labelled, labelled=labelled)]
    names = "'pump-1', 'pump-2'" if scored else "'pump-1'"
    with pytest.raises(ReadingsError, match=f"'{method}' takes labelled events, .* of {names} lies in one: .*labels"):
        chosen(*spans, method=method)


def test_of_a_large_group_without_labelled_events_three_are_named():
    spans = [span_of(asset=f"pump-{k}") for k in range(1, 61)]
    with pytest.raises(ReadingsError, match=r"span of 'pump-1', 'pump-2', 'pump-3' and 57 more lies in one"):
        chosen(*spans, method="labelled")


@pytest.mark.parametrize("method", [method for method in METHODS if method not in RULES])
def test_no_other_method_looks_at_the_scores_of_labelled_events(method):
    quiet, loud = (with_event(300, 340, factor) for factor in (1, 50))
    assert chosen(quiet, method=method) == chosen(loud, method=method)


# --- short spans ------------------------------------------------------------------------------------------------------


def test_an_asset_without_a_whole_block_does_not_shorten_those_of_the_others():
    long, short = span_of(), span_of(np.full(5, 1000.0), asset="pump-2")
    own, borrowed = chosen(long, short, false_alarms_per_week=2.4)
    assert own == chosen(long, false_alarms_per_week=2.4)[0]
    assert borrowed.value == 1000.0  # never below its own highest score
    assert "got 1: borrowed the group's 100" in borrowed.warning


def test_blocks_shrink_only_if_no_asset_has_a_whole_one():
    # the longest normal runs are 5 and 6 of a reach of 7: both assets count blocks of 5
    five, six = (span_of(normal=np.arange(700) % (n + 1) > 0, asset=f"pump-{n}") for n in (5, 6))
    for threshold in chosen(five, six):
        assert "blocks of 5 timesteps" in threshold.warning
    for threshold in chosen(five, span_of(asset="pump-7")):
        assert "shorter than" not in threshold.warning


@pytest.mark.parametrize("budget", [2.4, 50.0])  # one that the group's blocks cannot keep either, one that they can
def test_an_asset_without_a_whole_block_stays_above_its_own_scores_where_the_group_is_too_small(budget):
    short = span_of(np.full(5, 1000.0), asset="pump-2")
    assert chosen(span_of(SCORES[:21]), short, false_alarms_per_week=budget)[1].value == 1000.0


def test_an_asset_that_comes_later_borrows_what_the_group_lends_and_stays_above_its_own_highest():
    group = [span_of(SCORES[:350]), span_of(SCORES[350:], asset="pump-2")]
    lent = group_maxima(group, 7)
    assert lent.block_size == 7
    assert lent.values.tolist() == sorted(SCORES.reshape(100, 7).max(axis=1))
    late = span_of(SCORES[:21] / 2, asset="late")
    [alone] = chosen(late, false_alarms_per_week=0.24)
    [threshold] = chosen(late, false_alarms_per_week=0.24, lent=lent)
    [_, _, with_them] = chosen(*group, late, false_alarms_per_week=0.24)
    assert threshold == with_them
    assert "borrowed the group's 103" in threshold.warning
    assert "the promise is" in alone.warning
    high = span_of(SCORES[:21] * 100, asset="late")
    assert chosen(high, false_alarms_per_week=0.24, lent=lent)[0].value == SCORES[:21].max() * 100


def test_of_many_maxima_those_that_are_lent_are_spread_evenly(monkeypatch):
    monkeypatch.setattr("offbeat.detection.calibration.MOST_LENT", 11)
    lent = group_maxima([span_of(SCORES)], 7).values
    everything = sorted(SCORES.reshape(100, 7).max(axis=1))
    assert (len(lent), lent[0], lent[-1]) == (11, everything[0], everything[-1])
    assert lent[5] in everything[48:52]


def test_maxima_of_shorter_blocks_than_the_asset_has_room_for_are_not_borrowed():
    short = group_maxima([span_of(SCORES[:5])], 7)
    assert short.block_size == 5
    assert chosen(span_of(), false_alarms_per_week=0.24, lent=short) == chosen(span_of(), false_alarms_per_week=0.24)
