"""Injected events lie in normal rows, change one channel, and are found by what was not in alarm before."""

from collections import Counter
from dataclasses import replace

import naive
import numpy as np
import pytest

from offbeat.evaluation.judging import Stretch
from offbeat.evaluation.replay import network_method, replay
from offbeat.evaluation.trial import EVENTS_EACH, draw_trials, find_trials, quiet_rows
from offbeat.readings.injection import DEFAULT_STRENGTHS

WINDOW_SIZE, CONTEXT, DELAY, FIRST = 8, 10, 3, 60


@pytest.fixture
def stretches(make_series):
    """Two assets with a label, an excluded stretch and a long gap."""
    made = []
    for k, series in enumerate((make_series(400, gaps=[(200, 210)]), make_series(300, asset="pump-2", seed=2))):
        labelled, excluded = (np.zeros(series.n_timesteps, dtype=bool) for _ in range(2))
        labelled[120 + k : 130] = excluded[240:250] = True
        made.append(Stretch(series, labelled, excluded, FIRST, 8))
    return made


def draw(stretches, seed=3):
    return draw_trials(stretches, WINDOW_SIZE, CONTEXT, DELAY, seed)


def of(stretches, trial):
    return next(stretch for stretch in stretches if stretch.series.asset == trial.series.asset)


# --- where and what ---------------------------------------------------------------------------------------------------


def test_every_kind_comes_equally_often_at_each_of_its_strengths(stretches):
    counts = Counter((trial.kind, trial.strength) for trial in draw(stretches))
    assert set(counts.values()) == {EVENTS_EACH}
    assert {kind for kind, _ in counts} == set(DEFAULT_STRENGTHS)
    assert [strength for kind, strength in counts if kind == "stuck_sensor"] == [1.0]
    assert len(counts) == 6 * 3 + 1


def test_all_readings_that_shape_an_event_s_scores_are_normal_and_it_lies_in_rows_that_count(stretches):
    for trial in draw(stretches):
        stretch, length = of(stretches, trial), trial.stop - trial.start
        first, last = trial.row - CONTEXT, trial.row + length + DELAY
        assert trial.row >= FIRST
        assert not (stretch.labelled | stretch.excluded)[first:last].any()
        assert not any(first < start < last for start in stretch.series.segment_starts[1:])
        assert (trial.series.index == stretch.series.index[first:last]).all()


def test_an_event_changes_its_rows_of_its_channel_and_nothing_else(stretches):
    for trial in draw(stretches):
        stretch, length = of(stretches, trial), trial.stop - trial.start
        before = stretch.series.values[trial.row - CONTEXT : trial.row + length + DELAY]
        rows, channels = np.nonzero(trial.series.values != before)
        assert set(channels) == {stretch.series.channels.index(trial.channel)}
        assert trial.start <= rows.min() <= rows.max() < trial.stop


def test_spikes_last_three_timesteps_at_most_and_other_kinds_up_to_four_windows(stretches):
    for trial in draw(stretches):
        low, high = (1, 3) if trial.kind == "spike" else (WINDOW_SIZE, 4 * WINDOW_SIZE)
        assert low <= trial.stop - trial.start <= high


def test_the_same_seed_draws_the_same_events_and_another_seed_others(stretches):
    places = [[(t.kind, t.channel, t.row) for t in draw(stretches, seed)] for seed in (3, 3, 4)]
    assert places[0] == places[1] != places[2]


def test_the_trials_of_an_asset_stand_together(stretches):
    assets = [trial.series.asset for trial in draw(stretches)]
    assert assets == sorted(assets)
    assert len(set(assets)) == 2


def test_nothing_is_injected_where_no_window_has_room(stretches):
    tight = [replace(one, labelled=np.arange(one.series.n_timesteps) % 12 == 0) for one in stretches]
    assert draw(tight) == []
    assert draw([]) == []


def test_a_channel_that_stands_still_or_has_no_reading_takes_no_event(stretches):
    values = stretches[0].series.values.copy()
    values[:, 0], values[:, 1] = 5.0, np.nan
    dull = replace(stretches[0], series=replace(stretches[0].series, values=values))
    assert {trial.channel for trial in draw([dull]) if trial.kind != "phase_shift"} == {"temp"}


def test_a_machine_that_stands_still_takes_no_event(stretches):
    still = replace(stretches[0].series, values=np.full_like(stretches[0].series.values, 5.0))
    assert draw([replace(stretches[0], series=still)]) == []


def test_drawing_changes_no_reading(stretches):
    before = [stretch.series.values.copy() for stretch in stretches]
    draw(stretches)
    assert all(np.array_equal(one.series.values, values) for one, values in zip(stretches, before, strict=True))


def test_quiet_rows_are_those_whose_whole_reach_is_normal(stretches):
    for stretch in stretches:
        usable, segments = stretch.normal.tolist(), stretch.series.segments
        expected = np.array(naive.reach_mask(usable, segments, CONTEXT, DELAY))
        expected[:FIRST] = False
        assert np.array_equal(quiet_rows(stretch, CONTEXT, DELAY), expected)


# --- what is found ----------------------------------------------------------------------------------------------------


@pytest.fixture
def detector(make_detector, make_series):
    """Calibrated for both assets, at a threshold that some scores of normal readings are over."""
    made = make_detector(delay=DELAY, method="quantile", quantile=0.97)
    made.calibrate(make_series(400, asset="pump-2", seed=2))
    return made


def test_scores_of_the_pieces_are_those_of_the_whole_readings_with_the_event(stretches, detector):
    assert detector.context == CONTEXT - 1
    for trial in draw(stretches)[::9]:
        series, length = of(stretches, trial).series, trial.stop - trial.start
        values = series.values.copy()
        values[trial.row : trial.row + length] = trial.series.values[trial.start : trial.stop]
        calibration = detector.assets[series.asset]
        whole = detector.scores(replace(series, values=values), calibration)[trial.row : trial.row + length]
        np.testing.assert_allclose(detector.scores(trial.series, calibration)[trial.start : trial.stop], whole, 1e-5)


def test_found_are_the_events_that_plain_loops_find(stretches, detector):
    method, trials = network_method("it", detector), draw(stretches)
    quiet = {stretch.series.asset: replay(method, stretch).alarms for stretch in stretches}
    expected = [
        naive.found_trial(
            method.score(trial.series),
            method.thresholds[trial.series.asset].value,
            method.params.merge_gap,
            trial.start,
            trial.stop,
            quiet[trial.series.asset][trial.row : trial.row + trial.stop - trial.start],
        )
        for trial in trials
    ]
    found = find_trials(method, trials, quiet)
    assert found.tolist() == expected
    assert 0 < found.sum() < len(found)


def test_a_method_that_is_always_in_alarm_finds_nothing(stretches, detector):
    method = network_method("it", detector)
    quiet = {stretch.series.asset: np.ones(stretch.series.n_timesteps, dtype=bool) for stretch in stretches}
    assert not find_trials(method, draw(stretches), quiet).any()


def test_no_trial_gives_no_answer(detector):
    assert find_trials(network_method("it", detector), [], {}).shape == (0,)
