"""One detector scores batch and stream alike, says what it does not know, and never looks further than its delay."""

import warnings
from dataclasses import replace
from itertools import permutations

import naive
import numpy as np
import pytest

from offbeat.detection.calendar import N_COLUMNS
from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.errors import ModelError, ParamsError, ReadingsError
from offbeat.params import load_params
from offbeat.readings.series import Series, series_hash

# stride, delay, smoothing; the delay less half the smoothing is at least stride - 1
WAYS = [(1, 0, 1), (1, 0, 4), (1, 6, 4), (2, 1, 1), (3, 4, 5), (3, 7, 2), (4, 7, 3), (8, 7, 1)]
ways = pytest.mark.parametrize(("stride", "delay", "smoothing"), WAYS)
GAPS = [(40, 42), (70, 90), (150, 155)]  # a short one that is filled, two long ones that split the series


# what is done to readings before the network sees them; the differences ask for a reading more
PREPROCESSINGS = [
    {"difference": 1},
    {"transform": "log", "season": "week", "difference": 1, "scaling": "robust"},
    {"season": "day", "scaling": "min_max"},
]


def with_values(series, values):
    return replace(series, values=values)


# --- scores -----------------------------------------------------------------------------------------------------------


def test_a_result_has_a_score_an_alarm_and_shares_for_each_timestep(make_detector, make_series):
    series = make_series(100, seed=1)
    result = make_detector().score(series)
    assert result.scores.shape == result.alarms.shape == result.settled.shape == (100,)
    assert result.channel_shares.shape == (100, 3)
    np.testing.assert_allclose(result.channel_shares.sum(axis=1), 1)


@pytest.mark.parametrize(("stride", "delay"), [(1, 0), (1, 6), (4, 7)])
@pytest.mark.parametrize("prepare", [{}, *PREPROCESSINGS])
def test_an_estimate_is_the_mean_of_the_windows_that_vote_in_the_unit_of_the_readings(
    make_detector, make_series, runtime, stride, delay, prepare
):
    detector = make_detector(prepare=prepare, stride=stride, delay=delay, smoothing=1)
    series = make_series(60, seed=1, gaps=[(30, 40)])
    scaling = detector.assets["pump-1"].scaling
    scaled = scaling.apply(series)
    by_start = {
        start: runtime.estimate(np.array([naive.hold_missing(scaled[start : start + 8].tolist())]))[0].tolist()
        for begin, stop in series.segments
        for start in range(begin, stop - 7)
    }
    expected = naive.timestep_errors(by_start, series.segments, series.positions.tolist(), 3, 8, 8, stride, delay)
    known = ~np.isnan(scaling.invert(np.array(expected), series))
    np.testing.assert_allclose(
        detector.estimates(series, scaling)[known], scaling.invert(np.array(expected), series)[known], rtol=1e-5
    )
    assert known.mean() > 0.9


def test_a_spike_scores_above_its_surroundings_and_its_channel_leads(make_detector, make_series):
    series = make_series(100, seed=1)
    values = series.values.copy()
    values[60, 2] += 5
    result = make_detector(smoothing=1).score(with_values(series, values))
    assert result.scores[60] > 3 * np.delete(result.scores, range(58, 68)).max()
    strongest = max(result.events, key=lambda event: event.peak_score)
    assert strongest.start <= 60 < strongest.stop
    assert strongest.channels[0][0] == "temp"


def test_scores_do_not_change_with_channel_order(make_detector, make_series):
    detector, series = make_detector(), make_series(100, seed=1, missing=0.05)
    scores = detector.score(series).scores
    for order in permutations(series.channels):
        assert np.array_equal(detector.score(series.in_order(order)).scores, scores, equal_nan=True)


