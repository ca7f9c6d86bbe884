"""offbeat learns how machines normally behave from their sensor readings, and says when they stop.

from offbeat import Detector, Series, fit
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offbeat.detection.detector import Detector
    from offbeat.detection.result import ScoreResult
    from offbeat.errors import OffbeatError
    from offbeat.readings.folder import Folder, read_folder
    from offbeat.readings.series import Series
    from offbeat.training import fit

__all__ = ["Detector", "Folder", "OffbeatError", "ScoreResult", "Series", "fit", "read_folder"]

# loaded on first use, so that `offbeat --help` stays quick
_HOMES = {
    "Detector": "offbeat.detection.detector",
    "Folder": "offbeat.readings.folder",
    "OffbeatError": "offbeat.errors",
    "ScoreResult": "offbeat.detection.result",
    "Series": "offbeat.readings.series",
    "fit": "offbeat.training",
    "read_folder": "offbeat.readings.folder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'offbeat' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
