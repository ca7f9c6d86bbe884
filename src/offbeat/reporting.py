"""Scores for people and programs: the table of events, and one row a timestep in a file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from offbeat.detection.detector import Detector
from offbeat.detection.result import Event, ScoreResult
from offbeat.errors import OffbeatError
from offbeat.files import new_file
from offbeat.readings.messages import count, length_text
from offbeat.tables import text_table

MOST_LINES = 100  # of assets, on a terminal
ROW_GROUP = 1 << 16  # rows at least; a file of many small ones takes longer to read
POOR_EXPLAINED_VARIANCE = 0.3  # below it the network has learnt little more than the mean


def events_table(results: Iterable[ScoreResult]) -> str:
    """Return the events of all assets as text: when, how long, how strong, which channels.

    An asset may have several results, of successive timesteps; none is kept.
    """
    rows: list[list[str]] = []
    assets: set[str] = set()
    n_timesteps, n_unscored, timed = 0, 0, True
    for result in results:
        rows += [_row(result, event) for event in result.events]
        assets.add(result.asset)
        n_timesteps += len(result.scores)
        n_unscored += int(np.isnan(result.scores).sum())
        timed = timed and result.is_time
    rows.insert(0, ["asset", "from (UTC)" if timed else "from", "to", "length", "peak / threshold", "leading channels"])
    lines = [text_table(rows, right_from=len(rows[0])) if len(rows) > 1 else "No alarms."]
    n_events = len(rows) - 1
    lines.append(f"{count(n_events, 'event')} in {count(n_timesteps, 'timestep')} of {count(len(assets), 'asset')}")
    if n_unscored:
        lines.append(
            f"without a score: {count(n_unscored, 'timestep')}, in stretches between long gaps that are shorter than "
            "a window, where nothing was read, or before a forecast can begin"
        )
    return "\n".join(lines)


def threshold_lines(detector: Detector, assets: Sequence[str]) -> list[str]:
    """Return a line an asset: its threshold; and a line for each that is provisional, which says why.

    Of more than `MOST_LINES` assets, how many are in which state.
    """
    thresholds = {name: detector.assets[name].threshold for name in assets}
    if len(assets) > MOST_LINES:
        states = Counter(threshold.maturity for threshold in thresholds.values())
        return [f"{count(len(assets), 'machine')}: {', '.join(f'{n} {state}' for state, n in sorted(states.items()))}"]
    lines = [f"{name}: threshold {t.value:.3g} ({t.method}, {t.maturity})" for name, t in thresholds.items()]
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


def is_folder(out: Path) -> bool:
    """Whether a place for results is that of a folder, not of a file."""
    return out.is_dir() or not out.suffix


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


def written(out: Path, results: Iterable[ScoreResult]) -> Iterator[ScoreResult]:
    """Yield results once they are written: timestamp, asset, score, threshold, alarm and shares of every timestep.

    The file is there, and whole, when all of them are.
    """
    with new_file(out) as scratch:
        yield from (_written_csv if out.suffix == ".csv" else _written_parquet)(scratch, results)


def _written_csv(scratch: Path, results: Iterable[ScoreResult]) -> Iterator[ScoreResult]:
    with scratch.open("w", encoding="utf-8", newline="") as file:
        for k, result in enumerate(results):
            table = _table_of(result)
            form = "%Y-%m-%dT%H:%M:%SZ" if _whole_seconds(table) else None
            table.to_csv(file, index=False, header=k == 0, date_format=form)
            yield result


def _written_parquet(scratch: Path, results: Iterable[ScoreResult]) -> Iterator[ScoreResult]:
    with ScoresFile(scratch) as file:
        for result in results:
            file.add(result)
            yield result


class ScoresFile(AbstractContextManager["ScoresFile"]):
    """A Parquet file of scores that grows, a row a timestep; what is small waits until it makes a row group.

    Parameters
    ----------
    path : Path
        There only if something was added, or `describe` was called.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: parquet.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []

    def add(self, result: ScoreResult) -> None:
        """Add the rows of a result; all have the same channels."""
        self._waiting.append(pa.Table.from_pandas(_table_of(result), preserve_index=False))
        if sum(len(table) for table in self._waiting) >= ROW_GROUP:
            self._write()

    def describe(self, words: Mapping[str, str]) -> None:
        """Add to the file's own metadata."""
        if self._file is None and not self._waiting:
            self._waiting = [pa.table({"asset": pa.array([], pa.string()), "score": pa.array([], pa.float64())})]
        self._write()
        assert self._file is not None, "it was written to"
        self._file.add_key_value_metadata(words)

    def _write(self) -> None:
        if self._waiting:
            self._file = self._file or parquet.ParquetWriter(self._path, self._waiting[0].schema)
            self._file.write_table(pa.concat_tables(self._waiting))
            self._waiting = []

    def __exit__(self, *_: object) -> None:
        """Write what waits, and close the file."""
        try:
            self._write()
        finally:
            if self._file is not None:
                self._file.close()


def _table_of(result: ScoreResult) -> pd.DataFrame:
    return result.to_frame().rename_axis("timestamp" if result.is_time else "index").reset_index()


def _row(result: ScoreResult, event: Event) -> list[str]:
    """Return an event's cells; its length counts its last timestep too."""
    n_timesteps = event.stop - event.start
    is_time = result.is_time
    length = length_text(n_timesteps * result.step, is_time) if is_time else count(n_timesteps, "timestep")
    when = [moment_text(event.first), moment_text(event.last), length]
    return [result.asset, *when, f"{in_thresholds(event.peak_score, result.threshold):.1f}", leading(event)]


def in_thresholds(score: float, threshold: float) -> float:
    """Return how many thresholds a score is; infinite for a threshold of 0, as a machine that stands still has."""
    return score / threshold if threshold else math.inf


def leading(event: Event) -> str:
    """Return the channels that lead an event, and their shares."""
    return ", ".join(f"{name} {share:.0%}" for name, share in event.channels)


def moment_text(moment: pd.Timestamp | int) -> str:
    """Return a time in UTC, with the part of a second that it has, or an integer index as it is."""
    return str(moment.tz_localize(None) if isinstance(moment, pd.Timestamp) else moment)


def _whole_seconds(table: pd.DataFrame) -> bool:
    return "timestamp" in table and bool((table["timestamp"].astype("int64") % 1_000_000_000 == 0).all())
