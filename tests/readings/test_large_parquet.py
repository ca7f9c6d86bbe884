"""A large Parquet file gives the same readings in pieces as at once; what only the whole can tell is read at once."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from offbeat.detection.reading import read_file, read_pieces
from offbeat.detection.streaming import joined
from offbeat.errors import ModelError, ReadingsError
from offbeat.readings import asset_readings
from offbeat.readings.asset_readings import comes_in_pieces, read_frame, readings_in_pieces
from offbeat.readings.assets import AssetFiles


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(asset_readings, "PIECE_READINGS", 80)
    monkeypatch.setattr(asset_readings, "MOST_AT_ONCE", 100)


def written(frame, path, **options):
    frame.to_parquet(path, **options)
    return path


@pytest.fixture
def frame(make_series):
    series = make_series(300, seed=1, gaps=[(40, 42), (70, 90)], missing=0.05)
    return series.to_frame().dropna(how="all").rename_axis("timestamp")


FORMS = {
    "an index of times": lambda frame: frame,
    "a column of times": lambda frame: frame.reset_index(),
    "times in microseconds without a zone": lambda frame: (
        frame.tz_localize(None).reset_index().astype({"timestamp": "M8[us]"})
    ),
    "times in another zone": lambda frame: frame.tz_convert("Asia/Tokyo"),
    "times in the last column": lambda frame: frame.assign(when=frame.index).reset_index(drop=True),
    "no times": lambda frame: frame.reset_index(drop=True),
    "an integer index": lambda frame: (
        frame.reset_index(drop=True).rename_axis("step").set_axis(pd.Index(np.arange(len(frame)) * 2 + 7, name="step"))
    ),
    "single precision": lambda frame: frame.astype(np.float32),
    "whole numbers, some missing": lambda frame: frame.round().astype("Int32"),
    "rows without an entry": lambda frame: frame.reset_index().where(pd.Series(np.arange(len(frame)) % 50 != 3)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("row_group_size", [17, None])
def test_pieces_hold_the_readings_of_the_whole(frame, tmp_path, form, row_group_size):
    path = written(FORMS[form](frame), tmp_path / "pump-1.parquet", row_group_size=row_group_size)
    assert comes_in_pieces(AssetFiles.of(path))
    pieces, (whole, source, _) = list(readings_in_pieces(AssetFiles.of(path))), read_frame(AssetFiles.of(path))
    assert len(pieces) > 5
    expected = asset_readings.readings_of_frame(whole, source)
    for name in ("stamps", "values"):
        np.testing.assert_array_equal(np.concatenate([getattr(one, name) for one in pieces]), getattr(expected, name))
    assert {(one.channels, one.is_time, one.is_local, one.values.dtype) for one in pieces} == {
        (expected.channels, expected.is_time, expected.is_local, expected.values.dtype)
    }


OTHERS = {
    "times as text": lambda frame: frame.reset_index().astype({"timestamp": str}),
    "times as numbers": lambda frame: frame.set_axis(pd.Index(frame.index.as_unit("s").asi8, name="time")),
    "a count of the rows beside the times": lambda frame: frame.reset_index().rename_axis("row").reset_index(),
    "rows that count from elsewhere": lambda frame: frame.set_axis(pd.RangeIndex(5, 5 + len(frame))),
    "an integer index with holes": lambda frame: frame.reset_index(drop=True).assign(
        step=np.where(np.arange(len(frame)) == 250, np.nan, np.arange(len(frame)))
    )[["step", *frame]],
}


@pytest.mark.parametrize("form", OTHERS)
def test_what_only_the_whole_can_tell_is_read_at_once(frame, tmp_path, form):
    assert not comes_in_pieces(AssetFiles.of(written(OTHERS[form](frame), tmp_path / "pump-1.parquet")))


def test_a_small_file_and_a_csv_are_read_at_once(frame, tmp_path, make_detector):
    frame.to_csv(tmp_path / "pump-1.csv")
    assert not comes_in_pieces(AssetFiles.of(tmp_path / "pump-1.csv"))
    path = written(frame[:20], tmp_path / "pump-1.parquet")
    assert not comes_in_pieces(AssetFiles.of(path))
    pieces, n_timesteps = read_pieces(make_detector(), AssetFiles.of(path))
    assert [piece.n_timesteps for piece in pieces] == [n_timesteps] == [20]


def test_pieces_on_the_grid_are_the_series(frame, tmp_path, make_detector):
    detector, path = make_detector(), written(frame, tmp_path / "pump-1.parquet")
    pieces, n_rows = read_pieces(detector, AssetFiles.of(path))
    one, whole = joined(list(pieces)), read_file(detector, AssetFiles.of(path))
    for name in ("values", "stamps", "segment_starts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(whole, name))
    assert (one.asset, one.channels, one.step, n_rows) == ("pump-1", whole.channels, whole.step, len(frame))


def test_the_whole_result_comes_of_the_pieces(frame, tmp_path, make_detector):
    detector, path = make_detector(), written(frame.astype(np.float32), tmp_path / "pump-1.parquet")
    whole = detector.score(read_file(detector, AssetFiles.of(path)))
    parts = list(detector.score_pieces("pump-1", read_pieces(detector, AssetFiles.of(path))[0]))
    np.testing.assert_array_equal(np.concatenate([part.scores for part in parts]), whole.scores)


def test_what_is_wrong_in_the_middle_names_its_row_as_the_whole_does(frame, tmp_path, make_detector):
    def infinite(frame):
        frame.iloc[201, 1] = np.inf

    def back(frame):
        frame.loc[frame.index[201], "timestamp"] = frame["timestamp"].iloc[3]

    def twice(frame):
        frame.loc[frame.index[201], "timestamp"] = frame["timestamp"].iloc[200]

    def missing(frame):
        frame.loc[frame.index[201], "timestamp"] = pd.NaT

    detector = make_detector()
    for spoil in (infinite, back, twice, missing):
        wrong = frame.reset_index()
        spoil(wrong)
        path, told = written(wrong, tmp_path / "pump-1.parquet"), []
        assert comes_in_pieces(AssetFiles.of(path))
        for work in (read_file, lambda *both: list(read_pieces(*both)[0])):
            with pytest.raises(ReadingsError) as raised:
                work(detector, AssetFiles.of(path))
            told.append(str(raised.value))
        assert told[0] == told[1]
        assert "row 20" in told[0]


def test_a_file_that_is_cut_off_or_damaged_is_refused(frame, tmp_path):
    path = written(frame, tmp_path / "pump-1.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(ReadingsError, match="cannot be read as Parquet"):
        comes_in_pieces(AssetFiles.of(path))


def test_another_pace_is_refused_with_both_periods(frame, tmp_path, make_detector):
    path = written(frame[110::3], tmp_path / "pump-1.parquet")
    with pytest.raises(ModelError, match="readings every 30 min, the model learnt from readings every 10 min"):
        list(read_pieces(make_detector(), AssetFiles.of(path))[0])


def test_a_detector_of_integers_refuses_times(frame, tmp_path, make_detector, make_series):
    path = written(frame, tmp_path / "pump-1.parquet")
    detector = make_detector(make_series(timed=False))
    with pytest.raises(ModelError):
        list(read_pieces(replace(detector), AssetFiles.of(path))[0])
