"""Requests: bytes to readings on a model's grid, or a refusal that names the field.

Nothing that a client sends is evaluated, and of what is wrong only the field and a few letters are shown.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson

from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.detection.reading import LEEWAY
from offbeat.errors import ModelError, ReadingsError
from offbeat.readings.grid import Readings, inferred_step, to_grid
from offbeat.readings.limits import LARGEST_READING
from offbeat.readings.messages import Source
from offbeat.readings.series import Series, series_of_grid
from offbeat.serving.cells import TIME_COLUMNS, number_of
from offbeat.serving.refusals import Refusal
from offbeat.serving.stamps import stamp_of
from offbeat.typing import FloatArray, IntArray

KEYS = ("asset", "timestamps", "values", "channels")
_NUMBERS = {int, float, type(None)}


@dataclass(frozen=True)
class Limits:
    """The largest request: bytes, rows, channels and assets."""

    body: int = 32 * 1024 * 1024
    rows: int = 100_000
    channels: int = 1_000
    assets: int = 1_000


def read_json(body: bytes) -> Any:
    """Return what a body says in JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal("bad_content", f"not JSON: {error}") from None


def read_request(content: Any, fleet: Fleet, limits: Limits, field: str = "") -> Series:
    """Return the readings of one asset, checked and on the grid of its detector.

    Parameters
    ----------
    content : object
        As JSON gives it.
    fleet : Fleet
    limits : Limits
    field : str
        What stands before the names of fields, as in ``requests[2].``.

    Raises
    ------
    Refusal
    """
    if not isinstance(content, dict):
        raise Refusal(
            "bad_content", "a request is an object with asset, timestamps and values", field.rstrip(".") or None
        )
    for key in content:
        if key not in KEYS:
            raise Refusal("bad_content", f"unknown key {key[:50]!r}: known are {', '.join(KEYS)}", field + key[:50])
    for key in KEYS[:3]:
        if key not in content:
            raise Refusal("bad_content", f"key {key!r} is missing", field + key)
    asset = content["asset"]
    if not isinstance(asset, str):
        raise Refusal("bad_content", "asset must be a text", f"{field}asset")
    detector = known_detector(fleet, asset, f"{field}asset")
    channels = content.get("channels", list(detector.channels))
    if not isinstance(channels, list) or {type(name) for name in channels} - {str}:
        raise Refusal("bad_content", "channels must be a list of texts", f"{field}channels")
    stamps = _stamps(content["timestamps"], detector, limits, f"{field}timestamps")
    named = tuple(channels)
    values = _values(content["values"], len(stamps), named, limits, f"{field}values")
    return to_series(asset, stamps, values, named, detector, field)


def known_detector(fleet: Fleet, asset: str, field: str = "asset") -> Detector:
    """Return the detector of an asset; Refusal if the model does not know it."""
    if asset not in fleet.group_of:
        raise Refusal(
            "unknown_asset", f"the model does not know asset {asset[:100]!r}: GET /model lists those it does", field
        )
    return fleet.detector_of(asset)


def read_csv(body: bytes, asset: str, fleet: Fleet, limits: Limits) -> Series:
    """Return the readings of a CSV file: a line of names, then a timestamp and a number for each channel.

    Separated by comma, semicolon or tab; an empty cell, NA, NaN or null is a missing reading.

    Raises
    ------
    Refusal
        Its field is the line, and the column where one cell is wrong.
    """
    detector = known_detector(fleet, asset)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal("bad_content", f"not UTF-8 text: byte {error.start} is no letter of it") from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        rows = [
            (k, row) for k, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), start=1) if any(row)
        ]
    except csv.Error as error:
        raise Refusal("bad_content", f"not CSV: {error}") from None
    if len(rows) < 2:
        raise Refusal("bad_content", "no readings: give a line of names and at least one of readings")
    names = [name.strip() for name in rows[0][1]]
    if len(rows) - 1 > limits.rows:
        raise Refusal(
            "too_large", f"{len(rows) - 1:,} rows, and at most {limits.rows:,} are allowed: send it in pieces"
        )
    place = next((k for k, name in enumerate(names) if name.lower() in TIME_COLUMNS), None)
    if place is None:
        raise Refusal("bad_content", f"no column is called {', '.join(TIME_COLUMNS)}: name the timestamps so", "line 1")
    for line, row in rows[1:]:
        if len(row) != len(names):
            raise Refusal("bad_content", f"{len(row)} cells where {len(names)} names stand", f"line {line}")
    times = [row[place].strip() for _, row in rows[1:]]
    cells = [[cell.strip() for k, cell in enumerate(row) if k != place] for _, row in rows[1:]]
    lines = [line for line, _ in rows[1:]]
    read = stamp_of if detector.is_time else int
    stamps = _each(times, read, lambda k: f"line {lines[k]}, column {names[place]}", "no timestamp")
    channels = tuple(name for k, name in enumerate(names) if k != place)
    numbers = [
        [_cell(cell, line, channel) for cell, channel in zip(row, channels, strict=True)]
        for line, row in zip(lines, cells, strict=True)
    ]
    values = np.array(numbers, dtype=np.float64)
    return to_series(asset, stamps, values, channels, detector)


