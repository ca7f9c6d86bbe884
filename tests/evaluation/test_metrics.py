import itertools

import naive
import numpy as np
import pytest

from offbeat.evaluation.metrics import evaluate_scores, event_scores, fleet_metrics

# timestep  0 1 2 3 4 5 6 7 8 9 10 11    events [2, 5), [8, 10), [11, 12)
LABELS = [0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1]
ALARMS = [1, 0, 0, 1, 1, 1, 0, 1, 0, 1, 0, 0]  # alarms [0, 1), [3, 6), [7, 8), [9, 10)


def test_event_scores_by_hand():
    # Alarms [3, 6) and [9, 10) lie on an event, the other two do not; events 1 and 2 are found, each 1 timestep late.
    # Timesteps: TP 3, 4, 9; FP 0, 5, 7; 6 labelled, so FN 3; 6 normal, so TN 3.
    # Point adjustment marks the found events whole: 3 + 2 = 5 hits. Normal time: 6 x 7,200 s = half a day.
    expected = {
        "n_timesteps": 12,
        "n_labelled": 6,
        "n_events": 3,
        "n_events_found": 2,
        "n_alarms": 4,
        "false_alarms": 2,
        "true_positives": 3,
        "false_positives": 3,
        "pa_true_positives": 5,
        "normal_days": 0.5,
        "event_precision": 2 / 4,
        "event_recall": 2 / 3,
        "event_f1": 4 / 7,  # 2 x 1/2 x 2/3 / (1/2 + 2/3)
        "point_precision": 3 / 6,
        "point_recall": 3 / 6,
        "point_f1": 1 / 2,
        "false_alarm_rate": 3 / 6,
        "missed_alarm_rate": 3 / 6,
        "false_alarms_per_day": 2 / 0.5,
        "pa_precision": 5 / 8,
        "pa_recall": 5 / 6,
        "pa_f1": 5 / 7,  # 2 x 5/8 x 5/6 / (5/8 + 5/6)
        "detection_delay_mean": 1,
        "detection_delay_median": 1,
        "detection_delay_mean_s": 7200,
        "detection_delay_median_s": 7200,
    }
    metrics = event_scores(LABELS, ALARMS, period_s=7200)
    assert metrics == pytest.approx(expected)
    assert set(metrics) == set(expected)


def test_counts_agree_with_plain_loops():
    masks = list(itertools.product([0, 1], repeat=5))
    for labels, alarms in itertools.product(masks, masks):
        for starts in ([], [2]):
            metrics = event_scores(labels, alarms, segment_starts=starts)
            expected = naive.event_counts(labels, alarms, starts)
            assert {key: metrics[key] for key in expected} == expected


def test_without_a_period_false_alarms_are_per_10000_timesteps_and_nothing_is_in_seconds():
    metrics = event_scores(LABELS, ALARMS)
    assert metrics["false_alarms_per_10000_timesteps"] == pytest.approx(2 / 6 * 10_000)
    assert not {"false_alarms_per_day", "normal_days", "detection_delay_mean_s"} & set(metrics)


def test_the_mean_and_the_median_delay_are_over_the_events_found():
    # delays 0, 1, 5; the last event is missed
    labels = [1] * 6 + [0] + [1] * 6 + [0] + [1] * 6 + [0] + [1]
    alarms = [1] * 6 + [0] + [0] + [1] * 5 + [0] + [0] * 5 + [1] + [0] + [0]
    metrics = event_scores(labels, alarms)
    assert (metrics["detection_delay_mean"], metrics["detection_delay_median"]) == (2, 1)


def test_events_and_alarms_do_not_join_across_segments():
    joined = event_scores([0, 1, 1, 0], [0, 1, 1, 0])
    apart = event_scores([0, 1, 1, 0], [0, 1, 1, 0], segment_starts=[0, 2])
    assert (joined["n_events"], joined["n_alarms"]) == (1, 1)
    assert (apart["n_events"], apart["n_alarms"]) == (2, 2)


def test_without_an_event_what_is_over_events_is_nan():
    metrics = event_scores([0, 0, 0, 0], [0, 1, 0, 0])
    for key in ("event_recall", "event_f1", "point_recall", "point_f1", "missed_alarm_rate", "detection_delay_mean"):
        assert np.isnan(metrics[key]), key
    assert (metrics["event_precision"], metrics["false_alarm_rate"], metrics["false_alarms"]) == (0, 0.25, 1)


def test_without_an_alarm_precision_is_nan_and_f1_zero():
    metrics = event_scores([0, 1, 1, 0], [0, 0, 0, 0])
    assert np.isnan(metrics["event_precision"])
    assert (metrics["event_recall"], metrics["event_f1"], metrics["point_f1"], metrics["pa_f1"]) == (0, 0, 0, 0)


