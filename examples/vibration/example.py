"""Twenty machines, a raw vibration snapshot of each every hour: which wear out, and how long before they fail?

One forecaster learns peak and RMS of all of them from their healthy start. What counts is the alarm that lasts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from examples import drawing, read_changes, read_options, table
from offbeat import Folder, ScoreResult, Series, load_params
from offbeat.evaluation.metrics import event_scores, fleet_metrics
from offbeat.readings.features import FEATURES, snapshot_features
from offbeat.training import Fitted, fit_fleet

N_MACHINES, N_HOURS, N_SAMPLES, SAMPLING_HZ = 20, 40 * 24, 1024, 10_000.0
SMALL = {"train": {"epochs": 2}}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Run the example and return the metrics of the fleet for each model."""
    options = read_options(__file__, __doc__ or "", arguments)
    series, onsets = zip(*[simulate(k) for k in range(6 if options.small else N_MACHINES)], strict=True)
    small, folder, metrics = SMALL if options.small else {}, Folder(series), {}
    for model in ("mean", "recurrent_forecaster"):
        calendar = "none" if model == "mean" else "day"
        changes = read_changes(__file__, small, {"train": {"model": model, "calendar": calendar}})
        fitted = fit_fleet(folder, load_params(changes=changes))
        results = [fitted.detector.score(machine) for machine in series]
        metrics[model] = evaluate(fitted, results, onsets)

    rows = [(machine.asset, onset, *lead) for machine, onset, lead in zip(series, onsets, map(lead_times, results))]
    return metrics


def lead_hours(result: ScoreResult) -> float:
    """Return how many hours before the end the alarm begins that lasts until then; NaN if none does."""
    last = result.events[-1] if result.events else None
    return float(last.stop - last.start) if last and last.stop == len(result.scores) else float("nan")
