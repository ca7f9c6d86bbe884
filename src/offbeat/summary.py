"""What the terminal shows of a trained fleet: one table, what to doubt, and the next steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (  # metric key, heading, format
    ("vus_pr", "VUS-PR", "{:.3f}"),
    ("auc_pr", "AUC-PR", "{:.3f}"),
    ("event_precision", "precision", "{:.2f}"),
    ("event_recall", "recall", "{:.2f}"),
    ("event_f1", "F1", "{:.2f}"),
    ("detection_delay_mean", "delay", "{:.1f}"),
    ("false_alarm_rate", "FAR", "{:.2%}"),
)


def metrics_table(methods: Mapping[str, Mapping[str, float | None]]) -> str:
    """Return a row a method or asset, in text: areas, event metrics, mean delay in timesteps, false alarms.

    FAR is the false-alarm rate per timestep; the last two columns count false alarms, realised and promised.
    """
    unit = "day" if any("false_alarms_per_day" in metrics for metrics in methods.values()) else "10000_timesteps"
    columns = (
        *COLUMNS,
        (f"false_alarms_per_{unit}", f"false/{'day' if unit == 'day' else '10k'}", "{:.2f}"),
        (f"promised_false_alarms_per_{unit}", "promised", "{:.2f}"),
    )
    rows = [["", *(heading for _, heading, _ in columns)]]
    for name, metrics in methods.items():
        rows.append([name, *(_cell(metrics.get(key), form) for key, _, form in columns)])
    return text_table(rows)


def text_table(rows: Sequence[Sequence[str]], right_from: int = 1) -> str:
    """Return rows of cells as aligned text, columns from `right_from` on to the right; the first row is a heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (
            cell.ljust(width) if column < right_from else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def summary(metrics: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    """Return what `make run` ends with."""
    fleet = metrics["fleet"]
    names = {"lstm_autoencoder": fleet, **metrics["baselines"]}
    about = f"{fleet['n_assets']} assets, {fleet['n_events']} labelled events in the test spans"
    learnt = f"the network explains {training['explained_variance']:.1%} of the variance of held-out normal readings"
    return "\n".join(
        [
            f"{about}; {learnt}.",
            "",
            metrics_table(names),
            "",
            metrics_table(metrics["assets"]),
            "",
            *doubts(metrics, training),
            "Next:",
            "  source .venv/bin/activate",
            "  offbeat score data/readings/pump-6.csv --model artifacts/detector   # when, how strong, which channels",
            "  offbeat validate MYDATA                                             # your own folder of CSV files",
            "  offbeat train MYDATA --out mymodel                                  # and the same for it",
        ]
    )


def doubts(metrics: Mapping[str, Any], training: Mapping[str, Any]) -> list[str]:
    """Return what a reader should doubt, a line each and an empty one; nothing where there is nothing."""
    fleet, lines = metrics["fleet"], []
    if training["explained_variance"] < 0.3:
        lines.append("Doubt: the network has learnt little of the normal readings.")
    for name, other in metrics["baselines"].items():
        if (other["vus_pr"] or 0) >= (fleet["vus_pr"] or 0) and fleet["n_events"]:
            lines.append(f"Doubt: {name} ranks at least as well (VUS-PR {other['vus_pr']:.3f}).")
    for unit in ("day", "10000_timesteps"):
        realised, promised = fleet.get(f"false_alarms_per_{unit}"), fleet.get(f"promised_false_alarms_per_{unit}")
        if realised is not None and promised is not None and realised > 2 * promised:
            lines.append(f"Doubt: {realised / promised:.1f} times as many false alarms as promised.")
    if not fleet["n_events"]:
        lines.append("Doubt: no labelled event in the test spans: only the false alarms could be measured.")
    return [*lines, ""] if lines else []


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None or value != value else form.format(value)
