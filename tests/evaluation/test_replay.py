"""Every method is judged on the same test rows, at a threshold that has seen none of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from evaluated import PARAMS

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.errors import StageError
from offbeat.evaluation.replay import UNTRAINED, replay_fleet, score_fleet, summarize
from offbeat.models.export import export_network
from offbeat.models.recurrent import build_autoencoder
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder, Span

WINDOW_SIZE, N, OWN = 8, 400, "lstm_autoencoder"
TEST = 328  # first row of the test span: 80 % of 400 rows and a window
METHODS = [OWN, UNTRAINED, "pca", "moving_average", "random"]


@pytest.fixture(scope="module")
def other_graph():
    sizes = {"units": 4, "latent_size": 2, "position_size": 4, "linear_size": 0, "seed": 2}
    return export_network(build_autoencoder(WINDOW_SIZE, 3, load_params(changes={"train": sizes}).train))


@pytest.fixture
def fleet_of(make_series):
    """Two assets; `labels` and `exclude` are rows [start, stop) of the first."""

    def make(series=None, *, labels=(), exclude=(), timed=True):
        series = series or [make_series(N, timed=timed), make_series(N, asset="pump-2", seed=2, timed=timed)]

        def spans(rows):
            index, asset = series[0].index, series[0].asset
            return tuple(Span(asset, index[start], index[stop - 1]) for start, stop in rows)

        return prepare_fleet(Folder(tuple(series), spans(labels), spans(exclude)), PARAMS.prepare)

    return make


@pytest.fixture
def replayed(graph, other_graph):
    """Replay a fleet; return its replays by method and asset, and the fleet's metrics by method."""

    def replay(fleet, **calibrate):
        section = load_params(changes={"calibrate": PARAMS.calibrate.model_dump() | calibrate}).calibrate.for_window(8)
        detectors = [
            assemble(g, fleet[0].series, PARAMS.prepare, section, {"method": OWN}) for g in (graph, other_graph)
        ]
        for detector in detectors:
            calibrate_fleet(detector, fleet)
        replays = replay_fleet(*detectors, fleet, score_fleet(detectors[0], fleet), PARAMS.evaluate)
        return {(r.method, r.asset): r for r in replays}, summarize(replays)

    return replay


def with_event(series, start, stop):
    values = series.values.copy()
    values[start:stop] += [8, 100, 5]
    return replace(series, values=values)


# --- thresholds -------------------------------------------------------------------------------------------------------


def test_every_method_is_replayed_on_every_asset(fleet_of, replayed):
    replays, methods = replayed(fleet_of())
    assert list(replays) == [(method, asset) for method in METHODS for asset in ("pump-1", "pump-2")]
    assert list(methods) == METHODS
    for replay in replays.values():
        assert replay.scores.shape == replay.alarms.shape == (N,)


@pytest.mark.parametrize("method", ["conformal", "pot", "quantile", "sigma", "dynamic", "labelled", "gaussian_epsilon"])
def test_no_threshold_depends_on_the_readings_or_the_labels_of_the_test_span(fleet_of, replayed, make_series, method):
    series = [make_series(N), make_series(N, asset="pump-2", seed=2)]
    noise = np.random.default_rng(0).normal(0, 1e4, (N - TEST, 3))
    wild = [replace(one, values=np.vstack([one.values[:TEST], noise])) for one in series]
    known = (285, 295)  # in the calibration span, for the methods that ask for labels
    before, _ = replayed(fleet_of(series, labels=[known]), method=method)
    after, _ = replayed(fleet_of(wild, labels=[known, (340, 360)], exclude=[(370, 380)]), method=method)
    for key, replay in before.items():
        assert replay.threshold == after[key].threshold, key
        assert not np.array_equal(replay.scores[TEST:], after[key].scores[TEST:]) or key[0] == "random"


def test_the_thresholds_do_depend_on_the_calibration_span(fleet_of, replayed, make_series):
    series = [make_series(N), make_series(N, asset="pump-2", seed=2)]
    before, _ = replayed(fleet_of(series))
    after, _ = replayed(fleet_of([with_event(series[0], 270, 275), series[1]]))
    for method in METHODS[:-1]:
        assert after[method, "pump-1"].threshold.value > before[method, "pump-1"].threshold.value


