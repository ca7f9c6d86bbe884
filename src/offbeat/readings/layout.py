"""Write readings in the layout of the data folder; `folder.py` reads it back.

A failure or a kill leaves either the whole folder or none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from offbeat.errors import ReadingsError
from offbeat.files import new_directory
from offbeat.readings.assets import NO_MONTH, partition
from offbeat.readings.spans import SPAN_FILES
from offbeat.readings.timestamps import INDEX_NAMES

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_LARGEST_WHOLE = 2.0**53  # above it a double skips whole numbers
_TIME_UNITS: tuple[Literal["s", "ms", "us", "ns"], ...] = ("s", "ms", "us", "ns")


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
    write_frame(folder / "readings" / f"{asset}.csv", frame)


def write_partitions(folder: Path, group: str, asset: str, frame: pd.DataFrame) -> None:
    """Write one asset's readings to a file for each month, `folder/readings/group=<group>/asset=<asset>/month=<month>`.

    Parameters
    ----------
    folder : Path
        What `new_folder` yielded.
    group, asset : str
    frame : DataFrame
        Numeric channels, of types that stay, over a DatetimeIndex (naive is UTC) or an integer index, in order.

    Raises
    ------
    ReadingsError
        If the asset's name is too long for a folder's.
    """
    label, index = _label(frame), frame.index
    months = np.full(len(index), NO_MONTH)
    if isinstance(index, pd.DatetimeIndex):
        index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
        months = np.datetime_as_string(np.asarray(index.tz_localize(None)), unit="M")
    table = pa.Table.from_pandas(frame.set_axis(index).rename_axis(label).reset_index(), preserve_index=False)
    starts = np.flatnonzero(np.concatenate(([True], months[1:] != months[:-1])))
    for start, stop in pairwise([*starts.tolist(), len(months)]):
        path = folder / "readings" / partition(group, asset, str(months[start]))
        path.parent.mkdir(parents=True)
        parquet.write_table(table.slice(start, stop - start), path)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write readings to a CSV file, or a Parquet file if its name ends so; `folder.read_frame` reads the same again.

    Parameters
    ----------
    path : Path
    frame : DataFrame
        As for `write_readings`. Numbers are written in as many digits, and times in as fine a unit, as they have; in a
        CSV file nothing else decides how, so that the same readings are the same bytes, however they came together.
    """
    label = _label(frame)
    if path.suffix.lower() == ".parquet":
        frame.rename_axis(label).reset_index().to_parquet(path, index=False)
    else:
        index = _time_texts(frame.index) if isinstance(frame.index, pd.DatetimeIndex) else frame.index
        frame.apply(_whole).set_axis(index).to_csv(path, index_label=label, lineterminator="\n")


def _label(frame: pd.DataFrame) -> str:
    """Name of the column that an index becomes, which no channel has."""
    if isinstance(frame.index, pd.DatetimeIndex):
        return "timestamp"
    return next((name for name in INDEX_NAMES if name not in frame.columns), "index")


def _whole(column: pd.Series) -> pd.Series:
    """A channel of whole numbers as such, also where some are missing."""
    if not pd.api.types.is_float_dtype(column.dtype):
        return column
    present = column.dropna()
    is_whole = (present % 1 == 0) & (present.abs() < _LARGEST_WHOLE) & ~((present == 0) & np.signbit(present))
    return column.astype("Int64") if is_whole.all() else column


def _time_texts(index: pd.DatetimeIndex) -> pd.Index:
    """ISO 8601 in UTC, all to the second or the coarsest finer unit that loses nothing."""
    stamps = np.asarray(index if index.tz is None else index.tz_convert(None), dtype="M8[ns]")
    unit = next(unit for unit in _TIME_UNITS if (stamps == stamps.astype(f"M8[{unit}]")).all())
    texts: pd.Index = pd.Index(np.strings.add(np.datetime_as_string(stamps, unit=unit), "Z").tolist())
    return texts


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
