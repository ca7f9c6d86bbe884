"""The drop folder: whose a file is, when it is taken, and what is left out."""

import os
import time

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.drop_folder import DropFolder

OLD = time.time() - 3600


@pytest.fixture
def drop(write, tmp_path):
    """Write a file that was last changed `age_s` seconds before an hour ago."""
    (tmp_path / "drop").mkdir()

    def drop(name, content, age_s=0.0):
        file = write(f"drop/{name}", content)
        os.utime(file, (OLD - age_s, OLD - age_s))
        return file

    return drop


def rows(*values, start=0):
    """A file of readings of channel x, one a second."""
    lines = [f"2026-01-05T00:00:{start + k:02d}Z,{value}" for k, value in enumerate(values)]
    return "\n".join(["timestamp,x", *lines]) + "\n"


def pull(source, state=None):
    """Batches of one pull; `state` is brought up to date."""
    batches = list(source.pull(dict(state or {})))
    for batch in batches:
        if state is not None:
            state.update(batch.mark)
    return batches


@pytest.mark.parametrize(
    ("name", "asset"),
    [("pump-1.csv", "pump-1"), ("pump-1__2026-01-05.csv", "pump-1"), ("pump-2/a__b.csv", "pump-2"), ("7/x/y.CSV", "7")],
)
def test_asset_is_the_sub_folder_or_the_name_before_two_underscores(drop, tmp_path, name, asset):
    drop(name, rows(1, 2))
    (batch,) = pull(DropFolder("d", tmp_path / "drop"))
    assert (batch.asset, batch.origin, batch.frame["x"].tolist()) == (asset, name, [1, 2])


def test_a_column_may_name_the_asset_of_each_row(drop, tmp_path):
    drop("all.csv", "timestamp,x,machine\n2026-01-05,1,007\n2026-01-05,2,7\n2026-01-06,3, 007\n")
    batches = pull(DropFolder("d", tmp_path / "drop", asset_column="machine"))
    assert [(batch.asset, batch.frame["x"].tolist()) for batch in batches] == [("007", [1, 3]), ("7", [2])]
    assert all(list(batch.frame) == ["x"] for batch in batches)


def test_parquet_is_read_as_csv_is(tmp_path):
    (tmp_path / "drop").mkdir()
    times = pd.date_range("2026-01-05 01:00", periods=2, freq="1ms", tz="Europe/Berlin")
    frame = pd.DataFrame({"machine": ["a", "b"], "x": np.array([0.5, 1.5], dtype=np.float32)}, times)
    frame.to_parquet(tmp_path / "drop" / "all.parquet")
    batches = pull(DropFolder("d", tmp_path / "drop", "machine", settle_s=0))
    assert [(batch.asset, batch.frame["x"].tolist()) for batch in batches] == [("a", [0.5]), ("b", [1.5])]
    assert batches[1].frame.index[0] == pd.Timestamp("2026-01-05T00:00:00.001Z")


def test_a_file_is_taken_once(drop, tmp_path):
    source, state = DropFolder("d", tmp_path / "drop"), {}
    drop("a.csv", rows(1, 2))
    assert len(pull(source, state)) == 1
    assert pull(source, state) == []


def test_a_touched_file_and_one_under_another_name_give_nothing(drop, tmp_path):
    source, state = DropFolder("d", tmp_path / "drop"), {}
    drop("a.csv", rows(1, 2))
    pull(source, state)
    drop("a.csv", rows(1, 2), age_s=60)
    drop("a__again.csv", rows(1, 2))
    assert pull(source, state) == []


def test_a_file_that_comes_twice_at_once_is_taken_once(drop, tmp_path):
    drop("a.csv", rows(1, 2))
    drop("a__again.csv", rows(1, 2))
    assert len(pull(DropFolder("d", tmp_path / "drop"))) == 1


def test_a_changed_file_is_read_again(drop, tmp_path):
    source, state = DropFolder("d", tmp_path / "drop"), {}
    for values in ((1, 2), (1, 3), (1, 2)):
        drop("a.csv", rows(*values), age_s=sum(values))
        assert [batch.frame["x"].tolist() for batch in pull(source, state)] == [list(values)]


def test_the_file_that_changed_last_comes_last(drop, tmp_path):
    drop("a__correction.csv", rows(9), age_s=1)
    drop("a__z.csv", rows(1), age_s=2)
    assert [batch.origin for batch in pull(DropFolder("d", tmp_path / "drop"))] == ["a__z.csv", "a__correction.csv"]


