"""How a network says what it estimates: one number a reading, or a lower and an upper bound around it."""

from __future__ import annotations

from typing import Any

from keras import layers

from offbeat.models.layers import MonteCarloDense, OrderedQuantiles
from offbeat.params import TrainParams


def estimates_of_steps(hidden: Any, n_channels: int, params: TrainParams) -> Any:
    """Return estimates (N, W, F) or (N, W, F, 3) from a hidden state (N, W, U) at each timestep."""
    if params.output == "quantiles":
        return OrderedQuantiles(name="quantiles")(layers.Dense(3 * n_channels, name="estimates")(hidden))
    if params.output == "dropout":
        return MonteCarloDense(n_channels, params.dropout, seed=params.seed, name="estimates")(hidden)
    return layers.Dense(n_channels, name="estimates")(hidden)


def estimates_at_once(hidden: Any, n_steps: int, n_channels: int, params: TrainParams) -> Any:
    """Return estimates (N, n_steps, F) or (N, n_steps, F, 3) from one hidden state (N, U)."""
    if params.output == "quantiles":
        numbers = layers.Dense(n_steps * 3 * n_channels, name="estimates")(hidden)
        return OrderedQuantiles(name="quantiles")(layers.Reshape((n_steps, 3 * n_channels), name="steps")(numbers))
    if params.output == "dropout":
        bounds = MonteCarloDense(n_steps * n_channels, params.dropout, seed=params.seed, name="estimates")(hidden)
        return layers.Reshape((n_steps, n_channels, 3), name="steps")(bounds)
    numbers = layers.Dense(n_steps * n_channels, name="estimates")(hidden)
    return layers.Reshape((n_steps, n_channels), name="steps")(numbers)
