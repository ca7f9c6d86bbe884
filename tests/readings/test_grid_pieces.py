"""Readings that come in pieces end on the same grid as all of them at once."""

import numpy as np
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.grid import GridPieces, Readings, shown_step, to_grid
from offbeat.readings.messages import Source

STEP = 10


def readings_of(stamps, values, first=0):
    source = Source("file", first=first)
    return Readings(np.asarray(stamps), np.asarray(values, dtype=float), ("a", "b"), source, True, False)


def cut(readings, sizes):
    """Pieces of some sizes, in turn."""
    pieces, start, k = [], 0, 0
    while start < len(readings.stamps):
        stop = start + sizes[k % len(sizes)]
        pieces.append(readings_of(readings.stamps[start:stop], readings.values[start:stop], start))
        start, k = stop, k + 1
    return pieces


def in_pieces(readings, sizes, max_gap):
    grids, pieces = GridPieces(STEP, max_gap), cut(readings, sizes)
    return [grids.take(piece, is_last=piece is pieces[-1]) for piece in pieces]


def compare(readings, max_gap, sizes):
    whole, parts, n, starts = to_grid(readings, STEP, max_gap), in_pieces(readings, sizes, max_gap), 0, []
    for part in parts:
        starts += (part.segment_starts + n).tolist()
        n += len(part.stamps)
    np.testing.assert_array_equal(np.concatenate([part.stamps for part in parts]), whole.stamps)
    np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)
    assert starts == whole.segment_starts.tolist()


def test_pieces_make_the_grid_of_the_whole_wherever_they_are_cut():
    """With readings beside the grid, several on a point, rows said twice, rows without a reading, and gaps."""
    rng = np.random.default_rng(0)
    for trial in range(200):
        n = 40
        steps = rng.choice([0, 3, 9, 10, 11, 20, 30, 70], n, p=[0.05, 0.1, 0.2, 0.45, 0.1, 0.05, 0.03, 0.02])
        stamps, values = 1_000 + np.cumsum(steps), rng.random((n, 2))
        values[rng.random((n, 2)) < 0.2] = np.nan
        twice = np.flatnonzero(steps == 0)
        values[twice[twice > 0]] = values[twice[twice > 0] - 1]
        for row in twice[twice > 0]:  # a third row of one time says the same, too
            values[row] = values[row - 1]
        if trial % 2:
            values[rng.integers(0, n, 3)] = np.nan
        readings = readings_of(stamps, values)
        for max_gap in (1, 3):
            for sizes in ([1], [2, 5], [7], [n]):
                compare(readings, max_gap, sizes)


def test_a_piece_whose_rows_hold_nothing_adds_no_row():
    values = np.ones((30, 2))
    values[10:20] = np.nan
    compare(readings_of(np.arange(30) * STEP, values), 2, [5])
    compare(readings_of(np.arange(30) * STEP, values), 20, [5])


def test_single_precision_stays():
    readings = readings_of([0, 10, 11, 40], np.ones((4, 2)))
    single = Readings(readings.stamps, readings.values.astype(np.float32), *list(vars(readings).values())[2:])
    assert to_grid(single, STEP, 2).values.dtype == np.float32
    assert GridPieces(STEP, 2).take(single, is_last=True).values.dtype == np.float32


@pytest.mark.parametrize("size", [1, 3, 8, 30])
def test_what_is_wrong_is_refused_as_in_the_whole(size):
    def refusals(stamps, values):
        readings, told = readings_of(stamps, values), []
        for work in (lambda: to_grid(readings, STEP, 2), lambda: in_pieces(readings, [size], 2)):
            with pytest.raises(ReadingsError) as raised:
                work()
            told.append(str(raised.value))
        return told

    stamps, values = np.arange(30) * STEP, np.random.default_rng(0).random((30, 2))
    back, twice = stamps.copy(), stamps.copy()
    back[17], twice[17] = 3, stamps[16]
    for wrong in ((back, values), (twice, values), (stamps, values * np.nan), (stamps * 9, values)):
        whole, pieces = refusals(*wrong)
        assert pieces == whole


def test_the_shown_step_is_that_of_the_grid():
    readings = readings_of([0, 10, 20, 20, 30, 70], np.ones((6, 2)))
    assert shown_step(readings) == to_grid(readings, None, 2).step == 10
