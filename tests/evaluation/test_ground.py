"""Challenger and champion are judged on rows that neither has learnt from; what is left out is said."""

from dataclasses import replace

import numpy as np
import pytest

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.evaluation.ground import Champion, common_ground, learnt_until, other_rule, shared_ground
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder

N, TEST = 400, 328  # first row of the test span: 80 % of 400 rows and a window
PARAMS = load_params(
    changes={
        "prepare": {"window_size": 8, "held_out_share": 0.25},
        "calibrate": {"delay": 3, "smoothing": 4, "merge_gap": 2, "false_alarms_per_week": 30},
        "evaluate": {"max_buffer": 4},
    }
)


@pytest.fixture
def fleet_of(make_series):
    def make(*assets, **options):
        series = tuple(make_series(N, asset=asset, seed=k, **options) for k, asset in enumerate(assets))
        return prepare_fleet(Folder(series), PARAMS.prepare)

    return make


@pytest.fixture
def detector_of(graph):
    def make(fleet, **changes):
        section = load_params(changes={"calibrate": PARAMS.calibrate.model_dump() | changes}).calibrate.for_window(8)
        detector = assemble(graph, fleet[0].series, PARAMS.prepare, section, {})
        calibrate_fleet(detector, fleet)
        return detector

    return make


def ground(fleet, challenger, champion=None):
    return common_ground(fleet, challenger, champion, PARAMS.evaluate)


def first_rows(found):
    """Return each asset's first row that counts, as a timestamp or index of its readings."""
    return {one.series.asset: one.series.index[one.first] for one in found.stretches}


@pytest.mark.parametrize("timed", [True, False])
def test_a_model_has_learnt_until_the_row_before_its_test_span(fleet_of, timed):
    fleet = fleet_of("pump-1", timed=timed)
    assert fleet[0].split.test[0] == TEST
    last = fleet[0].series.index[TEST - 1]
    assert learnt_until(fleet) == {"pump-1": last.isoformat() if timed else last}


def test_without_a_champion_the_test_spans_count(fleet_of, detector_of):
    fleet = fleet_of("pump-1", "pump-2")
    found = ground(fleet, detector_of(fleet))
    assert first_rows(found) == {p.series.asset: p.series.index[TEST] for p in fleet}
    assert [int(one.kept.sum()) for one in found.stretches] == [N - TEST] * 2
    assert found.notes == []


@pytest.mark.parametrize("timed", [True, False])
def test_only_rows_after_those_that_the_champion_has_seen_count(fleet_of, detector_of, timed):
    fleet = fleet_of("pump-1", "pump-2", timed=timed)
    index = fleet[0].series.index
    later = str(index[349]) if timed else int(index[349])
    earlier = str(index[10]) if timed else int(index[10])
    champion = Champion(detector_of(fleet), {"pump-1": later, "pump-2": earlier})
    assert first_rows(ground(fleet, detector_of(fleet), champion)) == {"pump-1": index[350], "pump-2": index[TEST]}


def test_models_of_the_same_fleet_are_judged_on_its_whole_test_spans(fleet_of, detector_of):
    fleet = fleet_of("pump-1", "pump-2")
    alone, both = (
        ground(fleet, detector_of(fleet), one) for one in (None, Champion(detector_of(fleet), learnt_until(fleet)))
    )
    assert first_rows(alone) == first_rows(both)


def test_scores_reach_back_as_far_as_they_need_and_are_those_of_the_whole_readings(fleet_of, detector_of):
    fleet = fleet_of("pump-1")
    detector = detector_of(fleet)
    [stretch] = ground(fleet, detector).stretches
    assert stretch.first == detector.context
    whole, cut = (detector.scores(series, detector.assets["pump-1"]) for series in (fleet[0].series, stretch.series))
    np.testing.assert_allclose(cut[stretch.first :], whole[TEST:], 1e-5)


def test_the_larger_reach_of_the_two_is_kept(fleet_of, detector_of):
    fleet = fleet_of("pump-1")
    found = ground(fleet, detector_of(fleet), Champion(detector_of(fleet, smoothing=9), learnt_until(fleet)))
    assert (found.context, found.delay) == (7 + 8 - 1, 3)


# --- what cannot be compared ------------------------------------------------------------------------------------------


def test_assets_that_the_champion_does_not_know_are_left_out_and_named(fleet_of, detector_of):
    fleet = fleet_of("pump-1", "pump-2", "pump-3")
    champion = Champion(detector_of(fleet[:2]), learnt_until(fleet[:1]))
    found = ground(fleet, detector_of(fleet), champion)
    assert list(first_rows(found)) == ["pump-1"]
    assert found.notes == ["not compared on pump-2, pump-3: the champion does not know them"]