def test_the_networks_are_judged_at_the_thresholds_of_their_detectors(fleet_of, graph, other_graph):
    fleet = fleet_of()
    detector, untrained = (
        assemble(g, fleet[0].series, PARAMS.prepare, PARAMS.calibrate.for_window(8), {"method": OWN})
        for g in (graph, other_graph)
    )
    for one in (detector, untrained):
        calibrate_fleet(one, fleet)
    for replay in replay_fleet(detector, untrained, fleet, score_fleet(detector, fleet), PARAMS.evaluate)[:4]:
        which = detector if replay.method == OWN else untrained
        prepared = next(p for p in fleet if p.series.asset == replay.asset)
        assert replay.threshold is which.assets[replay.asset].threshold
        result = which.score(prepared.series)
        assert np.array_equal(replay.scores, result.scores)
        assert np.array_equal(replay.alarms, result.alarms)


# --- which rows count -------------------------------------------------------------------------------------------------


def test_an_event_of_the_test_span_is_found_and_one_before_it_does_not_count(fleet_of, replayed, make_series):
    series = [with_event(make_series(N), 350, 360), make_series(N, asset="pump-2", seed=2)]
    replays, methods = replayed(fleet_of(series, labels=[(20, 25), (350, 360)]))
    metrics = replays[OWN, "pump-1"].metrics
    assert (metrics["n_timesteps"], metrics["n_labelled"], metrics["n_events"]) == (N - TEST, 10, 1)
    assert metrics["n_events_found"] == 1
    assert methods[OWN]["n_events"] == 1
    assert methods[OWN]["vus_pr"] == metrics["vus_pr"] > methods["random"]["vus_pr"]


def test_excluded_rows_leave_the_metrics(fleet_of, replayed, make_series):
    series = [with_event(make_series(N), 370, 380), make_series(N, asset="pump-2", seed=2)]
    false, _ = replayed(fleet_of(series))
    left_out, _ = replayed(fleet_of(series, exclude=[(366, 390)]))
    for method in METHODS[:-1]:
        before, after = (r[method, "pump-1"].metrics for r in (false, left_out))
        assert before["n_timesteps"] == N - TEST
        assert after["n_timesteps"] == N - TEST - 24
        assert after["false_alarms"] < before["false_alarms"]


def test_what_happens_in_excluded_rows_changes_no_metric(fleet_of, replayed, make_series):
    series = [make_series(N), make_series(N, asset="pump-2", seed=2)]
    quiet, _ = replayed(fleet_of(series, exclude=[(366, 390)]))
    loud, _ = replayed(fleet_of([with_event(series[0], 370, 375), series[1]], exclude=[(366, 390)]))
    for key, replay in quiet.items():
        np.testing.assert_equal(loud[key].metrics, replay.metrics)


@pytest.mark.parametrize(("exclude", "n_events"), [([(350, 360)], 2), ([(344, 346)], 2), ([], 2), ([(340, 350)], 1)])
def test_events_stay_two_where_excluded_rows_part_them_and_one_where_those_are_labelled(
    fleet_of, replayed, exclude, n_events
):
    replays, _ = replayed(fleet_of(labels=[(340, 350), (360, 370)], exclude=exclude))
    assert {replay.metrics["n_events"] for (_, asset), replay in replays.items() if asset == "pump-1"} == {n_events}


def test_a_label_over_a_long_gap_is_one_event(fleet_of, replayed, make_series):
    series = make_series(N + 10, gaps=[(360, 370)])
    replays, _ = replayed(fleet_of([series], labels=[(355, 365)]))
    assert series.segments == [(0, 360), (360, N)]
    assert replays[OWN, "pump-1"].metrics["n_events"] == 1


def test_an_event_that_cannot_be_scored_is_missed(fleet_of, replayed, make_series):
    series = make_series(N + 20, gaps=[(370, 380), (384, 394)])  # between them 4 rows, half a window
    replays, _ = replayed(fleet_of([series], labels=[(371, 372)]))
    metrics = replays[OWN, "pump-1"].metrics
    assert np.isnan(replays[OWN, "pump-1"].scores).sum() == 4
    assert metrics["n_timesteps"] == N - TEST
    assert (metrics["n_events"], metrics["n_events_found"]) == (1, 0)


