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
from offbeat.cli.failures import failures_in_words, without_debug
from offbeat.cli.learn import Stage, estimate, run, summary, train
from offbeat.cli.operate import alarms, feedback, ingest, models, promote, recalibrate, rollback
from offbeat.cli.readings import convert, fetch, simulate, validate
from offbeat.cli.watch import watch

__all__ = ["Stage", "app", "main"]

app = typer.Typer(
    help="Learn how machines normally behave from their sensor readings, and say when they stop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    *(validate, simulate, fetch, convert, ingest),
    *(run, summary, estimate, train, compare, score, calibrate, drift, watch),
    *(alarms, feedback, recalibrate, models, promote, rollback),
):
    app.command()(command)


def main() -> None:
    """Run the command; what goes wrong is told in one paragraph, with --debug (wherever it stands) in a traceback."""
    arguments, debug = without_debug(sys.argv[1:])
    logging.getLogger("offbeat").setLevel(logging.ERROR)  # the commands print the warnings themselves
    with failures_in_words("offbeat", debug=debug):
        app(args=arguments)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"offbeat {version('offbeat')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # `main` takes it
) -> None:
    """Take the options that stand before a command."""
