"""Systems of the field's tutorials as working examples, one folder each: `python -m examples.sine.example`.

Each has a `main` that takes the arguments of the command line, prints and draws what came out, and returns the figures.
What all of them share: those arguments, and their params.yaml, which holds changes to the one at the root.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from offbeat.cli.failures import failures_in_words, without_debug
from offbeat.tables import text_table

Changes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """What the command line of an example asks for.

    Attributes
    ----------
    small : bool
        Whether to run on fewer readings with a shorter training, for a test.
    source : Path or None
        Folder that holds the public data; None downloads it.
    out : Path
        Where the picture goes.
    raw : Path or None
        Folder of raw vibration snapshots, for an example that can do with or without.
    """

    small: bool
    source: Path | None
    out: Path
    raw: Path | None = None


def start(main: Callable[[Sequence[str]], object]) -> None:
    """Run an example's `main` on the command line's arguments; what goes wrong is told as `offbeat` does."""
    arguments, debug = without_debug(sys.argv[1:])
    with failures_in_words(f"python -m examples.{Path(sys.argv[0]).parent.name}.example", debug=debug):
        main(arguments)


def read_options(
    example: str, description: str, arguments: Sequence[str] | None, *, public: bool = False, raw: bool = False
) -> Options:
    """Read the command line of an example.

    Parameters
    ----------
    example : str
        Path of the example's file; the picture goes beside it.
    description : str
    arguments : sequence of str or None
        None takes those of this process.
    public : bool
        Whether it takes public data, and so the option --from.
    raw : bool
        Whether it takes raw snapshots, and so the option --raw.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--small", action="store_true", help="fewer readings and a shorter training, for a test")
    picture = Path(example).with_name("picture.png")
    parser.add_argument("--out", type=Path, default=picture, help="where the picture goes")
    if public:
        parser.add_argument("--from", dest="source", type=Path, help="a local copy of the public data; else downloaded")
    if raw:
        parser.add_argument("--raw", type=Path, help="a folder of raw vibration snapshots; without it no spectra")
    given = parser.parse_args(arguments)
    return Options(given.small, given.source if public else None, given.out, given.raw if raw else None)


def read_changes(example: str, *others: Mapping[str, Mapping[str, Any]]) -> Changes:
    """Return what the params.yaml beside an example changes, and then `others`, the last of which wins."""
    changes: Changes = yaml.safe_load(Path(example).with_name("params.yaml").read_text(encoding="utf-8"))
    for other in others:
        for section, values in other.items():
            changes[section] = {**changes.get(section, {}), **values}
    return changes


def aligned(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows under a header as aligned text, all columns but the first to the right; NaN becomes a dash."""
    return text_table([list(header), *([_cell(value) for value in row] for row in rows)])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
