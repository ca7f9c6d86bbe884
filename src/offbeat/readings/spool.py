"""Readings on their way into data/, sorted by asset: in memory while they are few, else on disk.

So a first pull of years of readings of a whole fleet takes no more memory than one asset's readings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from offbeat.readings.pieces import Piece

CELLS_IN_MEMORY = 10_000_000  # 80 MB


@dataclass(eq=False)
class _Part:
    """Readings of one asset and origin, with the same channels: in memory, or all in one file."""

    origin: str
    frames: list[pd.DataFrame]
    file: Path | None = None

    def goes_on_with(self, origin: str, frame: pd.DataFrame) -> bool:
        """Whether `frame` can be added to what is in memory."""
        return self.origin == origin and self.file is None and _kind(self.frames[0]) == _kind(frame)

    def move_to(self, file: Path) -> None:
        pd.concat(self.frames).to_parquet(file)
        self.frames, self.file = [], file


class Spool:
    """Pieces of readings, kept by asset in the order in which they were added."""

    def __init__(self, folder: Path, cells_in_memory: int = CELLS_IN_MEMORY) -> None:
        self._folder, self._cells_in_memory = folder, cells_in_memory
        self._parts: dict[str, list[_Part]] = {}
        self._n_cells = self._n_files = 0

    @property
    def assets(self) -> list[str]:
        """Names of the assets that have readings here, sorted."""
        return sorted(self._parts)

    def add(self, asset: str, origin: str, frame: pd.DataFrame) -> None:
        """Take readings in; all go to files when there are too many for memory."""
        parts = self._parts.setdefault(asset, [])
        if parts and parts[-1].goes_on_with(origin, frame):
            parts[-1].frames.append(frame)
        else:
            parts.append(_Part(origin, [frame]))
        self._n_cells += frame.size
        if self._n_cells > self._cells_in_memory:
            self._write()

    def pieces(self, asset: str) -> list[Piece]:
        """Return the readings of an asset, in the order in which they came."""
        return [
            Piece(part.origin, frame)
            for part in self._parts[asset]
            for frame in ([pd.read_parquet(part.file)] if part.file else part.frames)
        ]

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for part in (part for parts in self._parts.values() for part in parts if part.file is None):
            part.move_to(self._folder / f"{self._n_files}.parquet")
            self._n_files += 1
        self._n_cells = 0


def _kind(frame: pd.DataFrame) -> tuple[list[str], bool]:
    return list(frame.columns), isinstance(frame.index, pd.DatetimeIndex)
