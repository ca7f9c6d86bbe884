"""What speed and memory must reach, and what was measured, as a table.

A figure is a ratio within one round on one machine: how many times faster than what it is held against, or how many
times larger than it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """A row of the table: what is held against what, and which figure is wanted.

    Attributes
    ----------
    group : str
        What is measured together.
    bar, aim : float or None
        The least that is wanted (the most, where `at_most`), and what would be good; None where only something else
        than a number is asked for.
    unit : str
        Behind every figure of the row.
    """

    group: str
    what: str
    against: str
    bar: float | None
    aim: float | None = None
    at_most: bool = False
    unit: str = "×"

    def reached(self, figure: float, holds: bool) -> str:
        """Return `aim`, `bar` or `no`; `holds` as in `Outcome`."""
        if not holds or self.bar is None:
            return "bar" if holds else "no"
        for name, wanted in (("aim", self.aim), ("bar", self.bar)):
            if wanted is not None and (figure <= wanted if self.at_most else figure >= wanted):
                return name
        return "no"

    @property
    def wanted(self) -> str:
        """Bar and aim in words."""
        sign = "≤" if self.at_most else "≥"
        return " / ".join(f"{sign} {wanted:g} {self.unit}" for wanted in (self.bar, self.aim) if wanted is not None)


@dataclass(frozen=True)
class Outcome:
    """What came of a row: a figure for each round, or none and why; and what else to know.

    `holds` says whether what the row asks for beside its figure is so: the same estimates, no worse an area.
    """

    figures: tuple[float, ...]
    note: str = ""
    holds: bool = True


_PLAIN = "plain `keras.layers.LSTM` + `fit`"
_RECIPE = "tutorial recipe: stride 1, 20 epochs, `fit`, `predict`"
_READINGS = "size of the float32 readings"
_LINEAR = "linear growth"
GOALS: dict[str, Goal] = {
    "training_20x1": Goal("training", "training, steps/s, W=20, F=1, batch 32", _PLAIN, 2.2, 4),
    "training_64x8": Goal("training", "training, steps/s, W=64, F=8, batch 64", _PLAIN, 1.7, 3),
    "alarms_taxi": Goal("alarms", "readings to alarms, nab nyc_taxi", _RECIPE, 10, 30),
    "alarms_skab": Goal("alarms", "readings to alarms, skab valve1", _RECIPE, 10, 30),
    "alarms_orion": Goal("orion", "readings to alarms, nab nyc_taxi", "Orion's `lstm_autoencoder`", 5, 15),
    "warm_start": Goal("warm_start", "retraining with warm start, a week more", "training from scratch", 3, 6),
    "bulk": Goal("scoring", "bulk scoring, windows/s, W=64, F=8", "`model.predict(batch_size=1024)`", 5, 10),
    "arithmetic": Goal("scoring", "the same, arithmetic per second", "sgemm", 35, 60, unit="%"),
    "one_window": Goal("one_window", "one window, in process", "`model.predict` on one window", 50),
    "memory_training": Goal("memory", "peak memory, readings to detector", _READINGS, 2.5, at_most=True),
    "memory_scoring": Goal("memory", "peak memory, scoring", _READINGS, 1.5, at_most=True),
    "memory_streaming": Goal("memory", "peak memory, scoring from Parquet", "a tenth of the file", 1.15, at_most=True),
    "time_t": Goal("memory", "time as T grows 10 times", _LINEAR, 1.15, at_most=True),
    "time_f": Goal("memory", "time as F grows from 8 to 64", _LINEAR, 1.15, at_most=True),
    "memory_t": Goal("memory", "memory as T grows 10 times", _LINEAR, 1.15, at_most=True),
    "memory_f": Goal("memory", "memory as F grows from 8 to 64", _LINEAR, 1.15, at_most=True),
    "vus_pr": Goal("vus_pr", "VUS-PR, 250 thresholds", "a plain implementation", 10, 50),
    "help": Goal("start_up", "`offbeat --help`, processor time", "", 0.5, at_most=True, unit="s"),
    "score": Goal("start_up", "`offbeat score` of a small file, processor time", "no TensorFlow", None, unit="s"),
}
GROUPS = tuple(dict.fromkeys(goal.group for goal in GOALS.values()))


def row_of(name: str, outcome: Outcome, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands of a row in the file of results; `machine` says where and when it was measured."""
    figures = outcome.figures
    row: dict[str, Any] = {"what": GOALS[name].what, "figures": list(figures), "note": outcome.note, **machine}
    if figures:
        median = statistics.median(figures)
        reached = GOALS[name].reached(median, outcome.holds)
        row |= {"median": median, "low": min(figures), "high": max(figures), "reached": reached}
    return row


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the rows of the file of results as Markdown; one that was not measured says so."""
    lines: list[Sequence[str]] = [("what", "against", "bar / aim", "measured", "reached", "sgemm, GFLOP/s", "note")]
    lines.append(["---"] * len(lines[0]))
    for name, goal in GOALS.items():
        row = rows.get(name, {"note": "not measured"})
        sgemm = f"{row['sgemm_gflops']:.0f}" if row.get("figures") else ""
        lines.append(
            (goal.what, goal.against, goal.wanted, _shown(row, goal), row.get("reached", "–"), sgemm, row["note"])
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _shown(row: Mapping[str, Any], goal: Goal) -> str:
    if not row.get("figures"):
        return "–"
    low, median, high = (f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}" for figure in _range(row))
    spread = f" ({low} to {high})" if len(row["figures"]) > 1 else ""
    return f"{median}{spread} {goal.unit}"


def _range(row: Mapping[str, Any]) -> tuple[float, float, float]:
    return row["low"], row["median"], row["high"]
