"""Where the time of a training step and of scoring goes: each part timed by itself.

A part of a step is what the work up to it takes less what the work before it takes: forward, then with gradients, then
with the optimizer, as `fit` runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.speed_measure import Plan, in_turn, median, seconds, sgemm_gflops
from benchmarks.speed_networks import SHAPES, fused_rate, lesson_of, network, operations, params_of
from offbeat.detection.runtime import Runtime
from offbeat.detection.scores import errors_of
from offbeat.detection.windows import BATCH_SIZE, gather_windows, hold_missing, timestep_errors
from offbeat.models.export import export_network
from offbeat.models.learning import WindowBatches, masked_loss, one_cycle
from offbeat.params import load_params
from offbeat.typing import FloatArray, IntArray

Parts = dict[str, dict[str, Any]]


def profile(plan: Plan) -> dict[str, Parts]:
    """Return milliseconds of each part: of a training step for both shapes, and of scoring 1,000 timesteps."""
    shapes = list(SHAPES.values())[: 1 if plan.short else None]
    steps = {f"training step, W={w}, F={f}, batch {b}": _step(plan, w, f, b) for w, f, b in shapes}
    return {**steps, "scoring 1,000 timesteps, W=32, F=8, stride 1": _scoring(plan)}


def _step(plan: Plan, window_size: int, n_channels: int, batch_size: int) -> Parts:
    import tensorflow as tf

    n_steps = 20 if plan.short else 30
    params = params_of(plan.short, batch_size, n_steps)
    model, lesson = network(window_size, n_channels, params), lesson_of(n_steps * batch_size, window_size, n_channels)
    batches = WindowBatches(lesson, window_size, window_size, params)
    windows, readings = (tf.constant(part) for part in batches[0])

    @tf.function
    def forward() -> Any:
        return masked_loss(readings, model(windows, training=True))

    @tf.function
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            loss = masked_loss(readings, model(windows, training=True))
        return tape.gradient(loss, model.trainable_variables)

    optimizer = keras.optimizers.Adam(one_cycle(params), clipnorm=params.clip_norm)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step() -> None:
        optimizer.apply(gradients(), model.trainable_variables)

    repeats = 2 if plan.short else 20
    taken = in_turn(
        plan.rounds,
        lambda: _each(lambda: batches[0], repeats),
        lambda: _each(forward, repeats),
        lambda: _each(gradients, repeats),
        lambda: _each(step, repeats),
        lambda: 1 / fused_rate(model, lesson, params).clock,
        sgemm_gflops,
    )
    gather, ahead, with_gradients, stepped, whole, sgemm = (median(one) for one in taken)
    work = operations(model) * batch_size
    parts = {
        "batch drawn and gathered": (gather, 0),
        "forward": (ahead, work),
        "gradients": (with_gradients - ahead, 2 * work),
        "clipping and optimizer": (stepped - with_gradients, 0),
        "`fit` around it": (whole - stepped - gather, 0),
    }
    return {name: _part(took, whole, n_operations, sgemm) for name, (took, n_operations) in parts.items()}


def _part(took: float, whole: float, n_operations: float, sgemm: float) -> dict[str, Any]:
    """Return milliseconds, the share of the whole, and the matrix arithmetic done against sgemm, both in percent."""
    arithmetic = 100 * n_operations / 1e9 / took / sgemm if n_operations and took > 0 else None
    return {"ms": 1000 * took, "share": 100 * took / whole, "of_sgemm": arithmetic}


def _each(work: Callable[[], object], repeats: int) -> float:
    """Return the seconds that it takes each time, after a first one that may compile."""
    work()
    return median([seconds(work) for _ in range(repeats)])


def _scoring(plan: Plan) -> Parts:
    """Time what `Detector.errors` does with the windows of 1,000 timesteps, with the default network."""
    train = params_of(True) if plan.short else load_params(changes={"train": {"linear_size": 0}}).train
    window_size, n_channels, n_timesteps = 32, 8, 1000
    model = network(window_size, n_channels, train)
    runtime = Runtime(export_network(model))
    values = np.random.default_rng(0).standard_normal((n_timesteps, n_channels)).astype(np.float32)
    starts = np.arange(n_timesteps - window_size + 1)
    windows = gather_windows(values, starts, window_size)
    estimates = runtime.estimate(windows)
    squares = errors_of(windows, estimates, "squared")

    def in_batches(work: Callable[[slice], object]) -> float:
        batches = [slice(first, first + BATCH_SIZE) for first in range(0, len(starts), BATCH_SIZE)]
        return _each(lambda: [work(batch) for batch in batches], 1 if plan.short else 5)

    def spread(known: Callable[[IntArray], FloatArray]) -> object:
        return timestep_errors(
            known,
            [(0, n_timesteps)],
            np.arange(n_timesteps),
            n_channels,
            window_size=window_size,
            horizon=window_size,
            stride=1,
            delay=16,
        )

    taken = in_turn(
        plan.rounds,
        lambda: in_batches(lambda batch: gather_windows(values, starts[batch], window_size)),
        lambda: in_batches(lambda batch: hold_missing(windows[batch])),
        lambda: in_batches(lambda batch: runtime.estimate(windows[batch])),
        lambda: in_batches(lambda batch: errors_of(windows[batch], estimates[batch], "squared")),
        lambda: _each(lambda: spread(lambda chosen: squares[chosen]), 1 if plan.short else 5),
        sgemm_gflops,
    )
    *times, sgemm = (median(one) for one in taken)
    names = ("windows gathered", "missing readings held", "network (ONNX Runtime)", "errors", "spread over timesteps")
    work = [0, 0, operations(model) * len(starts), 0, 0]
    return {name: _part(t, sum(times), n, sgemm) for name, t, n in zip(names, times, work, strict=True)}


def profile_table(profiles: dict[str, Parts]) -> str:
    """Return the profile as Markdown."""
    lines = ["| work | part | ms | share | matrix arithmetic, % of sgemm |", "| --- | --- | --- | --- | --- |"]
    for work, parts in profiles.items():
        for name, part in parts.items():
            arithmetic = "–" if part["of_sgemm"] is None else f"{part['of_sgemm']:.0f}"
            lines.append(f"| {work} | {name} | {part['ms']:.3g} | {part['share']:.0f} % | {arithmetic} |")
    return "\n".join(lines)
