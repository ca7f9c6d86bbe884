"""Shards of assets, and their results, each a file that is whole or not there; a rerun makes what is missing.

The name of a result holds a key: what the readings, the settings and the work were. What stands there under the key
of now is taken as it is.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from offbeat.fleet.engine import Engine, Failure
from offbeat.locks import lock_file
from offbeat.readings.assets import AssetFiles

SHARD_SIZE = 100
FEWEST_SHARDS = 16
KEY_LENGTH = 16  # hexadecimal digits
_SCRATCH = re.compile(r"\..+\.[0-9a-f]{32}\.partial")


@dataclass(frozen=True)
class Shard:
    """Assets of one group that are worked on in one go.

    Attributes
    ----------
    name : str
        Its group and its number there, such as ``pumps-0003``; the number alone where assets have no group.
    assets : tuple of AssetFiles
    """

    name: str
    assets: tuple[AssetFiles, ...]

    def __str__(self) -> str:
        return self.name


def shards_of(assets: Sequence[AssetFiles], size: int | None = None) -> list[Shard]:
    """Return the assets in shards of one group each, in the order given.

    Only the last shard of a group has fewer than `size`, by default `SHARD_SIZE`, or fewer where there are few assets,
    so that each of some workers has some. Assets that are appended change no shard but the last of their group.
    """
    size = size or min(SHARD_SIZE, math.ceil(len(assets) / FEWEST_SHARDS) or 1)
    groups: dict[str, list[AssetFiles]] = {}
    for asset in assets:
        groups.setdefault(asset.group, []).append(asset)
    return [
        Shard(f"{group}-{k:04d}" if group else f"{k:04d}", tuple(members[start : start + size]))
        for group, members in groups.items()
        for k, start in enumerate(range(0, len(members), size), start=1)
    ]


def data_hash(shard: Shard) -> str:
    """Return the SHA-256 of the names of a shard's assets and files, and of what the files hold.

    A file that cannot be read counts as such; the work on it says why.
    """
    digest = hashlib.sha256()
    for asset in shard.assets:
        head = [asset.group, asset.asset, [[path.name, _file_hash(path)] for path in asset.files]]
        digest.update(json.dumps(head).encode())
    return digest.hexdigest()


def result_key(shard: Shard, settings: str) -> str:
    """Return what a result depends on, as `KEY_LENGTH` digits.

    Parameters
    ----------
    shard : Shard
        Whose readings count, not its name.
    settings : str
        All else: the work, the version of its format, and the hash of its params or the checksum of its model.
    """
    return hashlib.sha256(f"{data_hash(shard)} {settings}".encode()).hexdigest()[:KEY_LENGTH]


@dataclass(frozen=True)
class Results:
    """A folder with the results of one work, ``<shard>-<key>.<suffix>``.

    Parameters
    ----------
    directory : Path
        Made when it is needed; other files in it are left alone.
    suffix : str
        Such as ``csv``.
    """

    directory: Path
    suffix: str

    def path(self, shard: Shard, key: str) -> Path:
        """Return where a result is, or would be."""
        return self.directory / f"{shard.name}-{key}.{self.suffix}"

    def find(self, shard: Shard, key: str) -> Path | None:
        """Return where a result is, if it is."""
        path = self.path(shard, key)
        return path if path.exists() else None

    @contextmanager
    def write(self, shard: Shard, key: str) -> Iterator[Path]:
        """Give a name in the folder; its file becomes the result when the block ends well, and vanishes otherwise.

        The name is never given again: what a dying run still writes gets into nobody's way.
        """
        path = self.path(shard, key)
        scratch = path.with_name(f".{path.name}.{uuid4().hex}.partial")
        try:
            yield scratch
            with scratch.open("rb+") as file:
                os.fsync(file.fileno())  # or a power cut could leave an empty file under the name of a result
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)

    @contextmanager
    def alone(self, *, timeout_s: float = 0.0, say: Callable[[str], None] = print) -> Iterator[None]:
        """Keep other runs out of the folder, and remove what killed ones have left.

        Raises
        ------
        OffbeatError
            If another run does not end within `timeout_s`.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with lock_file(self.directory / ".lock", f"process {os.getpid()}", timeout_s=timeout_s, say=say):
            for path in self.directory.iterdir():
                if _SCRATCH.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            yield

    def forget_others(self, current: Iterable[Path]) -> None:
        """Remove all results but the current ones: they are of readings, settings or shards of before."""
        kept = {path.name for path in current}
        result = re.compile(rf".+-[0-9a-f]{{{KEY_LENGTH}}}\.{re.escape(self.suffix)}")
        for path in self.directory.iterdir():
            if result.fullmatch(path.name) and path.name not in kept:
                path.unlink()


def each_shard(
    engine: Engine,
    work: Callable[[Shard, Path], None],
    shards: Sequence[Shard],
    results: Results,
    settings: str,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[tuple[Shard, Path | Failure]]:
    """Yield each shard and its result, as they are ready; what is there already is not made again.

    Parameters
    ----------
    engine : Engine
    work : callable
        Writes the result of a shard to a path. See `Engine` for what it must be.
    shards : sequence of Shard
    results : Results
        Of this work alone.
    settings : str
        See `result_key`.
    report : callable, optional
        Takes how many assets are done, and how many there are.

    Raises
    ------
    OffbeatError
        If another run is at work on the same results.
    """
    n_done, total = 0, sum(len(shard.assets) for shard in shards)
    report(n_done, total)
    with results.alone():
        current = []
        for shard, made in engine.run(partial(_result, work, results, settings), shards):
            if isinstance(made, Path):
                current.append(made)
            yield shard, made
            n_done += len(shard.assets)
            report(n_done, total)
        results.forget_others(current)


def _result(work: Callable[[Shard, Path], None], results: Results, settings: str, shard: Shard) -> Path:
    key = result_key(shard, settings)
    found = results.find(shard, key)
    if found is None:
        with results.write(shard, key) as scratch:
            work(shard, scratch)
        found = results.path(shard, key)
    return found


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"
