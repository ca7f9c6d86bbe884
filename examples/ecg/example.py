"""Heartbeats: a forecaster of several steps, the Gaussian of its errors, and what a threshold chosen by labels hides.

After Malhotra et al. 2015, "Long short term memory networks for anomaly detection in time series". The public series
has one lead; its slope, how much it changed since the reading before, stands in for a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from examples import aligned, drawing, read_changes, read_options, start
from examples.public import judge, read_public
from offbeat import Folder, Series
from offbeat.evaluation.areas import precision_recall_curve
from offbeat.evaluation.metrics import event_scores
from offbeat.evaluation.replay import Replay
from offbeat.params import load_params
from offbeat.preparation import Prepared
from offbeat.training import fit_fleet

ASSET = "119-ECG1"
SMALL = {"train": {"epochs": 4, "steps_per_epoch": 25, "units": 16}}


def with_slope(series: Series) -> Series:
    """Return the series with how much it changed since the reading before as a second channel."""
    slope = np.diff(series.values, axis=0, prepend=series.values[:1])
    return replace(series, channels=("lead", "slope"), values=np.hstack([series.values, slope]))


def at_thresholds(one: Prepared, judged: Replay) -> dict[str, tuple[float, dict[str, float]]]:
    """Return the calibrated threshold, others around it and the oracle's, and what the test span comes to at each."""
    rows = slice(one.split.test[0], None)
    labels, scores = one.labelled[rows], judged.scores[rows]
    calibrated = judged.threshold.value
    thresholds = {f"{factor:g} x calibrated": factor * calibrated for factor in (0.25, 0.5, 2.0, 4.0)}
    thresholds |= {"calibrated": calibrated, "oracle, chosen by these labels": judged.metrics["oracle_threshold"]}
    ascending = sorted(thresholds.items(), key=lambda item: item[1])
    return {name: (threshold, event_scores(labels, scores > threshold)) for name, threshold in ascending}


def draw(one: Prepared, judged: Replay) -> drawing.Figure:
    """Draw the readings around the event, their scores, and precision and recall at every threshold."""
    figure, (above, below, curve) = drawing.new_figure(3, height=620, height_ratios=[2, 2, 3])
    series, middle = one.series, int(np.flatnonzero(one.labelled).mean())
    rows = slice(max(one.split.test[0], middle - 1200), middle + 1200)
    drawing.draw_readings(above, series.index[rows], series.values[rows, 0], ["lead"], title="The labelled beats")
    drawing.draw_score(below, series.index[rows], judged.scores[rows], judged.threshold.value, judged.alarms[rows])
    for axes in (above, below):
        drawing.shade_events(axes, series.index[rows], one.labelled[rows])

    test = slice(one.split.test[0], None)
    precision, recall, thresholds = precision_recall_curve(one.labelled[test], judged.scores[test])
    for name, values, colour in (
        ("precision", precision, drawing.READING),
        ("recall", recall, drawing.EVENT),
        ("F1", 2 * precision * recall / np.maximum(precision + recall, 1e-12), drawing.SCORE),
    ):
        curve.plot(thresholds, values, color=colour, linewidth=1.2, label=name)
    curve.axvline(judged.threshold.value, color=drawing.ALARM, linestyle="--", label="calibrated")
    curve.axvline(judged.metrics["oracle_threshold"], color=drawing.MUTED, linestyle=":", label="oracle")
    curve.set_xscale("log")
    curve.set_xlabel("threshold", fontsize=9)
    curve.legend(fontsize=7, frameon=False, ncols=5, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def main(arguments: Sequence[str] | None = None) -> dict[str, tuple[float, dict[str, float]]]:
    """Run the example and return what the test span comes to at each threshold."""
    options = read_options(__file__, __doc__ or "", arguments, public=True)
    params = load_params(changes=read_changes(__file__, SMALL if options.small else {}))
    folder: Folder = read_public("ucr", ASSET, options.source)
    fitted = fit_fleet(replace(folder, series=tuple(map(with_slope, folder.series))), params)
    (one,), judged = fitted.fleet, judge(fitted, params)
    figures = at_thresholds(one, judged)

    keys = ["point_precision", "point_recall", "point_f1", "n_events_found", "false_alarms"]
    rows = [[name, threshold, *(by[key] for key in keys)] for name, (threshold, by) in figures.items()]
    print(aligned(["threshold", "", "precision", "recall", "F1", "found of 1", "false alarms"], rows))
    print(f"\nVUS-PR {judged.metrics['vus_pr']:.2f}; explained variance of each channel's held-out readings:")
    print(dict(zip(one.series.channels, fitted.trained.explained_variance.round(3).tolist(), strict=True)))
    print(judged.threshold.warning or "the calibration span is long enough for the budget")
    drawing.save(draw(one, judged), options.out)
    return figures


if __name__ == "__main__":
    start(main)
