"""Own layers are what their loops say, agree with those of Keras where it has them, and survive a file."""

import keras
import naive
import numpy as np
import pytest
import tensorflow as tf

from offbeat.models.layers import (
    DECILE_DISTANCE,
    Column,
    FusedLSTM,
    InOrderOfTime,
    MonteCarloDense,
    OrderedQuantiles,
    Part,
    RepeatWithPosition,
    Rollout,
    position_code,
)


def numbers(*shape, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


# --- position ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window_size", [4, 5, 32, 200])
@pytest.mark.parametrize("size", [2, 4, 16, 64])
def test_the_position_code_is_that_of_the_loops(window_size, size):
    np.testing.assert_allclose(
        position_code(window_size, size), naive.position_code(window_size, size), rtol=1e-9, atol=1e-9
    )


def test_the_position_code_of_four_timesteps_in_two_columns():
    # one wavelength of 8 timesteps: an eighth of a turn each
    half = np.sqrt(0.5)
    np.testing.assert_allclose(position_code(4, 2), [[0, 1], [half, half], [1, 0], [half, -half]], atol=1e-12)


@pytest.mark.parametrize("window_size", [4, 5, 32, 1000])
@pytest.mark.parametrize("size", [2, 4, 16, 64])
def test_the_position_code_tells_every_timestep_from_every_other(window_size, size):
    code = position_code(window_size, size).astype(np.float32)
    nearest = min(np.abs(code[t + 1 :] - code[t]).max(axis=1).min() for t in range(window_size - 1))
    assert nearest > 1e-3


def test_the_decoder_sees_the_code_beside_the_position_at_each_timestep():
    code = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
    out = np.asarray(RepeatWithPosition(4, 6)(code))
    assert out.shape == (3, 4, 2 + 6)
    for n, t in np.ndindex(3, 4):
        np.testing.assert_allclose(out[n, t], [*code[n], *position_code(4, 6)[t]], atol=1e-6)


# --- the fused LSTM ---------------------------------------------------------------------------------------------------


def twins(n_inputs, units, **ways):
    """The fused layer and that of Keras, with the same weights, which are not those that they are born with."""
    pair = FusedLSTM(units, **ways), keras.layers.LSTM(units, **ways)
    rng = np.random.default_rng(1)
    for layer in pair:
        layer.build((None, None, n_inputs))
    weights = [weight + rng.normal(0, 0.5, weight.shape).astype(np.float32) for weight in pair[0].get_weights()]
    for layer in pair:
        layer.set_weights(weights)
    return pair


WAYS = [
    {"return_sequences": sequences, "go_backwards": backwards, "return_state": state}
    for sequences in (False, True)
    for backwards in (False, True)
    for state in (False, True)
]


def outputs_and_gradients(layer, inputs, initial_state):
    """What a layer gives, and how a weighted sum of it moves with inputs, initial state and weights."""
    watched = [tf.constant(inputs), *map(tf.constant, initial_state or [])]
    with tf.GradientTape() as tape:
        for tensor in watched:
            tape.watch(tensor)
        given = layer(watched[0], initial_state=watched[1:] or None)
        given = given if isinstance(given, list | tuple) else [given]
        total = sum(tf.reduce_sum(out * numbers(*out.shape, seed=k)) for k, out in enumerate(given))
    variables = [variable.value for variable in layer.trainable_variables]
    return [np.asarray(out) for out in given], [np.asarray(g) for g in tape.gradient(total, [*watched, *variables])]


@pytest.mark.parametrize("ways", WAYS, ids=lambda ways: " ".join(key for key, on in ways.items() if on) or "last")
@pytest.mark.parametrize("started", [False, True])
def test_the_fused_lstm_is_that_of_keras_forward_and_in_its_gradients(ways, started):
    inputs = numbers(3, 7, 2, scale=2.0)
    state = [numbers(3, 5, seed=5), numbers(3, 5, seed=6)] if started else None
    (ours, our_gradients), (theirs, their_gradients) = (
        outputs_and_gradients(layer, inputs, state) for layer in twins(2, 5, **ways)
    )
    assert len(ours) == len(theirs) == (3 if ways["return_state"] else 1)
    for one, other in zip(ours + our_gradients, theirs + their_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_windows", [1, 2, 31, 65, 100])
def test_windows_shared_out_over_operators_give_what_keras_gives_for_all_at_once(n_windows):
    inputs, state = numbers(n_windows, 4, 2), [numbers(n_windows, 5, seed=5), numbers(n_windows, 5, seed=6)]
    (ours, our_gradients), (theirs, their_gradients) = (
        outputs_and_gradients(layer, inputs, state) for layer in twins(2, 5, return_sequences=True, return_state=True)
    )
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    for one, other in zip(
        our_gradients, their_gradients, strict=True
    ):  # sums over all windows: in units of the largest
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("n_windows", [1, 9, 300])
def test_as_many_windows_as_come_are_shared_out_where_their_number_is_not_known_before(n_windows):
    fused, plain = twins(2, 5, return_sequences=True)
    traced = tf.function(fused, input_signature=[tf.TensorSpec((None, 4, 2))])
    inputs = numbers(n_windows, 4, 2)
    np.testing.assert_allclose(traced(inputs), plain(inputs), rtol=1e-5, atol=1e-5)


def test_the_fused_lstm_keeps_to_keras_where_timesteps_are_masked():
    inputs, mask = numbers(3, 7, 2), np.arange(7) < np.array([[7], [4], [1]])
    ours, theirs = (np.asarray(layer(inputs, mask=mask)) for layer in twins(2, 5))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_single_timestep_and_many_are_no_trouble_to_the_fused_lstm():
    for n_timesteps in (1, 200):
        ours, theirs = (np.asarray(layer(numbers(2, n_timesteps, 2))) for layer in twins(2, 5))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


# --- parts of windows -------------------------------------------------------------------------------------------------


def test_a_part_is_the_rows_and_columns_from_the_first_to_before_the_second():
    windows = numbers(2, 6, 5)
    assert np.array_equal(np.asarray(Part((1, 4), (2, 5))(windows)), windows[:, 1:4, 2:5])


def test_outputs_of_a_backward_layer_are_put_in_order_of_time():
    windows = numbers(2, 6, 3)
    assert np.array_equal(np.asarray(InOrderOfTime()(windows)), windows[:, ::-1])


def test_a_column_has_one_axis_more():
    assert Column()(numbers(2, 6, 3)).shape == (2, 6, 3, 1)


# --- intervals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 9), (2, 5, 6)])
def test_quantiles_never_cross(shape):
    raw = numbers(*shape, scale=100.0)
    low, middle, high = np.moveaxis(np.asarray(OrderedQuantiles()(raw)), -1, 0)
    assert low.shape == (*shape[:-1], shape[-1] // 3)
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert np.array_equal(middle, raw[..., : shape[-1] // 3])


def test_the_distance_of_the_outer_quantiles_is_the_softplus_of_what_the_layer_is_given():
    raw = np.array([[1.0, 0.0, 2.0]], dtype=np.float32)  # ln 2 below, ln(1 + e²) above
    np.testing.assert_allclose(OrderedQuantiles()(raw), [[[1 - np.log(2), 1, 1 + np.log1p(np.exp(2))]]], rtol=1e-6)


def monte_carlo(rate=0.4, n_inputs=6, units=2, **changes):
    layer = MonteCarloDense(units, rate, **changes)
    layer.build((None, n_inputs))
    layer.set_weights([numbers(n_inputs, units, seed=2), numbers(units, seed=3)])
    return layer


def test_dropout_bounds_are_those_of_the_loops_over_the_masks():
    layer, inputs = monte_carlo(), numbers(4, 6)
    kernel, bias = layer.get_weights()
    expected = [naive.monte_carlo_dense(row, kernel, bias, layer.masks(6)) for row in inputs]
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-4, atol=1e-4)
    assert pytest.approx(1.2815516, abs=1e-7) == DECILE_DISTANCE


def test_the_same_input_has_the_same_bounds_each_time_and_alone():
    layer, inputs = monte_carlo(), numbers(4, 3, 6)
    once = np.asarray(layer(inputs))
    assert once.shape == (4, 3, 2, 3)
    assert np.array_equal(once, np.asarray(layer(inputs)))
    np.testing.assert_allclose(np.asarray(layer(inputs[2:3]))[0], once[2], rtol=0, atol=1e-6)


def test_training_draws_other_masks_each_time_and_has_no_bounds():
    layer, inputs = monte_carlo(), numbers(4, 6)
    one, other = (np.asarray(layer(inputs, training=True)) for _ in range(2))
    assert not np.array_equal(one, other)
    assert np.array_equal(one[..., 0], one[..., 1])
    assert np.array_equal(one[..., 2], one[..., 1])


def test_masks_leave_out_the_rate_and_scale_what_is_kept():
    masks = monte_carlo(rate=0.25, n_passes=4000).masks(6)
    assert masks.shape == (4000, 6)
    np.testing.assert_allclose(np.unique(masks), [0, 1 / 0.75], rtol=1e-6)
    np.testing.assert_allclose(masks.mean(axis=0), np.ones(6), atol=0.05)


def test_the_seed_chooses_the_masks():
    assert np.array_equal(monte_carlo(seed=1).masks(6), monte_carlo(seed=1).masks(6))
    assert not np.array_equal(monte_carlo(seed=1).masks(6), monte_carlo(seed=2).masks(6))


# --- rollout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 4])
def test_a_rollout_forecasts_each_step_as_if_the_forecasts_before_it_had_been_read(horizon):
    layer, past = Rollout(5, horizon), numbers(3, 6, 2)
    forecasts = np.asarray(layer(past))
    assert forecasts.shape == (3, horizon, 2)
    one_step, read = Rollout(5, 1), past
    one_step.build((None, None, 2))
    one_step.set_weights(layer.get_weights())
    for k in range(horizon):
        step = np.asarray(one_step(read))
        np.testing.assert_allclose(forecasts[:, k : k + 1], step, rtol=1e-5, atol=1e-6)
        read = np.concatenate([read, step], axis=1)


# --- files ------------------------------------------------------------------------------------------------------------

LAYERS = {
    "repeat": (lambda: RepeatWithPosition(4, 6), (3,)),
    "part": (lambda: Part((1, 4), (0, 2)), (5, 3)),
    "in_order": (InOrderOfTime, (5, 3)),
    "column": (Column, (5, 3)),
    "quantiles": (OrderedQuantiles, (5, 6)),
    "dropout": (lambda: MonteCarloDense(2, 0.3, n_passes=5, seed=9), (5, 6)),
    "rollout": (lambda: Rollout(4, 3), (5, 2)),
    "fused": (lambda: FusedLSTM(4, return_sequences=True, go_backwards=True), (5, 2)),
}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, while it saves
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_read_back_from_a_file_gives_equal_outputs(tmp_path, name):
    make, shape = LAYERS[name]
    inputs = keras.Input(shape)
    model, given = keras.Model(inputs, make()(inputs)), numbers(3, *shape)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.output_shape == model.output_shape
    assert np.array_equal(np.asarray(again(given)), np.asarray(model(given)))
