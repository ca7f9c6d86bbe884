"""A network becomes a detector: usual errors from held-out readings, thresholds from the calibration span."""

from dataclasses import replace

import numpy as np
import pytest

from offbeat.assembly import assemble, calibrate_fleet, fleet_thresholds
from offbeat.detection.scores import usual_errors
from offbeat.errors import ReadingsError
from offbeat.params import load_params
from offbeat.preparation import held_out_rows, prepare_fleet
from offbeat.readings.folder import Folder, Span

CHANGES = {
    "prepare": {"window_size": 8, "held_out_share": 0.25},
    "calibrate": {"delay": 3, "smoothing": 4, "merge_gap": 2, "false_alarms_per_week": 30},
}
# the mean of 4 lies from t - 2 to t + 1; the windows of 8 that vote there begin 7 before t - 2 and end 2 after t + 1
BEFORE, AFTER = 9, 3


def prepared_from(series, labels=(), **calibrate):
    params = load_params(changes=CHANGES | {"calibrate": CHANGES["calibrate"] | calibrate})
    index = series[0].index
    spans = tuple(Span(series[0].asset, index[start], index[stop - 1]) for start, stop in labels)
    return prepare_fleet(Folder(tuple(series), spans), params.prepare), params


@pytest.fixture
def assembled(graph):
    def make(series, labels=(), **calibrate):
        fleet, params = prepared_from(series, labels, **calibrate)
        detector = assemble(
            graph, fleet[0].series, params.prepare, params.calibrate.for_window(8), {"git_commit": "c0ffee"}
        )
        calibrate_fleet(detector, fleet)
        return detector, fleet

    return make


def test_a_detector_takes_channels_period_and_gap_from_the_fleet_and_the_rest_from_the_params(graph, make_series):
    fleet, params = prepared_from([make_series(400)])
    detector = assemble(
        graph, fleet[0].series, params.prepare, params.calibrate.for_window(8), {"git_commit": "c0ffee"}
    )
    assert (detector.channels, detector.period) == (fleet[0].series.channels, fleet[0].series.period)
    assert (detector.max_gap, detector.preprocessing) == (fleet[0].series.max_gap, params.prepare.preprocessing)
    assert (detector.params, detector.lineage) == (params.calibrate.for_window(8), {"git_commit": "c0ffee"})
    assert detector.assets == {}
    assert (detector.context, detector.delay) == (BEFORE, AFTER)


def test_usual_errors_are_the_means_over_the_ends_of_normal_held_out_windows(assembled, make_series):
    detector, [prepared] = assembled([make_series(400)], labels=[(200, 203)])
    errors = detector.errors(prepared.series, prepared.scaling)[: prepared.split.test[0]]
    expected = usual_errors(errors[held_out_rows(prepared, 8)])
    np.testing.assert_allclose(detector.assets["pump-1"].usual.error, expected.error)
    assert detector.assets["pump-1"].scaling is prepared.scaling


def test_the_threshold_rests_on_scores_of_the_calibration_span_alone(assembled, make_series):
    detector, [prepared] = assembled([make_series(400)], method="quantile", quantile=0.5)
    start, stop = prepared.split.calibration
    scores = detector.score(prepared.series).scores[start:stop]
    # the embargo after the training span is 8, so that the first score still rests on a reading of it
    counted = scores[BEFORE - 8 :]
    assert detector.assets["pump-1"].threshold.value == pytest.approx(np.quantile(counted, 0.5), rel=1e-6)


def test_readings_outside_the_spans_that_a_number_comes_from_do_not_change_it(assembled, make_series):
    series = make_series(400)
    before, [prepared] = assembled([series])
    split = prepared.split
    for (start, stop), same_usual, same_threshold in (
        (split.test, True, True),
        (split.calibration, True, False),
        (split.held_out, False, False),
    ):
        values = series.values.copy()
        values[start:stop] += np.random.default_rng(0).normal(0, 5, (stop - start, 3)) * [1, 15, 0.5]
        after, _ = assembled([replace(series, values=values)])
        old, new = before.assets["pump-1"], after.assets["pump-1"]
        assert np.array_equal(old.usual.error, new.usual.error) == same_usual
        assert (old.threshold == new.threshold) == same_threshold
        assert np.array_equal(old.scaling.centre, new.scaling.centre)


