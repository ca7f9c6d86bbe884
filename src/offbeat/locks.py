"""Locks between processes on one machine: the operating system's own, on a file.

A lock ends with the process that holds it, however that ends. A subprocess that is given its descriptor holds it too.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from offbeat.errors import OffbeatError

POLL_S = 0.5


def lock_path(root: Path, name: str) -> Path:
    """Return where a project keeps its lock of that name."""
    return root / ".offbeat" / f"{name}.lock"


@contextmanager
def lock_file(path: Path, token: str, *, timeout_s: float, say: Callable[[str], None] = print) -> Iterator[int]:
    """Hold a lock, and give its descriptor.

    Parameters
    ----------
    path : Path
    token : str
        Who holds it; `is_held` compares it.
    timeout_s : float
        Seconds to wait for another holder.
    say : callable, optional
        Takes a line when it has to wait.

    Raises
    ------
    OffbeatError
        If the other holder does not let go in time.
    """
    path.parent.mkdir(exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _wait_for(file.fileno(), path, timeout_s, say)
        file.truncate(0)
        file.write(token)
        file.flush()
        yield file.fileno()
        file.truncate(0)


def is_held(path: Path, token: str) -> bool:
    """Whether the holder of a lock goes by `token`."""
    if not path.exists() or path.read_text(encoding="utf-8") != token:
        return False
    with path.open("a+", encoding="utf-8") as file:
        return not _take(file.fileno())


def _wait_for(descriptor: int, path: Path, timeout_s: float, say: Callable[[str], None]) -> None:
    end = time.monotonic() + timeout_s
    told = False
    while not _take(descriptor):
        if not told:
            say(f"waiting for {path.read_text(encoding='utf-8') or 'another run'}, which holds {path.name}")
            told = True
        if time.monotonic() > end:
            raise OffbeatError(
                f"{path}: still held by {path.read_text(encoding='utf-8') or 'another run'} after {timeout_s:g} s: "
                "wait for it, or end it"
            )
        time.sleep(POLL_S)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
