"""A model trains or fits on what is normal, explains it, lets a spike stand out, and says when it has learnt little."""

from dataclasses import replace
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.errors import ReadingsError, StartError
from offbeat.models import network
from offbeat.models.network import (
    BATCH_SIZE,
    BUILDERS,
    Trained,
    explained_variance,
    fitted_graph,
    train_model,
    trimmed,
    window_errors,
)
from offbeat.params import TRAINED, TrainParams, changed, load_params
from offbeat.preparation import Lesson
from offbeat.readings.series import Series

WINDOW_SIZE = 16
DEFAULTS = load_params()
TINY = {
    "units": 16,
    "latent_size": 4,
    "position_size": 8,
    "linear_size": 1,
    "epochs": 10,
    "steps_per_epoch": 40,
    "batch_size": 32,
}
MODELS = get_args(TrainParams.model_fields["model"].annotation)


def tiny(**changes):
    return TrainParams.model_validate({**DEFAULTS.train.model_dump(), **TINY, **changes})


def sine(n=600):
    noise = np.random.default_rng(0).normal(0, 0.03, (n, 2))
    return (np.sin(np.arange(n)[:, None] / np.array([3.0, 5.0])) + noise).astype(np.float32)


def lesson_of(values=None, starts=None):
    values = sine() if values is None else values
    starts = np.arange(400) if starts is None else starts
    return Lesson(values, values.shape[1], starts, np.arange(420, 560))


@pytest.fixture(scope="module")
def reported():
    return []


@pytest.fixture(scope="module")
def trained(reported):
    return train_model(lesson_of(), WINDOW_SIZE, tiny(), reported.append)


# --- what is learnt ---------------------------------------------------------------------------------------------------


def test_a_sine_is_explained_in_every_channel(trained):
    assert trained.explained_variance.shape == (2,)
    assert (trained.explained_variance > 0.9).all()


def test_the_untrained_graph_is_another_that_explains_less(trained):
    untrained = explained_variance(Runtime(trained.untrained_graph), lesson_of())
    assert (untrained < trained.explained_variance - 0.3).all()


def test_both_graphs_are_those_of_the_keras_model(trained):
    windows = np.stack([sine()[start : start + WINDOW_SIZE] for start in (3, 77, 500)])
    expected = np.asarray(trained.keras_model(windows))
    np.testing.assert_allclose(Runtime(trained.graph).estimate(windows), expected, rtol=0, atol=1e-5)


def test_training_is_reported_to_its_last_batch(trained, reported):
    assert len(trained.epochs) == TINY["epochs"]
    assert reported[0].done == 0
    assert reported[-1].done == reported[-1].total


# --- every model ------------------------------------------------------------------------------------------------------

FEW = {"epochs": 4, "steps_per_epoch": 30, "learning_rate": 0.02}
OF_MODEL = {
    "recurrent_forecaster": {**FEW, "horizon": 2},
    "dense_forecaster": {**FEW, "horizon": 3},
    "dense_autoencoder": {**FEW, "output": "dropout", "dropout": 0.1, "linear_size": 0},
    "matrix_profile": {"n_neighbours": 3},
    "sub_pca": {"latent_size": 4},
}
FORM = {  # window size and horizon; a whole window where nothing is said
    "recurrent_forecaster": (WINDOW_SIZE, 2),
    "dense_forecaster": (WINDOW_SIZE, 3),
    "moving_average": (WINDOW_SIZE, 1),
    "last_value": (2, 1),
    "row_pca": (1, 1),
    "mean": (1, 1),
}


@pytest.fixture(scope="module")
def trained_of(trained):
    """What each model made of the sine, each trained or fitted once."""
    made = {"recurrent_autoencoder": trained}

    def of(model):
        if model not in made:
            made[model] = train_model(lesson_of(), WINDOW_SIZE, tiny(model=model, **OF_MODEL.get(model, {})))
        return made[model]

    return of


