"""A linear part beside a network: what the channels have in common at each timestep, such as the load.

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


def add_linear_part(readings: Any, estimates: Any, linear_size: int) -> Any:
    """Return estimates (N, W, F) or (N, W, F, 3) plus a linear map F → K → F of readings (N, W, F).

    K is `linear_size`, at most half of the channels; with 0 the estimates are returned as they are.
    """
    n_channels = readings.shape[2]
    size = min(linear_size, n_channels // 2)
    if not size:
        return estimates
    code = layers.Dense(size, use_bias=False, name="linear_code")(readings)  # (N, W, K)
    part = layers.Dense(n_channels, use_bias=False, kernel_initializer="zeros", name="linear_part")(code)
    if len(estimates.shape) == 4:
        part = Column(name="linear_bounds")(part)
    return layers.Add(name="sum")([estimates, part])


def has_linear_part(model: keras.Model) -> bool:
    """Return whether a network was built with a linear part."""
    return any(layer.name == "linear_part" for layer in model.layers)


def start_linear_part(model: keras.Model, rows: FloatArray) -> None:
    """Set the linear part of a network, in place, to the principal components of rows (n, F).

    From random weights the few steps of a training do not find them reliably.
    """
    code, part = model.get_layer("linear_code"), model.get_layer("linear_part")
    found = components(rows, code.units)
    code.set_weights([found])
    part.set_weights([found.T])


def components(rows: FloatArray, n_components: int) -> FloatArray:
    """Return the principal components (D, K) of rows (n, D), the strongest first.

    They are those around 0, the mean of each training span; a missing reading counts as 0.
    """
    filled = np.nan_to_num(rows, nan=0.0).astype(np.float64)
    _, vectors = np.linalg.eigh(filled.T @ filled)  # columns in order of ascending variance
    strongest: FloatArray = np.ascontiguousarray(vectors[:, : -n_components - 1 : -1])
    return strongest
