"""Pieces of readings: the form they are brought into, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.pieces import Piece, check_alike, checked


def frame(index=(1, 2), **columns):
    return pd.DataFrame(columns or {"x": [1.0, 2.0]}, pd.Index(index))


def test_times_become_utc_with_nanoseconds():
    local = pd.DatetimeIndex(["2026-01-05 01:00:00.000000001"]).tz_localize("Europe/Berlin")
    naive_seconds = pd.DatetimeIndex(["2026-01-05 00:00"]).as_unit("s")
    for index, stamp in ((local, "2026-01-05T00:00:00.000000001Z"), (naive_seconds, "2026-01-05T00:00:00Z")):
        found = checked(frame(index, x=[1]), "a", "f").index
        assert (found.unit, found[0]) == ("ns", pd.Timestamp(stamp))


def test_numbers_become_whole_or_double():
    given = frame(
        small=np.array([1, 2], dtype=np.int8),
        yes=[True, False],
        single=np.array([0.1, np.nan], dtype=np.float32),
        holed=pd.array([1, None], dtype="Int64"),
    )
    found = checked(given, "a", "f")
    assert found.dtypes.astype(str).tolist() == ["int64", "int64", "float64", "float64"]
    assert found["yes"].tolist() == [1, 0]
    assert found["holed"].isna().tolist() == [False, True]


@pytest.mark.parametrize("asset", ["", " ", "a ", ".a", "a/b", "a\\b", "..", "a\nb", "a" * 201, "ü" * 101])
def test_asset_whose_name_cannot_be_a_file_is_refused(asset):
    with pytest.raises(ReadingsError, match=r"f\.csv: the asset's name becomes a file's and must not .*: rename it"):
        checked(frame(), asset, "f.csv")


@pytest.mark.parametrize("asset", ["pump 1", "a" * 200, "Pümpe-7 (Süd)", "a..b", "labels"])
def test_other_names_are_taken(asset):
    checked(frame(), asset, "f.csv")


@pytest.mark.parametrize("name", ["", " ", "Time", "ts", "a;b", "a\tb", "x\x7f"])
def test_channel_whose_name_would_not_come_back_is_refused(name):
    with pytest.raises(ReadingsError, match=r"a channel must not .*: rename or drop it"):
        checked(frame(**{name: [1, 2]}), "a", "f.csv")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (frame(x=[1.0, np.inf]), "f: channel 'x' is inf at 2: a reading must be finite"),
        (frame(x=["1", "b"]), "f: channel 'x' must hold numbers, but its type is object"),
        (pd.DataFrame({"x": [1]}, pd.Index([0.5])), "f: the index must hold timestamps or integers"),
        (pd.DataFrame({"x": [1]}, pd.DatetimeIndex([pd.NaT])), "f: a timestamp is missing"),
        (pd.DataFrame({"x": [1]}, pd.DatetimeIndex(["2300-01-01"], dtype="M8[s]")), "f: timestamps must lie between"),
        (pd.DataFrame(index=[1]), "f has no channel"),
        (pd.DataFrame([[1, 2]], columns=["x", " x"]), "f: a channel must not stand there twice, got 'x'"),
    ],
)
def test_what_is_no_reading_is_refused(given, message):
    with pytest.raises(ReadingsError, match=message):
        checked(given, "a", "f")


def test_pieces_of_an_asset_have_its_channels_and_its_kind_of_index():
    model = Piece("pump-1.csv", frame(x=[1, 2], y=[1, 2]))
    check_alike(Piece("f", frame(y=[1, 2], x=[1, 2])), model, "pump-1")
    for other, message in (
        (frame(x=[1, 2]), r"f: the readings of 'pump-1' lack 'y', unlike pump-1\.csv: nothing was taken in; rename"),
        (frame(x=[1, 2], z=[1, 2]), "lack 'y' and have in addition 'z'"),
        (frame(pd.DatetimeIndex(["2026", "2027"]), x=[1, 2], y=[1, 2]), "'pump-1' have timestamps, unlike"),
    ):
        with pytest.raises(ReadingsError, match=message):
            check_alike(Piece("f", other), model, "pump-1")
