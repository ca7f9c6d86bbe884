"""Hand the train stage to the `gpu` work pool and wait for it, through lost workers.

A run is lost when its process has shown no heartbeat for some time: the worker, its machine or its power is gone. It
is marked as crashed and handed in again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType, Worker, WorkerStatus
from prefect.deployments import run_deployment
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed

from flows.train import TrainingRequest
from offbeat.errors import OffbeatError

POOL, DEPLOYMENT = "gpu", "train/train"
POLL_S = 2.0
PICKUP_S = 600.0  # for a worker to take a run; then it is trained in place
SILENCE_S = 120.0  # without a heartbeat, of which a worker's run sends one every 30 s
TRIES = 3


def why_not() -> str:
    """Return why the train stage cannot be handed in; empty if it can."""
    if not PREFECT_API_URL.value():
        return "no server is set (PREFECT_API_URL)"
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
            client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            return f"no work pool '{POOL}', or no deployment '{DEPLOYMENT}'"
        workers = client.read_workers_for_work_pool(POOL)
    alive = datetime.now(UTC) - timedelta(seconds=SILENCE_S)  # a worker's status may lag behind
    if not any(one.status == WorkerStatus.ONLINE and _seen(one) > alive for one in workers):
        return f"no worker of the pool '{POOL}' is online"
    return ""


def _seen(worker: Worker) -> datetime:
    return worker.last_heartbeat_time or datetime.min.replace(tzinfo=UTC)


def train_there(request: TrainingRequest, say: Callable[[str], None]) -> bool:
    """Train on the pool; return whether a worker did, False if none took the run in time.

    Raises
    ------
    OffbeatError
        If training itself failed, or workers were lost too often.
    """
    for attempt in range(1, TRIES + 1):
        run = run_deployment(
            DEPLOYMENT,
            parameters={"request": request.model_dump()},
            timeout=0,
            idempotency_key=f"{request.token}, try {attempt}",  # a server that answers late is asked again
        )
        assert isinstance(run, FlowRun)
        say(f"handed to the pool '{POOL}' as run '{run.name}' (try {attempt} of {TRIES})")
        with get_client(sync_client=True) as client:
            ended = _wait(client, run.id, say)
        if ended is None:
            return False
        if ended.state is not None and ended.state.is_completed():
            return True
        message = ended.state.message if ended.state else ""
        if ended.state is not None and (ended.state.is_failed() or ended.state.is_cancelled()):
            what = "was cancelled" if ended.state.is_cancelled() else "failed"
            raise OffbeatError(f"training {what} on the pool '{POOL}', run '{run.name}': {message}")
        say(f"run '{run.name}' was lost ({message})")
    raise OffbeatError(f"workers of the pool '{POOL}' were lost {TRIES} times: look at their logs")


def _wait(client: SyncPrefectClient, run_id: UUID, say: Callable[[str], None]) -> FlowRun | None:
    """Return the run when it has ended; None if no worker took it in time."""
    begin = time.monotonic()
    while True:
        run = client.read_flow_run(run_id)
        if run.state is None or run.state.is_final():
            return run
        if not run.state.is_scheduled() or _is_busy(client, run):
            begin = time.monotonic()
        if time.monotonic() - begin > PICKUP_S:
            client.set_flow_run_state(run_id, Cancelled(message="no worker took it"), force=True)
            say(f"no worker of the pool '{POOL}' took run '{run.name}' in {PICKUP_S:g} s")
            return None
        if (run.state.is_running() or run.state.is_pending()) and _is_silent(client, run):
            client.set_flow_run_state(run_id, Crashed(message=f"no sign of life for {SILENCE_S:g} s"), force=True)
        time.sleep(POLL_S)


def _is_busy(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the pool is at work on another run, so that this one has to wait."""
    others = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])),
    )
    return any(other.id != run.id for other in others)


def _is_silent(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a run that should be at work has shown no sign of life."""
    assert run.state is not None
    now = datetime.now(UTC)
    if now - run.state.timestamp < timedelta(seconds=SILENCE_S):
        return False
    since = now - timedelta(seconds=SILENCE_S)
    heartbeats = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        occurred=EventOccurredFilter(since=since, until=now),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
    )
    return not client.read_events(heartbeats, limit=1).events
