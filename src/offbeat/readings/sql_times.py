"""The time column of a SQL table: what its values mean, and the condition that leaves out what was taken.

The newest timestamp taken is kept as the table has it, a time or a number: the condition needs no other knowledge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from sqlalchemy import Column, ColumnElement, Date, DateTime, String, type_coerce

from offbeat.errors import ReadingsError
from offbeat.readings.messages import Source, duration_text
from offbeat.readings.timestamps import index_of, parse_times

Newest: TypeAlias = "pd.Timestamp | float"

_ISO_DATE = r"\d{4}-\d\d-\d\d(?:[ T].*)?"


@dataclass(frozen=True, eq=False)
class TimeColumn:
    """Timestamps of a table: times, texts in ISO 8601, or numbers as `folder.read_readings` takes them.

    Attributes
    ----------
    column : Column
    is_text : bool
        Whether the database keeps times as text, whatever type the column has, as SQLite does.
    late : Timedelta, or int for an integer index
        How much older than the newest timestamp taken a row may be when it comes.
    place : str
        The table in messages.
    """

    column: Column[Any]
    is_text: bool
    late: pd.Timedelta | int
    place: str

    @property
    def selected(self) -> ColumnElement[Any]:
        """The column as a query must ask for it."""
        return type_coerce(self.column, String()) if self.is_text else self.column

    def since(self, newest: Newest) -> ColumnElement[bool]:
        """Condition of the rows that may not have been taken, where `newest` was."""
        if isinstance(newest, int | float):
            return self.selected >= newest - self._late_number(newest)
        if isinstance(self.late, int):
            raise self._wrong_late("a length of time")
        bound = (newest - self.late).floor("us")
        if self.is_text or not isinstance(self.column.type, Date | DateTime):
            # texts in ISO 8601 sort by their dates, and an offset from UTC moves a date by at most one day
            return self.selected >= (bound - pd.Timedelta(days=1)).strftime("%Y-%m-%d")
        if isinstance(self.column.type, Date):
            return self.selected >= bound.date()
        has_zone = getattr(self.column.type, "timezone", False)
        return self.selected >= (bound if has_zone else bound.tz_localize(None)).to_pydatetime()

    def index(self, values: pd.Series) -> pd.Index:
        """Read values as they came from the database.

        Raises
        ------
        ReadingsError
            If one is missing, cannot be read in exactly one way, or `late` is of the other kind.
        """
        if values.isna().any():
            raise ReadingsError(f"{self.place}: {self.column.name!r} is NULL in a row: fill it in or delete the row")
        if isinstance(values.iloc[0], date):  # which a datetime is, too
            index: pd.Index = self._from_times(values)
        elif isinstance(values.iloc[0], str):
            odd = ~values.astype(str).str.fullmatch(_ISO_DATE)
            if odd.any():
                raise ReadingsError(
                    f"{self.place}: {self.column.name!r} holds {values[odd].iloc[0]!r}; as text, a time must be ISO "
                    "8601, such as 2020-01-31T12:00:00Z, so that texts sort as times do"
                )
            index = parse_times(values.astype(str), Source(self.place))
        else:
            index = self._from_numbers(values)
        if isinstance(index, pd.DatetimeIndex) == isinstance(self.late, int):
            raise self._wrong_late("a number of steps" if isinstance(self.late, pd.Timedelta) else "a length of time")
        return index

    def newest(self, known: Newest | None, values: pd.Series, index: pd.Index, now: pd.Timestamp) -> Newest | None:
        """Newest of `known` and of `values`, which `index` reads, that is not in the future.

        One in the future would hide all rows to come until then.
        """
        if isinstance(index, pd.DatetimeIndex):
            index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
            past = np.asarray(index <= now)
            index, values = index[past], values[past]
        if not len(values):
            return known
        is_time = isinstance(values.iloc[0], date | str)
        found: Newest = index.max() if is_time else max(map(_number, values))
        if known is not None and isinstance(known, pd.Timestamp) != is_time:
            raise ReadingsError(
                f"{self.place}: {self.column.name!r} holds {found}, where {known} came before: a table with another "
                "kind of timestamps is a source with another name"
            )
        return found if known is None else max(known, found)

    def _wrong_late(self, wanted: str) -> ReadingsError:
        late = self.late if isinstance(self.late, int) else duration_text(self.late)
        return ReadingsError(f"{self.place}: late is {late} and must be {wanted}, like {self.column.name!r}")

    def _late_number(self, newest: float) -> float:
        """`late` in units of timestamps that are numbers, rounded up to whole ones."""
        if isinstance(self.late, int):
            return self.late
        index = self._from_numbers(pd.Series([newest]))
        if not isinstance(index, pd.DatetimeIndex):
            raise self._wrong_late("a number of steps")
        per_unit = 10 ** round(np.log10(index[0].value / newest))  # nanoseconds
        return -(-self.late.value // int(per_unit))

    def _from_numbers(self, values: pd.Series) -> pd.Index:
        numbers = values.map(_number).infer_objects().rename(self.column.name)
        if not pd.api.types.is_numeric_dtype(numbers.dtype):
            raise ReadingsError(
                f"{self.place}: {self.column.name!r} must hold times or numbers, got {values.iloc[0]!r}"
            )
        return index_of(numbers, Source(self.place))

    def _from_times(self, values: pd.Series) -> pd.DatetimeIndex:
        try:
            return pd.DatetimeIndex(pd.to_datetime(values, utc=True))
        except (pd.errors.OutOfBoundsDatetime, TypeError, ValueError) as error:
            raise ReadingsError(f"{self.place}: {self.column.name!r}: {error}: correct or delete the row") from error


def to_json(newest: Newest) -> str | float:
    """Return a newest timestamp as JSON holds it."""
    return newest.isoformat() if isinstance(newest, pd.Timestamp) else newest


def from_json(stored: str | float) -> Newest:
    """Return what `to_json` wrote."""
    return pd.Timestamp(stored) if isinstance(stored, str) else stored


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
