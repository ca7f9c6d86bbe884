"""One asset's readings are the same from a file and from a file for each month, at once and piece by piece."""

import numpy as np
import pandas as pd
import pytest

from offbeat.detection.reading import read_file, read_pieces
from offbeat.detection.streaming import joined
from offbeat.errors import ReadingsError
from offbeat.readings import asset_readings
from offbeat.readings.asset_readings import comes_in_pieces, read_readings, readings_in_pieces
from offbeat.readings.assets import asset_files
from offbeat.readings.layout import write_frame, write_partitions


def months_of(frame, folder):
    """Write a frame as a partitioned data set and return where its months lie."""
    write_partitions(folder, "pumps", "pump-1", frame)
    [one] = asset_files(folder)
    return one


def file_of(frame, folder, ending=".csv"):
    (folder / "readings").mkdir(parents=True)
    write_frame(folder / "readings" / f"pump-1{ending}", frame)
    [one] = asset_files(folder)
    return one


def assert_same(one, other):
    for name in ("values", "stamps", "segment_starts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    for name in ("asset", "channels", "period", "max_gap", "notes"):
        assert getattr(one, name) == getattr(other, name)


def irregular(seed, *, n=400, timed=True):
    """Readings over three months with gaps, missing readings and uneven steps, some of them at the months' borders."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([60, 300, 300, 300, 300, 310, 900, 6 * 3600, 4 * 86_400], n, p=[0.05, *[0.2] * 4, *[0.0375] * 4])
    index = pd.Timestamp("2026-01-29 22:00") + pd.to_timedelta(np.cumsum(steps), unit="s")
    frame = pd.DataFrame(
        {"b": rng.standard_normal(n) / 3, "a": rng.integers(0, 9, n)}, index if timed else steps.cumsum()
    )
    frame.loc[rng.random(n) < 0.1, "b"] = np.nan
    return frame


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_both_layouts_hold_the_same_series(tmp_path, seed, timed):
    frame = irregular(seed, timed=timed)
    one = months_of(frame, tmp_path / "months")
    assert len(one.files) == (frame.index.strftime("%Y-%m").nunique() if timed else 1)
    found = read_readings(one)
    for ending in (".csv", ".parquet"):
        assert_same(found, read_readings(file_of(frame, tmp_path / ending, ending)))


@pytest.mark.parametrize("kind", [np.float32, np.float64, "Int64"])
def test_a_month_keeps_the_type_of_its_numbers(tmp_path, kind):
    frame = irregular(1)[["a"]].astype(kind)
    one, whole = months_of(frame, tmp_path / "months"), file_of(frame, tmp_path / "file", ".parquet")
    assert_same(read_readings(one), read_readings(whole))


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(asset_readings, "PIECE_READINGS", 70)
    monkeypatch.setattr(asset_readings, "MOST_AT_ONCE", 100)


@pytest.fixture
def humming(make_series):
    """Readings across the end of a month, every ten minutes."""
    frame = make_series(300, seed=1, gaps=[(40, 42), (70, 90)], missing=0.05).to_frame().dropna(how="all")
    return frame.set_axis(frame.index + pd.Timedelta("25d 10h"))


@pytest.mark.usefixtures("small_pieces")
def test_months_come_in_pieces_that_are_the_whole(tmp_path, humming, make_detector):
    one, detector = months_of(humming, tmp_path), make_detector()
    assert (len(one.files), comes_in_pieces(one)) == (2, True)
    assert len(list(readings_in_pieces(one))) > 10
    pieces, n_rows = read_pieces(detector, one)
    found, whole = joined(list(pieces)), read_file(detector, one)
    assert n_rows == len(humming)
    for name in ("values", "stamps", "segment_starts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def plain(file):
    """What the file holds, without what its folders say."""
    return pd.read_parquet(file, partitioning=None)


def rewritten(file, change):
    frame = plain(file)
    change(frame)
    frame.to_parquet(file, index=False)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("what", ["infinite", "back", "missing"])
def test_what_is_wrong_names_the_month_and_its_row(tmp_path, humming, make_detector, what):
    def spoil(frame):
        if what == "infinite":
            frame.iloc[5, 1] = np.inf
        else:
            frame.loc[5, "timestamp"] = pd.NaT if what == "missing" else frame["timestamp"][0]

    one = months_of(humming, tmp_path)
    rewritten(one.files[1], spoil)
    for work in (read_file, lambda *both: list(read_pieces(*both)[0])):
        with pytest.raises(ReadingsError, match=r"group=pumps/asset=pump-1/month=2026-02/readings\.parquet, row 5"):
            work(make_detector(), one)


@pytest.mark.usefixtures("small_pieces")
def test_a_row_is_named_after_blank_ones_in_an_earlier_month_as_well(tmp_path, humming, make_detector):
    def blank(frame):
        frame.iloc[7] = np.nan

    def infinite(frame):
        frame.iloc[5, 1] = np.inf

    one = months_of(humming, tmp_path)
    rewritten(one.files[0], blank)
    rewritten(one.files[1], infinite)
    for work in (read_file, lambda *both: list(read_pieces(*both)[0])):
        with pytest.raises(ReadingsError, match=r"month=2026-02/readings\.parquet, row 5"):
            work(make_detector(), one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="flow"), "lacks column 'flow'"),
        (lambda frame: frame.assign(extra=1.0), "has in addition column 'extra'"),
        (lambda frame: frame.astype({"flow": np.float32}), "column 'flow' holds float, not double"),
        (lambda frame: frame[["timestamp", "speed", "flow", "temp"]], "has its columns in another order"),
    ],
)
def test_months_with_other_columns_are_refused(tmp_path, humming, change, message):
    one = months_of(humming, tmp_path)
    change(plain(one.files[1])).to_parquet(one.files[1], index=False)
    for work in (read_readings, comes_in_pieces):
        with pytest.raises(
            ReadingsError, match=rf"month=2026-02/readings\.parquet: {message}, unlike .*2026-01.*alike"
        ):
            work(one)


def test_months_of_rows_without_times_are_refused(tmp_path, humming):
    one = months_of(humming, tmp_path)
    for file in one.files:
        plain(file).drop(columns="timestamp").to_parquet(file, index=False)
    with pytest.raises(ReadingsError, match="asset=pump-1 has months, but its rows have no times: join them"):
        read_readings(one)


@pytest.mark.usefixtures("small_pieces")
def test_a_month_that_pandas_cut_out_of_a_frame_is_read_by_its_rows(tmp_path, humming, make_detector):
    frame = humming.rename_axis("timestamp").reset_index()
    one, detector = months_of(humming, tmp_path), make_detector()
    for month, file in zip(("2026-01", "2026-02"), one.files, strict=True):
        frame[frame["timestamp"].dt.strftime("%Y-%m") == month].to_parquet(file)  # with its numbers of rows
    assert_same(read_file(detector, one), read_file(detector, file_of(humming, tmp_path / "file")))


@pytest.mark.usefixtures("small_pieces")
def test_a_month_without_rows_is_none(tmp_path, humming, make_detector):
    one, detector = months_of(humming, tmp_path), make_detector()
    expected = read_file(detector, one)
    early = one.files[0].parents[1] / "month=2025-12" / "readings.parquet"
    early.parent.mkdir()
    plain(one.files[0])[:0].to_parquet(early, index=False)
    [longer] = asset_files(tmp_path)
    assert len(longer.files) == 3
    assert_same(read_file(detector, longer), expected)
    np.testing.assert_array_equal(joined(list(read_pieces(detector, longer)[0])).values, expected.values)
