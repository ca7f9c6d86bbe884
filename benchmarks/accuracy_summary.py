"""The summary that people read: bars, one table of all sets and methods, one of all series."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.accuracy_bars import bars_of
from benchmarks.accuracy_methods import CAUSAL, DRAWN, FIXED, LSTM
from benchmarks.accuracy_table import METHODS, Row, chosen, markdown, mean_of, over_seeds, pooled, sets_of, shown
from benchmarks.accuracy_table import trained_beats_untrained as beats

HEAD = """How to read it:

- VUS-PR (buffers up to the dominant period of the first channel, 125 timesteps where it has none; 250 thresholds) and
  AUC-PR rank the scores of the *whole* series, its training part included with the labels it has. Means over series.
- Everything else is of the *test span* alone, at the threshold calibrated on normal readings before it. Event F1, point
  F1, FAR (normal timesteps in alarm) and MAR (labelled timesteps without) come from counts summed over the series.
  FA: false alarms per day, for data without time per 10,000 timesteps. Delay: timesteps from the start of an event to
  its first alarm, events found; a score itself waits for the readings of `calibrate.delay` timesteps after its own.
- Promise: share of series whose false alarms on held-out normal readings are within twice and half of the promised
  rate, as far as chance allows to tell: readings of the test span before its first event, or where these are less than
  one block, all its normal ones. Blocks: the same for blocks of readings; an alarm that never ends fills all of them.
- PA-F1 is point-adjusted, which flatters even a random score: a diagnostic.
- ± is the spread between seeds ({n_seeds} here). Simple methods share the smoothing and the threshold rule of the
  network, but for all_ones, which flags everything. `{causal}` is the same network with the least delay that scoring
  allows. Seconds are those of one processor.
