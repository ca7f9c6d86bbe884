"""Gradient steps: random batches of windows gathered from (T, F), a loss blind to missing readings, early stopping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from offbeat.detection.runtime import Runtime
from offbeat.detection.windows import gather_windows, hold_missing
from offbeat.params import TrainParams
from offbeat.preparation import Lesson
from offbeat.progress import Report, Step
from offbeat.typing import FloatArray, IntArray

QUANTILES = (0.1, 0.5, 0.9)
HELD_OUT_BATCH = 256  # windows
MOST_STEPS = 10  # of gradient in one call of the backend; training is reported after each call


@dataclass(frozen=True)
class Epoch:
    """One row of the loss curve: mean losses in scaled units, and the learning rate at its end."""

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
def masked_loss(readings: Any, estimates: Any) -> Any:
    """Return the mean squared error over the readings (N, H, F) that are not missing (NaN).

    Of estimates (N, H, F, 3) those in the middle count.
    """
    middle = estimates[..., 1] if len(estimates.shape) == 4 else estimates
    missing = ops.isnan(readings)
    return _mean_of_read(ops.square(ops.where(missing, 0.0, readings) - middle), missing)


@keras.saving.register_keras_serializable("offbeat")
def quantile_loss(readings: Any, estimates: Any) -> Any:
    """Return the mean pinball loss of the 0.1, 0.5 and 0.9 quantile (N, H, F, 3) over readings not missing.

    Notes
    -----
    Koenker and Bassett 1978, "Regression quantiles": q · e where the error e is above 0, (q - 1) · e below.
    """
    levels = ops.convert_to_tensor(QUANTILES, dtype=estimates.dtype)
    missing = ops.isnan(readings)
    errors = ops.expand_dims(ops.where(missing, 0.0, readings), -1) - estimates
    return _mean_of_read(ops.sum(ops.maximum(levels * errors, (levels - 1) * errors), axis=-1), missing)


def _mean_of_read(errors: Any, missing: Any) -> Any:
    read = ops.sum(ops.cast(ops.logical_not(missing), errors.dtype))
    return ops.sum(ops.where(missing, 0.0, errors)) / ops.maximum(read, 1.0)


class WindowBatches(keras.utils.PyDataset):
    """Batches drawn at random from the starts; the same seed draws the same batches."""

    def __init__(self, lesson: Lesson, window_size: int, horizon: int, params: TrainParams) -> None:
        super().__init__()
        self._lesson, self._window_size, self._horizon, self._params = lesson, window_size, horizon, params
        self._epoch = 0

    def __len__(self) -> int:
        return self._params.steps_per_epoch

    def __getitem__(self, batch: int) -> tuple[FloatArray, FloatArray]:
        lesson, params = self._lesson, self._params
        rng = np.random.default_rng((params.seed, self._epoch, batch))
        starts = rng.choice(lesson.starts, params.batch_size)
        inputs, readings = inputs_and_readings(lesson, starts, self._window_size, self._horizon)
        if params.noise:
            inputs = inputs.copy()
            inputs[..., : lesson.n_channels] += rng.normal(0, params.noise, (*inputs.shape[:2], lesson.n_channels))
        return inputs, readings

    def on_epoch_end(self) -> None:
        """Move on, so that the next epoch draws other batches."""
        self._epoch += 1


def steps_per_call(steps_per_epoch: int) -> int:
    """Return how many steps the backend takes without coming back to Python: the most up to 10 that fill an epoch."""
    return max(n for n in range(1, MOST_STEPS + 1) if steps_per_epoch % n == 0)


def batches_as_fed(batches: WindowBatches) -> Any:
    """Return the batches, epoch after epoch, as the backend takes them soonest.

    For TensorFlow as a dataset that knows how many windows a batch has, by which the fused LSTM shares them out.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    def one_after_the_other() -> Iterator[tuple[FloatArray, FloatArray]]:
        while True:
            yield from (batches[k] for k in range(len(batches)))
            batches.on_epoch_end()

    shapes = tuple(tf.TensorSpec(part.shape, tf.float32) for part in batches[0])
    return tf.data.Dataset.from_generator(one_after_the_other, output_signature=shapes)


