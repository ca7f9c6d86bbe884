"""The command that compares settings where nothing is labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from offbeat.cli.bars import shown
from offbeat.cli.inputs import read

Other = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        help="One more candidate: changes, such as 'train.latent_size=4 train.epochs=20', or a params file (.yaml).",
    ),
]


def compare(
    readings: Annotated[list[Path], typer.Argument(help="A folder of readings, or files, one a machine.")],
    other: Other = None,
    params: Annotated[
        Path | None, typer.Option("--params", help="The first candidate; the packaged params.yaml by default.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", "-S", help="A parameter for all candidates; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the injected events.")] = 7,
    out: Annotated[Path | None, typer.Option(help="Write the page here as Markdown.")] = None,
) -> None:
    """Compare settings where nothing is labelled, by what each finds of injected events.

    Trains each candidate on the same readings, puts the same events of known kinds into held-out normal readings, and
    ranks by those found within the false-alarm budget, PCA and an untrained network beside them.
    """
    from textwrap import fill

    from offbeat.choice import check_settings, compare_settings, settings_of
    from offbeat.files import new_file
    from offbeat.progress import Step
    from offbeat.reporting import check_out
    from offbeat.tables import markdown_table, text_table
    from offbeat.training import load_trainer, native_chatter_muted

    settings = settings_of(params, other or [], change or [])
    check_settings(settings)
    if out is not None:
        check_out(out, readings, suffixes=(".md",))
    prepare = next(iter(settings.values())).prepare
    with shown() as report:
        folder = read(readings, prepare.period, prepare.max_gap, report)
        with native_chatter_muted():
            report(Step("loading TensorFlow"))
            load_trainer()
        comparison = compare_settings(folder, settings, seed, report=report)
    blocks = comparison.blocks()
    typer.echo("\n\n".join(fill(b, 118) if isinstance(b, str) else text_table(b, right_from=2) for b in blocks))
    if out is not None:
        parts = ["# Candidates compared by injected events"]
        parts += [block if isinstance(block, str) else markdown_table(block) for block in blocks]
        with new_file(out) as scratch:
            scratch.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        typer.echo(f"Wrote {out}")
