"""What a command says when it fails: one paragraph that names the cause and the remedy; a traceback on request."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from offbeat.errors import OffbeatError

STOPPED = 130  # what a shell, and typer, make of a command that Ctrl-C ended


def without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Return arguments of a command line without --debug, and whether it was there."""
    others = [argument for argument in arguments if argument != "--debug"]
    return others, len(others) < len(arguments)


@contextmanager
def failures_in_words(command: str, *, debug: bool = False) -> Iterator[None]:
    """End the process with a paragraph on standard error where something is raised, and status 1.

    Parameters
    ----------
    command : str
        As it was typed, such as ``offbeat``; the paragraph shows how to ask it for more.
    debug : bool
        Whether to raise it as it is.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        if debug or (isinstance(stop, SystemExit) and stop.code != STOPPED):
            raise
        typer.echo("stopped: no file was left half-written", err=True)
        sys.exit(STOPPED)
    except Exception as error:
        if debug:
            raise
        typer.echo(f"error: {explained(error, command)}", err=True)
        sys.exit(1)


def explained(error: Exception, command: str) -> str:
    """Return what went wrong and what to do about it, in one paragraph."""
    if isinstance(error, OffbeatError):
        return _one_line(error)
    if isinstance(error, MemoryError):
        return (
            f"not enough memory ({_one_line(error)}): give fewer machines, or a shorter stretch of readings, at a time"
        )
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("offbeat"):
        return f"this needs {error.name}, which is not installed: pip install 'offbeat[train,pipeline]'"
    if isinstance(error, OSError):
        what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else _one_line(error)
        return f"{what} (nothing was half-written: mend it and run again)"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {_one_line(error)} ({Path(last.filename).name}, line {last.lineno}): this is a fault "
        f"of offbeat, not of your readings; no file was left half-written. `{command} --debug ...` shows where it "
        "happened: please report what it prints"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
