"""The model that is served, and how another takes its place while requests go on.

Whoever scores takes `current.served` once and keeps it: it never changes, only the name is given to another.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from offbeat.detection.fleet import Fleet
from offbeat.errors import ModelError
from offbeat.registry import Model, Registry, open_model
from offbeat.serving.answers import card, to_json
from offbeat.serving.measures import measures

LOOK_EVERY_S = 2.0
logger = logging.getLogger("bentoml.offbeat")  # BentoML shows what goes to loggers of this name


@dataclass(frozen=True, eq=False)
class Served:
    """A loaded model, and what is said of it again and again.

    What it holds does not grow with requests, however many assets they are for.
    """

    model: Model
    fleet: Fleet

    @staticmethod
    def load(model: Model) -> Served:
        """Load a model, every file checked.

        Raises
        ------
        ModelError
        """
        return Served(model, model.load_fleet())

    @cached_property
    def packed_card(self) -> bytes:
        """The model card in JSON, compressed: of many assets it is a twentieth."""
        return gzip.compress(to_json(card(self.model, self.fleet)), 6, mtime=0)


class Current:
    """The served model: the champion of a registry, followed, or one in a folder.

    Parameters
    ----------
    folder : Path
        As the registry keeps a model; served where there is no registry, and until it has a champion that loads.
    registry : Path, optional

    Raises
    ------
    ModelError
        At `load`, if neither can be loaded.
    """

    def __init__(self, folder: Path, registry: Path | None = None) -> None:
        self._folder = folder
        self._registry = None if registry is None else Registry(registry)
        self._served: Served | None = None
        self._champion: str | None = None  # the version that was taken from the registry
        self._refused: str | None = None

    @property
    def served(self) -> Served:
        """The model of now."""
        assert self._served is not None, "load comes first"
        return self._served

    def load(self) -> None:
        """Load the first model."""
        if self._registry is None or not self._take_champion():
            self._serve(Served.load(open_model(self._folder)))
            if self._registry is not None:
                logger.warning("%s has no champion that loads: the packed model is served", self._registry.directory)

    async def follow(self) -> None:
        """Look for a new champion, again and again; for as long as the task that runs it."""
        while self._registry is not None:
            await asyncio.sleep(LOOK_EVERY_S)
            await asyncio.to_thread(self._take_champion)

    def _serve(self, served: Served) -> None:
        measures().serves(served.model.version, self._served.model.version if self._served else None)
        self._served = served
        logger.info("model %s is served now", served.model.version)

    def _take_champion(self) -> bool:
        """Serve the champion, if it is another and loads; return whether a champion is served."""
        assert self._registry is not None
        version: str | None = None
        try:
            version = self._registry.champion_version()
            if version is None or version == self._champion:
                return version is not None
            self._serve(Served.load(self._registry.model(version)))
            self._champion = version
        except (ModelError, OSError) as error:
            if self._refused != (version or "?"):  # told once, not at every look
                self._refused = version or "?"
                measures().refused_model()
                logger.error("champion %s is refused, the model before goes on: %s", version, error)
            return False
        self._refused = None
        return True
