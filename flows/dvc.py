"""DVC as the flows use it: a subprocess whose output streams into the run's log, one command at a time.

A stage run from here and `dvc repro` typed by hand are the same run. DVC writes its own files in place, so that one
which is killed may leave half of one; that is removed, and the next command makes it anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import yaml

from offbeat.errors import OffbeatError

EMBEDDED = "embedded"  # the remote inside the repository, which holds the bundled readings alone
PATIENCE_S = 3600.0  # with another DVC command that keeps the repository locked, such as a long push
LONGEST_WAIT_S = 20.0
WRITTEN_IN_PLACE = ("dvc.lock", "data.dvc", "start.dvc", ".dvc/tmp/rwlock")
RUNNING = re.compile(r"Running stage '(.+)'")
MD5 = re.compile(r"([0-9a-f]{32}(\.dir)?)?")  # other kinds of hash have other keys
BUSY = ("Unable to acquire lock", "is busy")
HINTS = (  # to people who type the command
    "To track the changes",
    "\tgit add",
    "To enable auto staging",
    "\tdvc config core.autostage",
    "Use `dvc push`",
    "Data and pipelines are up to date",
)


def dvc(root: Path, *arguments: str, say: Callable[[str], None], keep: Sequence[int] = ()) -> list[str]:
    """Run a DVC command in the project's folder and return its lines.

    Parameters
    ----------
    root : Path
    *arguments : str
    say : callable
        Takes each line as it comes.
    keep : sequence of int
        Descriptors of locks that last as long as the command does.

    Raises
    ------
    OffbeatError
        If it fails, with its last lines.
    """
    end, wait_s, is_mended = time.monotonic() + PATIENCE_S, 1.0, False
    while True:
        code, lines = _run(root, arguments, say, keep)
        if not code:
            return lines
        if not is_mended and mended(root, say):
            is_mended = True
            continue
        if not any(mark in line for line in lines for mark in BUSY) or time.monotonic() > end:
            raise OffbeatError(f"dvc {' '.join(arguments)} ended with {code}: {' | '.join(lines[-5:])}")
        if stage := _finished_stage(lines):
            # it ran, and only its end met another command: take down what it made instead of running it again
            arguments = ("commit", "--force", stage)
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def _finished_stage(lines: Sequence[str]) -> str | None:
    """Return the stage that ran in a command which then found the repository locked; None if none did."""
    started = [found[1] for line in lines if (found := RUNNING.match(line))]
    return started[-1] if started else None


def _run(
    root: Path, arguments: Sequence[str], say: Callable[[str], None], keep: Sequence[int]
) -> tuple[int, list[str]]:
    tools = Path(sys.executable).parent  # the stages call `offbeat`
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "OFFBEAT_PROGRESS": "lines",  # the stages' own, into the run's log
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=keep,
    )
    lines = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() and not line.startswith(HINTS):
                lines.append(line.rstrip())
                say(lines[-1])
        return process.wait(), lines
    finally:
        _end(process)


def reproduce(
    root: Path, stage: str, *, say: Callable[[str], None], keep: Sequence[int] = (), pull: bool = False
) -> bool:
    """Bring one stage up to date; return whether it ran here, rather than being up to date or fetched."""
    more = ["--pull"] if pull else []
    said: list[str] = []

    def report(line: str) -> None:
        said.append(line)
        say(line)

    dvc(root, "repro", "--single-item", *more, stage, say=report, keep=keep)
    return any(RUNNING.match(line) for line in said)


def remote(root: Path) -> str | None:
    """Return the name of the default remote; None where that is the embedded one, or there is none."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "config", "core.remote"], cwd=root, capture_output=True, text=True, check=False
    )
    name = done.stdout.strip()
    return name if name and name != EMBEDDED else None


def is_up_to_date(root: Path, stage: str) -> bool:
    """Whether a stage needs neither a run nor a fetch."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json", stage], cwd=root, capture_output=True, text=True, check=False
    )
    return done.returncode == 0 and done.stdout.strip() == "{}"


def code_hash(root: Path, stage: str) -> str:
    """Return the SHA-256 of the code that a stage depends on: the same on two machines, or they train differently."""
    content = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    digest = hashlib.sha256(yaml.safe_dump(content).encode())
    for dependency in content["deps"]:
        if dependency.startswith("src/"):
            digest.update(dependency.encode() + (root / dependency).read_bytes())
    return digest.hexdigest()


def mended(root: Path, say: Callable[[str], None]) -> bool:
    """Remove what a killed DVC command left half-written; return whether there was anything."""
    if not (root / ".dvc" / "tmp").is_dir():
        return False  # DVC never wrote here
    with (root / ".dvc" / "tmp" / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # DVC's own lock, under which it writes
        except BlockingIOError:
            return False
        damaged = [name for name in WRITTEN_IN_PLACE if not _is_whole(root / name)]
        for name in damaged:
            (root / name).unlink()
            say(f"{name} was half-written by a command that was killed: removed")
    return bool(damaged)


def _is_whole(path: Path) -> bool:
    """Whether a file of DVC's is missing, or can be read by DVC, or is one that a person must merge."""
    from dvc import schema  # in half a second, which only a failed command costs
    from voluptuous import Invalid

    try:
        text = path.read_text(encoding="utf-8")
        if "<<<<<<<" in text:
            return True
        content = yaml.safe_load(text)  # JSON is YAML
        if path.name == "rwlock":
            return isinstance(content, dict)
        (schema.COMPILED_LOCKFILE_SCHEMA if path.suffix == ".lock" else schema.COMPILED_SINGLE_STAGE_SCHEMA)(content)
        stages = content["stages"].values() if path.suffix == ".lock" else [content]
        files = [file for stage in stages for kind in ("deps", "outs") for file in stage.get(kind, [])]
        return bool(files) and all("path" in file and MD5.fullmatch(str(file.get("md5", ""))) for file in files)
    except FileNotFoundError:
        return True
    except (ValueError, yaml.YAMLError, Invalid, AttributeError, KeyError, TypeError):
        return False


def _end(process: subprocess.Popen[str]) -> None:
    """End a command that still runs, and what it started."""
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is not None:
        return
    own = psutil.Process(process.pid)
    for one in (*own.children(recursive=True), own):
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
