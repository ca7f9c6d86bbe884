"""The `offbeat` command: parse, call, print.

Each command imports what it needs when it runs, so that `--help` is quick and `score` loads no TensorFlow.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offbeat.errors import OffbeatError, ParamsError, ReadingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from offbeat.detection.detector import Detector
    from offbeat.models.learning import Epoch

app = typer.Typer(
    help="Learn how machines normally behave from their sensor readings, and say when they stop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Stage(StrEnum):
    """The stages of dvc.yaml."""

    prepare = "prepare"
    train = "train"
    calibrate = "calibrate"
    evaluate = "evaluate"


Root = Annotated[Path, typer.Option(help="Folder that holds params.yaml, data/ and artifacts/.")]
ParamsFile = Annotated[Path | None, typer.Option("--params", help="A params.yaml; the packaged one by default.")]
Change = Annotated[
    list[str] | None, typer.Option("--set", "-S", help="A parameter, such as train.epochs=3; may be given again.")
]


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


@app.command()
def validate(directory: Path, params: ParamsFile = None, change: Change = None) -> None:
    """Grade a folder of readings and say what to do.

    Prints per machine and channel what is there, how good it is, and the remedy for each problem; ends with an error
    if a file cannot be read, or training would refuse the readings.
    """
    from offbeat.preparation import prepare_fleet
    from offbeat.readings.folder import read_folder
    from offbeat.readings.quality import assess_folder
    from offbeat.readings.quality_page import render

    loaded = _params(params, change or [])
    grid: dict[str, Any] = {"period": loaded.prepare.period, "max_gap": loaded.prepare.max_gap}
    weeks = 1 / loaded.calibrate.false_alarms_per_week / loaded.prepare.calibration_share
    qualities, errors = assess_folder(directory, **grid, window_size=loaded.prepare.window_size, min_days=7 * weeks)
    typer.echo(render(qualities, errors))
    if errors:
        raise typer.Exit(1)
    try:
        prepare_fleet(read_folder(directory, **grid), loaded.prepare)
    except ReadingsError as error:
        raise ReadingsError(f"training would refuse these readings: {error}") from error


@app.command()
def simulate(directory: Path, seed: Annotated[int, typer.Option(min=0)] = 7) -> None:
    """Write a made-up fleet of pumps into a new folder.

    Six pumps over sixty days, with labelled events, maintenance, gaps and one that degrades to failure.
    """
    from offbeat.readings.simulate import simulate_fleet

    simulate_fleet(directory, seed)
    typer.echo(f"Wrote a fleet of pumps to {directory}; look at it: offbeat validate {directory}")


@app.command()
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


@app.command()
def run(stage: Stage, root: Root = Path()) -> None:
    """Run one stage of dvc.yaml.

    `dvc repro` runs those that are out of date.
    """
    from importlib import import_module

    from offbeat.params import load_params

    section = getattr(load_params(root / "params.yaml"), stage.value)
    with _native_chatter_muted():
        module = import_module(f"offbeat.stages.{stage.value}")
    more: dict[str, Any] = {"report": progress(section.epochs)} if stage is Stage.train else {}
    for line in module.run(section, root=root, **more):
        typer.echo(line)


@app.command()
def summary(root: Root = Path()) -> None:
    """Show how good the detector in artifacts/ is.

    A table beside simple methods, what to doubt, and the next steps.
    """
    from offbeat.stages.artifacts import METRICS, TRAINING_METRICS, read_json
    from offbeat.summary import summary as summarize

    typer.echo(summarize(read_json(root / METRICS), read_json(root / TRAINING_METRICS)))


@app.command()
def train(
    readings: Annotated[list[Path], typer.Argument(help="A folder of readings, or files, one a machine.")],
    out: Annotated[Path, typer.Option(help="Where the detector goes.")],
    params: ParamsFile = None,
    change: Change = None,
) -> None:
    """Learn from readings and save a detector.

    Trains on the first part of each machine's readings, calibrates on the next, and tells how good the detector is
    on the last.
    """
    from offbeat.detection.storage import check_directory
    from offbeat.evaluation.replay import replay_fleet
    from offbeat.summary import fit_summary
    from offbeat.training import fit_fleet, load_trainer

    loaded = _params(params, change or [])
    folder = _read(readings, loaded.prepare.period, loaded.prepare.max_gap)
    with _native_chatter_muted():
        load_trainer()
    check_directory(out)
    fitted = fit_fleet(folder, loaded, report=progress(loaded.train.epochs))
    fitted.detector.save(out)
    replays = replay_fleet(fitted.detector, fitted.untrained, fitted.fleet, loaded.evaluate)
    typer.echo(
        "\n".join([*folder.notes, *fit_summary(fitted.detector, fitted.trained.overall_explained_variance, replays)])
    )
    typer.echo(f"Saved the detector to {out}; use it: offbeat score READINGS --model {out}")


@app.command()
def score(
    readings: Annotated[list[Path], typer.Argument(help="A folder of readings, or files, one a machine.")],
    model: Annotated[Path, typer.Option(help="A detector from `offbeat train` or artifacts/detector.")],
    out: Annotated[Path | None, typer.Option(help="Write scores here, .csv or .parquet.")] = None,
) -> None:
    """Score readings and print the events.

    When, how long, how strong and which channels; --out writes a score for every timestep.
    """
    from offbeat.detection.detector import Detector
    from offbeat.reporting import check_out, events_table, write_scores

    if out is not None:
        check_out(out, readings)
    detector = Detector.load(model)
    folder = _read_for(detector, readings)
    results = [detector.score(series) for series in folder.series]
    typer.echo(events_table(results))
    if out is not None:
        write_scores(out, results)
        typer.echo(f"Wrote {sum(len(result.scores) for result in results)} scores to {out}")


@app.command()
def calibrate(
    readings: Annotated[list[Path], typer.Argument(help="Normal readings: a folder, or files, one a machine.")],
    model: Annotated[Path, typer.Option(help="A detector from `offbeat train` or artifacts/detector.")],
    out: Annotated[Path, typer.Option(help="Where the calibrated detector goes; may be the same folder.")],
    change: Change = None,
) -> None:
    """Give a detector thresholds from normal readings.

    For a machine that it never saw, or for another budget, such as -S calibrate.false_alarms_per_week=0.5; without
    training. What labels.csv and exclude.csv of the folder name is left out.
    """
    from offbeat.detection.detector import Detector
    from offbeat.detection.storage import check_directory
    from offbeat.params import parse_changes
    from offbeat.readings.spans import span_mask
    from offbeat.reporting import threshold_lines

    check_directory(out)
    changes = parse_changes(change or [])
    if set(changes) - {"calibrate"}:
        raise ParamsError(f"only parameters of calibrate can change without training, got {', '.join(changes)}")
    detector = Detector.load(model)
    folder = _read_for(detector, readings)
    for series in folder.series:
        normal = ~(span_mask(series, folder.labels) | span_mask(series, folder.exclude))
        detector.calibrate(series, normal=normal, **changes.get("calibrate", {}))
    detector.save(out)
    typer.echo("\n".join([*folder.notes, *threshold_lines(detector, [series.asset for series in folder.series])]))


def progress(n_epochs: int) -> Callable[[Epoch], None]:
    """Return a report that prints a line for each epoch, with the time left at most."""
    import time

    begin = time.monotonic()

    def report(epoch: Epoch) -> None:
        left = (time.monotonic() - begin) / epoch.epoch * (n_epochs - epoch.epoch)
        line = (
            f"epoch {epoch.epoch}/{n_epochs}  loss {epoch.loss:.4f}  held-out {epoch.held_out_loss:.4f}  "
            f"at most {left:.0f} s left"
        )
        typer.echo(line, err=True)

    return report


@contextmanager
def _native_chatter_muted() -> Iterator[None]:
    """Send what native libraries print while they load (no CUDA driver, CPU features) nowhere; errors still raise."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _params(path: Path | None, changes: Sequence[str] = ()) -> Any:
    from offbeat.params import load_params, parse_changes

    return load_params(path, parse_changes(changes))


