"""Ingestion: what the sources have that data/ has not, merged into data/readings in one step.

The new readings and the sources' state that says so are swapped in together, as one folder. So whatever stops an
ingestion, the next one goes on from readings and state that agree, and no row is lost or doubled.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from offbeat.errors import ReadingsError, StageError
from offbeat.files import new_directory, recover_directory, write_json
from offbeat.progress import Report, Step, counted, silent
from offbeat.readings.asset_readings import read_frame
from offbeat.readings.assets import READINGS_SUFFIXES, AssetFiles, asset_files
from offbeat.readings.layout import write_frame
from offbeat.readings.merging import Counts, merge
from offbeat.readings.messages import count
from offbeat.readings.pieces import Piece, check_alike, checked
from offbeat.readings.sources import ReadingsSource
from offbeat.readings.spans import SPAN_FILES
from offbeat.readings.spool import Spool

STATE_FILE = "ingested.json"


@dataclass(frozen=True)
class Refused:
    """A file that was left out, and why."""

    source: str
    origin: str
    reason: str


@dataclass(frozen=True)
class Ingestion:
    """What an ingestion did.

    Attributes
    ----------
    sources : tuple of str
        Names of the sources that were asked.
    assets : mapping of asset to Counts
        Of the assets of which readings came.
    refused : tuple of Refused
    changed : bool
        Whether data/ is other than it was, be it only in what it knows of the sources.
    """

    sources: tuple[str, ...]
    assets: Mapping[str, Counts] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()
    changed: bool = False

    def __str__(self) -> str:
        lines = [f"{asset}: {_counts_text(counts)}" for asset, counts in self.assets.items()]
        lines += [f"left out, {one.source}: {one.reason}" for one in self.refused]
        if not any(counts.changes for counts in self.assets.values()):
            lines.append(f"no new readings from {count(len(self.sources), 'source')}")
        return "\n".join(lines)


def ingest(directory: Path, sources: Sequence[ReadingsSource], *, report: Report = silent) -> Ingestion:
    """Merge what is new in the sources into a data folder.

    Parameters
    ----------
    directory : Path
        The data folder; made if it is missing. ``readings/`` and ``ingested.json`` in it change, all else stays.
    sources : sequence of ReadingsSource
        With names of their own; where two give the same reading, the later one wins.
    report : callable, optional
        Takes each `Step`: first in rows, of which nobody knows how many come, then in machines.

    Returns
    -------
    Ingestion

    Raises
    ------
    ReadingsError
        If a source cannot be read, or its readings have other channels or another kind of index than those of the
        asset, or of the other assets.
    StageError
        If another ingestion into the same folder is at work.

    Notes
    -----
    Readings are merged by timestamp, as `merging.merge` says. In memory are the readings of one asset and what of the
    new ones `spool.CELLS_IN_MEMORY` allows; the rest is spooled beside the data folder.
    """
    directory = Path(directory).resolve()
    if directory.exists() and not directory.is_dir():
        raise ReadingsError(f"{directory} is a file, and readings are kept in a folder: name another")
    with _alone(directory), _workshop(directory) as workshop:
        recover_directory(directory)
        state = _read_state(directory)
        spool = Spool(workshop / "spool")
        new_state, refused = _pull(sources, state, spool, report)
        files = _files(directory) if spool.assets else {}
        counts = _merge_all(files, spool, workshop / "readings", report)
        changed = new_state != state or any(one.changes for one in counts.values())
        if changed:
            with new_directory(directory) as fresh:
                _carry_over(directory, fresh)
                _move_in(workshop / "readings", fresh / "readings")
                write_json(fresh / STATE_FILE, new_state)
        return Ingestion(tuple(source.name for source in sources), counts, tuple(refused), changed)


def _counts_text(counts: Counts) -> str:
    parts = [
        (counts.new, count(counts.new, "new row")),
        (counts.filled, f"{count(counts.filled, 'missing reading')} filled in"),
        (counts.corrected, f"{count(counts.corrected, 'reading')} corrected"),
        (counts.unchanged, f"{count(counts.unchanged, 'row')} known already"),
    ]
    return ", ".join(text for number, text in parts if number)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other ingestions out; a lock of the system's, which a killed process loses."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f".{directory.name}.lock").open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StageError(f"another ingestion into {directory.name} is at work: let it end first") from error
        yield


@contextmanager
def _workshop(directory: Path) -> Iterator[Path]:
    """Give an empty folder on the same file system, which vanishes afterwards."""
    workshop = directory.with_name(f".{directory.name}.ingest")
    shutil.rmtree(workshop, ignore_errors=True)  # what a killed run left behind
    workshop.mkdir()
    try:
        yield workshop
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _read_state(directory: Path) -> dict[str, dict[str, Any]]:
    path = directory / STATE_FILE
    if not path.exists():
        return {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = None
    if not isinstance(state, dict) or not all(isinstance(one, dict) for one in state.values()):
        raise ReadingsError(
            f"{path} is damaged: restore it (dvc checkout data), or remove it: then everything is read again, and what "
            "is known already changes nothing"
        )
    return state


def _pull(
    sources: Sequence[ReadingsSource], state: Mapping[str, Mapping[str, Any]], spool: Spool, report: Report
) -> tuple[dict[str, dict[str, Any]], list[Refused]]:
    """Spool what is new in every source; return the state that is true once it is in data/, and what was refused."""
    new_state = {name: dict(one) for name, one in state.items()}
    refused, n_rows = [], 0
    for source in sources:
        report(Step(f"reading source {source.name}", n_rows, None, "rows"))
        marks: dict[str, Any] = {}
        for batch in source.pull(state.get(source.name, {})):
            marks |= batch.mark
            if batch.refused:
                refused.append(Refused(source.name, batch.origin, batch.refused))
            elif len(batch.frame):
                origin = f"source {source.name!r}, {batch.origin}"
                spool.add(batch.asset, origin, checked(batch.frame, batch.asset, origin))
                n_rows += len(batch.frame)
                report(Step(f"reading source {source.name}", n_rows, None, "rows"))
        if marks:
            # as JSON gives it back, so that it can be compared with the one that was read
            new_state[source.name] = {**new_state.get(source.name, {}), **json.loads(json.dumps(marks))}
    return new_state, refused


def _files(directory: Path) -> dict[str, AssetFiles]:
    """Each asset's file in the data folder."""
    folder = directory / "readings"
    beside = [] if folder.is_dir() or not directory.is_dir() else list(directory.iterdir())
    for path in beside:
        if path.suffix.lower() in READINGS_SUFFIXES and path.stem not in SPAN_FILES:
            raise ReadingsError(f"{path} stands beside readings/, where the readings are kept: move it there")
    if not folder.is_dir() or not any(
        path.suffix.lower() in READINGS_SUFFIXES or "=" in path.name for path in folder.iterdir()
    ):
        return {}
    found = asset_files(directory)
    if partitioned := [one for one in found if one.is_partition]:
        raise ReadingsError(
            f"{directory.name} is a partitioned data set ({partitioned[0].name}), and new readings are merged into a "
            "file for each asset: bring it into that layout (offbeat convert --to csv)"
        )
    return {one.asset: one for one in found}


