"""The public sets as groups to train: a model for all assets of a set where they are alike, else one for each.

Each group becomes a folder in the layout of `data/`, fetched once and kept; its hash stands for its readings.
"""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offbeat.errors import ReadingsError
from offbeat.files import new_directory, write_csv
from offbeat.readings.datasets import fetch


@dataclass(frozen=True)
class Set:
    """What the protocol says of a public set.

    Attributes
    ----------
    together : bool
        One model for all assets, else one for each.
    labelled_only : bool
        Leave out assets without a training part: they are runs of another kind.
    training_share : float or None
        Of the rows, for runs to failure, of which no part is named for training or labelled.
    drop_first_row : tuple of str
        Assets whose first row is not used, as in the published figures.
    first_channel_only : bool
        Leave out the other columns: they are commands, and the labels are of the first.
    """

    together: bool = False
    labelled_only: bool = False
    training_share: float | None = None
    drop_first_row: tuple[str, ...] = ()
    first_channel_only: bool = False


SETS = {
    "skab": Set(together=True, labelled_only=True),
    "nab": Set(drop_first_row=("nyc_taxi",)),
    "msl": Set(first_channel_only=True),
    "smd": Set(),
    "asd": Set(),
    "ucr": Set(),
    "tep": Set(together=True),
    # unlabelled: the bar looks for alarms from the first row to the failure, and nobody knows when wear began
    "ims_bearing": Set(training_share=0.4),
}


@dataclass(frozen=True)
class Group:
    """Assets that one model learns from: the folder of their readings, and what stands for all that is in it."""

    set_name: str
    name: str
    folder: Path
    data_hash: str
    n_channels: int
    n_rows: int


def places(data: Path, chosen: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each chosen set, given as `name` or `name=FOLDER`; of all of `data` if none is chosen.

    Raises
    ------
    ReadingsError
        If a set is unknown or not there.
    """
    found = {}
    for text in chosen or [name for name in SETS if (data / name).is_dir()]:
        name, _, elsewhere = text.partition("=")
        place = Path(elsewhere) if elsewhere else data / name
        if name not in SETS:
            raise ReadingsError(f"unknown set {name!r}: known are {', '.join(SETS)}")
        if not place.exists():
            raise ReadingsError(f"{place} does not exist: give the set's folder as {name}=FOLDER, or all with --data")
        found[name] = place
    if not found:
        raise ReadingsError(f"{data} holds none of {', '.join(SETS)}: give a folder that does with --data")
    return found


def groups_of(name: str, place: Path, cache: Path) -> list[Group]:
    """Return the groups of a set, fetched from `place` into `cache` where they are not there yet."""
    home = cache / f"{name}-{_fingerprint(place)}"
    if not home.exists():
        with new_directory(home) as scratch:
            _lay_out(name, place, scratch)
    return [_group(name, folder) for folder in sorted(home.iterdir())]


def _fingerprint(place: Path) -> str:
    """Return a short hash of the files below a place: names, sizes and times of change."""
    files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    listing = [f"{path.resolve()} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()[:12]


def _lay_out(name: str, place: Path, home: Path) -> None:
    """Fetch a set and write a folder for each of its groups."""
    chosen, whole = SETS[name], home / "fetched"
    fetch(name, whole, place)
    starts = {row["asset"]: row["test_start"] for row in _rows(whole / "splits.csv")}
    assets = sorted(path.stem for path in (whole / "readings").iterdir())
    assets = [asset for asset in assets if asset in starts or not chosen.labelled_only]
    for group in [assets] if chosen.together else [[asset] for asset in assets]:
        folder = home / (name if chosen.together else group[0])
        (folder / "readings").mkdir(parents=True)
        for asset in group:
            _copy_readings(whole, folder, asset, chosen, starts)
        labels = [row for row in _rows(whole / "labels.csv") if row["asset"] in group]
        if labels:
            write_csv(folder / "labels.csv", list(labels[0]), [list(row.values()) for row in labels])
        splits = [(asset, starts[asset]) for asset in group if asset in starts]
        write_csv(folder / "splits.csv", ("asset", "test_start"), splits)
    shutil.rmtree(whole)


def _copy_readings(whole: Path, folder: Path, asset: str, chosen: Set, starts: dict[str, str]) -> None:
    """Copy the readings of an asset, and set its test start where the protocol does so; `starts` takes it."""
    header, *rows = (whole / "readings" / f"{asset}.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    if chosen.first_channel_only:
        header, *rows = (",".join(line.rstrip("\n").split(",")[:2]) + "\n" for line in (header, *rows))
    if asset in chosen.drop_first_row:
        del rows[0]
        starts[asset] = rows[len(rows) // 4].split(",")[0]  # a quarter of what is left
    if asset not in starts and chosen.training_share is not None:
        starts[asset] = rows[int(len(rows) * chosen.training_share)].split(",")[0]
    (folder / "readings" / f"{asset}.csv").write_text("".join([header, *rows]), encoding="utf-8")


def _group(set_name: str, folder: Path) -> Group:
    digest, n_rows, n_channels = hashlib.sha256(), 0, 0
    for path in sorted(path for path in folder.rglob("*.csv")):
        content = path.read_bytes()
        digest.update(path.relative_to(folder).as_posix().encode() + content)
        if path.parent.name == "readings":
            n_rows += content.count(b"\n") - 1
            n_channels = content[: content.index(b"\n")].count(b",")  # the first column is the time
    return Group(set_name, folder.name, folder, digest.hexdigest(), n_channels, n_rows)


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file that a set may lack."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
