"""What a network learns from is normal, lies in its own span, and is never copied window by window."""

import tracemalloc
from dataclasses import replace

import naive
import numpy as np
import pandas as pd
import pytest

from offbeat.detection.windows import covered
from offbeat.errors import ParamsError, ReadingsError, StageError
from offbeat.params import load_params
from offbeat.preparation import (
    calibration_rows,
    check_no_leak,
    held_out_rows,
    labelled_rows,
    lesson_of_all,
    preparation_notes,
    prepare_fleet,
    still_channels,
)
from offbeat.readings.folder import Folder, Span

WINDOW_SIZE = 8


def prepared_from(series, *, labels=(), exclude=(), test_starts=None, window_size=WINDOW_SIZE, **changes):
    """Prepare some series; `labels` and `exclude` are rows [start, stop) of the first."""
    series = list(series)
    folder = Folder(
        series=tuple(series),
        labels=tuple(span_of(series[0], *rows) for rows in labels),
        exclude=tuple(span_of(series[0], *rows) for rows in exclude),
        test_starts=test_starts or {},
    )
    params = load_params(
        changes={
            "prepare": {"window_size": window_size, "held_out_share": 0.25, **changes},
            "calibrate": {"stride": 1, "delay": 0},
        }
    )
    return prepare_fleet(folder, params.prepare)


def span_of(series, start, stop):
    moments = (series.index[start], series.index[stop - 1])
    return Span(series.asset, *(m if isinstance(m, pd.Timestamp) else int(m) for m in moments))


def rows_where(mask):
    return np.flatnonzero(mask).tolist()


# --- windows to learn from --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timed", [True, False])
def test_windows_are_all_those_of_normal_rows_within_one_span_and_segment(make_series, timed):
    series = make_series(400, gaps=[(60, 90), (200, 202)], timed=timed)
    labels, exclude = [(100, 103), (190, 191)], [(20, 33), (350, 360)]
    (prepared,) = prepared_from([series], labels=labels, exclude=exclude)
    normal = [not any(start <= t < stop for start, stop in labels + exclude) for t in range(series.n_timesteps)]
    assert prepared.normal.tolist() == normal
    for starts, (first, last) in (
        (prepared.starts, prepared.split.train),
        (prepared.held_out_starts, prepared.split.held_out),
    ):
        expected = [
            t
            for start, stop in series.segments
            for t in range(start, stop - WINDOW_SIZE + 1)
            if first <= t and t + WINDOW_SIZE <= last and all(normal[t : t + WINDOW_SIZE])
        ]
        assert starts.tolist() == expected


def test_no_labelled_or_excluded_row_lies_in_a_window(make_series):
    labels, exclude = [(50, 60), (170, 180)], [(100, 140)]
    (prepared,) = prepared_from([make_series(400)], labels=labels, exclude=exclude)
    assert rows_where(prepared.labelled) == [*range(50, 60), *range(170, 180)]
    assert rows_where(prepared.excluded) == [*range(100, 140)]
    for starts in (prepared.starts, prepared.held_out_starts):
        assert not (covered(starts, WINDOW_SIZE, 400) & (prepared.labelled | prepared.excluded)).any()


def test_a_named_test_start_begins_the_test_span(make_series):
    timed, counted = make_series(400), make_series(400, timed=False)
    (prepared,) = prepared_from([timed], test_starts={"pump-1": timed.index[300]})
    assert prepared.split.test == (300, 400)
    assert prepared.split.calibration[1] == 300 - WINDOW_SIZE
    (prepared,) = prepared_from([counted], test_starts={"pump-1": int(counted.index[250]), "pump-2": 3})
    assert prepared.split.test == (250, 400)


# --- scaling ----------------------------------------------------------------------------------------------------------


def test_scaling_is_fitted_on_the_normal_rows_of_the_training_span_alone(make_series):
    series = make_series(400)
    (before,) = prepared_from([series], labels=[(50, 60)], exclude=[(100, 140)])
    values = series.values.copy()
    values[50:60], values[100:140], values[before.split.train[1] :] = 1e6, -1e6, 1e9
    (after,) = prepared_from([replace(series, values=values)], labels=[(50, 60)], exclude=[(100, 140)])
    learnt = np.r_[0:50, 60:100, 140 : before.split.train[1]]
    for prepared in (before, after):
        np.testing.assert_allclose(prepared.scaling.centre, series.values[learnt].mean(axis=0))
        np.testing.assert_allclose(prepared.scaling.scale, series.values[learnt].std(axis=0))


