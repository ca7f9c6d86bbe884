"""The fleet's work on Ray: a cluster, or processes of this machine that Ray starts, watches and replaces.

Whatever a worker is killed by, Ray does the item again; what still has no outcome then is a failure, never lost.
"""

from __future__ import annotations

import logging
import os
import pickle
import secrets
import shutil
import socket
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import ray
import ray.data
from ray._private import ray_constants
from ray.data import ActorPoolStrategy
from ray.util.annotations import RayDeprecationWarning

from offbeat.detection.runtime import n_processors
from offbeat.errors import OffbeatError
from offbeat.fleet.engine import Failure, attempt, killed
from offbeat.fleet.processes import TRIES

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_ONCE = 1000  # items that Ray Data is given; more would not let them be taken as they are needed
STORE_BYTES = 2**28  # what waits between processes of a local Ray: items and results, which are small
ANSWER_S = 10.0  # in which a cluster takes a connection
WORKER_LOST = (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError)
_SESSIONS = "/tmp"  # short, for the paths of sockets must be


class OnRay:
    """A running Ray.

    Parameters
    ----------
    workers : int, optional
        How many items are worked on at once; as many as Ray has processors by default.

    Attributes
    ----------
    workers, gpus : int
        How many Ray has of each.
    share : int
        Processors of each worker.
    """

    def __init__(self, workers: int | None) -> None:
        resources = ray.cluster_resources()
        processors = int(resources.get("CPU", 1))
        self.gpus = int(resources.get("GPU", 0))
        self.workers = workers or processors
        self.share = max(1, processors // self.workers)  # Ray tells it to a worker as OMP_NUM_THREADS

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result from a pool of actors, which live as long as the items last."""
        waiting = iter(items)
        while some := list(islice(waiting, AT_ONCE)):
            left = set(range(len(some)))
            for row in self._dataset(work, some).iter_batches(batch_size=None, prefetch_batches=0):
                for k, outcome in zip(row["index"], row["outcome"], strict=True):
                    left.remove(int(k))
                    yield some[k], _result(some[k], outcome)
            for k in sorted(left):
                yield some[k], killed(some[k], TRIES, "by Ray or the system")

    def _dataset(self, work: Callable[[Item], Result], items: list[Item]) -> ray.data.Dataset:
        rows = [{"index": k, "item": pickle.dumps(item)} for k, item in enumerate(items)]
        given = ray.data.from_items(rows, override_num_blocks=len(rows))  # one item each: a task is an item
        given.context.enable_progress_bars = False
        given.context.max_errored_blocks = -1  # what `left` holds at the end
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RayDeprecationWarning)  # of the last two, which have no successors yet
            return given.map(
                _Actor,
                fn_constructor_args=(pickle.dumps(work),),
                compute=ActorPoolStrategy(
                    min_size=1, max_size=self.workers, initial_size=self.workers, max_tasks_in_flight_per_actor=1
                ),
                num_cpus=self.share,
                max_restarts=-1,
                max_task_retries=TRIES - 1,
            )

    def learn(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Failure]]:
        """Yield each item and its result, each from a fresh process with a GPU of its own, if Ray has any."""
        task = ray.remote(num_cpus=self.share, num_gpus=1 if self.gpus else 0, max_calls=1, max_retries=TRIES - 1)(
            _learned
        )
        waiting, pickled = iter(items), pickle.dumps(work)
        running: dict[Any, Item] = {}
        while True:
            for item in islice(waiting, (self.gpus or self.workers) - len(running)):
                running[task.remote(pickled, pickle.dumps(item))] = item
            if not running:
                return
            for done in ray.wait(list(running))[0]:
                item = running.pop(done)
                try:
                    yield item, _result(item, ray.get(done))
                except WORKER_LOST:
                    yield item, killed(item, TRIES, "by Ray or the system")


@contextmanager
def ray_engine(workers: int | None) -> Iterator[OnRay]:
    """Give the engine on the Ray that this process is connected to, that RAY_ADDRESS names, or that it starts."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what comes of an item is said by its outcome
    if ray.is_initialized():
        yield OnRay(workers)
    elif (address := os.environ.get("RAY_ADDRESS", "local")) != "local":
        _check_answers(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            yield OnRay(workers)
        finally:
            ray.shutdown()
    else:
        with _local_ray(max(workers or 0, n_processors())):
            yield OnRay(workers)


def _check_answers(address: str) -> None:
    """Raise OffbeatError where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # such as `auto`
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise OffbeatError(
            f"RAY_ADDRESS={address}: nothing answers there ({error}): start Ray there, or unset it to have one here"
        ) from error


@contextmanager
def _local_ray(processors: int) -> Iterator[None]:
    """Run a Ray that listens on 127.0.0.1 alone, asks for a secret, and keeps what it writes in a temporary folder."""
    session = tempfile.mkdtemp(prefix="offbeat-ray-", dir=_SESSIONS)
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray would keep one in the home folder
    try:
        with _as_local():
            ray.init(
                address="local",
                num_cpus=processors,
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",
                _temp_dir=f"{session}/ray",  # which Ray opens to everyone; what it stands in stays ours
            )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(session, ignore_errors=True)


@contextmanager
def _as_local() -> Iterator[None]:
    """Let the Ray that is started inside find what this process imports, and be one that others cannot reach."""
    before = os.environ.get("PYTHONPATH")
    is_for_clusters = ray_constants.ENABLE_RAY_CLUSTER
    os.environ["PYTHONPATH"] = os.pathsep.join(place for place in sys.path if place)
    ray_constants.ENABLE_RAY_CLUSTER = False  # or Ray takes an address of the network for 127.0.0.1
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = is_for_clusters
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class _Actor:
    """A worker: it keeps its process, and with it what the work has loaded, from item to item."""

    def __init__(self, work: bytes) -> None:
        self._work = pickle.loads(work)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"index": row["index"], "outcome": _outcome(self._work, row["item"])}


def _learned(work: bytes, item: bytes) -> bytes:
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # before the work is loaded, and TensorFlow with it
    return _outcome(pickle.loads(work), item)


def _outcome(work: Callable[[Any], Any], item: bytes) -> bytes:
    """Return the pickled outcome, or a text: the traceback of a fault."""
    try:
        return pickle.dumps((attempt(work, pickle.loads(item)), ""))
    except Exception:  # noqa: BLE001  # it is raised where the work was asked for
        return pickle.dumps((None, traceback.format_exc()))


def _result(item: object, outcome: bytes) -> Any:
    result, fault = pickle.loads(outcome)
    if fault:
        raise RuntimeError(f"the work failed on {item}:\n{fault}")
    return result
