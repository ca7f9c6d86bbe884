"""Training learns, repeats itself, stops in time, and takes nothing from readings that are missing."""

import naive
import numpy as np
import pytest
import tensorflow as tf

from offbeat.models.learning import (
    WindowBatches,
    batches_as_fed,
    inputs_and_readings,
    learn,
    make_deterministic,
    masked_loss,
    quantile_loss,
    steps_per_call,
)
from offbeat.models.recurrent import build_autoencoder, build_forecaster
from offbeat.params import load_params
from offbeat.preparation import Lesson

WINDOW_SIZE = 8
DEFAULTS = load_params().train
SETTINGS = {
    "units": 12,
    "latent_size": 4,
    "position_size": 4,
    "linear_size": 0,
    "epochs": 2,
    "steps_per_epoch": 5,
    "batch_size": 16,
    "learning_rate": 0.01,
    "clip_norm": 1.0,
    "patience": 50,
    "seed": 3,
}


def sine(n=300, missing=0.0):
    values = np.sin(np.arange(n)[:, None] / np.array([2.0, 3.0])).astype(np.float32)
    values[np.random.default_rng(0).random(values.shape) < missing] = np.nan
    return values


def trained(values=None, starts=None, held_out=None, **changes):
    """Train a tiny network; return it, its loss curve, what was reported, and its weights before."""
    make_deterministic()
    params = DEFAULTS.model_copy(update=SETTINGS | changes)
    model = (build_forecaster if params.model == "recurrent_forecaster" else build_autoencoder)(WINDOW_SIZE, 2, params)
    before = model.get_weights()
    starts = np.arange(200) if starts is None else starts
    held_out = np.arange(220, 290) if held_out is None else held_out
    reported = []
    epochs = learn(model, Lesson(sine() if values is None else values, 2, starts, held_out), params, reported.append)
    return model, epochs, reported, before


# --- loss -------------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_squared_error_of_the_readings_that_are_there():
    windows = np.array([[[1.0, np.nan], [2.0, 4.0]]], dtype=np.float32)
    reconstruction = np.array([[[0.0, 9.0], [2.0, 1.0]]], dtype=np.float32)
    assert float(masked_loss(windows, reconstruction)) == pytest.approx((1 + 0 + 9) / 3)


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9, 1.0])
def test_the_loss_is_that_of_the_loops(missing):
    rng = np.random.default_rng(0)
    windows, reconstruction = rng.standard_normal((2, 4, 5, 3)).astype(np.float32)
    windows[rng.random(windows.shape) < missing] = np.nan
    assert float(masked_loss(windows, reconstruction)) == pytest.approx(naive.masked_loss(windows, reconstruction))


def gradient(windows, reconstruction):
    guess = tf.Variable(reconstruction)
    with tf.GradientTape() as tape:
        loss = masked_loss(tf.constant(windows), guess)
    return tape.gradient(loss, guess).numpy()


def test_a_missing_reading_has_no_gradient_and_the_others_share_the_weight():
    windows = np.array([[[1.0, np.nan], [2.0, 4.0]]], dtype=np.float32)
    reconstruction = np.array([[[0.0, 9.0], [2.0, 1.0]]], dtype=np.float32)
    # d/dg of (w - g)² / 3
    np.testing.assert_allclose(gradient(windows, reconstruction), [[[-2 / 3, 0], [0, -2]]], rtol=1e-6)


def test_windows_without_any_reading_have_loss_0_and_no_gradient():
    windows, reconstruction = np.full((2, 4, 3), np.nan, np.float32), np.ones((2, 4, 3), np.float32)
    assert float(masked_loss(windows, reconstruction)) == 0
    assert (gradient(windows, reconstruction) == 0).all()


