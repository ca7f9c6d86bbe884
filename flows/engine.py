"""A fleet's work as task runs of a flow, one for each shard: on threads with a process each, or on Ray.

A task run of a machine that cannot be worked on does not end the flow: it fails with the reason, and the work goes on.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import SimpleQueue
from typing import Any, TypeVar

from prefect import get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from offbeat.errors import OffbeatError
from offbeat.fleet.engine import Engine, Failure, Local, attempt, engine_of, killed
from offbeat.fleet.processes import TRIES, Killed, Standing, threads, training_places

Item = TypeVar("Item")
Result = TypeVar("Result")

Errors = tuple[type[BaseException], ...]

GIVEN_UP = "GivenUp"  # name of the state of a shard that a person has to look at
AHEAD = 2  # task runs for each worker that are begun or wait


@contextmanager
def task_engine(name: str = "local", *, workers: int | None = None) -> Iterator[Engine]:
    """Give the engine of that name, whose items are task runs of the flow run that this is called in.

    Parameters
    ----------
    name : str, optional
        As for `engine_of`.
    workers : int, optional
        As for `engine_of`; a single local one is a process too.

    Raises
    ------
    OffbeatError
        As `engine_of`.
    """
    with engine_of(name, workers=workers) as engine:
        if isinstance(engine, Local):
            pool: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=engine.workers)
            with closing(OnThreads(pool, engine.workers)) as running, pool:
                yield running
            return
        try:
            from prefect_ray import RayTaskRunner
        except ModuleNotFoundError as error:
            if error.name != "prefect_ray":
                raise
            raise OffbeatError("engine=ray: prefect-ray is not installed here: pip install 'offbeat[ray]'") from error
        with _one_server(), RayTaskRunner() as runner:  # on the Ray that runs
            yield OnRay(runner, engine)


class OnThreads:
    """This machine: a thread for each task run at work, and a process that does the work.

    The processes live as long as the engine does, for each takes seconds to start. One that is killed takes nothing
    with it but its shard, which is done again; a pool of processes would break.
    """

    def __init__(self, runner: ThreadPoolTaskRunner[Any], workers: int) -> None:
        self._runner, self._workers = runner, workers
        self._seats = Seats([threads(workers)] * workers)

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result."""
        yield from _task_runs(self._runner, partial(self._seats.do, work), items, AHEAD * self._workers)

    def learn(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result, each from a fresh process, with a GPU of its own if there are any."""
        places = training_places(self._workers)
        with closing(Seats(places, fresh=True)) as seats:
            yield from _task_runs(self._runner, partial(seats.do, work), items, AHEAD * len(places))

    def close(self) -> None:
        """End the processes."""
        self._seats.close()


class Seats:
    """Processes, each of which works for one thread at a time."""

    def __init__(self, places: Sequence[Mapping[str, str]], *, fresh: bool = False) -> None:
        self._seats = [Standing[Piece, Any](attempt, operator.call, place, fresh=fresh) for place in places]
        self._free: SimpleQueue[Standing[Piece, Any]] = SimpleQueue()
        for seat in self._seats:
            self._free.put(seat)

    def do(self, work: Callable[[Item], Result], item: Item) -> Result | Failure:
        """Return what a work makes of an item, in the first process that is free."""
        seat = self._free.get()
        try:
            outcome = seat.ask(Piece(work, item))
            return killed(item, outcome.times, outcome.how) if isinstance(outcome, Killed) else outcome
        finally:
            self._free.put(seat)

    def close(self) -> None:
        """End the processes."""
        for seat in self._seats:
            seat.end()


@dataclass(frozen=True)
class Piece:
    """A work with its item, as a worker of many works gets them."""

    work: Callable[[Any], Any]
    item: object

    def __call__(self) -> Any:
        """Do it."""
        return self.work(self.item)

    def __str__(self) -> str:
        return str(self.item)


class OnRay:
    """A running Ray: a task of Ray's for each task run; one whose worker is killed is done again."""

    def __init__(self, runner: TaskRunner[Any], ray: Any) -> None:
        self._runner, self._ray = runner, ray

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result, from processes that Ray keeps for those that come."""
        yield from self._each(partial(attempt, work), items, self._ray.workers)

    def learn(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result, each from a fresh process, with a GPU of its own if Ray has any."""
        gpus = self._ray.gpus
        yield from self._each(
            partial(_learned, work), items, gpus or self._ray.workers, num_gpus=1 if gpus else 0, max_calls=1
        )

    def _each(
        self, do: Callable[[Item], Result | Failure], items: Iterable[Item], workers: int, **options: int
    ) -> Iterator[tuple[Item, Result | Failure]]:
        from prefect_ray.context import remote_options

        from offbeat.fleet.ray_engine import WORKER_LOST

        with remote_options(num_cpus=self._ray.share, max_retries=TRIES - 1, **options):
            yield from _task_runs(self._runner, do, items, AHEAD * workers, WORKER_LOST)


def _learned(work: Callable[[Item], Result], item: Item) -> Result | Failure:
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # before the work loads TensorFlow
    return attempt(work, item)


@task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def shard(name: str, do: Callable[[], Any]) -> Any:  # noqa: ARG001  # the name is the task run's
    """Do the work on one shard, or train the model of one group."""
    outcome = do()
    return Failed(name=GIVEN_UP, message=outcome.reason) if isinstance(outcome, Failure) else outcome


def _task_runs(
    runner: TaskRunner[Any],
    do: Callable[[Item], Result | Failure],
    items: Iterable[Item],
    at_once: int,
    lost: Errors = (),
) -> Iterator[tuple[Item, Result | Failure]]:
    """Yield each item and what `do` returns, as they are ready; at most `at_once` are begun or wait.

    An item whose task run ends with one of the errors `lost` took its worker with it; with another, it is a fault.
    """
    waiting = iter(items)
    running: dict[Any, Item] = {}
    done: SimpleQueue[PrefectFuture[Any]] = SimpleQueue()
    while True:
        for item in islice(waiting, at_once - len(running)):
            future = runner.submit(shard, {"name": str(item) or "all", "do": partial(do, item)})
            running[future.task_run_id] = item
            future.add_done_callback(done.put)
        if not running:
            return
        future = done.get()
        item = running.pop(future.task_run_id)
        future.wait()
        yield item, _result(item, future.state, lost)


def _result(item: object, state: State[Any], lost: Errors) -> Any:
    if isinstance(state.data, lost):
        return killed(item, TRIES, "by Ray or the system")
    return Failure(str(state.message)) if state.name == GIVEN_UP else state.result()


@contextmanager
def _one_server() -> Iterator[None]:
    """Let workers report to the server of this run, also where the run has brought its own."""
    with get_client(sync_client=True) as client:
        url = str(client.api_url)
    with temporary_settings({PREFECT_API_URL: PREFECT_API_URL.value() or url}):
        yield
