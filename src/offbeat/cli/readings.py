"""Commands about readings: what is there, how good it is, where more come from."""

from __future__ import annotations

from enum import StrEnum
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


class Layout(StrEnum):
    """How readings lie in files."""

    csv = "csv"
    parquet = "parquet"


def convert(
    readings: Annotated[Path, typer.Argument(help="A folder of readings.")],
    out: Annotated[Path, typer.Argument(help="The new folder for them.")],
    to: Annotated[
        Layout, typer.Option(help="parquet: a partitioned data set, a file a month; csv: a file a machine.")
    ] = Layout.parquet,
    group: Annotated[
        str | None, typer.Option(help="The machines' group, where there is no groups.yaml.", show_default="all")
    ] = None,
) -> None:
    """Write readings in the other layout.

    From a file for each machine to a partitioned Parquet data set, which other programs read, or back. No number
    changes; labels and other tables go along. Machine by machine, so that memory does not limit it.
    """
    from offbeat.readings.conversion import to_csv, to_partitions

    if to is Layout.csv and group is not None:
        raise ReadingsError("--group is for --to parquet: the folders of a partitioned data set name the groups")
    with shown() as report:
        n_assets = (
            to_csv(readings, out, report=report)
            if to is Layout.csv
            else to_partitions(readings, out, group=group, report=report)
        )
    typer.echo(f"Wrote the readings of {n_assets} machines to {out}; look at them: offbeat validate {out}")


def simulate(
    directory: Path,
    seed: Annotated[int, typer.Option(min=0)] = 7,
    assets: Annotated[
        int | None, typer.Option(min=1, help="So many machines, half of them pumps, half of them fans.")
    ] = None,
    timesteps: Annotated[int, typer.Option(min=10, help="Readings of each, with --assets.")] = 1000,
    layout: Annotated[Layout, typer.Option(help="As for convert, with --assets.")] = Layout.csv,
) -> None:
    """Write a made-up fleet into a new folder.

    Six pumps over sixty days, with labelled events, maintenance, gaps and one that degrades to failure. With --assets
    as many machines as you want in two groups, quickly made and plain.
    """
    from offbeat.readings.fleet import simulate_machines
    from offbeat.readings.simulate import simulate_fleet

    if assets is None:
        if layout is Layout.parquet:
            raise ReadingsError("--layout is for --assets: give how many machines, or convert the six pumps")
        simulate_fleet(directory, seed)
    else:
        with shown() as report:
            partitioned = layout is Layout.parquet
            simulate_machines(directory, assets, timesteps, seed, partitioned=partitioned, report=report)
    typer.echo(
        f"Wrote a fleet of {'machines' if assets else 'pumps'} to {directory}; look at it: offbeat validate {directory}"
    )


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
