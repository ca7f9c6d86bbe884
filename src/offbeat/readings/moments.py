"""Stamps and steps as pandas has them: the one place where the integers that offbeat counts in become its times.

A stamp is nanoseconds since 1970 UTC, or an integer index; a step is the difference of two. pandas is loaded only where
somebody asks for its objects, so that scoring does without.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from offbeat.typing import IntArray

if TYPE_CHECKING:
    import pandas as pd

_ISO_PERIOD = re.compile(r"P(\d+)DT(\d+)H(\d+)M(\d+)(?:\.(\d{1,9}))?S")
Moment: TypeAlias = "pd.Timestamp | int"


def moment_of(stamp: int, is_time: bool) -> Moment:
    """Return a stamp as a time in UTC, or as the integer index that it is."""
    if not is_time:
        return int(stamp)
    import pandas as pd

    return pd.Timestamp(stamp, tz="UTC")


def length_of(step: int, is_time: bool) -> pd.Timedelta | int:
    """Return a step as a length of time, or as the number that it is."""
    if not is_time:
        return int(step)
    import pandas as pd

    return pd.Timedelta(step, unit="ns")


def index_of_stamps(stamps: IntArray, is_time: bool) -> pd.DatetimeIndex | pd.Index[int]:
    """Return stamps (T,) as an index."""
    import pandas as pd

    whole = np.asarray(stamps, dtype=np.int64)
    return pd.DatetimeIndex(whole.astype("M8[ns]"), tz="UTC") if is_time else pd.Index(whole)


def moment_json(moment: Moment) -> str | int:
    """Return a moment as JSON and tables hold it: ISO 8601, or the integer index that it is."""
    return int(moment) if isinstance(moment, int | np.integer) else moment.isoformat()


def step_json(step: int, is_time: bool) -> str | int:
    """Return a step as JSON holds it: ISO 8601 such as P0DT0H10M0S, or the number that it is."""
    if not is_time:
        return int(step)
    seconds, fraction = divmod(int(step), 1_000_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"P{day}DT{hour}H{minute}M{second}{digits}S"


def step_from_json(stored: str | int) -> tuple[int, bool]:
    """Return the step that `step_json` wrote, and whether it is one of time.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(stored, int):
        return stored, False
    found = _ISO_PERIOD.fullmatch(stored)
    if not found:
        raise ValueError(f"period {stored!r} is not written as P0DT0H10M0S")
    day, hour, minute, second = (int(found[k]) for k in range(1, 5))
    seconds = ((day * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1_000_000_000 + int((found[5] or "").ljust(9, "0")), True
