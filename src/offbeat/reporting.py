"""Scores for people and programs: the table of events, and one row a timestep in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from offbeat.detection.detector import Detector
from offbeat.detection.result import Event, ScoreResult
from offbeat.errors import OffbeatError
from offbeat.files import new_file
from offbeat.readings.messages import count, duration_text
from offbeat.tables import text_table

POOR_EXPLAINED_VARIANCE = 0.3  # below it the network has learnt little more than the mean


def events_table(results: Sequence[ScoreResult]) -> str:
    """Return the events of all assets as text: when, how long, how strong, which channels."""
    timed = all(result.is_time for result in results)
    rows = [["asset", "from (UTC)" if timed else "from", "to", "length", "peak / threshold", "leading channels"]]
    for result in results:
        period = _period(result.index)
        rows += [_row(result, event, period) for event in result.events]
    n_unscored = sum(int(result.scores.size - (result.scores == result.scores).sum()) for result in results)
    lines = [text_table(rows, right_from=len(rows[0])) if len(rows) > 1 else "No alarms."]
    n_events = len(rows) - 1
    n_timesteps = sum(len(result.scores) for result in results)
    lines.append(f"{count(n_events, 'event')} in {count(n_timesteps, 'timestep')} of {count(len(results), 'asset')}")
    if n_unscored:
        lines.append(
            f"without a score: {count(n_unscored, 'timestep')}, in stretches between long gaps that are shorter than "
            "a window, where nothing was read, or before a forecast can begin"
        )
    return "\n".join(lines)


def threshold_lines(detector: Detector, assets: Sequence[str]) -> list[str]:
    """Return a line an asset: its threshold; and a line for each whose promise is weaker than the budget."""
    thresholds = {name: detector.assets[name].threshold for name in assets}
    lines = [f"{name}: threshold {threshold.value:.3g} ({threshold.method})" for name, threshold in thresholds.items()]
    return lines + [f"{name}: warning: {t.warning}" for name, t in thresholds.items() if t.warning]


def learning_warning(explained_variance: float) -> str:
    """Return what to do where a model explains too little of held-out normal readings; empty where it is enough."""
    if explained_variance >= POOR_EXPLAINED_VARIANCE:
        return ""
    return (
        f"the model explains {explained_variance:.0%} of the variance of held-out normal readings: it has learnt "
        "little; try more train.epochs if it is a network, a larger train.latent_size, another prepare.window_size or "
        "train.model, and doubt it (noise that nothing could predict lowers this figure too)"
    )


def check_out(out: Path, readings: Sequence[Path] = (), suffixes: Sequence[str] = (".csv", ".parquet")) -> None:
    """Raise OffbeatError if results cannot be written to `out`: before the work, not after it.

    Nor must they overwrite the readings, or stand among them, where they would be read as readings.
    """
    taken = {place.resolve() for path in readings for place in (path, path / "readings")}
    if out.resolve() in taken or out.resolve().parent in taken:
        raise OffbeatError(f"--out {out}: would stand among the readings, or in place of them: give another folder")
    if out.suffix not in suffixes:
        raise OffbeatError(f"--out {out}: the file's name must end in {' or '.join(suffixes)}")
    if not out.parent.is_dir():
        raise OffbeatError(f"--out {out}: folder {out.parent} does not exist: make it first")


def check_folder(out: Path, readings: Sequence[Path] = ()) -> None:
    """Raise OffbeatError if results cannot be written into the folder `out`, which may have to be made."""
    if out.resolve() in {place.resolve() for path in readings for place in (path, path / "readings")}:
        raise OffbeatError(f"--out {out}: would write among the readings: give another folder")
    if out.exists() and not out.is_dir():
        raise OffbeatError(f"--out {out}: is a file: give a folder")
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


def _row(result: ScoreResult, event: Event, period: pd.Timedelta | None) -> list[str]:
    """Return an event's cells; its length counts its last timestep too."""
    channels = ", ".join(f"{name} {share:.0%}" for name, share in event.channels)
    n_timesteps = event.stop - event.start
    length = count(n_timesteps, "timestep") if period is None else duration_text(n_timesteps * period)
    when = [_moment(event.first), _moment(event.last), length]
    return [result.asset, *when, f"{event.peak_score / result.threshold:.1f}", channels]


def _moment(moment: pd.Timestamp | int) -> str:
    """Return a time in UTC, with the part of a second that it has, or an integer index as it is."""
    return str(moment.tz_localize(None) if isinstance(moment, pd.Timestamp) else moment)


def _period(index: pd.Index) -> pd.Timedelta | None:
    """Return the step of a time grid: its smallest, for only the steps over long gaps are larger."""
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 2:
        return None
    return pd.Timedelta((index[1:] - index[:-1]).min())


def _whole_seconds(table: pd.DataFrame) -> bool:
    return "timestamp" in table and bool((table["timestamp"].astype("int64") % 1_000_000_000 == 0).all())
