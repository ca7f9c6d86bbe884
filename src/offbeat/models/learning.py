"""Gradient steps: random batches of windows gathered from (T, F), a loss blind to missing readings, early stopping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from offbeat.detection.windows import gather_windows, hold_missing
from offbeat.params import TrainParams
from offbeat.typing import FloatArray, IntArray


@dataclass(frozen=True)
class Epoch:
    """One row of the loss curve: mean squared errors in scaled units, and the learning rate at its end."""

    epoch: int
    loss: float
    held_out_loss: float
    learning_rate: float


def make_deterministic() -> None:
    """Ask the backend for the same numbers from the same seed, at some cost in speed on a GPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@keras.saving.register_keras_serializable("offbeat")
def masked_loss(windows: Any, reconstruction: Any) -> Any:
    """Return the mean squared error over the readings that are not missing (NaN)."""
    missing = ops.isnan(windows)
    errors = ops.where(missing, 0.0, ops.square(ops.where(missing, 0.0, windows) - reconstruction))
    read = ops.sum(ops.cast(ops.logical_not(missing), errors.dtype))
    return ops.sum(errors) / ops.maximum(read, 1.0)


class WindowBatches(keras.utils.PyDataset):
    """Batches drawn at random from all starts; the same seed draws the same batches."""

    def __init__(
        self, values: FloatArray, starts: IntArray, window_size: int, batch_size: int, n_batches: int, seed: int
    ) -> None:
        super().__init__()
        self._values, self._starts, self._window_size = values, starts, window_size
        self._batch_size, self._n_batches, self._seed = batch_size, n_batches, seed
        self._epoch = 0

    def __len__(self) -> int:
        return self._n_batches

    def __getitem__(self, batch: int) -> tuple[FloatArray, FloatArray]:
        rng = np.random.default_rng((self._seed, self._epoch, batch))
        windows = gather_windows(self._values, rng.choice(self._starts, self._batch_size), self._window_size)
        return hold_missing(windows), windows

    def on_epoch_end(self) -> None:
        """Move on, so that the next epoch draws other batches."""
        self._epoch += 1


class _Report(keras.callbacks.Callback):
    """Hand each finished epoch to `report`."""

    def __init__(self, report: Callable[[Epoch], None]) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []
        self._report = report

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = Epoch(epoch + 1, float(logs["loss"]), float(logs["val_loss"]), rate)
        self.epochs.append(row)
        self._report(row)


def learn(
    model: keras.Model,
    values: FloatArray,
    starts: IntArray,
    held_out_starts: IntArray,
    params: TrainParams,
    report: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train `model` in place on windows of `values` and return its loss curve.

    Parameters
    ----------
    model : keras.Model
        Maps windows (N, W, F) to their reconstruction.
    values : ndarray of shape (n_timesteps, n_channels), float32
        Scaled readings of all assets, one after another; NaN where missing.
    starts, held_out_starts : ndarray of int
        Windows to learn from, and windows that decide when to stop.
    params : TrainParams
        An epoch is `steps_per_epoch` batches drawn at random. `learning_rate` is the peak of a one-cycle schedule: a
        tenth of the steps up, the rest down along a cosine. After `patience` epochs without a better held-out loss
        training stops; the best weights are kept.
    report : callable
        Takes each finished epoch.
    """
    keras.utils.set_random_seed(params.seed)
    window_size = model.input_shape[1]
    optimizer = keras.optimizers.Adam(_one_cycle(params), clipnorm=params.clip_norm)
    model.compile(optimizer=optimizer, loss=masked_loss)
    held_out = gather_windows(values, held_out_starts, window_size)
    reporter = _Report(report)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=params.patience, restore_best_weights=True)
    model.fit(
        WindowBatches(values, starts, window_size, params.batch_size, params.steps_per_epoch, params.seed),
        validation_data=(hold_missing(held_out), held_out),
        validation_batch_size=256,
        epochs=params.epochs,
        callbacks=[reporter, stop],
        shuffle=False,
        verbose=0,
    )
    return reporter.epochs


def _one_cycle(params: TrainParams) -> Any:
    n_steps, peak = params.epochs * params.steps_per_epoch, params.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        peak / 10, int(0.9 * n_steps) or 1, warmup_target=peak, warmup_steps=n_steps // 10, alpha=0.01
    )