def test_a_channel_that_stands_still_is_measured_by_how_much_it_moves_on_the_assets_where_it_does(make_series):
    fleet = [make_series(400, asset=f"pump-{k}", seed=k) for k in range(4)]
    for k in (0, 1, 2):  # on all but the last
        values = fleet[k].values.copy()
        values[:, 1] = 1400.1
        fleet[k] = replace(fleet[k], values=values)
    prepared = prepared_from(fleet)
    moving = fleet[3].values[: prepared[3].split.train[1], 1].std()
    assert [p.scaling.scale[1] for p in prepared] == pytest.approx([moving] * 4)
    assert [still_channels(p) for p in prepared] == [["speed"]] * 3 + [[]]


def test_a_channel_that_moves_nowhere_has_scale_1(make_series):
    series = make_series(400)
    values = series.values.copy()
    values[:, 1] = 0.1
    (prepared,) = prepared_from([replace(series, values=values)])
    assert prepared.scaling.scale[1] == 1
    np.testing.assert_allclose(prepared.scaled[:, 1], 0, atol=1e-12)


def test_missing_readings_stay_missing(make_series):
    series = make_series(400, missing=0.05)
    (prepared,) = prepared_from([series])
    assert np.array_equal(np.isnan(prepared.scaled), np.isnan(series.values))


def test_with_differences_the_row_before_a_window_is_as_normal_as_the_window(make_series):
    series, labels = make_series(400, gaps=[(60, 90)]), [(100, 103), (150, 151)]
    (prepared,) = prepared_from([series], labels=labels, difference=1)
    usable = [bool(normal) for normal in prepared.normal]
    for starts, (first, last) in (
        (prepared.starts, prepared.split.train),
        (prepared.held_out_starts, prepared.split.held_out),
    ):
        expected = [
            t
            for start, stop in series.segments
            for t in range(start + 1, stop - WINDOW_SIZE + 1)
            if first < t and t + WINDOW_SIZE <= last and all(usable[t - 1 : t + WINDOW_SIZE])
        ]
        assert starts.tolist() == expected
        assert np.isfinite(prepared.scaled[covered(starts, WINDOW_SIZE, series.n_timesteps)]).all()
    ends = held_out_rows(prepared, WINDOW_SIZE)
    assert rows_where(ends) == (prepared.held_out_starts + WINDOW_SIZE - 1).tolist()
    with pytest.raises(StageError, match="a training window of asset 'pump-1' has labelled or excluded row 102"):
        check_no_leak(tampered(prepared, starts=[103]), WINDOW_SIZE)
    with pytest.raises(StageError, match="a training window of asset 'pump-1' crosses a long gap"):
        check_no_leak(tampered(prepared, starts=[60]), WINDOW_SIZE)


def test_windows_of_one_row_stand_alone(make_series):
    (prepared,) = prepared_from([make_series(400, timed=False)], labels=[(50, 60)], window_size=1)
    assert prepared.starts.tolist() == [*range(50), *range(60, prepared.split.train[1])]
    assert prepared.split.calibration[0] == prepared.split.held_out[1] + 1


def test_seasonal_means_rest_on_the_normal_rows_of_the_training_span(make_series):
    series = make_series(1000)
    (before,) = prepared_from([series], labels=[(50, 60)], season="day")
    values = series.values.copy()
    values[50:60], values[before.split.train[1] :] = 1e6, 1e9
    (after,) = prepared_from([replace(series, values=values)], labels=[(50, 60)], season="day")
    assert np.array_equal(before.scaling.profile, after.scaling.profile)
    assert before.scaling.profile.shape == (24, 3)


def test_few_seasons_to_learn_from_are_warned_of(make_series):
    # 10 minutes apart: 600 rows to learn from are 4.2 days
    series = make_series(1334)
    folder = Folder((series,))
    assert not [note for note in preparation_notes(folder, prepared_from([series], season="day")) if "season" in note]
    [note] = [note for note in preparation_notes(folder, prepared_from([series], season="week")) if "season" in note]
    assert note.startswith("pump-1: warning: its training span holds 0.6 weeks, so that the means of prepare.season")


# --- readings that cannot be learnt from ------------------------------------------------------------------------------


def test_a_channel_without_a_reading_in_the_training_span_is_named(make_series):
    fleet = [make_series(400), make_series(400, asset="pump-2")]
    values = fleet[1].values.copy()
    values[:180, 2] = np.nan
    with pytest.raises(ReadingsError, match="'pump-2': channel 'temp' has no reading in the training span: drop"):
        prepared_from([fleet[0], replace(fleet[1], values=values)])


def test_seasons_of_readings_without_time_are_refused(make_series):
    with pytest.raises(
        ParamsError, match=r"prepare.season=day takes readings with times, and asset 'pump-1' .*to none"
    ):
        prepared_from([make_series(400, timed=False)], season="day")