def _read_for(detector: Detector, paths: list[Path]) -> Any:
    """Return readings on the grid that a detector learnt; those that come much slower or faster are refused."""
    period = detector.period
    try:
        found = _read(paths, None, detector.max_gap)
    except ReadingsError:
        pass  # too few or too irregular to tell their period
    else:
        for series in found.series:
            detector.check_period(series, leeway=1.5)
        if all(series.period == period for series in found.series):
            return found
    return _read(paths, period if isinstance(period, int) else str(period), detector.max_gap)


def _read(paths: list[Path], period: str | int | None, max_gap: int) -> Any:
    """Return one Folder of a folder of readings, or of files."""
    from offbeat.readings.folder import Folder, alike, read_folder, read_readings

    for path in paths:
        if not path.exists():
            raise ReadingsError(f"{path} does not exist")
    if len(paths) == 1 and paths[0].is_dir():
        return read_folder(paths[0], period=period, max_gap=max_gap)
    twice = {path.stem for path in paths if [other.stem for other in paths].count(path.stem) > 1}
    if twice:
        raise ReadingsError(f"asset '{min(twice)}' is given twice: a file's name is its machine's, so name each once")
    for path in paths:
        if path.is_dir():
            raise ReadingsError(f"{path}: give one folder, or files; not a folder among others")
    return Folder(tuple(alike([read_readings(path, period=period, max_gap=max_gap) for path in paths])))
