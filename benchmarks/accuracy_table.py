"""Results to tables: a row for each series, method and seed, and means of each set.

Means are taken over the series of a set first, then over the seeds: the spread is that between seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_methods import DRAWN, FIXED, LSTM, NETWORKS, UNTRAINED, methods_of
from benchmarks.accuracy_sets import SETS
from offbeat.evaluation.metrics import COUNTS, fleet_metrics
from offbeat.files import write_csv

Row = dict[str, Any]
FIRST_COLUMNS = ("set", "group", "asset", "method", "seed", "n_channels", "vus_pr", "auc_pr", "event_f1")
METHODS = (*(name for network in NETWORKS for name in methods_of(network)), *FIXED, *DRAWN)
SEEDED = (*NETWORKS, *(name for network in NETWORKS for name in methods_of(network)), *DRAWN)


def read_results(paths: Iterable[Path]) -> list[Row]:
    """Return a row for each series of each result that is there; a figure that is not known is NaN."""
    rows = []
    for path in paths:
        if not path.exists():
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        series = content.pop("series")
        rows += [content | {key: math.nan if v is None else v for key, v in one.items()} for one in series]
    return rows


def write_series(path: Path, rows: Sequence[Row]) -> None:
    """Write every row with every figure as CSV; what a series has no figure for is empty."""
    names = dict.fromkeys([*FIRST_COLUMNS, *(key for row in rows for key in row)])
    write_csv(path, list(names), [[_cell(row.get(name)) for name in names] for row in rows])


def _cell(value: Any) -> Any:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value


def chosen(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    """Return the rows in which each key has the wanted value."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def sets_of(rows: Sequence[Row]) -> list[str]:
    """Return the sets that have a row, in the order of `SETS`."""
    return [name for name in SETS if any(row["set"] == name for row in rows)]


def by_seed(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each seed."""
    return [chosen(rows, seed=seed) for seed in sorted({row["seed"] for row in rows})]


def mean_of(rows: Sequence[Row], key: str) -> float:
    """Return the mean of a figure over the rows that have one; NaN where none has."""
    known = [row[key] for row in rows if not math.isnan(row.get(key, math.nan))]
    return float(np.mean(known)) if known else math.nan


def over_seeds(rows: Sequence[Row], key: str) -> tuple[float, float]:
    """Return mean and spread over seeds of the pooled figure `key`; NaN where there is none, or one seed."""
    figures = np.array([pooled(one)[key] for one in by_seed(rows)])
    figures = figures[~np.isnan(figures)]
    if not len(figures):
        return math.nan, math.nan
    spread = float(figures.std(ddof=1)) if len(figures) > 1 else math.nan
    return float(figures.mean()), spread


def pooled(rows: Sequence[Row]) -> Row:
    """Return the figures of some series together: means of the areas, ratios of the counts summed over all of them.

    `overlap_f1` counts events found, events missed and alarms on no event, each once, as Orion does. `whole_*` are of
    whole series, the rest of test spans.
    """
    metrics: Row = dict(fleet_metrics(rows))
    metrics |= {key: mean_of(rows, key) for key in ("vus_pr", "auc_pr")}
    found, missed = metrics["n_events_found"], metrics["n_events"] - metrics["n_events_found"]
    metrics["overlap_f1"] = ratio(2 * found, 2 * found + missed + metrics["false_alarms"])
    whole = {key: sum(row[f"whole_{key}"] for row in rows) for key in COUNTS if f"whole_{key}" in rows[0]}
    hits, false, labelled = whole["true_positives"], whole["false_positives"], whole["n_labelled"]
    metrics |= {
        "whole_point_f1": ratio(2 * hits, hits + false + labelled),
        "whole_false_alarm_rate": ratio(false, whole["n_timesteps"] - labelled),
        "whole_missed_alarm_rate": ratio(labelled - hits, labelled),
    }
    for kind in ("verdict", "block_verdict"):
        said = [row[f"promise_{kind}"] for row in rows if row.get(f"promise_{kind}")]
        metrics[f"within_{kind}"] = ratio(said.count("within"), len(said))
        metrics[f"above_{kind}"] = ratio(said.count("above"), len(said))
    groups = {row["group"]: row for row in rows}.values()  # a group's seconds stand in each of its rows
    return metrics | {key: sum(row[key] for row in groups) for key in ("train_s", "score_s")}


def trained_beats_untrained(rows: Sequence[Row], name: str = LSTM) -> tuple[float, int]:
    """Return in which share of series and seeds the trained network has the higher VUS-PR, and of how many."""
    places = [
        {(r["set"], r["asset"], r["seed"]): r["vus_pr"] for r in chosen(rows, method=m)} for m in (name, UNTRAINED)
    ]
    both = [(places[0][key], places[1][key]) for key in places[0] if key in places[1]]
    known = [trained > other for trained, other in both if not math.isnan(trained + other)]
    return ratio(sum(known), len(known)), len(known)


def ratio(part: float, whole: float) -> float:
    """Return a share, NaN of nothing."""
    return part / whole if whole else math.nan


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *lines])


def shown(value: float, spread: float = math.nan, form: str = ".3f") -> str:
    """Return a figure with its spread, if it has one; a dash where there is none."""
    if math.isnan(value):
        return "–"
    return f"{value:{form}}" + ("" if math.isnan(spread) else f" ± {spread:{form}}")
