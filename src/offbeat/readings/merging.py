"""New readings of an asset into the ones that are known, by timestamp.

A later reading wins over an earlier one, a missing one over none; so readings may come late, twice or corrected, in any
order of rows, and the same ones merged again change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.pieces import Piece
from offbeat.typing import BoolArray, IntArray


@dataclass(frozen=True)
class Counts:
    """What a merge did to the readings of one asset.

    Attributes
    ----------
    new : int
        Rows of timestamps that were not there.
    filled : int
        Readings that were missing in a row that was there.
    corrected : int
        Readings that were there with another value.
    unchanged : int
        Rows that were there as they came.
    """

    new: int = 0
    filled: int = 0
    corrected: int = 0
    unchanged: int = 0

    @property
    def changes(self) -> bool:
        """Whether any reading is other than it was."""
        return bool(self.new or self.filled or self.corrected)


def merge(known: Piece | None, pieces: Sequence[Piece]) -> tuple[pd.DataFrame, Counts]:
    """Merge pieces into the known readings of an asset.

    Parameters
    ----------
    known : Piece or None
        Readings so far.
    pieces : sequence of Piece
        One at least, each of a row at least, with the channels and the kind of index of `known` and of each other; rows
        in any order.

    Returns
    -------
    merged : DataFrame
        One row for each timestamp, in order: of each channel the reading of the last piece that has one.
    counts : Counts

    Raises
    ------
    ReadingsError
        If two rows of one timestamp and origin contradict each other.
    """
    known = known or Piece("", pieces[0].frame.iloc[:0])
    frames = [known.frame, *(piece.frame for piece in pieces)]
    place = {origin: k for k, origin in enumerate(dict.fromkeys(piece.origin for piece in pieces), start=1)}
    ages = [0, *(place[piece.origin] for piece in pieces)]
    age = np.repeat(np.array(ages), [len(frame) for frame in frames])
    index = frames[0].index.append([frame.index for frame in frames[1:]])
    stamps = index.asi8 if isinstance(index, pd.DatetimeIndex) else index.to_numpy()
    order = np.lexsort((age, stamps))
    age, stamps, index = age[order], stamps[order], index[order]
    rows = _Rows(age, _starts(stamps), _starts(stamps, age), index, (known.origin, *place))
    columns, changes = {}, np.zeros((2, len(rows.starts)), dtype=np.int64)
    for name in known.frame.columns:
        values = np.concatenate([frame[name].to_numpy() for frame in frames])[order]
        columns[name], filled, corrected = rows.merged(values, name)
        changes += np.stack([filled, corrected])
    met = ~rows.is_new & (np.maximum.reduceat(rows.age, rows.starts) > 0)
    counts = Counts(
        new=int(rows.is_new.sum()),
        filled=int(changes[0].sum()),
        corrected=int(changes[1].sum()),
        unchanged=int((met & ~changes.any(axis=0)).sum()),
    )
    return pd.DataFrame(columns, rows.index[rows.starts]), counts


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of known readings and pieces together, by timestamp and, within one, from known to the last piece."""

    age: IntArray  # (n,) 0 for known readings, else the place of the origin
    starts: IntArray  # first row of each timestamp
    origin_starts: IntArray  # first row of each timestamp and origin
    index: pd.Index  # (n,)
    origins: Sequence[str]  # by age

    @property
    def is_new(self) -> BoolArray:
        """Whether each timestamp was not known."""
        return np.asarray(self.age[self.starts] > 0)

    def merged(self, values: np.ndarray, channel: str) -> tuple[np.ndarray, BoolArray, BoolArray]:
        """Merge one channel: a value for each timestamp, whether it fills a hole, whether it corrects a reading."""
        present = ~np.isnan(values)
        self._check_agreement(values, channel)
        last = self._last(present)
        known = self._last(present & (self.age == 0))
        has, had = last >= 0, known >= 0
        merged = values[last] if has.all() else np.where(has, values[last], np.nan)
        return merged, has & ~had & ~self.is_new, had & (values[last] != values[known])

    def _last(self, present: BoolArray) -> IntArray:
        """Last row of each timestamp with a reading, -1 if there is none."""
        places: IntArray = np.maximum.reduceat(np.where(present, np.arange(len(present)), -1), self.starts)
        return places

    def _check_agreement(self, values: np.ndarray, channel: str) -> None:
        if len(self.origin_starts) == len(values):
            return
        highest = np.fmax.reduceat(values, self.origin_starts)
        lowest = np.fmin.reduceat(values, self.origin_starts)
        wrong = lowest < highest  # false where all are NaN
        if wrong.any():
            row = int(self.origin_starts[int(wrong.argmax())])
            raise ReadingsError(
                f"{self.origins[self.age[row]]}: timestamp {self.index[row]} stands there twice with different "
                f"readings of channel {channel!r}: keep one row for each asset and timestamp"
            )


def _starts(stamps: IntArray, age: IntArray | None = None) -> IntArray:
    """First place of each group of rows with equal stamps, and equal ages if given."""
    differs = np.diff(stamps) != 0
    if age is not None:
        differs |= np.diff(age) != 0
    return np.flatnonzero(np.concatenate(([True], differs)))
