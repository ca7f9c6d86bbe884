"""Readings in the other layout are the same readings, with the same tables and groups beside them."""

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from offbeat.errors import ReadingsError
from offbeat.readings.asset_readings import read_frame, read_readings
from offbeat.readings.assets import AssetFiles, asset_files
from offbeat.readings.conversion import to_csv, to_partitions
from offbeat.readings.layout import write_frame, write_partitions

TABLES = {
    "labels": "asset,start,end\npump-2,2020-01-01,2020-01-01 00:00:10\n",
    "exclude": "asset,start,end\n",
    "alarms": "asset,start,end,verdict\n",
    "splits": "asset,test_start\npump-1,2020-01-01 00:00:20\n",
    "assets": "asset,site\npump-1,north\npump-2,south\n",
}


def assert_same_readings(folder, other):
    for one, twin in zip(asset_files(folder), asset_files(other), strict=True):
        assert (one.asset, one.group) == (twin.asset, twin.group)
        found, expected = read_readings(one), read_readings(twin)
        assert (found.channels, found.stamps.tolist()) == (expected.channels, expected.stamps.tolist())
        assert found.values.astype(np.float64).tobytes() == expected.values.astype(np.float64).tobytes()


def odd_numbers(seed, index):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(len(index)) * 10.0 ** rng.integers(-30, 30, len(index))
    values[rng.random(len(index)) < 0.1] = np.nan
    zeros = np.where(np.arange(len(index)) % 3, 0.0, -0.0)
    return pd.DataFrame({"z, 1": values, "b": rng.integers(-9, 9, len(index)), "a": zeros}, index)


@pytest.mark.parametrize("seed", range(5))
def test_there_and_back_no_number_changes(tmp_path, seed):
    readings = tmp_path / "data" / "readings"
    readings.mkdir(parents=True)
    write_frame(readings / "pump-1.csv", odd_numbers(seed, pd.date_range("2020-01-30", periods=80, freq="h")))
    write_frame(readings / "pump-2.csv", odd_numbers(seed, pd.RangeIndex(7, 60)))
    single = odd_numbers(seed, pd.date_range("2020-01-30", periods=80, freq="h", tz="Asia/Tokyo"))
    write_frame(readings / "pump-3.parquet", single.astype(np.float32))
    (tmp_path / "data" / "groups.yaml").write_text('groups: {a: [pump-1], b: ["*"]}\n')
    assert to_partitions(tmp_path / "data", tmp_path / "months") == 3
    assert to_csv(tmp_path / "months", tmp_path / "back") == 3
    assert_same_readings(tmp_path / "months", tmp_path / "data")
    assert_same_readings(tmp_path / "back", tmp_path / "data")


def test_types_and_the_order_of_columns_stay_and_times_are_utc(tmp_path):
    index = pd.date_range("2020-01-31 20:00", periods=9, freq="h", tz="America/Chicago")
    frame = pd.DataFrame({"z": np.arange(9.0), "i": np.arange(9), "f": np.arange(9, dtype=np.float32)}, index)
    (tmp_path / "data").mkdir()
    write_frame(tmp_path / "data" / "a.parquet", frame)
    to_partitions(tmp_path / "data", tmp_path / "months")
    [one] = asset_files(tmp_path / "months")
    [file] = one.files
    assert str(file.parent.relative_to(tmp_path / "months")) == "readings/group=all/asset=a/month=2020-02"
    types = {field.name: str(field.type) for field in parquet.read_schema(file)}
    assert types == {"timestamp": "timestamp[ns, tz=UTC]", "z": "double", "i": "int64", "f": "float"}
    assert list(types) == ["timestamp", "z", "i", "f"]


