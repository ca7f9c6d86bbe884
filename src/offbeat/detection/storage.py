"""A detector on disk: plain files and their checksums, no pickle.

model.onnx      the network
detector.json   channels, period, params, and each asset's numbers
profiles.npy    what is usual at each hour of the season, (n_assets, n_hours, F), in the order of detector.json
reference.npz   statistics of the readings that it was made from, for drift, which alone reads them; absent where there
                were too few
lent.npy        block maxima that its assets lend to those that are calibrated later; absent where none were learnt from
checksums.json  SHA-256 of the others
report.html     of one that `offbeat train` made: how good it is; goes when another detector takes the folder
assets.csv, evaluation.json    the same of one that was made shard by shard
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from offbeat.detection.calibration import Calibration, GroupMaxima
from offbeat.detection.reference import (
    Reference,
    StoredReference,
    referenced_assets,
    references_from_bytes,
    references_to_bytes,
)
from offbeat.detection.runtime import Runtime
from offbeat.detection.scaling import Scaling
from offbeat.detection.scores import Usual
from offbeat.detection.seasons import N_HOURS
from offbeat.detection.thresholds import Threshold
from offbeat.errors import FormatError, ModelError
from offbeat.files import new_directory
from offbeat.params import CalibrateParams, Preprocessing
from offbeat.readings.moments import step_from_json, step_json
from offbeat.typing import FloatArray

if TYPE_CHECKING:
    from offbeat.detection.detector import Detector

FORMAT = 3
MODEL, CARD, PROFILES, CHECKSUMS = "model.onnx", "detector.json", "profiles.npy", "checksums.json"
REFERENCE, LENT = "reference.npz", "lent.npy"
REPORT, ASSETS, EVALUATION = "report.html", "assets.csv", "evaluation.json"
REPORTS = (REPORT, ASSETS, EVALUATION)


def save_detector(detector: Detector, directory: Path) -> None:
    """Write a detector beside `directory` and move it there in one step."""
    directory = directory.resolve()  # a link to a detector stays a link
    check_directory(directory)
    with new_directory(directory) as scratch:
        write_detector(detector, scratch)


def write_detector(detector: Detector, directory: Path) -> None:
    """Write a detector's files into a folder that is there."""
    profiles = [one.scaling.profile for _, one in sorted(detector.assets.items())]
    files = {MODEL: detector.runtime.graph, CARD: _to_json(card_of(detector)), PROFILES: _to_npy(np.array(profiles))}
    references = {name: one.reference for name, one in sorted(detector.assets.items()) if one.reference is not None}
    if references:
        files[REFERENCE] = references_to_bytes(references)
    if detector.lent is not None:
        files[LENT] = _to_npy(detector.lent.values)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    for name, content in {**files, CHECKSUMS: _to_json(sums)}.items():
        (directory / name).write_bytes(content)


def check_directory(directory: Path) -> None:
    """Raise ModelError if a detector must not be written to `directory`, because other things stand there."""
    if directory.parent.exists() and not os.access(directory.parent, os.W_OK):
        raise ModelError(f"{directory}: its folder cannot be written to; give another place")
    if directory.exists() and not directory.is_dir():
        raise ModelError(f"{directory}: is a file; give a new folder, or one that holds a detector")
    names = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    # also beside a detector: the folder is replaced whole, and they would go with it
    own = (MODEL, CARD, PROFILES, REFERENCE, LENT, CHECKSUMS, *REPORTS) if CHECKSUMS in names else ()
    others = [name for name in names if name not in own]
    if others:
        raise ModelError(
            f"{directory}: holds other files ({others[0]}); give a new folder, or one that holds a detector alone"
        )


def load_detector(directory: Path) -> Detector:
    """Read a detector, checking every file against its checksum."""
    from offbeat.detection.detector import Detector

    files, sums = _checked_files(directory)
    try:
        card = json.loads(files[CARD])
        if card["format"] != FORMAT:
            raise FormatError(
                f"{directory}: written in format {card['format']}, this version reads format {FORMAT}: train it anew"
            )
        references = _references(directory / REFERENCE, sums[REFERENCE]) if REFERENCE in sums else {}
        profiles = _from_npy(files[PROFILES])
        step, is_time = step_from_json(card["period"])
        return Detector(
            runtime=Runtime(files[MODEL]),
            channels=tuple(card["channels"]),
            step=step,
            is_time=is_time,
            max_gap=card["max_gap"],
            preprocessing=(preprocessing := Preprocessing.model_validate(card["preprocessing"])),
            params=CalibrateParams.model_validate(card["params"]),
            assets={
                name: _calibration_from(asset, profile, preprocessing, len(card["channels"]), references.get(name))
                for (name, asset), profile in zip(card["assets"].items(), profiles, strict=True)
            },
            lineage=card["lineage"],
            lent=_lent(files[LENT], card["lent"]) if LENT in files else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError, ValidationError) as error:
        if isinstance(error, ModelError):
            raise
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise ModelError(f"{directory / CARD}: not a detector ({reason}): restore it, or train again") from error


