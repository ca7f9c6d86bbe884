"""Networks of every kind, with every part and many sizes, for the tests of what is done to them."""

from dataclasses import dataclass, field

import numpy as np

from offbeat.models.network import BUILDERS
from offbeat.params import load_params

DEFAULTS = load_params().train
SMALL = {"units": 5, "latent_size": 3, "position_size": 4, "horizon": 3, "linear_size": 2}


@dataclass(frozen=True)
class Case:
    """Windows (N, W, F + C) and a network for them."""

    model: str
    changes: dict = field(default_factory=dict)
    window_size: int = 8
    n_channels: int = 3
    n_calendar: int = 0

    def __str__(self):
        parts = [self.model, *(f"{key}={value}" for key, value in self.changes.items())]
        return " ".join([*parts, f"{self.window_size}x{self.n_channels}+{self.n_calendar}"])


def autoencoder(n_channels=3, n_calendar=0, window_size=8, **changes):
    return Case("recurrent_autoencoder", changes, window_size, n_channels, n_calendar)


def forecaster(n_channels=3, n_calendar=0, window_size=8, **changes):
    return Case("recurrent_forecaster", changes, window_size, n_channels, n_calendar)


def dense(n_channels=3, n_calendar=0, window_size=8, **changes):
    return Case("dense_autoencoder", changes, window_size, n_channels, n_calendar)


def dense_forecaster(n_channels=3, n_calendar=0, window_size=8, **changes):
    return Case("dense_forecaster", changes, window_size, n_channels, n_calendar)


CASES = [
    autoencoder(),
    autoencoder(1, window_size=4, units=1, latent_size=1, position_size=2),
    autoencoder(5, window_size=33, units=16, linear_size=0),
    autoencoder(6, latent_size=9, position_size=6, linear_size=3),
    autoencoder(3, linear_size=5, linear_scope="window"),
    autoencoder(3, output="quantiles", linear_size=5, linear_scope="window"),
    autoencoder(cell="gru"),
    autoencoder(1, 4, cell="gru", direction="both", units=[6, 4]),
    autoencoder(n_calendar=4),
    autoencoder(units=[6, 4, 3]),
    autoencoder(direction="both"),
    autoencoder(2, 2, direction="both", units=[4, 6], output="quantiles"),
    autoencoder(output="quantiles"),
    autoencoder(1, output="quantiles", cell="gru"),
    autoencoder(output="dropout"),
    autoencoder(2, 4, output="dropout", cell="gru", direction="both", linear_size=0),
    forecaster(),
    forecaster(1, horizon=7, window_size=8),
    forecaster(cell="gru", units=[6, 4], direction="both"),
    forecaster(n_calendar=4, output="quantiles", direction="both"),
    forecaster(1, output="quantiles", horizon=1),
    forecaster(2, 2, output="dropout", cell="gru"),
    forecaster(strategy="recursive", horizon=1),
    forecaster(1, strategy="recursive", horizon=6),
    dense(),
    dense(1, 4, units=[6, 4]),
    dense(output="quantiles", n_calendar=2),
    dense(output="dropout", units=[4, 6]),
    dense_forecaster(),
    dense_forecaster(1, 4, horizon=1, units=[6, 4]),
    dense_forecaster(2, 2, output="quantiles", horizon=7),
    dense_forecaster(output="dropout"),
]


def stirred(case):
    """A network whose biases are not the zeros that it is born with, and whose gates saturate here and there."""
    params = DEFAULTS.model_copy(update=SMALL | {"seed": 1} | case.changes)
    model = BUILDERS[case.model](case.window_size, case.n_channels, params, case.n_calendar)
    rng = np.random.default_rng(0)
    stir = [
        w + rng.normal(0, 0.5, w.shape).astype(np.float32) if w.dtype.kind == "f" else w for w in model.get_weights()
    ]
    model.set_weights(stir)
    return model
