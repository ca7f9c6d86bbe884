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

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Plan:
    """How much to measure: rounds, sizes (`short`: tiny ones, which tell nothing but that all runs), and where."""

    rounds: int
    short: bool
    timesteps: int
    data: Path
    scratch: Path


def in_turn(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
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


def per_second(work: Callable[[], object], amount: int) -> float:
    """Return how many of `amount` are done a second."""
    return amount / seconds(work)


def sgemm_gflops(size: int = 1024, repeats: int = 5) -> float:
    """Return the speed of products of float32 matrices: the best of some, in 10⁹ operations a second."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), dtype=np.float32)
    np.dot(a, b)  # so that its threads are there
    return 2 * size**3 / min(seconds(lambda: np.dot(a, b)) for _ in range(repeats)) / 1e9


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
