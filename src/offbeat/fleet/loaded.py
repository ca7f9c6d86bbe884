"""What a worker keeps from one shard to the next: the detector of the group that it is at."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet, model_checksum
from offbeat.errors import ModelError


@lru_cache(maxsize=2)
def loaded_detector(model: Path, group: str, checksum: str) -> Detector:
    """Return the detector of a group from the folder of a saved `Fleet`, whose `model_checksum` this is.

    Raises
    ------
    ModelError
        As `Fleet.load_group`, and if another model stands there now.
    """
    if model_checksum(model) != checksum:
        raise ModelError(f"{model}: another model took its place during the run: call again")
    return Fleet.load_group(model, group)