def test_a_champion_that_knows_none_of_the_assets_cannot_answer(fleet_of, detector_of):
    fleet, others = fleet_of("pump-1"), fleet_of("fan-1")
    found = ground(fleet, detector_of(fleet), Champion(detector_of(others), learnt_until(others)))
    assert found.champion is None
    assert found.notes == ["compared with PCA alone: the champion knows none of these assets"]
    assert list(first_rows(found)) == ["pump-1"]


def test_a_champion_with_other_channels_cannot_answer(fleet_of, detector_of):
    fleet = fleet_of("pump-1")
    other = replace(detector_of(fleet), channels=("flow", "speed", "noise"))
    found = ground(fleet, detector_of(fleet), Champion(other, learnt_until(fleet)))
    assert found.champion is None
    assert found.notes == ["compared with PCA alone: the champion knows other channels (flow, speed, noise)"]


def test_the_same_channels_in_another_order_are_the_same_channels(fleet_of, detector_of):
    fleet = fleet_of("pump-1")
    other = replace(detector_of(fleet), channels=("temp", "speed", "flow"))
    assert ground(fleet, detector_of(fleet), Champion(other, learnt_until(fleet))).champion is not None


def test_a_champion_of_another_period_cannot_answer(fleet_of, detector_of):
    fleet = fleet_of("pump-1")
    other = replace(detector_of(fleet), step=60_000_000_000)
    found = ground(fleet, detector_of(fleet), Champion(other, learnt_until(fleet)))
    assert found.champion is None
    assert "every 1 min, these come every 10 min" in found.notes[0]


def test_an_asset_whose_readings_the_champion_has_all_seen_is_left_out_and_named(fleet_of, detector_of):
    fleet = fleet_of("pump-1", "pump-2")
    seen = {**learnt_until(fleet), "pump-2": "2030-01-01"}
    found = ground(fleet, detector_of(fleet), Champion(detector_of(fleet), seen))
    assert list(first_rows(found)) == ["pump-1"]
    assert found.notes == ["not compared on pump-2: too few readings are new to all"]


def test_another_threshold_rule_is_noted(fleet_of, detector_of):
    fleet = fleet_of("pump-1")
    champion = Champion(detector_of(fleet, false_alarms_per_week=60), learnt_until(fleet))
    [note] = ground(fleet, detector_of(fleet), champion).notes
    assert note.endswith(": false_alarms_per_week 30.0 instead of 60.0")


# --- several candidates -----------------------------------------------------------------------------------------------


def test_candidates_are_judged_on_rows_that_come_after_all_that_any_of_them_learnt_from(make_series, detector_of):
    series = (make_series(N), make_series(N, asset="pump-2", seed=1))
    later = PARAMS.prepare.model_copy(update={"calibration_share": 0.25})
    fleets = [prepare_fleet(Folder(series), section) for section in (PARAMS.prepare, later)]
    detectors = [detector_of(fleet) for fleet in fleets]
    firsts = [[prepared.split.test[0] for prepared in fleet] for fleet in fleets]
    assert firsts == [[TEST] * 2, [TEST + 20] * 2]
    for order in (slice(None), slice(None, None, -1)):
        found = shared_ground(fleets[order], detectors[order], PARAMS.evaluate)
        assert first_rows(found) == {one.asset: one.index[TEST + 20] for one in series}


def test_candidates_are_judged_with_the_largest_reach_of_them(fleet_of, detector_of):
    fleet = fleet_of("pump-1")
    detectors = [detector_of(fleet), detector_of(fleet, delay=6), detector_of(fleet, smoothing=9)]
    found = shared_ground([fleet] * 3, detectors, PARAMS.evaluate)
    assert (found.window_size, found.delay) == (8, 6)
    assert found.context == max(one.context for one in detectors) > detectors[0].context


def test_another_threshold_rule_is_said_and_another_smoothing_is_not(fleet_of, detector_of):
    fleet = fleet_of("pump-1")
    base, budget, smooth = detector_of(fleet), detector_of(fleet, false_alarms_per_week=9), detector_of(fleet, delay=2)
    assert other_rule(smooth, base, "its", "those of the base") == []
    (note,) = other_rule(budget, base, "its", "those of the base")
    assert note.startswith("its thresholds follow another rule than those of the base, which may be all the difference")
    assert note.endswith(": false_alarms_per_week 9.0 instead of 30.0")
