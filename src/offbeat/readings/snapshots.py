"""A folder of raw vibration snapshots as a source of readings: a text file per instant becomes a row of features.

Files are read by a few threads, in time order and a bounded number ahead. What parses and transforms them lets go of
the interpreter's lock, and a thread starts in no time, where a process would first import everything anew.
"""

from __future__ import annotations

import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.drop_folder import UNFINISHED
from offbeat.readings.features import Band, check_bands, feature_names, snapshot_features
from offbeat.readings.messages import count
from offbeat.readings.snapshot_text import parse_snapshot
from offbeat.readings.sources import Batch
from offbeat.typing import FloatArray

_BATCH_SIZE = 100  # snapshots
_LARGEST_FILE = 100_000_000  # bytes: one stray file must not fill the memory
_LEAST_SHARE = 0.9  # of the samples that the others have
_Form: TypeAlias = tuple[int, int, bool]  # samples, sensors, whether the last line ends as the others do
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class SnapshotFolder:
    """Snapshots of one asset in the form of the NASA IMS bearing data, as features of each sensor.

    A file is named by its time (in UTC, unless the name has an offset) and holds a line for each sample and a column
    for each sensor, separated by blanks, tabs or commas, without a header. Hidden and unfinished files are passed over.

    Attributes
    ----------
    name : str
        Under which the source's state is kept.
    path : Path
    asset : str
    channels : tuple of str, or None
        Names of the sensors in the order of the columns. None: sensor-1, sensor-2, ..., as many as most files have.
    sampling_hz : float
        Samples per second.
    bands_hz : tuple of (low, high)
        Frequency bands whose energies become features; none need be given.
    time_format : str
        Of the file names, as `datetime.strptime` reads it.
    n_threads : int
        How many files are read at once.
    settle_s : float
        A file that changed less than so many seconds ago may still be written, and waits for the next pull.

    Raises
    ------
    ReadingsError
        If a field cannot be, such as a band above half the sampling rate.
    """

    name: str
    path: Path
    asset: str
    channels: tuple[str, ...] | None
    sampling_hz: float
    bands_hz: tuple[Band, ...]
    time_format: str = "%Y.%m.%d.%H.%M.%S"
    n_threads: int = 4
    settle_s: float = 5.0

    def __post_init__(self) -> None:
        try:
            self._check()
        except ReadingsError as error:
            raise ReadingsError(f"source {self.name!r}: {error}") from error

    def pull(self, state: Mapping[str, Any]) -> Iterator[Batch]:
        """Read the snapshots that are new or changed since `state`, in time order.

        Parameters
        ----------
        state : mapping
            For each file taken, its size, time of change and form; for each file refused, by which settings. A refused
            file is read again when it has changed, or when the source is set up differently.

        Yields
        ------
        Batch
            Of up to 100 snapshots, or of one file that is left out, with file, line and reason.

        Raises
        ------
        ReadingsError
            If the folder is not there.
        """
        files = self._new_files(state)
        history = _History.of(state if files else {}, self.time_format)
        with ThreadPoolExecutor(self.n_threads, thread_name_prefix=self.name) as pool:
            read = _in_order(pool, self._read, files, ahead=2 * self.n_threads)
            while results := list(islice(read, _BATCH_SIZE)):
                yield from self._batches([result for result in results if result], history)

    def _check(self) -> None:
        check_bands(self.bands_hz, self.sampling_hz)
        if self.channels is not None and not 0 < len(set(self.channels)) == len(self.channels):
            raise ReadingsError(f"channels must give each sensor a name of its own, got {list(self.channels)}")
        if self.n_threads < 1:
            raise ReadingsError(f"n_threads must be at least 1, got {self.n_threads}")
        moment = datetime(2004, 2, 12, 10, 32, 39, tzinfo=UTC)
        read = _time_of(moment.strftime(self.time_format), self.time_format)
        if read is None or read.date() != moment.date():
            raise ReadingsError(f"time_format={self.time_format!r} must hold year, month and day, as %Y-%m-%d does")

    def _new_files(self, state: Mapping[str, Any]) -> list[_File]:
        """Files that the state does not hold as they are now, the ones without a time first."""
        if not self.path.is_dir():
            raise ReadingsError(f"source {self.name!r}: {self.path} is not a folder: make it, or correct its path")
        now = time.time()
        paths = [path for path in self.path.iterdir() if not path.name.startswith(".")]
        files = [_File.of(path) for path in paths if path.suffix not in UNFINISHED]
        settled = [file for file in files if file and abs(now - file.modified_ns / 1e9) >= self.settle_s]
        new = [file for file in settled if not self._is_known(file, state)]
        return sorted(new, key=lambda file: (_time_of(file.name, self.time_format) or pd.Timestamp.min, file.name))

    def _is_known(self, file: _File, state: Mapping[str, Any]) -> bool:
        known = state.get(file.name, {})
        same = (known.get("bytes"), known.get("modified_ns")) == (file.n_bytes, file.modified_ns)
        return same and known.get("refused_by", self._settings) == self._settings

    @property
    def _settings(self) -> str:
        """A short name for what decides whether a file is refused."""
        settings = (self.channels, self.sampling_hz, self.bands_hz, self.time_format)
        return f"{zlib.crc32(repr(settings).encode()):08x}"

    def _read(self, file: _File) -> _Snapshot | _Refusal | None:
        """Read one file; None if it changed meanwhile."""
        when = _time_of(file.name, self.time_format)
        if when is None:
            return _Refusal(
                file, f"its name is no time in the form {self.time_format}: rename it, or keep it elsewhere"
            )
        if file.n_bytes > _LARGEST_FILE:
            return _Refusal(file, f"it has {file.n_bytes:,} bytes, a snapshot at most {_LARGEST_FILE:,}: cut it up")
        try:
            text = file.path.read_bytes()
            if _File.of(file.path) != file:
                return None
            samples = parse_snapshot(text, len(self.channels) if self.channels else None)
            features = snapshot_features(samples, self.sampling_hz, self.bands_hz)
        except OSError as error:
            return _Refusal(file, f"it cannot be read: {error.strerror}: check that you may read it", is_final=False)
        except ReadingsError as error:
            return _Refusal(file, str(error))
        return _Snapshot(file, when, features, (*samples.shape, text.endswith((b"\n", b"\r"))))

    def _batches(self, read: list[_Snapshot | _Refusal], history: _History) -> Iterator[Batch]:
        """Give each file that is refused as a batch of its own, and then all others as one."""
        history.forms.update(one.form for one in read if isinstance(one, _Snapshot))
        taken: list[_Snapshot] = []
        for one in read:
            refusal = one if isinstance(one, _Refusal) else history.objection(one)
            if refusal:
                yield self._left_out(refusal)
            elif isinstance(one, _Snapshot):
                history.names[one.time] = one.file.name
                taken.append(one)
        if taken:
            yield self._taken(taken)

    def _left_out(self, refusal: _Refusal) -> Batch:
        file = refusal.file
        mark = {file.name: {**file.mark, "refused_by": self._settings}} if refusal.is_final else {}
        empty = pd.DataFrame(index=pd.DatetimeIndex([], name="timestamp"))
        return Batch(self.asset, empty, file.name, mark, f"{file.name}: {refusal.reason}")

    def _taken(self, snapshots: list[_Snapshot]) -> Batch:
        first, last = snapshots[0].file.name, snapshots[-1].file.name
        channels = self.channels or [f"sensor-{k + 1}" for k in range(len(snapshots[0].features))]
        frame = pd.DataFrame(
            np.stack([snapshot.features.ravel() for snapshot in snapshots]),  # (n_snapshots, n_features)
            pd.DatetimeIndex([snapshot.time for snapshot in snapshots], name="timestamp"),
            feature_names(channels, self.bands_hz),
        )
        marks = {one.file.name: {**one.file.mark, "form": list(one.form)} for one in snapshots}
        return Batch(self.asset, frame, first if first == last else f"{first} to {last}", marks)


