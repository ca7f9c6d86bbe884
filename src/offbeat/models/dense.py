"""Dense networks: an autoencoder of windows, or of single rows of a table without time, and a forecaster.

Both see all readings at once and know of their order only what they learn.
"""

from __future__ import annotations

import keras
from keras import layers

from offbeat.models.heads import estimates_at_once
from offbeat.models.layers import Part
from offbeat.models.linear import add_linear_part
from offbeat.params import TrainParams


def build_dense(window_size: int, n_channels: int, params: TrainParams, n_calendar: int = 0) -> keras.Model:
    """Return an untrained dense autoencoder of windows (N, W, F + C), its weights drawn from `params.seed`.

    The readings of a window, all at once, through layers of `params.units` cells (tanh), `params.latent_size` numbers
    and the same layers in reverse; calendar columns join the code.
    """
    keras.utils.set_random_seed(params.seed)
    windows = layers.Input((window_size, n_channels + n_calendar), name="windows")
    readings = Part((0, window_size), (0, n_channels), name="readings")(windows)
    hidden = layers.Flatten(name="flat")(readings)
    for k, units in enumerate(params.widths):
        hidden = layers.Dense(units, activation="tanh", name=f"encoder_{k + 1}")(hidden)
    hidden = layers.Dense(params.latent_size, name="code")(hidden)
    if n_calendar:
        calendar = Part((0, window_size), (n_channels, n_channels + n_calendar), name="calendar")(windows)
        hidden = layers.Concatenate(name="decoder_input")([hidden, layers.Flatten(name="flat_calendar")(calendar)])
    for k, units in enumerate(params.widths[::-1]):
        hidden = layers.Dense(units, activation="tanh", name=f"decoder_{k + 1}")(hidden)
    estimates = estimates_at_once(hidden, window_size, n_channels, params)
    estimates = add_linear_part(readings, estimates, params.linear_size, params.linear_scope)
    return keras.Model(windows, estimates, name="dense_autoencoder")


def build_dense_forecaster(window_size: int, n_channels: int, params: TrainParams, n_calendar: int = 0) -> keras.Model:
    """Return an untrained dense forecaster of the last `params.horizon` timesteps of windows (N, W, F + C).

    What comes before them, all at once, through layers of `params.units` cells (tanh).
    """
    keras.utils.set_random_seed(params.seed)
    windows = layers.Input((window_size, n_channels + n_calendar), name="windows")
    past = Part((0, window_size - params.horizon), (0, n_channels + n_calendar), name="past")(windows)
    hidden = layers.Flatten(name="flat")(past)
    for k, units in enumerate(params.widths):
        hidden = layers.Dense(units, activation="tanh", name=f"hidden_{k + 1}")(hidden)
    return keras.Model(windows, estimates_at_once(hidden, params.horizon, n_channels, params), name="dense_forecaster")
