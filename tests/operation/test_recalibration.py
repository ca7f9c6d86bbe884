"""Thresholds follow what people said of alarms, and nothing else of the detector moves."""

from dataclasses import replace

import numpy as np
import pytest

from offbeat.detection.thresholds import Threshold
from offbeat.errors import ModelError
from offbeat.operation.recalibration import change_lines, recalibrate
from offbeat.readings.folder import Folder
from offbeat.readings.spans import Span

LEARNT = 150  # rows of the training span


@pytest.fixture
def series(make_series):
    """A fleet of two with a disturbance in rows 300 to 320 of the first."""
    one, other = make_series(400, seed=3), make_series(400, asset="pump-2", seed=4)
    values = one.values.copy()
    values[300:320, 0] += 3
    return replace(one, values=values), other


@pytest.fixture
def detector(make_detector, make_series):
    detector = make_detector(make_series(seed=9))
    detector.calibrate(make_series(asset="pump-2", seed=8))
    return detector


def span_of(series, start, stop, note=""):
    return Span(series.asset, series.index[start], series.index[stop - 1], note)


def learnt(*series):
    return {one.asset: int(one.stamps[LEARNT - 1]) for one in series}


def test_one_asset_alone_gets_what_calibrate_gives_for_its_normal_rows(detector, series):
    one, _ = series
    folder = Folder((one,), labels=(span_of(one, 200, 210),), exclude=(span_of(one, 250, 260),))
    doubtful = [span_of(one, 295, 330)]
    made = recalibrate(detector, folder, learnt(one), doubtful, ["pump-1"])
    normal = np.ones(400, dtype=bool)
    for start, stop in ((0, LEARNT), (200, 210), (250, 260), (295, 330)):
        normal[start:stop] = False
    twin = replace(detector, assets=dict(detector.assets)).calibrate(one, normal=normal)
    thresholds = [one.assets["pump-1"].threshold for one in (detector, twin)]
    assert made.detector.assets["pump-1"].threshold == max(thresholds, key=lambda threshold: threshold.value)
    assert made.detector.assets["pump-1"].origin == twin.assets["pump-1"].origin


@pytest.mark.parametrize("method", ["labelled", "gaussian_epsilon"])
def test_a_threshold_by_labels_is_chosen_by_the_labels_since_training(detector, series, method):
    one, _ = series
    labels, excluded = (span_of(one, 300, 320), span_of(one, 100, 110)), (span_of(one, 250, 260),)
    labelled = np.zeros(400, dtype=bool)
    labelled[300:320] = True
    normal = np.arange(400) >= LEARNT
    normal[250:260] = False
    detector.assets["pump-1"] = replace(
        detector.assets["pump-1"], threshold=Threshold(0.0, method, None), origin={"method": method}
    )
    made = recalibrate(detector, Folder((one,), labels, excluded), learnt(one), [], ["pump-1"])
    twin = replace(detector, assets=dict(detector.assets)).calibrate(
        one, normal=normal, labelled=labelled, method=method
    )
    assert made.detector.assets["pump-1"].threshold == twin.assets["pump-1"].threshold
    assert made.changes[0].after.value > 0


def test_a_false_alarm_raises_the_threshold_over_its_peak_and_a_true_one_does_not(detector, series):
    one, other = series
    folder, alarm = Folder(series), span_of(one, 295, 330)
    peak = detector.score(one).scores[295:330].max()
    marked_false = recalibrate(detector, folder, learnt(*series), [])
    marked_true = recalibrate(detector, folder, learnt(*series), [alarm])
    assert not np.any(marked_false.detector.score(one).scores[300:320] > marked_false.changes[0].after.value)
    assert marked_false.changes[0].after.value >= peak > marked_true.changes[0].after.value
    assert marked_false.changes[0].asset == "pump-1"
    assert marked_true.changes[0].n_scores < marked_false.changes[0].n_scores
    assert other.asset == marked_true.changes[1].asset


def test_a_false_alarm_of_one_machine_does_not_make_another_blind(detector, series):
    one, other = series
    alarm = span_of(one, 295, 330)
    folder = Folder((one, other.rows(0, 230)))  # the second is so short that it must borrow
    low, high = (
        recalibrate(detector, folder, learnt(*series), doubtful, false_alarms=[alarm]).changes
        for doubtful in ([alarm], [])
    )
    assert high[0].after.value > low[0].after.value
    assert high[1].after == low[1].after


def test_the_detector_it_was_given_stays_as_it_is(detector, series):
    before = dict(detector.assets)
    made = recalibrate(detector, Folder(series), learnt(*series), [])
    assert detector.assets == before
    assert made.detector is not detector
    for asset in before:
        assert made.detector.assets[asset].scaling is before[asset].scaling
        assert made.detector.assets[asset].usual is before[asset].usual


def test_only_the_assets_asked_for_change_and_the_others_still_lend_their_scores(detector, series):
    all_of_them = recalibrate(detector, Folder(series), learnt(*series), [])
    one = recalibrate(detector, Folder(series), learnt(*series), [], ["pump-2"])
    assert [change.asset for change in one.changes] == ["pump-2"]
    assert one.detector.assets["pump-1"] is detector.assets["pump-1"]
    assert one.changes[0].after == all_of_them.changes[1].after


def test_a_budget_that_an_earlier_calibration_changed_stays(detector, series):
    one, _ = series
    detector.calibrate(one, method="quantile", quantile=0.5)
    made = recalibrate(detector, Folder(series), learnt(*series), [])
    assert made.changes[0].after.method == "quantile"
    assert made.detector.assets["pump-1"].origin["quantile"] == "0.5"
    assert made.changes[1].after.method == "conformal"


def test_an_asset_without_normal_readings_or_with_other_channels_keeps_its_threshold_and_says_why(detector, series):
    one, other = series
    renamed = replace(other, channels=("flow", "speed", "heat"))
    made = recalibrate(detector, Folder((one, renamed)), learnt(one), [span_of(one, 0, 400)])
    assert made.changes == ()
    assert "no score rests on normal readings since its training span" in made.problems["pump-1"]
    assert "missing here: temp" in made.problems["pump-2"]
    gone = recalibrate(detector, Folder((one,)), {}, [])
    assert gone.problems == {"pump-2": "there are no readings of it"}
    assert change_lines(gone)[-1] == "pump-2: unchanged: there are no readings of it"


def test_an_unknown_asset_is_refused_with_a_remedy(detector, series):
    with pytest.raises(ModelError, match=r"asset 'pump-9' was never calibrated .*: calibrate it"):
        recalibrate(detector, Folder(series), {}, [], ["pump-9"])


def test_a_line_says_the_threshold_before_and_after_and_the_promise(detector, series):
    [line, _] = change_lines(recalibrate(detector, Folder(series), learnt(*series), []))
    before = detector.assets["pump-1"].threshold.value
    assert line.startswith(f"pump-1: threshold {before:.3g} -> ")
    assert "normal timesteps; false alarms promised at most: " in line
    assert "a week; warning: the budget needs" in line