def detector_around(graph, frame):
    params = changed(DEFAULTS.calibrate, {"smoothing": 1, "delay": 0, "merge_gap": 0})
    step, preprocessing = 60_000_000_000, DEFAULTS.prepare.preprocessing
    detector = Detector(Runtime(graph), ("flow", "temp"), step, True, 5, preprocessing, params)
    return detector.calibrate(Series.from_frame(frame, "pump-1"))


@pytest.mark.parametrize("model", MODELS)
def test_a_spike_scores_above_its_surroundings_and_its_channel_leads(trained_of, model):
    index = pd.date_range("2026-01-01", periods=600, freq="1min")
    frame = pd.DataFrame(sine(), index, ["flow", "temp"])
    detector = detector_around(trained_of(model).graph, frame)
    frame.iloc[500, 1] += 4
    result = detector.score(Series.from_frame(frame, "pump-1"))
    around = np.delete(result.scores, range(490, 520))
    assert result.scores[500] > 3 * np.nanmax(around)
    assert np.isfinite(around[WINDOW_SIZE:]).all()
    assert result.alarms[500]
    if model != "row_pca":  # one axis for two channels: what is off it is off in both alike
        assert max(result.events, key=lambda event: event.peak_score).channels[0][0] == "temp"


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_the_window_and_the_horizon_that_its_params_say(trained_of, model):
    runtime = Runtime(trained_of(model).graph)
    assert (runtime.window_size, runtime.horizon) == FORM.get(model, (WINDOW_SIZE, WINDOW_SIZE))
    assert runtime.horizon == tiny(model=model, **OF_MODEL.get(model, {})).n_estimated(WINDOW_SIZE)
    assert (runtime.n_channels, runtime.has_interval) == (2, model == "dense_autoencoder")


@pytest.mark.parametrize("model", [model for model in MODELS if model not in TRAINED])
def test_a_model_that_is_fitted_at_once_has_no_network_and_no_loss_curve(trained_of, model):
    made = trained_of(model)
    assert (made.keras_model, made.untrained_graph, made.epochs, made.n_trimmed) == (None, None, [], 0)
    assert made.graph == fitted_graph(lesson_of(), WINDOW_SIZE, tiny(model=model, **OF_MODEL.get(model, {})))


def test_every_network_has_a_builder():
    assert set(BUILDERS) == set(TRAINED)


@pytest.mark.parametrize(("model", "at_least"), [("nearest_windows", 0.9), ("sub_pca", 0.9), ("last_value", 0.8)])
def test_a_simple_model_explains_a_sine(trained_of, model, at_least):
    assert (trained_of(model).explained_variance > at_least).all()


def test_the_mean_explains_nothing(trained_of):
    np.testing.assert_allclose(trained_of("mean").explained_variance, 0, atol=0.1)


@pytest.mark.parametrize("model", ["row_pca", "sub_pca", "nearest_windows", "matrix_profile"])
def test_a_fitted_model_knows_the_rows_of_its_training_windows_alone(model):
    starts = np.arange(300)
    values = sine()
    wild = values.copy()
    wild[300 + WINDOW_SIZE - 1 :] = 9 * wild[300 + WINDOW_SIZE - 1 :, ::-1]
    one, other = (fitted_graph(lesson_of(each, starts), WINDOW_SIZE, tiny(model=model)) for each in (values, wild))
    assert one == other


# --- linear part ------------------------------------------------------------------------------------------------------


def hardly_trained(values, starts, **changes):
    """Train for one step so small that the network stays as it started."""
    one = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 1, "learning_rate": 1e-9}
    return train_model(lesson_of(values, starts), WINDOW_SIZE, tiny(**one, **changes)).keras_model


def linear_weights(model):
    return {
        layer.name: layer.get_weights()[0] for layer in model.layers if layer.name in ("linear_code", "linear_part")
    }


def test_the_linear_part_starts_from_the_rows_of_the_training_windows_alone():
    values = sine()
    values[:, 1] = 0
    values[WINDOW_SIZE:] = 9 * values[WINDOW_SIZE:, ::-1]  # elsewhere the other channel moves, and more
    code = linear_weights(hardly_trained(values, np.array([0])))["linear_code"]
    np.testing.assert_allclose(np.abs(code), [[1], [0]], atol=1e-3)


