"""The autoencoder gives windows back in their shape, knows where in the window it is, and survives a file."""

import keras
import naive
import numpy as np
import pytest

from offbeat.models.recurrent import RepeatWithPosition, build_autoencoder, position_code


def small(seed=1, window_size=8, n_channels=3):
    return build_autoencoder(window_size, n_channels, units=5, latent_size=2, position_size=4, seed=seed)


def windows_of(n, window_size, n_channels, seed=0):
    return np.random.default_rng(seed).standard_normal((n, window_size, n_channels)).astype(np.float32)


@pytest.mark.parametrize(("n", "window_size", "n_channels"), [(1, 4, 1), (5, 8, 3), (2, 33, 7)])
def test_a_reconstruction_has_the_shape_of_its_windows(n, window_size, n_channels):
    model = small(window_size=window_size, n_channels=n_channels)
    assert model(windows_of(n, window_size, n_channels)).shape == (n, window_size, n_channels)


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


def test_the_same_seed_draws_the_same_weights_and_another_others():
    weights, same, other = (small(seed).get_weights() for seed in (1, 1, 2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, same, strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(weights, other, strict=True))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, while it saves
def test_a_model_read_back_from_its_file_gives_equal_outputs(tmp_path):
    model, windows = small(), windows_of(6, 8, 3)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(np.asarray(again(windows)), np.asarray(model(windows)))
    assert again.get_layer("repeat").get_config()["window_size"] == 8
