"""Works for the tests of engines: workers in other processes import this file."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path

from offbeat.errors import ReadingsError
from offbeat.fleet.shards import Shard


def square(number: int) -> int:
    if number == 13:
        raise ReadingsError("13 is an\nunlucky number: leave it out")
    return number**2


def faulty(number: int) -> float:
    return 1 / number


def process_id(number: int) -> int:  # noqa: ARG001
    time.sleep(0.05)
    return os.getpid()


@lru_cache
def loaded() -> str:
    """What a worker loads once, such as a detector."""
    return f"{os.getpid()} {time.monotonic_ns()}"


def load(number: int) -> str:  # noqa: ARG001
    time.sleep(0.05)
    return loaded()


def environment(name: str) -> str:
    return os.environ.get(name, "")


def killed_once(notes: Path, number: int) -> int:
    """Kill the worker the first time that item 3 comes, and each time for item 5."""
    if number in (3, 5):
        with (notes / f"{number}.txt").open("a") as file:
            file.write("tried\n")
        if number == 5 or (notes / f"{number}.txt").read_text() == "tried\n":
            os.kill(os.getpid(), 9)
    return square(number)


def large(number: int) -> bytes:
    return bytes(1_000_000) + bytes([number % 256])


def note(log: Path, pause_s: float, shard: Shard, path: Path) -> None:
    """Write a shard's result slowly, and a line to a log when it is whole."""
    path.write_text(shard.assets[0].asset)
    time.sleep(pause_s)
    with log.open("a") as file:
        file.write(f"{os.getpid()} {shard.name}\n")


def refuse_second(shard: Shard, path: Path) -> None:
    path.write_text("half")
    if shard.name.endswith("2"):
        raise ReadingsError(f"{shard.assets[0].files[0].name}: rule")