def test_a_missing_reading_adds_no_error_of_its_own(make_detector, make_series):
    detector, series = make_detector(smoothing=1), make_series(60, seed=1)
    values = series.values.copy()
    values[30, 1] = np.nan
    result = detector.score(with_values(series, values))
    shares, errors = result.channel_shares[30], detector.errors(series, detector.assets["pump-1"].scaling)
    assert shares[1] == 0
    assert np.isnan(detector.errors(with_values(series, values), detector.assets["pump-1"].scaling)[30, 1])
    assert not np.isnan(errors[30, 1])
    assert np.isfinite(result.scores).all()


def test_a_channel_without_any_reading_leaves_the_score_to_the_others(make_detector, make_series):
    series = make_series(60, seed=1)
    values = series.values.copy()
    values[:, 0] = np.nan
    result = make_detector().score(with_values(series, values))
    assert np.isfinite(result.scores).all()
    assert (result.channel_shares[:, 0] == 0).all()


def test_segments_shorter_than_a_window_have_no_scores_and_no_alarms(make_detector, make_series):
    series = make_series(60, seed=1, gaps=[(20, 30), (37, 45)])  # rows 20 to 26 are a segment of 7, one less than 8
    result = make_detector(merge_gap=50).score(series)
    short = np.zeros(series.n_timesteps, dtype=bool)
    short[20:27] = True
    assert np.array_equal(np.isnan(result.scores), short)
    assert not (result.alarms | result.settled)[short].any()
    assert (result.channel_shares[short] == 0).all()


def test_a_higher_threshold_never_adds_an_alarm(make_detector, make_series):
    detector, series = make_detector(merge_gap=0), make_series(200, seed=5)
    before = np.ones(200, dtype=bool)
    for quantile in (0.05, 0.3, 0.5, 0.8, 0.95, 0.999):
        detector.calibrate(make_series(), method="quantile", quantile=quantile)
        alarms = detector.score(series).alarms
        assert (alarms <= before).all()
        before = alarms


# --- causality and pieces ---------------------------------------------------------------------------------------------


@ways
def test_a_settled_score_uses_no_reading_after_its_delay(make_detector, make_series, stride, delay, smoothing):
    detector = make_detector(stride=stride, delay=delay, smoothing=smoothing)
    series = make_series(200, seed=1, gaps=GAPS, missing=0.02)
    whole, rng = detector.score(series), np.random.default_rng(0)
    for t in range(detector.context, series.n_timesteps - delay - 1, 5):
        values = series.values.copy()
        values[t + delay + 1 :] = rng.normal(0, 1000, values[t + delay + 1 :].shape)
        until = slice(0, t + 1)
        settled = whole.settled[until]
        scores = detector.score(with_values(series, values)).scores
        np.testing.assert_allclose(scores[until][settled], whole.scores[until][settled], rtol=1e-6)


@pytest.mark.parametrize("prepare", PREPROCESSINGS)
def test_a_settled_score_reaches_back_no_further_than_its_context(make_detector, make_series, prepare):
    detector, series = make_detector(prepare=prepare, delay=3), make_series(120, seed=1)
    assert detector.context == prepare.get("difference", 0) + make_detector(delay=3).context
    whole, rng, reached = detector.score(series).scores, np.random.default_rng(0), []
    for t in range(60, 70):
        values = series.values.copy()
        values[: t - detector.context] = rng.uniform(0, 1000, (t - detector.context, 3))
        assert detector.score(with_values(series, values)).scores[t] == pytest.approx(whole[t], rel=1e-6)
        values[t - detector.context] += 1000
        reached.append(abs(detector.score(with_values(series, values)).scores[t] - whole[t]) > 1e-6)
    assert all(reached)


@ways
def test_a_score_does_use_readings_up_to_its_delay(make_detector, make_series, stride, delay, smoothing):
    detector, series = make_detector(stride=stride, delay=delay, smoothing=smoothing), make_series(80, seed=1)
    whole, reached = detector.score(series).scores, []
    for t in range(40, 40 + stride):
        values = series.values.copy()
        values[t + delay] += 20
        reached.append(abs(detector.score(with_values(series, values)).scores[t] - whole[t]) > 1e-4)
    assert any(reached)


