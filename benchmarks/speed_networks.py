"""The network 64-32-32-64 against itself in plain Keras: training steps, bulk scoring, one window.

The twin has the same layers and weights, with `keras.layers.LSTM` where offbeat has its fused one, and is trained and
asked as tutorials do: windows laid out in memory, `fit`, `predict`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.speed_goals import Outcome
from benchmarks.speed_measure import (
    Moment,
    Plan,
    Rate,
    compared,
    in_turn,
    median,
    now,
    per_second,
    rate,
    ratios,
    seconds,
    sgemm_rate,
)
from offbeat.detection.runtime import Runtime
from offbeat.detection.windows import BATCH_SIZE, gather_windows
from offbeat.models.export import export_network
from offbeat.models.layers import FusedLSTM
from offbeat.models.learning import MOST_STEPS, learn
from offbeat.models.recurrent import build_autoencoder
from offbeat.params import TrainParams, load_params
from offbeat.preparation import Lesson
from offbeat.progress import Step
from offbeat.typing import FloatArray

SAME = 1e-5  # scaled units; estimates no further apart are the same
FIRST_STEPS = MOST_STEPS  # of a training, not timed: the first call compiles
SHAPES = {"training_20x1": (20, 1, 32), "training_64x8": (64, 8, 64)}  # window, channels, batch


def network(window_size: int, n_channels: int, params: TrainParams) -> keras.Model:
    """Return the autoencoder as offbeat builds it."""
    return build_autoencoder(window_size, n_channels, params)


def plain_twin(model: keras.Model) -> keras.Model:
    """Return the same network with the same weights around `keras.layers.LSTM`."""

    def plain(layer: Any) -> Any:
        kind = layers.LSTM if isinstance(layer, FusedLSTM) else type(layer)
        return kind.from_config(layer.get_config())

    twin = keras.models.clone_model(model, clone_function=plain)
    twin.set_weights(model.get_weights())
    return twin


def params_of(short: bool, batch_size: int = 64, n_steps: int = 10) -> TrainParams:
    """Return what both are built and trained with; one epoch of so many steps."""
    sizes = {"units": [8], "latent_size": 2, "position_size": 4} if short else {"units": [64, 32]}
    work = {"linear_size": 0, "epochs": 1, "steps_per_epoch": n_steps, "batch_size": batch_size}
    return load_params(changes={"train": {**sizes, **work}}).train


def training(plan: Plan) -> dict[str, Outcome]:
    """Return steps/s against plain Keras, for both shapes."""
    return {name: _training(plan, *shape) for name, shape in SHAPES.items()}


def _training(plan: Plan, window_size: int, n_channels: int, batch_size: int) -> Outcome:
    n_steps = FIRST_STEPS + (10 if plan.short else 40)
    params = params_of(plan.short, batch_size, n_steps)
    lesson = lesson_of(n_steps * batch_size, window_size, n_channels)
    model = network(window_size, n_channels, params)
    twin = plain_twin(model)
    windows = gather_windows(lesson.values, lesson.starts, window_size)
    apart = float(np.abs(model(windows[:32]) - twin(windows[:32])).max())
    twin.compile(optimizer=keras.optimizers.Adam(params.learning_rate), loss="mse")
    ours, theirs = in_turn(
        plan.rounds, lambda: fused_rate(model, lesson, params), lambda: plain_rate(twin, windows, params)
    )
    figures, words = compared(ours, theirs, "steps/s")
    return Outcome(figures, f"{words}; estimates at most {apart:.0e} apart", holds=apart <= SAME)


def lesson_of(n_windows: int, window_size: int, n_channels: int) -> Lesson:
    """Return made-up readings to learn from; one window is held out, so that the steps are what takes time."""
    n_timesteps = n_windows + window_size - 1
    noise = np.random.default_rng(0).normal(0, 0.3, (n_timesteps, n_channels))
    values = np.sin(np.arange(n_timesteps)[:, None] / np.arange(5, 5 + n_channels)) + noise
    starts = np.arange(n_windows)
    return Lesson(values.astype(np.float32), n_channels, starts, starts[:1])


def fused_rate(model: keras.Model, lesson: Lesson, params: TrainParams) -> Rate:
    """Return steps/s of offbeat's own training, after the first ones."""
    marks: dict[int, Moment] = {}  # the moment when so many steps were done

    def mark(step: Step) -> None:
        marks.setdefault(step.done, now())

    learn(model, lesson, params, mark)
    return _rate(marks)