def test_of_whole_windows_it_starts_from_the_training_windows_alone():
    values = sine()
    values[WINDOW_SIZE:] = 9 * values[WINDOW_SIZE:, ::-1]
    code = linear_weights(hardly_trained(values, np.array([0]), linear_scope="window"))["linear_code"]
    window = values[:WINDOW_SIZE].ravel()
    np.testing.assert_allclose(np.abs(code[:, 0]), np.abs(window) / np.linalg.norm(window), atol=1e-3)


def test_training_moves_the_linear_part(trained):
    code, part = linear_weights(trained.keras_model).values()
    assert not np.allclose(code, part.T, atol=1e-4)  # as which it starts


# --- a warm start -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def warm(trained):
    return train_model(lesson_of(), WINDOW_SIZE, tiny(warm_epochs=2), start=trained.graph)


def weights_of(model):
    return [np.array(weight) for weight in model.get_weights()]


def same_weights(one, other):
    return all(np.array_equal(*pair) for pair in zip(weights_of(one), weights_of(other), strict=True))


def test_a_warm_start_is_short_and_begins_where_the_other_training_ended(trained, warm):
    assert len(warm.epochs) == 2 < len(trained.epochs)
    assert warm.start_loss == pytest.approx(trained.held_out_loss, rel=1e-3)
    assert warm.held_out_loss <= warm.start_loss
    assert warm.untrained_graph == trained.untrained_graph
    assert (trained.start_loss, trained.held_out_loss) == (None, min(one.held_out_loss for one in trained.epochs))


def test_the_same_seed_and_start_give_the_same_weights(trained, warm):
    again = train_model(lesson_of(), WINDOW_SIZE, tiny(warm_epochs=2), start=trained.graph)
    assert again.graph == warm.graph
    assert not same_weights(warm.keras_model, trained.keras_model)


def test_where_nothing_is_better_the_weights_of_the_start_stay(trained):
    wild = tiny(warm_epochs=1, learning_rate=1.0, clip_norm=1e6)
    made = train_model(lesson_of(), WINDOW_SIZE, wild, start=trained.graph)
    assert made.epochs[0].held_out_loss > made.start_loss == made.held_out_loss
    assert made.graph == trained.graph


def test_a_start_that_knows_other_readings_learns_these():
    other = train_model(lesson_of(sine()[::-1, ::-1] * 0.3), WINDOW_SIZE, tiny(epochs=3))
    made = train_model(lesson_of(), WINDOW_SIZE, tiny(warm_epochs=3), start=other.graph)
    assert made.held_out_loss < 0.7 * made.start_loss


def test_with_a_start_the_windows_that_it_reconstructs_worst_are_left_out_of_the_one_training(trained):
    made = train_model(contaminated(), WINDOW_SIZE, tiny(warm_epochs=1, trim_share=0.2), start=trained.graph)
    assert (made.n_trimmed, len(made.epochs)) == (5, 1)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "sub_pca"}, "train.model=sub_pca is fitted at once, so it takes no start"),
        ({"warm_epochs": None}, "train.warm_epochs is null, so it takes no start"),
        ({"units": 8}, "the start has another network"),
    ],
)
def test_what_cannot_start_there_is_refused(trained, changes, why):
    with pytest.raises(StartError, match=why):
        train_model(lesson_of(), WINDOW_SIZE, tiny(**changes), start=trained.graph)


def test_a_start_is_compared_before_it_says_which_windows_are_left_out(trained):
    plain = lesson_of()
    with_hours = replace(plain, values=np.hstack([plain.values, np.zeros((len(plain.values), 2), np.float32)]))
    with pytest.raises(StartError, match="the start has another network"):
        train_model(with_hours, WINDOW_SIZE, tiny(calendar="day", trim_share=0.1), start=trained.graph)


# --- trimming ---------------------------------------------------------------------------------------------------------

APART = np.arange(0, 400, WINDOW_SIZE)  # 25 windows that share no reading
WILD = APART[[2, 7, 8, 15, 24]]


