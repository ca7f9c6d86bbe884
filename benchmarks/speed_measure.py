"""Rounds in turn, the machine's own speed, and what a process of its own took."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Plan:
    """How much to measure: rounds, sizes (`short`: tiny ones, which tell nothing but that all runs), and with what."""

    rounds: int
    short: bool
    timesteps: int
    data: Path
    scratch: Path
    orion: Path | None = None  # Python of an environment that has it


_Result = TypeVar("_Result")


def in_turn(rounds: int, *measures: Callable[[], _Result]) -> list[list[_Result]]:
    """Return what each measure gave in each round: A B A B, so that what else the machine does falls on all alike."""
    results = [[measure() for measure in measures] for _ in range(rounds)]
    return [list(one) for one in zip(*results, strict=True)]


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """Return their ratio in each round."""
    return tuple(a / b for a, b in zip(above, below, strict=True))


def seconds(work: Callable[[], object]) -> float:
    """Return how long it takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


class Rate(NamedTuple):
    """How much is done in a second of the clock, and in one of a processor: steadier where others use them too."""

    clock: float
    processor: float


Moment = tuple[float, float]


def now() -> Moment:
    """Return the clock and the processor time of this process, in seconds."""
    return time.perf_counter(), time.process_time()


def rate(amount: int, begin: Moment, end: Moment) -> Rate:
    """Return how much of `amount` is done a second between two moments."""
    clock, processor = (max(b - a, 1e-9) for a, b in zip(begin, end, strict=True))
    return Rate(amount / clock, amount / processor)


def per_second(work: Callable[[], object], amount: int) -> Rate:
    """Return how much of `amount` is done a second."""
    begin = now()
    work()
    return rate(amount, begin, now())


def sgemm_rate(size: int = 1024, repeats: int = 5) -> Rate:
    """Return the speed of products of float32 matrices: the best of some, in 10⁹ operations a second."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), dtype=np.float32)
    np.dot(a, b)  # so that its threads are there
    rates = [per_second(lambda: np.dot(a, b), 2 * size**3) for _ in range(repeats)]
    return Rate(*(max(one) / 1e9 for one in zip(*rates, strict=True)))


def sgemm_gflops() -> float:
    """Return the same by the clock alone."""
    return sgemm_rate().clock


def compared(ours: Sequence[Rate], theirs: Sequence[Rate], unit: str) -> tuple[tuple[float, ...], str]:
    """Return the ratio of the clock's rates in each round; and rates, and ratio in processor time, in words."""
    own, own_processor = zip(*ours, strict=True)
    other, other_processor = zip(*theirs, strict=True)
    processor = median(ratios(own_processor, other_processor))
    words = f"{median(own):,.3g} {unit} against {median(other):,.3g}; in processor time {processor:.3g} ×"
    return ratios(own, other), words


def median(values: Sequence[float]) -> float:
    """Return the median of the rounds."""
    return statistics.median(values)


def run_python(*arguments: str, cwd: Path = ROOT) -> tuple[str, float]:
    """Return the output of a Python of its own on the sources of this project, and its processor time in seconds."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)[:200]} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
