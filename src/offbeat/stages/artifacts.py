"""What the stages hand on: where it lies under `artifacts/`, and in which form.

prepared/                 prepare: one .npz an asset, prepared.json
model/                    train: model.keras, model.onnx, untrained.onnx, train.json; training.json and loss.csv, which
                          DVC compares and plots: a folder whole, so that one made on another machine comes whole
detector/                 calibrate: a saved Detector
scores/                   evaluate: one .parquet an asset
metrics.json, *.csv       evaluate: the same; report.html, the page that people look at
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from offbeat.detection.scaling import Scaling
from offbeat.errors import StageError
from offbeat.files import new_directory, write_json
from offbeat.params import PrepareParams
from offbeat.preparation import Prepared
from offbeat.readings.moments import step_from_json
from offbeat.readings.series import Series
from offbeat.readings.splits import Split

PREPARED = Path("artifacts/prepared")
MODEL = Path("artifacts/model")
DETECTOR = Path("artifacts/detector")
SCORES = Path("artifacts/scores")
METRICS = Path("artifacts/metrics.json")
REPORT = Path("artifacts/report.html")
PRECISION_RECALL = Path("artifacts/precision_recall.csv")

SPANS = ("train", "held_out", "calibration", "test")


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Raise StageError, naming `path` and the remedy, if what an earlier stage left there cannot be used."""
    try:
        yield
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if isinstance(error, FileNotFoundError):
            reason = "there is no such file"
        raise StageError(
            f"{path}: missing or damaged ({reason}): run the stages before this one again, `dvc repro`"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Read what an earlier stage wrote.

    Raises
    ------
    StageError
        If it is not there or not whole.
    """
    with whole(path):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"holds a {type(content).__name__}, not an object")
    return content


def write_prepared(directory: Path, fleet: Sequence[Prepared], card: Mapping[str, Any]) -> None:
    """Write a prepared fleet, (T, F) arrays and window starts, and `card` beside it."""
    with new_directory(directory) as scratch:
        for number, prepared in enumerate(fleet):
            np.savez(scratch / f"{number:04d}.npz", **_arrays(prepared))
        assets = [_asset_card(prepared) for prepared in fleet]
        write_json(scratch / "prepared.json", {**card, "assets": assets})


def read_prepared(directory: Path) -> tuple[list[Prepared], dict[str, Any]]:
    """Read a prepared fleet and its card back.

    Raises
    ------
    StageError
        If a file is not there or not whole.
    """
    card = read_json(directory / "prepared.json")
    with whole(directory / "prepared.json"):
        preprocessing = PrepareParams.model_validate(card["prepare"]).preprocessing
        assets = list(card["assets"])
    fleet = []
    for number, asset in enumerate(assets):
        path = directory / f"{number:04d}.npz"
        with whole(path), path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            scaling = Scaling(preprocessing, arrays["profile"], arrays["centre"], arrays["scale"])
            fleet.append(_prepared(asset, dict(arrays), scaling, card))
    return fleet, card


def _arrays(prepared: Prepared) -> dict[str, Any]:
    series = prepared.series
    return {
        "values": series.values,
        "stamps": series.stamps,
        "segment_starts": series.segment_starts,
        "labelled": prepared.labelled,
        "excluded": prepared.excluded,
        "doubtful": prepared.doubtful,
        "profile": prepared.scaling.profile,
        "centre": prepared.scaling.centre,
        "scale": prepared.scaling.scale,
        "scaled": prepared.scaled,
        "starts": prepared.starts,
        "held_out_starts": prepared.held_out_starts,
    }


def _asset_card(prepared: Prepared) -> dict[str, Any]:
    series, split = prepared.series, prepared.split
    return {
        "asset": series.asset,
        "n_timesteps": series.n_timesteps,
        "n_segments": len(series.segment_starts),
        "n_windows": len(prepared.starts),
        "split": {name: list(getattr(split, name)) for name in SPANS},
        "labelled": int(prepared.labelled.sum()),
        "excluded": int(prepared.excluded.sum()),
        "doubtful": int(prepared.doubtful.sum()),
        "notes": list(series.notes),
    }


def _prepared(
    asset: Mapping[str, Any], arrays: Mapping[str, Any], scaling: Scaling, card: Mapping[str, Any]
) -> Prepared:
    step, is_time = step_from_json(card["period"])
    series = Series(
        asset=asset["asset"],
        channels=tuple(card["channels"]),
        values=arrays["values"],
        stamps=arrays["stamps"],
        is_time=is_time,
        step=step,
        segment_starts=arrays["segment_starts"],
        notes=tuple(asset["notes"]),
        max_gap=card["prepare"]["max_gap"],
    )
    return Prepared(
        series=series,
        split=Split(**{name: tuple(rows) for name, rows in asset["split"].items()}),
        labelled=arrays["labelled"],
        excluded=arrays["excluded"],
        doubtful=arrays["doubtful"],
        scaling=scaling,
        scaled=arrays["scaled"],
        starts=arrays["starts"],
        held_out_starts=arrays["held_out_starts"],
    )