@dataclass(frozen=True)
class _File:
    """A file as the folder lists it."""

    path: Path
    n_bytes: int
    modified_ns: int

    @staticmethod
    def of(path: Path) -> _File | None:
        """Look a file up; None if there is none."""
        try:
            status = path.stat()
        except OSError:
            return None  # gone meanwhile, or a link to nothing
        if not S_ISREG(status.st_mode):
            return None
        return _File(path, status.st_size, status.st_mtime_ns)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def mark(self) -> dict[str, Any]:
        return {"bytes": self.n_bytes, "modified_ns": self.modified_ns}


@dataclass(frozen=True, eq=False)
class _Snapshot:
    """A file that could be read."""

    file: _File
    time: pd.Timestamp
    features: FloatArray  # (n_sensors, n_features)
    form: _Form


@dataclass(frozen=True, eq=False)
class _Refusal:
    """A file that is left out."""

    file: _File
    reason: str
    is_final: bool = True  # False: worth another try though the file stays as it is


@dataclass(frozen=True)
class _History:
    """What the snapshots taken so far look like, to know an odd one by."""

    forms: Counter[_Form]
    names: dict[pd.Timestamp, str]

    @staticmethod
    def of(state: Mapping[str, Any], time_format: str) -> _History:
        forms = {name: tuple(known["form"]) for name, known in state.items() if "form" in known}
        times = {name: _time_of(name, time_format) for name in forms}
        return _History(Counter(forms.values()), {time: name for name, time in times.items() if time is not None})

    def objection(self, snapshot: _Snapshot) -> _Refusal | None:
        """Say why a snapshot cannot stand among the others; None if it can."""
        n_samples, n_sensors, has_end = snapshot.form
        usual_samples, usual_sensors, usual_end = max(self.forms, key=lambda form: (self.forms[form], form))
        other = self.names.get(snapshot.time, snapshot.file.name)
        reason = ""
        if n_sensors != usual_sensors:
            reason = f"it has {count(n_sensors, 'column')}, the others {usual_sensors}: deliver it again, or remove it"
        elif n_samples < _LEAST_SHARE * usual_samples:
            reason = f"it is cut off after {n_samples:,} samples, the others have {usual_samples:,}: deliver it again"
        elif usual_end and not has_end:
            reason = f"line {n_samples}, the last, is cut off: it has no line end, as the others do: deliver it again"
        elif other != snapshot.file.name:
            reason = f"it has the time of {other}, which was taken: correct its name, or remove it"
        return _Refusal(snapshot.file, reason) if reason else None


def _time_of(name: str, time_format: str) -> pd.Timestamp | None:
    """Time that a file is named by, in UTC without a zone; None if it is none that a reading can have."""
    try:
        time = pd.Timestamp(datetime.strptime(name, time_format)).as_unit("ns")
    except ValueError:
        return None
    return time.tz_convert(None) if time.tzinfo else time


def _in_order(
    pool: ThreadPoolExecutor, read: Callable[[_File], _Result], files: Iterable[_File], ahead: int
) -> Iterator[_Result]:
    """Read files in threads, results in order, never more than `ahead` files before the one that is asked for."""
    waiting: deque[Future[_Result]] = deque()
    for file in files:
        waiting.append(pool.submit(read, file))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