def test_a_test_span_without_any_score_is_named_with_a_remedy(fleet_of, replayed):
    with pytest.raises(StageError, match=r"asset 'pump-1': no timestep of its test span has a score: give more"):
        replayed(fleet_of(exclude=[(TEST, N)]))


# --- what is in the metrics -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timed", [True, False])
def test_the_keys_are_the_same_for_every_method_and_asset_with_and_without_events(fleet_of, replayed, timed):
    keys = set()
    for labels in ([], [(350, 360)]):
        replays, methods = replayed(fleet_of(labels=labels, timed=timed))
        keys |= {(tuple(replay.metrics), "asset") for replay in replays.values()}
        keys |= {(tuple(metrics), "fleet") for metrics in methods.values()}
    assert len(keys) == 2


def test_budget_and_promise_stand_in_the_unit_of_the_realised_rate(fleet_of, replayed):
    _, methods = replayed(fleet_of())
    assert methods[OWN]["budget_false_alarms_per_day"] == pytest.approx(30 / 7)
    assert "promised_false_alarms_per_day" in methods[OWN]
    assert "false_alarms_per_day" in methods[OWN]
    replays, methods = replayed(fleet_of(timed=False))
    assert methods[OWN]["budget_false_alarms_per_10000_timesteps"] == pytest.approx(300)
    metrics = replays[OWN, "pump-1"].metrics
    rate = replays[OWN, "pump-1"].threshold.promised_alarm_rate
    assert metrics["promised_false_alarms_per_10000_timesteps"] == pytest.approx(rate * 10_000)
    assert "false_alarms_per_10000_timesteps" in metrics
    assert not any("day" in key for key in metrics)


def test_a_method_that_promises_nothing_has_no_promised_rate(fleet_of, replayed):
    _, methods = replayed(fleet_of(), method="sigma")
    assert math.isnan(methods[OWN]["promised_false_alarms_per_day"])
    assert methods[OWN]["budget_false_alarms_per_day"] == pytest.approx(30 / 7)


def test_the_fleet_sums_its_assets_and_weighs_their_promises_by_normal_time(fleet_of, replayed, make_series):
    fleet = fleet_of([make_series(N), make_series(800, asset="pump-2", seed=2)], labels=[(340, 350), (360, 370)])
    replays, methods = replayed(fleet, false_alarms_per_week=5)
    for method in METHODS:
        one, two = (replays[method, asset].metrics for asset in ("pump-1", "pump-2"))
        own = methods[method]
        for key in ("n_timesteps", "n_events", "n_events_found", "n_alarms", "false_alarms", "normal_days"):
            assert own[key] == pytest.approx(one[key] + two[key])
        assert own["n_assets"] == 2
        assert own["n_assets_with_events"] == 1
        promises = [m["promised_false_alarms_per_day"] for m in (one, two)]
        expected = (promises[0] * one["normal_days"] + promises[1] * two["normal_days"]) / own["normal_days"]
        assert own["promised_false_alarms_per_day"] == pytest.approx(expected)


def test_a_fleet_without_labels_has_false_alarms_and_no_areas(fleet_of, replayed):
    replays, methods = replayed(fleet_of())
    for metrics in (*methods.values(), *(replay.metrics for replay in replays.values())):
        assert all(math.isnan(metrics[key]) for key in ("vus_pr", "auc_pr", "event_recall", "detection_delay_mean"))
        assert metrics["n_events"] == 0
        assert metrics["false_alarms"] == metrics["n_alarms"]


def test_a_replay_repeats_itself_and_changes_nothing(fleet_of, replayed):
    fleet = fleet_of(labels=[(350, 360)])
    values = [prepared.scaled.copy() for prepared in fleet]
    (one, first), (two, second) = replayed(fleet), replayed(fleet)
    np.testing.assert_equal(first, second)
    assert all(np.array_equal(r.scores, two[key].scores, equal_nan=True) for key, r in one.items())
    assert all(np.array_equal(p.scaled, v) for p, v in zip(fleet, values, strict=True))
