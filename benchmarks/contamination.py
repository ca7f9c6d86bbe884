"""What unknown incidents in the readings to learn from cost, and what leaving the worst windows out gains.

    python benchmarks/contamination.py data --shares 0 0.01 0.05 0.1

Puts unlabelled events into copies of a fleet, in the given share of the rows before the test spans, trains with and
without `train.trim_share`, calibrates by the rule of the params and by the one that expects a few anomalies, and judges
all on the untouched test spans. Prints a Markdown table and writes the same as JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from offbeat.assembly import calibrate_fleet
from offbeat.detection.detector import Detector
from offbeat.evaluation.replay import network_method, replay, stretch_of, summarize
from offbeat.params import Params, load_params, parse_changes
from offbeat.preparation import Prepared, prepare_fleet
from offbeat.readings.folder import Folder, read_folder
from offbeat.readings.injection import DEFAULT_STRENGTHS, EVENT_KINDS, inject
from offbeat.readings.series import Series
from offbeat.training import fit_fleet
from offbeat.window_choice import choose_window

LENGTHS = (12, 96)  # timesteps of an event, and of a spike
SPIKE_LENGTHS = (1, 3)
COLUMNS = ("vus_pr", "n_events_found", "n_events", "false_alarms", "event_f1")


def main() -> None:
    """Contaminate, train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readings", type=Path, nargs="?", default=Path("data"))
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.01, 0.05, 0.1])
    parser.add_argument("--trim", type=float, default=0.1, help="train.trim_share of the second training")
    parser.add_argument("-S", "--set", action="append", default=[], dest="changes", help="such as train.epochs=3")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("artifacts/contamination.json"))
    arguments = parser.parse_args()
    changes = parse_changes(arguments.changes)
    params = load_params(changes=changes)
    clean = read_folder(arguments.readings, period=params.prepare.period, max_gap=params.prepare.max_gap)
    rows = []
    for share in arguments.shares:
        folder = contaminated(clean, params, share, arguments.seed)
        for trim in (0.0, arguments.trim):
            trained = load_params(changes={**changes, "train": {**changes.get("train", {}), "trim_share": trim}})
            rows += [{"share": share, "trim": trim, **row} for row in judged(folder, trained)]
            print(table(rows[-2:]), flush=True)
    print(table(rows))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(rows, indent=2) + "\n")


def contaminated(folder: Folder, params: Params, share: float, seed: int) -> Folder:
    """Return a copy with unlabelled events in about that share of the normal rows before the test spans."""
    prepare, _ = choose_window(folder, params.prepare)
    fleet = prepare_fleet(folder, prepare)
    rng = np.random.default_rng(seed)
    return replace(folder, series=tuple(_with_events(prepared, share, rng) for prepared in fleet))


def _with_events(prepared: Prepared, share: float, rng: np.random.Generator) -> Series:
    series, stop = prepared.series, prepared.split.test[0]
    values, touched = series.values, np.zeros(stop, dtype=bool)
    while touched.sum() < share * stop:
        kind = str(rng.choice(EVENT_KINDS))
        length = int(rng.integers(*(SPIKE_LENGTHS if kind == "spike" else LENGTHS), endpoint=True))
        start = int(rng.integers(length, stop - length))
        if prepared.normal[start : start + length].all() and not touched[start : start + length].any():
            channel = int(rng.integers(series.n_channels))
            values = inject(values, kind, start, start + length, channel, DEFAULT_STRENGTHS[kind], rng)
            touched[start : start + length] = True
    return replace(series, values=values)


def judged(folder: Folder, params: Params) -> list[dict[str, Any]]:
    """Train, and return the fleet's metrics at the threshold of the params and at the one that expects anomalies."""
    fitted = fit_fleet(folder, params)
    detector, fleet = fitted.detector, fitted.fleet
    dynamic = replace(detector, params=detector.params.model_copy(update={"method": "dynamic"}), assets={})
    calibrate_fleet(dynamic, fleet)
    return [{"threshold": one.params.method, **_metrics(one, fleet, params)} for one in (detector, dynamic)]


def _metrics(detector: Detector, fleet: list[Prepared], params: Params) -> Mapping[str, float]:
    method = network_method("own", detector)
    metrics = summarize([replay(method, stretch_of(prepared, params.evaluate)) for prepared in fleet])["own"]
    return {key: metrics[key] for key in COLUMNS}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| contaminated | trimmed | threshold | VUS-PR | found | false alarms | event F1 |", "|" + " --- |" * 7]
    for row in rows:
        found = f"{row['n_events_found']:.0f} of {row['n_events']:.0f}"
        figures = f"{row['vus_pr']:.3f} | {found} | {row['false_alarms']:.0f} | {row['event_f1']:.2f}"
        lines.append(f"| {row['share']:.0%} | {row['trim']:.0%} | {row['threshold']} | {figures} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