def inputs_and_readings(
    lesson: Lesson, starts: IntArray, window_size: int, horizon: int
) -> tuple[FloatArray, FloatArray]:
    """Return windows (N, W, F + C) without gaps, and the readings (N, H, F) to estimate, NaN where missing."""
    windows = gather_windows(lesson.values, starts, window_size)
    return hold_missing(windows), windows[:, window_size - horizon :, : lesson.n_channels]


class _Follow(keras.callbacks.Callback):
    """Keep the loss curve, and report the batches after each call; the note is of the last whole epoch."""

    def __init__(self, params: TrainParams, report: Report) -> None:
        super().__init__()
        self.async_safe = True  # else Keras waits for the losses of every batch, for a callback that takes none
        self.epochs: list[Epoch] = []
        self._params, self._report, self._n_batches, self._note = params, report, 0, ""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras names it
        self._tell()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        self._n_batches = len(self.epochs) * self._params.steps_per_epoch + batch + 1  # the last batch of a call
        self._tell()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = Epoch(epoch + 1, float(logs["loss"]), float(logs["val_loss"]), rate)
        self.epochs.append(row)
        of = f"epoch {row.epoch} of at most {self._params.epochs}"
        self._note = f"{of}: loss {row.loss:.4f}, held-out {row.held_out_loss:.4f}"
        self._tell()

    def _tell(self) -> None:
        total = self._params.epochs * self._params.steps_per_epoch
        self._report(Step("training", self._n_batches, total, "batches", self._note))


def learn(model: keras.Model, lesson: Lesson, params: TrainParams, report: Report) -> list[Epoch]:
    """Train `model` in place and return its loss curve.

    Parameters
    ----------
    model : keras.Model
        Maps windows (N, W, F + C) to estimates (N, H, F) or (N, H, F, 3).
    lesson : Lesson
    params : TrainParams
        An epoch is `steps_per_epoch` batches drawn at random. `learning_rate` is the peak of a one-cycle schedule: a
        tenth of the steps up, the rest down along a cosine. After `patience` epochs without a better held-out loss
        training stops; the best weights are kept.
    report : callable
        Takes each `Step`, in batches.
    """
    keras.utils.set_random_seed(params.seed)
    window_size, horizon = model.input_shape[1], model.output_shape[1]
    optimizer = keras.optimizers.Adam(one_cycle(params), clipnorm=params.clip_norm)
    optimizer.build(model.trainable_variables)  # else the first step makes them, and TensorFlow traces it twice
    model.compile(
        optimizer=optimizer,
        loss=quantile_loss if params.output == "quantiles" else masked_loss,
        steps_per_execution=steps_per_call(params.steps_per_epoch),
    )
    follow = _Follow(params, report)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=params.patience, restore_best_weights=True)
    model.fit(
        batches_as_fed(WindowBatches(lesson, window_size, horizon, params)),
        steps_per_epoch=params.steps_per_epoch,
        validation_data=inputs_and_readings(lesson, lesson.held_out_starts, window_size, horizon),
        validation_batch_size=HELD_OUT_BATCH,
        epochs=params.epochs,
        callbacks=[follow, stop],
        shuffle=False,
        verbose=0,
    )
    return follow.epochs


def held_out_loss(runtime: Runtime, lesson: Lesson, params: TrainParams) -> float:
    """Return the loss of a network on the held-out windows, as `learn` measures it after each epoch."""
    loss, total = quantile_loss if params.output == "quantiles" else masked_loss, 0.0
    for first in range(0, len(lesson.held_out_starts), HELD_OUT_BATCH):
        starts = lesson.held_out_starts[first : first + HELD_OUT_BATCH]
        inputs, readings = inputs_and_readings(lesson, starts, runtime.window_size, runtime.horizon)
        total += len(starts) * float(loss(readings, runtime.estimate(inputs)))
    return total / len(lesson.held_out_starts)


def one_cycle(params: TrainParams) -> Any:
    """Return the schedule of the learning rate: a tenth of the steps up to its peak, the rest down along a cosine."""
    n_steps, peak = params.epochs * params.steps_per_epoch, params.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        peak / 10, int(0.9 * n_steps) or 1, warmup_target=peak, warmup_steps=n_steps // 10, alpha=0.01
    )
