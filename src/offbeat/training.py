"""Readings to a calibrated detector: what the stages and the library share.

choose_window ──► prepare_fleet ──► train_model ──► assemble ──► calibrate_fleet ──► Detector
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.errors import OffbeatError, ParamsError, ReadingsError
from offbeat.lineage import asset_hash, data_hash, lineage_of
from offbeat.params import Params, load_params
from offbeat.preparation import Prepared, lesson_of_all, preparation_notes, prepare_fleet
from offbeat.progress import Report, silent
from offbeat.readings.folder import Folder, alike
from offbeat.readings.series import Series
from offbeat.starting import Start
from offbeat.window_choice import choose_window

if TYPE_CHECKING:
    from offbeat.models.network import Trained


@dataclass(frozen=True, eq=False)
class Fitted:
    """A calibrated detector, how its network learnt, and the fleet it learnt from."""

    detector: Detector
    trained: Trained
    fleet: list[Prepared]
    notes: tuple[str, ...] = ()  # what was chosen on the way, and what to know of the readings

    @cached_property
    def untrained(self) -> Detector | None:
        """The same detector around the network before training, calibrated when it is first asked for.

        None for a model that is fitted at once.
        """
        if self.trained.untrained_graph is None:
            return None
        untrained = replace(self.detector, runtime=Runtime(self.trained.untrained_graph), assets={})
        calibrate_fleet(untrained, self.fleet)
        return untrained


def fit(
    readings: Series | Sequence[Series] | Folder,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    start: Detector | None = None,
    report: Report = silent,
) -> Detector:
    """Learn how machines normally behave, and return a detector calibrated for each.

    Parameters
    ----------
    readings : Series, sequence of Series or Folder
        Like machines with the same channels and period. A Folder brings labels and exclusions, which are kept out.
    params : mapping of section to mapping, optional
        Changes to the packaged params.yaml, such as ``{"train": {"epochs": 3}}``.
    start : Detector, optional
        Goes on from its network in a short training (``train.warm_epochs``), for readings of the same machines that
        have become more. Thresholds and scalings are chosen anew.
    report : callable, optional
        Takes each `Step` of the training and of the calibration after it.

    Returns
    -------
    Detector
        Without its test span: the last part of the readings is left for an evaluation.

    Raises
    ------
    ReadingsError, ParamsError
        If the readings are too short or do not fit together, or a parameter is wrong.
    StartError
        If `start` has other channels, another period, preprocessing or network.
    """
    loaded = load_params(changes=params)
    for key in {"period", "max_gap"} & ((params or {}).get("prepare") or {}).keys():
        if not isinstance(readings, Folder):
            raise ParamsError(f"prepare.{key} shapes how readings are read: give it to Series.from_frame instead")
    fitted = fit_fleet(_as_folder(readings), loaded, Start(start) if start else None, report=report)
    for note in fitted.notes:
        logging.getLogger(__name__).info(note)
    fitted.detector.log_warnings(fitted.detector.assets)
    return fitted.detector


def fit_fleet(folder: Folder, params: Params, start: Start | None = None, *, report: Report = silent) -> Fitted:
    """Do the work of `fit`, and return with the detector what an evaluation needs."""
    _check_names(folder)
    train_model = load_trainer()
    params = params.for_channels(folder.series[0].n_channels)
    prepare, notes = choose_window(folder, params.prepare)
    calibrate = params.calibrate.for_window(prepare.window_size)
    fleet = prepare_fleet(folder, prepare)
    graph = None if start is None else start.graph_for(fleet[0].series, prepare)
    lesson = lesson_of_all(fleet, params.train.calendar)
    trained = train_model(lesson, prepare.window_size, params.train, report, graph)
    origin = {} if start is None else start.lineage
    lineage = lineage_of(data_hash(map(asset_hash, fleet)), prepare, params.train, calibrate, origin)
    detector = assemble(trained.graph, fleet[0].series, prepare, calibrate, lineage)
    calibrate_fleet(detector, fleet, report)
    return Fitted(detector, trained, fleet, (*notes, *preparation_notes(folder, fleet)))


def load_trainer() -> Callable[..., Trained]:
    """Return the function that trains; errors as for `check_trainer`."""
    check_trainer()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it loads
    from offbeat.models.network import train_model

    return train_model


@contextmanager
def native_chatter_muted() -> Iterator[None]:
    """Send what native libraries print while they load (no CUDA driver, CPU features) nowhere; errors still raise."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def check_trainer() -> None:
    """Raise OffbeatError if what training needs is not installed; nothing is loaded."""
    missing = [name for name in ("tensorflow", "keras", "onnx") if find_spec(name) is None]
    if missing:
        raise OffbeatError(f"training needs {missing[0]}, which is not installed: pip install 'offbeat[train]'")


def _check_names(folder: Folder) -> None:
    names = [series.asset for series in folder.series]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ReadingsError(
            f"asset '{twice}' is there {names.count(twice)} times: give each series the name of its own asset, "
            "or all readings of an asset in one series"
        )


def _as_folder(readings: Series | Sequence[Series] | Folder) -> Folder:
    if isinstance(readings, Folder):
        folder = readings
    else:
        folder = Folder(series=(readings,) if isinstance(readings, Series) else tuple(readings))
    if not folder.series:
        raise ReadingsError("fit needs at least one series, got none: give the readings of one or more assets")
    return replace(folder, series=tuple(alike(folder.series)))
