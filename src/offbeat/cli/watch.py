"""The command that follows a growing file of readings and prints what the scoring service says of them."""

from __future__ import annotations

import csv
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from offbeat.errors import ParamsError, ReadingsError
from offbeat.serving.cells import TIME_COLUMNS, number_of

if TYPE_CHECKING:
    from offbeat.client import Scored, Scorer, Stream

LOOK_EVERY_S = 0.5  # for new lines, and for a service that is away
CHUNK = 1 << 20  # bytes


def watch(
    file: Annotated[str, typer.Argument(help="A CSV file that grows, or - for standard input.")],
    asset: Annotated[str | None, typer.Option(help="The machine; the file's name by default.")] = None,
    url: Annotated[str, typer.Option(help="Where the service is.")] = "http://127.0.0.1:3000",
    token: Annotated[
        str, typer.Option(envvar="OFFBEAT_TOKEN", show_default=False, help="Of the service, if it asks for one.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Print each timestep, not only those in alarm.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop at the end of the file.")] = False,
) -> None:
    """Score readings as they are written, and print the timesteps in alarm.

    Follows the file as `tail -F` does and asks the scoring service, until Ctrl-C. A timestep is printed as soon as no
    later reading can change its score; at the end of standard input, and with --once, the rest is too.
    """
    from offbeat.client import Scorer

    if file == "-" and asset is None:
        raise ParamsError("standard input names no machine: give it with --asset")
    try:
        with Scorer(url, token=token) as scorer:
            table = Table(file if file != "-" else "standard input")
            feed = Feed(scorer, asset or Path(file).stem, everything)
            for lines, is_fresh in _lines(_standard_input() if file == "-" else _growing(Path(file), once=once)):
                feed.take(table, table.readings(lines, is_fresh))
            feed.end()
    except KeyboardInterrupt:  # how it is meant to end
        return


