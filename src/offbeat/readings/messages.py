"""The words of messages about readings: where a row stands, how many, how long, when.

One place for them, so that a length of time reads the same in an error, a note and a report.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from offbeat.typing import BoolArray, IntArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCK_NS = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "min": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "µs": 1_000,
    "ns": 1,
}


@dataclass(frozen=True)
class Source:
    """What a message calls the readings: a file with its lines, or a frame with its rows."""

    name: str
    lines: IntArray | None = None  # (n,) 1-based line of each row; None for a frame, whose rows count from `first`
    first: int = 0
    files: tuple[tuple[int, str], ...] = ()  # first row and name of each file, where rows of several stand end to end

    def row(self, row: int) -> str:
        """Name one row, e.g. ``pump-1.csv, line 7``."""
        if self.lines is not None:
            return f"{self.name}, line {self.lines[row]}"
        start, name = next((file for file in reversed(self.files) if file[0] <= row + self.first), (0, self.name))
        return f"{name}, row {row + self.first - start}"

    def without(self, rows: BoolArray) -> Source:
        """Return what remains without the rows (n,) that are marked."""
        if self.lines is not None:
            return replace(self, lines=self.lines[~rows])
        left_out = [int(rows[: max(start - self.first, 0)].sum()) for start, _ in self.files]
        files = tuple((start - n, name) for n, (start, name) in zip(left_out, self.files, strict=True))
        return replace(self, files=files)


def file_name(path: Path) -> str:
    """Return what messages call a file: its name, after its folders where it is of a partitioned data set."""
    return "/".join(path.parts[-4:]) if is_partition(path) else path.name


def is_partition(path: Path) -> bool:
    """Whether a file is of a partitioned data set, by the name of its folder."""
    return path.parent.name.startswith("month=")


def count(number: int, thing: str) -> str:
    """Number and noun, e.g. ``2 rows``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def shortened(name: str, most: int = 40) -> str:
    """Return a name with its middle left out where it is longer than `most` characters; both ends tell names apart."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - half]}…{name[-half:]}"


def duration_text(length: timedelta | int) -> str:
    """Write a length of time as people do, e.g. ``5 min``, ``1 d 12 h`` or ``250 ms``.

    Parameters
    ----------
    length : timedelta (or Timedelta), or int
        A length of time that is not negative, or a number of steps of an integer index.

    Returns
    -------
    str
        Rounded where that changes the length by at most a part in 10,000; so two texts that are the same stand for
        lengths that are nearly the same.
    """
    if not isinstance(length, timedelta):
        return count(length, "step")
    return length_text(nanoseconds(length), is_time=True)


def length_text(length: int, is_time: bool) -> str:
    """Write a difference of stamps, in nanoseconds or steps, as `duration_text` does."""
    if not is_time:
        return count(length, "step")
    left = length
    unit_ns = next((unit_ns for unit_ns in _CLOCK_NS.values() if 5_000 * unit_ns <= left), 1)
    left = (left + unit_ns // 2) // unit_ns * unit_ns
    parts = []
    for unit in ("d", "h", "min"):
        whole, left = divmod(left, _CLOCK_NS[unit])
        if whole:
            parts.append(f"{whole:,} {unit}")
    if left or not parts:
        fine = ("s",) if parts or not left else ("s", "ms", "µs", "ns")
        unit = next(unit for unit in fine if left >= _CLOCK_NS[unit] or len(fine) == 1)
        parts.append(f"{left / _CLOCK_NS[unit]:g} {unit}")
    return " ".join(parts)


def stamp_text(stamp: int, is_time: bool) -> str:
    """Write a timestamp in nanoseconds since 1970 as a time in UTC, or an integer index as it is."""
    if not is_time:
        return str(stamp)
    second, fraction = divmod(int(stamp), 1_000_000_000)
    digits = "" if not fraction else f".{fraction:09d}" if fraction % 1_000 else f".{fraction // 1_000:06d}"
    return f"{(_EPOCH + timedelta(seconds=second)).strftime('%Y-%m-%d %H:%M:%S')}{digits}+00:00"


def nanoseconds(length: timedelta) -> int:
    """Return a length of time in nanoseconds, those of a pandas Timedelta too."""
    microseconds = (length.days * 86_400 + length.seconds) * 1_000_000 + length.microseconds
    return microseconds * 1_000 + int(getattr(length, "nanoseconds", 0))
