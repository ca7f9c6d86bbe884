"""Commands that use a detector: scores and events, thresholds for new machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offbeat.cli.bars import shown
from offbeat.cli.inputs import (
    Change,
    EngineName,
    ParamsFile,
    Where,
    Workers,
    files_of,
    params_of,
    told_failures,
    workers_of,
)
from offbeat.errors import ParamsError

if TYPE_CHECKING:
    from offbeat.detection.detector import Detector
    from offbeat.detection.result import ScoreResult
    from offbeat.progress import Report
    from offbeat.readings.assets import AssetFiles


Readings = Annotated[list[Path], typer.Argument(help="A folder of readings, or files, one a machine.")]
ModelFolder = Annotated[Path, typer.Option(help="A detector from `offbeat train` or artifacts/detector.")]


def score(
    readings: Readings,
    model: ModelFolder,
    out: Annotated[Path | None, typer.Option(help="Write scores here, .csv or .parquet, or into a folder.")] = None,
    engine: Where = EngineName.local,
    workers: Workers = None,
) -> None:
    """Score readings and print the events.

    When, how long, how strong and which channels; --out writes a score for every timestep. A large Parquet file whose
    time column is of a type for times is read, scored and written piece by piece, so that memory does not limit it.
    Into a folder many machines are scored at once: a file of scores for some machines each, assets.csv with a line on
    every machine and events.csv. One that cannot be scored is named there and stops no other; the exit status is 1
    then. What an earlier call left there, of the same readings and model, is not done again.
    """
    from offbeat.reporting import check_out, events_table, is_folder, written

    if out is not None and is_folder(out):
        _score_into(out, readings, model, engine, workers)
        return
    if engine is not EngineName.local or workers is not None:
        raise ParamsError("--engine and --workers score many machines at once into a folder: give a folder to --out")
    from offbeat.detection.fleet import Fleet

    if out is not None:
        check_out(out, readings)
    files, fleet = files_of(readings), Fleet.load(model)
    detectors = [fleet.detector_of(one.asset) for one in files]
    if out is not None and len({detector.channels for detector in detectors}) > 1:
        raise ParamsError("machines of several groups have different channels: give a folder to --out")
    n_scores = 0

    def scored(report: Report) -> Iterator[ScoreResult]:
        nonlocal n_scores
        for result in _results(detectors, files, report):
            n_scores += len(result.scores)
            yield result

    with shown() as report:
        events = events_table(scored(report) if out is None else written(out, scored(report)))
    typer.echo(events)
    if out is not None:
        typer.echo(f"Wrote {n_scores} scores to {out}")


def _results(detectors: list[Detector], files: list[AssetFiles], report: Report) -> Iterator[ScoreResult]:
    """Yield the results of successive timesteps of each machine."""
    from offbeat.detection.reading import read_pieces
    from offbeat.progress import Step

    for detector, one in zip(detectors, files, strict=True):
        report(Step(f"reading {one.name}"))
        pieces, n_timesteps = read_pieces(detector, one)
        yield from detector.score_pieces(one.asset, pieces, n_timesteps=n_timesteps, report=report)


def _score_into(out: Path, readings: list[Path], model: Path, engine: EngineName, workers: int | None) -> None:
    from offbeat.fleet.engine import engine_of
    from offbeat.fleet.scoring import ASSETS, score_into
    from offbeat.reporting import check_folder

    check_folder(out, readings)
    files = files_of(readings)
    with shown() as report, engine_of(engine, workers=workers_of(workers, engine, len(files))) as running:
        counts = score_into(out, model, files, running, report=report)
    typer.echo(counts.words())
    typer.echo(f"Wrote {out}: scores/, assets.csv with a line on every machine, events.csv")
    told_failures(counts.reasons, counts.n_failed, "scored", f"; {out / ASSETS} names them")


def calibrate(
    readings: Annotated[list[Path], typer.Argument(help="Normal readings: a folder, or files, one a machine.")],
    model: ModelFolder,
    out: Annotated[Path, typer.Option(help="Where the calibrated detector goes; may be the same folder.")],
    change: Change = None,
    group: Annotated[str, typer.Option(help="Group of the new machines, where no groups.yaml says it.")] = "",
    engine: Where = EngineName.local,
    workers: Workers = None,
) -> None:
    """Give a detector thresholds from normal readings.

    For a machine that it never saw, or for another budget, such as -S calibrate.false_alarms_per_week=0.5; without
    training. What labels.csv, exclude.csv and alarms.csv of the folder name is left out; the methods labelled and
    gaussian_epsilon look at the events in labels.csv. A machine that cannot be calibrated is named, keeps what it had
    and stops no other; the exit status is 1 then.
    """
    from dataclasses import replace

    from offbeat.fleet.calibrating import calibrate_assets
    from offbeat.fleet.engine import engine_of
    from offbeat.params import parse_changes
    from offbeat.reporting import threshold_lines

    changes = parse_changes(change or [])
    if set(changes) - {"calibrate"}:
        raise ParamsError(f"only parameters of calibrate can change without training, got {', '.join(changes)}")
    files = [replace(one, group=one.group or group) for one in files_of(readings)]
    root = readings[0] if readings[0].is_dir() else None
    with shown() as report, engine_of(engine, workers=workers_of(workers, engine, len(files))) as running:
        done = calibrate_assets(
            model, files, out, running, root=root, changes=changes.get("calibrate", {}), report=report
        )
    if done.notes:
        typer.echo("\n".join(done.notes))
    for name, detector in done.fleet.groups.items():
        if own := [asset for asset, place in done.assets.items() if place == name]:
            typer.echo("\n".join(threshold_lines(detector, own)))
    told_failures(done.failures, len(done.failures), "calibrated", most=len(done.failures))


def drift(
    readings: Readings,
    model: ModelFolder,
    out: Annotated[Path | None, typer.Option(help="Write drift.json, pages and the history into this folder.")] = None,
    params: ParamsFile = None,
    change: Change = None,
    engine: Where = EngineName.local,
    workers: Workers = None,
) -> None:
    """Say whether later readings are still like those that a model was made from.

    Tells apart a broken sensor, another regime (which asks for retraining), other recording, and an anomaly of now.
    Only readings after those that the model knows count, the last drift.days of them; known events and exclusions of
    the folder do not. Of a file alone they count: give the folder, so that its labels.csv and exclude.csv are read.
    """
    import tempfile

    from offbeat.detection.fleet import Fleet
    from offbeat.drift.check import report
    from offbeat.fleet.drifting import check_fleet
    from offbeat.fleet.engine import engine_of
    from offbeat.fleet.work import Work
    from offbeat.reporting import check_folder

    section = params_of(params, change or []).drift
    if out is not None:
        check_folder(out, readings)
    files, root = files_of(readings), readings[0] if readings[0].is_dir() else None
    with (
        shown() as progress,
        engine_of(engine, workers=workers_of(workers, engine, len(files))) as running,
        tempfile.TemporaryDirectory() as scratch,
    ):
        work = Work(out or Path(scratch) / "drift", running, progress)
        with work.alone():
            verdicts = check_fleet(model, files, section, work, root=root)
            work.clear()
    for name, found in verdicts.items():
        typer.echo(f"{name}\n{'=' * len(name)}\n{report(found)}\n" if name else report(found))
    if out is not None:
        from offbeat.drift.page import write_pages

        fleet = Fleet.load(model)
        for name, found in verdicts.items():
            with shown() as progress:
                pages = write_pages(found, out / name, fleet.groups[name].lineage, progress)
            typer.echo(f"\nWrote {out / name / 'drift.json'}{f' and {pages[0]}' if pages else ''}")
