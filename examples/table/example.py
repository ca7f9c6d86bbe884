"""A table without time, 1,000 normal rows of 20 columns and 50 outliers: one error a row, and a budget of false alarms.

Four values of an outlier come from other rows: each is usual in its column, and they do not go together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from examples import aligned, drawing, read_changes, read_options, start
from offbeat import Folder, Series
from offbeat.evaluation.areas import average_precision
from offbeat.evaluation.metrics import event_scores
from offbeat.params import load_params
from offbeat.training import fit_fleet
from offbeat.typing import BoolArray, FloatArray

N_ROWS, N_COLUMNS, N_OUTLIERS, N_CHANGED, N_FACTORS, TEST_START = 1000, 20, 50, 4, 4, 900
MODELS = {
    "dense_autoencoder": {},
    "row_pca": {"train": {"model": "row_pca", "linear_size": N_FACTORS}},
    "mean": {"train": {"model": "mean"}},
}
SMALL = {"train": {"epochs": 10, "patience": 3}}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Run the example and return for each model how good it is on the rows that it learnt nothing from."""
    options = read_options(__file__, __doc__ or "", arguments)
    series, outlier = simulate()
    folder, test = Folder((series,), test_starts={series.asset: TEST_START}), slice(TEST_START, None)
    figures, shown = {}, {}
    for model, changes in MODELS.items():
        fitted = fit_fleet(folder, load_params(changes=read_changes(__file__, SMALL if options.small else {}, changes)))
        result = fitted.detector.score(series)
        figures[model] = quality(outlier[test], result.scores[test], result.alarms[test])
        shown[model] = (fitted.trained.epochs, result)

    columns = list(next(iter(figures.values())))
    print(aligned(["", *columns], [(model, *row.values()) for model, row in figures.items()]))
    epochs, result = shown["dense_autoencoder"]
    figure, (curve, histogram) = drawing.new_figure(1, 2, height=320)
    curve.plot([e.epoch for e in epochs], [e.loss for e in epochs], color=drawing.READING, label="training rows")
    curve.plot([e.epoch for e in epochs], [e.held_out_loss for e in epochs], color=drawing.ALARM, label="held-out rows")
    curve.set_title("Loss in scaled units", fontsize=10, loc="left")
    curve.set_xlabel("epoch", fontsize=9)
    curve.set_ylim(0)
    curve.legend(fontsize=7, frameon=False)
    drawing.draw_histogram(histogram, result.scores[test][~outlier[test]], result.scores[outlier], result.threshold)
    histogram.set_title("Rows of the test span", fontsize=10, loc="left")
    drawing.save(figure, options.out)
    return figures


def simulate(seed: int = 0) -> tuple[Series, BoolArray]:
    """Return the table, its outliers at random places among the last 150 rows, and which they are (T,)."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(0, 1, (N_FACTORS, N_COLUMNS))

    def rows(factors: FloatArray) -> FloatArray:
        return np.tanh(factors @ mix) + rng.normal(0, 0.1, (len(factors), N_COLUMNS))

    values = rows(rng.normal(0, 1, (N_ROWS, N_FACTORS)))
    outliers = rows(rng.normal(0, 1, (N_OUTLIERS, N_FACTORS)))
    for row in outliers:
        changed = rng.choice(N_COLUMNS, N_CHANGED, replace=False)
        row[changed] = values[rng.integers(N_ROWS, size=N_CHANGED), changed]  # each from another row
    order = rng.permutation(N_ROWS - TEST_START + N_OUTLIERS)
    tail = np.concatenate([values[TEST_START:], outliers])[order]
    frame = pd.DataFrame(
        np.concatenate([values[:TEST_START], tail]), columns=[f"column_{k + 1}" for k in range(N_COLUMNS)]
    )
    return Series.from_frame(frame, asset="table"), np.r_[
        np.zeros(TEST_START, dtype=bool), order >= N_ROWS - TEST_START
    ]


def quality(outlier: BoolArray, scores: FloatArray, alarms: BoolArray) -> dict[str, float]:
    """Return how the rows in alarm and the outliers among them agree, and how well scores rank them."""
    points = event_scores(outlier, alarms)
    names = {
        "precision": "point_precision",
        "recall": "point_recall",
        "F1": "point_f1",
        "false alarm rate": "false_alarm_rate",
    }
    return {**{name: points[key] for name, key in names.items()}, "AUC-PR": average_precision(outlier, scores)}


if __name__ == "__main__":
    start(main)
