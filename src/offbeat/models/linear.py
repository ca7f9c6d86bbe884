"""A linear part beside a network: what readings have in common, at one timestep or over a whole window.

The narrow code of an autoencoder would blur it; with it the network only adds what is missing, and need not be worse
than its principal components.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from offbeat.models.layers import Column
from offbeat.typing import FloatArray

LARGEST_SHARE = {"timestep": 0.5, "window": 0.25}  # of the numbers that it reads; a wider one copies anomalies too


def add_linear_part(readings: Any, estimates: Any, linear_size: int, scope: str) -> Any:
    """Return estimates (N, W, F) or (N, W, F, 3) plus a linear map of readings (N, W, F) through a narrow code.

    With scope `timestep` it is F → K → F of each timestep alone, with `window` W F → K → W F. K is `linear_size`, at
    most `LARGEST_SHARE` of what the map reads; with 0, or of a single channel, the estimates are returned as they are.
    """
    _, window_size, n_channels = readings.shape
    n_read = n_channels if scope == "timestep" else window_size * n_channels
    size = min(linear_size, int(n_read * LARGEST_SHARE[scope])) if n_channels > 1 else 0
    if not size:
        return estimates
    inputs = readings if scope == "timestep" else layers.Flatten(name="linear_inputs")(readings)
    code = layers.Dense(size, use_bias=False, name="linear_code")(inputs)  # (N, W, K) or (N, K)
    part = layers.Dense(n_read, use_bias=False, kernel_initializer="zeros", name="linear_part")(code)
    if scope == "window":
        part = layers.Reshape((window_size, n_channels), name="linear_windows")(part)
    if len(estimates.shape) == 4:
        part = Column(name="linear_bounds")(part)
    return layers.Add(name="sum")([estimates, part])


def linear_inputs(model: keras.Model) -> int:
    """Return how many numbers the linear part of a network reads at once; 0 if it has none."""
    return next((layer.input.shape[-1] for layer in model.layers if layer.name == "linear_code"), 0)


def start_linear_part(model: keras.Model, rows: FloatArray) -> None:
    """Set the linear part of a network, in place, to the principal components of rows (n, D) of what it reads.

    From random weights the few steps of a training do not find them reliably.
    """
    code, part = model.get_layer("linear_code"), model.get_layer("linear_part")
    found = components(rows, code.units)
    code.set_weights([found])
    part.set_weights([found.T])


def components(rows: FloatArray, n_components: int) -> FloatArray:
    """Return the principal components (D, K) of rows (n, D), the strongest first; 0 for those that n rows do not have.

    They are those around 0, the mean of each training span; a missing reading counts as 0.
    """
    filled = np.nan_to_num(rows, nan=0.0).astype(np.float64)
    n_rows, n_columns = filled.shape
    strongest = np.zeros((n_columns, n_components))
    if n_columns <= n_rows:
        _, vectors = np.linalg.eigh(filled.T @ filled)  # columns in order of ascending variance
    else:  # the smaller of the two products has the same components
        variances, vectors = np.linalg.eigh(filled @ filled.T)
        known = variances > variances[-1] * n_columns * np.finfo(np.float64).eps
        vectors = filled.T @ vectors[:, known] / np.sqrt(variances[known])
    n_found = min(n_components, vectors.shape[1])
    strongest[:, :n_found] = vectors[:, : -n_found - 1 : -1]
    return strongest
