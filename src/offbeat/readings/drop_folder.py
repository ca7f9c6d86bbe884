"""A folder into which CSV and Parquet files of readings are dropped, as a source.

What was taken is known by name, size and time of change, and by content: a file that is touched, or comes again under
another name, gives nothing; one that has changed is read again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.asset_readings import read_frame
from offbeat.readings.assets import AssetFiles
from offbeat.readings.merging import merge
from offbeat.readings.pieces import Piece, checked
from offbeat.readings.sources import Batch

UNFINISHED = (".tmp", ".part", ".partial")


@dataclass(frozen=True)
class DropFolder:
    """Readings dropped as files; each file is of one asset, or has a column that names the asset of each row.

    Attributes
    ----------
    name : str
        Under which the source's state is kept.
    path : Path
    asset_column : str, optional
        Column that names the asset. Else the asset is the first sub-folder that the file lies in, else the part of
        the file's name before ``__``, or before its ending.
    settle_s : float
        A file that changed less than so many seconds ago may still be written, and waits for the next pull.
    """

    name: str
    path: Path
    asset_column: str | None = None
    settle_s: float = 5.0

    def pull(self, state: Mapping[str, Any]) -> Iterator[Batch]:
        """Read the files that are new or changed since `state`, the one that changed last at the end.

        Parameters
        ----------
        state : mapping
            For each file taken, its size, time of change and SHA-256; for each file refused, also by which setting. A
            refused file is read again when it has changed, or when the source is set up differently.

        Yields
        ------
        Batch
            Of one asset's readings in one file, or of a file that is left out, with its reason.

        Raises
        ------
        ReadingsError
            If the folder is not there.
        """
        taken = {known["sha256"] for known in state.values() if not known.get("refused")}
        for file in self._files():
            if self._is_known(file, state):
                continue
            batches = self._batches(file, taken)
            if _File.of(file.path, self.path) != file:
                continue  # it changed meanwhile, and waits for the next pull
            taken |= {known["sha256"] for batch in batches for known in batch.mark.values() if not batch.refused}
            yield from batches

    def _is_known(self, file: _File, state: Mapping[str, Any]) -> bool:
        known = state.get(file.name, {})
        same = (known.get("bytes"), known.get("modified_ns")) == (file.n_bytes, file.modified_ns)
        return same and known.get("refused", self._settings) == self._settings

    @property
    def _settings(self) -> str:
        """What decides, beside the file, whether it is refused."""
        return f"asset_column: {self.asset_column}"

    def _files(self) -> list[_File]:
        """Every settled file, in the order of their last change, so that corrections come after what they correct."""
        if not self.path.is_dir():
            raise ReadingsError(f"source {self.name!r}: {self.path} is not a folder: make it, or correct its path")
        now = time.time()
        files = [_File.of(path, self.path) for path in self.path.rglob("*") if _is_finished(path, self.path)]
        settled = [file for file in files if file and abs(now - file.modified_ns / 1e9) >= self.settle_s]
        return sorted(settled, key=lambda file: (file.modified_ns, file.name))

    def _batches(self, file: _File, taken: set[str]) -> list[Batch]:
        """Read one file; nothing if its content was taken before."""
        mark: dict[str, Any] = {"bytes": file.n_bytes, "modified_ns": file.modified_ns}
        try:
            with file.path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256")
            if self.asset_column is None:  # the same readings of another machine are other readings
                digest.update(b"\0" + _asset_of(file).encode("utf-8", "surrogateescape"))
            mark["sha256"] = digest.hexdigest()
            if mark["sha256"] in taken:
                return []
            parts = self._read(file)
        except OSError as error:  # perhaps only for now, so that nothing is marked
            return [_refused(file, f"cannot be read: {error.strerror}: check that you may read it", {})]
        except ReadingsError as error:
            return [_refused(file, str(error), {file.name: {**mark, "refused": self._settings}})]
        return [Batch(asset, frame, file.name, {file.name: mark}) for asset, frame in parts]

    def _read(self, file: _File) -> list[tuple[str, pd.DataFrame]]:
        """Each asset's readings in a file, checked and one row for each timestamp."""
        frame, _, _ = read_frame(AssetFiles.of(file.path), text_column=self.asset_column)
        if isinstance(frame.index, pd.RangeIndex):
            raise ReadingsError(
                f"{file.path.name} has no timestamp, so that its place among other readings is unknown: add a column "
                "'timestamp', or 'index' with whole numbers"
            )
        parts = [(asset, checked(part, asset, file.path.name)) for asset, part in self._by_asset(file, frame)]
        return [(asset, merge(None, [Piece(file.path.name, part)])[0]) for asset, part in parts]

    def _by_asset(self, file: _File, frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
        if self.asset_column is None:
            return [(_asset_of(file), frame)]
        if self.asset_column not in frame:
            raise ReadingsError(
                f"{file.path.name} has no column {self.asset_column!r} with the asset of each row: add it, or drop "
                "asset_column from the source"
            )
        assets = frame.pop(self.asset_column)
        if assets.isna().any():
            raise ReadingsError(
                f"{file.path.name}: {self.asset_column!r} is missing at {frame.index[int(assets.isna().argmax())]}: "
                "fill it in or drop the row"
            )
        names = assets.astype(str).str.strip().to_numpy()
        return [(str(name), part) for name, part in frame.groupby(names)]


@dataclass(frozen=True)
class _File:
    """A file as the folder lists it; `name` is its path in the folder, with slashes."""

    path: Path
    name: str
    n_bytes: int
    modified_ns: int

    @staticmethod
    def of(path: Path, folder: Path) -> _File | None:
        """Look a file up; None if there is none."""
        try:
            status = path.stat()
        except OSError:
            return None  # gone meanwhile, or a link to nothing
        return _File(path, path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns)


def _is_finished(path: Path, folder: Path) -> bool:
    """Whether the path is a file that nobody has named as hidden or in the making."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() not in UNFINISHED and path.is_file()


def _asset_of(file: _File) -> str:
    """Return the asset that a file's name gives: its sub-folder, or what stands before two underscores."""
    folder, _, rest = file.name.partition("/")
    return folder if rest else file.path.stem.partition("__")[0]


def _refused(file: _File, reason: str, mark: Mapping[str, Any]) -> Batch:
    return Batch("", pd.DataFrame(index=pd.DatetimeIndex([])), file.name, mark, reason)
