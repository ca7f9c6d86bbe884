"""The models that were ever kept, and which of them is the champion.

A model is written once and never changed; who serves is one small file, replaced in one step. So a reader sees the old
champion or the new one, whole, and a rollback moves no model.

registry/models/<version>/detector/     as Fleet.save writes it: a detector, or one for each group
registry/models/<version>/card.json     version, registered, the detector's checksums, and what the caller adds
registry/models/<version>/lineage/      dvc.lock, data.dvc, start.dvc, params.yaml: what makes the model again
registry/champion.json                  the champion's version, and every change with when, by whom and why
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.detection.storage import CHECKSUMS
from offbeat.errors import ModelError
from offbeat.files import new_directory, write_json

ANY = "any"  # champion


@dataclass(frozen=True)
class Model:
    """One registered model: its version, its folder, and its card as `Registry.register` wrote it."""

    version: str
    directory: Path
    card: Mapping[str, Any]

    def load(self) -> Detector:
        """Return the detector of a model of one group, every file checked.

        Raises
        ------
        ModelError
            As `load_fleet`, or if it has several groups.
        """
        fleet = self.load_fleet()
        if len(fleet.groups) > 1:
            names = ", ".join(sorted(fleet.groups)[:10])
            raise ModelError(
                f"model {self.version} has {len(fleet.groups)} groups ({names}): the service takes it, but the flows, "
                "the gate and recalibration work on a model of one: keep a project a group, or promote such a model "
                "(offbeat models)"
            )
        return next(iter(fleet.groups.values()))

    def load_fleet(self) -> Fleet:
        """Return the detectors of its groups, every file checked.

        Raises
        ------
        ModelError
            If a file is missing, damaged or not the one that was registered.
        """
        fleet = Fleet.load(self.directory / "detector")
        if _checksums(self.directory / "detector") != self.card["checksums"]:
            raise ModelError(
                f"{self.directory / 'detector'}: not the detector that was registered as version {self.version}: "
                "restore the folder"
            )
        return fleet

    @property
    def damage(self) -> str:
        """Why it cannot be loaded; empty if it is whole."""
        try:
            self.load_fleet()
        except ModelError as error:
            return str(error)
        return ""


def open_model(directory: Path) -> Model:
    """Return the model that a folder holds, wherever it stands.

    Raises
    ------
    ModelError
        If its card is missing or damaged.
    """
    path = directory / "card.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if card["checksums"] and card["registered"]:
            return Model(card["version"], directory, card)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: missing or damaged ({type(error).__name__}): restore it") from error
    raise ModelError(f"{path}: holds no checksums: restore it")


class Registry:
    """The models under a directory, and the champion among them.

    What changes something waits for others who do, on this machine; readers wait for nobody.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def register(self, detector_directory: Path, card: Mapping[str, Any], files: Sequence[Path] = ()) -> Model:
        """Keep a detector under the next version; one that is already kept gives the version that it has.

        Parameters
        ----------
        detector_directory : Path
            As `Detector.save` or `Fleet.save` wrote it.
        card : mapping
            What JSON can hold. `roster` shows `verdict`, the `Verdict` of the gate as a mapping.
        files : sequence of Path
            Copied into `lineage/`; their names must differ.

        Raises
        ------
        ModelError
            If the detector is damaged, or a file is missing.
        """
        with self._locked():
            known = self.find(detector_directory)
            if known is not None:
                return known
            # a version whose folder was removed is not given again
            taken = [*self.versions(), *(change["version"] for change in self.history())]
            version = str(max((int(known) for known in taken), default=0) + 1)
            with new_directory(self._place(version)) as scratch:
                shutil.copytree(detector_directory, scratch / "detector")
                (scratch / "lineage").mkdir()
                for file in files:
                    _copy(file, scratch / "lineage" / file.name)
                own = {"version": version, "registered": _now(), "checksums": _checksums(detector_directory)}
                write_json(scratch / "card.json", {**card, **own})
                Model(version, scratch, own).load_fleet()
            return self.model(version)

    def find(self, detector_directory: Path) -> Model | None:
        """Return the model that keeps this very detector, whole; None if there is none.

        Raises
        ------
        ModelError
            If the detector's checksums cannot be read.
        """
        checksums = _checksums(detector_directory)
        return next((m for m in self.models() if m.card["checksums"] == checksums and not m.damage), None)

    def versions(self) -> list[str]:
        """Return the versions there are, in order; what a killed run left has no such name."""
        models = self.directory / "models"
        names = [path.name for path in models.iterdir()] if models.is_dir() else []
        return sorted((name for name in names if name.isdecimal()), key=int)

    def models(self) -> list[Model]:
        """Return all models whose card can be read, oldest first."""
        return [model for version in self.versions() if (model := self._read(version))]

    def model(self, version: str) -> Model:
        """Return one model.

        Raises
        ------
        ModelError
            If there is no such version, or its card is damaged.
        """
        if version not in self.versions():
            known = ", ".join(self.versions()) or "none"
            raise ModelError(f"{self.directory}: no model has version {version} (known: {known}): see offbeat models")
        model = self._read(version)
        if model is None:
            raise ModelError(
                f"{self._place(version) / 'card.json'}: missing or damaged: restore it, or offbeat rollback"
            )
        return model

    def champion(self) -> Model | None:
        """Return the champion, None before the first promotion.

        Raises
        ------
        ModelError
            If champion.json or the champion's card is damaged.
        """
        version = self.champion_version()
        return None if version is None else self.model(version)

    def champion_version(self) -> str | None:
        """Return the champion's version, None before the first promotion; its folder is not looked at."""
        version: str | None = self._state()["champion"]
        return version

    def history(self) -> list[dict[str, str]]:
        """Return every change of champion, oldest first: `version`, `when`, `by`, `why`, `how`."""
        history: list[dict[str, str]] = self._state()["history"]
        return history

    def promote(self, version: str, *, by: str, why: str, instead_of: str | None = ANY) -> Model:
        """Make a model the champion; nothing happens if it is.

        Parameters
        ----------
        version, by, why : str
        instead_of : str or None
            The champion that it was compared with; by default it takes any one's place.

        Raises
        ------
        ModelError
            If there is no such model, it is not whole, or somebody else became champion meanwhile; the champion stays.
        """
        with self._locked():
            model = self.model(version)
            model.load_fleet()
            state = self._state()
            if instead_of not in (ANY, state["champion"]):
                raise ModelError(
                    f"model {version} was compared with champion {instead_of or 'none'}, and meanwhile "
                    f"{state['champion'] or 'none'} is champion: run the flow retrain again"
                )
            if state["champion"] != version:
                self._change(state, version, by, why, "promote")
            return model

    def rollback(self, *, by: str, why: str) -> Model:
        """Make the champion before the present one champion again; once more, and it is the one before that.

        Raises
        ------
        ModelError
            If no other model was champion before, or none of those is whole; the champion stays.
        """
        with self._locked():
            state = self._state()
            for model in (self._read(version) for version in _before(state["history"])):
                if model is not None and not model.damage:
                    self._change(state, model.version, by, why, "rollback")
                    return model
        raise ModelError(
            f"{self.directory}: no other model that is whole was champion before the present one: "
            "choose a version from offbeat models and promote it"
        )

    def _place(self, version: str) -> Path:
        return self.directory / "models" / version

    def _read(self, version: str) -> Model | None:
        """Return a model, None if its card cannot be read."""
        try:
            return replace(open_model(self._place(version)), version=version)
        except ModelError:
            return None

    def _state(self) -> dict[str, Any]:
        path = self.directory / "champion.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            return {"champion": state["champion"], "history": list(state["history"])}
        except FileNotFoundError:
            return {"champion": None, "history": []}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: damaged ({type(error).__name__}): restore it from a copy") from error

    def _change(self, state: Mapping[str, Any], version: str, by: str, why: str, how: str) -> None:
        change = {"version": version, "when": _now(), "by": by, "why": why, "how": how}
        write_json(self.directory / "champion.json", {"champion": version, "history": [*state["history"], change]})

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time change something; the system gives the lock back if it is killed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _before(history: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the champions before the present one, the last first; a rollback forgets those it went back over."""
    line: list[str] = []
    for change in history:
        version = change["version"]
        if change.get("how") == "rollback" and version in line:
            line = line[: len(line) - line[::-1].index(version)]
        else:
            line.append(version)
    return list(dict.fromkeys(version for version in line[::-1] if version != line[-1]))


def _checksums(detector_directory: Path) -> dict[str, str]:
    path = detector_directory / CHECKSUMS
    try:
        checksums = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: missing or damaged ({error}): restore the detector, or train again") from error
    if not isinstance(checksums, dict):
        raise ModelError(f"{path}: holds no checksums: restore the detector, or train again")
    return checksums


def _copy(file: Path, place: Path) -> None:
    if place.exists():
        raise ModelError(f"{file}: two lineage files have the name {file.name}: give each its own")
    try:
        shutil.copyfile(file, place)
    except OSError as error:
        raise ModelError(f"{file}: cannot be kept beside the model ({error}): give files that exist") from error


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
