"""Commands of the system at work: new readings, alarms and what people say of them, models and who is champion."""

from __future__ import annotations

import getpass
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from offbeat.cli.bars import shown
from offbeat.cli.inputs import Root
from offbeat.errors import OffbeatError, ReadingsError

StoreUrl = Annotated[
    str | None,
    typer.Option("--store", envvar="OFFBEAT_STORE", help="Database of scores and alarms; ROOT/offbeat.db by default."),
]
INGEST_WAIT_S = 600.0  # for a flow that reads data/


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user whom the system has no name for
        return "unknown"


Who = Annotated[str, typer.Option("--by", help="Who says so.", default_factory=_user, show_default=False)]


class Verdict(StrEnum):
    """What a person says of an alarm."""

    true = "true"
    false = "false"
    expected = "expected"


def ingest(root: Root = Path()) -> None:
    """Take new readings from the sources in sources.yaml into data/.

    What was taken before is not taken again; what comes late is filled in. `dvc add data` then gives it a version,
    as the flow ingest does.
    """
    from offbeat.files import restore_directory
    from offbeat.locks import lock_file, lock_path
    from offbeat.readings.ingestion import ingest as take_in
    from offbeat.readings.sources import load_sources

    sources = load_sources(root / "sources.yaml", os.environ)
    if not sources:
        there = "lists no source" if (root / "sources.yaml").exists() else "there is no such file"
        raise ReadingsError(f"{root / 'sources.yaml'}: {there}: name where readings come from, see docs/ingestion.md")
    with lock_file(lock_path(root, "data"), "offbeat ingest", timeout_s=INGEST_WAIT_S, say=typer.echo):
        restore_directory(root / "data")
        if (root / "data.dvc").exists() and not (root / "data").exists():
            raise ReadingsError(
                f"{root / 'data'} is not there, but data.dvc has a version of it: dvc pull data.dvc first"
            )
        with shown() as report:
            taken = take_in(root / "data", sources, report=report)
        typer.echo(str(taken))


def alarms(
    root: Root = Path(),
    store: StoreUrl = None,
    asset: Annotated[str | None, typer.Option(help="Of this machine alone.")] = None,
    verdict: Annotated[str | None, typer.Option(help="true, false, expected or unmarked alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest first.")] = 50,
) -> None:
    """List the alarms that the flow score has raised, the latest first."""
    from offbeat.operation.listing import alarms_table
    from offbeat.operation.store import Store

    with Store(_store_url(root, store)) as opened:
        typer.echo(alarms_table(opened.alarms(asset, verdict=verdict, limit=limit)))


def feedback(
    alarm: Annotated[int, typer.Argument(help="Its number in `offbeat alarms`.")],
    verdict: Verdict,
    by: Who,
    root: Root = Path(),
    store: StoreUrl = None,
    note: Annotated[str, typer.Option(help="Why, in a few words.")] = "",
) -> None:
    """Say what an alarm was: true (an incident), false (normal), or expected (maintenance and the like).

    False alarms count as normal from the next calibration on: `offbeat recalibrate`, or the next retraining.
    """
    from offbeat.operation.store import Store

    with Store(_store_url(root, store)) as opened:
        before = opened.mark(alarm, verdict.value, note=note, by=by)
    was = f" (was {before.verdict})" if before.verdict else ""
    typer.echo(f"alarm {alarm} of {before.asset}, {before.first} to {before.last}: {verdict.value}{was}")
    if verdict is Verdict.false:
        typer.echo("it counts as normal from the next calibration on: offbeat recalibrate")


def recalibrate(by: Who, root: Root = Path(), store: StoreUrl = None) -> None:
    """Give machines with false alarms new thresholds, without training.

    From all that was normal since they were learnt from: not labelled, not excluded, and in no alarm but false ones. A
    threshold rises or stays. The result is a new model in the registry, and the champion.
    """
    from offbeat.operation.store import Store
    from offbeat.promotion import recalibrate_champion

    with Store(_store_url(root, store)) as opened:
        typer.echo("\n".join(recalibrate_champion(root, opened, by=by)))


def models(root: Root = Path()) -> None:
    """List the registered models: how good each is, and which is the champion."""
    from offbeat.registry import Registry
    from offbeat.roster import roster

    typer.echo(roster(Registry(root / "registry")))


def promote(
    by: Who,
    version: Annotated[str | None, typer.Argument(help="Of `offbeat models`.")] = None,
    root: Root = Path(),
    folder: Annotated[
        Path | None, typer.Option("--from", help="Register this model first, as `offbeat train` wrote it; no gate.")
    ] = None,
    why: Annotated[str, typer.Option(help="In a few words; kept with the model.")] = "",
    override: Annotated[bool, typer.Option("--override", help="Also against the gate.")] = False,
) -> None:
    """Make a model the champion, which scores from now on: a registered one, or one in a folder.

    Against the gate's word, such as for a model that finds no more than PCA, it takes --override. A model in a folder,
    of one group or several, no gate judges: whoever promotes it answers for it.
    """
    from offbeat.promotion import promote_by_hand, promote_folder
    from offbeat.registry import Registry

    registry = Registry(root / "registry")
    if (version is None) == (folder is None):
        raise OffbeatError("promote takes a version of `offbeat models`, or --from and the folder of a model")
    if folder is not None:
        typer.echo(promote_folder(registry, folder, by=by, why=why))
    elif version is not None:
        typer.echo(promote_by_hand(registry, version, by=by, why=why, override=override))


def rollback(
    by: Who,
    root: Root = Path(),
    why: Annotated[str, typer.Option(help="In a few words; kept with the model.")] = "",
) -> None:
    """Make the champion before the present one champion again."""
    from offbeat.registry import Registry

    model = Registry(root / "registry").rollback(by=by, why=why or "rolled back")
    typer.echo(f"model {model.version} is the champion again")


def _store_url(root: Path, given: str | None) -> str:
    url = given or f"sqlite:///{root.resolve() / 'offbeat.db'}"
    file = url.removeprefix("sqlite:///")
    if file != url and not Path(file).exists():  # what only reads must make no database
        raise OffbeatError(f"{file}: no alarms yet: run the flow score, or name the database with --store")
    return url
