"""Tables from files: CSV and Parquet to a frame, with the line that each row stands on.

A file is refused as a whole when it is no table; what its cells mean is for `timestamps.py`, `spans.py` and
`folder.py` to say.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from offbeat.errors import ReadingsError
from offbeat.readings.messages import Source, count, file_name

_MARKS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\x03\x04": "a zip file or a workbook",
    b"\x1f\x8b": "a gzip file",
}


def read_csv(path: Path, *, text: bool = False, text_columns: Collection[str] = ()) -> tuple[pd.DataFrame, Source]:
    """Read a CSV file: one line of column names, separated by comma, semicolon or tab; UTF-8.

    Parameters
    ----------
    path : Path
    text : bool
        Whether to leave every cell as text, of which only the empty one is missing; else cells are what they parse as.
    text_columns : collection of str
        Columns whose cells are left as text in any case.

    Returns
    -------
    frame : DataFrame
        A row of NaN for each blank line. Numbers are the doubles nearest to the decimals in the file, which takes
        twice as long as pandas' own way, up to one unit in the last place off.
    source : Source

    Raises
    ------
    ReadingsError
        If the file cannot be opened, is not UTF-8 text, has no line of distinct names or rows longer than it.
    """
    _check_text(path)
    header_line, names, separator = _read_header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=separator,
                header=None,
                names=list(range(len(names))),
                index_col=False,
                skiprows=header_line,
                skip_blank_lines=False,  # so that a row's number gives its line
                skipinitialspace=True,
                low_memory=False,
                float_precision="round_trip",
                encoding="utf-8-sig",
                dtype=str if text else {k: str for k, name in enumerate(names) if name in text_columns},
                keep_default_na=not text,
                na_values=[""] if text else None,
            )
    except pd.errors.ParserWarning as error:
        raise _too_long(path, header_line + 1, len(names)) from error
    except pd.errors.ParserError as error:
        raise _no_table(path, str(error), len(names)) from error
    lines = np.arange(len(frame), dtype=np.int64) + header_line + 1
    kept = [k for k, name in enumerate(names) if name or k == 0 or not frame[k].isna().all()]
    frame, names = frame[kept], [names[k] for k in kept]
    check_names(names, path.name)
    frame.columns = pd.Index(names, dtype=object)
    return frame, Source(path.name, lines)


def read_parquet(files: Sequence[Path], name: str) -> tuple[pd.DataFrame, Source]:
    """Read Parquet files end to end as one table; an index that says something becomes the first column.

    Parameters
    ----------
    files : sequence of Path
    name : str
        What messages call all of them.

    Raises
    ------
    ReadingsError
        If a file cannot be opened, is no Parquet file, has no distinct column names, or other columns than the first.
    """
    tables, starts, n_rows = [], [], 0
    for path in files:
        with _parquet_file(path) as file:
            tables.append(file.read())
        starts.append((n_rows, file_name(path)))
        n_rows += len(tables[-1])
        _check_same_columns(tables[-1].schema, tables[0].schema, path, files[0])
    table = tables[0] if len(tables) == 1 else pa.concat_tables(tables)
    with _told_as_readings(name):
        frame = table.to_pandas()
    return _with_index_first(frame, name), Source(name, files=tuple(starts) if len(files) > 1 else ())


def parquet_pieces(path: Path, n_readings: int) -> Iterator[pd.DataFrame]:
    """Yield the frame that `read_parquet` returns for a file in pieces of about `n_readings` cells.

    Raises
    ------
    ReadingsError
        As `read_parquet`; what is wrong further on shows at its place.
    """
    # a buffer, and none read ahead: else a row group, which may be all of the file, is read at once
    with _parquet_file(path, pre_buffer=False, buffer_size=1 << 20) as file:
        n_rows = max(n_readings // max(len(file.schema_arrow), 1), 1)
        for batch in file.iter_batches(batch_size=n_rows, use_threads=False):
            yield _with_index_first(batch.to_pandas(), file_name(path))


def parquet_size(files: Sequence[Path]) -> tuple[int, int]:
    """Return rows, together, and columns of Parquet files; errors as for `read_parquet`."""
    n_rows, first = 0, None
    for path in files:
        with _parquet_file(path) as file:
            n_rows += file.metadata.num_rows
            first = first or file.schema_arrow
            _check_same_columns(file.schema_arrow, first, path, files[0])
    return n_rows, len(first or ())


def counts_rows_from_elsewhere(path: Path) -> bool:
    """Whether pandas wrote a Parquet file with numbers of rows that do not count from 0, one by one."""
    described = parquet.read_schema(path).pandas_metadata or {}
    ranges = [index for index in described.get("index_columns", []) if isinstance(index, dict)]
    return any((index.get("start"), index.get("step")) != (0, 1) for index in ranges)


@contextmanager
def _parquet_file(path: Path, **options: Any) -> Iterator[parquet.ParquetFile]:
    _check_open(path)
    with _told_as_readings(file_name(path)), parquet.ParquetFile(path, **options) as file:
        yield file


@contextmanager
def _told_as_readings(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).split("\n")[0]
        raise ReadingsError(f"{name} cannot be read as Parquet: {reason}: write it again") from error


def _check_same_columns(schema: pa.Schema, first: pa.Schema, path: Path, first_path: Path) -> None:
    """Refuse a file whose columns are not those of the first, of the same types and in the same order."""
    if schema.equals(first):
        return
    wrong = [f"lacks column {name!r}" for name in first.names if name not in schema.names]
    wrong += [f"has in addition column {name!r}" for name in schema.names if name not in first.names]
    if not wrong and schema.names != first.names:
        wrong = ["has its columns in another order"]
    if not wrong:
        one, other = next((one, other) for one, other in zip(schema, first, strict=True) if not one.equals(other))
        wrong = [f"column {one.name!r} holds {one.type}, not {other.type}"]
    raise ReadingsError(
        f"{file_name(path)}: {wrong[0]}, unlike {file_name(first_path)}: write the months of an asset alike"
    )


def _with_index_first(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    if frame.shape[1] == 0:
        raise ReadingsError(f"{name} has no column: give a timestamp column and at least one channel")
    frame.columns = pd.Index([str(name).strip() for name in frame.columns])
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        frame.insert(0, frame.index.name or "index", frame.index, allow_duplicates=True)
    check_names(list(frame.columns), name)
    return frame.reset_index(drop=True)


def check_names(names: list[str], file: str) -> None:
    """Refuse column names that are missing or stand there twice; the first may be empty."""
    for k, name in enumerate(names):
        if not name and k > 0:
            raise ReadingsError(f"{file}: column {k + 1} has no name: name it or drop it")
        if name in names[:k]:
            raise ReadingsError(f"{file}: column {name!r} stands there more than once: rename or drop one")


def is_number(text: str) -> bool:
    """Whether the text is a plain decimal number."""
    return re.fullmatch(r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?", text) is not None


def _check_open(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ReadingsError(
            f"{path} cannot be read: {error.strerror}: check that it is a file and that you may read it"
        ) from error


def _check_text(path: Path) -> None:
    """Refuse what is not UTF-8 text, a zero byte included, which the parser would pass over in silence."""
    _check_open(path)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                reason = "it has a zero byte" if "\0" in line.decode() else ""
            except UnicodeDecodeError as error:
                reason = error.reason
            if reason:
                kind = next((f", perhaps {kind}" for mark, kind in _MARKS.items() if line.startswith(mark)), "")
                raise ReadingsError(
                    f"{path.name}, line {number} is not UTF-8 text{kind} ({reason}): save the readings as CSV in UTF-8"
                )


def _read_header(path: Path) -> tuple[int, list[str], str]:
    """Line number, column names and separator of the first line that is not blank."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        number, line = next(((k, line) for k, line in enumerate(file, start=1) if line.strip()), (0, ""))
    if not number:
        raise ReadingsError(f"{path.name} is empty: give a line of column names and the rows below it")
    if line.count('"') % 2:
        raise ReadingsError(f"{path.name}, line {number}: a quotation mark is never closed: close or remove it")
    separator = max(",;\t", key=re.sub(r'"[^"]*"', "", line).count)
    names = [name.strip() for name in next(csv.reader([line.rstrip("\r\n")], delimiter=separator))]
    if all(is_number(name) or re.match(r"\d{1,4}[-./]\d{1,2}[-./]\d", name) for name in names):
        raise ReadingsError(
            f"{path.name}, line {number}: the first line must name the columns, but holds readings: add a line of names"
        )
    return number, names, separator


def _too_long(path: Path, line: int, n_names: int) -> ReadingsError:
    return ReadingsError(
        f"{path.name}, line {line} has more cells than the {count(n_names, 'column name')}: quote a cell that holds "
        "the separator, and let the line of column names come first"
    )


def _no_table(path: Path, reason: str, n_names: int) -> ReadingsError:
    """What the parser's complaint means; it counts lines from 1 and rows from 0."""
    if long := re.search(r"Expected \d+ fields in line (\d+)", reason):
        return _too_long(path, int(long[1]), n_names)
    if unclosed := re.search(r"EOF inside string starting at row (\d+)", reason):
        line = int(unclosed[1]) + 1
        return ReadingsError(f"{path.name}, line {line}: a quotation mark is never closed: close or remove it")
    return ReadingsError(f"{path.name} is no regular table: {reason.strip()}: write a cell for each column in each row")
