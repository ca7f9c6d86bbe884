"""Two thousand short unlabelled light curves, some with periodic transits: each point becomes background or signal.

A curve is a segment of one series, so that no window has points of two stars, and one model learns from all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from examples import aligned, drawing, read_changes, read_options, start
from offbeat import Folder, ScoreResult, Series
from offbeat.evaluation.areas import average_precision
from offbeat.evaluation.metrics import event_scores
from offbeat.params import load_params
from offbeat.training import fit_fleet
from offbeat.typing import BoolArray

N_CURVES, N_POINTS, SHARE_WITH_PLANET = 2000, 256, 0.3
PAUSE = 10  # timesteps between two curves, more than prepare.max_gap
MODELS = {
    "bidirectional autoencoder": {},
    "the same, untrimmed": {"train": {"trim_share": 0.0}},
    "sub_pca": {"train": {"model": "sub_pca"}},
}
SMALL = {"train": {"epochs": 3, "steps_per_epoch": 40}}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Run the example and return for each model how the points in alarm agree with the simulation, on later curves."""
    options = read_options(__file__, __doc__ or "", arguments)
    series, signal = simulate(300 if options.small else N_CURVES)
    figures, results = {}, {}
    for model, changes in list(MODELS.items())[: 1 if options.small else None]:
        params = load_params(changes=read_changes(__file__, SMALL if options.small else {}, changes))
        fitted = fit_fleet(Folder((series,)), params)
        # the test span begins in the midst of a curve
        start = int(series.segment_starts[np.searchsorted(series.segment_starts, fitted.fleet[0].split.test[0])])
        later = series.rows(start, series.n_timesteps)
        results[model] = fitted.detector.score(later)
        figures[model] = quality(signal[start:], results[model])
    print(aligned(["", *next(iter(figures.values()))], [(name, *row.values()) for name, row in figures.items()]))
    draw(later, signal[start:], next(iter(results.values())), options.out)
    return figures


def quality(signal: BoolArray, result: ScoreResult) -> dict[str, float]:
    """Return how points in alarm and transits agree, point by point and transit by transit."""
    figures = event_scores(signal, result.alarms)
    keys = ("point_precision", "point_recall", "point_f1", "event_precision", "event_recall")
    return {**{key.replace("_", " "): figures[key] for key in keys}, "AUC-PR": average_precision(signal, result.scores)}


def simulate(n_curves: int, seed: int = 0) -> tuple[Series, BoolArray]:
    """Return the curves, one after another with pauses, and which points lie in a transit (T,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(N_POINTS)
    period, phase, height = (rng.uniform(0, most, (n_curves, 2, 1)) for most in (220, 2 * np.pi, 1))
    waves = height * np.sin(2 * np.pi * t / (80 + period) + phase)  # (n, 2, T): the star's own
    flux = waves.sum(axis=1) + rng.normal(0, 0.3, (n_curves, N_POINTS))
    signal = np.zeros((n_curves, N_POINTS), dtype=bool)
    for curve in np.flatnonzero(rng.random(n_curves) < SHARE_WITH_PLANET):
        orbit, length = rng.integers(60, 120), rng.integers(4, 9)
        signal[curve] = (t - rng.integers(orbit)) % orbit < length
        flux[curve] -= rng.uniform(1, 3) * signal[curve]
    index = (np.arange(n_curves)[:, None] * (N_POINTS + PAUSE) + t).ravel()
    return Series.from_frame(pd.DataFrame({"flux": flux.ravel()}, index=index), asset="survey"), signal.ravel()


def draw(series: Series, signal: BoolArray, result: ScoreResult, path: Path) -> None:
    """Draw the first three curves with a transit, and the points in alarm."""
    with_planet = [(start, stop) for start, stop in series.segments if signal[start:stop].any()]
    figure, axes = drawing.new_figure(3, height=520, sharex=True)
    t = np.arange(N_POINTS)
    for each, (first, stop) in zip(axes, with_planet, strict=False):
        flux, alarms = series.values[first:stop, 0], result.alarms[first:stop]
        drawing.draw_readings(each, t, flux, ["flux"])
        drawing.shade_events(each, t, signal[first:stop], label="transit")
        each.plot(t[alarms], flux[alarms], "o", color=drawing.ALARM, markersize=4, label="labelled signal")
    drawing.draw_legend(axes[0])
    axes[0].set_title("Three curves with a transit", fontsize=10, loc="left")
    axes[-1].set_xlabel("timestep", fontsize=9)
    drawing.save(figure, path)


if __name__ == "__main__":
    start(main)
