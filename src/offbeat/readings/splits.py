"""Which rows of a series are for learning, for the threshold and for the test, and which are normal.

Time decides: train, then calibration, then test, with an embargo of a window between them so that no window has rows
of two spans.
"""

from __future__ import annotations

from dataclasses import dataclass

from offbeat.errors import ReadingsError
from offbeat.readings.series import Series

Rows = tuple[int, int]


@dataclass(frozen=True)
class Split:
    """Rows [start, stop) of each span of a series; `held_out` is the last part of the training span."""

    train: Rows
    held_out: Rows
    calibration: Rows
    test: Rows


def split_rows(
    series: Series,
    *,
    embargo: int,
    train_share: float,
    calibration_share: float,
    held_out_share: float,
    test_start: int | None = None,
) -> Split:
    """Split a series by time.

    Parameters
    ----------
    series : Series
    embargo : int
        Rows left out between training and calibration, and between calibration and test.
    train_share, calibration_share : float
        Of all rows; with `test_start`, of the rows before it in the same proportion.
    held_out_share : float
        Of the training span.
    test_start : int, optional
        First row of the test span.

    Raises
    ------
    ReadingsError
        If a span has no room for a window.
    """
    n_timesteps = series.n_timesteps
    if test_start is None:
        train_stop = int(n_timesteps * train_share)
        calibration_stop = min(int(n_timesteps * (train_share + calibration_share)), n_timesteps - embargo)
        test_start = calibration_stop + embargo
    else:
        train_stop = int(test_start * train_share / (train_share + calibration_share))
        calibration_stop = test_start - embargo
    held_out_start = train_stop - int(train_stop * held_out_share)
    split = Split(
        train=(0, held_out_start),
        held_out=(held_out_start, train_stop),
        calibration=(train_stop + embargo, calibration_stop),
        test=(test_start, n_timesteps),
    )
    for name, (start, stop) in vars(split).items():
        needed = 1 if name == "test" else embargo
        if stop - start < needed:
            raise ReadingsError(
                f"asset '{series.asset}': its {name.replace('_', '-')} span has {max(stop - start, 0)} of "
                f"{n_timesteps} rows and needs {needed}: give more readings, a shorter prepare.window_size, "
                f"or a larger share to this span"
            )
    return split
