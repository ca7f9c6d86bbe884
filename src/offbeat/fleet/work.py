"""Where a fleet's work is done that takes several steps: a folder beside what comes of it, until that stands."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from offbeat.detection.fleet import Fleet
from offbeat.errors import ModelError, OffbeatError
from offbeat.fleet.engine import Engine, Failure
from offbeat.fleet.shards import Results, Shard, each_shard
from offbeat.locks import lock_file
from offbeat.preparation import Survey
from offbeat.progress import Report, Step
from offbeat.readings.assets import AssetFiles
from offbeat.readings.series import Series
from offbeat.readings.spans import SPAN_FILES

_Asset = TypeVar("_Asset", AssetFiles, Series, Survey)
_Found = TypeVar("_Found")


class Work:
    """The folder beside a result in which it is made, and where the steps run.

    Attributes
    ----------
    directory : Path
    engine : Engine
    failures : dict of str to str
        Why assets have no result.
    """

    def __init__(self, out: Path, engine: Engine, report: Report) -> None:
        self.directory = out.absolute().with_name(f".{out.name}.work")
        self.engine, self.report = engine, report
        self.failures: dict[str, str] = {}

    def each(
        self, step: str, say: str, work: Callable[[Shard, Path], None], shards: Sequence[Shard], settings: str
    ) -> dict[str, Path]:
        """Do a step for each shard; return its results by the shard's name. A shard that fails fails all its assets."""
        made: dict[str, Path] = {}
        results, settings = Results(self.directory / step, "pickle"), f"{step} {settings}"
        for shard, result in each_shard(self.engine, work, shards, results, settings, in_machines(self.report, say)):
            if isinstance(result, Failure):
                self.fail(shard.assets, result.reason)
            else:
                made[shard.name] = result
        return made

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs out of the folder.

        Raises
        ------
        OffbeatError
            If another is at work there.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with lock_file(self.directory / "lock", f"process {os.getpid()}", timeout_s=0.0, say=lambda _: None):
            yield

    def clear(self) -> None:
        """Remove the folder: what came of the work stands."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def fail(self, assets: Iterable[AssetFiles], reason: str) -> None:
        """Say why assets have no result; what was said of one before stays."""
        self.failures = {one.asset: reason for one in assets} | self.failures


def in_machines(report: Report, work: str) -> Callable[[int, int], None]:
    """Return what tells a report how many machines a work has done, of how many."""
    return lambda done, total: report(Step(work, done, total, "machines"))


def group_of(shard: Shard) -> str:
    """Return the group of a shard's assets."""
    return shard.assets[0].group


def hash_of(*parts: str | bytes) -> str:
    """Return the SHA-256 of some texts or bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()


def tables_hash(root: Path | None) -> str:
    """Return the hash of what people said of the readings in a folder, None for readings without one."""
    paths = [] if root is None else [root / f"{name}.csv" for name in SPAN_FILES]
    return hash_of(*(path.read_bytes() if path.is_file() else b"-" for path in paths))


def each_asset(things: Iterable[_Asset], work: Callable[[_Asset], _Found]) -> tuple[dict[str, _Found], dict[str, str]]:
    """Return what `work` makes of each asset's thing, and why of some it makes nothing."""
    found: dict[str, _Found] = {}
    failures: dict[str, str] = {}
    for thing in things:
        asset = thing.series.asset if isinstance(thing, Survey) else thing.asset
        try:
            found[asset] = work(thing)
        except OffbeatError as error:
            failures[asset] = " ".join(str(error).split())
    return found, failures


def placed(
    fleet: Fleet, assets: Iterable[AssetFiles], *, with_new: bool = False
) -> tuple[list[AssetFiles], dict[AssetFiles, str]]:
    """Return the assets with the group that a model has them in, and why some are in none.

    An asset that the model does not know is in none, or `with_new` in the group that it would join.
    """
    found: list[AssetFiles] = []
    strangers: dict[AssetFiles, str] = {}
    for one in assets:
        try:
            if not with_new:
                fleet.detector_of(one.asset)
            found.append(replace(one, group=fleet.place_of(one.asset, one.group)))
        except ModelError as error:
            strangers[one] = str(error)
    return found, strangers


def absolute(assets: Iterable[AssetFiles]) -> list[AssetFiles]:
    """Return the assets with paths that mean the same wherever a worker stands."""
    return [replace(one, files=tuple(file.absolute() for file in one.files)) for one in assets]


def cell(value: object) -> object:
    """Return a value as a table for people and programs has it: six digits, and nothing for what is not known."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else value
