"""What the benchmark of groups says, as Markdown: two bars, a line for each way, a line for each file."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.accuracy_table import Row, by_seed, chosen, markdown, mean_of, over_seeds, pooled, shown

GROUP, OWN, ADDED, READDED = "group", "own", "added", "readded"
WORDS = {
    GROUP: "one model for all files, trained with the file",
    OWN: "one model for each file",
    ADDED: "one model for other files, the file added by calibration alone",
    READDED: "one model trained with the file, the file calibrated as if it were new",
}
WITHIN = 0.03  # VUS-PR, of an asset that is added, below one that was trained with
FIGURES = (
    ("VUS-PR", "vus_pr", ".3f"),
    ("AUC-PR", "auc_pr", ".3f"),
    ("event F1", "event_f1", ".3f"),
    ("point F1", "point_f1", ".3f"),
    ("FAR", "false_alarm_rate", ".3f"),
    ("MAR", "missed_alarm_rate", ".3f"),
)
BY_FILE = (("VUS-PR", "vus_pr"), ("point F1", "point_f1"), ("FAR", "false_alarm_rate"))
HEAD = """- VUS-PR and AUC-PR rank the scores of the whole file, means over files. The rest is of the test spans at the
  calibrated threshold, from counts summed over files. ± is the spread between {n_seeds} seeds.
- CPU s: seconds of one processor, to train all models that a way takes; for added files, to calibrate all of them.
"""


def summary(rows: Sequence[Row]) -> str:
    """Return the summary of the rows of every file, way and seed."""
    n_seeds = len(by_seed(rows))
    commits = ", ".join(sorted({row["git_commit"] for row in rows}))
    parts = ["# One model for many", _bars(rows), HEAD.format(n_seeds=n_seeds), _ways(rows)]
    return "\n\n".join(part.strip() for part in [*parts, "## Each file", _files(rows), f"code: {commits}"]) + "\n"


def shortfalls(rows: Sequence[Row], way: str, other: str) -> dict[str, list[float]]:
    """Return for each asset by how much VUS-PR of `way` is below that of `other`, seed by seed."""
    figures = {(row["method"], row["seed"], row["asset"]): row["vus_pr"] for row in rows}
    found: dict[str, list[float]] = {}
    for (method, seed, asset), figure in figures.items():
        if method == way and (other, seed, asset) in figures:
            found.setdefault(asset, []).append(figures[other, seed, asset] - figure)
    return found


def _bars(rows: Sequence[Row]) -> str:
    """Return what was to be reached: means over files and seeds, and how many files keep to it by themselves."""
    lines = []
    for what, bar, way, other, least in (
        ("one model for all against one for each, mean VUS-PR", "at least as good", GROUP, OWN, 0.0),
        ("added against trained with, mean VUS-PR", f"at most {WITHIN} below", ADDED, GROUP, WITHIN),
    ):
        below = shortfalls(rows, way, other)
        means = {asset: float(np.mean(each)) for asset, each in below.items()}
        if means:
            mean, worst = float(np.mean(list(means.values()))), max(means, key=lambda asset: means[asset])
            alone = f"{sum(one <= least for one in means.values())} of {len(means)} files by themselves"
            came = f"{-mean:+.3f}; {alone}, {worst} the least: {-means[worst]:+.3f}"
            lines.append((what, bar, came, "reached" if mean <= least else "**not reached**"))
    return markdown(("what", "bar", "came", ""), lines)


def _ways(rows: Sequence[Row]) -> str:
    lines = []
    for way, words in WORDS.items():
        if own := chosen(rows, method=way):
            figures = [shown(*over_seeds(own, key), form) for _, key, form in FIGURES]
            lines.append((words, *figures, shown(_seconds(own), form=".1f")))
    return markdown(("way", *(head for head, _, _ in FIGURES), "CPU s"), lines)


def _seconds(rows: Sequence[Row]) -> float:
    """Return the seconds of a way, mean over seeds: each model's once, or each added file's."""
    totals = []
    for seed in by_seed(rows):
        models = {row["group"]: row["train_s"] for row in seed}
        added = [row["added_s"] for row in seed if not math.isnan(row["added_s"])]
        totals.append(sum(added) if added else sum(models.values()))
    return float(np.mean(totals))


def _files(rows: Sequence[Row]) -> str:
    """Return a line a file: its figures in each way, means over seeds."""
    ways = (OWN, GROUP, ADDED)
    heads = [f"{head}, {way}" for head, _ in BY_FILE for way in ways]
    lines = []
    for asset in dict.fromkeys(row["asset"] for row in rows):
        own = chosen(rows, asset=asset)
        lines.append((asset, *(shown(mean_of(chosen(own, method=way), key)) for _, key in BY_FILE for way in ways)))
    means = [_mean(chosen(rows, method=way), key) for _, key in BY_FILE for way in ways]
    return markdown(("file", *heads), [*lines, ("all", *(shown(one) for one in means))])


def _mean(rows: Sequence[Row], key: str) -> float:
    return float(np.mean([pooled(seed)[key] for seed in by_seed(rows)])) if rows else math.nan