def test_a_negative_reading_has_no_logarithm_to_learn(make_series):
    series = make_series(400)
    values = series.values.copy()
    values[300:] *= -1  # not to learn from
    prepared_from([replace(series, values=values)], transform="log")
    values[20, 1] = -1
    with pytest.raises(ReadingsError, match=r"'pump-1': channel 'speed' has a reading of -1 .*transform to none"):
        prepared_from([replace(series, values=values)], transform="log")


def test_a_series_too_short_for_its_spans_is_named_with_a_remedy(make_series):
    with pytest.raises(ReadingsError, match=r"'pump-1'.* of 30 rows and needs 8: give more readings"):
        prepared_from([make_series(30)])


def test_a_training_span_without_normal_rows_is_named(make_series):
    with pytest.raises(ReadingsError, match="'pump-1': every row of its training span is labelled or excluded"):
        prepared_from([make_series(400)], labels=[(0, 100)], exclude=[(100, 300)])


@pytest.mark.parametrize(("labels", "name"), [(range(0, 180, 8), "training"), (range(180, 240, 8), "held-out")])
def test_a_span_without_a_window_of_normal_rows_is_named_with_the_longest_run(make_series, labels, name):
    with pytest.raises(ReadingsError, match=rf"its {name} span has no 8 normal rows in a row \(at most 7\)"):
        prepared_from([make_series(400)], labels=[(row, row + 1) for row in labels])


# --- leaks ------------------------------------------------------------------------------------------------------------


def tampered(prepared, **changes):
    return replace(prepared, **{name: np.array(starts) for name, starts in changes.items()})


@pytest.fixture
def sound(make_series):
    """Training rows 0 to 180, held out 180 to 240; labelled 50 to 60, excluded 100 to 140, a long gap before row 30."""
    (prepared,) = prepared_from([make_series(430, gaps=[(30, 60)])], labels=[(50, 60)], exclude=[(100, 140)])
    assert prepared.split.train[1] == 180
    check_no_leak(prepared, WINDOW_SIZE)
    return prepared


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"starts": [0, 59]}, "a training window of asset 'pump-1' has labelled or excluded row 59"),
        ({"starts": [43]}, "a training window of asset 'pump-1' has labelled or excluded row 50"),
        ({"starts": [93]}, "a training window of asset 'pump-1' has labelled or excluded row 100"),
        ({"starts": [173]}, "a training window of asset 'pump-1' reaches outside rows 0 to 180"),
        ({"starts": [-1]}, "a training window of asset 'pump-1' reaches outside rows 0 to 180"),
        ({"starts": [395]}, "a training window of asset 'pump-1' reaches outside rows 0 to 180"),
        ({"starts": [23]}, "a training window of asset 'pump-1' crosses a long gap"),
        ({"held_out_starts": [179]}, "a held-out window of asset 'pump-1' reaches outside rows 180 to 240"),
        ({"held_out_starts": [233]}, "a held-out window of asset 'pump-1' reaches outside rows 180 to 240"),
    ],
)
def test_a_window_that_reaches_what_it_must_not_is_a_leak(sound, changes, said):
    with pytest.raises(StageError, match=f"leak: {said}"):
        check_no_leak(tampered(sound, **changes), WINDOW_SIZE)


@pytest.mark.parametrize("mask", ["labelled", "excluded"])
def test_a_label_that_comes_later_is_a_leak(sound, mask):
    changed = getattr(sound, mask).copy()
    changed[0] = True
    with pytest.raises(StageError, match="labelled or excluded row 0"):
        check_no_leak(replace(sound, **{mask: changed}), WINDOW_SIZE)


@pytest.mark.parametrize(
    ("span", "rows"),
    [
        ("held_out", (179, 240)),  # begins in the training windows
        ("calibration", (247, 320)),  # 7 rows after the held-out part
        ("test", (327, 400)),  # 7 rows after calibration
    ],
)
def test_spans_less_than_a_window_apart_are_a_leak(sound, span, rows):
    with pytest.raises(StageError, match="spans of asset 'pump-1' are less than a window apart"):
        check_no_leak(replace(sound, split=replace(sound.split, **{span: rows})), WINDOW_SIZE)


# --- memory and what follows ------------------------------------------------------------------------------------------


