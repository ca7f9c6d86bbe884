"""Processes of this machine that work item by item; one that is killed is replaced, and its item done again.

Each worker has one item at a time, so that nothing but that item is lost with it. A worker ends with the process that
started it, however that ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Work = TypeVar("Work")
Outcome = TypeVar("Outcome")

TRIES = 3  # of an item whose worker is killed


@dataclass(frozen=True)
class Killed:
    """An item that has no outcome, for every worker that tried it was killed.

    Attributes
    ----------
    times : int
        How many were.
    how : str
        The last signal, such as ``SIGKILL``.
    """

    times: int
    how: str


def threads(workers: int) -> dict[str, str]:
    """Return the environment that gives each of some workers its share of the processors."""
    from offbeat.detection.runtime import n_processors  # here, for it loads numpy, which a worker must not do so early

    share = str(max(1, n_processors() // workers))
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), share)


def gpus() -> list[str]:
    """Return the names of the NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in {"", "-1", "NoDevFiles"}]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(k) for k in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def training_places(workers: int) -> list[dict[str, str]]:
    """Return the environments of processes that train at once: as many as there are GPUs, one each, or workers."""
    growing = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    own = [{"CUDA_VISIBLE_DEVICES": gpu, **growing} for gpu in gpus()[:workers]]
    n = len(own) or workers
    return [{**threads(n), **place} for place in own or [{}] * n]


def in_processes(
    do: Callable[[Work, Item], Outcome],
    work: Work,
    items: Iterable[Item],
    places: Sequence[Mapping[str, str]],
    *,
    fresh: bool = False,
) -> Generator[tuple[Item, Outcome | Killed]]:
    """Yield each item and what `do(work, item)` returns, as they are ready.

    Parameters
    ----------
    do, work, items
        What goes to the workers; it is pickled.
    places : sequence of mapping
        The variables of the environment that each worker adds to those of this process, one mapping a worker.
    fresh : bool, optional
        Whether a worker ends after one item.

    Raises
    ------
    RuntimeError
        If `do` raises, with its traceback, or a worker ends of itself.
    """
    waiting = iter(items)
    idle = [_Worker[Item, Outcome]((do, work), place) for place in places]
    busy: dict[Connection, _Worker[Item, Outcome]] = {}
    workers = tuple(idle)
    try:
        while True:
            while idle and (taken := next(waiting, _NOTHING)) is not _NOTHING:
                worker = idle.pop()
                busy[worker.take(taken)] = worker
            if not busy:
                return
            for connection in wait(busy):
                worker = busy.pop(connection)  # type: ignore[call-overload]
                outcome = worker.outcome()
                if outcome is _AGAIN:
                    busy[worker.take(worker.item)] = worker
                    continue
                if fresh:
                    worker.end()
                idle.append(worker)
                yield worker.item, outcome
    finally:
        for worker in workers:
            worker.end()


class Standing(Generic[Item, Outcome]):
    """One process of `in_processes`, whose parameters these are, that stands ready for one item after another."""

    def __init__(
        self, do: Callable[[Work, Item], Outcome], work: Work, place: Mapping[str, str], *, fresh: bool = False
    ) -> None:
        self._asked: deque[Item] = deque()
        items = iter(self._asked.popleft, None)  # taken only when there is one
        self._outcomes = in_processes(do, work, items, [place], fresh=fresh)

    def ask(self, item: Item) -> Outcome | Killed:
        """Return what the process makes of an item."""
        self._asked.append(item)
        return next(self._outcomes)[1]

    def end(self) -> None:
        """End the process."""
        self._outcomes.close()


_NOTHING: Any = object()
_AGAIN: Any = object()


@dataclass(frozen=True)
class _Fault:
    text: str


class _Worker(Generic[Item, Outcome]):
    """A process that is started when it gets its first item, and again after it was killed."""

    item: Item

    def __init__(self, task: tuple[Any, Any], place: Mapping[str, str]) -> None:
        self._task, self._place = task, place
        self._process: BaseProcess | None = None
        self._deaths = 0

    def take(self, item: Item) -> Connection:
        """Begin with an item; return what is ready when there is an outcome."""
        self.item = item
        if self._process is None:
            context = get_context("spawn")  # a fork would inherit the threads' locks, and CUDA
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, dict(self._place)), daemon=True)
            self._process.start()
            theirs.close()  # or its end would not be seen
            self._send(self._task)
        self._send(item)
        return self._connection

    def outcome(self) -> Any:
        """Return the outcome of the item, `_AGAIN`, or Killed."""
        try:
            outcome = self._connection.recv()
        except (EOFError, OSError):
            return self._after_death()
        if isinstance(outcome, _Fault):
            raise RuntimeError(f"the work failed on {self.item}:\n{outcome.text}")
        self._deaths = 0
        return outcome

    def end(self) -> None:
        """End the process, whatever it is at."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._connection.close()
            self._process = None

    def _send(self, what: object) -> None:
        with suppress(ConnectionError):  # it was killed: `outcome` sees to that
            self._connection.send(what)

    def _after_death(self) -> Any:
        assert self._process is not None, "it has an item"
        self._process.join()
        code = self._process.exitcode or 0
        self.end()
        if code >= 0:
            raise RuntimeError(
                f"a worker ended of itself (exit code {code}) on {self.item}; what it printed says why. A script that "
                "starts workers does so below `if __name__ == '__main__':`"
            )
        self._deaths += 1
        if self._deaths < TRIES:
            return _AGAIN
        times, self._deaths = self._deaths, 0
        return Killed(times, signal.Signals(-code).name)


def _serve(connection: Connection, place: Mapping[str, str]) -> None:
    """Work on what comes, until nothing can come any more."""
    os.environ.update(place)  # before anything that reads it is loaded, which happens as the task is received
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the process that started this one acts
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError):
        do, work = connection.recv()
        while True:
            item = connection.recv()
            connection.send(_done(do, work, item))


def _done(do: Callable[[Any, Any], Any], work: Any, item: Any) -> Any:
    try:
        return do(work, item)
    except Exception:  # noqa: BLE001  # it is raised where the work was asked for
        return _Fault(traceback.format_exc())


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None, "a worker was started"
    wait([parent.sentinel])
    os._exit(1)