def test_hidden_unfinished_and_young_files_wait(drop, write, tmp_path):
    for name in (".a.csv", ".cache/a.csv", "a.csv.tmp", "a.csv.PART", "a.partial"):
        drop(name, rows(1))
    write("drop/young.csv", rows(1))
    assert pull(DropFolder("d", tmp_path / "drop")) == []
    assert len(pull(DropFolder("d", tmp_path / "drop", settle_s=0))) == 1


def test_a_file_that_changes_while_it_is_read_waits(drop, tmp_path, monkeypatch):
    file = drop("a.csv", rows(1))
    read = DropFolder._read

    def read_and_grow(self, found):
        parts = read(self, found)
        file.write_text(rows(1, 2))
        return parts

    monkeypatch.setattr(DropFolder, "_read", read_and_grow)
    assert pull(DropFolder("d", tmp_path / "drop")) == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "timestamp,x\n2026-01-05,1\n2026-01-06,on\n", r"a\.csv, line 3: column 'x' must hold numbers"),
        ("a.csv", "", r"a\.csv is empty"),
        ("a.csv", "timestamp,x\n", r"a\.csv holds no readings"),
        ("a.csv", "timestamp,x\n01/02/2026,1\n", r"could be day/month or month/day"),
        ("a.csv", "x,y\n1,2\n3,4\n", r"a\.csv has no timestamp, so that its place .*: add a column 'timestamp'"),
        ("a.csv", "timestamp,x\n2026-01-05,1\n2026-01-05,2\n", r"a\.csv: timestamp 2026-01-05 .* stands there twice"),
        ("a.csv", "timestamp,x\n2026-01-05,inf\n", r"a\.csv: channel 'x' is inf at 2026-01-05"),
        ("a.parquet", "no parquet", r"a\.parquet cannot be read as Parquet"),
        ("notes.txt", "hello", r"notes\.txt: readings are \.csv or \.parquet files"),
        ("__x.csv", rows(1), r"__x\.csv: the asset's name becomes a file's and must not be empty"),
    ],
)
def test_a_damaged_file_is_left_out_and_the_others_go_on(drop, tmp_path, name, content, reason):
    drop(name, content, age_s=9)
    drop("good.csv", rows(1))
    refused, good = pull(DropFolder("d", tmp_path / "drop"))
    assert (len(refused.frame), refused.origin, good.asset, good.refused) == (0, name, "good", "")
    with pytest.raises(ReadingsError, match=reason):
        raise ReadingsError(refused.refused)


def test_a_file_without_the_asset_of_each_row_is_left_out(drop, tmp_path):
    drop("a.csv", rows(1), age_s=9)
    drop("b.csv", "timestamp,x,machine\n2026-01-05,1,a\n2026-01-06,2,\n")
    one, other = pull(DropFolder("d", tmp_path / "drop", "machine"))
    assert "a.csv has no column 'machine' with the asset of each row" in one.refused
    assert "b.csv: 'machine' is missing at 2026-01-06" in other.refused


def test_a_damaged_file_is_tried_again_when_it_changes(drop, tmp_path):
    source, state = DropFolder("d", tmp_path / "drop"), {}
    drop("a.csv", "timestamp,x\n2026-01-05,on\n")
    assert pull(source, state)[0].refused
    assert pull(source, state) == []
    drop("a.csv", "timestamp,x\n2026-01-05,on\n", age_s=5)  # touched: whoever does so wants it tried again
    assert pull(source, state)[0].refused
    drop("a.csv", rows(1))
    assert pull(source, state)[0].frame["x"].tolist() == [1]


def test_a_refused_file_is_tried_again_when_the_setting_is_another(drop, tmp_path):
    state = {}
    drop("all.csv", "timestamp,x,machine\n2026-01-05,1,a\n2026-01-05,2,b\n")
    for asset_column in ("unit", "Machine"):
        wrong = DropFolder("d", tmp_path / "drop", asset_column)
        assert pull(wrong, state)[0].refused
        assert pull(wrong, state) == []
    right = DropFolder("d", tmp_path / "drop", "machine")
    assert [(batch.asset, batch.refused) for batch in pull(right, state)] == [("a", ""), ("b", "")]
    assert pull(right, state) == pull(wrong, state) == []  # taken is taken


def test_a_refusal_that_does_not_say_by_which_setting_is_tried_again(drop, tmp_path):
    source, state = DropFolder("d", tmp_path / "drop"), {}
    drop("a.csv", "timestamp,x\n2026-01-05,on\n")
    pull(source, state)
    state["a.csv"]["refused"] = True
    assert len(pull(source, state)) == 1
    assert pull(source, state) == []


def test_a_missing_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ReadingsError, match=r"source 'd': .*nowhere is not a folder: make it, or correct its path"):
        pull(DropFolder("d", tmp_path / "nowhere"))
