"""Every model, and every way from errors to a score, on one folder of labelled readings.

    python benchmarks/family.py data

Trains each of `MODELS` with params.yaml and the changes named, scores the first with each of `SCORES`, and prints both
as Markdown tables. The readings' labels judge, so the tables are no blind choice.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from offbeat.assembly import calibrate_fleet
from offbeat.detection.detector import Detector
from offbeat.evaluation.replay import network_method, replay, stretch_of, summarize
from offbeat.params import EvaluateParams, changed, load_params, parse_changes
from offbeat.preparation import Prepared
from offbeat.readings.folder import read_folder
from offbeat.training import fit_fleet

MODELS = (
    "",
    "train.cell=gru",
    "train.direction=both",
    "train.units=[64,32]",
    "train.linear_size=0",
    "train.noise=0.3",
    "train.calendar=day",
    "train.model=recurrent_forecaster",
    "train.model=recurrent_forecaster train.horizon=4",
    "train.model=recurrent_forecaster train.horizon=4 train.strategy=recursive",
    "train.model=recurrent_forecaster train.output=quantiles calibrate.error=interval_score",
    "train.model=recurrent_forecaster train.output=dropout calibrate.error=interval_score",
    "train.model=dense_autoencoder",
    "train.model=row_pca train.linear_size=3",
    "train.model=sub_pca",
    "train.model=nearest_windows",
    "train.model=matrix_profile",
    "train.model=moving_average",
    "train.model=last_value",
    "train.model=mean",
    "train.model=mean calibrate.combine=whitened",
)
SCORES = (
    {},
    {"combine": "max"},
    {"combine": "whitened"},
    {"error": "absolute"},
    {"error": "absolute", "combine": "max"},
    {"error": "window"},
    {"error_floor": 0.1},
    {"error_floor": 1.0},
)
HEAD = "| {} | VUS-PR | found | false alarms | seconds |\n| --- | --- | --- | --- | --- |"


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readings", type=Path, nargs="?", default=Path("data"))
    parser.add_argument(
        "-S", "--set", action="append", default=[], dest="changes", help="of all, such as train.epochs=3"
    )
    arguments = parser.parse_args()
    print(HEAD.format("changes to params.yaml"))
    for text in MODELS:
        begin = time.perf_counter()
        params = load_params(changes=parse_changes([*arguments.changes, *text.split()]))
        folder = read_folder(arguments.readings, period=params.prepare.period, max_gap=params.prepare.max_gap)
        fitted = fit_fleet(folder, params)
        seconds = time.perf_counter() - begin
        print(row(text or "none", fitted.detector, fitted.fleet, params.evaluate, seconds), flush=True)
        if not text:
            first = fitted
    print("\n" + HEAD.format("changes to calibrate"))
    for change in SCORES:
        begin = time.perf_counter()
        other = replace(first.detector, params=changed(first.detector.params, change), assets={})
        calibrate_fleet(other, first.fleet)
        seconds = time.perf_counter() - begin
        words = ", ".join(f"{key} {value}" for key, value in change.items()) or "none"
        print(row(words, other, first.fleet, params.evaluate, seconds), flush=True)


def row(name: str, detector: Detector, fleet: list[Prepared], params: EvaluateParams, seconds: float) -> str:
    """Return a line of the table."""
    method = network_method("own", detector)
    metrics = summarize([replay(method, stretch_of(prepared, params)) for prepared in fleet])["own"]
    found = f"{metrics['n_events_found']:.0f} of {metrics['n_events']:.0f}"
    return f"| {name} | {metrics['vus_pr']:.3f} | {found} | {metrics['false_alarms']:.0f} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
