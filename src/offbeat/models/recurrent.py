"""The LSTM autoencoder: a window of readings in, the same window out through a narrow code.

The decoder sees the code beside a sinusoidal position code at each timestep. Without it a repeated code
carries no clock, and windows longer than about twenty timesteps are hardly learnt.
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
    window_size: int, n_channels: int, *, units: int, latent_size: int, position_size: int, seed: int
) -> keras.Model:
    """Return an untrained autoencoder of windows (N, W, F), its weights drawn from `seed`.

    The cells use tanh and sigmoid, for which a GPU has a fused kernel.
    """
    keras.utils.set_random_seed(seed)
    windows = layers.Input((window_size, n_channels), name="windows")
    code = layers.Dense(latent_size, name="code")(layers.LSTM(units, name="encoder")(windows))
    decoder_input = RepeatWithPosition(window_size, position_size, name="repeat")(code)
    hidden = layers.LSTM(units, return_sequences=True, name="decoder")(decoder_input)
    return keras.Model(windows, layers.Dense(n_channels, name="reconstruction")(hidden), name="lstm_autoencoder")
