"""Frames to series: what pandas holds, checked and put on a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypeAlias

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.grid import Readings, to_grid
from offbeat.readings.messages import Source
from offbeat.readings.series import DEFAULT_MAX_GAP, Series, check_finite, series_of_grid
from offbeat.typing import FloatArray, IntArray

Period: TypeAlias = pd.Timedelta | timedelta | str | int


def series_from_frame(
    df: pd.DataFrame,
    asset: str,
    source: Source,
    *,
    period: Period | None = None,
    max_gap: int = DEFAULT_MAX_GAP,
    notes: Sequence[str] = (),
) -> Series:
    """Do the work of `Series.from_frame` with messages that name `source`, after `notes` of whoever read it."""
    if max_gap < 0:
        raise ReadingsError(f"max_gap={max_gap} must be at least 0 timesteps")
    readings = readings_of_frame(df, source)
    step = None if period is None else given_step(period, source, readings.is_time)
    return series_of_grid(asset, readings, to_grid(readings, step, max_gap), max_gap, notes)


def readings_of_frame(df: pd.DataFrame, source: Source) -> Readings:
    """Check the readings in a frame, on no grid yet, by the rules of `Series.from_frame`."""
    channels = _channels(df, source)
    if len(df) == 0:
        raise ReadingsError(f"{source.name} holds no readings: give at least two rows")
    values = _values(df, channels, source)
    is_time, is_local = isinstance(df.index, pd.DatetimeIndex), getattr(df.index, "tz", None) is None
    return Readings(_stamps(df.index, source), values, channels, source, is_time, is_local)


def as_utc(when: pd.Timestamp) -> pd.Timestamp:
    """Convert a time to UTC with nanoseconds; one without a zone is taken as UTC."""
    aware = when.tz_localize("UTC") if when.tz is None else when.tz_convert("UTC")
    return aware.as_unit("ns")


def given_step(period: Period, source: Source, is_time: bool) -> int:
    """Step of the grid that somebody asks for, in nanoseconds or index units.

    Raises
    ------
    ReadingsError
        If it is no length, or of another kind than the index.
    """
    name = source.name
    if is_time == isinstance(period, int | np.integer):
        wanted = "a time such as '10s'" if is_time else "a whole number of index steps"
        raise ReadingsError(f"{name}: period={period!r} must be {wanted}, like the index of the readings")
    try:
        step = int(period) if isinstance(period, int) else int(pd.Timedelta(period).value)
    except ValueError as error:
        raise ReadingsError(f"{name}: period={period!r} is not a length of time: write '10s' or '5min'") from error
    if step <= 0:  # also NaT
        raise ReadingsError(f"{name}: period={period!r} must be longer than zero")
    return step


def _channels(df: pd.DataFrame, source: Source) -> tuple[str, ...]:
    channels = tuple(str(name) for name in df.columns)
    if not channels:
        raise ReadingsError(f"{source.name} has no channel: give at least one numeric column")
    twice = sorted({name for name in channels if channels.count(name) > 1})
    if twice:
        raise ReadingsError(f"{source.name}: column {twice[0]!r} stands there more than once: rename or drop one")
    return channels


def _values(df: pd.DataFrame, channels: tuple[str, ...], source: Source) -> FloatArray:
    for name, dtype in zip(channels, df.dtypes, strict=True):
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
            raise ReadingsError(
                f"{source.name}: channel {name!r} must hold numbers, but its type is {dtype}: "
                "convert it (pandas.to_numeric) or drop it"
            )
    # single precision stays as it is, in half the memory; whatever else might lose digits by it
    kind = np.float32 if (df.dtypes == np.float32).all() else np.float64
    values = df.to_numpy(dtype=kind, na_value=np.nan, copy=True)  # (n, F)
    check_finite(values, channels, source)
    return values


def _index_stamps(index: pd.Index) -> IntArray:
    if isinstance(index, pd.DatetimeIndex):
        return np.asarray(index.as_unit("ns").asi8, dtype=np.int64)
    return index.to_numpy(dtype=np.int64)


def _stamps(index: pd.Index, source: Source) -> IntArray:
    """Timestamps as nanoseconds since 1970 UTC, or the integers themselves, shape (n,)."""
    if isinstance(index, pd.DatetimeIndex):
        if index.hasnans:
            raise ReadingsError(f"{source.row(int(np.argmax(index.isna())))}: the timestamp is missing: fill it in")
        try:
            return _index_stamps(index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC"))
        except pd.errors.OutOfBoundsDatetime as error:
            raise ReadingsError(f"{source.name}: timestamps must lie between 1678 and 2262: {error}") from error
    if isinstance(index, pd.MultiIndex) or not pd.api.types.is_integer_dtype(index.dtype) or index.hasnans:
        raise ReadingsError(
            f"{source.name}: the index must hold timestamps or integers, not {index.dtype}: "
            "set it with df.set_index(pandas.to_datetime(...))"
        )
    if len(index) and index.max() > np.iinfo(np.int64).max:
        row = int(index.argmax())
        raise ReadingsError(f"{source.row(row)}: index {index[row]} must lie below 2**63: count from a later start")
    return _index_stamps(index)
