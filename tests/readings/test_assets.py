"""Where readings lie: files beside each other or a partitioned data set, and nothing else."""

from pathlib import Path

import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.assets import AssetFiles, asset_files, groups_of, partition

MONTH = "group=pumps/asset=pump-1/month=2026-01"


@pytest.fixture
def place(tmp_path):
    """Make empty files below readings/, which listing does not open."""

    def place(*names):
        for name in names:
            file = tmp_path / "readings" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path

    return place


def test_an_asset_has_its_months_in_order(place):
    names = [f"{MONTH[:-2]}{month}/part-{month}.parquet" for month in ("11", "02", "10")]
    [one] = asset_files(place(*names, f"{MONTH[:-2]}02/.hidden", f"{MONTH[:-2]}02/_metadata", ".hidden", "_SUCCESS"))
    assert (one.asset, one.group, one.is_partition) == ("pump-1", "pumps", True)
    assert [file.name for file in one.files] == [f"part-{month}.parquet" for month in ("02", "10", "11")]
    assert one.name == "group=pumps/asset=pump-1"


def test_assets_come_in_natural_order_whatever_their_group(place):
    names = [f"group={group}/asset=m-{k}/month=all/x.parquet" for k, group in ((10, "a"), (2, "b"), (1, "a"))]
    folder = place(*names)
    assert [(one.asset, one.group) for one in asset_files(folder)] == [("m-1", "a"), ("m-2", "b"), ("m-10", "a")]
    assert {group: [one.asset for one in files] for group, files in groups_of(folder).items()} == {
        "a": ["m-1", "m-10"],
        "b": ["m-2"],
    }
    assert asset_files(folder / "readings") == asset_files(folder)


@pytest.mark.parametrize(
    "asset", ["pump 1", "a/b", "a=b", "100%", "%41", "Pumpe-Ü", "泵", ".hidden", "a.b_c-d", "..", "a\\b"]
)
def test_a_name_comes_back_from_its_folder(place, asset):
    where = partition("pumps", asset, "2026-01")
    assert str(where).isascii()
    assert len(where.parts) == 4
    [one] = asset_files(place(where))
    assert one.asset == asset


def test_a_name_that_no_folder_can_have_is_refused():
    with pytest.raises(ReadingsError, match="is too long for a folder's name: rename it"):
        partition("pumps", "泵" * 40, "2026-01")
    with pytest.raises(ReadingsError, match="is no Unicode text: rename it"):
        partition("pumps", "\udce4", "2026-01")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("asset=a/group=pumps/month=2026-01/x.parquet", "asset=a: here belong folders group="),
        ("group=pumps/asset=a/x.parquet", "group=pumps/asset=a/x.parquet: here belong folders month="),
        ("pumps/asset=a/month=2026-01/x.parquet", "pumps: here belong folders group="),
        ("group=pumps/site=b/asset=a/month=2026-01/x.parquet", "group=pumps/site=b: here belong folders asset="),
        ("group=pumps/readme.txt", "group=pumps/readme.txt: here belong folders asset="),
        ("group=pumps/asset=/month=2026-01/x.parquet", "asset=: here belong folders asset="),
        ("group=pumps/asset=__HIVE_DEFAULT_PARTITION__/month=2026-01/x", "here belong folders asset="),
        ("group=pumps/asset=%ff/month=2026-01/x.parquet", "asset=%ff: what is percent-encoded is not UTF-8: rename it"),
        ("group=.p/asset=a/month=2026-01/x.parquet", "group=.p: a group's name holds letters"),
        ("group=pumps/asset=a/month=2026-13/x.parquet", "month=2026-13: write months as month=2026-01"),
        ("group=pumps/asset=pump-1/month=all/x.parquet", "month=all: write months as .* or month=all as the only one"),
        (f"{MONTH}/day=1/x.parquet", f"{MONTH}/day=1: here belongs one .parquet file: move it away"),
        (f"{MONTH}/x.csv", f"{MONTH}/x.csv: here belongs one .parquet file: move it away"),
        (f"{MONTH}/b.parquet", f"{MONTH} must hold one .parquet file, and holds a.parquet, b.parquet: join them"),
        ("group=pumps/asset=a/month=2026-01/_x", "month=2026-01 must hold one .parquet file, and holds none"),
        ("group=pumps/asset=a/_x", "group=pumps/asset=a holds no month of readings: remove it"),
        ("group=fans/asset=pump-1/month=all/x.parquet", "'pump-1' has two folders, group=fans/.* and group"),
        ("pump-2.csv", "pump-2.csv stands beside group=pumps, which is of a partitioned data set: keep"),
    ],
)  # fmt: skip
def test_what_does_not_belong_into_a_partitioned_data_set_is_refused_by_name(place, name, message):
    with pytest.raises(ReadingsError, match=message):
        asset_files(place(f"{MONTH}/a.parquet", name))


def test_one_asset_under_two_spellings_is_refused(place):
    with pytest.raises(ReadingsError, match="asset 'pump-1' has two folders"):
        asset_files(place(f"{MONTH}/a.parquet", "group=pumps/asset=pump%2D1/month=2026-01/a.parquet"))


def test_a_file_alone_is_the_asset_of_its_name():
    assert AssetFiles.of(Path("data/pump-1.csv")) == AssetFiles("pump-1", (Path("data/pump-1.csv"),))
    assert AssetFiles.of(Path("data/pump-1.csv")).name == "pump-1.csv"


def test_tables_beside_partitions_are_no_readings(place, write):
    readings = place(f"{MONTH}/a.parquet") / "readings"
    write("readings/labels.csv", "asset,start,end\n")
    assert [one.asset for one in asset_files(readings)] == ["pump-1"]