@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_of_estimates_with_bounds_the_middle_counts(missing):
    rng = np.random.default_rng(0)
    readings, middle = rng.standard_normal((2, 4, 5, 3)).astype(np.float32)
    readings[rng.random(readings.shape) < missing] = np.nan
    bounds = np.stack([middle - 7, middle, middle + 9], axis=-1)
    assert float(masked_loss(readings, bounds)) == float(masked_loss(readings, middle))


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9, 1.0])
def test_the_quantile_loss_is_that_of_the_loops(missing):
    rng = np.random.default_rng(0)
    readings = rng.standard_normal((4, 5, 3)).astype(np.float32)
    readings[rng.random(readings.shape) < missing] = np.nan
    quantiles = rng.standard_normal((4, 5, 3, 3)).astype(np.float32)
    expected = naive.quantile_loss(readings, quantiles)
    assert float(quantile_loss(readings, quantiles)) == pytest.approx(expected, rel=1e-5)


def test_the_quantile_loss_worked_out_by_hand():
    readings = np.array([[[2.0, np.nan]]], dtype=np.float32)
    quantiles = np.array([[[[1.0, 3.0, 5.0], [9.0, 9.0, 9.0]]]], dtype=np.float32)
    # 0.1 of 1 below the reading, 0.5 of 1 and 0.1 of 3 above it
    assert float(quantile_loss(readings, quantiles)) == pytest.approx(0.1 + 0.5 + 0.3)


def test_the_true_deciles_have_the_lowest_quantile_loss():
    readings = np.random.default_rng(0).standard_normal((5000, 1, 1)).astype(np.float32)

    def loss_of(low, middle, high):
        return float(quantile_loss(readings, np.broadcast_to(np.float32([low, middle, high]), (5000, 1, 1, 3))))

    best = loss_of(-1.2816, 0, 1.2816)
    for others in ((-0.9, 0, 1.2816), (-1.7, 0, 1.2816), (-1.2816, 0.3, 1.2816), (-1.2816, 0, 1.7)):
        assert loss_of(*others) > best


# --- batches ----------------------------------------------------------------------------------------------------------


def batches_of(values, seed=0, n_channels=2, horizon=WINDOW_SIZE, **changes):
    starts = np.array([0, 5, 9, 40, 41, 90])
    params = DEFAULTS.model_copy(update={"steps_per_epoch": 4, "batch_size": 16, "seed": seed} | changes)
    return WindowBatches(Lesson(values, n_channels, starts, starts), WINDOW_SIZE, horizon, params), starts


def test_a_batch_holds_windows_of_the_starts_and_their_readings_as_the_target():
    values = sine(missing=0.1)
    batches, starts = batches_of(values)
    assert len(batches) == 4
    inputs, targets = batches[0]
    assert inputs.shape == targets.shape == (16, WINDOW_SIZE, 2)
    assert not np.isnan(inputs).any()
    assert np.array_equal(inputs[~np.isnan(targets)], targets[~np.isnan(targets)])
    drawn = [[np.array_equal(t, values[s : s + WINDOW_SIZE], equal_nan=True) for s in starts] for t in targets]
    assert (np.sum(drawn, axis=1) == 1).all()


@pytest.mark.parametrize("horizon", [1, 3, WINDOW_SIZE])
def test_the_targets_are_the_readings_of_the_last_timesteps_without_the_calendar(horizon):
    values = np.concatenate([sine(missing=0.2), np.random.default_rng(1).random((300, 4), np.float32)], axis=1)
    starts = np.array([3, 50, 120])
    inputs, targets = inputs_and_readings(Lesson(values, 2, starts, starts), starts, WINDOW_SIZE, horizon)
    assert inputs.shape == (3, WINDOW_SIZE, 6)
    for start, window, target in zip(starts, inputs, targets, strict=True):
        assert np.array_equal(window[:, 2:], values[start : start + WINDOW_SIZE, 2:])
        stop = start + WINDOW_SIZE
        assert np.array_equal(target, values[stop - horizon : stop, :2], equal_nan=True)
        assert window[:, :2].tolist() == naive.hold_missing(values[start:stop, :2].tolist())
    drawn, of_batch = batches_of(values, horizon=horizon)[0][0]
    assert (drawn.shape, of_batch.shape) == ((16, WINDOW_SIZE, 6), (16, horizon, 2))


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_noise_is_added_to_the_inputs_alone_and_never_to_the_calendar(missing):
    values = np.concatenate([sine(missing=missing), np.random.default_rng(1).random((300, 2), np.float32)], axis=1)
    before = values.copy()
    (clean, targets), (noisy, same_targets) = (batches_of(values, noise=noise)[0][1] for noise in (0.0, 0.5))
    assert np.array_equal(targets, same_targets, equal_nan=True)
    assert np.array_equal(clean[..., 2:], noisy[..., 2:])
    added = noisy[..., :2] - clean[..., :2]
    assert (added != 0).all()
    assert added.std() == pytest.approx(0.5, rel=0.2)
    assert abs(added.mean()) < 0.1
    assert np.array_equal(values, before, equal_nan=True)


