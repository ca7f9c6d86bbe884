"""Commands that use a detector: scores and events, thresholds for new machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offbeat.cli.bars import shown
from offbeat.cli.inputs import Change, ParamsFile, files_of, params_of, read
from offbeat.errors import ParamsError

if TYPE_CHECKING:
    from offbeat.detection.detector import Detector
    from offbeat.detection.result import ScoreResult
    from offbeat.progress import Report
    from offbeat.readings.assets import AssetFiles


def score(
    readings: Annotated[list[Path], typer.Argument(help="A folder of readings, or files, one a machine.")],
    model: Annotated[Path, typer.Option(help="A detector from `offbeat train` or artifacts/detector.")],
    out: Annotated[Path | None, typer.Option(help="Write scores here, .csv or .parquet.")] = None,
) -> None:
    """Score readings and print the events.

    When, how long, how strong and which channels; --out writes a score for every timestep. A large Parquet file whose
    time column is of a type for times is read, scored and written piece by piece, so that memory does not limit it.
    """
    from offbeat.detection.detector import Detector
    from offbeat.reporting import check_out, events_table, written

    if out is not None:
        check_out(out, readings)
    files = files_of(readings)
    detector = Detector.load(model)
    n_scores = 0

    def scored(report: Report) -> Iterator[ScoreResult]:
        nonlocal n_scores
        for result in _results(detector, files, report):
            n_scores += len(result.scores)
            yield result

    with shown() as report:
        events = events_table(scored(report) if out is None else written(out, scored(report)))
    typer.echo(events)
    if out is not None:
        typer.echo(f"Wrote {n_scores} scores to {out}")


def _results(detector: Detector, files: list[AssetFiles], report: Report) -> Iterator[ScoreResult]:
    """Yield the results of successive timesteps of each machine."""
    from offbeat.detection.reading import read_pieces
    from offbeat.progress import Step

    for one in files:
        detector.check_asset(one.asset)  # of all of them, before the work
    for one in files:
        report(Step(f"reading {one.name}"))
        pieces, n_timesteps = read_pieces(detector, one)
        yield from detector.score_pieces(one.asset, pieces, n_timesteps=n_timesteps, report=report)


def calibrate(
    readings: Annotated[list[Path], typer.Argument(help="Normal readings: a folder, or files, one a machine.")],
    model: Annotated[Path, typer.Option(help="A detector from `offbeat train` or artifacts/detector.")],
    out: Annotated[Path, typer.Option(help="Where the calibrated detector goes; may be the same folder.")],
    change: Change = None,
) -> None:
    """Give a detector thresholds from normal readings.

    For a machine that it never saw, or for another budget, such as -S calibrate.false_alarms_per_week=0.5; without
    training. What labels.csv, exclude.csv and alarms.csv of the folder name is left out; the methods labelled and
    gaussian_epsilon look at the events in labels.csv.
    """
    from offbeat.detection.detector import Detector
    from offbeat.detection.reading import read_for
    from offbeat.detection.storage import check_directory
    from offbeat.params import parse_changes
    from offbeat.progress import counted
    from offbeat.reporting import threshold_lines

    check_directory(out)
    changes = parse_changes(change or [])
    if set(changes) - {"calibrate"}:
        raise ParamsError(f"only parameters of calibrate can change without training, got {', '.join(changes)}")
    detector = Detector.load(model)
    with shown() as report:
        folder = read_for(
            detector, lambda period: read(readings, period, detector.max_gap, report), lambda found: found.series
        )
        for series in counted(folder.series, report, "calibrating", "machines"):
            labelled, excluded, doubtful = folder.masks(series)
            known = ~(excluded | doubtful)
            detector.calibrate(series, normal=known, labelled=labelled & known, **changes.get("calibrate", {}))
    detector.save(out)
    typer.echo("\n".join([*folder.notes, *threshold_lines(detector, [series.asset for series in folder.series])]))


def drift(
    readings: Annotated[list[Path], typer.Argument(help="A folder of readings, or files, one a machine.")],
    model: Annotated[Path, typer.Option(help="A detector from `offbeat train` or artifacts/detector.")],
    out: Annotated[Path | None, typer.Option(help="Write drift.json, pages and the history into this folder.")] = None,
    params: ParamsFile = None,
    change: Change = None,
) -> None:
    """Say whether later readings are still like those that a model was made from.

    Tells apart a broken sensor, another regime (which asks for retraining), other recording, and an anomaly of now.
    Only readings after those that the model knows count, the last drift.days of them; known events and exclusions of
    the folder do not. Of a file alone they count: give the folder, so that its labels.csv and exclude.csv are read.
    """
    from offbeat.detection.detector import Detector
    from offbeat.drift.arrival import read_arrived
    from offbeat.drift.check import check, report
    from offbeat.reporting import check_folder

    section = params_of(params, change or []).drift
    if out is not None:
        check_folder(out, readings)
    detector = Detector.load(model)
    with shown() as progress:
        found = check(detector, read_arrived(detector, readings, progress), section, progress)
    typer.echo(report(found))
    if out is not None:
        from offbeat.drift.page import write_pages

        with shown() as progress:
            pages = write_pages(found, out, detector.lineage, progress)
        typer.echo(f"\nWrote {out / 'drift.json'}{f' and {pages[0]}' if pages else ''}")