def contaminated():
    values = sine()
    for start in WILD:
        values[start : start + WINDOW_SIZE] = np.random.default_rng(start).normal(0, 4, (WINDOW_SIZE, 2))
    return lesson_of(values, APART)


def test_the_windows_that_are_reconstructed_worst_are_left_out(trained):
    kept = trimmed(contaminated(), Runtime(trained.graph), 0.2)
    assert kept.starts.tolist() == np.setdiff1d(APART, WILD).tolist()
    assert np.array_equal(kept.held_out_starts, contaminated().held_out_starts)


@pytest.mark.parametrize(
    ("n", "share", "n_kept"), [(10, 0.5, 5), (10, 0.04, 10), (10, 0.11, 9), (1, 0.5, 1), (3, 0.5, 2)]
)
def test_so_many_windows_stay_as_the_share_says_and_at_least_one(trained, n, share, n_kept):
    lesson = lesson_of(starts=np.arange(n))
    assert len(trimmed(lesson, Runtime(trained.graph), share).starts) == n_kept


def test_a_second_training_begins_anew_without_the_trimmed_windows(monkeypatch):
    lessons, firsts = [], []

    def learn(model, lesson, _params, _report):
        lessons.append(lesson)
        firsts.append([weight.copy() for weight in model.get_weights()])
        model.set_weights([weight * 0.9 for weight in model.get_weights()])
        return []

    monkeypatch.setattr(network, "learn", learn)
    made = train_model(contaminated(), WINDOW_SIZE, tiny(trim_share=0.2, linear_size=0))
    assert [len(lesson.starts) for lesson in lessons] == [25, 20]
    assert not set(WILD) & set(lessons[1].starts)
    assert made.n_trimmed == 5
    assert all(np.array_equal(one, other) for one, other in zip(*firsts, strict=True))
    train_model(contaminated(), WINDOW_SIZE, tiny())
    assert len(lessons) == 3  # without a share to trim there is one training


def test_the_linear_part_starts_anew_without_the_trimmed_windows(monkeypatch):
    starts = []
    monkeypatch.setattr(network, "learn", lambda *_: [])
    monkeypatch.setattr(network, "_start", lambda _model, lesson: starts.append(len(lesson.starts)))
    train_model(contaminated(), WINDOW_SIZE, tiny(trim_share=0.2))
    assert starts == [25, 20]


def fake(estimate, window_size, horizon=None, has_interval=False):
    horizon = horizon or window_size
    return SimpleNamespace(estimate=estimate, window_size=window_size, horizon=horizon, has_interval=has_interval)


@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("has_interval", [False, True])
def test_errors_of_windows_are_those_of_the_loops(horizon, has_interval):
    values = sine(60)
    values[np.random.default_rng(0).random(values.shape) < 0.3] = np.nan
    values[40:44] = np.nan
    starts = np.array([0, 5, 17, 40])

    def estimate(inputs):
        middle = inputs[:, -horizon:] * 0.5 + 0.1
        return np.stack([middle - 1, middle, middle + 2], axis=-1) if has_interval else middle

    errors = window_errors(fake(estimate, 4, horizon, has_interval), lesson_of(values, starts))
    for start, error in zip(starts, errors, strict=True):
        last = values[start + 4 - horizon : start + 4].ravel()
        read = [(value - (value * 0.5 + 0.1)) ** 2 for value in last if value == value]
        assert error == pytest.approx(sum(read) / len(read) if read else 0.0, rel=1e-5)


def test_errors_of_more_windows_than_a_batch_are_in_the_order_of_the_starts():
    starts = np.random.default_rng(0).permutation(580)
    assert len(starts) > 2 * BATCH_SIZE
    errors = window_errors(fake(np.zeros_like, 4), lesson_of(sine(), starts))
    expected = [np.square(sine()[start : start + 4]).mean() for start in starts]
    np.testing.assert_allclose(errors, expected, rtol=1e-5)


# --- explained variance -----------------------------------------------------------------------------------------------


