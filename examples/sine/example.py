"""A sine of 1,000 readings with four spikes: each is marked at its own place, and no other reading is.

Beside it the rule of many tutorials, which charges the error of a window to the reading that comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from examples import aligned, drawing, read_changes, read_options, start
from offbeat import Detector, Series, fit
from offbeat.detection.windows import gather_windows
from offbeat.typing import BoolArray

N_TIMESTEPS, PERIOD, NOISE = 1000, 100, 0.05
SPIKES = {150: 2.0, 470: -2.0, 705: 2.5, 930: -2.5}  # timestep: by how much the reading is off
SMALL = {"train": {"epochs": 8, "steps_per_epoch": 25}}


def main(arguments: Sequence[str] | None = None) -> dict[str, tuple[int, ...]]:
    """Run the example; return for each rule how many spikes it marks, of how many, and how many other readings."""
    options = read_options(__file__, __doc__ or "", arguments)
    series, spikes = simulate()
    detector = fit(series, read_changes(__file__, SMALL if options.small else {}))
    result = detector.score(series)
    after = marked_after_the_window(detector, series)
    # the same model and the same rule, on a calibration span from which the spikes are kept out
    span = slice(*np.searchsorted(series.stamps, [420, 880]))
    detector.calibrate(series.rows(span.start, span.stop), labelled=spikes[span])
    strict = detector.score(series)

    marked = {
        "error of the reading": result.alarms,
        "error of the window before it": after,
        "error of the reading, spikes kept out": strict.alarms,
    }
    figures = {name: counts(mask, spikes) for name, mask in marked.items()}
    print(
        aligned(["marked by", "spikes found", "of", "others marked"], [(name, *row) for name, row in figures.items()])
    )
    print("\nspikes at", *SPIKES)
    print("marked at", *np.flatnonzero(result.alarms))

    figure, (readings, scores) = drawing.new_figure(2, sharex=True)
    drawing.draw_readings(readings, series.index, series.values, ["reading"], title="A sine with four spikes")
    readings.plot(
        np.flatnonzero(after),
        series.values[after],
        "x",
        color=drawing.MUTED,
        markersize=4,
        label="marked by the window before",
    )
    readings.plot(
        np.flatnonzero(result.alarms),
        series.values[result.alarms],
        "o",
        color=drawing.ALARM,
        label="marked by its own error",
    )
    drawing.draw_legend(readings)
    drawing.draw_score(scores, series.index, result.scores, result.threshold, result.alarms)
    drawing.save(figure, options.out)
    return figures


def simulate(seed: int = 0) -> tuple[Series, BoolArray]:
    """Return the series, and which of its readings are spikes (T,)."""
    t = np.arange(N_TIMESTEPS)
    values = np.sin(2 * np.pi * t / PERIOD) + np.random.default_rng(seed).normal(0, NOISE, N_TIMESTEPS)
    values[list(SPIKES)] += list(SPIKES.values())
    return Series.from_frame(pd.DataFrame({"reading": values}), asset="sine"), np.isin(t, list(SPIKES))


def marked_after_the_window(detector: Detector, series: Series) -> BoolArray:
    """Mark each reading (T,) whose window before it has an error above the mean + 2 standard deviations of all."""
    size = detector.window_size
    scaled = detector.assets[series.asset].scaling.apply(series)
    windows = gather_windows(scaled, np.arange(series.n_timesteps - size), size)  # (N, W, 1)
    errors = np.abs(windows - detector.runtime.estimate(windows)).mean(axis=(1, 2))
    marked = np.zeros(series.n_timesteps, dtype=bool)
    marked[size:] = errors > errors.mean() + 2 * errors.std()
    return marked


def counts(marked: BoolArray, spikes: BoolArray) -> tuple[int, ...]:
    """Return how many spikes are marked at their own place, how many there are, and how many others are marked."""
    return int((marked & spikes).sum()), int(spikes.sum()), int((marked & ~spikes).sum())


if __name__ == "__main__":
    start(main)
