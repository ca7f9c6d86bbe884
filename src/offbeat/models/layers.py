"""Layers that Keras lacks: a fused LSTM, the position code, parts of a window, heads that say how sure they are.

`export.py` knows the ONNX form of each.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from offbeat.typing import FloatArray

# of a normal distribution: 0.1 and 0.9 quantiles lie so many standard deviations from the mean
DECILE_DISTANCE = 1.2815515655446004
# windows that one fused operator takes; a batch of 64 costs less processor time in two operators of 32, which also run
# side by side, than in one, or in four of 16
FUSED_WINDOWS = 32
UNKNOWN_PARTS = 8  # of a batch whose size shows only when it comes, 256 windows at most


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
class FusedLSTM(layers.LSTM):
    """`keras.layers.LSTM` with TensorFlow's whole-sequence operator where there is no GPU: the same numbers, sooner.

    On a GPU (cuDNN) and on another backend it is the plain layer.
    """

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        """Return last output (N, U), outputs (N, W, U) and states of sequences (N, W, D)."""
        if mask is not None or not _has_fused_operator():
            return super().inner_loop(sequences, initial_state, mask, training)
        import tensorflow as tf

        by_timestep = tf.transpose(sequences, [1, 0, 2])  # (W, N, D)
        if self.go_backwards:
            by_timestep = tf.reverse(by_timestep, [0])
        kernel, recurrent, bias = (
            _gates_ifco_to_icfo(weight) for weight in (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        )
        weights = tf.concat([kernel, recurrent], axis=0)
        sizes = _part_sizes(sequences)
        parts = [
            _fused(inputs, hidden, cells, weights, bias)
            for inputs, hidden, cells in zip(
                tf.split(by_timestep, sizes, axis=1), *(tf.split(state, sizes) for state in initial_state), strict=True
            )
        ]
        hidden = tf.concat([part.h for part in parts], axis=1)  # (W, N, U)
        outputs = tf.transpose(hidden, [1, 0, 2])
        outputs.set_shape([sequences.shape[0], sequences.shape[1], self.units])
        return hidden[-1], outputs, [hidden[-1], tf.concat([part.cs[-1] for part in parts], axis=0)]


def _part_sizes(sequences: Any) -> Any:
    """Return how many windows each operator takes, so that several run side by side.

    That depends on the number of windows alone and not on the machine's cores: the gradients of the weights are a sum
    over the parts, whose order rounds it.
    """
    import tensorflow as tf

    n_windows = sequences.shape[0]
    if n_windows is None:  # not known before the call
        n_parts, n_windows = UNKNOWN_PARTS, tf.shape(sequences)[0]
    else:
        n_parts = max(1, math.ceil(n_windows / FUSED_WINDOWS))
    return [(n_windows + k) // n_parts for k in range(n_parts)]


def _fused(inputs: Any, hidden: Any, cells: Any, weights: Any, bias: Any) -> Any:
    """Run TensorFlow's operator over inputs (W, N, D) from states (N, U); weights (D + U, 4 U), gates i, c, f, o."""
    import tensorflow as tf

    nothing = tf.zeros([hidden.shape[1]], inputs.dtype)
    # not BlockLSTMV2: the gradient that TensorFlow has for it is that of this one, whose gates stand otherwise
    return tf.raw_ops.BlockLSTM(
        seq_len_max=tf.cast(tf.shape(inputs)[0], tf.int64),
        x=inputs,
        cs_prev=cells,
        h_prev=hidden,
        w=weights,
        wci=nothing,
        wcf=nothing,
        wco=nothing,
        b=bias,
        forget_bias=0.0,
        cell_clip=-1.0,
        use_peephole=False,
    )


def _has_fused_operator() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _gates_ifco_to_icfo(weight: Any) -> Any:
    """Bring the gates from the order of Keras (input, forget, cell, output) into that of the operator."""
    i, f, c, o = ops.split(weight, 4, axis=-1)
    return ops.concatenate([i, c, f, o], axis=-1)


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