class Table:
    """Lines of CSV to readings; a line that is wrong is named on standard error and left out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.channels: list[str] = []
        self._delimiter, self._place, self._n_lines = ",", 0, 0
        self._awaits_names = True
        self._last: tuple[bool, int] | None = None

    def readings(self, lines: list[bytes], is_fresh: bool) -> list[tuple[str | int, list[float]]]:
        """Return timestamps and values; `is_fresh` says that the first line is the first of a file."""
        found = []
        if is_fresh:
            self._n_lines, self._awaits_names = 0, True
        for line in lines:
            self._n_lines += 1
            text = line.decode("utf-8-sig", errors="replace").strip("\r\n")
            if not text.strip():
                continue
            awaits_names, self._awaits_names = self._awaits_names, False
            if awaits_names and self._takes_names(text):
                continue
            try:
                found.append(self._reading(text))
            except ReadingsError as error:
                typer.echo(f"{self.name}, line {self._n_lines}: {error}: left out", err=True)
        return found

    def _takes_names(self, text: str) -> bool:
        """Read the line of names; in a file that follows upon another there may be none, but no other."""
        delimiter = max(",;\t", key=text.count)
        names = [name.strip() for name in _cells(text, delimiter)]
        place = next((k for k, name in enumerate(names) if name.lower() in TIME_COLUMNS), None)
        channels = names[:place] + names[place + 1 :] if place is not None else []
        if not self.channels:
            if not channels:
                raise ReadingsError(
                    f"{self.name}: the first line must name a column {', '.join(TIME_COLUMNS)} and the channels"
                )
            self._delimiter, self._place, self.channels = delimiter, place or 0, channels
            return True
        if place is not None and (delimiter, place, channels) != (self._delimiter, self._place, self.channels):
            raise ReadingsError(f"{self.name}: begins anew with other columns than before: start the command again")
        return place is not None

    def _reading(self, text: str) -> tuple[str | int, list[float]]:
        from offbeat.serving.stamps import stamp_of

        cells = [cell.strip() for cell in _cells(text, self._delimiter)]
        if len(cells) != len(self.channels) + 1:
            raise ReadingsError(f"{len(cells)} cells where {len(self.channels) + 1} columns are")
        when = cells.pop(self._place)
        is_whole = when.removeprefix("-").isdecimal()
        try:
            stamp = (is_whole, int(when) if is_whole else stamp_of(when))
        except ValueError as error:
            raise ReadingsError(f"{when[:40]!r} is no timestamp: {error}") from error
        try:
            values = [number_of(cell) for cell in cells]
        except ValueError as error:
            raise ReadingsError(str(error)) from error
        if self._last is not None and (is_whole != self._last[0] or stamp[1] <= self._last[1]):
            raise ReadingsError(f"timestamp {when!r} is not later than the one before it")
        self._last = stamp
        return (stamp[1] if is_whole else when), values


class Feed:
    """Pushes readings to the service, for as long as it takes, and prints what becomes final."""

    def __init__(self, scorer: Scorer, asset: str, everything: bool) -> None:
        self._scorer, self._asset, self._everything = scorer, asset, everything
        self._stream: Stream | None = None
        self._n_scored = 0

    def take(self, table: Table, readings: list[tuple[str | int, list[float]]]) -> None:
        """Push readings."""
        from offbeat.client import Stream

        if readings:
            stream = self._stream = self._stream or Stream(self._scorer, self._asset, table.channels)
            given = [[when for when, _ in readings], [values for _, values in readings]]
            self._print(self._insist(lambda: stream.push(*given), stream.push))

    def end(self) -> None:
        """Print what is left: no reading follows."""
        if self._stream is not None:
            self._print(self._insist(self._stream.flush, self._stream.flush))
            if not self._n_scored:
                typer.echo(
                    "no timestep has a score: no stretch is as long as a window, at the model's period", err=True
                )

    def _insist(self, ask: Callable[[], list[Scored]], again: Callable[[], list[Scored]]) -> list[Scored]:
        """Ask until there is an answer; said once, however long it takes. What the service refuses is raised."""
        from offbeat.errors import ServiceError

        is_away = False
        while True:
            try:
                scored = ask()
            except ServiceError as error:
                if error.status is not None and error.status < 500:
                    raise
                if not is_away:
                    typer.echo(f"{error}: nothing is lost, trying again until it answers", err=True)
                is_away, ask = True, again
                time.sleep(LOOK_EVERY_S)
            else:
                if is_away:
                    typer.echo("the service answers again", err=True)
                return scored

    def _print(self, scored: list[Scored]) -> None:
        for one in scored:
            self._n_scored += one.score is not None
            if one.alarm or self._everything:
                typer.echo(_line(one))


def _line(one: Scored) -> str:
    from offbeat.detection.running import LEADING_SHARE

    score = "none" if one.score is None else f"{one.score:.4g}"
    text = f"{one.timestamp}  score {score}  threshold {one.threshold:.4g}"
    leading, total = [], 0.0
    for channel, share in sorted(one.shares.items(), key=lambda pair: -pair[1]):
        if total < LEADING_SHARE:
            leading.append(f"{channel} {share:.0%}")
        total += share
    return f"{text}  alarm: {', '.join(leading)}" if one.alarm else text


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ReadingsError(f"no CSV: {error}") from error


def _standard_input() -> Iterator[bytes]:
    source: Any = sys.stdin.buffer  # the stubs do not know that it gives what is there
    return iter(lambda: source.read1(CHUNK), b"")


def _growing(path: Path, *, once: bool) -> Iterator[bytes | None]:
    """Yield what a file holds and what is added to it; None before another that takes its place, or when it is cut."""
    if not path.is_file():
        raise ReadingsError(f"{path}: there is no such file: name the one that the readings are written to")
    file = path.open("rb")
    try:
        while True:
            while data := file.read(CHUNK):
                yield data
            if once:
                return
            if os.fstat(file.fileno()).st_size < file.tell():
                file.seek(0)
                yield None
            elif _is_another(path, file):
                yield file.read()  # what came since
                yield None
                file.close()
                file = path.open("rb")
            else:
                time.sleep(LOOK_EVERY_S)
    finally:
        file.close()


def _is_another(path: Path, file: BinaryIO) -> bool:
    try:
        return not os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:  # moved away, and the next one is not there yet
        return False


def _lines(chunks: Iterable[bytes | None]) -> Iterator[tuple[list[bytes], bool]]:
    """Yield lines as they are complete, and whether the first of them begins a file, whose last may lack its end."""
    rest, is_fresh = b"", True
    for data in itertools.chain(chunks, [None]):
        *lines, rest = (rest + (b"\n" if data is None else data)).split(b"\n")
        if lines:
            yield lines, is_fresh
        is_fresh = data is None or (is_fresh and not lines)
