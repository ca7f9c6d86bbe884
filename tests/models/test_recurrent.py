"""The autoencoder gives windows back in their shape, knows where in them it is, adds two parts, and survives a file."""

import keras
import naive
import numpy as np
import pytest

from offbeat.models.recurrent import (
    RepeatWithPosition,
    build_autoencoder,
    has_linear_part,
    position_code,
    start_linear_part,
)


def small(seed=1, window_size=8, n_channels=3, linear_size=0):
    sizes = {"units": 5, "latent_size": 2, "position_size": 4, "linear_size": linear_size}
    return build_autoencoder(window_size, n_channels, **sizes, seed=seed)


def windows_of(n, window_size, n_channels, seed=0):
    return np.random.default_rng(seed).standard_normal((n, window_size, n_channels)).astype(np.float32)


@pytest.mark.parametrize(("n", "window_size", "n_channels"), [(1, 4, 1), (5, 8, 3), (2, 33, 7)])
def test_a_reconstruction_has_the_shape_of_its_windows(n, window_size, n_channels):
    model = small(window_size=window_size, n_channels=n_channels)
    assert model(windows_of(n, window_size, n_channels)).shape == (n, window_size, n_channels)


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


# --- linear part ------------------------------------------------------------------------------------------------------


def linear_alone(rows, linear_size):
    """An autoencoder whose recurrent part says 0, its linear part started from rows."""
    model = small(n_channels=rows.shape[1], linear_size=linear_size)
    start_linear_part(model, rows)
    recurrent = model.get_layer("reconstruction")
    recurrent.set_weights([np.zeros_like(weight) for weight in recurrent.get_weights()])
    return model


@pytest.mark.parametrize(("n_channels", "linear_size"), [(2, 1), (5, 1), (5, 3), (5, 4)])
def test_the_linear_part_starts_as_the_projection_on_the_principal_components(n_channels, linear_size):
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((80, n_channels)) @ rng.standard_normal((n_channels, n_channels))).astype(np.float32)
    windows = windows_of(4, 8, n_channels)
    axes = np.linalg.svd(rows)[2][:linear_size]  # (K, F)
    reconstruction = np.asarray(linear_alone(rows, linear_size)(windows))
    np.testing.assert_allclose(reconstruction, windows @ axes.T @ axes, rtol=0, atol=1e-5)


def test_of_two_channels_that_rise_together_the_linear_part_keeps_what_they_share():
    rows = np.array([[1, 1], [-2, -2], [0.1, -0.1]], dtype=np.float32)
    windows = np.tile(np.array([3, 1], dtype=np.float32), (1, 8, 1))
    np.testing.assert_allclose(np.asarray(linear_alone(rows, 1)(windows)), np.full((1, 8, 2), 2.0), atol=1e-6)


def test_a_missing_reading_counts_as_the_mean_where_the_linear_part_starts():
    rows = np.array([[np.nan, 2], [1, np.nan], [np.nan, np.nan]], dtype=np.float32)
    windows = np.tile(np.array([3, 1], dtype=np.float32), (1, 8, 1))
    np.testing.assert_allclose(np.asarray(linear_alone(rows, 1)(windows))[0, 0], [0, 1], atol=1e-6)


def test_the_linear_part_says_nothing_before_it_is_started():
    windows = windows_of(4, 8, 3)
    assert np.array_equal(np.asarray(small(linear_size=2)(windows)), np.asarray(small()(windows)))


def test_the_reconstruction_is_the_sum_of_both_parts():
    model, windows = small(linear_size=2), windows_of(4, 8, 3)
    code, part = model.get_layer("linear_code").get_weights()[0], windows_of(1, 2, 3)[0]
    model.get_layer("linear_part").set_weights([part])
    expected = np.asarray(small()(windows)) + windows @ code @ part
    np.testing.assert_allclose(np.asarray(model(windows)), expected, rtol=0, atol=1e-5)


def test_a_network_without_a_linear_part_has_nothing_of_it():
    assert not has_linear_part(small())
    assert has_linear_part(small(linear_size=1))
    assert not any("linear" in layer.name for layer in small().layers)


# --- weights ----------------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_weights_and_another_others():
    weights, same, other = (small(seed, linear_size=1).get_weights() for seed in (1, 1, 2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, same, strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(weights, other, strict=True))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, while it saves
def test_a_model_read_back_from_its_file_gives_equal_outputs(tmp_path):
    model, windows = small(linear_size=1), windows_of(6, 8, 3)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(np.asarray(again(windows)), np.asarray(model(windows)))
    assert again.get_layer("repeat").get_config()["window_size"] == 8
