"""Readings for a detector: files are read on the grid that it learnt, whatever they seem to show of their period."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from offbeat.detection.detector import Detector
from offbeat.errors import ReadingsError
from offbeat.readings.grid import GridPieces, Readings, shown_step
from offbeat.readings.series import Series, series_of_grid

if TYPE_CHECKING:
    from offbeat.readings.assets import AssetFiles
    from offbeat.readings.frames import Period

LEEWAY = 1.5  # of the period at which readings come, before they are put on the detector's
_Read = TypeVar("_Read")


def read_for(
    detector: Detector, read: Callable[[Period | None], _Read], series_of: Callable[[_Read], Sequence[Series]]
) -> _Read:
    """Read on the detector's period.

    Parameters
    ----------
    detector : Detector
    read : callable
        Reads with a given period, or with the one that the readings show.
    series_of : callable
        Takes what `read` returns.

    Raises
    ------
    ReadingsError
        As `read`.
    ModelError
        If the readings come more than `LEEWAY` times slower or faster than those that the detector learnt from.
    """
    try:
        found = read(None)
    except ReadingsError:
        pass  # too few or too irregular to tell their period; what else is wrong is wrong below too
    else:
        for series in series_of(found):
            detector.check_period(series, leeway=LEEWAY)
        if all(series.period == detector.period for series in series_of(found)):
            return found
    return read(detector.period)


def read_file(detector: Detector, one: AssetFiles) -> Series:
    """Read an asset's files on the grid that a detector learnt; errors as for `read_for`."""
    from offbeat.readings.asset_readings import read_readings  # it loads pandas, which the service does without

    return read_for(
        detector, lambda period: read_readings(one, period=period, max_gap=detector.max_gap), lambda series: [series]
    )


def read_pieces(detector: Detector, one: AssetFiles) -> tuple[Iterator[Series], int]:
    """Return an asset's readings on the grid that a detector learnt, in pieces that are its successive rows.

    Beside them, how many timesteps there will be, or about so many.

    Readings that are few, or of a kind for which `comes_in_pieces` does not hold, are one piece. In those that come in
    pieces, what is wrong shows at its place. Whether its readings come at the detector's period is told by the first
    piece.

    Raises
    ------
    ReadingsError, ModelError
        As `read_for`.
    """
    from offbeat.readings.asset_readings import comes_in_pieces, readings_in_pieces
    from offbeat.readings.tables import parquet_size

    if comes_in_pieces(one):
        return _gridded(detector, one.asset, readings_in_pieces(one)), parquet_size(one.files)[0]
    series = read_file(detector, one)
    return iter([series]), series.n_timesteps


def _gridded(detector: Detector, asset: str, pieces: Iterator[Readings]) -> Iterator[Series]:
    grids = GridPieces(detector.step, detector.max_gap)
    readings: Readings | None = next(pieces)
    is_first = True
    while readings is not None:
        following = next(pieces, None)
        grid = grids.take(readings, is_last=following is None)
        if is_first:
            _check_pace(detector, asset, readings)
        if len(grid.stamps):
            yield series_of_grid(asset, readings, grid, detector.max_gap)
        readings, is_first = following, False


def _check_pace(detector: Detector, asset: str, readings: Readings) -> None:
    """Raise ModelError if readings in order come more than `LEEWAY` times slower or faster than the detector's."""
    try:
        step = shown_step(readings)
    except ReadingsError:
        return  # too few to tell
    detector.check_step(asset, step, readings.is_time, LEEWAY)
