"""Commands about readings: what is there, how good it is, where more come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from offbeat.cli.bars import shown
from offbeat.cli.inputs import Change, ParamsFile, params_of
from offbeat.errors import ReadingsError


def validate(directory: Path, params: ParamsFile = None, change: Change = None) -> None:
    """Grade a folder of readings and say what to do.

    Prints per machine and channel what is there, how good it is, and the remedy for each problem; ends with an error
    if a file cannot be read, or training would refuse the readings.
    """
    from offbeat.params import CHOSEN_WINDOWS
    from offbeat.preparation import prepare_fleet
    from offbeat.readings.assets import groups_of
    from offbeat.readings.folder import read_folder
    from offbeat.readings.quality import assess_folder
    from offbeat.readings.quality_page import render
    from offbeat.window_choice import choose_window

    loaded = params_of(params, change or [])
    grid: dict[str, Any] = {"period": loaded.prepare.period, "max_gap": loaded.prepare.max_gap}
    window_size = loaded.prepare.window_size or CHOSEN_WINDOWS[0]
    with shown() as report:
        qualities, errors = assess_folder(
            directory, **grid, window_size=window_size, min_days=loaded.min_days, report=report
        )
    typer.echo(render(qualities, errors))
    if errors:
        raise typer.Exit(1)
    for group in groups_of(directory):
        of_group = f" of group {group}" if group else ""
        try:
            with shown() as report:
                folder = read_folder(directory, group=group or None, **grid, report=report)
                prepare, choice = choose_window(folder, loaded.for_channels(folder.series[0].n_channels).prepare)
                prepare_fleet(folder, prepare)
        except ReadingsError as error:
            raise ReadingsError(f"training would refuse these readings{of_group}: {error}") from error
        for line in choice:
            typer.echo(f"{group}: {line}" if group else line)


def simulate(directory: Path, seed: Annotated[int, typer.Option(min=0)] = 7) -> None:
    """Write a made-up fleet of pumps into a new folder.

    Six pumps over sixty days, with labelled events, maintenance, gaps and one that degrades to failure.
    """
    from offbeat.readings.simulate import simulate_fleet

    simulate_fleet(directory, seed)
    typer.echo(f"Wrote a fleet of pumps to {directory}; look at it: offbeat validate {directory}")


def fetch(
    name: Annotated[str, typer.Argument(help="nab, skab, msl, smd, asd, ucr, ims_bearing or tep")],
    directory: Path,
    source: Annotated[Path | None, typer.Option("--from", help="A local copy, instead of the public address.")] = None,
) -> None:
    """Bring a public set of readings into the layout.

    From its public address, checksummed, or with --from out of a local copy.
    """
    from offbeat.readings.datasets import fetch as fetch_set

    for line in fetch_set(name, directory, source):
        typer.echo(line)
