"""Twenty machines, a raw vibration snapshot of each every hour: which wear out, and how long before they fail?

One forecaster learns peak and RMS of all of them from their healthy start. What counts is the alarm that lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from examples import aligned, drawing, read_changes, read_options, start
from offbeat import Folder, ScoreResult, Series
from offbeat.evaluation.metrics import event_scores, fleet_metrics
from offbeat.params import load_params
from offbeat.readings.features import FEATURES, snapshot_features
from offbeat.training import fit_fleet

N_MACHINES, N_HOURS, N_SAMPLES, SAMPLING_HZ = 20, 40 * 24, 1024, 10_000.0
NEVER = N_HOURS  # the hour from which a machine wears that does not
MODELS = {"recurrent_forecaster": {}, "mean": {"train": {"model": "mean", "calendar": "none"}}}
SMALL = {"train": {"epochs": 2}}


def main(arguments: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Run the example and return for each model the metrics of the fleet after its healthy start."""
    options = read_options(__file__, __doc__ or "", arguments)
    machines, onsets = zip(*map(simulate, range(6 if options.small else N_MACHINES)), strict=True)
    results, metrics = {}, {}
    for model, changes in MODELS.items():
        params = load_params(changes=read_changes(__file__, SMALL if options.small else {}, changes))
        fitted = fit_fleet(Folder(machines), params)
        results[model] = [fitted.detector.score(machine) for machine in machines]
        metrics[model] = evaluate(results[model], onsets, fitted.fleet[0].split.test[0])

    learnt = results["recurrent_forecaster"]
    rows = [
        (result.asset, str(onset) if onset < NEVER else "never", lead_days(result), lasting_hour(result) - onset)
        for result, onset in zip(learnt, onsets, strict=True)
    ]
    print(aligned(["", "wears from hour", "lead time in days", "hours from wear to alarm"], rows) + "\n")
    keys = ("wearing", "found in time", "median lead in days", "false alarms", "false alarms a machine and week")
    print(aligned(["", *keys], [(model, *(figures[key] for key in keys)) for model, figures in metrics.items()]))
    draw(learnt, onsets, options.out)
    return metrics


def simulate(number: int) -> tuple[Series, int]:
    """Return a machine's peak and RMS every hour until its end, and the hour from which its bearing wears."""
    rng = np.random.default_rng([1, number])
    onset = NEVER if number % 4 == 3 else int(N_HOURS * rng.uniform(0.7, 0.9))
    hours = np.arange(N_HOURS)
    at_work = (hours % 24 >= 6) & (hours % 24 < 22) & (hours // 24 % 7 < 5)  # two shifts, Monday to Friday
    load = np.where(at_work, 1.0, 0.3) + rng.normal(0, 0.03, N_HOURS)
    wear = np.clip((hours - onset) / max(N_HOURS - onset, 1), 0, 1) ** 2  # slow at first
    level, speed_hz = rng.uniform(0.5, 2), rng.uniform(20, 30)
    seconds = np.arange(N_SAMPLES) / SAMPLING_HZ
    rows = np.empty((N_HOURS, len(FEATURES)))
    for hour in hours:
        snapshot = load[hour] * np.sin(2 * np.pi * (speed_hz * seconds + rng.random())) + rng.normal(0, 0.1, N_SAMPLES)
        struck = rng.random(N_SAMPLES) < 5 * speed_hz / SAMPLING_HZ  # a damaged race strikes some five times a turn
        snapshot[struck] += rng.normal(0, 4 * wear[hour], struck.sum())
        rows[hour] = snapshot_features(level * snapshot[:, None], SAMPLING_HZ, ())[0]
    frame = pd.DataFrame(rows, pd.date_range("2026-01-05", periods=N_HOURS, freq="h"), list(FEATURES))
    return Series.from_frame(frame[["peak", "rms"]], asset=f"machine-{number + 1}"), onset


def lasting_hour(result: ScoreResult) -> float:
    """Return the hour in which the alarm begins that lasts until the end; NaN if there is none."""
    last = result.events[-1] if result.events else None
    return float(last.start) if last and last.stop == len(result.scores) else float("nan")


def lead_days(result: ScoreResult) -> float:
    """Return for how many days before the end the lasting alarm was on."""
    return (len(result.scores) - lasting_hour(result)) / 24


def evaluate(results: Sequence[ScoreResult], onsets: Sequence[int], first: int) -> dict[str, float]:
    """Return how the alarms from hour `first` on, the test span, agree with the wear."""
    hours = np.arange(first, N_HOURS)
    both = zip(results, onsets, strict=True)
    fleet = fleet_metrics([event_scores(hours >= onset, r.alarms[first:], period_s=3600.0) for r, onset in both])
    leads = [lead_days(result) for result, onset in zip(results, onsets, strict=True) if onset < NEVER]
    return {
        "wearing": fleet["n_events"],
        "found in time": int(np.isfinite(leads).sum()),
        "median lead in days": float(np.median(np.nan_to_num(leads))),  # a machine that is missed has none
        "false alarms": fleet["false_alarms"],
        "false alarms a machine and week": fleet["false_alarms_per_day"] * 7,
    }


def draw(results: Sequence[ScoreResult], onsets: Sequence[int], path: Path) -> None:
    """Draw when each machine is in alarm, and the score of the first."""
    figure, (fleet, one) = drawing.new_figure(2, height=520, height_ratios=[2, 1], sharex=True)
    days = np.arange(N_HOURS) / 24
    for place, (result, onset) in enumerate(zip(results, onsets, strict=True)):
        fleet.axhline(place, color="#e4e4e4", linewidth=0.8, zorder=0)
        for event in result.events:
            fleet.plot([days[event.start], days[event.stop - 1]], [place, place], color=drawing.ALARM, linewidth=3)
        if onset < NEVER:
            fleet.plot(days[onset], place, "|", color="black", markersize=8, markeredgewidth=1.5)
    fleet.set_yticks(range(len(results)), [result.asset for result in results], fontsize=6)
    fleet.set_title("In alarm (red), and where wear begins (|)", fontsize=10, loc="left")
    fleet.invert_yaxis()
    first = results[0]
    drawing.shade_events(one, days, np.arange(N_HOURS) >= onsets[0], label="wear")
    drawing.draw_score(one, days, first.scores, first.threshold, first.alarms)
    one.set_title(first.asset, fontsize=10, loc="left")
    one.set_xlabel("days", fontsize=9)
    drawing.save(figure, path)


if __name__ == "__main__":
    start(main)
