"""What examples on public data share: readings that `offbeat fetch` brings, and a detector judged on its test span."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from offbeat import Folder, read_folder
from offbeat.evaluation.replay import Replay, network_method, replay, stretch_of
from offbeat.params import Params
from offbeat.readings.datasets import fetch
from offbeat.training import Fitted


def read_public(name: str, asset: str, source: Path | None) -> Folder:
    """Return one asset of a public set with its labels, from a local copy, or downloaded if there is none."""
    with TemporaryDirectory() as directory:
        fetch(name, Path(directory), source, only=[asset])
        return read_folder(Path(directory))


def judge(fitted: Fitted, params: Params) -> Replay:
    """Return scores and alarms of the only asset, and how they compare with the labels of its test span."""
    (prepared,) = fitted.fleet
    return replay(network_method(fitted.detector.method, fitted.detector), stretch_of(prepared, params.evaluate))