def test_where_all_is_labelled_there_is_no_false_alarm_rate():
    metrics = event_scores([1, 1], [1, 0], period_s=60)
    assert np.isnan(metrics["false_alarm_rate"])
    assert np.isnan(metrics["false_alarms_per_day"])


def test_point_adjustment_makes_one_lucky_hit_look_good():
    labels = np.zeros(1000, dtype=bool)
    labels[400:600] = True
    alarms = np.zeros(1000, dtype=bool)
    alarms[[10, 500, 900]] = True
    metrics = event_scores(labels, alarms)
    assert metrics["point_f1"] < 0.01  # 2 x 1 / (3 + 200)
    assert metrics["pa_f1"] > 0.99  # 2 x 200 / (202 + 200)


@pytest.fixture(scope="module")
def asset():
    rng = np.random.default_rng(5)
    labels = np.zeros(600, dtype=bool)
    labels[100:140] = labels[400:420] = True
    return labels, rng.normal(size=600) + 2 * labels


def test_evaluation_holds_the_areas_the_events_and_the_oracle(asset):
    labels, scores = asset
    metrics = evaluate_scores(labels, scores, scores > 2, period_s=60, max_buffer=20)
    expected = event_scores(labels, scores > 2, period_s=60)
    assert {key: metrics[key] for key in expected} == pytest.approx(expected)
    assert set(metrics) == set(expected) | {"vus_pr", "auc_pr", "oracle_f1", "oracle_threshold"}
    assert metrics["vus_pr"] == pytest.approx(naive.vus_pr(labels.tolist(), scores.tolist(), 20), abs=1e-12)
    assert all(isinstance(value, (int, float)) and not isinstance(value, np.generic) for value in metrics.values())


def test_no_threshold_beats_the_oracle(asset):
    labels, scores = asset
    oracle = evaluate_scores(labels, scores, scores > 2, period_s=None, max_buffer=0)
    for threshold in np.linspace(-3, 5, 50):
        assert event_scores(labels, scores > threshold)["point_f1"] <= oracle["oracle_f1"] + 1e-12
    at_oracle = event_scores(labels, scores > oracle["oracle_threshold"])
    assert at_oracle["point_f1"] == pytest.approx(oracle["oracle_f1"])


def test_fleet_ratios_come_from_summed_counts(asset):
    labels, scores = asset
    cuts = [0, 90, 350, 600]
    parts = [slice(start, stop) for start, stop in itertools.pairwise(cuts)]
    fleet = fleet_metrics(
        [evaluate_scores(labels[p], scores[p], scores[p] > 1, period_s=60, max_buffer=9) for p in parts]
    )
    end_to_end = event_scores(labels, scores > 1, period_s=60, segment_starts=cuts[:-1])
    pooled = {key: value for key, value in end_to_end.items() if "median" not in key}
    assert {key: fleet[key] for key in pooled} == pytest.approx(pooled)


def test_fleet_areas_are_means_over_the_assets_with_events(asset):
    labels, scores = asset
    one = evaluate_scores(labels, scores, scores > 1, period_s=60, max_buffer=9)
    two = evaluate_scores(labels, -scores, scores > 1, period_s=60, max_buffer=9)
    healthy = evaluate_scores(0 * labels, scores, scores > 1, period_s=60, max_buffer=9)
    fleet = fleet_metrics([one, two, healthy])
    for key in ("vus_pr", "auc_pr", "oracle_f1"):
        assert fleet[key] == pytest.approx((one[key] + two[key]) / 2)
    assert (fleet["n_assets"], fleet["n_assets_with_events"]) == (3, 2)
    assert fleet["false_alarms"] == one["false_alarms"] + two["false_alarms"] + healthy["false_alarms"]


def test_a_fleet_without_events_has_counts_and_nan():
    fleet = fleet_metrics([evaluate_scores([0, 0, 0], [1, 2, 3], [0, 0, 1], period_s=None, max_buffer=1)] * 2)
    assert np.isnan(fleet["vus_pr"])
    assert np.isnan(fleet["detection_delay_mean"])
    assert (fleet["false_alarms"], fleet["false_alarm_rate"]) == (2, pytest.approx(2 / 6))


def test_one_asset_without_a_period_takes_the_days_from_the_fleet():
    fleet = fleet_metrics([event_scores(LABELS, ALARMS), event_scores(LABELS, ALARMS, period_s=60)])
    assert fleet["false_alarms_per_10000_timesteps"] == pytest.approx(4 / 12 * 10_000)
    assert not {"false_alarms_per_day", "normal_days", "detection_delay_mean_s"} & set(fleet)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: event_scores([0, 1], [0, 1, 1]), r"got \(2,\) and \(3,\)"),
        (lambda: event_scores([0, 1], [0, 1], period_s=0), "above 0 seconds, got 0"),
        (lambda: evaluate_scores([0, 1], [np.nan, 1], [0, 1], period_s=1, max_buffer=1), "first at timestep 0"),
        (lambda: fleet_metrics([]), "at least one asset"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
