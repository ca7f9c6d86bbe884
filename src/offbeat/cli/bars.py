"""Progress as a person sees it: a bar at a terminal, lines where a log asks for them, else nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import typer

from offbeat.errors import OffbeatError

if TYPE_CHECKING:
    from rich.progress import Progress

    from offbeat.progress import Report, Step

VARIABLE = "OFFBEAT_PROGRESS"
CHOICES = ("auto", "lines", "none")


@contextmanager
def shown() -> Iterator[Report]:
    """Give what shows the steps of long work on standard error, as OFFBEAT_PROGRESS says.

    `auto`, the default: a bar at a terminal, which vanishes at the end. `lines`: a line now and then, also where nobody
    looks. `none`: nothing.
    """
    from offbeat.progress import Lines, silent

    chosen = os.environ.get(VARIABLE) or "auto"
    if chosen not in CHOICES:
        raise OffbeatError(f"{VARIABLE}={chosen!r}: must be one of {', '.join(CHOICES)}")
    if chosen == "lines":
        yield Lines(lambda line: typer.echo(line, err=True))
    elif chosen == "auto" and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8") as terminal, _bars(terminal) as progress:
            yield _Bar(progress)
    else:
        yield silent


def _bars(terminal: TextIO) -> Progress:
    """Return what draws on a terminal, also while `native_chatter_muted` keeps standard error shut."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[words]}", markup=False),
        console=Console(file=terminal),
        transient=True,
        redirect_stdout=False,  # which may be a file
    )


class _Bar:
    """A report that keeps one bar: that of the work under way."""

    def __init__(self, progress: Progress) -> None:
        from offbeat.progress import Pace

        self._progress, self._pace = progress, Pace()

    def __call__(self, step: Step) -> None:
        is_new, words = self._pace.begins(step), self._pace.words()
        words += step.note and f"\n{step.note}"
        if is_new:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            self._progress.add_task(step.work, total=None, words=words)
        # a bar that moves to and fro says that nothing can be told yet
        total = step.total if step.done else None
        [task] = self._progress.task_ids
        self._progress.update(task, completed=step.done, total=total, words=words)
