"""Write readings in the layout of the data folder; `folder.py` reads it back.

A failure or a kill leaves either the whole folder or none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.files import new_directory
from offbeat.readings.spans import SPAN_FILES

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@contextmanager
def new_folder(directory: Path) -> Iterator[Path]:
    """Yield a hidden sibling of `directory` that becomes `directory` when the block ends well.

    Parameters
    ----------
    directory : Path
        Where the layout will stand; missing, or an empty folder.

    Yields
    ------
    Path
        The folder to write into, holding an empty `readings/`.

    Raises
    ------
    ReadingsError
        If `directory` is a file or holds anything already.
    """
    directory = Path(directory).absolute()
    if directory.exists() and not directory.is_dir():
        raise ReadingsError(f"{directory} is a file, and readings are written into a folder: name another folder")
    if directory.is_dir() and (there := sorted(path.name for path in directory.iterdir())):
        raise ReadingsError(
            f"{directory} must be empty or missing, and holds {len(there)} entries ({there[0]}, ...): "
            "name another folder, or remove this one first"
        )
    with new_directory(directory) as partial:
        (partial / "readings").mkdir()
        yield partial


def write_readings(folder: Path, asset: str, frame: pd.DataFrame) -> None:
    """Write one asset's readings to `folder/readings/<asset>.csv`; NaN becomes an empty cell.

    Parameters
    ----------
    folder : Path
        What `new_folder` yielded.
    asset : str
        Name of the machine.
    frame : DataFrame
        Numeric channels over a DatetimeIndex (taken as UTC) or an integer index.
    """
    timed = isinstance(frame.index, pd.DatetimeIndex)
    frame.to_csv(
        folder / "readings" / f"{asset}.csv",
        index_label="timestamp" if timed else "index",
        date_format=TIME_FORMAT,
        lineterminator="\n",
    )


def write_spans(folder: Path, name: str, rows: Sequence[Sequence[object]]) -> None:
    """Write labels, exclusions or splits: `folder/<name>.csv`, sorted as given; nothing when a splits file is empty.

    Parameters
    ----------
    folder : Path
        What `new_folder` yielded.
    name : {"labels", "exclude", "splits"}
        Which of the three; `SPAN_FILES` names its columns.
    rows : sequence of sequences
        Asset, then start and end (both inclusive) and a word, or the first reading of the test span. Timestamps are
        written in ISO 8601 UTC.
    """
    if name == "splits" and not rows:
        return
    cells = [[_cell(value) for value in row] for row in rows]
    pd.DataFrame(cells, columns=list(SPAN_FILES[name])).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")


def _cell(value: object) -> object:
    return value.strftime(TIME_FORMAT) if isinstance(value, pd.Timestamp) else value
