"""Recurrent networks: an autoencoder of windows, and a forecaster of their last timesteps.

The autoencoder's decoder sees the code beside a sinusoidal position code at each timestep. Without it a repeated code
carries no clock, and windows longer than about twenty timesteps are hardly learnt.

Both take windows (N, W, F + C), C calendar columns after the F channels, and give estimates (N, H, F) of the last H
timesteps, or (N, H, F, 3) with a lower and an upper bound around them; H is W for an autoencoder.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from offbeat.models.heads import estimates_at_once, estimates_of_steps
from offbeat.models.layers import FusedLSTM, InOrderOfTime, Part, RepeatWithPosition, Rollout
from offbeat.models.linear import add_linear_part
from offbeat.params import TrainParams


def build_autoencoder(window_size: int, n_channels: int, params: TrainParams, n_calendar: int = 0) -> keras.Model:
    """Return an untrained autoencoder, its weights drawn from `params.seed`.

    The encoder reads the readings with the widths `params.units`, one layer each, the decoder gives them back with the
    same in reverse order; calendar columns go to the decoder alone, which must not be told the readings otherwise. The
    cells use tanh and sigmoid, for which a GPU has a fused kernel. With a `linear_size` of at least 1 a linear part of
    `linear_scope`, without bias, is added to the recurrent part; it says 0 until it is started or trained.
    """
    keras.utils.set_random_seed(params.seed)
    windows = layers.Input((window_size, n_channels + n_calendar), name="windows")
    readings = _columns(windows, 0, n_channels, "readings") if n_calendar else windows
    last = _stack(readings, params.widths, params, "encoder", sequences=False)
    code = layers.Dense(params.latent_size, name="code")(last)
    decoder_input = RepeatWithPosition(window_size, params.position_size, name="repeat")(code)
    if n_calendar:
        calendar = _columns(windows, n_channels, n_channels + n_calendar, "calendar")
        decoder_input = layers.Concatenate(name="decoder_input")([decoder_input, calendar])
    hidden = _stack(decoder_input, params.widths[::-1], params, "decoder", sequences=True)
    estimates = estimates_of_steps(hidden, n_channels, params)
    estimates = add_linear_part(readings, estimates, params.linear_size, params.linear_scope)
    return keras.Model(windows, estimates, name="recurrent_autoencoder")


def build_forecaster(window_size: int, n_channels: int, params: TrainParams, n_calendar: int = 0) -> keras.Model:
    """Return an untrained forecaster of the last `params.horizon` timesteps of a window from those before them.

    A direct one gives all steps at once from the last hidden state; a recursive one gives one step, reads its own
    forecast, and so on.
    """
    keras.utils.set_random_seed(params.seed)
    windows = layers.Input((window_size, n_channels + n_calendar), name="windows")
    n_columns = n_channels + n_calendar if params.strategy == "direct" else n_channels
    past = Part((0, window_size - params.horizon), (0, n_columns), name="past")(windows)
    if params.strategy == "recursive":
        estimates = Rollout(params.widths[0], params.horizon, name="forecast")(past)
    else:
        last = _stack(past, params.widths, params, "encoder", sequences=False)
        estimates = estimates_at_once(last, params.horizon, n_channels, params)
    return keras.Model(windows, estimates, name="recurrent_forecaster")


def _columns(windows: Any, start: int, stop: int, name: str) -> Any:
    return Part((0, windows.shape[1]), (start, stop), name=name)(windows)


def _stack(inputs: Any, widths: tuple[int, ...], params: TrainParams, name: str, *, sequences: bool) -> Any:
    """Return the hidden states (N, W, U) of layers of these widths, or the last layer's last one (N, U)."""
    hidden = inputs
    for k, units in enumerate(widths):
        own_name = name if k == 0 else f"{name}_{k + 1}"
        hidden = _layer(hidden, units, params, own_name, sequences=sequences or k < len(widths) - 1)
    return hidden


def _layer(inputs: Any, units: int, params: TrainParams, name: str, *, sequences: bool) -> Any:
    kind = FusedLSTM if params.cell == "lstm" else layers.GRU
    forward = kind(units, return_sequences=sequences, name=name)(inputs)
    if params.direction == "forward":
        return forward
    backward = kind(units, return_sequences=sequences, go_backwards=True, name=f"{name}_backward")(inputs)
    if sequences:
        backward = InOrderOfTime(name=f"{name}_in_order")(backward)
    return layers.Concatenate(name=f"{name}_both")([forward, backward])