def in_pieces(detector, series, piece_of, n_new):
    """Scores of a stream: each piece brings `n_new` rows and the context before them, and publishes what is settled."""
    published = np.full(series.n_timesteps, np.nan)
    for stop in range(n_new, series.n_timesteps + n_new, n_new):
        start, stop = max(stop - n_new - detector.context - detector.delay, 0), min(stop, series.n_timesteps)
        piece = piece_of(start, stop)
        if max(stop - start for start, stop in piece.segments) < detector.window_size:
            continue
        result = detector.score(piece)
        places = series.index.get_indexer(result.index[result.settled])
        published[places] = result.scores[result.settled]
    return published


@ways
@pytest.mark.parametrize("timed", [True, False])
def test_pieces_with_context_give_the_scores_of_the_batch(make_detector, make_series, stride, delay, smoothing, timed):
    detector = make_detector(make_series(timed=timed), stride=stride, delay=delay, smoothing=smoothing)
    series = make_series(200, seed=1, gaps=GAPS, missing=0.05, timed=timed)
    batch = detector.score(series)
    assert batch.settled.sum() > 60
    for n_new in (1, 7, 50):
        published = in_pieces(detector, series, series.rows, n_new)
        np.testing.assert_allclose(published[batch.settled], batch.scores[batch.settled], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prepare", PREPROCESSINGS)
@pytest.mark.parametrize(("stride", "delay", "smoothing"), [(1, 0, 1), (1, 6, 4), (3, 4, 5)])
def test_pieces_of_preprocessed_readings_give_the_scores_of_the_batch(
    make_detector, make_series, stride, delay, smoothing, prepare
):
    detector = make_detector(prepare=prepare, stride=stride, delay=delay, smoothing=smoothing)
    series = make_series(200, seed=1, gaps=GAPS, missing=0.05)
    batch = detector.score(series)
    assert batch.settled.sum() > 60
    for n_new in (1, 7):
        published = in_pieces(detector, series, series.rows, n_new)
        np.testing.assert_allclose(published[batch.settled], batch.scores[batch.settled], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("timed", [True, False])
def test_pieces_read_from_frames_need_a_gap_more_of_context(make_detector, make_series, timed):
    """Rows without a reading at the head of a frame are no rows, so that a piece may begin up to `max_gap` late."""
    detector = make_detector(make_series(timed=timed), stride=2, delay=3)
    series = make_series(200, seed=1, gaps=GAPS, timed=timed)
    frame, period = series.to_frame(), series.period

    def piece_of(start, stop):
        part = frame.iloc[max(start - detector.max_gap, 0) : stop].dropna(how="all")
        return Series.from_frame(part, "pump-1", period=period, max_gap=detector.max_gap)

    batch = detector.score(series)
    published = in_pieces(detector, series, piece_of, n_new=3)
    np.testing.assert_allclose(published[batch.settled], batch.scores[batch.settled], rtol=1e-6, atol=1e-6)


def test_settled_scores_have_their_context_before_and_their_delay_after_in_one_segment(make_detector, make_series):
    detector = make_detector(stride=1, delay=2, smoothing=4)
    series = make_series(60, gaps=[(30, 40)])
    assert detector.context == 8 - 1 + 4 - 1 - 1  # one timestep of the mean lies ahead
    expected = [*range(9, 30 - 2), *range(30 + 9, 50 - 2)]
    assert np.flatnonzero(detector.score(series).settled).tolist() == expected


# --- other models -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph_of():
    """ONNX file of an untrained network of windows of 8 timesteps, three channels and a calendar."""

    def make(model, **changes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what TensorFlow says at import is not ours
            from offbeat.models.export import export_network
            from offbeat.models.network import BUILDERS

            sizes = {"model": model, "units": 6, "latent_size": 3, "position_size": 4, "seed": 1, "horizon": 3}
            params = load_params(
                changes={"train": {**sizes, **changes}, "prepare": {"window_size": 8}, "calibrate": DUE}
            ).train
            return export_network(BUILDERS[model](8, 3, params, N_COLUMNS[params.calendar]))

    return make


DUE = {"delay": 0, "smoothing": 1}
OTHERS = [
    ("recurrent_autoencoder", {"calendar": "week", "linear_size": 0}, {"delay": 3, "stride": 2}),
    ("recurrent_forecaster", {}, {"delay": 6, "smoothing": 5, "stride": 3}),
    ("recurrent_forecaster", {"calendar": "day", "output": "quantiles"}, {"error": "interval_score", "delay": 2}),
    ("dense_autoencoder", {"calendar": "day", "output": "dropout"}, {"error": "interval_exceedance", "combine": "max"}),
    ("dense_autoencoder", {"linear_size": 0}, {"combine": "whitened", "delay": 5}),
    ("recurrent_forecaster", {"strategy": "recursive"}, {"error": "window", "delay": 4}),
]
others = pytest.mark.parametrize(("model", "train", "calibrate"), OTHERS)


@others
def test_pieces_give_the_scores_of_the_batch_whatever_the_model(
    make_detector, make_series, graph_of, model, train, calibrate
):
    detector = make_detector(runtime=Runtime(graph_of(model, **train)), **calibrate)
    series = make_series(200, seed=1, gaps=GAPS, missing=0.05)
    batch = detector.score(series)
    assert batch.settled.sum() > 60
    assert np.isfinite(batch.scores[batch.settled]).all()
    for n_new in (1, 7, 50):
        published = in_pieces(detector, series, series.rows, n_new)
        np.testing.assert_allclose(published[batch.settled], batch.scores[batch.settled], rtol=1e-5, atol=1e-5)


@others
def test_a_settled_score_uses_no_reading_after_its_delay_whatever_the_model(
    make_detector, make_series, graph_of, model, train, calibrate
):
    detector = make_detector(runtime=Runtime(graph_of(model, **train)), **calibrate)
    series = make_series(80, seed=1)
    whole, rng = detector.score(series), np.random.default_rng(0)
    for t in range(detector.context, 80 - detector.delay - 1, 7):
        values = series.values.copy()
        values[t + detector.delay + 1 :] = rng.normal(0, 1000, values[t + detector.delay + 1 :].shape)
        settled = whole.settled[: t + 1]
        scores = detector.score(with_values(series, values)).scores
        np.testing.assert_allclose(scores[: t + 1][settled], whole.scores[: t + 1][settled], rtol=1e-5, atol=1e-6)


def test_the_calendar_is_that_of_the_stamps(make_detector, make_series, graph_of):
    """The same readings at another hour of the week score otherwise, a week later alike."""
    detector = make_detector(runtime=Runtime(graph_of("recurrent_autoencoder", calendar="week")))
    series = make_series(100, seed=1)
    hour = 3_600_000_000_000
    now, later, week_later = (
        detector.score(replace(series, stamps=series.stamps + hours * hour)).scores for hours in (0, 5, 168)
    )
    np.testing.assert_allclose(week_later, now, rtol=1e-5)
    assert not np.allclose(later, now, rtol=1e-2)


def test_the_head_of_a_segment_that_no_forecast_reaches_has_no_score_of_its_own(make_detector, make_series, graph_of):
    detector = make_detector(runtime=Runtime(graph_of("recurrent_forecaster")), smoothing=1)
    series = make_series(60, seed=1, gaps=[(30, 40)])
    missing = np.flatnonzero(np.isnan(detector.score(series).scores)).tolist()
    assert missing == [*range(5), *range(30, 35)]  # 8 timesteps, of which the last 3 are forecast


@pytest.mark.parametrize("error", ["squared", "absolute", "interval_width", "interval_exceedance", "interval_score"])
def test_errors_are_those_of_the_last_timesteps_of_each_window(make_detector, make_series, graph_of, error):
    runtime = Runtime(graph_of("recurrent_forecaster", output="quantiles", horizon=1))
    detector = make_detector(runtime=runtime, error=error)
    series, scaling = make_series(40, seed=1), detector.assets["pump-1"].scaling
    errors, scaled = detector.errors(series, scaling), scaling.apply(series)
    for t in (7, 20, 39):
        [[bounds]] = runtime.estimate(scaled[None, t - 7 : t + 1])  # (3, 3)
        expected = naive.errors_of(scaled[t], *bounds.T, error)
        np.testing.assert_allclose(errors[t], expected, rtol=1e-4, atol=1e-5)


# --- calibration ------------------------------------------------------------------------------------------------------


def test_an_unknown_asset_is_refused_with_a_remedy_and_scored_once_calibrated(make_detector, make_series):
    detector, other = make_detector(), make_series(300, asset="pump-2", seed=2)
    with pytest.raises(ModelError, match=r"'pump-2' was never calibrated \(known: pump-1\): calibrate it"):
        detector.score(other)
    before = detector.assets["pump-1"]
    assert detector.calibrate(other) is detector
    assert np.isfinite(detector.score(other).scores).all()
    assert detector.assets["pump-1"] is before


def test_calibrating_a_known_asset_keeps_its_scaling_and_usual_errors(make_detector, make_series):
    detector = make_detector()
    before = detector.assets["pump-1"]
    after = detector.calibrate(make_series(seed=9)).assets["pump-1"]
    assert after.scaling is before.scaling
    assert after.usual is before.usual
    assert after.threshold != before.threshold


def test_a_larger_budget_lowers_the_threshold(make_detector, make_series):
    detector, series = make_detector(), make_series(2000, seed=2)
    values = [
        detector.calibrate(series, false_alarms_per_week=budget).assets["pump-1"].threshold.value
        for budget in (0.1, 1, 3, 10, 30, 100, 1000)
    ]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) >= 3


def test_a_new_asset_learns_its_scaling_from_the_first_half_and_its_threshold_from_the_second(
    make_detector, make_series
):
    detector, series = make_detector(), make_series(400, asset="pump-2", seed=3)
    calibration = detector.calibrate(series, method="quantile", quantile=0.5).assets["pump-2"]
    np.testing.assert_allclose(calibration.scaling.centre, series.values[:200].mean(axis=0))
    scores = detector.score(series).scores
    assert calibration.threshold.value == pytest.approx(np.quantile(scores[200 + detector.context :], 0.5))


@pytest.mark.parametrize("asset", ["pump-1", "pump-2"])  # a known one and a new one
@pytest.mark.parametrize("method", ["labelled", "gaussian_epsilon"])
def test_a_threshold_by_labels_parts_the_labelled_rows_from_the_normal_ones(make_detector, make_series, asset, method):
    detector, series = make_detector(), make_series(400, asset=asset, seed=3)
    values, labelled = series.values.copy(), np.zeros(400, dtype=bool)
    values[300:320] += [50, 700, 20]
    labelled[300:320] = True
    loud = with_values(series, values)
    calibration = detector.calibrate(loud, labelled=labelled, method=method).assets[asset]
    scores = detector.score(loud).scores
    assert scores[250 : 300 - detector.delay].max() < calibration.threshold.value < scores[305:315].min()


def test_labelled_rows_are_not_normal_whatever_else_is_said(make_detector, make_series):
    detector, series = make_detector(), make_series(400, seed=3)
    labelled = np.arange(400) >= 350
    one, other, bare = (
        detector.calibrate(series, normal=normal, labelled=events, method="quantile").assets["pump-1"].threshold
        for normal, events in ((None, labelled), (np.ones(400, dtype=bool), labelled), (~labelled, None))
    )
    assert one == other == bare


def test_no_labelled_row_leaves_a_threshold_by_labels_without_a_choice(make_detector, make_series):
    with pytest.raises(ReadingsError, match="'labelled' takes labelled events, and no score in the calibration span"):
        make_detector().calibrate(make_series(400), method="labelled")


def test_a_new_asset_learns_all_of_its_preprocessing_from_the_first_half(make_detector, make_series):
    series = make_series(400, asset="pump-2", seed=3)
    loud = series.values.copy()
    loud[200:] *= 7
    prepare = {"transform": "log", "season": "week", "difference": 1, "scaling": "robust"}
    one, other = (
        make_detector(prepare=prepare).calibrate(with_values(series, values)).assets["pump-2"]
        for values in (series.values, loud)
    )
    for name in ("profile", "centre", "scale"):
        np.testing.assert_array_equal(getattr(one.scaling, name), getattr(other.scaling, name))
    np.testing.assert_array_equal(one.usual.error, other.usual.error)


def test_a_channel_that_stands_still_on_a_new_asset_is_measured_as_on_the_others(make_detector, make_series):
    detector, series = make_detector(), make_series(400, asset="pump-2", seed=3)
    values = series.values.copy()
    values[:, 1] = 1400
    detector.calibrate(with_values(series, values))
    assert detector.assets["pump-2"].scaling.scale[1] == detector.assets["pump-1"].scaling.scale[1]


def test_a_channel_without_a_reading_to_calibrate_with_is_named(make_detector, make_series):
    series = make_series(400, asset="pump-2")
    values = series.values.copy()
    values[:200, 1] = np.nan
    with pytest.raises(ReadingsError, match="'pump-2': channel 'speed' has no reading"):
        make_detector().calibrate(with_values(series, values))


@pytest.mark.parametrize("asset", ["pump-1", "pump-2"])  # one known, one new to the detector
@pytest.mark.parametrize("method", ["conformal", "quantile", "sigma"])
def test_rows_that_are_not_normal_change_nothing_of_a_calibration(make_detector, make_series, asset, method):
    series = make_series(asset=asset, seed=3)
    normal = np.ones(400, dtype=bool)
    normal[[*range(50, 60), *range(300, 304)]] = False
    loud = series.values.copy()
    loud[~normal] += [50, 700, 20]
    one, other, unmasked = (
        make_detector().calibrate(with_values(series, values), normal=mask, method=method).assets[asset]
        for values, mask in ((series.values, normal), (loud, normal), (loud, None))
    )
    assert one.threshold == other.threshold != unmasked.threshold
    np.testing.assert_array_equal(one.usual.error, other.usual.error)
    np.testing.assert_array_equal(one.scaling.centre, other.scaling.centre)


def test_a_calibration_tells_its_readings_and_its_changes_and_so_does_a_result(make_detector, make_series):
    detector, series = make_detector(), make_series(asset="pump-2", seed=3)
    detector.lineage = {"data_hash": "of the fit", "git_commit": "c0ffee"}
    detector.calibrate(series, false_alarms_per_week=0.5)
    origin = {"data_hash": series_hash(series), "false_alarms_per_week": "0.5"}
    assert detector.assets["pump-2"].origin == origin
    assert detector.score(series).lineage == {"git_commit": "c0ffee", **origin}
    assert detector.lineage["data_hash"] == "of the fit"


def test_a_promise_weaker_than_the_budget_is_logged_with_its_asset(make_detector, make_series, caplog):
    detector = make_detector()
    caplog.clear()
    with caplog.at_level("WARNING", logger="offbeat"):
        detector.calibrate(make_series(asset="pump-2"), false_alarms_per_week=0.01)
        detector.calibrate(make_series(asset="pump-3"), method="sigma")
    [message] = caplog.messages
    assert message == f"asset 'pump-2': {detector.assets['pump-2'].threshold.warning}"


def test_a_threshold_of_the_fit_comes_from_where_the_detector_does(make_detector, make_series):
    detector = make_detector()
    detector.lineage = {"data_hash": "of the fit", "git_commit": "c0ffee"}
    detector.assets["pump-1"] = replace(detector.assets["pump-1"], origin={})
    assert detector.score(make_series(60)).lineage == detector.lineage


def test_a_span_too_short_is_refused_and_changes_nothing(make_detector, make_series):
    detector = make_detector()
    before = dict(detector.assets)
    with pytest.raises(ReadingsError, match=r"'pump-2': a window takes 8 timesteps, .* has 7: give more readings"):
        detector.calibrate(make_series(15, asset="pump-2"))
    with pytest.raises(ReadingsError, match=r"'pump-2': no score in its calibration span"):
        detector.calibrate(make_series(64, asset="pump-2", gaps=[(20, 25), (32, 37), (44, 49), (56, 61)]))
    assert detector.assets == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"false_alarms_per_weak": 1}, "did you mean 'false_alarms_per_week'"),
        ({"false_alarms_per_week": 0}, "calibrate.false_alarms_per_week=0: .*greater than 0"),
        ({"method": "magic"}, "calibrate.method='magic'"),
        ({"smoothing": 8}, "calibrate.smoothing shapes the scores of every asset: set it in the params of a new fit"),
    ],
)
def test_a_wrong_change_of_the_calibration_is_named(make_detector, make_series, changes, message):
    with pytest.raises(ParamsError, match=message):
        make_detector().calibrate(make_series(), **changes)


