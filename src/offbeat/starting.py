"""What a training starts from: new weights, or those of a detector for the same channels (a warm start).

start/start.json          {"version": null}: new weights; or the version of the model that lies beside it
start/detector/           that model's detector without its assets, as `Detector.save` writes it

The folder `start/` is an input of the stage train, with a version of its own (`start.dvc`) as `data/` has one: whatever
was trained can be trained again, also when the registry is gone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from offbeat.detection.detector import Detector
from offbeat.errors import ModelError, StageError, StartError
from offbeat.files import new_directory, write_json
from offbeat.params import PrepareParams
from offbeat.readings.moments import step_json
from offbeat.readings.series import Series

START = Path("start")


@dataclass(frozen=True, eq=False)
class Start:
    """A detector whose network a training goes on from, and its version, "" for one that is in no registry."""

    detector: Detector
    version: str = ""

    @property
    def lineage(self) -> dict[str, str]:
        """What it adds to the lineage of what is trained: `start_hash`, SHA-256 of its network, and `start_version`."""
        known = {"start_version": self.version} if self.version else {}
        return {"start_hash": hashlib.sha256(self.detector.runtime.graph).hexdigest(), **known}

    def graph_for(self, series: Series, prepare: PrepareParams) -> bytes:
        """Return its network, for a training on readings such as these.

        Raises
        ------
        StartError
            If it knows other channels, another period or another preprocessing.
        """
        own, channels = self.detector, series.channels
        if own.channels != channels:
            raise StartError(_other("channels", ", ".join(own.channels), ", ".join(channels)))
        if (own.step, own.is_time) != (series.step, series.is_time):
            periods = step_json(own.step, own.is_time), step_json(series.step, series.is_time)
            raise StartError(_other("a period", *map(str, periods)))
        before, now = own.preprocessing.model_dump(), prepare.preprocessing.model_dump()
        for key, value in before.items():
            if value != now[key]:
                raise StartError(_other(f"prepare.{key}", str(value), str(now[key])))
        return own.runtime.graph


def _other(what: str, there: str, here: str) -> str:
    return f"the start has {what} {there}, this training {here}: train from new weights, or as it was trained"


def write_start(directory: Path, start: Start | None) -> None:
    """Write what the next training starts from, None for new weights; whole or not at all."""
    with new_directory(directory) as scratch:
        write_json(scratch / "start.json", {"version": None if start is None else start.version})
        if start is not None:
            replace(start.detector, assets={}).save(scratch / "detector")


def read_start(directory: Path) -> Start | None:
    """Return what a training starts from, None for new weights, as where there is no such folder.

    Raises
    ------
    StageError
        If it is there and damaged, or of another version of offbeat.
    """
    path = directory / "start.json"
    if not directory.exists():
        return None
    try:
        version = json.loads(path.read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StageError(f"{path}: missing or damaged ({type(error).__name__}): dvc checkout start.dvc") from error
    if version is None:
        return None
    try:
        return Start(Detector.load(directory / "detector"), version)
    except ModelError as error:
        raise StageError(
            f"{directory} cannot be started from ({error}): dvc checkout start.dvc, or train from new weights "
            "(python -m flows.retrain --new-weights)"
        ) from error
