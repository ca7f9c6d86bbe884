"""Which model is served, and how another takes its place."""

import asyncio
import logging
from dataclasses import replace

import pytest

from offbeat.errors import ModelError
from offbeat.registry import Registry
from offbeat.serving import current as module
from offbeat.serving.current import Current


@pytest.fixture
def registry(keep, make_detector):
    """Two models, of which the first is champion."""
    registry = keep(make_detector())
    keep(replace(make_detector(), lineage={"git_commit": "another"}))
    registry.promote("1", by="a test", why="again")
    return registry


@pytest.fixture
def served(registry, tmp_path):
    current = Current(tmp_path / "nowhere", registry.directory)
    current.load()
    return current


def test_the_champion_is_served_and_the_next_one_takes_its_place(served, registry):
    before = served.served
    assert before.model.version == "1"
    registry.promote("2", by="a test", why="better")
    served._take_champion()
    assert served.served.model.version == "2"
    assert before.model.version == "1"  # who scores with it goes on
    assert served.served.fleet.detector_of("pump-1").lineage["git_commit"] == "another"


def test_it_is_followed_while_the_service_runs(served, registry, monkeypatch):
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)

    async def follow():
        task = asyncio.create_task(served.follow())
        registry.promote("2", by="a test", why="better")
        for _ in range(500):
            if served.served.model.version == "2":
                break
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(follow())
    assert served.served.model.version == "2"


def test_a_damaged_champion_is_refused_once_and_the_model_before_goes_on(served, registry, caplog):
    registry.promote("2", by="a test", why="better")
    file = registry.model("2").directory / "detector" / "model.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with caplog.at_level(logging.ERROR, "bentoml.offbeat"):
        for _ in range(2):
            served._take_champion()
    assert served.served.model.version == "1"
    assert sum("champion 2 is refused" in line for line in caplog.messages) == 1
    file.write_bytes(whole)
    served._take_champion()
    assert served.served.model.version == "2"


def test_the_package_is_served_until_there_is_a_champion(registry, tmp_path):
    packed = registry.model("2").directory
    current = Current(packed, tmp_path / "empty")
    current.load()
    assert current.served.model.version == "2"
    alone = Current(packed)
    alone.load()
    assert alone.served.model.version == "2"


def test_without_any_model_nothing_is_served(tmp_path):
    with pytest.raises(ModelError, match=r"card.json: missing"):
        Current(tmp_path, Registry(tmp_path / "empty").directory).load()
