"""Does a network that remembers the whole series forecast better than one that sees a window of it?

A stateful LSTM, the same LSTM on windows, and a dense network of as many weights, on two simulated series: one where
the past beyond the window helps, and one where it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from examples import Changes, aligned, drawing, read_changes, read_options, start
from offbeat import Folder, Series
from offbeat.detection.windows import gather_windows
from offbeat.models.stateful import future_readings, train_stateful
from offbeat.params import load_params
from offbeat.preparation import Prepared
from offbeat.training import Fitted, fit_fleet
from offbeat.typing import FloatArray

N_TIMESTEPS, NOISE = 6000, 1.0
SMALL = {"train": {"epochs": 4, "steps_per_epoch": 30}}


@dataclass(frozen=True, eq=False)
class Contender:
    """A way to forecast: how many weights it takes, and its forecasts (T, H, F) in scaled units."""

    n_weights: int
    forecasts: FloatArray


def simulate(n_timesteps: int, seed: int = 0) -> dict[str, Series]:
    """Return the two series by name."""
    rng = np.random.default_rng(seed)
    t, noise = np.arange(n_timesteps), rng.standard_normal(n_timesteps)
    hum = np.sin(2 * np.pi * t / 50) + np.sin(2 * np.pi * t / 14) + NOISE * noise
    swing = np.zeros(n_timesteps)
    for k in range(2, n_timesteps):  # a damped swing of 12 timesteps that noise pushes: two readings tell its state
        swing[k] = 2 * 0.97 * np.cos(2 * np.pi / 12) * swing[k - 1] - 0.97**2 * swing[k - 2] + noise[k]
    columns = {"hum in noise": hum, "swing": swing}
    return {name: Series.from_frame(pd.DataFrame({"value": values}), name) for name, values in columns.items()}


def windowed(fitted: Fitted) -> Contender:
    """Return the forecasts of a network that sees windows, NaN where the window would begin before the series."""
    (one,), runtime = fitted.fleet, fitted.detector.runtime
    n_past = runtime.window_size - runtime.horizon
    padded = np.concatenate(
        [one.scaled, np.zeros((runtime.horizon, 1), dtype=np.float32)]
    )  # the past alone is looked at
    starts = np.arange(one.series.n_timesteps - n_past + 1)
    forecasts = runtime.estimate(gather_windows(padded, starts, runtime.window_size))
    unknown = np.full((n_past - 1, *forecasts.shape[1:]), np.nan)
    return Contender(fitted.trained.keras_model.count_params(), np.concatenate([unknown, forecasts]))


def dense_units(n_weights: int, n_past: int, horizon: int) -> int:
    """Return the cells of a dense network from n_past readings to `horizon` that make about so many weights."""
    return round((n_weights - horizon) / (n_past + 1 + horizon))


def contenders(series: Series, changes: Changes) -> tuple[Prepared, dict[str, Contender]]:
    """Return the prepared series and all ways to forecast it, by name."""
    params = load_params(changes=changes)
    horizon, n_past = params.train.horizon, params.prepare.window_size - params.train.horizon
    fitted = fit_fleet(Folder((series,)), params)
    (one,), lstm = fitted.fleet, windowed(fitted)
    before_test, n_held_out = one.split.held_out[1], one.split.held_out[1] - one.split.held_out[0]
    stateful = train_stateful(one.scaled[:before_test], n_held_out, n_past, params.train)
    dense = {"model": "dense_forecaster", "units": dense_units(lstm.n_weights, n_past, horizon)}
    other = load_params(changes={**changes, "train": {**changes["train"], **dense}})
    return one, {
        "stateful LSTM": Contender(stateful.keras_model.count_params(), stateful.forecast(one.scaled)),
        "windowed LSTM": lstm,
        "dense network": windowed(fit_fleet(Folder((series,)), other)),
        "naive shift": Contender(0, np.repeat(one.scaled[:, None], horizon, axis=1)),
    }


def errors_by_horizon(one: Prepared, forecasts: FloatArray) -> FloatArray:
    """Return the root mean squared error (H,) of forecasts made in the test span, in scaled units."""
    off = forecasts - future_readings(one.scaled, forecasts.shape[1])
    return np.sqrt(np.nanmean(np.square(off[one.split.test[0] :]), axis=(0, 2)))


def draw(axes: Axes, name: str, errors: dict[str, FloatArray]) -> None:
    """Draw errors at each step ahead as shares of those of the windowed LSTM; the naive shift lies far above them."""
    for way in ("stateful LSTM", "windowed LSTM", "dense network"):
        ratio = errors[way] / errors["windowed LSTM"]
        axes.plot(np.arange(1, len(ratio) + 1), ratio, marker=".", linewidth=1, label=way)
    axes.set_title(name, fontsize=10, loc="left")
    axes.set(xlabel="timesteps ahead", ylabel="error / that of the windowed LSTM", ylim=(0.85, 1.2))


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, FloatArray]]:
    """Run the example and return each contender's error at each step ahead, by series."""
    options = read_options(__file__, __doc__ or "", arguments)
    changes = read_changes(__file__, SMALL if options.small else {})
    figure, axes = drawing.new_figure(1, 2, height=320)
    figures: dict[str, dict[str, FloatArray]] = {}
    for place, (name, series) in zip(axes, simulate(2400 if options.small else N_TIMESTEPS).items(), strict=True):
        one, ways = contenders(series, changes)
        figures[name] = {way: errors_by_horizon(one, contender.forecasts) for way, contender in ways.items()}
        rows = [[way, ways[way].n_weights, *errors.tolist()] for way, errors in figures[name].items()]
        ahead = [f"+{step + 1}" for step in range(len(rows[0]) - 2)]
        print(aligned([name, "weights", *ahead], rows), end="\n\n")
        draw(place, name, figures[name])
    axes[0].legend(fontsize=7, frameon=False)
    drawing.save(figure, options.out)
    return figures


if __name__ == "__main__":
    start(main)