def card_of(detector: Detector) -> dict[str, Any]:
    """Return all of a detector but its network and arrays, as JSON holds it."""
    return {
        "format": FORMAT,
        "channels": list(detector.channels),
        "window_size": detector.window_size,
        "delay": detector.delay,
        "context": detector.context,
        "period": step_json(detector.step, detector.is_time),
        "max_gap": detector.max_gap,
        "preprocessing": detector.preprocessing.model_dump(),
        "params": detector.params.model_dump(),
        "lineage": dict(detector.lineage),
        "lent": None
        if detector.lent is None
        else {"block_size": detector.lent.block_size, "assets": sorted(detector.lent.assets)},
        "assets": {name: _calibration_to(calibration) for name, calibration in sorted(detector.assets.items())},
    }


class _References:
    """The references of a detector on disk, which may be many megabytes: read whole when the first is looked at."""

    def __init__(self, path: Path, checksum: str) -> None:
        self.path, self.checksum = path, checksum

    def of(self, asset: str) -> Reference:
        """Return that of one asset.

        Raises
        ------
        ModelError
            If the file is no longer what it was when the detector was loaded.
        """
        return self._all[asset]

    @cached_property
    def _all(self) -> Mapping[str, Reference]:
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.path}: gone since the detector was loaded ({error}): load it again") from error
        if hashlib.sha256(content).hexdigest() != self.checksum:
            raise ModelError(f"{self.path}: another one since the detector was loaded: load it again")
        return references_from_bytes(content)


def _references(path: Path, checksum: str) -> dict[str, Reference]:
    """Return the references of assets in a file that was checked, none of them read yet."""
    stored = _References(path.resolve(), checksum)
    with path.open("rb") as file:
        return {asset: StoredReference(partial(stored.of, asset)) for asset in referenced_assets(file)}


def _checked_files(directory: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the content of the files but reference.npz, of which only the checksum is taken; and all checksums."""
    if not directory.is_dir():
        raise ModelError(f"{directory}: there is no such folder: give one that `offbeat train` has written")
    try:
        sums = json.loads((directory / CHECKSUMS).read_bytes())
        if not isinstance(sums, dict):
            raise ValueError(f"holds a {type(sums).__name__}, not an object")
        # one of an earlier format has other files: its card says so, before they are missed
        optional = {name for name in (PROFILES, LENT, REFERENCE) if name in sums or (directory / name).exists()}
        names = (MODEL, CARD, *(optional - {REFERENCE}))
        files = {name: (directory / name).read_bytes() for name in names}
        found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        if REFERENCE in optional:
            with (directory / REFERENCE).open("rb") as file:
                found[REFERENCE] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{directory}: not a whole detector folder ({error}): restore it, or train again") from error
    except ValueError as error:
        raise ModelError(f"{directory / CHECKSUMS}: damaged ({error}): restore it, or train again") from error
    for name, checksum in found.items():
        if sums.get(name) != checksum:
            raise ModelError(
                f"{directory / name}: damaged (its checksum is not that in {CHECKSUMS}): restore it, or train again"
            )
    return files, found


def _lent(content: bytes, card: dict[str, Any]) -> GroupMaxima:
    return GroupMaxima(_from_npy(content), int(card["block_size"]), frozenset(card["assets"]))


def _from_npy(content: bytes) -> FloatArray:
    array: FloatArray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def _to_npy(array: FloatArray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _to_json(content: Any) -> bytes:
    return (json.dumps(content, allow_nan=False) + "\n").encode()  # laid out it would take ten times as long


def _calibration_to(calibration: Calibration) -> dict[str, Any]:
    threshold = calibration.threshold
    return {
        "centre": calibration.scaling.centre.tolist(),
        "scale": calibration.scaling.scale.tolist(),
        "usual_error": calibration.usual.error.tolist(),
        "error_centre": None if calibration.usual.centre is None else calibration.usual.centre.tolist(),
        "error_precision": None if calibration.usual.precision is None else calibration.usual.precision.tolist(),
        "threshold": threshold.value,
        "method": threshold.method,
        "promised_alarm_rate": threshold.promised_alarm_rate,
        "warning": threshold.warning,
        "origin": dict(calibration.origin),
    }


def _calibration_from(
    stored: dict[str, Any],
    profile: FloatArray,
    preprocessing: Preprocessing,
    n_channels: int,
    reference: Reference | None,
) -> Calibration:
    centre, scale, error = (np.array(stored[key], dtype=np.float64) for key in ("centre", "scale", "usual_error"))
    if {values.shape for values in (centre, scale, error)} != {(n_channels,)}:
        raise ValueError(f"an asset has {len(centre)}, {len(scale)} and {len(error)} numbers, not one for each channel")
    if profile.shape != (N_HOURS[preprocessing.season], n_channels):
        raise ValueError(f"an asset's profile is {profile.shape}, not a number for each hour and channel")
    off, precision = (
        None if stored[key] is None else np.array(stored[key], dtype=np.float64)
        for key in ("error_centre", "error_precision")
    )
    if (off is None) != (precision is None) or (precision is not None and precision.shape != (n_channels,) * 2):
        raise ValueError("an asset's whitening is not one number for each channel and pair of channels")
    threshold = Threshold(
        float(stored["threshold"]), stored["method"], stored["promised_alarm_rate"], stored["warning"]
    )
    scaling, usual = Scaling(preprocessing, profile, centre, scale), Usual(error, off, precision)
    return Calibration(scaling, usual, threshold, stored["origin"], reference)
