"""A piece of readings: some rows of one asset from one place, in the form in which they are merged.

Everything that would not come back from a file in data/ as it went there is refused here.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.limits import LARGEST_READING
from offbeat.readings.timestamps import TIME_NAMES

_LONGEST_NAME = 200  # bytes; with what is put before and after it, most file systems take 255


@dataclass(frozen=True, eq=False)
class Piece:
    """Readings of one asset, as `checked` returns them, and the file or table they came from."""

    origin: str
    frame: pd.DataFrame

    @property
    def head(self) -> Piece:
        """The same without rows, for its channels and its kind of index."""
        return Piece(self.origin, self.frame.iloc[:0].copy())


def checked(frame: pd.DataFrame, asset: str, origin: str) -> pd.DataFrame:
    """Check the readings of one asset and bring them into one form.

    Parameters
    ----------
    frame : DataFrame
        Numeric or bool channels over a DatetimeIndex (naive is UTC) or an integer index.
    asset, origin : str

    Returns
    -------
    DataFrame
        Channels of int64 or float64 over a DatetimeIndex in UTC with nanoseconds, or an index of int64.

    Raises
    ------
    ReadingsError
        If the asset's name cannot be a file's, a channel's name cannot stand in a table, a value is not numeric or
        infinite, or the index is neither of the two.
    """
    _check_asset(asset, origin)
    names = [str(name).strip() for name in frame.columns]
    _check_channels(names, origin)
    index = _index(frame.index, origin).rename(None)
    columns = {name: _values(frame.iloc[:, k], name, index, origin) for k, name in enumerate(names)}
    return pd.DataFrame(columns, index)


def check_alike(piece: Piece, model: Piece, asset: str) -> None:
    """Refuse readings of an asset with other channels, or another kind of index, than those of `model`.

    Raises
    ------
    ReadingsError
        Naming the origin of both, and the columns.
    """
    differences = [
        f"{verb} {', '.join(map(repr, names[:5]))}{' and more' if len(names) > 5 else ''}"
        for verb, names in (
            ("lack", [name for name in model.frame if name not in piece.frame]),
            ("have in addition", [name for name in piece.frame if name not in model.frame]),
        )
        if names
    ]
    timed = [isinstance(one.frame.index, pd.DatetimeIndex) for one in (piece, model)]
    if timed[0] != timed[1]:
        differences.append("have timestamps" if timed[0] else "have an integer index, and no timestamps")
    if differences:
        raise ReadingsError(
            f"{piece.origin}: the readings of {asset!r} {' and '.join(differences)}, unlike {model.origin}: nothing "
            "was taken in; rename or drop columns, or keep these readings in a folder of their own"
        )


def _check_asset(asset: str, origin: str) -> None:
    """Refuse a name that cannot become a file's."""
    wrong = ""
    if not asset.strip() or asset != asset.strip():
        wrong = "be empty, or begin or end with a blank"
    elif asset.startswith(".") or "/" in asset or "\\" in asset:
        wrong = "begin with a dot or hold a slash"
    elif _has_control(asset):
        wrong = "hold control characters"
    elif len(os.fsencode(asset)) > _LONGEST_NAME:
        wrong = f"be longer than {_LONGEST_NAME} bytes"
    if wrong:
        raise ReadingsError(
            f"{origin}: the asset's name becomes a file's and must not {wrong}, got {asset!r}: rename it"
        )


def _check_channels(names: Sequence[str], origin: str) -> None:
    """Refuse names that would not come back from the header of a CSV file."""
    if not names:
        raise ReadingsError(f"{origin} has no channel: give at least one numeric column")
    for k, name in enumerate(names):
        wrong = ""
        if name in names[:k]:
            wrong = "stand there twice"
        elif name.lower() in TIME_NAMES:
            wrong = "be called like a timestamp"
        elif not name or ";" in name or _has_control(name):
            wrong = "be empty or hold a semicolon or control characters"
        if wrong:
            raise ReadingsError(f"{origin}: a channel must not {wrong}, got {name!r}: rename or drop it")


def _has_control(text: str) -> bool:
    return any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def _index(index: pd.Index, origin: str) -> pd.Index:
    if index.hasnans:
        raise ReadingsError(f"{origin}: a timestamp is missing: fill it in or drop the row")
    if isinstance(index, pd.DatetimeIndex):
        try:
            return (index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")).as_unit("ns")
        except pd.errors.OutOfBoundsDatetime as error:
            raise ReadingsError(f"{origin}: timestamps must lie between 1678 and 2262: {error}") from error
    if not pd.api.types.is_integer_dtype(index.dtype) or (len(index) and index.max() > np.iinfo(np.int64).max):
        raise ReadingsError(f"{origin}: the index must hold timestamps or integers below 2**63, got {index.dtype}")
    return pd.Index(index.to_numpy(dtype=np.int64))


def _values(column: pd.Series, name: str, index: pd.Index, origin: str) -> np.ndarray:
    """One channel as int64 if it holds whole numbers, else as float64 with NaN where a reading is missing."""
    kind = column.dtype
    if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_complex_dtype(kind):
        raise ReadingsError(f"{origin}: channel {name!r} must hold numbers, but its type is {kind}: convert or drop it")
    whole = pd.api.types.is_integer_dtype(kind) or pd.api.types.is_bool_dtype(kind)
    if whole and not column.hasnans and (not len(column) or column.max() <= np.iinfo(np.int64).max):
        return column.to_numpy(dtype=np.int64)
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    wild = np.abs(values) > LARGEST_READING
    if wild.any():
        row = int(wild.argmax())
        raise ReadingsError(
            f"{origin}: channel {name!r} is {values[row]} at {index[row]}: a reading must be finite and within "
            f"±{LARGEST_READING:g}; leave it empty if it is missing"
        )
    return values
