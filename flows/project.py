"""The project that a flow works on: its folder, its store of alarms, its errors, and locks that keep two runs apart.

A lock that a subprocess is given too lasts as long as that does: what outlives a killed flow is still waited for.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import FailedRun
from prefect.runtime import flow_run
from prefect.states import Failed

from offbeat.errors import OffbeatError, SourceError
from offbeat.files import restore_directory
from offbeat.locks import lock_file, lock_path

READER_WAIT_S = 600.0
PASSING = "Unreachable"  # a failure that may have passed a little later
P = ParamSpec("P")
R = TypeVar("R")


def plain_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Make an error that a person can mend the message of a failed run, without a traceback."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (OffbeatError, FailedRun) as error:
            name = PASSING if isinstance(error, SourceError) else "Failed"
            return cast(R, Failed(name=name, message=str(error)))

    # Prefect resolves names of types where this wrapper stands, not where the function does
    run.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return run


def step(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a task that is never cached, and whose plain errors end the flow that calls it.

    Where `options` ask for retries, what a person must mend first is not tried again; with `retry_condition_fn=None`
    everything is.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        chosen: dict[str, Any] = {"cache_policy": NO_CACHE, "retry_condition_fn": _may_pass, **options}
        run = task(**chosen)(plain_errors(function))

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            result = run(*args, **kwargs)
            if isinstance(result, State):
                raise FailedRun(str(result.message))
            return result

        return call

    return decorate


def _may_pass(_task: object, _run: object, state: State[Any]) -> bool:
    return state.name == PASSING or state.type == StateType.CRASHED


def at_terminal(state: State[Any]) -> int:
    """Print what became of a flow that a person started; return the exit status."""
    if state.is_completed():
        return 0
    print(f"error: {state.message}", file=sys.stderr)
    return 1


def project_root() -> Path:
    """Return the project's folder: OFFBEAT_ROOT, or the current one.

    Raises
    ------
    OffbeatError
        If no project stands there.
    """
    root = Path(os.environ.get("OFFBEAT_ROOT") or ".").resolve()
    if not (root / "dvc.yaml").exists():
        raise OffbeatError(f"{root}: holds no dvc.yaml: set OFFBEAT_ROOT to the project's folder")
    return root


def store_url(root: Path) -> str:
    """Return where scores and alarms are kept: OFFBEAT_STORE, or a SQLite file in the project's folder."""
    return os.environ.get("OFFBEAT_STORE") or f"sqlite:///{root / 'offbeat.db'}"


def locked(
    root: Path, name: str, token: str, *, timeout_s: float, say: Callable[[str], None] = print
) -> AbstractContextManager[int]:
    """Hold one of the project's locks, as `token`.

    `retrain` is for whoever rewrites artifacts/, `train` for whoever trains there, `data` for whoever rewrites data/ or
    reads the whole of it.
    """
    return lock_file(lock_path(root, name), token, timeout_s=timeout_s, say=say)


def data_in_place(root: Path, say: Callable[[str], None]) -> None:
    """Put data/ back for a reader, should an ingestion that was killed have just moved it aside."""
    if not (root / "data").exists():
        with locked(root, "data", f"run '{flow_run.name}'", timeout_s=READER_WAIT_S, say=say):
            restore_directory(root / "data")
