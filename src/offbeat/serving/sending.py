"""Readings as people have them to a request, and to the arrays that a stream keeps: the client's side of the wire."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from offbeat.errors import ReadingsError
from offbeat.readings.limits import LARGEST_READING
from offbeat.serving.stamps import stamp_of
from offbeat.typing import FloatArray, IntArray

Timestamp: TypeAlias = "str | int | datetime | np.datetime64 | np.integer[Any]"


def request_of(
    asset: str, timestamps: Sequence[Timestamp], values: ArrayLike, channels: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return a request for `json.dumps`.

    Raises
    ------
    ReadingsError
        If timestamps or values cannot be sent.
    """
    table = table_of(values, len(timestamps))
    rows = table.astype(object)
    rows[np.isnan(table)] = None  # JSON has no NaN
    content = {"asset": asset, "timestamps": _timestamps(timestamps), "values": rows.tolist()}
    return content if channels is None else {**content, "channels": list(channels)}


def stamps_of(timestamps: Sequence[Timestamp]) -> tuple[IntArray, bool]:
    """Return stamps (T,), and whether they are of times or of an integer index.

    Raises
    ------
    ReadingsError
        If one is neither, or they are not all the same.
    """
    given = _timestamps(timestamps)
    stamps = np.empty(len(given), dtype=np.int64)
    for k, one in enumerate(given):
        try:
            stamps[k] = stamp_of(one) if isinstance(one, str) else one
        except (ValueError, OverflowError) as error:
            raise ReadingsError(f"timestamp {str(one)[:40]!r} cannot be read: {error}") from error
    return stamps, isinstance(given[0], str)


def table_of(values: ArrayLike, n_rows: int) -> FloatArray:
    """Return values as an array (T, F), NaN where a reading is missing.

    Raises
    ------
    ReadingsError
        If they are no numbers, ragged, not as many rows, or beyond what any sensor reads.
    """
    try:
        table = np.array(values, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError) as error:
        raise ReadingsError(
            f"values must be rows of as many numbers each, None where one is missing: {error}"
        ) from error
    if table.ndim != 2 or len(table) != n_rows:
        raise ReadingsError(f"values must be a row for each of {n_rows} timestamps, got an array {table.shape}")
    wild = np.argwhere(np.abs(table) > LARGEST_READING)
    if len(wild):
        row, column = wild[0].tolist()
        raise ReadingsError(
            f"values[{row}][{column}] is {table[row, column]}: a reading must lie within ±{LARGEST_READING:g}"
        )
    return table


def _timestamps(given: Sequence[Timestamp]) -> list[Any]:
    """Return timestamps as JSON has them, all texts or all whole numbers."""
    kept = [_timestamp(one) for one in given]
    if len({type(one) for one in kept}) > 1:
        raise ReadingsError("timestamps must all be times, or all whole numbers")
    return kept


def _timestamp(one: Timestamp) -> str | int:
    if isinstance(one, datetime):
        return (one if one.tzinfo else one.replace(tzinfo=UTC)).isoformat()
    if isinstance(one, np.datetime64):
        return f"{np.datetime_as_string(one.astype('M8[ns]'))}Z"
    try:
        return str(one) if isinstance(one, str) else operator.index(one)
    except TypeError as error:
        raise ReadingsError(f"timestamp {str(one)[:40]!r} must be a time or a whole number") from error