def test_tables_go_along_and_groups_change_their_place(tmp_path, fleet):
    folder = fleet(**TABLES)
    (folder / "groups.yaml").write_text("column: site\ntable: assets.csv\n")
    to_partitions(folder, tmp_path / "out" / "months")
    to_csv(tmp_path / "out" / "months", tmp_path / "out" / "back")
    for out, others in (("months", set()), ("back", {"groups.yaml"})):
        place = tmp_path / "out" / out
        assert {path.name for path in place.iterdir()} == {"readings", *(f"{name}.csv" for name in TABLES), *others}
        assert {name: (place / f"{name}.csv").read_text() for name in TABLES} == TABLES
        assert {one.asset: one.group for one in asset_files(place)} == {"pump-1": "north", "pump-2": "south"}


def test_names_with_the_letters_of_patterns_keep_their_group(tmp_path, write, three):
    for asset in ("a*", "ab", "[x]", "x", "ä = 1"):
        write(f"data/readings/{asset}.csv", three)
    write("data/groups.yaml", 'groups: {one: ["a[*]", "[[]x]"], two: ["*"]}')
    to_partitions(tmp_path / "data", tmp_path / "months")
    to_csv(tmp_path / "months", tmp_path / "back")
    assert_same_readings(tmp_path / "back", tmp_path / "data")


def test_the_group_of_all_may_be_named(tmp_path, fleet):
    to_partitions(fleet(), tmp_path / "out" / "months", group="valves")
    assert {one.group for one in asset_files(tmp_path / "out" / "months")} == {"valves"}


def test_what_other_programs_read_is_the_same(tmp_path, fleet):
    folder = fleet()
    to_partitions(folder, tmp_path / "out" / "months", group="valves")
    whole = pd.read_parquet(tmp_path / "out" / "months" / "readings")
    assert set(zip(whole["group"], whole["asset"], whole["month"], strict=True)) == {
        ("valves", "pump-1", "2020-01"),
        ("valves", "pump-2", "2020-01"),
    }
    [one, _] = asset_files(folder)
    assert whole[whole["asset"] == "pump-1"]["x"].tolist() == read_frame(one)[0]["x"].tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("2020-01-01,1\n2020-01-02,off\n", r"pump-9\.csv, line 3: column 'x' must hold numbers, got 'off': leave"),
        ("2020-01-02,1\n2020-01-01,1\n", r"pump-9\.csv, line 3: timestamps must not go back.*: sort the readings"),
        ("2020-01-01,1\n2020-01-02,inf\n", r"pump-9\.csv, line 3: .*inf"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_left(tmp_path, fleet, write, rows, message):
    write("readings/pump-9.csv", f"timestamp,x\n{rows}")
    with pytest.raises(ReadingsError, match=message):
        to_partitions(fleet(), tmp_path / "out" / "months")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0]}, pd.date_range("2020-01-01", periods=2, freq="h"))
    write_partitions(tmp_path / "months", "all", "a/b", frame)
    with pytest.raises(ReadingsError, match=r"must not begin with a dot or hold a slash, got 'a/b': rename it"):
        to_csv(tmp_path / "months", tmp_path / "back")


def test_the_same_layout_and_a_second_name_of_groups_are_refused(tmp_path, fleet, write):
    folder, months = fleet(), tmp_path / "out" / "months"
    with pytest.raises(ReadingsError, match="holds a file for each asset already: leave out --to csv"):
        to_csv(folder, months)
    with pytest.raises(ReadingsError, match=r"--group: a group's name holds letters.*got 'a b': rename it"):
        to_partitions(folder, months, group="a b")
    write("groups.yaml", 'groups: {a: ["*"]}')
    with pytest.raises(ReadingsError, match=r"groups.yaml names the groups already: leave out --group b"):
        to_partitions(folder, months, group="b")
    to_partitions(folder, months)
    with pytest.raises(ReadingsError, match="is a partitioned data set already: the other way is --to csv"):
        to_partitions(months, tmp_path / "out" / "more")
    with pytest.raises(ReadingsError, match="must be empty or missing"):
        to_partitions(folder, months)


def test_a_file_of_a_partition_alone_is_plain(tmp_path, fleet):
    to_partitions(fleet(), tmp_path / "out" / "months")
    [one, _] = asset_files(tmp_path / "out" / "months")
    assert read_readings(AssetFiles.of(one.files[0])).channels == ("x",)
