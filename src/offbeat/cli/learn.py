"""Commands that learn: the stages of dvc.yaml, their summary, and training without a pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offbeat.cli.inputs import Change, ParamsFile, Root, native_chatter_muted, params_of, read

if TYPE_CHECKING:
    from offbeat.models.learning import Epoch


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

    section = getattr(load_params(root / "params.yaml"), stage.value)
    with native_chatter_muted():
        module = import_module(f"offbeat.stages.{stage.value}")
    more: dict[str, Any] = {"report": progress(section.epochs)} if stage is Stage.train else {}
    for line in module.run(section, root=root, **more):
        typer.echo(line)


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
) -> None:
    """Learn from readings and save a detector.

    Trains on the first part of each machine's readings, calibrates on the next, and tells how good the detector is
    on the last.
    """
    from offbeat.detection.storage import REPORT, check_directory
    from offbeat.evaluation.replay import replay_fleet
    from offbeat.evaluation.report import Evaluated, write_report
    from offbeat.summary import all_doubts, fit_summary
    from offbeat.training import fit_fleet, load_trainer

    loaded = params_of(params, change or [])
    folder = read(readings, loaded.prepare.period, loaded.prepare.max_gap)
    with native_chatter_muted():
        load_trainer()
    check_directory(out)
    fitted = fit_fleet(folder, loaded, report=progress(loaded.train.epochs))
    fitted.detector.save(out)
    replays = replay_fleet(fitted.detector, fitted.untrained, fitted.fleet, loaded.evaluate)
    explained = fitted.trained.overall_explained_variance
    evaluated = Evaluated(
        detector=fitted.detector,
        train=loaded.train,
        fleet=fitted.fleet,
        replays=replays,
        epochs=[(epoch.epoch, epoch.loss, epoch.held_out_loss) for epoch in fitted.trained.epochs],
        explained_variance=explained,
        doubts=all_doubts(fitted.detector, replays, explained),
    )
    write_report(out / REPORT, evaluated)
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


def progress(n_epochs: int) -> Callable[[Epoch], None]:
    """Return a report that prints a line for each epoch, with the time left at most."""
    begin = time.monotonic()

    def report(epoch: Epoch) -> None:
        left = (time.monotonic() - begin) / epoch.epoch * (n_epochs - epoch.epoch)
        line = (
            f"epoch {epoch.epoch}/{n_epochs}  loss {epoch.loss:.4f}  held-out {epoch.held_out_loss:.4f}  "
            f"at most {left:.0f} s left"
        )
        typer.echo(line, err=True)

    return report
