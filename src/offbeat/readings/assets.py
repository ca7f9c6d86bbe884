"""Where the readings of each asset lie: in a file of its own, or in a partitioned data set, a file for each month.

A partitioned data set is ``group=<group>/asset=<asset>/month=<YYYY-MM>/<name>.parquet``, folders that other programs
know as hive partitions; readings without time have the one month ``all``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, unquote

from offbeat.errors import ReadingsError
from offbeat.readings.groups import GROUPS_FILE, check_group, groups_of_assets, read_groups
from offbeat.readings.messages import file_name, is_partition
from offbeat.readings.spans import SPAN_FILES

READINGS_SUFFIXES = (".csv", ".parquet")
NO_MONTH = "all"  # of readings without time
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_NO_VALUE = ("", "__HIVE_DEFAULT_PARTITION__")


@dataclass(frozen=True)
class AssetFiles:
    """The files that hold one asset's readings, end to end in the order of time; `group` is "" where there is none."""

    asset: str
    files: tuple[Path, ...]
    group: str = ""

    @classmethod
    def of(cls, file: Path) -> AssetFiles:
        """Return those of one file, whose name without the ending is the asset's."""
        file = Path(file)
        return cls(file.stem, (file,))

    @property
    def is_partition(self) -> bool:
        """Whether they are of a partitioned data set."""
        return is_partition(self.files[0])

    @property
    def name(self) -> str:
        """What messages call the readings."""
        return file_name(self.files[0]) if len(self.files) == 1 else "/".join(self.files[0].parts[-4:-2])


def asset_files(path: Path) -> list[AssetFiles]:
    """List the files of each asset of a folder, in natural order of the assets' names.

    Parameters
    ----------
    path : Path
        Holds ``readings/`` or what belongs into it: ``<asset>.csv`` or ``.parquet`` (then ``groups.yaml`` beside it may
        name groups), or a partitioned data set. No file is opened but that.

    Raises
    ------
    ReadingsError
        If the folder cannot be listed, holds no readings or both layouts, two places are one asset's, something does
        not belong into a partitioned data set, or groups.yaml cannot be used.
    """
    path = Path(path)
    if not path.is_dir():
        raise ReadingsError(f"{path} is not a folder: give the folder that holds readings/")
    is_nested = (path / "readings").is_dir()
    root = path / "readings" if is_nested else path
    groups = read_groups(path)
    others = set() if is_nested else {f"{name}.csv" for name in SPAN_FILES} | {groups.table.lower() if groups else ""}
    entries = _entries(root)
    alone = [entry for entry in entries if _holds_readings(entry.name) and entry.name.lower() not in others]
    partitions = [entry for entry in entries if "=" in entry.name and entry.is_dir()]
    if alone and partitions:
        raise ReadingsError(
            f"{root}: {alone[0].name} stands beside {partitions[0].name}, which is of a partitioned data set: keep "
            "readings in one layout (offbeat convert)"
        )
    if groups is not None and partitions:
        raise ReadingsError(f"{path / GROUPS_FILE}: the folders of the readings name their groups already: remove it")
    if partitions:
        found = list(_partitioned(root, [entry for entry in entries if entry.is_dir()]))
    else:
        found = [AssetFiles.of(Path(entry.path)) for entry in alone]
    if not found:
        raise ReadingsError(f"{path} holds no readings: put one .csv or .parquet file for each asset into readings/")
    found.sort(key=lambda one: (_natural(one.asset), one.group, one.files[0].name))
    for one, other in pairwise(found):
        if one.asset == other.asset:
            what = "folders" if partitions else "files"
            raise ReadingsError(f"asset {one.asset!r} has two {what}, {one.name} and {other.name}: keep one")
    if groups is None:
        return found
    names = groups_of_assets(groups, [one.asset for one in found], path)
    return [AssetFiles(one.asset, one.files, name) for one, name in zip(found, names, strict=True)]


