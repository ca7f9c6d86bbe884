"""Training learns, repeats itself, stops in time, and takes nothing from readings that are missing."""

import naive
import numpy as np
import pytest
import tensorflow as tf

from offbeat.models.learning import WindowBatches, learn, make_deterministic, masked_loss
from offbeat.models.recurrent import build_autoencoder
from offbeat.params import load_params

WINDOW_SIZE = 8
SETTINGS = {
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
    settings = SETTINGS | changes
    model = build_autoencoder(WINDOW_SIZE, 2, units=12, latent_size=4, position_size=4, seed=settings["seed"])
    before = model.get_weights()
    values = sine() if values is None else values
    starts = np.arange(200) if starts is None else starts
    held_out = np.arange(220, 290) if held_out is None else held_out
    reported = []
    epochs = learn(model, values, starts, held_out, load_params().train.model_copy(update=settings), reported.append)
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


# --- batches ----------------------------------------------------------------------------------------------------------


def batches_of(values, seed=0):
    starts = np.array([0, 5, 9, 40, 41, 90])
    return WindowBatches(values, starts, WINDOW_SIZE, 16, 4, seed), starts


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


def test_the_loss_curve_has_a_row_an_epoch_and_each_is_reported_in_turn(twice):
    _, epochs, reported, _ = twice[0]
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert reported == epochs
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