def test_a_labelled_calibration_stretch_does_not_raise_the_threshold(assembled, make_series):
    series = make_series(400)
    values = series.values.copy()
    values[280:284] += [50, 700, 20]
    loud = replace(series, values=values)
    quiet, known, unknown = (
        assembled(each, labels=labels)[0].assets["pump-1"].threshold.value
        for each, labels in (([series], [(280, 284)]), ([loud], [(280, 284)]), ([loud], []))
    )
    assert quiet == known < unknown


@pytest.mark.parametrize("method", ["labelled", "gaussian_epsilon"])
def test_a_threshold_by_labels_lies_between_the_normal_rows_and_the_event_of_the_calibration_span(
    assembled, make_series, method
):
    series = make_series(400)
    values = series.values.copy()
    values[280:290] += [50, 700, 20]
    detector, [prepared] = assembled([replace(series, values=values)], labels=[(280, 290)], method=method)
    scores = detector.score(prepared.series).scores
    start, stop = prepared.split.calibration
    assert start < 280 < 290 < stop
    usual = np.r_[scores[start + BEFORE - 8 : 280 - AFTER], scores[290 + BEFORE : stop]]
    assert usual.max() < detector.assets["pump-1"].threshold.value < scores[282:288].min()


@pytest.mark.parametrize("method", ["labelled", "gaussian_epsilon"])
def test_labels_before_or_after_the_calibration_span_choose_no_threshold(assembled, make_series, method):
    with pytest.raises(ReadingsError, match=f"'{method}' takes labelled events, and no score in the calibration span"):
        assembled([make_series(400)], labels=[(100, 110), (350, 360)], method=method)


def test_every_asset_of_a_fleet_has_its_own_scaling_usual_errors_and_threshold(assembled, make_series):
    fleet = [make_series(400), make_series(500, asset="pump-2", seed=2)]
    detector, _ = assembled(fleet, method="quantile")
    assert list(detector.assets) == ["pump-1", "pump-2"]
    one, two = detector.assets.values()
    assert not np.array_equal(one.scaling.centre, two.scaling.centre)
    assert not np.array_equal(one.usual.error, two.usual.error)
    assert one.threshold != two.threshold


def test_assets_too_short_for_the_budget_borrow_the_blocks_of_their_group_and_stay_above_their_own(
    assembled, make_series
):
    # 8 alarms a week of 1008 timesteps take 10 blocks of 13; each span has 5, the four together 20
    series = [make_series(400, asset=f"pump-{k}", seed=k) for k in range(4)]
    alone = [assembled([one], false_alarms_per_week=8)[0] for one in series]
    together, fleet = assembled(series, false_alarms_per_week=8)
    for prepared, one in zip(fleet, alone, strict=True):
        asset = prepared.series.asset
        assert "lengthen the calibration span" in one.assets[asset].threshold.warning
        threshold = together.assets[asset].threshold
        assert "borrowed the group's" in threshold.warning
        assert "the promise holds on average over the group" in threshold.warning
        assert threshold.value >= one.assets[asset].threshold.value - 1e-12  # its own highest block maximum
        assert threshold.promised_alarm_rate == pytest.approx(8 / 1008)
        assert one.assets[asset].threshold.promised_alarm_rate > 8 / 1008


def test_thresholds_of_other_scores_follow_the_same_rule(assembled, make_series):
    detector, fleet = assembled([make_series(400)])
    own = detector.score(fleet[0].series).scores
    [threshold] = fleet_thresholds(detector, fleet, [own])
    assert threshold == detector.assets["pump-1"].threshold
    [louder] = fleet_thresholds(detector, fleet, [own * 2])
    assert louder.value == pytest.approx(2 * threshold.value)
