"""Latency and throughput of a server: a Gaussian, and an epsilon with the best F1 on a labelled part.

A reading is anomalous where the density of the Gaussian is below epsilon. Which is best is found out on the labelled
part of the readings, and how good it is on a later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from examples import aligned, drawing, read_changes, read_options, start
from offbeat import Detector, Folder, Series, fit
from offbeat.detection.events import events_of
from offbeat.evaluation.areas import best_f1
from offbeat.evaluation.metrics import event_scores
from offbeat.readings.spans import Span
from offbeat.typing import BoolArray, FloatArray

CHANNELS = ("latency_ms", "throughput_mb_s")
N_READINGS, LABELLED, TEST = 1400, slice(600, 1000), slice(1000, 1400)
SHARE_ANOMALOUS = 0.03


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Run the example and return epsilon and how the readings of the test span below it agree with the truth."""
    options = read_options(__file__, __doc__ or "", arguments)
    series, anomalous = simulate()
    labels = [Span(series.asset, a, b - 1) for a, b in (events_of(anomalous[LABELLED]) + LABELLED.start).tolist()]
    folder = Folder((series,), labels=tuple(labels), test_starts={series.asset: TEST.start})
    detector = fit(folder, read_changes(__file__))
    result = detector.score(series)

    epsilon = density(np.array(result.threshold), detector)
    figures = {"epsilon": float(epsilon)}
    for part, rows in {"labelled": LABELLED, "test": TEST}.items():
        points = event_scores(anomalous[rows], result.alarms[rows])
        figures |= {f"{part} {key}": points[f"point_{key}"] for key in ("precision", "recall", "f1")}
    figures["test oracle f1"] = best_f1(anomalous[TEST], result.scores[TEST])[0]
    print(aligned(["", "value"], figures.items()))
    draw(detector, series, anomalous, result.alarms, options.out)
    return figures


def simulate(seed: int = 0) -> tuple[Series, BoolArray]:
    """Return the readings, and which of them are anomalous (T,): slow, starved, or fast in a way that does not fit."""
    rng = np.random.default_rng(seed)
    busy = rng.normal(0, 1, N_READINGS)  # what both follow
    values = np.column_stack([14 + 1.2 * busy, 15 + 1.6 * busy]) + rng.normal(0, [0.5, 0.7], (N_READINGS, 2))
    anomalous = rng.random(N_READINGS) < SHARE_ANOMALOUS
    off = np.array([[6.0, 0.0], [0.0, -6.0], [-2.5, 3.0]])[rng.integers(3, size=N_READINGS)]
    values[anomalous] += (off * rng.uniform(0.6, 1.4, (N_READINGS, 1)))[anomalous]
    return Series.from_frame(pd.DataFrame(values, columns=list(CHANNELS)), asset="server"), anomalous


def density(scores: FloatArray, detector: Detector) -> FloatArray:
    """Return the density of the Gaussian, in scaled units, where the score is so high.

    p(x) = √|P| / (2π) · exp(-d² / 2) for two channels with precision matrix P; the score is d² / 2.
    """
    precision = detector.assets["server"].usual.precision
    assert precision is not None, "whitened errors have one"
    result: FloatArray = np.sqrt(np.linalg.det(precision)) / (2 * np.pi) * np.exp(-scores)
    return result


def draw(detector: Detector, series: Series, anomalous: BoolArray, alarms: BoolArray, path: Path) -> None:
    """Draw the readings of the test span over the density of the Gaussian."""
    figure, (axes,) = drawing.new_figure(1, height=560)
    across, up = (np.linspace(column.min() - 1, column.max() + 1, 150) for column in series.values.T)
    places = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)  # (150 * 150, 2)
    grid = Series.from_frame(pd.DataFrame(places, columns=list(CHANNELS)), asset=series.asset)
    heights = np.log10(density(detector.score(grid).scores, detector)).reshape(150, 150)
    epsilon = np.log10(density(np.array(detector.assets[series.asset].threshold.value), detector))
    lines = axes.contour(
        across, up, heights, np.arange(-20, 1, 2), colors=drawing.MUTED, linewidths=0.6, linestyles="-"
    )
    axes.clabel(lines, fmt=lambda exponent: f"1e{exponent:.0f}", fontsize=7)
    axes.contour(across, up, heights, [epsilon], colors=drawing.ALARM, linewidths=1.2)
    for mask, colour, label in ((~anomalous, drawing.READING, "normal"), (anomalous, drawing.EVENT, "anomalous")):
        shown = series.values[TEST][mask[TEST]]
        axes.plot(*shown.T, "o", color=colour, markersize=4, markeredgewidth=0, label=label)
    axes.plot(
        *series.values[TEST][alarms[TEST]].T, "o", color=drawing.ALARM, fillstyle="none", markersize=9, label="alarm"
    )
    axes.set_xlabel("latency in ms", fontsize=9)
    axes.set_ylabel("throughput in MB/s", fontsize=9)
    axes.set_title("Density of the Gaussian, and epsilon (dashed)", fontsize=10, loc="left")
    drawing.draw_legend(axes)
    drawing.save(figure, path)


if __name__ == "__main__":
    start(main)