# --- readings that do not fit -----------------------------------------------------------------------------------------


def test_other_channels_are_refused_by_name(make_detector, make_series):
    series = make_series(60)
    renamed = replace(series, channels=("flow", "speed", "vibration"))
    fewer = replace(series, channels=series.channels[:2], values=series.values[:, :2])
    detector = make_detector()
    with pytest.raises(ModelError, match=r"'pump-1'.*missing here: temp; unknown to it: vibration: give the same"):
        detector.score(renamed)
    with pytest.raises(ModelError, match="missing here: temp: give the same columns"):
        detector.score(fewer)


def test_another_period_is_refused_with_both(make_detector, make_series):
    series = replace(make_series(60), step=300_000_000_000)
    with pytest.raises(ModelError, match=r"readings every 5 min, .*every 10 min: resample"):
        make_detector().score(series)
    with pytest.raises(ModelError, match=r"readings every 1 step, .*every 10 min: resample"):
        make_detector().score(make_series(60, timed=False))


@pytest.mark.parametrize("n", [2, 7])
def test_fewer_rows_than_a_window_are_refused_with_both_numbers(make_detector, make_series, n):
    with pytest.raises(ReadingsError, match=f"a window takes 8 timesteps, .* has {n}: give more readings"):
        make_detector().score(make_series(n))


def test_as_many_rows_as_a_window_are_scored(make_detector, make_series):
    assert np.isfinite(make_detector().score(make_series(8)).scores).all()


def test_scoring_changes_neither_the_series_nor_the_detector(make_detector, make_series):
    detector, series = make_detector(), make_series(60, missing=0.1)
    values, calibration = series.values.copy(), detector.assets["pump-1"]
    detector.score(series)
    np.testing.assert_array_equal(series.values, values)
    assert detector.assets == {"pump-1": calibration}
    assert isinstance(detector, Detector)


@pytest.mark.parametrize("name", ["normal", "labelled"])
def test_a_mask_of_another_length_is_refused_by_name(make_detector, make_series, name):
    detector, series = make_detector(), make_series(300)
    with pytest.raises(ReadingsError, match=rf"{name} has the shape \(299,\) where the series has 300 timesteps"):
        detector.calibrate(series, **{name: np.ones(299, dtype=bool)})


def test_scoring_reports_timesteps_up_to_the_last(make_detector, make_series):
    steps = []
    make_detector().score(make_series(700, gaps=[(200, 230)]), report=steps.append)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[0].done == 0
    assert steps[-1].done == steps[-1].total
