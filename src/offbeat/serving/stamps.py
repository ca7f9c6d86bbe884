"""Timestamps on the wire: texts or whole numbers to the stamps that offbeat counts in, and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from offbeat.typing import IntArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BEYOND_MICROSECONDS = re.compile(r"[.,]\d{6}(\d{1,3})")
_FORM = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?)?([Zz]|[+-]\d\d(:?\d\d)?)?")
_UNITS = (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1))


def stamp_of(text: str) -> int:
    """Return nanoseconds since 1970 of a time in ISO 8601; one without a zone is taken as UTC.

    Raises
    ------
    ValueError
        If it is none, or not between 1678 and 2262.
    """
    if not _FORM.fullmatch(text):
        raise ValueError("write 2026-01-05T00:10:00Z")
    when = datetime.fromisoformat(text.replace(",", "."))
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    if not _FIRST <= when < _LAST:
        raise ValueError("it must lie between 1678 and 2262")
    fine = _BEYOND_MICROSECONDS.search(text)
    return (when - _EPOCH) // _MICROSECOND * 1_000 + (int(fine[1].ljust(3, "0")) if fine else 0)


def stamp_texts(stamps: IntArray, is_time: bool) -> list[str] | list[int]:
    """Return stamps (T,) as people and JSON have them: ISO 8601 in UTC, as fine as they are, or the integers."""
    if not is_time:
        whole: list[int] = stamps.tolist()
        return whole
    unit = next(name for name, size in _UNITS if not (stamps % size).any())
    texts: Sequence[str] = np.datetime_as_string(stamps.astype("M8[ns]"), unit=unit).tolist()  # type: ignore[call-overload]
    return [f"{text}Z" for text in texts]
