"""Per-asset scaling, fitted on the training span only.

Each asset has its own mean and scale per channel, so that one network serves machines that run at different levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offbeat.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and scale of each channel (F,), in the readings' units; scaled readings are clipped at ±`clip`."""

    mean: FloatArray
    scale: FloatArray
    clip: float

    def apply(self, values: FloatArray) -> FloatArray:
        """Return readings (T, F) in scaled units, float32; NaN stays NaN."""
        scaled: FloatArray = np.clip((values - self.mean) / self.scale, -self.clip, self.clip).astype(np.float32)
        return scaled


def fit_scaling(values: FloatArray, clip: float, usual_scale: FloatArray | None = None) -> Scaling:
    """Return mean and standard deviation of each channel of values (T, F), missing readings left out.

    Parameters
    ----------
    values : ndarray of shape (n_timesteps, n_channels)
        Each channel has at least one reading.
    clip : float
        In standard deviations.
    usual_scale : ndarray of shape (n_channels,), optional
        Takes the place of a standard deviation that is zero: a channel that did not move here is measured by how
        much it moves elsewhere. Where that is zero or absent, the scale is 1.
    """
    mean, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    still = scale <= 1e-9 * np.abs(mean)  # what rounding leaves of a constant, whatever its unit
    fallback = np.ones_like(scale) if usual_scale is None else np.where(usual_scale > 0, usual_scale, 1.0)
    return Scaling(mean, np.where(still, fallback, scale), clip)
