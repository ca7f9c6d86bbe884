"""What offbeat writes is whole or not there: it is written beside its place and moved in one step."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def new_directory(directory: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `directory` when the block ends well, and vanishes otherwise."""
    directory = directory.absolute()
    recover_directory(directory)
    scratch = _scratch(directory)
    scratch.mkdir(parents=True)
    try:
        yield scratch
        _replace_directory(scratch, directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def restore_directory(directory: Path) -> None:
    """Put back a folder that `new_directory` had moved aside for its successor when it was killed.

    Nothing happens where `directory` stands, or nothing was moved aside; so whoever only reads may call it, too.
    """
    directory = directory.absolute()
    old = _old(directory)
    if not directory.exists() and old.exists():
        old.replace(directory)


def recover_directory(directory: Path) -> None:
    """Restore a folder, and remove what a killed `new_directory` left beside it; none may be at work."""
    directory = directory.absolute()
    restore_directory(directory)
    scratch = _scratch(directory)
    shutil.rmtree(scratch, ignore_errors=True)
    _discard(_old(directory), scratch)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a name beside `path`; its file becomes `path` when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.partial")
    try:
        yield scratch
        with scratch.open("rb+") as file:
            os.fsync(file.fileno())  # or a power cut could leave an empty file under the new name
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file; NaN, which JSON lacks, becomes null."""
    with new_file(path) as scratch:
        scratch.write_text(json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file of a header and rows."""
    with new_file(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def file_stem(name: str) -> str:
    """Return an asset's name as that of a file: a slash in it, and a percent sign before, are percent-encoded."""
    return name.replace("%", "%25").replace("/", "%2F") if "/" in name else name


def without_nan(content: Any) -> Any:
    """Return what is to be JSON with None for each number that JSON lacks."""
    if isinstance(content, Mapping):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _scratch(directory: Path) -> Path:
    """Name under which a folder is written, and removed."""
    return directory.with_name(f".{directory.name}.partial")


def _old(directory: Path) -> Path:
    """Name under which a folder waits for its successor; what stands there is whole, always."""
    return directory.with_name(f".{directory.name}-old")


def _replace_directory(new: Path, directory: Path) -> None:
    """Move `new` to `directory`; what stood there goes only after the new one is whole."""
    old = _old(directory)
    if directory.exists():
        directory.replace(old)
    try:
        new.replace(directory)
    except OSError:
        if old.exists():
            old.replace(directory)
        raise
    _discard(old, new)


def _discard(old: Path, scratch: Path) -> None:
    """Remove `old` under the name `scratch`, which is free: a half-removed folder must never be called old."""
    if old.exists():
        old.replace(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
