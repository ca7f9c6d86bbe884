"""Readings from files: what a folder must hold, and which assets go together."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.asset_readings import read_readings
from offbeat.readings.assets import AssetFiles, asset_files
from offbeat.readings.folder import read_folder
from offbeat.readings.spans import Span


def shared_data():
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public readings in shared/data are not there")
    return folder


def test_folder_holds_readings_labels_exclusions_and_splits(fleet):
    folder = read_folder(
        fleet(
            labels="asset,start,end,kind\npump-2,2020-01-01 00:00:10,2020-01-01 00:00:20,spike\n",
            exclude="asset,start,end,reason\npump-1,2020-01-01T01:00:00+01:00,2020-01-01T01:00:10+01:00,service\n",
            splits="asset,test_start\npump-1,2020-01-01 00:00:20\n",
        )
    )
    first, second, third = pd.date_range("2020-01-01", periods=3, freq="10s", tz="UTC")
    assert [series.asset for series in folder.series] == ["pump-1", "pump-2"]
    assert folder.labels == (Span("pump-2", second, third, "spike"),)
    assert folder.exclude == (Span("pump-1", first, second, "service"),)
    assert folder.test_starts == {"pump-1": third}


def test_folder_may_hold_the_files_themselves(write, tmp_path, three):
    write("a.csv", three)
    write("labels.csv", "asset,start,end\n")
    folder = read_folder(tmp_path)
    assert ([series.asset for series in folder.series], folder.labels) == (["a"], ())


def test_assets_come_in_natural_order(write, tmp_path, three):
    for name in ("pump-10.csv", "pump-2.csv", "7.csv", "fan.csv", ".hidden.csv", "readme.txt"):
        write(name, three)
    assert [one.asset for one in asset_files(tmp_path)] == ["7", "fan", "pump-2", "pump-10"]


def test_channels_take_the_order_of_the_first_asset(write, tmp_path):
    write("a.csv", "x,y\n1,2\n3,4\n")
    write("b.csv", "y,x\n1,2\n3,4\n")
    second = read_folder(tmp_path).series[1]
    assert (second.channels, second.to_frame().to_numpy().tolist()) == (("x", "y"), [[2.0, 1.0], [4.0, 3.0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "timestamp,x,z\n2020-01-01,1,2\n2020-01-02,1,2\n",
            "'pump-2' has in addition 'z' compared with 'pump-1': rename or drop columns",
        ),
        ("timestamp,y\n2020-01-01,1\n2020-01-02,1\n", "'pump-2' lacks 'x' and has in addition 'y'.*: rename or drop"),
        ("x\n1\n2\n", "asset 'pump-1' has timestamps and 'pump-2' an integer index: give all assets the same"),
        ("timestamp,x\n2020-01-01,1\n2020-01-02,1\n", "'pump-2' has 1 d and 'pump-1' 10 s: give the period"),
    ],
)
def test_assets_that_differ_are_refused(write, fleet, tmp_path, text, message):
    fleet()
    write("readings/pump-2.csv", text)
    with pytest.raises(ReadingsError, match=message):
        read_folder(tmp_path)


def test_one_asset_has_one_file(write, tmp_path, three):
    write("a.csv", three)
    write("a.parquet", "")
    with pytest.raises(ReadingsError, match=r"asset 'a' has two files, a\.csv and a\.parquet: keep one"):
        asset_files(tmp_path)


def test_folder_without_readings_is_refused(tmp_path):
    with pytest.raises(ReadingsError, match="holds no readings: put one"):
        read_folder(tmp_path)
    with pytest.raises(ReadingsError, match="is not a folder: give the folder that holds readings/"):
        read_folder(tmp_path / "nowhere")


def test_folder_that_may_not_be_listed_is_refused(fleet, monkeypatch):
    def refused(_path):
        raise PermissionError(13, "Permission denied")

    folder = fleet()
    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(ReadingsError, match="cannot be read: Permission denied: check that you may read it"):
        read_folder(folder)


def test_folder_may_be_named_by_text(fleet):
    assert read_folder(str(fleet())).series[0].asset == "pump-1"


def test_public_valve_readings_are_read():
    series = read_readings(AssetFiles.of(shared_data() / "skab" / "valve1" / "0.csv"))
    assert (series.period, series.n_channels, series.index[0]) == (
        pd.Timedelta("1s"), 10, pd.Timestamp("2020-03-09 10:14:33Z"),
    )  # fmt: skip


def test_public_taxi_readings_are_complete():
    series = read_readings(AssetFiles.of(shared_data() / "nab" / "realKnownCause" / "nyc_taxi.csv"))
    assert (series.n_timesteps, series.period_s, series.notes) == (10320, 1800.0, ())


def test_public_readings_with_an_hour_told_twice_are_refused():
    with pytest.raises(ReadingsError, match=r"machine_temperature.*\.csv, line 10151: timestamps must not go back"):
        read_readings(
            AssetFiles.of(shared_data() / "nab" / "realKnownCause" / "machine_temperature_system_failure.csv")
        )


def test_a_verdict_makes_an_alarm_a_label_an_exclusion_or_nothing_and_none_makes_it_doubtful(tmp_path):
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings" / "pump.csv").write_text("index,x\n" + "".join(f"{k},{k % 7}\n" for k in range(20)))
    (tmp_path / "labels.csv").write_text("asset,start,end\npump,15,16\n")
    alarms = "pump,1,2,true\npump,4,5,false\npump,7,8,expected\npump,14,17,\n"
    (tmp_path / "alarms.csv").write_text("asset,start,end,verdict\n" + alarms)
    folder = read_folder(tmp_path)
    labelled, excluded, doubtful = folder.masks(folder.series[0])
    assert np.flatnonzero(labelled).tolist() == [1, 2, 15, 16]
    assert np.flatnonzero(excluded).tolist() == [7, 8]
    assert np.flatnonzero(doubtful).tolist() == [14, 17]  # not judged, and no label says what they are


def test_a_verdict_of_another_word_is_refused(tmp_path):
    (tmp_path / "readings").mkdir()
    (tmp_path / "readings" / "pump.csv").write_text("index,x\n1,2\n2,3\n3,4\n")
    (tmp_path / "alarms.csv").write_text("asset,start,end,verdict\npump,1,2,maybe\n")
    with pytest.raises(ReadingsError, match=r"alarms.csv: the alarm of 'pump' from 1 has verdict 'maybe': write true"):
        read_folder(tmp_path)
