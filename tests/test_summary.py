"""The summary shows the figures, and says what to doubt when there is reason to."""

import math
from types import SimpleNamespace

import pytest

from offbeat.detection.thresholds import Threshold
from offbeat.summary import doubts, metrics_table, summary, threshold_warnings

GOOD = {
    "vus_pr": 0.9,
    "auc_pr": 0.8,
    "n_events": 5,
    "n_events_found": 4,
    "event_precision": 0.75,
    "event_recall": 0.8,
    "event_f1": 0.774,
    "detection_delay_mean": 3.26,
    "false_alarm_rate": 0.013,
    "false_alarms": 2,
    "false_alarms_per_day": 0.02,
    "promised_false_alarms_per_day": 0.143,
}
NO_EVENTS = GOOD | dict.fromkeys(("vus_pr", "auc_pr", "event_recall", "event_f1", "detection_delay_mean"), None)
NO_EVENTS |= {"n_events": 0, "n_events_found": 0}
POOR = {"random": GOOD | {"vus_pr": 0.1}}


def doubted(fleet=GOOD, baselines=POOR, explained_variance=0.9):
    return list(doubts(fleet, baselines, explained_variance))


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_row_shows_the_figures_under_their_headings():
    heading, _, row = metrics_table({"pump-1": GOOD}).splitlines()
    shown = dict(zip(heading.split(), row.split()[1:], strict=True))
    assert shown == {
        "VUS-PR": "0.900",
        "AUC-PR": "0.800",
        "found": "4",
        "of": "5",
        "precision": "0.75",
        "recall": "0.80",
        "F1": "0.77",
        "delay": "3.3",
        "FAR": "1.3%",
        "false": "2",
        "false/day": "0.02",
        "promised": "0.14",
    }


def test_rows_are_aligned_and_a_figure_that_is_not_there_is_a_dash():
    nan = {key: math.nan if value is None else value for key, value in NO_EVENTS.items()}
    lines = metrics_table({"lstm_autoencoder": GOOD, "none": NO_EVENTS, "nan": nan, "empty": {}}).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert (
        lines[3].split()[1:]
        == lines[4].split()[1:]
        == ["-", "-", "0", "0", "0.75", *"---", "1.3%", "2", "0.02", "0.14"]
    )
    assert set(lines[5].split()[1:]) == {"-"}


def test_without_time_the_rates_are_per_ten_thousand_timesteps():
    metrics = {"false_alarms_per_10000_timesteps": 7.5, "promised_false_alarms_per_10000_timesteps": 10.0}
    heading, _, row = metrics_table({"a": metrics}).splitlines()
    assert heading.split()[-2:] == ["false/10k", "promised"]
    assert row.split()[-2:] == ["7.50", "10.00"]


def test_the_summary_names_the_fleet_the_methods_the_assets_and_the_next_steps():
    fleet = GOOD | {"n_assets": 6}
    training = {"explained_variance": 0.93}
    text = summary(
        {
            "method": "lstm_autoencoder",
            "training": training,
            "fleet": fleet,
            "baselines": POOR,
            "assets": {"pump-1": GOOD},
        }
    )
    assert text.startswith("6 assets, 5 labelled events in their test spans. The model explains 93.0% of the")
    for part in ("lstm_autoencoder", "random", "pump-1", "Next:", "offbeat score", "offbeat train"):
        assert part in text
    assert "Doubt" not in text


def test_the_summary_of_a_fleet_without_events_stands_and_says_so():
    fleet = NO_EVENTS | {"n_assets": 1}
    metrics = {"method": "mean", "fleet": fleet, "baselines": {"random": NO_EVENTS}, "assets": {"pump-1": NO_EVENTS}}
    text = summary({**metrics, "training": {"explained_variance": 0.1}})
    assert text.startswith("1 asset, 0 labelled events in its test span. ")
    assert "Doubt: no labelled event in the test spans" in text
    assert "Doubt: the model explains 10% of the variance" in text
    assert "ranks at least as well" not in text


# --- doubts -----------------------------------------------------------------------------------------------------------


def test_a_good_detector_is_not_doubted():
    assert doubted() == []


def test_a_network_that_has_learnt_little_is_doubted_with_a_remedy():
    [doubt] = doubted(explained_variance=0.29)
    assert "learnt little" in doubt
    assert "train.epochs" in doubt
    assert doubted(explained_variance=0.3) == []


