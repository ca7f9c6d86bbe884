"""Later readings of a fleet beside what its model was made from, shard by shard; a verdict for each group.

Two steps, for a machine is compared up to the newest reading of all: read what arrived, then put it in chunks. What
moves by chance is told by a group together, from the chunks alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from offbeat.detection.fleet import Fleet, model_checksum
from offbeat.drift.arrival import gone, read_some
from offbeat.drift.check import NOBODY_KNOWN, Drift, compare, knows, newest, verdict_of
from offbeat.drift.period import Period
from offbeat.drift.verdict import UNKNOWN, AssetDrift
from offbeat.errors import ModelError, ReadingsError
from offbeat.fleet.loaded import loaded_detector
from offbeat.fleet.shards import Shard, shards_of
from offbeat.fleet.stored import read_light, read_parts, write_parts
from offbeat.fleet.work import Work, absolute, group_of, placed, tables_hash
from offbeat.params import DriftParams
from offbeat.readings.assets import AssetFiles

ARRIVED, COMPARED = "arrived", "compared"  # folders of the work


@dataclass(frozen=True)
class Given:
    """What all machines are compared with: the model's folder and checksum, the folder of their tables, all names."""

    model: Path
    checksum: str
    root: Path | None
    everyone: frozenset[str]
    params: DriftParams


def check_fleet(
    model: Path,
    assets: Sequence[AssetFiles],
    params: DriftParams,
    work: Work,
    *,
    root: Path | None,
    shard_size: int | None = None,
) -> dict[str, Drift]:
    """Compare later readings of a fleet with those that its model was made from; return each group's verdict.

    Parameters
    ----------
    model : Path
        Folder of a saved `Fleet`.
    assets : sequence of AssetFiles
        A machine that is in no group of the model's counts with the first; one that could not be compared is told so.
    params : DriftParams
    work : Work
    root : Path or None
        Folder whose labels, exclusions and alarms name rows that do not count.
    shard_size : int, optional
        Machines that are worked on in one go; as `shards_of` by default.

    Raises
    ------
    ModelError
        If the model carries no reference of any of the machines.
    ReadingsError
        If none could be read, because a table is wrong.
    """
    model, root = model.absolute(), None if root is None else root.absolute()
    assets, fleet = absolute(assets), Fleet.load(model)
    known, strangers = placed(fleet, assets, with_new=True)
    first = next(iter(fleet.groups))
    known += [AssetFiles(one.asset, one.files, first) for one in strangers]
    if not any(knows(fleet.groups[one.group], one.asset) for one in known):
        raise ModelError(NOBODY_KNOWN)
    everyone = frozenset(one.asset for one in assets) | fleet.group_of.keys()
    given = Given(model, model_checksum(model), root, everyone, params)
    shards = shards_of(known, shard_size)
    settings = f"{given.checksum} {tables_hash(root)} {params.model_dump_json()}"
    arrived = work.each(ARRIVED, "reading", partial(_read, given), shards, settings)
    if not arrived:
        raise ReadingsError(next(iter(work.failures.values()), "there are no machines"))
    now = max(read_light(path) for path in arrived.values())
    comparing = partial(_compare, given, arrived, now)
    read = [shard for shard in shards if shard.name in arrived]
    compared = work.each(COMPARED, "comparing", comparing, read, f"{settings} {now}")
    verdicts = {}
    for name, detector in fleet.groups.items():
        own = [shard for shard in shards if group_of(shard) == name]
        names = [one.asset for shard in own for one in shard.assets]
        if not own:
            continue
        found: list[Period | AssetDrift] = []
        for shard in own:
            if shard.name in compared:
                found += read_parts(compared[shard.name])[1]
            else:
                found += [AssetDrift(one.asset, UNKNOWN, (work.failures[one.asset],)) for one in shard.assets]
        lost = [] if root is None else gone(detector, names, root)
        verdicts[name] = verdict_of(detector, [*found, *(compare(detector, one, now, params) for one in lost)], params)
    return verdicts


def _read(given: Given, shard: Shard, path: Path) -> None:
    """Write what arrived of a shard: light, the newest stamp; heavy, the later readings."""
    detector = loaded_detector(given.model, group_of(shard), given.checksum)
    arrived = read_some(detector, shard.assets, given.root, given.everyone)
    write_parts(path, newest(arrived), arrived)


def _compare(given: Given, arrived: Mapping[str, Path], now: int, shard: Shard, path: Path) -> None:
    """Write the chunks of a shard's machines, heavy."""
    detector = loaded_detector(given.model, group_of(shard), given.checksum)
    readings = read_parts(arrived[shard.name])[1]
    found = [compare(detector, one, now, given.params) for one in readings]
    for one in found:
        if isinstance(one, Period):
            _ = one.usual_moves  # kept with it: reckoned here, where there are many workers
    write_parts(path, None, found)