def test_memory_grows_with_the_readings_and_not_with_the_windows(make_series):
    series = make_series(20_000)
    window_size = 200
    tracemalloc.start()
    (prepared,) = prepared_from([series], window_size=window_size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    arrays = (prepared.scaled, prepared.starts, prepared.held_out_starts, prepared.labelled, prepared.excluded)
    assert sum(array.nbytes for array in arrays) < 2 * series.values.nbytes
    block = len(prepared.starts) * window_size * series.n_channels * 4
    assert peak < 20 * series.values.nbytes < block / 2


def test_laid_end_to_end_every_asset_keeps_its_own_windows(make_series):
    fleet = prepared_from([make_series(400, asset=f"pump-{k}", seed=k) for k in range(3)])
    lesson = lesson_of_all(fleet)
    n_learnt = sum(one.split.held_out[1] for one in fleet)
    assert (lesson.values.shape, lesson.n_channels) == ((n_learnt, 3), 3)
    own_starts, own_held_out = [p.starts for p in fleet], [p.held_out_starts for p in fleet]
    for of_all, of_each in ((lesson.starts, own_starts), (lesson.held_out_starts, own_held_out)):
        firsts = np.concatenate([p.scaled[own] for p, own in zip(fleet, of_each, strict=True)])
        np.testing.assert_array_equal(lesson.readings[of_all], firsts)


def test_held_out_windows_are_thinned_evenly(make_series, monkeypatch):
    monkeypatch.setattr("offbeat.preparation.HELD_OUT_WINDOWS", 10)
    fleet = prepared_from([make_series(400)])
    (own,) = [p.held_out_starts for p in fleet]
    thinned = lesson_of_all(fleet).held_out_starts
    assert (len(thinned), thinned[0], thinned[-1]) == (10, own[0], own[-1])
    assert np.ptp(np.diff(thinned)) <= 1


@pytest.mark.parametrize(("context", "delay"), [(7, 0), (10, 3)])
def test_a_score_counts_for_the_threshold_if_all_readings_that_shape_it_are_normal_and_after_training(
    make_series, context, delay
):
    series = make_series(430, gaps=[(310, 340)])
    (prepared,) = prepared_from([series], labels=[(265, 267)], exclude=[(290, 292)])
    after_training, (start, stop) = prepared.split.held_out[1], prepared.split.calibration
    usable = [bool(normal) and t >= after_training for t, normal in enumerate(prepared.normal[:stop])]
    segments = [(first, min(last, stop)) for first, last in series.segments if first < stop]
    reach = naive.reach_mask(usable, segments, context, delay)
    expected = [t for t in range(stop) if reach[t] and t >= start]
    assert len(expected) > 5
    assert rows_where(calibration_rows(prepared, context, delay)) == expected


def test_where_the_span_is_too_short_the_readings_before_a_score_may_lie_in_the_training_span(make_series):
    (prepared,) = prepared_from([make_series(430)])
    start, stop = prepared.split.calibration
    context = prepared.split.test[0] - prepared.split.held_out[1]  # one more than there is room for
    assert rows_where(calibration_rows(prepared, context, 0)) == list(range(start, stop))
    (prepared,) = prepared_from([make_series(430)], exclude=[(start - 5, start)])
    assert rows_where(calibration_rows(prepared, context, 0)) == []  # an excluded row is never passed over


def test_where_long_gaps_cut_the_span_too_short_the_readings_beyond_them_count_as_any(make_series):
    (prepared,) = prepared_from([make_series(430, gaps=[(60, 80), (310, 340)])])
    start, stop = prepared.split.calibration
    assert rows_where(calibration_rows(prepared, 250, 0)) == list(range(max(start, 250), stop))


@pytest.mark.parametrize(("context", "delay"), [(7, 0), (10, 3)])
def test_a_labelled_row_counts_for_the_threshold_if_its_score_rests_on_known_rows_after_training(
    make_series, context, delay
):
    series = make_series(430, gaps=[(310, 340)])
    (prepared,) = prepared_from(
        [series], labels=[(246, 262), (270, 275), (284, 288), (299, 301), (320, 345)], exclude=[(290, 292), (299, 300)]
    )
    after_training, (start, stop) = prepared.split.held_out[1], prepared.split.calibration
    usable = [t >= after_training and not prepared.excluded[t] for t in range(stop)]
    segments = [(first, min(last, stop)) for first, last in series.segments if first < stop]
    reach = naive.reach_mask(usable, segments, context, delay)
    expected = [t for t in range(stop) if reach[t] and t >= start and prepared.labelled[t]]
    rows = rows_where(labelled_rows(prepared, context, delay))
    assert rows == expected
    assert set(range(270, 275)) < set(rows)
    assert not set(rows) & set(rows_where(calibration_rows(prepared, context, delay)))


def test_usual_errors_come_from_the_ends_of_the_held_out_windows(make_series):
    series = make_series(430, gaps=[(190, 220)])
    (prepared,) = prepared_from([series], labels=[(200, 202)])
    assert rows_where(held_out_rows(prepared, WINDOW_SIZE)) == (prepared.held_out_starts + WINDOW_SIZE - 1).tolist()
