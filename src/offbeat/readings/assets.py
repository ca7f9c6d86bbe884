"""The assets of a fleet and the files that hold their readings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AssetFiles:
    """An asset, the files of its readings and its group.

    Attributes
    ----------
    asset : str
    files : tuple of Path
        In the order of time.
    group : str
        Empty where assets have no group.
    """

    asset: str
    files: tuple[Path, ...]
    group: str = ""
