"""How far `offbeat compare` is to be trusted: rankings by injected events beside rankings by real labelled ones.

    python benchmarks/compare.py                                     # the bundled fleet, in data/
    python benchmarks/compare.py --data ../shared/data asd skab      # public sets, from a local copy

Each set is learnt with the settings in `CANDIDATES`, in fewer steps than params.yaml has, so that they take minutes. A
setting that does not fit a set's readings is left out. Prints for each set and seed a table of the settings and
Spearman's rank correlations, and at the end what the choice by injected events costs in VUS-PR.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import combinations
from pathlib import Path
from typing import Any

from offbeat.choice import compare_settings, settings_of
from offbeat.errors import ReadingsError
from offbeat.evaluation.comparison import rank_correlation
from offbeat.params import Params
from offbeat.preparation import prepare_fleet
from offbeat.readings.datasets import fetch
from offbeat.readings.folder import Folder, read_folder
from offbeat.tables import text_table
from offbeat.window_choice import choose_window

FLEET = Path(__file__).resolve().parents[1] / "data"
PLACES = {"nyc_taxi": ("nab", "nab/realKnownCause/nyc_taxi.csv")}  # others: the set's name is its folder's
FASTER = ("train.epochs=5", "train.steps_per_epoch=40")
FAR = 10  # injected events of 114: about what the sign test asks for
CANDIDATES = (
    "train.units=8",
    "train.latent_size=2",
    "train.latent_size=32",
    "train.linear_size=0",
    "train.linear_size=4",
    "train.epochs=1",
    "prepare.window_size=16",
    "prepare.window_size=64",
    "calibrate.smoothing=4 calibrate.delay=4",
    "calibrate.smoothing=1 calibrate.delay=0",
)


def main() -> None:
    """Compare the settings on each set and print how well both rankings agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", help="public sets, such as asd; with none, the bundled fleet")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="a local copy of the public sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7], help="of training and of the injected events")
    parser.add_argument("--out", type=Path, default=Path("artifacts/compare.json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for name in arguments.sets or ["fleet"]:
        for seed in arguments.seeds:
            rows = measure(name, arguments.data, seed)
            print(f"{name}, seed {seed}\n\n{table(rows)}\n\n{agreement(rows)}\n", flush=True)
            results[f"{name}-{seed}"] = rows
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results, indent=2) + "\n")


def measure(name: str, data: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Return the rows of the comparison, best first by injected events."""
    settings = settings_of(None, CANDIDATES, (*FASTER, f"train.seed={seed}"))
    folder = readings_of(name, data, next(iter(settings.values())))
    fitting = {text: params for text, params in settings.items() if fits(folder, params, text)}
    return compare_settings(folder, fitting, seed).rows


def readings_of(name: str, data: Path, params: Params) -> Folder:
    """Return the bundled fleet, or a public set."""
    if name == "fleet":
        return read_folder(FLEET, max_gap=params.prepare.max_gap)
    public, place = PLACES.get(name, (name, name))
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / public
        fetch(public, directory, data / place)
        (directory / "readings" / "anomaly-free.csv").unlink(missing_ok=True)  # of skab: another flow than the others
        return read_folder(directory, max_gap=params.prepare.max_gap)


def fits(folder: Folder, params: Params, text: str) -> bool:
    """Return whether a setting's windows fit into the spans of the readings."""
    try:
        prepare_fleet(folder, choose_window(folder, params.prepare)[0])
    except ReadingsError as error:
        print(f"left out: {text}: {error}")
        return False
    return True


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return a row a setting: what it finds of injected and of labelled events."""
    cells = [["", "injected", "of", "over budget", "in alarm", "labelled", "of", "event F1", "VUS-PR"]]
    for name, row in rows.items():
        injected = [f"{row['n_injected_found']}", f"{row['n_injected']}", "yes" if row["over_budget"] else "no"]
        labelled = [f"{row['n_events_found']}", f"{row['n_events']}", f"{row['event_f1']:.2f}", f"{row['vus_pr']:.3f}"]
        cells.append([name, *injected, f"{row['alarm_share']:.1%}", *labelled])
    return text_table(cells)


def agreement(rows: dict[str, dict[str, Any]]) -> str:
    """Return how well the rankings of the settings agree, and what the choice by injected events costs."""
    trained = [row for row in rows.values() if row["seconds"] == row["seconds"]]  # PCA and the untrained network: NaN
    lines = []
    for which, chosen in ((f"the {len(trained)} settings", trained), ("with PCA and untrained", [*rows.values()])):
        found = {key: [row[key] for row in chosen] for key in ("n_counted", "n_injected_found", "vus_pr", "event_f1")}
        figures = [
            f"{words} {rank_correlation(found[one], found[other]):.2f}"
            for words, one, other in (
                ("injected found in budget and VUS-PR", "n_counted", "vus_pr"),
                ("injected found at all and VUS-PR", "n_injected_found", "vus_pr"),
                ("injected found in budget and event F1", "n_counted", "event_f1"),
            )
        ]
        lines.append(f"Spearman, {which}: {', '.join(figures)}")
    far, near = pairs_alike(trained)
    lines.append(
        f"Pairs that VUS-PR orders alike: {far} of those {FAR} injected events or more apart, {near} of the others"
    )
    areas = [row["vus_pr"] for row in trained]
    mean = sum(areas) / len(areas)
    lines.append(f"VUS-PR of the setting that finds most: {areas[0]:.3f}; best {max(areas):.3f}, mean {mean:.3f}")
    return "\n".join(lines)


def pairs_alike(rows: list[dict[str, Any]]) -> tuple[str, str]:
    """Return how many pairs both figures order alike, of those far apart in injected events and of those near."""
    alike: dict[bool, list[bool]] = {True: [], False: []}
    for one, other in combinations(rows, 2):
        lead = one["n_counted"] - other["n_counted"]
        if lead:
            alike[abs(lead) >= FAR].append((one["vus_pr"] - other["vus_pr"]) * lead > 0)
    return tuple(f"{sum(alike[far])} of {len(alike[far])}" for far in (True, False))


if __name__ == "__main__":
    main()
