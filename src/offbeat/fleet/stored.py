"""What one step of a fleet's work leaves for the next, on the disk: a first part that is light, and a heavy second one.

Pickled, for it is read by the code that wrote it, within one run or its continuation, and by nobody else.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any


def write_parts(path: Path, light: Any, heavy: Any = None) -> None:
    """Write both parts."""
    with path.open("wb") as file:
        for part in (light, heavy):
            pickle.dump(part, file, protocol=5)


def read_light(path: Path) -> Any:
    """Read the first part; the second is not looked at."""
    with path.open("rb") as file:
        return pickle.load(file)


def read_parts(path: Path) -> tuple[Any, Any]:
    """Read both parts."""
    with path.open("rb") as file:
        return pickle.load(file), pickle.load(file)
