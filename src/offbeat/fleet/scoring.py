"""Scores of a fleet: shard by shard into a folder, every asset accounted for.

scores/<shard>-<key>.parquet    a row a timestep; what became of the shard's assets stands in the file's metadata
assets.csv                      a row an asset: its group, whether it was scored, or why not
events.csv                      a row an event, in the order of the assets
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet, model_checksum
from offbeat.detection.reading import read_pieces
from offbeat.detection.result import Event, ScoreResult
from offbeat.errors import OffbeatError, ReadingsError
from offbeat.files import write_csv
from offbeat.fleet.engine import Engine, Failure
from offbeat.fleet.loaded import loaded_detector
from offbeat.fleet.shards import Results, Shard, each_shard, shards_of
from offbeat.fleet.work import absolute, cell, group_of, in_machines, placed
from offbeat.progress import Report, silent
from offbeat.readings.assets import AssetFiles
from offbeat.readings.messages import count
from offbeat.reporting import ScoresFile, in_thresholds, leading, moment_text

SCORES, ASSETS, EVENTS = "scores", "assets.csv", "events.csv"
FORMAT = "scores 1"
OUTCOMES = "offbeat.assets"  # key of a file's metadata
SCORED, FAILED = "scored", "failed"
MOST_REASONS = 5  # that are told of at the end


@dataclass(frozen=True)
class EventRow:
    """An event as `events.csv` has it; length in timesteps, peak in thresholds."""

    first: str
    last: str
    n_timesteps: int
    peak: float
    channels: str


@dataclass(frozen=True)
class Outcome:
    """What became of one asset.

    Attributes
    ----------
    asset, group : str
    state : str
        `SCORED` or `FAILED`; of one that failed, the rows before the reading that is wrong may be among the scores.
    reason : str
        Why it failed.
    maturity : str
        Of its threshold.
    n_timesteps, n_scored, n_alarm : int
        Rows, those with a score, and those in alarm.
    highest : float or None
        The highest score, in thresholds.
    events : sequence of EventRow
    """

    asset: str
    group: str
    state: str = FAILED
    reason: str = ""
    maturity: str = ""
    n_timesteps: int = 0
    n_scored: int = 0
    n_alarm: int = 0
    highest: float | None = None
    events: Sequence[EventRow] = ()


ASSET_COLUMNS = tuple(name for name in Outcome.__dataclass_fields__ if name != "events")


@dataclass(frozen=True)
class Counts:
    """How many assets were scored and failed, how many timesteps and events there are, and the first reasons."""

    n_scored: int
    n_failed: int
    n_timesteps: int
    n_events: int
    reasons: Mapping[str, str]

    def words(self) -> str:
        """Return the counts in a line."""
        n_timesteps, n_machines = count(self.n_timesteps, "timestep"), count(self.n_scored, "machine")
        return f"{count(self.n_events, 'event')} in {n_timesteps} of {n_machines}"


def score_into(
    out: Path,
    model: Path,
    assets: Sequence[AssetFiles],
    engine: Engine,
    *,
    shard_size: int | None = None,
    report: Report = silent,
) -> Counts:
    """Score the readings of a fleet into the folder `out`; what an earlier run has left there is not done again.

    An asset that cannot be scored is listed with the reason, and stops no other.

    Parameters
    ----------
    out : Path
    model : Path
        Folder of a saved `Fleet`.
    assets : sequence of AssetFiles
    engine : Engine
    shard_size : int, optional
        Assets that are scored in one go; as `shards_of` by default.
    report : callable, optional
        Takes each `Step`, in assets.

    Raises
    ------
    OffbeatError
        If the model cannot be loaded, or another run writes into the same folder.
    """
    out, model = out.absolute(), model.absolute()
    _check_place(out)
    known, strangers = placed(Fleet.load(model), absolute(assets))
    checksum = model_checksum(model)
    results = Results(out / SCORES, "parquet")
    made: dict[str, Path | Failure] = {}
    shards = shards_of(known, shard_size)
    work, settings = partial(_score_shard, model, checksum), f"{FORMAT} {checksum}"
    for shard, result in each_shard(engine, work, shards, results, settings, in_machines(report, "scoring")):
        made[shard.name] = result
    outcomes = partial(_outcomes, shards, made, strangers)
    return _write_tables(out, outcomes)


def outcomes_of(path: Path) -> list[Outcome]:
    """Return what became of the assets of a shard, from its file."""
    try:
        found = json.loads(parquet.read_metadata(path).metadata[OUTCOMES.encode()])
        return [Outcome(**{**one, "events": [EventRow(**row) for row in one["events"]]}) for one in found]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise ReadingsError(f"{path}: damaged ({type(error).__name__}): remove it, and score again") from error


def _check_place(out: Path) -> None:
    """Raise OffbeatError if a folder holds other things than an earlier call's scores."""
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    others = sorted(names - {SCORES, ASSETS, EVENTS}) or (sorted(names) if SCORES not in names else [])
    if others:
        raise OffbeatError(f"{out}: holds other files ({others[0]}): give a new folder, or one of scores alone")


