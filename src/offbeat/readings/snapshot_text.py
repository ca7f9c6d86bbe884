"""The text of a raw snapshot: its samples, or the line that keeps it from being read.

Reading is left to a fast strict parser; only when that refuses does a slow look, line by line, find out what is wrong.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from offbeat.errors import ReadingsError
from offbeat.readings.messages import count
from offbeat.typing import FloatArray

_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LARGEST_VALUE = 1e60  # its fourth power, of which kurtosis is made, is still a double


def parse_snapshot(text: bytes, n_sensors: int | None = None) -> FloatArray:
    """Read the samples of all sensors: a line per sample, a column per sensor, no header.

    Parameters
    ----------
    text : bytes
        Numbers with a decimal point, separated by commas if the first line has a comma and no tab, else by blanks and
        tabs, any number of them.
    n_sensors : int, optional
        Columns that every line must have; by default as many as the first line has.

    Returns
    -------
    ndarray of shape (n_samples, n_sensors)
        The doubles nearest to the decimals in the text.

    Raises
    ------
    ReadingsError
        If there is no sample, a line has other columns, or a cell is no number, NaN, infinite or beyond ±1e60. It names
        the line.
    """
    text = text.removeprefix(b"\xef\xbb\xbf").rstrip()
    if not text:
        raise ReadingsError("it is empty: deliver it again, or remove it")
    first = text.split(b"\n", 1)[0]
    separator = "\t" if b"\t" in first else "," if b"," in first else " "
    columns = [str(k) for k in range(n_sensors or len(_cells(first, separator)) or 1)]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            pa_csv.ReadOptions(use_threads=False, column_names=columns, block_size=len(text) + 1),
            pa_csv.ParseOptions(delimiter=separator, quote_char=False, ignore_empty_lines=False),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.float64()), null_values=[]),
        )
    except pa.ArrowInvalid as error:
        if separator != "," and (single := _single_blanks(text)) != text:
            return parse_snapshot(single, n_sensors)  # not at once, for it takes as long as reading
        fault = _first_fault(text, separator, len(columns)) or str(error)
        raise ReadingsError(f"{fault}: deliver it again, or remove it") from error
    samples: FloatArray = np.vstack([column.to_numpy() for column in table.columns]).T  # (n_samples, n_sensors)
    fair = np.abs(samples) <= _LARGEST_VALUE  # NaN is not
    if not fair.all():
        line, k = np.argwhere(~fair)[0]
        value = samples[line, k]
        raise ReadingsError(
            f"line {line + 1}, column {k + 1} is {value:g}, but must be a number within ±{_LARGEST_VALUE:g}: "
            "deliver it again, or remove it"
        )
    return samples


def _single_blanks(text: bytes) -> bytes:
    """Put one blank between cells and none beside line ends."""
    text = text.replace(b"\t", b" ").lstrip(b" ")
    for pair in (b"  ", b"\n ", b" \n", b" \r"):
        while pair in text:
            text = text.replace(pair, pair.strip(b" ") or b" ")
    return text


def _first_fault(text: bytes, separator: str, n_columns: int) -> str:
    """Say which line is the first that cannot be read, and why; nothing if none is found."""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        last = ", the last," if number == len(lines) and number > 1 else ""
        cells = _cells(line, separator)
        if len(cells) != n_columns:
            return f"line {number}{last} has {count(len(cells), 'column')} where {n_columns} must be"
        for cell in cells:
            if not _NUMBER.fullmatch(cell):
                shown = cell[:30].decode(errors="replace")
                return f"line {number}{last} holds {shown!r}, which is no number with a decimal point"
    return ""


def _cells(line: bytes, separator: str) -> list[bytes]:
    if separator == ",":
        return [cell.strip(b" ") for cell in line.split(b",")]
    return [cell for cell in line.replace(b"\t", b" ").split(b" ") if cell]
