"""Scores for people and programs: the table of events, and one row a timestep in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from offbeat.detection.result import Event, ScoreResult
from offbeat.errors import OffbeatError
from offbeat.files import new_file
from offbeat.tables import text_table


def events_table(results: Sequence[ScoreResult]) -> str:
    """Return the events of all assets as text: when, how long, how strong, which channels."""
    rows = [["asset", "from", "to", "length", "peak / threshold", "leading channels"]]
    for result in results:
        rows += [_row(result, event) for event in result.events]
    n_unscored = sum(int(result.scores.size - (result.scores == result.scores).sum()) for result in results)
    lines = [text_table(rows, right_from=len(rows[0])) if len(rows) > 1 else "No alarms."]
    n_events = len(rows) - 1
    n_timesteps = sum(len(result.scores) for result in results)
    lines.append(f"{n_events} events in {n_timesteps} timesteps of {len(results)} assets")
    if n_unscored:
        lines.append(f"{n_unscored} timesteps have no score: too little before them without a long gap, or not read")
    return "\n".join(lines)


def check_out(out: Path) -> None:
    """Raise OffbeatError if scores cannot be written to `out`: before the work, not after it."""
    if out.suffix not in (".csv", ".parquet"):
        raise OffbeatError(f"--out {out}: scores are written as .csv or .parquet")
    if not out.parent.is_dir():
        raise OffbeatError(f"--out {out}: folder {out.parent} does not exist: make it first")


def write_scores(out: Path, results: Sequence[ScoreResult]) -> None:
    """Write timestamp, asset, score, threshold, alarm and shares of every timestep, whole or not at all."""
    frames = [result.to_frame() for result in results]
    timed = isinstance(frames[0].index, pd.DatetimeIndex)
    table = pd.concat(frames).rename_axis("timestamp" if timed else "index").reset_index()
    with new_file(out) as scratch:
        if out.suffix == ".csv":
            table.to_csv(scratch, index=False, date_format="%Y-%m-%dT%H:%M:%SZ" if _whole_seconds(table) else None)
        else:
            table.to_parquet(scratch, index=False)


def _row(result: ScoreResult, event: Event) -> list[str]:
    channels = ", ".join(f"{name} {share:.0%}" for name, share in event.channels)
    if isinstance(event.first, pd.Timestamp) and isinstance(event.last, pd.Timestamp):
        when = [f"{event.first:%Y-%m-%d %H:%M:%S}", f"{event.last:%Y-%m-%d %H:%M:%S}", str(event.last - event.first)]
    else:
        when = [str(event.first), str(event.last), f"{event.stop - event.start} timesteps"]
    return [result.asset, *when, f"{event.peak_score / result.threshold:.1f}", channels]


def _whole_seconds(table: pd.DataFrame) -> bool:
    return "timestamp" in table and bool((table["timestamp"].astype("int64") % 1_000_000_000 == 0).all())
