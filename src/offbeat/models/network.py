"""One network over all assets of a group: built, trained, exported, and how much it has learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from offbeat.detection.runtime import Runtime
from offbeat.detection.windows import covered, gather_windows, hold_missing
from offbeat.models.export import export_autoencoder
from offbeat.models.learning import Epoch, learn, make_deterministic
from offbeat.models.recurrent import build_autoencoder, has_linear_part, start_linear_part
from offbeat.params import TrainParams
from offbeat.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and how it learnt.

    Attributes
    ----------
    keras_model : keras.Model
    graph, untrained_graph : bytes
        ONNX files of the network, and of the same network before training.
    epochs : list of Epoch
        The loss curve.
    explained_variance : ndarray of shape (F,)
        Of each channel on held-out normal windows: 1 - squared error / variance; NaN for a channel that stands still.
    """

    keras_model: keras.Model
    graph: bytes
    untrained_graph: bytes
    epochs: list[Epoch]
    explained_variance: FloatArray

    @property
    def overall_explained_variance(self) -> float:
        """Mean of the explained variance over the channels that move; 0 if none does."""
        known = self.explained_variance[~np.isnan(self.explained_variance)]
        return float(known.mean()) if len(known) else 0.0


def train_network(
    values: FloatArray,
    starts: IntArray,
    held_out_starts: IntArray,
    window_size: int,
    params: TrainParams,
    report: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train one autoencoder.

    Parameters
    ----------
    values : ndarray of shape (n_timesteps, n_channels), float32
        Scaled readings of all assets, one after another; NaN where missing.
    starts, held_out_starts : ndarray of int
        Windows to learn from, and windows that decide when to stop.
    window_size : int
        In timesteps.
    params : TrainParams
    report : callable, optional
        Takes each finished epoch.
    """
    make_deterministic()
    n_timesteps, n_channels = values.shape
    model = build_autoencoder(
        window_size,
        n_channels,
        units=params.units,
        latent_size=params.latent_size,
        position_size=params.position_size,
        seed=params.seed,
        linear_size=min(params.linear_size, n_channels - 1),
    )
    untrained_graph = export_autoencoder(model)
    if has_linear_part(model):
        start_linear_part(model, values[covered(starts, window_size, n_timesteps)])
    epochs = learn(model, values, starts, held_out_starts, params, report or (lambda _: None))
    graph = export_autoencoder(model)
    explained = explained_variance(Runtime(graph), gather_windows(values, held_out_starts, window_size))
    return Trained(model, graph, untrained_graph, epochs, explained)


def explained_variance(runtime: Runtime, windows: FloatArray) -> FloatArray:
    """Return 1 - squared error / variance of each channel (F,) over windows (N, W, F), missing readings left out.

    NaN for a channel that stands still or was never read.
    """
    inputs = hold_missing(windows)
    errors = np.concatenate(
        [
            np.square(windows[i : i + 256] - runtime.reconstruct(inputs[i : i + 256]))
            for i in range(0, len(windows), 256)
        ]
    )
    flat = windows.reshape(-1, windows.shape[2]).astype(np.float64)
    moves = np.fmin.reduce(flat) < np.fmax.reduce(flat)  # rounding leaves a constant some variance; false for NaN
    result = np.full(windows.shape[2], np.nan)
    error = np.nanmean(errors.reshape(flat.shape)[:, moves], axis=0)
    result[moves] = 1 - error / np.nanvar(flat[:, moves], axis=0)
    return result
