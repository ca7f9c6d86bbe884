"""The LSTM autoencoder: a window of readings in, the same window out through a narrow code.

The decoder sees the code beside a sinusoidal position code at each timestep. Without it a repeated code
carries no clock, and windows longer than about twenty timesteps are hardly learnt.

Beside it a linear part may carry what the channels have in common at each timestep, such as the load, which the
narrow code would blur: the recurrent part then only adds what is missing.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from offbeat.typing import FloatArray


def position_code(window_size: int, size: int) -> FloatArray:
    """Sine and cosine of each timestep at wavelengths from two windows down to four timesteps.

    Parameters
    ----------
    window_size : int
        Timesteps in a window.
    size : int
        Columns; even.

    Returns
    -------
    ndarray of shape (window_size, size)

    Notes
    -----
    Vaswani et al. 2017, "Attention is all you need", section 3.5.
    Differs: the wavelengths span the window instead of 2π…10000·2π, for no window here has 10,000 timesteps.
    """
    wavelengths = np.geomspace(2 * window_size, 4, size // 2)
    angles = 2 * np.pi * np.arange(window_size)[:, None] / wavelengths  # (W, size / 2)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


@keras.saving.register_keras_serializable("offbeat")
class RepeatWithPosition(layers.Layer):
    """Repeat a code (N, L) at each of `window_size` timesteps beside the position code: (N, W, L + P)."""

    def __init__(self, window_size: int, position_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.window_size = window_size
        self.position_size = position_size

    def call(self, code: Any) -> Any:
        """Return the decoder's input for a batch of codes."""
        position = ops.convert_to_tensor(position_code(self.window_size, self.position_size).astype("float32"))
        n_windows = ops.shape(code)[0]
        repeated = ops.repeat(ops.expand_dims(code, 1), self.window_size, axis=1)  # (N, W, L)
        positions = ops.broadcast_to(position, (n_windows, self.window_size, self.position_size))
        return ops.concatenate([repeated, positions], axis=2)

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs, for the `.keras` file."""
        return {**super().get_config(), "window_size": self.window_size, "position_size": self.position_size}


def build_autoencoder(
    window_size: int,
    n_channels: int,
    *,
    units: int,
    latent_size: int,
    position_size: int,
    seed: int,
    linear_size: int = 0,
) -> keras.Model:
    """Return an untrained autoencoder of windows (N, W, F), its weights drawn from `seed`.

    The cells use tanh and sigmoid, for which a GPU has a fused kernel. With a `linear_size` K of at least 1 a linear
    part F → K → F of each timestep alone, without bias, is added to the recurrent part; it says 0 until it is started
    or trained.
    """
    keras.utils.set_random_seed(seed)
    windows = layers.Input((window_size, n_channels), name="windows")
    code = layers.Dense(latent_size, name="code")(layers.LSTM(units, name="encoder")(windows))
    decoder_input = RepeatWithPosition(window_size, position_size, name="repeat")(code)
    hidden = layers.LSTM(units, return_sequences=True, name="decoder")(decoder_input)
    reconstruction = layers.Dense(n_channels, name="reconstruction")(hidden)
    if linear_size:
        linear_code = layers.Dense(linear_size, use_bias=False, name="linear_code")(windows)  # (N, W, K)
        silent = layers.Dense(n_channels, use_bias=False, kernel_initializer="zeros", name="linear_part")
        linear_part = silent(linear_code)
        reconstruction = layers.Add(name="sum")([reconstruction, linear_part])
    return keras.Model(windows, reconstruction, name="lstm_autoencoder")


def has_linear_part(model: keras.Model) -> bool:
    """Return whether an autoencoder was built with a linear part."""
    return any(layer.name == "linear_part" for layer in model.layers)


def start_linear_part(model: keras.Model, rows: FloatArray) -> None:
    """Set the linear part of an autoencoder, in place, to the principal components of rows (n, F).

    The components are those around 0, the mean of each training span; a missing reading counts as 0. From random
    weights the few steps of a training do not find them reliably.
    """
    code, part = model.get_layer("linear_code"), model.get_layer("linear_part")
    filled = np.nan_to_num(rows, nan=0.0).astype(np.float64)
    _, vectors = np.linalg.eigh(filled.T @ filled)  # columns in order of ascending variance
    components = vectors[:, : -code.units - 1 : -1]  # (F, K)
    code.set_weights([components])
    part.set_weights([components.T])
