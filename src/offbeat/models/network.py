"""One model over all assets of a group: built, trained or fitted, exported, and how much it has learnt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import keras
import numpy as np

from offbeat.detection.runtime import Runtime
from offbeat.detection.windows import covered
from offbeat.errors import ReadingsError, StartError
from offbeat.models.classical import (
    last_value_graph,
    matrix_profile_graph,
    mean_graph,
    moving_average_graph,
    nearest_windows_graph,
    row_pca_graph,
    sub_pca_graph,
    window_bank,
)
from offbeat.models.dense import build_dense, build_dense_forecaster
from offbeat.models.export import export_network
from offbeat.models.learning import Epoch, held_out_loss, inputs_and_readings, learn, make_deterministic
from offbeat.models.linear import linear_inputs, start_linear_part
from offbeat.models.recurrent import build_autoencoder, build_forecaster
from offbeat.models.restore import take_weights
from offbeat.params import TrainParams
from offbeat.preparation import Lesson
from offbeat.progress import Report, silent
from offbeat.typing import FloatArray

BATCH_SIZE = 256  # windows
MOST_LINEAR_ROWS = 200_000  # or up to twice as many, that principal components are taken from
BUILDERS = {
    "recurrent_autoencoder": build_autoencoder,
    "recurrent_forecaster": build_forecaster,
    "dense_autoencoder": build_dense,
    "dense_forecaster": build_dense_forecaster,
}


@dataclass(frozen=True, eq=False)
class Trained:
    """A model and how it learnt.

    Attributes
    ----------
    graph : bytes
        ONNX file of the model.
    explained_variance : ndarray of shape (F,)
        Of each channel on held-out normal windows: 1 - squared error / variance; NaN for a channel that stands still.
    keras_model : keras.Model or None
        None, as is the next, for a model that is fitted at once.
    untrained_graph : bytes or None
        ONNX file of the same network before training.
    epochs : list of Epoch
        The loss curve.
    n_trimmed : int
        Windows that were left out of a second training.
    start_loss : float or None
        Held-out loss of the weights that it started from; None for new weights.
    """

    graph: bytes
    explained_variance: FloatArray
    keras_model: keras.Model | None = None
    untrained_graph: bytes | None = None
    epochs: list[Epoch] = field(default_factory=list)
    n_trimmed: int = 0
    start_loss: float | None = None

    @property
    def held_out_loss(self) -> float | None:
        """The lowest held-out loss, which is that of the weights that were kept; None for a model fitted at once."""
        losses = [epoch.held_out_loss for epoch in self.epochs]
        return min(losses if self.start_loss is None else [self.start_loss, *losses], default=None)

    @property
    def overall_explained_variance(self) -> float:
        """Mean of the explained variance over the channels that move; 0 if none does."""
        known = self.explained_variance[~np.isnan(self.explained_variance)]
        return float(known.mean()) if len(known) else 0.0


def train_model(
    lesson: Lesson, window_size: int, params: TrainParams, report: Report = silent, start: bytes | None = None
) -> Trained:
    """Train a network, or fit a simple model at once.

    Parameters
    ----------
    lesson : Lesson
    window_size : int
        In timesteps; models of a single row take 1 whatever it is.
    params : TrainParams
    report : callable, optional
        Takes each `Step`, in batches.
    start : bytes, optional
        ONNX file of a network of the same form, whose weights a short training goes on from (`TrainParams.warm`).

    Raises
    ------
    StartError
        If `start` has another form, or the params ask for new weights.
    """
    if start is not None and (why := params.needs_new_weights):
        raise StartError(f"{why}, so it takes no start: give none")
    if not params.is_trained:
        graph = fitted_graph(lesson, window_size, params)
        return Trained(graph, explained_variance(Runtime(graph), lesson))
    make_deterministic()
    model = _built(lesson, window_size, params)
    untrained_graph, kept, start_loss = export_network(model), lesson, None
    if start is not None:
        take_weights(model, start)
        kept = trimmed(lesson, Runtime(start), params.trim_share) if params.trim_share else lesson
        epochs, start_loss = _go_on(model, start, kept, params, report)
    else:
        _start(model, lesson)
        epochs = learn(model, lesson, params, report)
        if params.trim_share:
            kept = trimmed(lesson, Runtime(export_network(model)), params.trim_share)
            model = _built(lesson, window_size, params)
            _start(model, kept)
            epochs = learn(model, kept, params, report)
    graph = export_network(model)
    n_trimmed = len(lesson.starts) - len(kept.starts)
    explained = explained_variance(Runtime(graph), lesson)
    return Trained(graph, explained, model, untrained_graph, epochs, n_trimmed, start_loss)


def _go_on(
    model: keras.Model, start: bytes, lesson: Lesson, params: TrainParams, report: Report
) -> tuple[list[Epoch], float]:
    """Train a network that has the weights of `start`, in place; return the loss curve and the held-out loss before.

    The weights of `start` stay unless others have a lower held-out loss.
    """
    before, weights = held_out_loss(Runtime(start), lesson, params), model.get_weights()
    epochs = learn(model, lesson, params.warm, report)
    if before <= min(epoch.held_out_loss for epoch in epochs):
        model.set_weights(weights)
    return epochs, before


def fitted_graph(lesson: Lesson, window_size: int, params: TrainParams) -> bytes:
    """Return the ONNX file of a model that is fitted at once."""
    readings, starts, n_channels = lesson.readings, lesson.starts, lesson.n_channels
    if params.model == "row_pca":
        if n_channels < 2 or not params.linear_size:
            raise ReadingsError(
                f"train.model=row_pca needs 2 channels and a train.linear_size of 1 at least, got {n_channels} and "
                f"{params.linear_size}: take another model, such as sub_pca"
            )
        return row_pca_graph(readings[covered(starts, window_size, len(readings))], params.linear_size)
    if params.model == "sub_pca":
        return sub_pca_graph(readings, starts, window_size, params.latent_size)
    if params.model == "nearest_windows":
        return nearest_windows_graph(readings, starts, window_size, params.n_neighbours)
    if params.model == "matrix_profile":
        return matrix_profile_graph(readings, starts, window_size, params.n_neighbours)
    if params.model == "moving_average":
        return moving_average_graph(window_size, n_channels)
    return {"last_value": last_value_graph, "mean": mean_graph}[params.model](n_channels)


def trimmed(lesson: Lesson, runtime: Runtime, share: float) -> Lesson:
    """Return a lesson without that share of its windows to learn from that a model reconstructs worst.

    At least one window stays.
    """
    errors = window_errors(runtime, lesson)
    n_kept = max(1, round(len(errors) * (1 - share)))
    kept = np.sort(np.argsort(errors, kind="stable")[:n_kept])
    return replace(lesson, starts=lesson.starts[kept])


def window_errors(runtime: Runtime, lesson: Lesson) -> FloatArray:
    """Return the mean squared error (n,) of each window to learn from; 0 where nothing was read."""
    means = []
    for first in range(0, len(lesson.starts), BATCH_SIZE):
        starts = lesson.starts[first : first + BATCH_SIZE]
        inputs, readings = inputs_and_readings(lesson, starts, runtime.window_size, runtime.horizon)
        errors = np.square(readings - _middle(runtime, inputs))
        read = ~np.isnan(errors)
        means.append(np.where(read, errors, 0.0).sum(axis=(1, 2)) / np.maximum(read.sum(axis=(1, 2)), 1))
    return np.concatenate(means)


def explained_variance(runtime: Runtime, lesson: Lesson) -> FloatArray:
    """Return 1 - squared error / variance of each channel (F,) over the held-out windows, missing readings left out.

    NaN for a channel that stands still or was never read.
    """
    errors, seen = [], []
    for first in range(0, len(lesson.held_out_starts), BATCH_SIZE):
        starts = lesson.held_out_starts[first : first + BATCH_SIZE]
        inputs, readings = inputs_and_readings(lesson, starts, runtime.window_size, runtime.horizon)
        errors.append(np.square(readings - _middle(runtime, inputs)).reshape(-1, lesson.n_channels))
        seen.append(readings.reshape(-1, lesson.n_channels))
    error, flat = np.concatenate(errors), np.concatenate(seen).astype(np.float64)
    moves = np.fmin.reduce(flat) < np.fmax.reduce(flat)  # rounding leaves a constant some variance; false for NaN
    result = np.full(lesson.n_channels, np.nan)
    result[moves] = 1 - np.nanmean(error[:, moves], axis=0) / np.nanvar(flat[:, moves], axis=0)
    return result


def _middle(runtime: Runtime, inputs: FloatArray) -> FloatArray:
    estimates = runtime.estimate(inputs)
    return estimates[..., 1] if runtime.has_interval else estimates


def _built(lesson: Lesson, window_size: int, params: TrainParams) -> keras.Model:
    n_calendar = lesson.values.shape[1] - lesson.n_channels
    return BUILDERS[params.model](window_size, lesson.n_channels, params, n_calendar)


def _start(model: keras.Model, lesson: Lesson) -> None:
    n_inputs, window_size = linear_inputs(model), model.input_shape[1]
    if n_inputs == lesson.n_channels:
        every = max(1, len(lesson.values) // MOST_LINEAR_ROWS)
        learnt = covered(lesson.starts, window_size, len(lesson.values))[::every]
        start_linear_part(model, lesson.readings[::every][learnt])
    elif n_inputs:
        start_linear_part(model, window_bank(lesson.readings, lesson.starts, window_size).reshape(-1, n_inputs))
