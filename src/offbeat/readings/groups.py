"""groups.yaml: which asset belongs to which group of like ones, told by its name or by a table about the assets.

It stands beside labels.csv. In a partitioned data set the folders say it, and there is no such file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import translate
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import yaml
from pydantic import Field, ValidationError, model_validator

from offbeat.errors import ReadingsError
from offbeat.params import Section
from offbeat.readings.tables import read_csv

GROUPS_FILE = "groups.yaml"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # as safe and ten times as fast, where it was built
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_WILD = re.compile(r"[*?\[]")


class Groups(Section):
    """What groups.yaml holds: names and shell patterns of assets by group, or a column of a table about the assets."""

    groups: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default={})
    column: str = ""
    table: str = ""

    @model_validator(mode="after")
    def _says_it_in_one_way(self) -> Groups:
        if bool(self.groups) == bool(self.column or self.table) or bool(self.column) != bool(self.table):
            raise ValueError("give either groups, or both column and table")
        if Path(self.table).name != self.table:
            raise ValueError(f"table={self.table!r} must be the name of a file beside {GROUPS_FILE}: move it there")
        for name in self.groups:
            check_group(name, f"groups.{name}")
        return self


def check_group(name: str, where: str) -> None:
    """Refuse a group's name that could not stand in a folder's name or on a command line as it is.

    Raises
    ------
    ReadingsError
    """
    if not _PLAIN.fullmatch(name):
        raise ReadingsError(
            f"{where}: a group's name holds letters without accents, digits, dots, dashes and underscores, and begins "
            f"with no dot, got {name!r}: rename it"
        )


def read_groups(folder: Path) -> Groups | None:
    """Read groups.yaml; None where there is none.

    Parameters
    ----------
    folder : Path
        The data folder.

    Raises
    ------
    ReadingsError
        Naming the file and the key: unknown, missing, or of the wrong type.
    """
    path = folder / GROUPS_FILE
    if not path.exists():
        return None
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReadingsError(f"{GROUPS_FILE}: not a readable YAML file: {error}: correct it") from error
    if not isinstance(content, dict):
        raise ReadingsError(f"{GROUPS_FILE} must hold the key groups, or column and table: add it")
    try:
        return Groups.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(_explained(dict(item)) for item in error.errors())
        raise ReadingsError(f"{GROUPS_FILE}: {wrong}") from error


def groups_of_assets(groups: Groups, assets: Sequence[str], folder: Path) -> list[str]:
    """Return the group of each asset.

    Raises
    ------
    ReadingsError
        If an asset is in no group, or the table cannot be used.
    """
    return _by_name(groups.groups, assets) if groups.groups else _by_table(groups, assets, folder)


def _explained(item: Mapping[str, Any]) -> str:
    key, message = ".".join(map(str, item["loc"])), item["msg"].lower().replace("tuple", "list")
    if item["type"] == "extra_forbidden":
        return f"unknown key {key!r}: known are groups, or column and table"
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    return f"{key}={item['input']!r}: {message}: correct it"


def _by_name(groups: Mapping[str, Sequence[str]], assets: Sequence[str]) -> list[str]:
    """The first group of which a name or pattern fits; names are looked up, so that there may be many."""
    names = list(groups)
    exact: dict[str, int] = {}
    wild: list[tuple[int, re.Pattern[str]]] = []
    for place, patterns in enumerate(groups.values()):
        for pattern in patterns:
            exact.setdefault(pattern, place)
            if _WILD.search(pattern):
                wild.append((place, re.compile(translate(pattern))))
    found = []
    for asset in assets:
        named = exact.get(asset, len(names))
        place = next((place for place, pattern in wild if place < named and pattern.match(asset)), named)
        if place == len(names):
            raise ReadingsError(
                f"{GROUPS_FILE}: asset {asset!r} is in no group: name it in one, or add a last group with '*' for all "
                "others"
            )
        found.append(names[place])
    return found


def _by_table(groups: Groups, assets: Sequence[str], folder: Path) -> list[str]:
    if not (folder / groups.table).is_file():
        raise ReadingsError(f"{GROUPS_FILE}: there is no table {groups.table} beside it: add it, or correct the name")
    table, source = read_csv(folder / groups.table, text=True)
    for column in ("asset", groups.column):
        if column not in table:
            raise ReadingsError(
                f"{groups.table} must have a column {column!r} ({GROUPS_FILE}): add or rename one, or correct the file"
            )
    by_asset: dict[str, str] = {}
    for row, (asset, group) in enumerate(zip(table["asset"], table[groups.column], strict=True)):
        if pd.isna(asset):
            continue
        name = asset.strip()
        if name in by_asset:
            raise ReadingsError(f"{source.row(row)}: asset {name!r} stands there twice: keep one row")
        by_asset[name] = "" if pd.isna(group) else group.strip()
        check_group(by_asset[name], f"{source.row(row)}, {groups.column}")
    for asset in assets:
        if asset not in by_asset:
            raise ReadingsError(f"{groups.table} has no row of asset {asset!r}, which has readings: add one")
    return [by_asset[asset] for asset in assets]
