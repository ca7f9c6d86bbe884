"""`fit` takes readings as they are, gives a detector that works, and says what is missing."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from offbeat import Detector, Folder, Series, fit
from offbeat.errors import ModelError, OffbeatError, ParamsError, ReadingsError, StartError
from offbeat.params import load_params
from offbeat.readings.spans import Span
from offbeat.training import fit_fleet

TINY = {
    "prepare": {"window_size": 8},
    "train": {"units": 6, "latent_size": 3, "position_size": 4, "epochs": 1, "steps_per_epoch": 4, "batch_size": 16},
    "calibrate": {"delay": 2, "smoothing": 2, "merge_gap": 2},
}
AS_SEVERAL = {"error": "squared", "stride": 1, "margin": 1.0}  # of `calibrate`, for a channel alone


def frame_of(n=400, seed=0, timed=True):
    rng = np.random.default_rng(seed)
    values = np.sin(np.arange(n)[:, None] / [4.0, 7.0]) * [2, 30] + [50, 1400] + rng.normal(0, [0.1, 1], (n, 2))
    index = pd.date_range("2026-01-01", periods=n, freq="10min") if timed else pd.RangeIndex(100, 100 + n)
    return pd.DataFrame(values, index, ["flow", "speed"])


def series_of(asset="pump-1", n=400, seed=0, timed=True):
    return Series.from_frame(frame_of(n, seed, timed), asset)


def riddled(frame):
    """Readings with cells missing, a short gap of whole rows, a long one, and a sensor silent for a while."""
    frame = frame.copy()
    frame[np.random.default_rng(5).random(frame.shape) < 0.05] = np.nan
    frame.iloc[50:70, 0] = np.nan
    return frame[~np.isin(np.arange(len(frame)), [*range(30, 33), *range(100, 140), *range(360, 363)])]


@pytest.fixture(scope="module")
def fitted():
    """Two assets, the second with much missing, trained where warnings are errors."""
    return fit([series_of(), Series.from_frame(riddled(frame_of(seed=1)), "pump-2")], TINY)


# --- a start ----------------------------------------------------------------------------------------------------------


def test_it_goes_on_from_another_detector_and_calibrates_anew(fitted):
    series = [series_of(n=500), series_of("pump-2", 500, 1)]
    params = {**TINY, "train": {**TINY["train"], "learning_rate": 1e-9}}
    went_on = fit(series, params, start=fitted)
    estimates = [one.runtime.estimate(np.ones((1, 8, 2), np.float32)) for one in (fitted, went_on)]
    np.testing.assert_allclose(*estimates, atol=1e-5)  # by so small a rate nothing is learnt
    assert went_on.assets["pump-1"].scaling.centre.tolist() != fitted.assets["pump-1"].scaling.centre.tolist()
    assert len(went_on.lineage["start_hash"]) == 64
    assert "start_hash" not in fitted.lineage


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"train": {**TINY["train"], "units": 7}},
            "the start has another network: code.kernel is 6 x 3 there, 7 x 3 here",
        ),
        ({"prepare": {"window_size": 9}}, "windows of 8 x 2 there, of 9 x 2 here"),
        ({"prepare": {"window_size": 8, "transform": "log"}}, "prepare.transform none, this training log"),
    ],
)
def test_a_detector_that_is_no_start_is_refused_with_the_difference(fitted, changes, why):
    with pytest.raises(StartError, match=why):
        fit(series_of(), {**TINY, **changes}, start=fitted)


# --- what it takes ----------------------------------------------------------------------------------------------------


def test_an_asset_it_was_fitted_on_is_scored(fitted):
    result = fitted.score(series_of())
    assert np.isfinite(result.scores).all()
    assert result.channels == ("flow", "speed")


def test_readings_with_missing_cells_and_gaps_train_and_score_without_a_warning(fitted):
    series = Series.from_frame(riddled(frame_of(seed=1)), "pump-2")
    assert len(series.segments) == 2
    scores = fitted.score(series).scores
    assert np.isfinite(scores).mean() > 0.98
    assert np.isnan(series.values[np.isnan(scores)]).all()  # where nothing was read
    assert np.isfinite(fitted.assets["pump-2"].threshold.value)
    assert np.isfinite(fitted.assets["pump-2"].usual.error).all()


def test_a_single_series_with_an_integer_index_is_enough(tmp_path):
    series = series_of(timed=False)
    seen = []
    detector = fit(series, TINY, report=seen.append)
    assert detector.period == 1
    assert list(dict.fromkeys(step.work for step in seen)) == ["training", "calibrating"]
    assert (seen[0].done, seen[0].note) == (0, "")
    assert max(step.done for step in seen if step.work == "training") == seen[0].total
    assert any(step.note.startswith("epoch 1 of at most 1: loss ") for step in seen)
    assert detector.score(series).index.tolist() == list(range(100, 500))
    detector.save(tmp_path / "model")
    assert np.array_equal(Detector.load(tmp_path / "model").score(series).scores, detector.score(series).scores)


def test_a_folder_brings_labels_and_the_same_seed_gives_the_same_detector(fitted):
    series = (series_of(), Series.from_frame(riddled(frame_of(seed=1)), "pump-2"))
    again = fit(Folder(series), TINY)
    assert again.runtime.graph == fitted.runtime.graph
    assert again.assets["pump-1"].threshold == fitted.assets["pump-1"].threshold
    assert again.lineage["data_hash"] == fitted.lineage["data_hash"]
    label = Span("pump-1", series[0].index[40], series[0].index[59])
    labelled = fit_fleet(Folder(series, labels=(label,)), load_params(changes=TINY))
    assert labelled.fleet[0].labelled.sum() == 20
    assert labelled.detector.runtime.graph != fitted.runtime.graph
    assert labelled.untrained.runtime.graph == labelled.trained.untrained_graph
    assert list(labelled.untrained.assets) == ["pump-1", "pump-2"]


def test_channels_of_a_folder_in_another_order_are_put_in_order(fitted):
    """A wrong order would show as a huge usual error: flow is near 50, speed near 1400."""
    turned = Series.from_frame(riddled(frame_of(seed=1))[["speed", "flow"]], "pump-2")
    again = fit(Folder((series_of(), turned)), TINY)
    assert again.runtime.graph == fitted.runtime.graph
    np.testing.assert_array_equal(again.assets["pump-2"].scaling.centre, fitted.assets["pump-2"].scaling.centre)


# --- what is done to readings first -----------------------------------------------------------------------------------


def people(n_weeks, seed=0):
    """Counts every hour that follow people: a hundred times as many at noon as by night, half as many on Sundays."""
    rng, hour = np.random.default_rng(seed), np.arange(168 * n_weeks)
    level = 1000 * 10 ** -np.cos(2 * np.pi * hour / 24) * np.where(hour // 24 % 7 == 6, 0.5, 1.0)
    index = pd.date_range("2026-01-05", periods=len(hour), freq="h")
    return pd.DataFrame({"rides": level * np.exp(rng.normal(0, 0.05, len(hour)))}, index)


def test_habits_of_people_are_no_surprise_and_their_breach_is(tmp_path):
    frame = people(20)
    frame.iloc[-60:-48] = 1000.0  # in no hour a count that was never seen
    series = Series.from_frame(frame, "city")
    habits = {"transform": "log", "season": "week"}
    scoring = {**TINY["calibrate"], **AS_SEVERAL}
    detector = fit(series, {**TINY, "prepare": {"window_size": 8, **habits}, "calibrate": scoring})
    profile = detector.assets["city"].scaling.profile[:, 0]
    assert np.exp(profile[12] - profile[0]) == pytest.approx(100, rel=0.1)
    assert np.exp(profile[6 * 24 + 12] - profile[12]) == pytest.approx(0.5, rel=0.1)
    result = detector.score(series)
    assert result.scores[-60:-48].max() > 10 * np.delete(result.scores, np.r_[-75:-30]).max()
    detector.save(tmp_path / "model")
    loaded, n = Detector.load(tmp_path / "model"), series.n_timesteps
    piece = loaded.score(series.rows(n - 100, n))
    assert piece.settled.sum() > 80
    np.testing.assert_allclose(piece.scores[piece.settled], result.scores[-100:][piece.settled], rtol=1e-6)


def test_without_a_window_one_is_chosen_and_all_that_follows_it_is_a_number(caplog):
    series = Series.from_frame(people(20), "city")
    follows = {"smoothing": "1 window", "delay": "0.75 windows", "merge_gap": "1 window"}
    with caplog.at_level("INFO", logger="offbeat"):
        detector = fit(series, {**TINY, "prepare": {"window_size": None}, "calibrate": follows})
    assert "window of 72 timesteps, chosen because 1 of 1 channels show a period, 24 in the median" in caplog.text
    numbers = {"smoothing": 72, "delay": 54, "merge_gap": 72}
    assert detector.window_size == 72
    assert detector.params.model_dump(include=set(numbers)) == numbers
    given = fit(series, {**TINY, "prepare": {"window_size": 72}, "calibrate": numbers})
    assert given.lineage["params_hash"] == detector.lineage["params_hash"]
    assert given.runtime.graph == detector.runtime.graph


def test_a_channel_alone_is_scored_by_whole_windows_unless_told_otherwise():
    series = Series.from_frame(people(20), "city")
    given = {"window_size": None}, {"error": "window", "stride": 8, "margin": 1.5}
    lengths = {"smoothing": "2 windows", "delay": "2 windows", "merge_gap": "1 window"}
    by_default = fit(series, {"train": TINY["train"]})
    told = fit(series, {"prepare": given[0], "train": TINY["train"], "calibrate": {**given[1], **lengths}})
    assert by_default.lineage["params_hash"] == told.lineage["params_hash"]
    assert (by_default.window_size, by_default.params.error, by_default.params.stride) == (72, "window", 8)
    other = fit(series, {**TINY, "calibrate": {**TINY["calibrate"], **AS_SEVERAL}})
    assert (other.window_size, other.params.error, other.params.stride) == (8, "squared", 1)


def test_rows_of_a_table_stand_alone_with_a_window_of_one():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 2))
    table = pd.DataFrame(np.column_stack([rows, rows.sum(axis=1)]), columns=["a", "b", "sum"])
    table.iloc[-20, 2] += 8
    series = Series.from_frame(table, "table")
    follows = {"smoothing": "1 window", "delay": "0.75 windows", "merge_gap": 0}
    detector = fit(series, {**TINY, "prepare": {"window_size": 1}, "calibrate": follows})
    assert (detector.window_size, detector.context, detector.delay) == (1, 0, 0)
    result = detector.score(series)
    assert result.settled.all()
    assert np.argmax(result.scores) == 600 - 20
    turned = detector.score(replace(series, values=series.values[::-1]))
    np.testing.assert_allclose(turned.scores[::-1], result.scores, rtol=1e-4)


# --- other models -----------------------------------------------------------------------------------------------------


def test_a_forecaster_with_an_interval_is_fitted_saved_and_scores_a_spike(tmp_path):
    forecaster = {"model": "recurrent_forecaster", "horizon": 2, "output": "quantiles", "calendar": "day"}
    params = {
        "prepare": TINY["prepare"],
        "train": {**TINY["train"], **forecaster, "epochs": 6, "steps_per_epoch": 30, "learning_rate": 0.02},
        "calibrate": {**TINY["calibrate"], "error": "interval_score"},
    }
    frame = frame_of()
    frame.iloc[370, 1] += 150
    series = Series.from_frame(frame, "pump-1")
    detector = fit(series, params)
    assert detector.method == "lstm_forecaster"
    assert (detector.runtime.horizon, detector.runtime.n_calendar, detector.runtime.has_interval) == (2, 2, True)
    result = detector.score(series)
    spike = range(370 - 2, 370 + 3)
    assert int(np.nanargmax(result.scores)) in spike
    assert result.alarms[370]
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    assert np.array_equal(loaded.score(series).scores, result.scores, equal_nan=True)
    piece = loaded.score(series.rows(300, 400))
    np.testing.assert_allclose(piece.scores[piece.settled], result.scores[300:][piece.settled], rtol=1e-5)


def test_a_model_that_is_fitted_at_once_has_no_untrained_twin(tmp_path):
    fitted = fit_fleet(Folder((series_of(),)), load_params(changes={**TINY, "train": {"model": "nearest_windows"}}))
    assert fitted.untrained is None
    assert fitted.detector.method == "nearest_windows"
    assert np.isfinite(fitted.detector.score(series_of()).scores).all()
    fitted.detector.save(tmp_path / "model")
    assert Detector.load(tmp_path / "model").method == "nearest_windows"


def test_a_calendar_is_refused_for_readings_without_time():
    with pytest.raises(ReadingsError, match=r"train.calendar=day needs timestamps, .* numbered: set it to none"):
        fit(series_of(timed=False), {**TINY, "train": {**TINY["train"], "calendar": "day"}})


# --- new assets -------------------------------------------------------------------------------------------------------


def test_a_new_asset_is_refused_until_it_is_calibrated(fitted):
    new = series_of("pump-3", seed=3)
    with pytest.raises(ModelError, match=r"'pump-3' was never calibrated \(known: pump-1, pump-2\): calibrate it"):
        fitted.score(new)
    detector = replace(fitted, assets=dict(fitted.assets)).calibrate(new, false_alarms_per_week=5)
    assert np.isfinite(detector.score(new).scores).all()
    assert "pump-3" not in fitted.assets


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"epoch": 3}}, "unknown key 'train.epoch': did you mean 'epochs'"),
        ({"trian": {"epochs": 3}}, "unknown key 'trian': did you mean 'train'"),
        ({"train": {"epochs": 0}}, r"train.epochs=0: .*greater than or equal to 1"),
    ],
)
def test_a_wrong_parameter_is_named(changes, message):
    with pytest.raises(ParamsError, match=message):
        fit(series_of(), changes)


@pytest.mark.parametrize("change", [{"period": "20min"}, {"max_gap": 2}])
def test_what_shapes_the_reading_is_refused_for_readings_that_are_read_already(change):
    [key] = change
    changes = {**TINY, "prepare": {**TINY["prepare"], **change}}
    for readings in (series_of(), [series_of()]):
        with pytest.raises(ParamsError, match=rf"prepare.{key} shapes how readings are read: .* Series.from_frame"):
            fit(readings, changes)


def test_too_few_readings_are_refused_with_what_to_do():
    with pytest.raises(ReadingsError) as caught:
        fit(series_of(n=60), {"prepare": {"window_size": 32}})
    message = str(caught.value)
    assert message.startswith("asset 'pump-1': its train span has 31 of 60 rows and needs 32: give more")
    assert "prepare.window_size" in message


def test_nothing_to_learn_from_is_refused():
    for readings in ([], Folder(())):
        with pytest.raises(ReadingsError, match="fit needs at least one series, got none: give the readings"):
            fit(readings, TINY)


def test_two_series_of_one_asset_are_refused_by_name():
    with pytest.raises(ReadingsError, match="asset 'pump-1' is there 2 times: give each series the name of its own"):
        fit([series_of(), series_of("pump-2"), series_of()], TINY)


def test_assets_that_differ_in_channels_or_period_are_refused_by_name():
    other = Series.from_frame(frame_of().rename(columns={"speed": "temp"}), "pump-2")
    with pytest.raises(ReadingsError, match=r"the same channels, but 'pump-2' lacks 'speed'"):
        fit([series_of(), other], TINY)
    with pytest.raises(ReadingsError, match=r"'pump-2' has 20 min and 'pump-1' 10 min"):
        fit(Folder((series_of(), Series.from_frame(frame_of().iloc[::2], "pump-2"))), TINY)


def test_training_without_its_libraries_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("offbeat.models.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(OffbeatError, match=r"training needs keras, which is not installed: pip install 'offbeat\[tra"):
        fit(series_of(), TINY)