@keras.saving.register_keras_serializable("offbeat")
class Part(layers.Layer):
    """Part of windows (N, W, D): `rows` and `columns`, each from the first to before the second."""

    def __init__(self, rows: tuple[int, int], columns: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows, self.columns = (int(rows[0]), int(rows[1])), (int(columns[0]), int(columns[1]))

    def call(self, windows: Any) -> Any:
        """Return the part (N, rows, columns)."""
        return windows[:, self.rows[0] : self.rows[1], self.columns[0] : self.columns[1]]

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs, for the `.keras` file."""
        return {**super().get_config(), "rows": self.rows, "columns": self.columns}


@keras.saving.register_keras_serializable("offbeat")
class InOrderOfTime(layers.Layer):
    """Outputs (N, W, D) of a backward layer, which come in the order of its reading, in that of time."""

    def call(self, sequences: Any) -> Any:
        """Return the outputs, those of the first timestep first."""
        return ops.flip(sequences, axis=1)


@keras.saving.register_keras_serializable("offbeat")
class Column(layers.Layer):
    """Numbers (N, W, F) as (N, W, F, 1)."""

    def call(self, numbers: Any) -> Any:
        """Return the numbers with one axis more."""
        return ops.expand_dims(numbers, -1)


@keras.saving.register_keras_serializable("offbeat")
class OrderedQuantiles(layers.Layer):
    """Numbers (..., 3 F) to the 0.1, 0.5 and 0.9 quantile of F channels, (..., F, 3), which never cross.

    The first third is the median; softplus of the others is how far below and above it the outer quantiles lie.
    """

    def call(self, numbers: Any) -> Any:
        """Return the quantiles."""
        median, below, above = ops.split(numbers, 3, axis=-1)
        return ops.stack([median - ops.softplus(below), median, median + ops.softplus(above)], axis=-1)


@keras.saving.register_keras_serializable("offbeat")
class MonteCarloDense(layers.Dense):
    """A dense layer under many dropout masks: 0.1 quantile, mean and 0.9 quantile of what they give, (..., F, 3).

    Training draws one mask a batch, and all three are what it gives. Afterwards the `n_passes` masks are fixed, so that
    the same input gives the same answer.

    Notes
    -----
    Gal and Ghahramani 2016, "Dropout as a Bayesian approximation". Differs: only the last hidden layer drops out, and
    the quantiles are those of a normal distribution with the passes' mean and standard deviation.
    """

    def __init__(self, units: int, rate: float, n_passes: int = 32, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.rate, self.n_passes, self.seed = rate, n_passes, seed
        self._drop = layers.Dropout(rate, seed=seed)

    def masks(self, n_inputs: int) -> FloatArray:
        """Return the masks (n_passes, n_inputs) that hold after training: 0, or 1 / (1 - rate)."""
        kept = np.random.default_rng(self.seed).random((self.n_passes, n_inputs)) >= self.rate
        return (kept / (1 - self.rate)).astype(np.float32)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return (..., units, 3)."""
        if training:
            once = super().call(self._drop(inputs, training=True))
            return ops.stack([once] * 3, axis=-1)
        passes = ops.stack([super(MonteCarloDense, self).call(inputs * mask) for mask in self.masks(inputs.shape[-1])])
        mean, spread = ops.mean(passes, axis=0), ops.std(passes, axis=0) * DECILE_DISTANCE
        return ops.stack([mean - spread, mean, mean + spread], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for that of the input."""
        return (*input_shape[:-1], self.units, 3)

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs, for the `.keras` file."""
        return {**super().get_config(), "rate": self.rate, "n_passes": self.n_passes, "seed": self.seed}


@keras.saving.register_keras_serializable("offbeat")
class Rollout(layers.Layer):
    """An LSTM over past readings (N, P, F) that forecasts one step, reads its forecast, and so on: (N, horizon, F)."""

    def __init__(self, units: int, horizon: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.horizon = units, horizon
        self.recurrent = FusedLSTM(units, return_state=True)

    def build(self, input_shape: Any) -> None:
        """Make the layers for F channels."""
        self.forecast = layers.Dense(input_shape[-1])
        self.recurrent.build(input_shape)
        self.forecast.build((None, self.units))
        super().build(input_shape)

    def call(self, past: Any) -> Any:
        """Return the forecasts."""
        hidden, *state = self.recurrent(past)
        steps = [self.forecast(hidden)]
        for _ in range(self.horizon - 1):
            hidden, *state = self.recurrent(ops.expand_dims(steps[-1], 1), initial_state=state)
            steps.append(self.forecast(hidden))
        return ops.stack(steps, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output for that of the input."""
        return (input_shape[0], self.horizon, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor needs, for the `.keras` file."""
        return {**super().get_config(), "units": self.units, "horizon": self.horizon}
