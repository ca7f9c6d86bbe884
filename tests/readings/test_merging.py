"""New readings into known ones: which one wins, and what is counted."""

import naive
import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.merging import Counts, merge
from offbeat.readings.pieces import Piece


def frame_of(rows):
    """Readings of channels a and b from pairs of stamp and values, None missing."""
    values = [[np.nan if value is None else value for value in values] for _, values in rows]
    return pd.DataFrame(np.array(values, dtype=float), pd.Index([stamp for stamp, _ in rows]), ["a", "b"])


def random_rows(rng, n):
    """Rows of distinct stamps below 8, in any order, a third of the readings missing, values 1 to 3."""
    stamps = rng.permutation(8)[:n].tolist()
    return [(stamp, [None if rng.random() < 1 / 3 else int(rng.integers(1, 4)) for _ in "ab"]) for stamp in stamps]


@pytest.mark.parametrize("seed", range(60))
def test_merging_equals_plain_loops(seed):
    rng = np.random.default_rng(seed)
    known = dict(sorted(random_rows(rng, int(rng.integers(0, 8)))))
    pieces = [random_rows(rng, int(rng.integers(1, 8))) for _ in range(int(rng.integers(1, 4)))]
    rows, (new, filled, corrected, unchanged) = naive.merge_readings(known, pieces)
    old = Piece("known", frame_of(list(known.items()))) if known else None
    merged, counts = merge(old, [Piece(f"file {k}", frame_of(piece)) for k, piece in enumerate(pieces)])
    pd.testing.assert_frame_equal(merged, frame_of(list(rows.items())))
    assert counts == Counts(new, filled, corrected, unchanged)


def test_what_is_merged_again_changes_nothing():
    rng = np.random.default_rng(0)
    pieces = [Piece(f"file {k}", frame_of(random_rows(rng, 5))) for k in range(3)]
    merged, _ = merge(None, pieces)
    again, counts = merge(Piece("known", merged), [Piece("all", merged)])
    pd.testing.assert_frame_equal(again, merged)
    assert (counts, counts.changes) == (Counts(unchanged=len(merged)), False)


def test_rows_of_one_timestamp_and_origin_complete_each_other():
    pieces = [Piece("f", frame_of(rows)) for rows in ([(1, [5, None])], [(1, [None, 6]), (1, [5, 6])])]
    merged, _ = merge(None, pieces)
    assert merged.to_numpy().tolist() == [[5.0, 6.0]]


def test_rows_of_one_timestamp_and_origin_must_not_contradict_each_other():
    pieces = [Piece("f.csv", frame_of([(1, [5, None])])), Piece("f.csv", frame_of([(1, [7, None])]))]
    with pytest.raises(ReadingsError, match=r"f\.csv: timestamp 1 stands there twice .* channel 'a': keep"):
        merge(None, pieces)


def test_whole_numbers_stay_whole_until_one_is_missing():
    whole = pd.DataFrame({"a": [2**60 + 1, 2**60 + 3]}, pd.Index([1, 2]))
    merged, _ = merge(Piece("known", whole.iloc[:1]), [Piece("f", whole.iloc[1:])])
    assert merged["a"].tolist() == [2**60 + 1, 2**60 + 3]
    holed = pd.DataFrame({"a": [np.nan]}, pd.Index([3]))
    assert str(merge(Piece("known", whole), [Piece("f", holed)])[0]["a"].dtype) == "float64"


def test_what_is_given_stays_as_it_is():
    known, piece = frame_of([(1, [1, None])]), frame_of([(2, [3, 4]), (1, [2, 2])])
    before = known.copy(), piece.copy()
    merge(Piece("known", known), [Piece("f", piece)])
    pd.testing.assert_frame_equal(known, before[0])
    pd.testing.assert_frame_equal(piece, before[1])
