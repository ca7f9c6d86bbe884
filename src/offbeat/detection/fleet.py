"""Fleet: the detectors of groups of like assets, of which each scores the assets of its group.

A model of one group alone is a fleet of one, so that whatever uses a model need not know how many groups it has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from offbeat.detection.detector import Detector, few_like, never_calibrated
from offbeat.detection.storage import CHECKSUMS, REPORTS, check_directory, write_detector
from offbeat.errors import ModelError
from offbeat.files import new_directory

ALONE = ""  # the name of a group that has none
GROUPS = "groups"


@dataclass(frozen=True, eq=False)
class Fleet:
    """Detectors by the name of their group.

    Attributes
    ----------
    groups : mapping of str to Detector
        One at least; a group alone may go by `ALONE`. No two know the same asset.
    """

    groups: Mapping[str, Detector]

    @cached_property
    def group_of(self) -> Mapping[str, str]:
        """The group of each asset that was calibrated when this was first asked for."""
        return {asset: group for group, detector in self.groups.items() for asset in detector.assets}

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self.group_of)  # once, for there may be as many strangers

    def detector_of(self, asset: str) -> Detector:
        """Return the detector that knows an asset.

        Raises
        ------
        ModelError
            If the asset was never calibrated.
        """
        if asset in self.group_of:
            return self.groups[self.group_of[asset]]
        if len(self.groups) == 1:
            raise ModelError(never_calibrated(asset, self._names))
        raise ModelError(
            f"asset '{asset}' was never calibrated in any of {len(self.groups)} groups (known: "
            f"{few_like(asset, self._names)}): calibrate it in the group of its like first (offbeat calibrate)"
        )

    def group(self, name: str) -> Detector:
        """Return the detector of a group; a model of one group alone is that of any.

        Raises
        ------
        ModelError
            If there is no such group.
        """
        if name in self.groups:
            return self.groups[name]
        if len(self.groups) == 1 and (ALONE in self.groups or name == ALONE):
            return next(iter(self.groups.values()))
        known = few_like(name, sorted(self.groups))
        raise ModelError(
            f"the model has no group '{name}' (known: {known}): name the group as the model does, or train it"
            if name != ALONE
            else f"the readings are in no group, and the model has {known}: say in groups.yaml which is theirs"
        )

    def place_of(self, asset: str, group: str) -> str:
        """Return the group of an asset: the one that knows it, else that of its name, else the only one.

        Raises
        ------
        ModelError
            If the asset is new and there is no such group, or known and in another.
        """
        if (known := self.group_of.get(asset)) is not None:
            if ALONE not in (group, known) and group != known:
                raise ModelError(
                    f"asset '{asset}' is in group '{known}' of the model, not in '{group}': name that, or none"
                )
            return known
        detector = self.group(group)
        return next(name for name, one in self.groups.items() if one is detector)

    def save(self, directory: Path | str) -> None:
        """Write all detectors into a directory, whole or not at all; one that holds a model is replaced."""
        with self.saving(Path(directory)):
            pass

    @contextmanager
    def saving(self, directory: Path) -> Iterator[Path]:
        """Save, and give the folder in the making for what else belongs into it: some of `storage.REPORTS`."""
        directory = directory.resolve()  # a link to a model stays a link
        check_model_directory(directory)
        with new_directory(directory) as scratch:
            if list(self.groups) == [ALONE]:
                write_detector(self.groups[ALONE], scratch)
            else:
                self._write_groups(scratch)
            yield scratch

    def _write_groups(self, directory: Path) -> None:
        for name, detector in self.groups.items():
            (directory / GROUPS / name).mkdir(parents=True)
            write_detector(detector, directory / GROUPS / name)
        sums = {_place(name): _sum(directory / _place(name)) for name in sorted(self.groups)}
        (directory / CHECKSUMS).write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def load_group(directory: Path, name: str) -> Detector:
        """Read the detector of one group back, as `group` gives it; the others are not looked at.

        Raises
        ------
        ModelError
            If there is no such group, or a file is missing or damaged.
        """
        place = directory / GROUPS / name
        return Detector.load(place) if name != ALONE and place.is_dir() else Fleet.load(directory).group(name)

    @staticmethod
    def load(directory: Path | str) -> Fleet:
        """Read a model back, of one group or several.

        Raises
        ------
        ModelError
            If a file is missing or damaged.
        """
        directory = Path(directory)
        if not (directory / GROUPS).is_dir():
            return Fleet({ALONE: Detector.load(directory)})
        return Fleet({name: Detector.load(directory / GROUPS / name) for name in _checked_groups(directory)})


def model_checksum(directory: Path) -> str:
    """Return the SHA-256 of what tells a saved model from any other."""
    try:
        return _sum(directory / CHECKSUMS)
    except OSError as error:
        raise ModelError(f"{directory / CHECKSUMS}: missing ({error}): restore it, or train again") from error


def check_model_directory(directory: Path) -> None:
    """Raise ModelError if a model must not be written to `directory`, because other things stand there."""
    if not (directory / GROUPS).is_dir():
        check_directory(directory)
        return
    others = sorted(path.name for path in directory.iterdir() if path.name not in (GROUPS, CHECKSUMS, *REPORTS))
    if others or not (directory / CHECKSUMS).is_file():
        raise ModelError(
            f"{directory}: holds other files ({', '.join(others) or GROUPS}); give a new folder, or one that holds a "
            "model alone"
        )


def _checked_groups(directory: Path) -> Iterator[str]:
    """Yield the names of the groups whose detectors are those that were saved together."""
    path = directory / CHECKSUMS
    try:
        sums = json.loads(path.read_text(encoding="utf-8"))
        places = {Path(place).parent.name: (place, checksum) for place, checksum in sums.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{path}: missing or damaged ({type(error).__name__}): restore it, or train again") from error
    strangers = {one.name for one in (directory / GROUPS).iterdir()} ^ set(places)
    if strangers or not places:
        raise ModelError(
            f"{directory / GROUPS}: holds other groups than {CHECKSUMS} names ({', '.join(sorted(strangers)) or 'none'}"
            "): restore the folder, or train again"
        )
    for name, (place, checksum) in sorted(places.items()):
        if place != _place(name) or not (directory / place).is_file() or _sum(directory / place) != checksum:
            raise ModelError(
                f"{directory / GROUPS / name}: not the group's detector that was saved with the others: restore it, or "
                "train again"
            )
        yield name


def _place(name: str) -> str:
    return f"{GROUPS}/{name}/{CHECKSUMS}"


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
