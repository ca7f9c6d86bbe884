"""Readings that came in, as a drift check takes them: what is odd about them is found, not refused.

A file that no longer fits the model is what the check is there to tell, so that it becomes a verdict and no error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.detection.detector import Detector
from offbeat.drift.period import Arrived
from offbeat.errors import ReadingsError
from offbeat.progress import Report, counted, silent
from offbeat.readings.asset_readings import read_frame
from offbeat.readings.assets import AssetFiles, asset_files
from offbeat.readings.folder import Folder
from offbeat.readings.frames import series_from_frame
from offbeat.readings.series import Series
from offbeat.readings.spans import read_alarms, read_spans
from offbeat.typing import BoolArray


def read_arrived(detector: Detector, paths: Sequence[Path], report: Report = silent) -> list[Arrived]:
    """Read a folder of readings, or files, one a machine; what labels.csv and exclude.csv of the folder name is known.

    A folder should hold all machines of the model: one that it no longer has is among them, without readings.

    Raises
    ------
    ReadingsError
        If a path does not exist or is named twice, or labels or exclusions cannot be read.
    """
    for path in paths:
        if not path.exists():
            raise ReadingsError(f"{path} does not exist")
        if path.is_dir() and len(paths) > 1:
            raise ReadingsError(f"{path}: give one folder, or files; not a folder among others")
        if [other.stem for other in paths].count(path.stem) > 1:
            raise ReadingsError(
                f"asset '{path.stem}' is given twice: a file's name is its machine's, so name each once"
            )
    folder = paths[0] if paths[0].is_dir() else None
    files = asset_files(folder) if folder else [AssetFiles.of(path) for path in paths]
    arrived = read_some(detector, counted(files, report, "reading", "machines"), folder, detector.assets)
    return arrived if folder is None else [*arrived, *gone(detector, [one.asset for one in files], folder)]


def read_some(
    detector: Detector, files: Iterable[AssetFiles], folder: Path | None, others: Iterable[str]
) -> list[Arrived]:
    """Read some machines; what the tables of a folder, None for files without one, name is known.

    Raises
    ------
    ReadingsError
        If a table cannot be read, or names a machine that is neither among these nor among `others`.
    """
    arrived = [_read(detector, one) for one in files]
    return arrived if folder is None else _marked(arrived, folder, unread=others)


def gone(detector: Detector, names: Collection[str], folder: Path) -> list[Arrived]:
    """Return the machines of the model that have no file any more; none where the folder is of other machines."""
    known = {name for name, one in detector.assets.items() if one.reference is not None}
    problem = f"there is no file of it in {folder.name} any more"
    lost = known - {*names}
    return [Arrived(name, None, problem=problem) for name in detector.assets if name in lost and len(lost) < len(known)]


def _read(detector: Detector, one: AssetFiles) -> Arrived:
    """Return an asset's readings after those that the detector was made from, and some before for context."""
    asset = one.asset
    try:
        frame, source, _ = read_frame(one)
        frame, notes = _like(detector, frame)
        frame, step = _later(detector, asset, frame)
        series = series_from_frame(frame, asset, source, period=detector.period, max_gap=detector.max_gap)
    except ReadingsError as error:
        return Arrived(asset, None, problem=str(error))
    except OSError as error:
        return Arrived(asset, None, problem=f"{one.name}: cannot be read: {error}")
    return Arrived(asset, series, step=step, notes=notes)


def _like(detector: Detector, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the detector's channels; one that is not there is missing throughout."""
    names = [str(name) for name in frame.columns]
    extra = [name for name in names if name not in detector.channels]
    notes = (f"columns that the model does not know are left out: {', '.join(extra)}",) if extra else ()
    if not set(names) & set(detector.channels):
        raise ReadingsError(f"none of the model's channels {', '.join(detector.channels)} is there")
    if isinstance(frame.index, pd.DatetimeIndex) != detector.is_time:
        kind = ("whole numbers", "times") if detector.is_time else ("times", "whole numbers")
        raise ReadingsError(f"readings are indexed by {kind[0]}, the model learnt from {kind[1]}: give the same kind")
    return frame.reindex(columns=list(detector.channels)), notes


def _later(detector: Detector, asset: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, int | None]:
    """Return the rows from a little before the end of the asset's reference on, and the usual step between the later.

    Only those are put on the grid: it is the later readings that may come at another rate.
    """
    known = detector.assets.get(asset)
    if known is None or known.reference is None or not len(frame):
        return frame, None
    index = frame.index
    stamps = np.asarray(index.as_unit("ns").asi8 if isinstance(index, pd.DatetimeIndex) else index, dtype=np.int64)
    lead = (detector.context + detector.params.delay + 1) * detector.step + known.reference.measure.length
    read = frame.notna().any(axis=1).to_numpy()
    later = stamps[(stamps > known.reference.until) & read]
    step = int(np.median(np.diff(later))) if len(later) > 2 else None
    return frame[stamps > known.reference.until - lead], step


def _marked(arrived: Sequence[Arrived], folder: Path, unread: Iterable[str]) -> list[Arrived]:
    """Return the same with the rows that people have named: events, exclusions, and alarms judged true or expected.

    Rows of machines in `unread` that have no readings are left out.
    """
    series = [one.series for one in arrived if one.series is not None]
    unread = {*unread, *(one.asset for one in arrived)} - {one.asset for one in series}
    labels, exclude, alarms = (
        read(folder / f"{name}.csv", series, unread=unread)[0]
        for name, read in (("labels", read_spans), ("exclude", read_spans), ("alarms", read_alarms))
    )
    known = Folder(tuple(series), labels, exclude, alarms)
    return [
        one if one.series is None else Arrived(one.asset, one.series, _known(known, one.series), one.step, one.notes)
        for one in arrived
    ]


def _known(folder: Folder, series: Series) -> BoolArray:
    labelled, excluded, _ = folder.masks(series)
    return labelled | excluded