def groups_of(path: Path) -> dict[str, list[AssetFiles]]:
    """Return the files of each group's assets, the groups in order of their names; one called "" where there is none.

    Raises
    ------
    ReadingsError
        As `asset_files`.
    """
    found: dict[str, list[AssetFiles]] = {}
    for one in asset_files(path):
        found.setdefault(one.group, []).append(one)
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def partition(group: str, asset: str, month: str) -> Path:
    """Return where the readings of a month belong in a partitioned data set, from its folder on.

    Letters that a file system or hive cannot hold plainly are percent-encoded.

    Raises
    ------
    ReadingsError
        If the asset's name is too long for a folder's, or no text.
    """
    try:
        name = f"asset={quote(asset, safe='')}"
    except UnicodeEncodeError as error:
        raise ReadingsError(f"asset {asset!r}: the name is no Unicode text: rename it") from error
    if name.startswith("asset=."):
        name = name.replace(".", "%2E", 1)
    if len(name) > 255:
        raise ReadingsError(f"asset {asset!r}: {name} is too long for a folder's name: rename it")
    return Path(f"group={group}", name, f"month={month}", "readings.parquet")


def _partitioned(root: Path, groups: Iterable[os.DirEntry[str]]) -> Iterator[AssetFiles]:
    for group, of_group in _folders(root, groups, "group"):
        check_group(group, os.path.relpath(of_group, root))
        for asset, of_asset in _folders(root, _entries(of_group), "asset"):
            yield AssetFiles(asset, _months(root, of_asset), group)


def _months(root: Path, folder: str) -> tuple[Path, ...]:
    """Return the file of each month of an asset, in order."""
    months = sorted(_folders(root, _entries(folder), "month"))
    for month, path in months:
        if not (_MONTH.fullmatch(month) or (month == NO_MONTH and len(months) == 1)):
            raise ReadingsError(
                f"{os.path.relpath(path, root)}: write months as month=2026-01, or month={NO_MONTH} as the only one: "
                "rename it"
            )
    if not months:
        raise ReadingsError(f"{os.path.relpath(folder, root)} holds no month of readings: remove it")
    return tuple(_only_file(root, path) for _, path in months)


def _only_file(root: Path, folder: str) -> Path:
    files = [entry for entry in _entries(folder) if not entry.name.startswith("_")]
    wrong = [entry for entry in files if not entry.name.lower().endswith(".parquet") or entry.is_dir()]
    if wrong:
        raise ReadingsError(f"{os.path.relpath(wrong[0].path, root)}: here belongs one .parquet file: move it away")
    if len(files) != 1:
        where, held = os.path.relpath(folder, root), ", ".join(sorted(entry.name for entry in files)[:2])
        raise ReadingsError(f"{where} must hold one .parquet file, and holds {held or 'none'}: join them, or remove it")
    return Path(files[0].path)


def _folders(root: Path, entries: Iterable[os.DirEntry[str]], key: str) -> Iterator[tuple[str, str]]:
    """Yield the value and the path of each folder ``key=value``; what else stands there is refused."""
    for entry in entries:
        if entry.name.startswith("_"):
            continue  # what programs write about a data set, such as _SUCCESS
        name, _, value = entry.name.partition("=")
        if name != key or value in _NO_VALUE or not entry.is_dir():
            raise ReadingsError(
                f"{os.path.relpath(entry.path, root)}: here belong folders {key}=..., for a partitioned data set is "
                "group=<group>/asset=<asset>/month=<YYYY-MM>/<name>.parquet: rename it, or move it away"
            )
        try:
            yield unquote(value, errors="strict") if "%" in value else value, entry.path
        except UnicodeDecodeError as error:
            raise ReadingsError(
                f"{os.path.relpath(entry.path, root)}: what is percent-encoded is not UTF-8: rename it"
            ) from error


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """List a folder, without what is hidden."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise ReadingsError(f"{folder} cannot be read: {error.strerror}: check that you may read it") from error


def _holds_readings(name: str) -> bool:
    return name.lower().endswith(READINGS_SUFFIXES)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which pump-2 comes before pump-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
