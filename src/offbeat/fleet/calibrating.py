"""Normal readings of many assets to their thresholds under a model, shard by shard; without training.

A new asset joins the group that its readings are in, from a calibration span alone. One whose calibration fails keeps
what it had, is told of, and stops no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from offbeat.detection.calibration import Calibration
from offbeat.detection.fleet import Fleet, check_model_directory, model_checksum
from offbeat.detection.reading import read_file
from offbeat.errors import OffbeatError
from offbeat.fleet.engine import Engine
from offbeat.fleet.loaded import loaded_detector
from offbeat.fleet.shards import Shard, shards_of
from offbeat.fleet.stored import read_light, write_parts
from offbeat.fleet.work import Work, absolute, each_asset, group_of, hash_of, placed, tables_hash
from offbeat.progress import Report, silent
from offbeat.readings.assets import AssetFiles
from offbeat.readings.folder import Folder, read_tables
from offbeat.readings.series import Series
from offbeat.typing import FloatArray

CALIBRATED = "calibrated"  # folder of the work


@dataclass(frozen=True, eq=False)
class Given:
    """What all assets are calibrated with; `root` is the folder of the tables, `everyone` whom these may name."""

    model: Path
    checksum: str
    root: Path | None
    everyone: frozenset[str]
    changes: Mapping[str, Any]
    usual_scales: Mapping[str, FloatArray | None]  # of the channels of each group


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A model with new thresholds, the assets that have one, with their group, and why others have none."""

    fleet: Fleet
    assets: Mapping[str, str]
    failures: Mapping[str, str]
    notes: tuple[str, ...]


def calibrate_assets(
    model: Path,
    assets: Sequence[AssetFiles],
    out: Path,
    engine: Engine,
    *,
    root: Path | None,
    changes: Mapping[str, Any],
    shard_size: int | None = None,
    report: Report = silent,
) -> Calibrated:
    """Calibrate a model for the assets of some readings, and save it.

    Parameters
    ----------
    model : Path
        Folder of a saved `Fleet`.
    assets : sequence of AssetFiles
        Normal readings. A new asset's group must be one of the model's, where that has several.
    out : Path
        Where the model goes; it may be the same folder.
    engine : Engine
    root : Path or None
        Folder whose labels, exclusions and alarms are left out.
    changes : mapping
        As for `Detector.calibrate`.
    shard_size : int, optional
        Assets that are worked on in one go; as `shards_of` by default.
    report : callable, optional
        Takes each `Step`, in assets.

    Raises
    ------
    OffbeatError
        If no asset can be calibrated; nothing is saved.
    """
    out, model = out.absolute(), model.absolute()
    root = None if root is None else root.absolute()
    check_model_directory(out)
    work = Work(out, engine, report)
    with work.alone():
        done = _calibrate(work, model, absolute(assets), root, changes, shard_size)
        done.fleet.save(out)
        work.clear()
    return done


def _calibrate(
    work: Work,
    model: Path,
    assets: Sequence[AssetFiles],
    root: Path | None,
    changes: Mapping[str, Any],
    shard_size: int | None,
) -> Calibrated:
    """Do all but save."""
    fleet = Fleet.load(model)
    known, strangers = placed(fleet, assets, with_new=True)
    work.failures |= {one.asset: reason for one, reason in strangers.items()}
    scales = {name: detector.usual_scale() for name, detector in fleet.groups.items()}
    everyone = frozenset(one.asset for one in assets)
    given = Given(model, model_checksum(model), root, everyone, changes, scales)
    shards = shards_of(known, shard_size)
    settings = hash_of(given.checksum, json.dumps(dict(changes), sort_keys=True), tables_hash(root))
    made = work.each(CALIBRATED, "calibrating", partial(_calibrate_shard, given), shards, settings)
    done: dict[str, str] = {}
    notes: list[str] = []
    for shard in shards:
        if shard.name in made:
            found, failures, said = read_light(made[shard.name])
            fleet.groups[group_of(shard)].assets.update(found)
            work.failures |= failures
            notes += said
            done |= dict.fromkeys(found, group_of(shard))
    if not done:
        raise OffbeatError(next(iter(work.failures.values()), "there are no machines to calibrate"))
    return Calibrated(Fleet(fleet.groups), done, work.failures, tuple(dict.fromkeys(notes)))


def _calibrate_shard(given: Given, shard: Shard, path: Path) -> None:
    """Write the calibrations of a shard's assets, why some have none, and what reading the tables found odd."""
    group = group_of(shard)
    detector = loaded_detector(given.model, group, given.checksum)
    series, unread = each_asset(shard.assets, lambda files: read_file(detector, files))
    known = tuple(series.values())
    folder = Folder(known) if given.root is None else read_tables(given.root, known, given.everyone)

    def calibrated(one: Series) -> Calibration:
        labelled, excluded, doubtful = folder.masks(one)
        known = ~(excluded | doubtful)
        usual_scale = given.usual_scales[group]
        return detector.calibrated(
            one, normal=known, labelled=labelled & known, usual_scale=usual_scale, **given.changes
        )

    found, failures = each_asset(known, calibrated)
    write_parts(path, (found, unread | failures, folder.notes))