class _Marks(keras.callbacks.Callback):
    """When each batch ended."""

    def __init__(self) -> None:
        super().__init__()
        self.async_safe = True  # as offbeat's own: no loss is waited for
        self.marks: dict[int, Moment] = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        self.marks[batch + 1] = now()


def plain_rate(twin: keras.Model, windows: FloatArray, params: TrainParams) -> Rate:
    """Return steps/s of `fit` on windows laid out in memory, after the first ones."""
    marks = _Marks()
    twin.fit(windows, windows, batch_size=params.batch_size, epochs=1, verbose=0, callbacks=[marks])
    return _rate(marks.marks)


def _rate(marks: dict[int, Moment]) -> Rate:
    """Return steps/s from when so many were done, the first ones left out."""
    return rate(max(marks) - FIRST_STEPS, marks[FIRST_STEPS], marks[max(marks)])


def scoring(plan: Plan) -> dict[str, Outcome]:
    """Return windows/s against `predict`, and the arithmetic done per second against sgemm."""
    model, twin, runtime = _scorers(plan.short)
    windows = _windows(256 if plan.short else 8192)
    apart = float(np.abs(runtime.estimate(windows[:64]) - twin.predict(windows[:64], verbose=0)).max())

    def ours() -> None:
        batches = (windows[first : first + BATCH_SIZE] for first in range(0, len(windows), BATCH_SIZE))
        for _ in runtime.each(runtime.estimate, batches):
            pass

    own, other, sgemm = in_turn(
        plan.rounds,
        lambda: per_second(ours, len(windows)),
        lambda: per_second(lambda: twin.predict(windows, batch_size=1024, verbose=0), len(windows)),
        sgemm_rate,
    )
    figures, words = compared(own, other, "windows/s")
    bulk = Outcome(figures, f"{words}; estimates at most {apart:.0e} apart", holds=apart <= SAME)
    done = [Rate(*(part * operations(model) / 1e9 for part in one)) for one in own]
    figures, words = compared(done, sgemm, "GFLOP/s")
    return {"bulk": bulk, "arithmetic": Outcome(tuple(100 * figure for figure in figures), words)}


def one_window(plan: Plan) -> dict[str, Outcome]:
    """Return how many times sooner one window is answered than by `predict`."""
    _, twin, runtime = _scorers(plan.short)
    window = _windows(1)
    n_ours, n_theirs = (5, 2) if plan.short else (200, 20)

    def latency(work: Any, repeats: int) -> float:
        work()
        return median([seconds(work) for _ in range(repeats)])

    ours, theirs = in_turn(
        plan.rounds,
        lambda: latency(lambda: runtime.estimate(window), n_ours),
        lambda: latency(lambda: twin.predict(window, verbose=0), n_theirs),
    )
    note = f"{1000 * median(ours):.3g} ms against {1000 * median(theirs):.3g} ms"
    return {"one_window": Outcome(ratios(theirs, ours), note)}


def _scorers(short: bool) -> tuple[keras.Model, keras.Model, Runtime]:
    model = network(64, 8, params_of(short))
    return model, plain_twin(model), Runtime(export_network(model))


def _windows(n: int) -> FloatArray:
    return np.random.default_rng(1).standard_normal((n, 64, 8), dtype=np.float32)


def operations(model: keras.Model) -> int:
    """Return multiplications and additions of the matrix products for one window."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.LSTM):
            n_inputs, n_steps = layer.input.shape[-1], layer.input.shape[1]
            total += 2 * n_steps * 4 * layer.units * (n_inputs + layer.units)
        elif isinstance(layer, layers.Dense):
            n_steps = int(np.prod(layer.output.shape[1:-1]))
            total += 2 * n_steps * layer.input.shape[-1] * layer.units
    return total