def to_series(
    asset: str, stamps: IntArray, values: FloatArray, channels: tuple[str, ...], detector: Detector, field: str = ""
) -> Series:
    """Put readings on the detector's grid, as `offbeat score` does with those of a file."""
    if set(channels) != set(detector.channels) or len(channels) != len(detector.channels):
        missing = [name for name in detector.channels if name not in channels]
        extra = [name[:50] for name in channels if name not in detector.channels]
        wrong = f"; missing: {', '.join(missing)}" if missing else ""
        wrong += f"; unknown to it: {', '.join(extra[:10])}" if extra else ""
        known = f"the model knows channels {', '.join(detector.channels)}{wrong}"
        raise Refusal("bad_shape", f"{known}: give just these, each once", f"{field}channels")
    readings = Readings(stamps, values, channels, Source("the request"), detector.is_time, is_local=False)
    try:
        if len(stamps) > 1 and (np.diff(stamps) > 0).all():  # else the grid says what is wrong
            detector.check_step(asset, inferred_step(readings), detector.is_time, LEEWAY)
        grid = to_grid(readings, detector.step, detector.max_gap)
    except (ReadingsError, ModelError) as error:
        raise Refusal("bad_shape", str(error), f"{field}timestamps") from None
    return series_of_grid(asset, readings, grid, detector.max_gap)


def _stamps(given: Any, detector: Detector, limits: Limits, field: str) -> IntArray:
    if not isinstance(given, list) or not given:
        raise Refusal("bad_content", "timestamps must be a list of at least one", field)
    if len(given) > limits.rows:
        raise Refusal(
            "too_large", f"{len(given):,} rows, and at most {limits.rows:,} are allowed: send them in pieces", field
        )
    kinds = set(map(type, given))
    if detector.is_time:
        if kinds != {str}:
            raise Refusal("bad_content", "the model learnt from times: write each as 2026-01-05T00:10:00Z", field)
        return _each(given, stamp_of, lambda k: f"{field}[{k}]", "no time")
    if kinds != {int}:
        raise Refusal("bad_content", "the model learnt from an integer index: write whole numbers", field)
    return _each(given, int, lambda k: f"{field}[{k}]", "no whole number")


def _each(given: Sequence[Any], read: Callable[[Any], int], field: Callable[[int], str], what: str) -> IntArray:
    """Read one by one, so that the wrong one can be named."""
    stamps = np.empty(len(given), dtype=np.int64)
    for k, one in enumerate(given):
        try:
            stamps[k] = read(one)
        except (ValueError, OverflowError) as error:
            shown = str(one)[:40]
            raise Refusal("bad_content", f"{shown!r} is {what}: {error}", field(k)) from None
    return stamps


def _values(given: Any, n_rows: int, channels: Sequence[str], limits: Limits, field: str) -> FloatArray:
    if not isinstance(given, list) or not set(map(type, given)) <= {list}:
        raise Refusal("bad_content", "values must be a list of rows, each a list of numbers", field)
    if len(given) != n_rows:
        raise Refusal("bad_shape", f"{len(given)} rows of values for {n_rows} timestamps", field)
    if len(channels) > limits.channels:
        raise Refusal("too_large", f"{len(channels)} channels, and at most {limits.channels} are allowed", field)
    lengths = list(map(len, given))
    if set(lengths) != {len(channels)}:
        k = next(k for k, length in enumerate(lengths) if length != len(channels))
        raise Refusal("bad_shape", f"{lengths[k]} values where {len(channels)} channels are", f"{field}[{k}]")
    if not set(map(type, chain.from_iterable(given))) <= _NUMBERS:
        k, j = next((k, j) for k, row in enumerate(given) for j, one in enumerate(row) if type(one) not in _NUMBERS)
        raise Refusal("bad_content", "a value must be a number, or null where it is missing", f"{field}[{k}][{j}]")
    values = np.array(given, dtype=np.float64)  # None becomes NaN
    _check_size(values, lambda row, column: f"{field}[{row}][{column}]")
    return values


def _check_size(values: FloatArray, field: Callable[[int, int], str]) -> None:
    wild = np.abs(values) > LARGEST_READING
    if wild.any():
        row, column = np.argwhere(wild)[0].tolist()
        raise Refusal("bad_content", f"a reading must lie within ±{LARGEST_READING:g}", field(row, column))


def _cell(cell: str, line: int, channel: str) -> float:
    try:
        return number_of(cell)
    except ValueError as error:
        raise Refusal("bad_content", str(error), f"line {line}, column {channel[:50]}") from None


def read_many(content: Any, limits: Limits) -> list[Any]:
    """Return the requests of a request for many assets."""
    if not isinstance(content, Mapping) or set(content) != {"requests"} or not isinstance(content["requests"], list):
        raise Refusal("bad_content", "give one key, requests, with a list of requests", "requests")
    requests = content["requests"]
    if not requests:
        raise Refusal("bad_content", "requests must hold at least one", "requests")
    if len(requests) > limits.assets:
        raise Refusal(
            "too_large",
            f"{len(requests):,} assets, and at most {limits.assets:,} are allowed: ask in turns",
            "requests",
        )
    n_rows = sum(len(one["timestamps"]) for one in requests if isinstance(one, dict) and _has_rows(one))
    if n_rows > limits.rows:
        raise Refusal(
            "too_large", f"{n_rows:,} rows in all, and at most {limits.rows:,} are allowed: ask in turns", "requests"
        )
    return requests


def _has_rows(one: Mapping[str, Any]) -> bool:
    return isinstance(one.get("timestamps"), list)
