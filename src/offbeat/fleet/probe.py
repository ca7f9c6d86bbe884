"""An engine that measures: one process for the work on shards, one for training, and what each item took there.

The steps of a run know nothing of it: a probe is a run, of few machines and few steps of training.
"""

from __future__ import annotations

import pickle
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from offbeat.fleet.engine import Failure, attempt, killed
from offbeat.fleet.processes import Killed, Standing, threads
from offbeat.fleet.shards import Shard
from offbeat.fleet.stored import read_light
from offbeat.fleet.work import group_of
from offbeat.params import TrainParams
from offbeat.preparation import Lesson
from offbeat.progress import Report, Step
from offbeat.training import load_trainer, native_chatter_muted

Item = TypeVar("Item")
Result = TypeVar("Result")
PROBED_EPOCHS, PROBED_STEPS = 2, 20  # of the training that tells how long a step takes; at most so many


class Time(NamedTuple):
    """Seconds by the clock and of a processor."""

    clock_s: float
    cpu_s: float

    def plus(self, other: Time, times: float = 1.0) -> Time:
        """Return the sum with some times another."""
        return Time(self.clock_s + times * other.clock_s, self.cpu_s + times * other.cpu_s)

    def times(self, factor: float) -> Time:
        """Return some times this."""
        return Time(self.clock_s * factor, self.cpu_s * factor)


NONE = Time(0.0, 0.0)


@dataclass(frozen=True)
class Done:
    """What one item took.

    Attributes
    ----------
    group, assets : str, tuple of str
        Of the item.
    took : Time
    size, light : int
        Bytes of the file that it left, and of what the process that joins the shards keeps of it.
    """

    group: str
    assets: tuple[str, ...]
    took: Time
    size: int = 0
    light: int = 0


class Steps(NamedTuple):
    """How long one step of training takes, and one look at the held-out windows."""

    step: Time
    held_out: Time


class Probe:
    """An `Engine` for one item after another, each in a process like those of a run with so many workers.

    Attributes
    ----------
    done : dict of str to list of Done
        By the word of the step, as `report` was told it.
    peak, training_peak : int
        The most bytes that the process for shards and the one for training have held.
    load : Time
        To load what trains.
    """

    def __init__(self, workers: int, report: Report) -> None:
        self._workers, self._report, self._word = workers, report, ""
        self._hand, self._trainer = Hand(workers), Hand(workers)
        self.done: dict[str, list[Done]] = {}
        self.peak = self.training_peak = 0
        self.load = NONE

    @property
    def start(self) -> Time:
        """What it took to start the process for shards."""
        return self._hand.started[0]

    def report(self, step: Step) -> None:
        """Take the word of the step under way, and tell of it."""
        self._word = step.work
        self._report(replace(step, work=f"trying: {step.work}"))

    def renew(self) -> None:
        """Go on with a new process for shards, as another command would, and forget what was done."""
        self._hand.end()
        self._hand, self.done, self.peak = Hand(self._workers), {}, 0

    def end(self) -> None:
        """End the processes."""
        self._hand.end()
        self._trainer.end()

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result."""
        for item in items:
            took = self._hand.ask(work, item)
            self.peak = max(self.peak, took.peak)
            yield item, self._kept(item, took)

    def learn(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result, all from one process, so that what trains is loaded once."""
        if not self._trainer.started:
            self.load = self._trainer.ask(_load, None).took
        for item in items:
            took = self._trainer.ask(work, item)
            self.training_peak = max(self.training_peak, took.peak)
            yield item, self._kept(item, took)

    def steps(self, lesson: Lesson, window_size: int, params: TrainParams) -> Steps:
        """Return how long steps of training take, after what comes once."""
        work = partial(_step_times, window_size, few_steps(params, PROBED_EPOCHS))
        took = self._trainer.ask(work, lesson)
        assert isinstance(took.outcome, Steps), took.outcome
        return took.outcome

    def _kept(self, item: Any, took: _Took) -> Any:
        found = took.outcome
        size = found.stat().st_size if isinstance(found, Path) else 0
        light = len(pickle.dumps(read_light(found))) if size and found.suffix == ".pickle" else 0
        group, assets = item, ()
        if not isinstance(item, str):
            group = group_of(item) if isinstance(item, Shard) else item.name
            assets = tuple(one.asset for one in item.assets)
        if not isinstance(found, Failure):
            self.done.setdefault(self._word, []).append(Done(group, assets, took.took, size, light))
        return found


@contextmanager
def probing(workers: int, report: Report) -> Iterator[Probe]:
    """Give a probe whose processes have the threads of one of so many workers, and end with the block."""
    probe = Probe(workers, report)
    try:
        yield probe
    finally:
        probe.end()


def few_steps(params: TrainParams, epochs: int = 1) -> TrainParams:
    """Return the parameters of a training that is as short as tells how long it would be."""
    n_steps = min(params.steps_per_epoch, PROBED_STEPS)
    return params.model_copy(update={"epochs": epochs, "steps_per_epoch": n_steps, "trim_share": 0.0})


@dataclass(frozen=True)
class _Took:
    outcome: Any
    took: Time
    peak: int
    started_cpu_s: float  # what the process had taken before the item


class Hand:
    """A process that does one piece of work after another.

    Attributes
    ----------
    started : list of Time
        What its start took, once it has.
    """

    def __init__(self, workers: int) -> None:
        self.started: list[Time] = []
        self._running = Standing[Any, _Took](_timed, None, threads(workers))

    def ask(self, work: Callable[[Any], Any], item: Any) -> _Took:
        """Return what comes of a work on an item, and what it took."""
        begin = time.perf_counter()
        found = self._running.ask((work, item))
        if isinstance(found, Killed):
            return _Took(killed(item, found.times, found.how), NONE, 0, 0.0)
        if not self.started:
            spent_s = time.perf_counter() - begin
            self.started.append(Time(spent_s - found.took.clock_s, found.started_cpu_s))
        return found

    def end(self) -> None:
        """End the process."""
        self._running.end()


def peak_bytes(process: int | str = "self") -> int:
    """Return the most memory that this process has held so far; on Linux, or another by its id."""
    status = Path(f"/proc/{process}/status")
    if status.exists():  # getrusage counts on Linux what the process held that started this one
        [line] = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def now() -> Time:
    """Return the moment, and what this process has taken so far."""
    return Time(time.perf_counter(), time.process_time())


def since(begin: Time) -> Time:
    """Return what has passed since a moment."""
    return now().plus(begin, -1)


def _timed(_: None, asked: tuple[Callable[[Any], Any], Any]) -> _Took:
    work, item = asked
    begin = now()
    outcome = attempt(work, item)
    return _Took(outcome, since(begin), peak_bytes(), begin.cpu_s)


def _load(_: None) -> None:
    with native_chatter_muted():
        load_trainer()


def _step_times(window_size: int, params: TrainParams, lesson: Lesson) -> Steps:
    """Train, and return the shortest step and look at the held-out windows; the first of each compiles."""
    moments: list[tuple[int, Time]] = []
    with native_chatter_muted():
        load_trainer()(lesson, window_size, params, lambda step: moments.append((step.done, now())))
    steps, looks = [], []
    for (before, begin), (after, end) in pairwise(moments):
        took = end.plus(begin, -1)
        if after > before:
            steps.append(took.times(1 / (after - before)))
        else:
            looks.append(took)
    return Steps(min(steps), min(looks))
