"""Some machines of a fleet, evenly spread, and no more of each than tells what all would take.

And how many timesteps the others have, told without reading them: Parquet files say it at their end, of CSV files the
length does, given how many bytes a timestep has in those that were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from offbeat.errors import OffbeatError, ReadingsError
from offbeat.fleet.steps import spread
from offbeat.readings.assets import AssetFiles
from offbeat.readings.spans import SPAN_FILES
from offbeat.readings.tables import parquet_size, read_csv

MOST_GROUPS = 2  # that are probed: those with the most machines
MOST_ASSETS = 3  # of each
MOST_TIMESTEPS = 5_000  # of each machine, from its first on
MOST_OPENED = 20_000  # Parquet files of a fleet; of more, the length tells too


@dataclass(frozen=True)
class Sample:
    """Machines to probe, in a folder of readings made for it.

    Attributes
    ----------
    root : Path
        With the tables of those machines alone.
    assets : tuple of AssetFiles
    cut : frozenset of str
        Those of which only the first timesteps are there.
    """

    root: Path
    assets: tuple[AssetFiles, ...]
    cut: frozenset[str]


def sample_of(root: Path, assets: Sequence[AssetFiles], folder: Path) -> Sample:
    """Choose machines and put into `folder` what a probe of them needs.

    Raises
    ------
    ReadingsError
        If a table of the readings cannot be used.
    """
    groups: dict[str, list[AssetFiles]] = {}
    for one in assets:
        groups.setdefault(one.group, []).append(one)
    largest = sorted(groups.values(), key=len, reverse=True)[:MOST_GROUPS]
    chosen = [one for of_group in largest for one in spread(of_group, MOST_ASSETS)]
    (folder / "readings").mkdir(parents=True)
    found = [_first_timesteps(one, folder / "readings") for one in chosen]
    cut = frozenset(one.asset for one, whole in zip(found, chosen, strict=True) if one != whole)
    for name in SPAN_FILES:
        kept = {one.asset for one in chosen} - (cut if name == "splits" else set())  # a split may lie beyond the cut
        _write_rows(root / f"{name}.csv", kept, folder / f"{name}.csv")
    return Sample(folder, tuple(found), cut)


def few_files(assets: Iterable[AssetFiles]) -> bool:
    """Whether a fleet has so few files that each may be opened."""
    return sum(len(one.files) for one in assets) <= MOST_OPENED


def sizes_of(assets: Iterable[AssetFiles], *, opened: bool) -> tuple[dict[str, int], dict[str, str]]:
    """Return how much each asset holds, and why some cannot be read.

    In bytes; of Parquet files that may be `opened`, in rows.
    """
    sizes: dict[str, int] = {}
    failures: dict[str, str] = {}
    for one in assets:
        try:
            sizes[one.asset] = _size(one, opened=opened)
        except (ReadingsError, OSError) as error:
            failures[one.asset] = " ".join(str(error).split())
    return sizes, failures


def _size(one: AssetFiles, *, opened: bool) -> int:
    if opened and _is_parquet(one):
        return parquet_size(one.files)[0]
    return sum(path.stat().st_size for path in one.files)


def _first_timesteps(one: AssetFiles, folder: Path) -> AssetFiles:
    """Return an asset's own files, or where it has many timesteps files with the first of them."""
    try:
        return _cut_parquet(one, folder) if _is_parquet(one) else _cut_csv(one, folder)
    except (OffbeatError, OSError, pa.ArrowException):
        return one  # who reads it says why


def _cut_parquet(one: AssetFiles, folder: Path) -> AssetFiles:
    if parquet_size(one.files)[0] <= MOST_TIMESTEPS:
        return one
    files, left = [], MOST_TIMESTEPS
    for path in one.files:
        with parquet.ParquetFile(path) as file:
            batches = list(file.iter_batches(batch_size=left)) if file.metadata.num_rows <= left else []
            batches = batches or [next(file.iter_batches(batch_size=left))]
            table = pa.Table.from_batches(batches, file.schema_arrow)
        files.append(_place(path, one, folder))
        parquet.write_table(table, files[-1])
        left -= len(table)
        if left <= 0:
            break
    return replace(one, files=tuple(files))


def _cut_csv(one: AssetFiles, folder: Path) -> AssetFiles:
    [path] = one.files
    with path.open("rb") as file:
        lines = list(islice(file, MOST_TIMESTEPS + 1))
        if not file.read(1):
            return one
    place = _place(path, one, folder)
    place.write_bytes(b"".join(lines))
    return replace(one, files=(place,))


def _place(path: Path, one: AssetFiles, folder: Path) -> Path:
    """Return where a file's first timesteps go, under the name that messages call the file by."""
    place = folder.joinpath(*path.parts[-4:]) if one.is_partition else folder / path.name
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _write_rows(path: Path, kept: set[str], place: Path) -> None:
    """Write the rows of a table that are of some assets; what else is wrong with it, who reads it says."""
    if not path.exists():
        return
    table, _ = read_csv(path, text=True)
    names = {str(name).lower(): name for name in table.columns}
    if "asset" in names:
        table = table[table[names["asset"]].str.strip().isin(kept)]
    table.to_csv(place, index=False)


def _is_parquet(one: AssetFiles) -> bool:
    return one.files[0].suffix.lower() == ".parquet"
