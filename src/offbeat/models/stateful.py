"""A forecaster that carries its state over a whole series, to compare with windowed ones.

A windowed network begins each window knowing nothing; this one remembers as far back as it has learnt to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from offbeat.detection.windows import hold_missing
from offbeat.errors import ParamsError, ReadingsError
from offbeat.models.layers import FusedLSTM
from offbeat.models.learning import make_deterministic, masked_loss, one_cycle
from offbeat.params import TrainParams
from offbeat.typing import FloatArray, IntArray

LEAST_CHUNKS = 8  # of a stream: with fewer there is hardly a past to carry along


@dataclass(frozen=True, eq=False)
class StatefulForecaster:
    """An LSTM that reads a series from its beginning and forecasts the next timesteps at each.

    It exists in Python only, and no Detector can hold it: a Detector's score depends on its stated context alone, so
    that batch, stream and service agree and a reading of last month cannot raise an alarm today. Here every forecast
    depends on everything since the series began.

    Attributes
    ----------
    keras_model : keras.Model
        Readings (N, T, F), whatever T, to forecasts (N, T, H · F), from a state of zeros.
    horizon : int
        H, timesteps ahead.
    held_out_losses : list of float
        Mean squared error of the held-out timesteps after each pass over the series, in scaled units.
    """

    keras_model: keras.Model
    horizon: int
    held_out_losses: list[float]

    def forecast(self, readings: FloatArray) -> FloatArray:
        """Return at each timestep the forecasts (T, H, F) of the next H, from scaled readings (T, F) up to it.

        A missing reading (NaN) is fed as the last one before it, those before the first as the first.
        """
        return _forecasts(self.keras_model, readings, self.horizon)


def train_stateful(readings: FloatArray, n_held_out: int, chunk_size: int, params: TrainParams) -> StatefulForecaster:
    """Train by truncated backpropagation through consecutive chunks, the state carried from each to the next.

    Parameters
    ----------
    readings : ndarray of shape (n_timesteps, n_channels)
        In scaled units, NaN where missing, without long gaps.
    n_held_out : int
        Last timesteps, 1 or more, which are not learnt from and decide from which pass the weights are kept.
    chunk_size : int
        Timesteps through which gradients flow back.
    params : TrainParams
        As many gradient steps as epochs x steps_per_epoch, on the same schedule as windowed networks. The series is
        cut into at most `batch_size` streams that are read side by side. `patience`, `noise` and `trim_share` are not
        looked at.

    Raises
    ------
    ParamsError
        If another kind of network is asked for.
    ReadingsError
        If fewer than two chunks are left to learn from.

    Notes
    -----
    Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", with h' = h = chunk_size. Differs: each pass starts at another timestep, so that chunks do not end
    at the same place for ever.
    """
    _check_kind(params)
    n_learnt, n_channels = len(readings) - n_held_out, readings.shape[1]
    if n_learnt < 2 * chunk_size:
        raise ReadingsError(
            f"a stateful forecaster takes two chunks of {chunk_size} timesteps to learn from, got {n_learnt} "
            "timesteps: give more readings, or a smaller chunk_size"
        )
    make_deterministic()
    n_streams = max(1, min(params.batch_size, n_learnt // (LEAST_CHUNKS * chunk_size)))
    learner = build_stateful(n_channels, params, (n_streams, chunk_size))
    learner.compile(keras.optimizers.Adam(one_cycle(params), clipnorm=params.clip_norm), loss=masked_loss)
    forecaster = build_stateful(n_channels, params)
    losses = _passes(learner, forecaster, readings, n_learnt, params)
    return StatefulForecaster(forecaster, params.horizon, losses)


def build_stateful(n_channels: int, params: TrainParams, shape: tuple[int, int] | None = None) -> keras.Model:
    """Return an untrained network of readings (N, T, F) to forecasts (N, T, H · F) at each timestep.

    With a `shape` (N, T) it carries its state from one call to the next, else each call starts from zeros.
    """
    keras.utils.set_random_seed(params.seed)
    readings = layers.Input(batch_shape=(*(shape or (None, None)), n_channels), name="readings")
    hidden = readings
    for k, units in enumerate(params.widths):
        hidden = FusedLSTM(units, return_sequences=True, stateful=shape is not None, name=f"memory_{k + 1}")(hidden)
    return keras.Model(readings, layers.Dense(params.horizon * n_channels, name="forecasts")(hidden))


def future_readings(readings: FloatArray, horizon: int) -> FloatArray:
    """Return at each timestep the next `horizon` readings (T, H, F) of (T, F), NaN beyond the last."""
    beyond = np.full((horizon, readings.shape[1]), np.nan, dtype=readings.dtype)
    later = np.arange(1, len(readings) + 1)[:, None] + np.arange(horizon)  # (T, H)
    future: FloatArray = np.concatenate([readings, beyond])[later]
    return future


def chunk_starts(n_timesteps: int, n_streams: int, chunk_size: int, first: int) -> IntArray:
    """Return the first timestep (n_chunks, n_streams) of each chunk: a stream's next one begins where it ended.

    Streams are as long as each other, lie one after the other from timestep `first` on, and leave at the end what does
    not make a chunk for each.
    """
    n_chunks = (n_timesteps - first) // (n_streams * chunk_size)
    streams = first + np.arange(n_streams) * n_chunks * chunk_size
    return np.asarray(np.arange(n_chunks)[:, None] * chunk_size + streams, dtype=np.int64)


def _passes(
    learner: keras.Model, forecaster: keras.Model, readings: FloatArray, n_learnt: int, params: TrainParams
) -> list[float]:
    """Train in place until the steps are used up, give the forecaster the best weights, and return held-out losses."""
    rng = np.random.default_rng(params.seed)
    n_streams, chunk_size = learner.input_shape[:2]
    known, future = _filled(readings), future_readings(readings, params.horizon)
    targets = future_readings(readings[:n_learnt], params.horizon).reshape(n_learnt, -1)
    n_left, losses, best = params.epochs * params.steps_per_epoch, [], forecaster.get_weights()
    while n_left > 0:
        for layer in learner.layers:
            if isinstance(layer, FusedLSTM):
                layer.reset_state()
        starts = chunk_starts(n_learnt, n_streams, chunk_size, int(rng.integers(chunk_size)))[:n_left]
        for start in starts:
            rows = start[:, None] + np.arange(chunk_size)  # (N, L)
            learner.train_on_batch(known[rows], targets[rows])
        n_left -= len(starts)
        for own, learnt in zip(forecaster.trainable_variables, learner.trainable_variables, strict=True):
            own.assign(learnt)
        off = (_forecasts(forecaster, readings, params.horizon) - future)[n_learnt - 1 :]
        losses.append(float(np.nanmean(np.square(off))))
        if losses[-1] == min(losses):
            best = forecaster.get_weights()
    forecaster.set_weights(best)
    return losses


def _forecasts(model: keras.Model, readings: FloatArray, horizon: int) -> FloatArray:
    flat: FloatArray = np.asarray(model(_filled(readings)[None]), dtype=np.float64)[0]
    return flat.reshape(len(readings), horizon, readings.shape[1])


def _filled(readings: FloatArray) -> FloatArray:
    filled: FloatArray = hold_missing(readings[None])[0].astype(np.float32)
    return filled


def _check_kind(params: TrainParams) -> None:
    kind: dict[str, Any] = {"cell": "lstm", "direction": "forward", "output": "mean", "calendar": "none"}
    for key, value in kind.items():
        if getattr(params, key) != value:
            raise ParamsError(f"a stateful forecaster knows train.{key}={value} alone, got {getattr(params, key)}")