def explained_by(estimates, windows, has_interval=False):
    """Explained variance of windows (n, W, F), laid end to end, by estimates (n, H, F) or (n, H, F, 3)."""
    n, window_size, n_channels = windows.shape
    starts, given = np.arange(n) * window_size, iter(np.array_split(estimates, range(BATCH_SIZE, n, BATCH_SIZE)))
    lesson = Lesson(windows.reshape(-1, n_channels).astype(np.float32), n_channels, starts[:1], starts)
    return explained_variance(fake(lambda _: next(given), window_size, estimates.shape[1], has_interval), lesson)


def test_explained_variance_is_one_less_error_over_variance():
    windows = np.array([[[1.0], [3.0]], [[5.0], [7.0]]])  # mean 4, variance (9 + 1 + 1 + 9) / 4 = 5
    estimates = np.array([[[1.0], [2.0]], [[5.0], [5.0]]])  # squared error (0 + 1 + 0 + 4) / 4 = 1.25
    np.testing.assert_allclose(explained_by(estimates, windows), [1 - 1.25 / 5])


def test_of_a_forecaster_the_forecast_timesteps_alone_count():
    windows = np.array([[[99.0], [1.0], [3.0]], [[-99.0], [5.0], [7.0]]])  # of which the last two are those above
    estimates = np.array([[[1.0], [2.0]], [[5.0], [5.0]]])
    np.testing.assert_allclose(explained_by(estimates, windows), [1 - 1.25 / 5])


def test_of_estimates_with_bounds_the_middle_counts():
    windows = np.array([[[1.0], [3.0]], [[5.0], [7.0]]])
    middle = np.array([[[1.0], [2.0]], [[5.0], [5.0]]])
    bounds = np.stack([middle - 10, middle, middle + 20], axis=-1)
    np.testing.assert_allclose(explained_by(bounds, windows, has_interval=True), [1 - 1.25 / 5])


def test_missing_readings_count_neither_as_error_nor_as_variance():
    windows = np.array([[[1.0], [np.nan]], [[5.0], [np.nan]]])  # mean 3, variance 4
    estimates = np.array([[[2.0], [99.0]], [[5.0], [-99.0]]])  # error (1 + 0) / 2
    np.testing.assert_allclose(explained_by(estimates, windows), [1 - 0.5 / 4])


@pytest.mark.parametrize("level", [0.0, 0.1, np.nan, 1e6 + 0.1])
def test_a_channel_that_stands_still_has_no_explained_variance(level):
    windows = np.random.default_rng(0).standard_normal((700, 7, 2)).astype(np.float32)
    windows[:, :, 1] = level
    explained = explained_by(np.zeros_like(windows), windows)
    assert explained[0] == pytest.approx(0, abs=0.01)
    assert np.isnan(explained[1])


def test_more_windows_than_a_batch_are_all_counted(runtime):
    windows = np.random.default_rng(0).standard_normal((600, 8, 3)).astype(np.float32)
    errors = np.square(windows.astype(np.float64) - runtime.estimate(windows))
    expected = 1 - errors.mean(axis=(0, 1)) / windows.astype(np.float64).var(axis=(0, 1))
    lesson = Lesson(windows.reshape(-1, 3), 3, np.arange(1), np.arange(600) * 8)
    np.testing.assert_allclose(explained_variance(runtime, lesson), expected, atol=1e-6)


# --- the overall figure -----------------------------------------------------------------------------------------------


def learnt(*explained):
    return Trained(b"", np.array(explained))


def test_the_overall_figure_is_the_mean_over_the_channels_that_move():
    assert learnt(0.9, 0.5, np.nan).overall_explained_variance == pytest.approx(0.7)
    assert learnt(np.nan, np.nan).overall_explained_variance == 0


@pytest.mark.parametrize(("n_channels", "linear_size"), [(1, 1), (2, 0)])
def test_a_row_pca_that_could_never_alarm_is_refused(n_channels, linear_size):
    lesson = Lesson(np.ones((500, n_channels), np.float32), n_channels, np.arange(400), np.arange(420, 460))
    params = load_params(changes={"train": {"model": "row_pca", "linear_size": linear_size}}).train
    with pytest.raises(ReadingsError, match=r"row_pca needs 2 channels and a train.linear_size of 1 at least, got"):
        network.train_model(lesson, 8, params)
