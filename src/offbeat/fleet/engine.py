"""Where a fleet's work runs: in this process, in several on this machine, or on Ray; the results are the same.

An engine is given a work and items, and gives each item back once, with what came of it. How processes are started
and ended stands here and in `processes` and `ray_engine`; what they do knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from offbeat.errors import OffbeatError, ParamsError
from offbeat.fleet.processes import Killed, in_processes, threads, training_places

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why an item has no result.

    Attributes
    ----------
    reason : str
        One line that a person understands.
    """

    reason: str


class Engine(Protocol):
    """Where work runs.

    A work is a function of a module, or a `functools.partial` of one, that can be pickled with its arguments. What it
    keeps from one item to the next, such as a loaded detector, it caches in its own module.

    Items are taken as they are needed, at most two for each worker ahead of the results, which come as they are ready.
    An OffbeatError that a work raises becomes a `Failure`; any other error is a fault of the work and ends the run.
    An item whose worker was killed is done again, twice at most, and is a `Failure` then.
    """

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result, from workers that live as long as the items last."""
        ...

    def learn(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result, for training: a fresh process each, with its own GPU if there are any."""
        ...


@contextmanager
def engine_of(name: str = "local", *, workers: int | None = None) -> Iterator[Engine]:
    """Give the engine of that name.

    Parameters
    ----------
    name : str, optional
        `local`, or `ray`: the cluster that RAY_ADDRESS names, whose machines must see the same files at the same paths,
        or a Ray of this machine alone that ends with the block.
    workers : int, optional
        How many items are worked on at once; as many as there are processors by default. A single local one is
        this process.

    Raises
    ------
    OffbeatError
        If there is no such engine, or Ray is not installed or does not answer.
    """
    if workers is not None and workers < 1:
        raise ParamsError(f"workers={workers}: an engine needs at least 1")
    if name == "local":
        from offbeat.detection.runtime import n_processors  # here, for a worker must not load numpy so early

        yield Local(workers or n_processors())
    elif name == "ray":
        try:
            from offbeat.fleet.ray_engine import ray_engine
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != "ray":
                raise
            raise OffbeatError("engine=ray: Ray is not installed here: pip install 'offbeat[ray]'") from error
        with ray_engine(workers) as engine:
            yield engine
    else:
        raise ParamsError(f"engine={name}: there are local and ray")


class Local:
    """This machine.

    Attributes
    ----------
    workers : int
        Processes at work at once; a single one is this process, but for training.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result; what uses threads shares the processors among the workers."""
        if self.workers == 1:
            yield from ((item, attempt(work, item)) for item in items)
            return
        places = [threads(self.workers)] * self.workers
        yield from _told(in_processes(attempt, work, items, places))

    def learn(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result, each from a fresh process; as many at once as there are GPUs, if any."""
        yield from _told(in_processes(attempt, work, items, training_places(self.workers), fresh=True))


def attempt(work: Callable[[Item], Result], item: Item) -> Result | Failure:
    """Return what `work` makes of an item, or why a person has to mend something first."""
    try:
        return work(item)
    except OffbeatError as error:
        return Failure(" ".join(str(error).split()))


def killed(item: object, deaths: int, how: str) -> Failure:
    """Return the failure of an item that took its worker with it, again and again."""
    return Failure(
        f"{item}: the process that worked on it was killed {deaths} times ({how}), as happens where memory is short: "
        "try fewer workers or smaller shards"
    )


def _told(outcomes: Iterator[tuple[Item, Result | Failure | Killed]]) -> Iterator[tuple[Item, Result | Failure]]:
    for item, outcome in outcomes:
        yield item, killed(item, outcome.times, outcome.how) if isinstance(outcome, Killed) else outcome
