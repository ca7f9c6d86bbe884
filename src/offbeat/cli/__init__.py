"""The `offbeat` command: parse, call, print.

Each command imports what it needs when it runs, so that `--help` is quick and `score` loads no TensorFlow.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from offbeat.cli.compare import compare
from offbeat.cli.detect import calibrate, drift, score
from offbeat.cli.learn import Stage, run, summary, train
from offbeat.cli.operate import alarms, feedback, ingest, models, promote, recalibrate, rollback
from offbeat.cli.readings import fetch, simulate, validate
from offbeat.cli.watch import watch
from offbeat.errors import OffbeatError

__all__ = ["Stage", "app", "main"]

app = typer.Typer(
    help="Learn how machines normally behave from their sensor readings, and say when they stop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    *(validate, simulate, fetch, ingest),
    *(run, summary, train, compare, score, calibrate, drift, watch),
    *(alarms, feedback, recalibrate, models, promote, rollback),
):
    app.command()(command)


def main() -> None:
    """Run the command; an error that a person can mend is printed in one paragraph, without a traceback."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    logging.getLogger("offbeat").setLevel(logging.ERROR)  # the commands print the warnings themselves
    try:
        app()
    except (OffbeatError, OSError) as error:
        if debug:
            raise
        remedy = "" if isinstance(error, OffbeatError) else " (nothing was half-written: mend it and run again)"
        typer.echo(f"error: {error}{remedy}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"offbeat {version('offbeat')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Take the options that stand before a command."""
