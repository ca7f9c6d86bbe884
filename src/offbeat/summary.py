"""What the terminal shows of a trained fleet: tables, what to doubt, and the next steps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from offbeat.detection.detector import Detector
from offbeat.evaluation.replay import Replay, summarize
from offbeat.readings.messages import count
from offbeat.reporting import learning_warning
from offbeat.tables import text_table

Metrics = Mapping[str, Any]

COLUMNS = (  # metric key, heading, format
    ("vus_pr", "VUS-PR", "{:.3f}"),
    ("auc_pr", "AUC-PR", "{:.3f}"),
    ("n_events_found", "found", "{:.0f}"),
    ("n_events", "of", "{:.0f}"),
    ("event_precision", "precision", "{:.2f}"),
    ("event_recall", "recall", "{:.2f}"),
    ("event_f1", "F1", "{:.2f}"),
    ("detection_delay_mean", "delay", "{:.1f}"),
    ("false_alarm_rate", "FAR", "{:.1%}"),
    ("false_alarms", "false", "{:.0f}"),
)
UNITS = {"day": "day", "10000_timesteps": "10k"}  # metric key's end, heading's end
HIGH_FALSE_ALARM_RATE = 0.1
CLOSE = 0.02  # in VUS-PR; repeated trainings of one network differ by as much
FEW_EVENTS = 5


def metrics_table(rows: Mapping[str, Metrics]) -> str:
    """Return a row a method or asset: areas, event metrics, mean delay in timesteps, false alarms and their promise."""
    unit = next((unit for unit in UNITS if any(f"false_alarms_per_{unit}" in m for m in rows.values())), "day")
    columns = (
        *COLUMNS,
        (f"false_alarms_per_{unit}", f"false/{UNITS[unit]}", "{:.2f}"),
        (f"promised_false_alarms_per_{unit}", "promised", "{:.2f}"),
    )
    cells = [[name, *(_cell(metrics.get(key), form) for key, _, form in columns)] for name, metrics in rows.items()]
    return text_table([["", *(heading for _, heading, _ in columns)], *cells])


def summary(metrics: Metrics) -> str:
    """Return what `make run` ends with."""
    return "\n".join(
        [
            *_tables(
                metrics["method"],
                metrics["fleet"],
                metrics["baselines"],
                metrics["assets"],
                metrics["training"]["explained_variance"],
            ),
            "Next:",
            "  artifacts/report.html                            # the same with pictures: open it in a browser",
            "  source .venv/bin/activate",
            "  offbeat score data --model artifacts/detector    # when, how long, how strong, which channels",
            "  offbeat validate MYDATA                          # your own folder of CSV files",
            "  offbeat train MYDATA --out mymodel               # and the same for it",
        ]
    )


def fit_summary(detector: Detector, explained_variance: float, replays: Sequence[Replay]) -> list[str]:
    """Return the lines that `offbeat train` ends with."""
    baselines = summarize(replays)
    own = baselines.pop(detector.method)
    assets = {replay.asset: replay.metrics for replay in replays if replay.method == detector.method}
    tables = _tables(detector.method, own, baselines, assets, explained_variance)
    return [*tables, *(f"Warning: {warning}" for warning in threshold_warnings(detector))]


def all_doubts(detector: Detector, replays: Sequence[Replay], explained_variance: float) -> list[str]:
    """Return what a reader should doubt: of the figures, and of the thresholds' promises."""
    baselines = summarize(replays)
    own = baselines.pop(detector.method)
    return [*doubts(own, baselines, explained_variance), *threshold_warnings(detector)]


def threshold_warnings(detector: Detector) -> list[str]:
    """Return why the false-alarm budget cannot be promised, a line for the assets that differ in counts alone."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for name, calibration in detector.assets.items():
        if warning := calibration.threshold.warning:
            alike.setdefault(re.sub(r"got \d+", "", warning), []).append((name, warning))
    return [f"{_listed([name for name, _ in same])}: {same[0][1]}" for same in alike.values()]


def doubts(fleet: Metrics, baselines: Mapping[str, Metrics], explained_variance: float) -> Iterable[str]:
    """Yield what a reader should doubt, a line each."""
    if warning := learning_warning(explained_variance):
        yield warning
    own = fleet["vus_pr"]
    for name, other in baselines.items():
        if None in (own, other["vus_pr"]) or not other["vus_pr"] > own - CLOSE:  # never true of NaN
            continue
        how = "ranks at least as well" if other["vus_pr"] >= own else "comes close"
        yield f"{name} {how}: VUS-PR {other['vus_pr']:.3f} against {own:.3f}; is this model worth its cost?"
    for unit in UNITS:
        realised, promised = fleet.get(f"false_alarms_per_{unit}"), fleet.get(f"promised_false_alarms_per_{unit}")
        if realised and promised and realised > 2 * promised:
            yield f"{realised / promised:.1f} times as many false alarms as promised: normal may have changed"
        if realised is not None and (promised is None or math.isnan(promised)):
            yield "no rate of false alarms is promised: the threshold comes from another rule than the budget"
        elif unit == "day" and promised and promised * fleet.get("normal_days", math.inf) < 1:
            yield (
                f"{fleet['normal_days']:.1f} normal days in the test spans are too few to see whether the promise of "
                f"{promised:.2g} false alarms a day is kept: give longer ones"
            )
    if (fleet["false_alarm_rate"] or 0) > HIGH_FALSE_ALARM_RATE:
        yield (
            f"{fleet['false_alarm_rate']:.0%} of normal timesteps are in alarm: normal may have changed since the "
            "calibration span, or events outlast their labels"
        )
    if not fleet["n_events"]:
        yield "no labelled event in the test spans: only false alarms could be counted"
        return
    if (missed := int(fleet["n_events"] - fleet["n_events_found"])) > fleet["n_events"] / 2:
        yield (
            f"{missed} of {count(int(fleet['n_events']), 'labelled event')} missed at the threshold in use: allow more "
            "false alarms if the ranking (VUS-PR) is good, else try another window or model, and check the labels"
        )
    if fleet["n_events"] < FEW_EVENTS:
        yield f"{count(int(fleet['n_events']), 'labelled event')} in the test spans: each weighs much, chance too"


def _tables(
    method: str,
    fleet: Metrics,
    baselines: Mapping[str, Metrics],
    assets: Mapping[str, Metrics],
    explained_variance: float,
) -> list[str]:
    n_assets, n_events = count(int(fleet["n_assets"]), "asset"), count(int(fleet["n_events"]), "labelled event")
    about = f"{n_assets}, {n_events} in {'its test span' if fleet['n_assets'] == 1 else 'their test spans'}"
    lines = [
        f"{about}. The model explains {explained_variance:.1%} of the variance of held-out normal readings.",
        "",
        metrics_table({method: fleet, **baselines}),
        "",
        metrics_table(assets),
        "",
        "delay: timesteps from an event's start to its first alarm; FAR: share of normal timesteps in alarm;",
        "false: alarms on no event; promised: at most so many",
        "",
    ]
    doubted = [f"Doubt: {doubt}" for doubt in doubts(fleet, baselines, explained_variance)]
    return [*lines, *doubted, ""] if doubted else lines


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]} and {len(names) - 2} more"


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else form.format(value)
