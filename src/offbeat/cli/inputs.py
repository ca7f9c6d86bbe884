"""What the commands share: their options, and readings as they are given on a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offbeat.errors import ReadingsError

if TYPE_CHECKING:
    from offbeat.progress import Report
    from offbeat.readings.assets import AssetFiles
    from offbeat.readings.frames import Period

FEW = 32  # machines, on which this process works faster than others start
MOST_TOLD = 5  # machines that failed; files name the others


class EngineName(StrEnum):
    """Where the work on many machines runs: on this one, or on Ray, of which RAY_ADDRESS names a cluster."""

    local = "local"
    ray = "ray"


Root = Annotated[
    Path,
    typer.Option(help="The project's folder.", exists=True, file_okay=False, envvar="OFFBEAT_ROOT", show_default="."),
]
ParamsFile = Annotated[Path | None, typer.Option("--params", help="A params.yaml; the packaged one by default.")]
Change = Annotated[
    list[str] | None, typer.Option("--set", "-S", help="A parameter, such as train.epochs=3; may be given again.")
]
Where = Annotated[EngineName, typer.Option("--engine", help="Where the work on many machines runs; ray is an extra.")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes at work at once; by default one for each processor, where there are more than 32 machines.",
    ),
]


def params_of(path: Path | None, changes: Sequence[str] = ()) -> Any:
    """Return the parameters of a file with the changes of the command line."""
    from offbeat.params import load_params, parse_changes

    return load_params(path, parse_changes(changes))


def read(paths: list[Path], period: Period | None, max_gap: int, report: Report) -> Any:
    """Return one Folder of a folder of readings, or of files."""
    from offbeat.progress import counted
    from offbeat.readings.asset_readings import read_readings
    from offbeat.readings.folder import Folder, alike, read_folder

    if [path.is_dir() for path in paths] == [True]:
        return read_folder(paths[0], period=period, max_gap=max_gap, report=report)
    files = counted(files_of(paths), report, "reading", "machines")
    return Folder(tuple(alike([read_readings(one, period=period, max_gap=max_gap) for one in files])))


def files_of(paths: list[Path]) -> list[AssetFiles]:
    """Return the files of each machine of a folder, or of files, one a machine."""
    from offbeat.readings.assets import AssetFiles, asset_files

    for path in paths:
        if not path.exists():
            raise ReadingsError(f"{path} does not exist")
    if len(paths) == 1 and paths[0].is_dir():
        return asset_files(paths[0])
    twice = {path.stem for path in paths if [other.stem for other in paths].count(path.stem) > 1}
    if twice:
        raise ReadingsError(f"asset '{min(twice)}' is given twice: a file's name is its machine's, so name each once")
    for path in paths:
        if path.is_dir():
            raise ReadingsError(f"{path}: give one folder, or files; not a folder among others")
    return [AssetFiles.of(path) for path in paths]


def workers_of(workers: int | None, engine: EngineName, n_machines: int) -> int | None:
    """Return how many workers there are: those asked for; else this process alone where others would start in vain."""
    return 1 if workers is None and engine is EngineName.local and n_machines <= FEW else workers


def told_failures(reasons: Mapping[str, str], n: int, what: str, where: str = "", *, most: int = MOST_TOLD) -> None:
    """Say of `n` machines that failed why, the first `most` of them, and end with status 1; if none did, do nothing."""
    from offbeat.readings.messages import count

    if not n:
        return
    told = list(reasons.items())[:most]
    more = [f"  and {n - len(told)} more"] if n > len(told) else []
    lines = [f"{count(n, 'machine')} could not be {what}{where}:", *(f"  {name}: {why}" for name, why in told), *more]
    typer.echo("\n".join(lines), err=True)
    raise typer.Exit(1)