def test_noise_is_that_of_the_seed_and_another_in_each_batch():
    def noise_of(k, **changes):
        return batches_of(sine(), noise=0.5, **changes)[0][k][0] - batches_of(sine(), **changes)[0][k][0]

    assert np.array_equal(noise_of(0), noise_of(0))
    assert not np.allclose(noise_of(0), noise_of(1))
    assert not np.allclose(noise_of(0), noise_of(0, seed=1))


def test_the_same_seed_draws_the_same_batches_and_the_next_epoch_others():
    values = sine()
    (one, _), (same, _), (other, _) = (batches_of(values, seed) for seed in (0, 0, 1))
    first = [one[k][1] for k in range(4)]
    assert all(np.array_equal(a, same[k][1]) for k, a in enumerate(first))
    assert not any(np.array_equal(a, other[k][1]) for k, a in enumerate(first))
    assert not np.array_equal(first[0], first[1])
    one.on_epoch_end()
    assert not any(np.array_equal(a, one[k][1]) for k, a in enumerate(first))
    same.on_epoch_end()
    assert np.array_equal(one[2][1], same[2][1])


def test_the_backend_is_fed_the_batches_of_one_epoch_after_the_other():
    expected, _ = batches_of(sine(missing=0.2), noise=0.5)
    fed, _ = batches_of(sine(missing=0.2), noise=0.5)
    got = list(batches_as_fed(fed).take(2 * len(fed)).as_numpy_iterator())
    for epoch in range(2):
        for k in range(len(fed)):
            for one, other in zip(got[epoch * len(fed) + k], expected[k], strict=True):
                assert np.array_equal(one, other.astype(np.float32), equal_nan=True)
        expected.on_epoch_end()


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learnt():
    return trained(epochs=12, steps_per_epoch=40, learning_rate=0.02, seed=4)


@pytest.fixture(scope="module")
def twice():
    """Two trainings from the same seed, on readings of which some are missing."""
    return trained(sine(missing=0.1), epochs=3), trained(sine(missing=0.1), epochs=3)


def test_a_sine_is_learnt(learnt):
    _, epochs, _, _ = learnt
    assert epochs[0].held_out_loss > 0.05
    assert epochs[-1].loss < epochs[0].loss / 20
    assert epochs[-1].held_out_loss < 0.01  # the sines have a variance of 0.5


def test_training_moves_every_weight(twice):
    model, _, _, before = twice[0]
    assert all(not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_the_same_seed_gives_the_same_weights_to_the_last_byte_and_another_others(learnt, twice):
    other, weights, same = (model.get_weights() for model, *_ in (learnt, *twice))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, same, strict=True))
    assert all(a.tobytes() != b.tobytes() for a, b in zip(weights, other, strict=True))
    assert twice[0][1] == twice[1][1]


@pytest.mark.parametrize(("steps_per_epoch", "expected"), [(1, 1), (5, 5), (11, 1), (12, 6), (50, 10), (63, 9)])
def test_a_call_takes_as_many_steps_up_to_ten_as_fill_an_epoch(steps_per_epoch, expected):
    assert steps_per_call(steps_per_epoch) == expected


