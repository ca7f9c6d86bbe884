"""The temperature of an office: a dense autoencoder of days, a quantile as threshold, judged by real labels.

Tutorials of this kind often judge alarms by labels that they made with the same threshold, and find precision 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from examples import aligned, drawing, read_changes, read_options, start
from examples.public import judge, read_public
from offbeat.evaluation.metrics import event_scores
from offbeat.evaluation.replay import Replay
from offbeat.params import load_params
from offbeat.preparation import Prepared
from offbeat.training import fit_fleet

ASSET = "ambient_temperature_system_failure"
SMALL = {"train": {"epochs": 5, "steps_per_epoch": 30}}


def rules(one: Prepared, judged: Replay) -> dict[str, dict[str, float]]:
    """Return what several ways to mark the test span come to, by name: figures of timesteps and of events."""
    rows = slice(one.split.test[0], None)
    labels, scores, alarms = one.labelled[rows], judged.scores[rows], judged.alarms[rows]
    oracle = scores > judged.metrics["oracle_threshold"]
    return {
        "calibrated quantile": event_scores(labels, alarms),
        "oracle, chosen by these labels": event_scores(labels, oracle),
        "everything": event_scores(labels, np.ones_like(labels)),
        "calibrated, by its own alarms": event_scores(alarms, alarms),
    }


def draw(one: Prepared, judged: Replay) -> drawing.Figure:
    """Draw readings and scores, the labelled events, the threshold and the alarms."""
    figure, (above, below) = drawing.new_figure(sharex=True)
    series = one.series
    drawing.draw_readings(above, series.index, series.values, ["°F"], title="Temperature, and two labelled failures")
    drawing.draw_score(below, series.index, judged.scores, judged.threshold.value, judged.alarms)
    for axes in (above, below):
        drawing.shade_events(axes, series.index, one.labelled)
        axes.axvline(series.index[one.split.test[0]], color=drawing.MUTED, linestyle=":")
    below.set_title("Score; the test span begins at the dotted line", fontsize=10, loc="left")
    return figure


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Run the example and return the figures of each way to mark the test span."""
    options = read_options(__file__, __doc__ or "", arguments, public=True)
    params = load_params(changes=read_changes(__file__, SMALL if options.small else {}))
    fitted = fit_fleet(read_public("nab", ASSET, options.source), params)
    (one,), judged = fitted.fleet, judge(fitted, params)
    figures = rules(one, judged)

    keys = ["point_precision", "point_recall", "point_f1", "n_events_found", "n_events", "false_alarms"]
    header = ["alarms by", "precision", "recall", "F1", "found", "of", "false alarms"]
    print(aligned(header, [[name, *(by[key] for key in keys)] for name, by in figures.items()]))
    print(f"\nVUS-PR {judged.metrics['vus_pr']:.2f}; found: {', '.join(map(str, judged.found))}")
    drawing.save(draw(one, judged), options.out)
    return figures


if __name__ == "__main__":
    start(main)
