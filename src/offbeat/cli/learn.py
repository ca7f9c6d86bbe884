"""Commands that learn: the stages of dvc.yaml, their summary, and training without a pipeline."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offbeat.cli.bars import shown
from offbeat.cli.inputs import (
    Change,
    EngineName,
    ParamsFile,
    Root,
    Where,
    Workers,
    files_of,
    params_of,
    read,
    told_failures,
    workers_of,
)
from offbeat.errors import ParamsError, ReadingsError

if TYPE_CHECKING:
    from offbeat.params import Params
    from offbeat.readings.assets import AssetFiles


class Stage(StrEnum):
    """The stages of dvc.yaml."""

    prepare = "prepare"
    train = "train"
    calibrate = "calibrate"
    evaluate = "evaluate"


def run(stage: Stage, root: Root = Path()) -> None:
    """Run one stage of dvc.yaml.

    `dvc repro` runs those that are out of date.
    """
    from importlib import import_module

    from offbeat.params import load_params
    from offbeat.progress import Step
    from offbeat.training import native_chatter_muted

    section = getattr(load_params(root / "params.yaml"), stage.value)
    with shown() as report:
        with native_chatter_muted():
            report(Step(f"loading what {stage.value} needs"))
            module = import_module(f"offbeat.stages.{stage.value}")
        lines = module.run(section, root=root, report=report)
    typer.echo("\n".join(lines))


def summary(root: Root = Path()) -> None:
    """Show how good the detector in artifacts/ is.

    A table beside simple methods, what to doubt, and the next steps.
    """
    from offbeat.stages.artifacts import METRICS, read_json
    from offbeat.summary import summary as summarize

    typer.echo(summarize(read_json(root / METRICS)))


def train(
    readings: Annotated[list[Path], typer.Argument(help="A folder of readings, or files, one a machine.")],
    out: Annotated[Path, typer.Option(help="Where the detector goes.")],
    params: ParamsFile = None,
    change: Change = None,
    engine: Where = EngineName.local,
    workers: Workers = None,
) -> None:
    """Learn from readings and save a detector.

    Trains on the first part of each machine's readings, calibrates on the next, and tells how good the detector is
    on the last. A fleet, that is a folder in groups or of more than 100 machines, or with --engine or --workers any
    folder, is worked on some machines at a time, with a model for each group: assets.csv and evaluation.json tell how
    good each is, in place of a page with pictures. A machine that cannot be learnt from is named and stops no other;
    the exit status is 1 then. After a kill, the same call goes on.
    """
    from offbeat.fleet.shards import SHARD_SIZE

    files = files_of(readings)
    if readings[0].is_dir() and (
        engine is not EngineName.local or workers is not None or files[0].group or len(files) > SHARD_SIZE
    ):
        _train_fleet(readings[0], files, out, params_of(params, change or []), engine, workers)
    elif engine is not EngineName.local or workers is not None:
        raise ParamsError("--engine and --workers are for a folder of readings: give one, or neither")
    else:
        _train(readings, out, params_of(params, change or []))


def estimate(
    readings: Annotated[Path, typer.Argument(help="A folder of readings.")],
    params: ParamsFile = None,
    change: Change = None,
    workers: Workers = None,
) -> None:
    """Say what training on readings and scoring them will take.

    Seconds, memory and disk of `offbeat train` and `offbeat score` with as many --workers, from a probe of about a
    minute: a few machines are learnt from, with few steps of training, and scored. Nothing is left behind. Machines
    that cannot be read are named, as far as the probe sees them.
    """
    from offbeat.detection.runtime import n_processors
    from offbeat.fleet.estimate import estimate_fleet
    from offbeat.fleet.summary import estimate_summary

    files = files_of([readings])
    if not readings.is_dir():
        raise ReadingsError(f"{readings} is a file: give a folder of readings")
    with shown() as report:
        found = estimate_fleet(
            readings, files, params_of(params, change or []), workers or n_processors(), report=report
        )
    typer.echo("\n".join(estimate_summary(found)))
    told_failures(found.failures, len(found.failures), "learnt from", most=len(found.failures))


def _train_fleet(
    root: Path, files: list[AssetFiles], out: Path, params: Params, engine: EngineName, workers: int | None
) -> None:
    from offbeat.fleet.engine import engine_of
    from offbeat.fleet.learning import learn_fleet
    from offbeat.fleet.summary import fleet_summary
    from offbeat.training import check_trainer

    check_trainer()
    with shown() as report, engine_of(engine, workers=workers_of(workers, engine, len(files))) as running:
        learnt = learn_fleet(root, files, params, out, running, report=report)
    typer.echo("\n".join(fleet_summary(learnt)))
    typer.echo(f"Saved the model to {out}; use it: offbeat score READINGS --model {out} --out SCORES")
    told_failures(learnt.failures, len(learnt.failures), "learnt from", f"; {out / 'assets.csv'} names them")


def _train(readings: list[Path], out: Path, loaded: Params) -> None:
    from offbeat.detection.storage import REPORT, check_directory
    from offbeat.evaluation.replay import replay_fleet, score_fleet
    from offbeat.evaluation.report import Evaluated, write_report
    from offbeat.progress import Step
    from offbeat.summary import all_doubts, fit_summary
    from offbeat.training import fit_fleet, load_trainer, native_chatter_muted

    check_directory(out)
    with shown() as report:
        folder = read(readings, loaded.prepare.period, loaded.prepare.max_gap, report)
        with native_chatter_muted():
            report(Step("loading TensorFlow"))
            load_trainer()
        fitted = fit_fleet(folder, loaded, report=report)
        fitted.detector.save(out)
        results = score_fleet(fitted.detector, fitted.fleet, report)
        replays = replay_fleet(fitted.detector, fitted.untrained, fitted.fleet, results, loaded.evaluate, report)
        explained = fitted.trained.overall_explained_variance
        evaluated = Evaluated(
            detector=fitted.detector,
            train=loaded.train,
            fleet=fitted.fleet,
            results=results,
            replays=replays,
            epochs=[(epoch.epoch, epoch.loss, epoch.held_out_loss) for epoch in fitted.trained.epochs],
            explained_variance=explained,
            doubts=all_doubts(fitted.detector, replays, explained),
        )
        write_report(out / REPORT, evaluated, report)
    typer.echo(
        "\n".join(
            [
                *fitted.notes,
                *fit_summary(fitted.detector, explained, replays),
            ]
        )
    )
    typer.echo(f"Saved the detector to {out}; use it: offbeat score READINGS --model {out}")
    typer.echo(f"How good it is, with pictures: open {out / REPORT} in a browser")