@pytest.mark.parametrize(("vus_pr", "is_doubted"), [(0.87, False), (0.9, True), (0.95, True)])
def test_a_simple_method_that_ranks_as_well_is_named(vus_pr, is_doubted):
    found = doubted(baselines=POOR | {"pca": GOOD | {"vus_pr": vus_pr}})
    assert found == (
        [f"pca ranks at least as well: VUS-PR {vus_pr:.3f} against 0.900; is this model worth its cost?"]
        if is_doubted
        else []
    )


def test_a_method_without_an_area_is_no_rival():
    assert doubted(baselines={"pca": GOOD | {"vus_pr": None}}) == []
    assert doubted(baselines={"pca": GOOD | {"vus_pr": math.nan}}) == []
    assert doubted(fleet=GOOD | {"vus_pr": 0.0}, baselines={"pca": GOOD | {"vus_pr": None}}) == []


@pytest.mark.parametrize(("realised", "is_doubted"), [(0.2, False), (0.21, True)])
def test_more_than_twice_the_promised_false_alarms_are_doubted(realised, is_doubted):
    fleet = GOOD | {"false_alarms_per_day": realised, "promised_false_alarms_per_day": 0.1}
    assert bool(doubted(fleet)) == is_doubted
    without_time = {
        f"{key}false_alarms_per_10000_timesteps": rate for key, rate in (("", 10 * realised), ("promised_", 1))
    }
    timed = {key for key in GOOD if key.endswith("per_day")}
    assert bool(doubted({key: v for key, v in fleet.items() if key not in timed} | without_time)) == is_doubted


@pytest.mark.parametrize(("rate", "is_doubted"), [(None, False), (math.nan, False), (0.1, False), (0.25, True)])
def test_a_large_share_of_normal_timesteps_in_alarm_is_doubted(rate, is_doubted):
    found = doubted(GOOD | {"false_alarm_rate": rate})
    assert [doubt.split(":")[0] for doubt in found] == ["25% of normal timesteps are in alarm"] * is_doubted


@pytest.mark.parametrize("promised", [None, math.nan])
def test_a_method_without_a_promise_cannot_break_it_and_says_so(promised):
    [doubt] = doubted(GOOD | {"false_alarms_per_day": 9.0, "promised_false_alarms_per_day": promised})
    assert doubt.startswith("no rate of false alarms is promised")


def test_too_few_normal_days_to_see_whether_the_promise_is_kept_are_told():
    [doubt] = doubted(GOOD | {"normal_days": 6.0, "promised_false_alarms_per_day": 0.143})  # 0.86 expected
    assert doubt.startswith("6.0 normal days in the test spans are too few")
    assert doubted(GOOD | {"normal_days": 8.0}) == []


@pytest.mark.parametrize(("vus_pr", "words"), [(0.87, None), (0.89, "comes close"), (0.9, "ranks at least as well")])
def test_a_simple_method_that_comes_close_is_named(vus_pr, words):
    found = doubted(baselines={"pca": GOOD | {"vus_pr": vus_pr}})
    assert [doubt.startswith(f"pca {words}: ") for doubt in found] == [True] * (words is not None)


@pytest.mark.parametrize("n_events", [1, 4, 5])
def test_few_labelled_events_are_told(n_events):
    assert bool(doubted(GOOD | {"n_events": n_events, "n_events_found": n_events})) == (n_events < 5)


@pytest.mark.parametrize(("found", "is_doubted"), [(0, True), (2, True), (3, False), (6, False)])
def test_more_than_half_of_the_events_missed_are_told(found, is_doubted):
    told = doubted(GOOD | {"n_events": 6, "n_events_found": found})
    assert [doubt.split(" at ")[0] for doubt in told] == [f"{6 - found} of 6 labelled events missed"] * is_doubted


# --- thresholds -------------------------------------------------------------------------------------------------------


def test_assets_with_the_same_warning_share_a_line():
    warnings = {"a": "short", "b": "", "c": "short", "d": "other", **{f"e{k}": "many" for k in range(6)}}
    assets = {
        name: SimpleNamespace(threshold=Threshold(1.0, "conformal", 0.1, warning)) for name, warning in warnings.items()
    }
    assert threshold_warnings(SimpleNamespace(assets=assets)) == [
        "a, c: short",
        "d: other",
        "e0, e1 and 4 more: many",
    ]
