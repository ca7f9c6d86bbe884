"""New readings to final scores: what arrived since the last call, scored as if all had been scored at once.

A score is final when no reading that comes later in time will change it; only final ones are stored, and each once.
Readings are scored from the first timestep that is not stored, with the context before it, never from the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from offbeat.detection.detector import Detector
from offbeat.detection.reading import read_file
from offbeat.detection.streaming import final_rows, tail_start
from offbeat.errors import ModelError, ReadingsError
from offbeat.operation.alarms import NewScores
from offbeat.operation.store import Store
from offbeat.readings.assets import asset_files
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, IntArray

LOOKBACK = 5_000  # stored timesteps; what comes late before the oldest of them is not scored


@dataclass(frozen=True)
class Scored:
    """What a call scored: new rows and new alarms (their ids) of each asset, and what kept an asset from it."""

    rows: Mapping[str, int]
    alarms: Mapping[str, tuple[int, ...]]
    problems: Mapping[str, str]


def score_folder(
    detector: Detector,
    folder: Path,
    store: Store,
    model: str,
    since: Mapping[str, int],
    *,
    lookback: int = LOOKBACK,
) -> Scored:
    """Score what is new in a folder of readings into a store, one asset after the other.

    Parameters
    ----------
    detector : Detector
    folder : Path
        As for `read_folder`; its tables are not read.
    store : Store
    model : str
        Version of the detector; each row names it.
    since : mapping of asset to stamp
        As in `score_new`; an asset that is not in it begins with its first reading.
    lookback : int
        How many of the last stored timesteps late readings may fall between.

    Returns
    -------
    Scored
        An asset whose readings cannot be read or do not fit the detector is a problem, and stops no other.

    Raises
    ------
    ReadingsError
        If there is no folder of readings.
    StoreError
        If the store fails; what was scored before is in it.
    """
    rows: dict[str, int] = {}
    alarms: dict[str, tuple[int, ...]] = {}
    problems: dict[str, str] = {}
    for one in asset_files(folder):
        asset = one.asset
        stored = store.last_stamps(asset, lookback)
        try:
            series = read_file(detector, one)
            new = score_new(detector, series, model, stored=stored, since=since.get(asset), lookback=lookback)
        except (ReadingsError, ModelError) as error:
            problems[asset] = str(error)
            continue
        written = store.write(new)
        rows[asset], alarms[asset] = written.n_rows, written.alarms
    return Scored(rows, alarms, problems)


def score_new(
    detector: Detector,
    series: Series,
    model: str,
    *,
    stored: ArrayLike = (),
    since: int | None = None,
    lookback: int = LOOKBACK,
) -> NewScores:
    """Score the timesteps of a series that are final and not stored yet.

    Parameters
    ----------
    detector : Detector
    series : Series
        All readings of an asset, on the detector's period.
    model : str
    stored : array of shape (n,), int
        The last `lookback` stamps that are stored of the asset, ascending; all where there are fewer.
    since : int, optional
        The stamp at which an asset begins that nothing is stored of; its first reading by default. Where fewer than
        `lookback` are stored, late readings may fall between it and the first of them.
    lookback : int

    Returns
    -------
    NewScores

    Raises
    ------
    ModelError, ReadingsError
        As `Detector.score`.
    """
    detector.check_period(series)
    stamps, held = series.stamps, np.asarray(stored, dtype=np.int64)
    begin = since if since is not None else stamps[0]
    if len(held):
        begin = held[0] if len(held) >= lookback or since is None else min(since, held[0])
    rows = np.flatnonzero(final_rows(detector, series) & ~_is_stored(stamps, held, series.step) & (stamps >= begin))
    # without a new row the last readings are scored all the same: the detector may refuse them
    start = tail_start(detector, series, int(rows[0]) if len(rows) else series.n_timesteps - 1)
    result = detector.score(series.rows(start, series.n_timesteps))
    bounds = np.array(series.segments)  # (S, 2)
    segment = bounds[np.searchsorted(bounds[:, 0], rows, side="right") - 1]  # (n, 2)
    return NewScores(
        asset=series.asset,
        model=model,
        is_time=series.is_time,
        period=series.step,
        merge_gap=detector.params.merge_gap,
        threshold=result.threshold,
        channels=result.channels,
        stamps=stamps[rows],
        scores=result.scores[rows - start],
        shares=result.channel_shares[rows - start],
        segments=np.stack([stamps[segment[:, 0]], stamps[segment[:, 1] - 1]], axis=1),
    )


def _is_stored(stamps: IntArray, held: IntArray, step: int) -> BoolArray:
    """Return the timesteps (T,) that one of the stored stamps stands for: the nearest, should the grid have moved."""
    nearest = np.searchsorted(held, stamps - (step - 1) // 2, side="left")
    padded = np.append(held, np.iinfo(np.int64).max)
    found: BoolArray = padded[nearest] <= stamps + step // 2
    return found