def _score_shard(model: Path, checksum: str, shard: Shard, path: Path) -> None:
    """Write the scores of a shard, and what became of its assets."""
    detector = loaded_detector(model, group_of(shard), checksum)
    with ScoresFile(path) as file:
        outcomes = [_score_asset(detector, one, file) for one in shard.assets]
        file.describe({OUTCOMES: json.dumps([asdict(one) for one in outcomes])})


def _score_asset(detector: Detector, files: AssetFiles, file: ScoresFile) -> Outcome:
    n_timesteps = n_scored = n_alarm = 0
    highest, events, reason, maturity = -np.inf, [], "", ""
    try:
        detector.check_asset(files.asset)
        threshold = detector.assets[files.asset].threshold
        maturity = threshold.maturity
        pieces, _ = read_pieces(detector, files)
        for result in detector.score_pieces(files.asset, pieces):
            file.add(result)
            n_timesteps += len(result.scores)
            n_alarm += int(result.alarms.sum())
            scored = result.scores[~np.isnan(result.scores)]
            n_scored += len(scored)
            highest = max(highest, float(scored.max(initial=-np.inf)))
            events += [_event_row(result, event) for event in result.events]
    except OffbeatError as error:
        reason = _line(error)
    return Outcome(
        asset=files.asset,
        group=files.group,
        state=FAILED if reason else SCORED,
        reason=reason,
        maturity=maturity,
        n_timesteps=n_timesteps,
        n_scored=n_scored,
        n_alarm=n_alarm,
        highest=in_thresholds(highest, threshold.value) if np.isfinite(highest) else None,
        events=events,
    )


def _event_row(result: ScoreResult, event: Event) -> EventRow:
    return EventRow(
        first=moment_text(event.first),
        last=moment_text(event.last),
        n_timesteps=event.stop - event.start,
        peak=in_thresholds(event.peak_score, result.threshold),
        channels=leading(event),
    )


def _write_tables(out: Path, outcomes: Callable[[], Iterator[Outcome]]) -> Counts:
    """Write assets.csv and events.csv from the files of all shards; no more than a shard's is in memory."""
    n_scored = n_failed = n_timesteps = n_events = 0
    reasons: dict[str, str] = {}

    def rows() -> Iterator[Sequence[object]]:
        nonlocal n_scored, n_failed, n_timesteps
        for one in outcomes():
            n_timesteps += one.n_timesteps
            n_scored += one.state == SCORED
            if one.state == FAILED:
                n_failed += 1
                if len(reasons) < MOST_REASONS:
                    reasons[one.asset] = one.reason
            yield [cell(getattr(one, name)) for name in ASSET_COLUMNS]

    def events() -> Iterator[Sequence[object]]:
        nonlocal n_events
        for one in outcomes():
            for event in one.events:
                n_events += 1
                yield one.asset, one.group, *(cell(value) for value in vars(event).values())

    write_csv(out / ASSETS, ASSET_COLUMNS, rows())
    write_csv(out / EVENTS, ("asset", "group", *EventRow.__dataclass_fields__), events())
    return Counts(n_scored, n_failed, n_timesteps, n_events, reasons)


def _outcomes(
    shards: Iterable[Shard], made: Mapping[str, Path | Failure], strangers: Mapping[AssetFiles, str]
) -> Iterator[Outcome]:
    for shard in shards:
        result = made[shard.name]
        if isinstance(result, Failure):
            yield from (Outcome(one.asset, one.group, reason=result.reason) for one in shard.assets)
        else:
            yield from outcomes_of(result)
    yield from (Outcome(one.asset, one.group, reason=reason) for one, reason in strangers.items())


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
