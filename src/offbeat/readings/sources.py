"""Where new readings come from: the contract of a source, and sources.yaml.

A source gives only what it has not given before. What that is, its state says, which ingestion keeps beside the
readings in data/, so that the two can never disagree.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import quote

import pandas as pd
import yaml
from pydantic import Field, ValidationError

from offbeat.errors import OffbeatError, ParamsError
from offbeat.params import Positive, Section


@dataclass(frozen=True, eq=False)
class Batch:
    """Readings of one asset from one place of a source, or why they were refused.

    Attributes
    ----------
    asset : str
    frame : DataFrame
        Numeric channels over a DatetimeIndex (naive is UTC) or an integer index, rows in any order; may be empty.
    origin : str
        File or table, for messages. Rows of one asset, timestamp and origin must not contradict each other; those of
        a later origin replace those of an earlier one.
    mark : mapping
        JSON entries that enter the source's state once this batch is in data/.
    refused : str
        Why the readings were left out, for the report; the frame is empty then.
    """

    asset: str
    frame: pd.DataFrame
    origin: str
    mark: Mapping[str, Any]
    refused: str = ""


class ReadingsSource(Protocol):
    """What gives readings, and knows which it has given."""

    @property
    def name(self) -> str:
        """Name of the source, unique among all; its state is kept under it."""

    def pull(self, state: Mapping[str, Any]) -> Iterator[Batch]:
        """Give the readings that `state` does not mark as taken."""


class _Entry(Section):
    """What every entry of sources.yaml has."""

    name: Annotated[str, Field(min_length=1)]


class FolderEntry(_Entry):
    """An entry of kind folder; `DropFolder` explains its keys."""

    kind: Literal["folder"]
    path: str
    asset_column: str | None = None
    settle_s: Annotated[float, Field(ge=0)] = 5.0


class SqlEntry(_Entry):
    """An entry of kind sql; `SqlTable` explains its keys."""

    kind: Literal["sql"]
    url: str
    table: str
    layout: Literal["wide", "long"] = "wide"
    timestamp_column: str = "timestamp"
    asset_column: str = "asset"
    channel_column: str = "channel"
    value_column: str = "value"
    channels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    late: str | Annotated[int, Field(ge=0)] = "1d"


class SnapshotsEntry(_Entry):
    """An entry of kind snapshots; `SnapshotFolder` explains its keys."""

    kind: Literal["snapshots"]
    path: str
    asset: str
    sampling_hz: Positive
    channels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    bands_hz: tuple[tuple[float, float], ...] = ()
    time_format: str = "%Y.%m.%d.%H.%M.%S"
    settle_s: Annotated[float, Field(ge=0)] = 5.0


Entry = FolderEntry | SqlEntry | SnapshotsEntry
_ENTRIES: dict[str, type[Entry]] = {"folder": FolderEntry, "sql": SqlEntry, "snapshots": SnapshotsEntry}


def load_sources(path: Path, environment: Mapping[str, str]) -> list[ReadingsSource]:
    """Return the sources that sources.yaml lists; none if it is missing or empty.

    Parameters
    ----------
    path : Path
        Holds a list under ``sources``; paths in it count from its folder.
    environment : mapping
        What ``${NAME}`` in a url stands for.

    Raises
    ------
    ParamsError
        Naming the file, the entry and the key: unknown, missing, of the wrong type or out of range.
    """
    path = Path(path)
    sources: list[ReadingsSource] = []
    for place, entry in enumerate(_entries(path), start=1):
        where = f"{path.name}, entry {place} ({entry.name!r})"
        if entry.name in [source.name for source in sources]:
            raise ParamsError(f"{where}: another entry has the same name, by which is known what was taken: rename one")
        try:
            sources.append(_source(entry, path.absolute().parent, environment))
        except OffbeatError as error:
            raise ParamsError(f"{where}: {error}") from error
    return sources


def _entries(path: Path) -> list[Entry]:
    """Check the entries of the file."""
    if not path.exists():
        return []
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        # from None, and not all it says: that quotes the line, which may hold a password
        mark, problem = (getattr(error, name, None) for name in ("problem_mark", "problem"))
        line = f", line {mark.line + 1}" if mark else ""
        raise ParamsError(f"{path.name}{line}: not YAML: {problem or 'a control character'}") from None
    if not isinstance(content, dict) or set(content) - {"sources"}:
        raise ParamsError(f"{path.name} must hold one key, sources, with a list of sources under it")
    entries = content.get("sources") or []
    if not isinstance(entries, list):
        raise ParamsError(f"{path.name}: sources must be a list, with a dash before each source")
    return [_entry(given, f"{path.name}, entry {place}") for place, given in enumerate(entries, start=1)]


def _entry(given: Any, where: str) -> Entry:
    """Check one entry; no message shows the value of a url, which may hold a password."""
    if not isinstance(given, dict) or given.get("kind") not in list(_ENTRIES):
        kind = repr(given.get("kind")) if isinstance(given, dict) else "no mapping of keys to values"
        raise ParamsError(f"{where}: kind must be one of {', '.join(_ENTRIES)}, got {kind}")
    if isinstance(given.get("name"), str):
        where += f" ({given['name']!r})"
    model = _ENTRIES[given["kind"]]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        wrong = [_explained(dict(item), list(model.model_fields)) for item in error.errors()]
        raise ParamsError(f"{where}: {'; '.join(wrong)}") from None


def _explained(item: Mapping[str, Any], known: list[str]) -> str:
    key = str(item["loc"][0])
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known, n=1)
        return f"unknown key {key!r}: " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}")
    if item["type"] == "missing" and len(item["loc"]) == 1:
        return f"key {key!r} is missing"
    value = "" if key == "url" else f"={item['input']!r}"
    return f"{key}{value}: {item['msg'][0].lower()}{item['msg'][1:]}"


def _source(entry: Entry, folder: Path, environment: Mapping[str, str]) -> ReadingsSource:
    """Make the source of an entry; each kind is imported only where it is used."""
    if isinstance(entry, FolderEntry):
        from offbeat.readings.drop_folder import DropFolder

        return DropFolder(entry.name, folder / entry.path, entry.asset_column, entry.settle_s)
    if isinstance(entry, SnapshotsEntry):
        from offbeat.readings.snapshots import SnapshotFolder

        return SnapshotFolder(**entry.model_dump(exclude={"kind", "path"}), path=folder / entry.path)
    try:
        from offbeat.readings.sql_table import SqlTable, database_url
    except ModuleNotFoundError as error:
        raise ParamsError(f"a source of kind sql needs {error.name}: pip install 'offbeat[pipeline]'") from error
    url = database_url(_filled(entry.url, environment), folder)
    late = entry.late if isinstance(entry.late, int) else _length(entry.late)
    return SqlTable(**entry.model_dump(exclude={"kind", "url", "late"}), url=url, late=late)


def _length(text: str) -> pd.Timedelta:
    try:
        length = pd.Timedelta(text)
    except ValueError as error:
        raise ParamsError(f"late={text!r} is not a length of time: write '1d' or '12h'") from error
    if not length >= pd.Timedelta(0):  # NaT is not, either
        raise ParamsError(f"late={text!r} must not be negative")
    return length


def _filled(url: str, environment: Mapping[str, str]) -> str:
    """Put the environment's values in place of ``${NAME}``; in a user's name or password any letter may stand."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environment:
            raise ParamsError(f"url: the environment has no variable {name}: set it")
        is_login = "//" in url[: match.start()] and "@" in url[match.end() :] and "@" not in url[: match.start()]
        return quote(environment[name], safe="") if is_login else environment[name]

    return re.sub(r"\$\{(\w+)\}", value, url)