"""
COLUMNS = (
    ("VUS-PR", "vus_pr", ".3f"),
    ("AUC-PR", "auc_pr", ".3f"),
    ("event F1", "event_f1", ".3f"),
    ("FA", "", ".2f"),
    ("delay", "detection_delay_mean", ".0f"),
    ("point F1", "point_f1", ".3f"),
    ("FAR", "false_alarm_rate", ".3f"),
    ("MAR", "missed_alarm_rate", ".3f"),
    ("promise", "within_verdict", ".2f"),
    ("blocks", "within_block_verdict", ".2f"),
    ("PA-F1", "pa_f1", ".3f"),
    ("train CPU s", "train_s", ".0f"),
    ("score CPU s", "score_s", ".1f"),
)
WITH_SPREAD = {"vus_pr", "auc_pr", "event_f1", "point_f1"}


def summary(rows: Sequence[Row], failures: Sequence[str]) -> str:
    """Return the summary as Markdown."""
    if not rows:
        return "No results.\n" + "".join(f"- {line}\n" for line in failures)
    n_seeds = len({row["seed"] for row in rows})
    parts = ["# Accuracy on public readings", _bars(rows), HEAD.format(n_seeds=n_seeds, causal=CAUSAL), _sets(rows)]
    parts += [_skab(rows), _failures(rows), "## Each series, VUS-PR", _series(rows), _notes(rows, failures)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _bars(rows: Sequence[Row]) -> str:
    """Return what had to be reached; the numbers of the trained network."""
    words = {True: "reached", False: "**not reached**", None: ""}
    lines = [
        (bar.what, bar.bar, bar.came, words[bar.reached], bar.aim, words[bar.aim_reached]) for bar in bars_of(rows)
    ]
    return markdown(("what", "bar", f"{LSTM}", "", "aim", ""), lines) if lines else ""


def _sets(rows: Sequence[Row]) -> str:
    lines = []
    for name in sets_of(rows):
        own = chosen(rows, set=name)
        methods = [method for method in METHODS if chosen(own, method=method)]
        lines += [(name, method, *_figures(chosen(own, method=method))) for method in methods]
    return markdown(("set", "method", *(head for head, _, _ in COLUMNS)), lines)


def _figures(rows: Sequence[Row]) -> list[str]:
    timed = "false_alarms_per_day" in pooled(rows)
    rate = f"false_alarms_per_{'day' if timed else '10000_timesteps'}"
    cells = []
    for _, key, form in COLUMNS:
        mean, spread = over_seeds(rows, key or rate)
        cells.append(shown(mean, spread if key in WITH_SPREAD else math.nan, form))
    return cells


def _skab(rows: Sequence[Row]) -> str:
    """Return how SKAB looks when all rows of its files count, beside the rows after the first 400."""
    own = chosen(rows, set="skab")
    lines = []
    for method in METHODS:
        if of_method := chosen(own, method=method):
            keys = [
                f"{part}{key}"
                for part in ("", "whole_")
                for key in ("point_f1", "false_alarm_rate", "missed_alarm_rate")
            ]
            lines.append((method, *(shown(*over_seeds(of_method, key)) for key in keys)))
    heads = ("method", "F1 after row 400", "FAR", "MAR", "F1 whole files", "FAR", "MAR")
    text = (
        "## SKAB, as it is published\n\nPublished F1, FAR and MAR fit each other only where normal rows are about "
        "0.87 times the labelled ones, as they are after the first 400 rows of each file: those are to be compared."
    )
    return f"{text}\n\n{markdown(heads, lines)}" if lines else ""


def _failures(rows: Sequence[Row]) -> str:
    """Return what came of the runs to failure, of which no row after the training part is known to be normal."""
    own = [row for row in rows if "lasting_lead_days" in row]
    lines = []
    for method in dict.fromkeys(row["method"] for row in own):
        runs = chosen(own, method=method)
        figures = [shown(mean_of(runs, key), form=".1f") for key in ("lasting_lead_days", "lasting_in_first_half")]
        lines.append((method, *figures))
    text = (
        "## Runs to failure\n\nAlarms of at least a day: how long before the end the first one of the second half "
        "began, and how many began in the first half. What the tables call false alarms may be wear here."
    )
    return f"{text}\n\n{markdown(('method', 'days before the end', 'in the first half'), lines)}" if lines else ""


def _series(rows: Sequence[Row]) -> str:
    """Return a line a series: the network, its relatives, and the best of the simple methods."""
    lines = []
    networks = [method for method in METHODS if method not in {*FIXED, *DRAWN}]
    for name in sets_of(rows):
        own = chosen(rows, set=name)
        for asset in dict.fromkeys(row["asset"] for row in own):
            series = chosen(own, asset=asset)
            means = {method: mean_of(chosen(series, method=method), "vus_pr") for method in METHODS}
            simple = {m: v for m, v in means.items() if m in {*FIXED, *DRAWN} and not math.isnan(v)}
            if all(math.isnan(v) for v in means.values()):
                continue
            best = max(simple, key=lambda method: simple[method]) if simple else ""
            figures = [shown(means[method]) for method in networks]
            verdicts = [row.get("promise_verdict", "") for row in chosen(series, method=LSTM)]
            promise = ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts) if word)
            lines.append((name, asset, *figures, f"{best} {shown(simple.get(best, math.nan))}", promise))
    return markdown(("set", "series", *networks, "best simple method", "promise"), lines)


def _notes(rows: Sequence[Row], failures: Sequence[str]) -> str:
    """Return what else must be said: who wins where, how often training helps, what failed, which code made it."""
    lines = []
    for name in sets_of(rows):
        own = chosen(rows, set=name)
        means = {method: mean_of(chosen(own, method=method), "vus_pr") for method in METHODS}
        known = {method: value for method, value in means.items() if not math.isnan(value)}
        share, n_series = beats(own)
        if known:
            best = max(known, key=lambda method: known[method])
            helped = f"; training helps in {share:.0%} of {n_series} series and seeds" if n_series else ""
            lines.append(f"- {name}: best mean VUS-PR {best} {known[best]:.3f}{helped}")
    commits = sorted({row["git_commit"] for row in rows})
    lines.append(f"- code: {', '.join(commits)}" + (" (results of several commits)" if len(commits) > 1 else ""))
    lines += [f"- failed: {line}" for line in failures]
    return "## Notes\n\n" + "\n".join(lines)