def test_the_loss_curve_has_a_row_an_epoch_and_the_batches_are_reported_call_by_call(twice):
    _, epochs, reported, _ = twice[0]
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    n_batches = len(epochs) * SETTINGS["steps_per_epoch"]
    a_call = steps_per_call(SETTINGS["steps_per_epoch"])  # between its steps there is no Python to report them
    assert sorted({step.done for step in reported}) == list(range(0, n_batches + 1, a_call))
    assert {(step.work, step.total) for step in reported} == {("training", n_batches)}
    notes = list(dict.fromkeys(step.note for step in reported))
    assert [note.partition(":")[0] for note in notes] == ["", *(f"epoch {k} of at most 3" for k in (1, 2, 3))]
    assert f"loss {epochs[-1].loss:.4f}, held-out {epochs[-1].held_out_loss:.4f}" in notes[-1]
    rates = [epoch.learning_rate for epoch in epochs]
    assert rates == sorted(rates, reverse=True)  # the warm-up lies within the first epoch
    assert 0 < rates[-1] < rates[0] <= SETTINGS["learning_rate"]


def held_out_loss(model, values, held_out):
    windows = np.stack([values[start : start + WINDOW_SIZE] for start in held_out])
    return float(masked_loss(windows, model(windows)))


def test_early_stopping_keeps_the_best_weights():
    values = np.vstack([sine(), np.random.default_rng(0).standard_normal((100, 2)).astype(np.float32)])
    held_out = np.arange(300, 390)  # noise: what is learnt from the sine soon makes it worse
    copy = values.copy()
    model, epochs, _, _ = trained(
        values, held_out=held_out, epochs=30, steps_per_epoch=10, patience=2, learning_rate=0.05
    )
    losses = [epoch.held_out_loss for epoch in epochs]
    best = int(np.argmin(losses))
    assert len(epochs) == best + 1 + 2 < 30  # two epochs without a better one
    assert held_out_loss(model, values, held_out) == pytest.approx(losses[best], rel=1e-5)
    assert losses[-1] > losses[best]
    assert np.array_equal(values, copy)


def test_a_single_step_without_any_reading_harms_no_weight():
    values = sine()
    values[:50] = np.nan
    model, [epoch], _, _ = trained(values, starts=np.arange(30), epochs=1, steps_per_epoch=1)
    assert epoch.loss == 0
    assert np.isfinite([epoch.held_out_loss, epoch.learning_rate]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


# --- other models and outputs -----------------------------------------------------------------------------------------


def test_a_forecaster_learns_the_timesteps_to_come():
    forecaster = {"model": "recurrent_forecaster", "horizon": 2, "learning_rate": 0.02}
    _, epochs, _, _ = trained(sine(missing=0.05), epochs=8, steps_per_epoch=30, **forecaster)
    assert epochs[-1].held_out_loss < epochs[0].held_out_loss / 3
    assert epochs[-1].held_out_loss < 0.1  # the sines have a variance of 0.5


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_a_forecaster_moves_every_weight(strategy):
    model, _, _, before = trained(model="recurrent_forecaster", horizon=3, strategy=strategy)
    assert all(not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))


def test_quantiles_learn_how_far_readings_scatter():
    """Eight of ten readings of pure noise lie between the outer quantiles, and half of them below the middle."""
    noise = np.random.default_rng(0).standard_normal((600, 2)).astype(np.float32)
    changes = {"output": "quantiles", "epochs": 10, "steps_per_epoch": 30, "learning_rate": 0.03, "batch_size": 64}
    forecaster = {"model": "recurrent_forecaster", "horizon": 1, "units": 3}
    model, *_ = trained(noise, np.arange(500), np.arange(520, 590), **changes, **forecaster)
    inputs, readings = inputs_and_readings(
        Lesson(noise, 2, np.arange(500), np.arange(1)), np.arange(500), WINDOW_SIZE, 1
    )
    low, middle, high = np.moveaxis(np.asarray(model(inputs)), -1, 0)
    assert ((low < readings) & (readings < high)).mean() == pytest.approx(0.8, abs=0.08)
    assert (readings < middle).mean() == pytest.approx(0.5, abs=0.1)