def _merge_all(files: Mapping[str, AssetFiles], spool: Spool, folder: Path, report: Report) -> dict[str, Counts]:
    """Merge each asset's new readings into its known ones; the files that change are written to `folder`."""
    folder.mkdir()
    counts: dict[str, Counts] = {}
    model = _known(next(iter(files.values()))).head if files and not set(spool.assets) <= set(files) else None
    for asset in counted(spool.assets, report, "merging", "machines"):
        known = _known(files[asset]) if asset in files else None
        pieces = spool.pieces(asset)
        model = model or pieces[0].head
        for piece in pieces:
            check_alike(piece, known or model, asset)
        merged, counts[asset] = merge(known, pieces)
        if counts[asset].changes:
            write_frame(folder / (files[asset].files[0].name if asset in files else f"{asset}.csv"), merged)
    return counts


def _known(one: AssetFiles) -> Piece:
    """Readings of an asset so far."""
    frame, source, _ = read_frame(one)
    frame = checked(frame, one.asset, one.name)
    if not frame.index.is_monotonic_increasing:
        row = int(np.argmax(frame.index[1:] < frame.index[:-1])) + 1
        raise ReadingsError(f"{source.row(row)}: timestamps must not go back: sort the readings by time")
    return Piece(one.name, frame)


def _carry_over(directory: Path, fresh: Path) -> None:
    """Put every file of a folder into a new one, as a second name of the same content where that is possible."""
    for folder, _, names in os.walk(directory, followlinks=True):
        target = fresh / Path(folder).relative_to(directory)
        target.mkdir(exist_ok=True)
        for name in names:
            file = Path(folder, name).resolve()
            try:
                os.link(file, target / name)
            except OSError:
                shutil.copy2(file, target / name)


def _move_in(folder: Path, target: Path) -> None:
    """Move files into the place of others, once they are on the disk: a loss of power must not empty them."""
    target.mkdir(exist_ok=True)
    for file in folder.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
        file.replace(target / file.name)  # the file of that name may be a link, and is not written to
