"""groups.yaml: every asset belongs to one group, by its name or by a table."""

import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.assets import asset_files, groups_of
from offbeat.readings.folder import read_folder

BY_NAME = 'groups:\n  pumps: ["pump-*"]\n  fans: [fan-1, "blower-?"]\n'
BY_TABLE = "column: model\ntable: assets.csv\n"


@pytest.fixture
def machines(tmp_path, write, three):
    """Write readings of machines, groups.yaml and tables; return their folder."""

    def machines(*assets, groups=BY_NAME, **tables):
        for asset in assets:
            write(f"readings/{asset}.csv", three)
        write("groups.yaml", groups)
        for name, text in tables.items():
            write(f"{name}.csv", text)
        return tmp_path

    return machines


def groups(folder):
    return {one.asset: one.group for one in asset_files(folder)}


def test_names_and_patterns_say_the_group(machines):
    assert groups(machines("pump-1", "pump-20", "fan-1", "blower-3")) == {
        "pump-1": "pumps", "pump-20": "pumps", "fan-1": "fans", "blower-3": "fans",
    }  # fmt: skip


def test_the_first_group_that_fits_is_the_one(machines):
    text = 'groups:\n  odd: ["*-[13]", "a[1]"]\n  ones: [pump-1, pump-2]\n  rest: ["*"]\n'
    assert groups(machines("pump-1", "pump-2", "pump-3", "pump-4", "a[1]", groups=text)) == {
        "pump-1": "odd", "pump-2": "ones", "pump-3": "odd", "pump-4": "rest", "a[1]": "odd",
    }  # fmt: skip


def test_many_names_are_looked_up(machines):
    text = "groups:\n  all: [" + ", ".join(f"m-{k}" for k in range(20_000)) + "]\n"
    assert groups(machines("m-19999", groups=text)) == {"m-19999": "all"}


def test_a_column_of_a_table_says_the_group(machines):
    table = "asset,site,model\npump-1,north,K90\n\n pump-2 ,south,K90\nfan,south,B.1\nunseen,north,K9\n"
    folder = machines("pump-1", "pump-2", "fan", groups=BY_TABLE, assets=table)
    assert groups(folder) == {"pump-1": "K90", "pump-2": "K90", "fan": "B.1"}
    assert list(groups_of(folder)) == ["B.1", "K90"]


def test_the_table_is_no_asset_where_it_stands_among_the_readings(write, tmp_path, three):
    write("pump-1.csv", three)
    write("assets.csv", "asset,model\npump-1,K90\n")
    write("groups.yaml", BY_TABLE)
    assert groups(tmp_path) == {"pump-1": "K90"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BY_NAME.replace("pumps", "others").replace("pump-", "p-"), "groups.yaml: asset 'pump-1' is in no group: name"),
        ("groups: [pumps\n", "groups.yaml: not a readable YAML file"),
        ("- pumps\n", "groups.yaml must hold the key groups, or column and table: add it"),
        ("{}\n", "groups.yaml: give either groups, or both column and table"),
        ("column: model\n", "groups.yaml: give either groups, or both column and table"),
        (BY_NAME + BY_TABLE, "groups.yaml: give either groups, or both column and table"),
        ("group: {a: [b]}\n", "groups.yaml: unknown key 'group': known are groups, or column and table"),
        ("groups: {a: []}\n", r"groups.yaml: groups.a=\[\]: list should have at least 1 item"),
        ("groups: {a: pump-1}\n", "groups.yaml: groups.a='pump-1': input should be a valid list"),
        ("groups: {a: [1]}\n", "groups.yaml: groups.a.0=1: input should be a valid string"),
        ("groups: {a b: [c]}\n", "groups.yaml: groups.a b: a group's name holds letters.*got 'a b': rename it"),
        ("groups: {.a: [c]}\n", "groups.yaml: groups..a: a group's name"),
        (
            "column: model\ntable: ../assets.csv\n",
            "table='../assets.csv' must be the name of a file beside groups.yaml",
        ),
        (BY_TABLE.replace("assets", "none"), "groups.yaml: there is no table none.csv beside it: add it"),
        (BY_TABLE.replace("model", "kind"), "assets.csv must have a column 'kind'"),
    ],
)
def test_what_is_wrong_with_the_file_is_told_with_its_remedy(machines, text, message):
    folder = machines("pump-1", groups=text, assets="asset,model\npump-1,K90\n")
    with pytest.raises(ReadingsError, match=message):
        asset_files(folder)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("pump-2,K90\n", "assets.csv has no row of asset 'pump-1', which has readings: add one"),
        ("pump-1,K90\npump-1,K91\n", "assets.csv, line 3: asset 'pump-1' stands there twice: keep one row"),
        ("pump-1,\n", "assets.csv, line 2, model: a group's name holds letters.*got ''"),
        ("pump-1,K 90\n", "assets.csv, line 2, model: a group's name holds letters.*got 'K 90'"),
    ],
)
def test_what_is_wrong_with_the_table_is_told_with_its_line(machines, rows, message):
    folder = machines("pump-1", groups=BY_TABLE, assets=f"asset,model\n{rows}")
    with pytest.raises(ReadingsError, match=message):
        asset_files(folder)


def test_one_group_is_read_with_its_own_rows_of_the_tables(machines, write):
    head, span = "asset,start,end\n", "2020-01-01,2020-01-01 00:00:10\n"
    folder = machines("pump-1", "pump-2", labels=f"{head}pump-2,{span}fan-1,{span}", alarms=f"{head}fan-1,{span}")
    write("readings/fan-1.csv", "index,speed\n1,2\n2,3\n")  # other channels, and no times
    write("splits.csv", "asset,test_start\nfan-1,2\n")
    pumps = read_folder(folder, group="pumps")
    assert [one.asset for one in pumps.series] == ["pump-1", "pump-2"]
    assert ([one.asset for one in pumps.labels], pumps.alarms, pumps.test_starts) == (["pump-2"], (), {})


def test_a_table_may_not_name_an_asset_of_no_group(machines):
    folder = machines("pump-1", "fan-1", labels="asset,start,end\npump-9,2020-01-01,2020-01-02\n")
    for group in ("pumps", "fans"):
        with pytest.raises(ReadingsError, match=r"labels\.csv, line 2: there are no readings of asset 'pump-9'"):
            read_folder(folder, group=group)


def test_several_groups_are_not_read_as_one(machines):
    with pytest.raises(ReadingsError, match="are of 2 groups, 'fans', 'pumps', and a model is of one: choose one"):
        read_folder(machines("pump-1", "fan-1"))


def test_a_single_group_is_read_without_its_name(machines):
    folder = machines("pump-1", "pump-2")
    assert [one.asset for one in read_folder(folder).series] == ["pump-1", "pump-2"]


def test_a_group_without_assets_is_refused(machines):
    with pytest.raises(ReadingsError, match="no asset is in a group 'fans': there are 'pumps': correct the name"):
        read_folder(machines("pump-1"), group="fans")


def test_readings_without_groups_have_no_group_to_choose(fleet):
    with pytest.raises(
        ReadingsError, match=r"no asset is in a group 'fans': the readings are in no groups \(groups.yaml"
    ):
        read_folder(fleet(), group="fans")
    assert list(groups_of(fleet())) == [""]


def test_groups_are_told_in_one_place(tmp_path, write):
    write("readings/group=a/asset=b/month=2026-01/x.parquet", "")
    write("groups.yaml", BY_NAME)
    with pytest.raises(
        ReadingsError, match=r"groups\.yaml: the folders of the readings name their groups already: remove"
    ):
        asset_files(tmp_path)
