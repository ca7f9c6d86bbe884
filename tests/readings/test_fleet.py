"""The fleet of any size: each machine comes of its number, and a folder holds all of them."""

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.assets import groups_of
from offbeat.readings.fleet import GROUPS, START, fleet_fault, fleet_readings, simulate_machines
from offbeat.readings.folder import read_folder


def test_a_machine_is_made_from_its_number_alone():
    one = fleet_readings(3, 500, seed=5)
    pd.testing.assert_frame_equal(one, fleet_readings(3, 500, seed=5))
    assert one.shape == (500, 8)
    assert (one.index[0], one.index[1] - one.index[0]) == (START, pd.Timedelta("10min"))
    for other in (fleet_readings(4, 500, seed=5), fleet_readings(3, 500, seed=6)):
        assert (one.to_numpy() != other.to_numpy()).mean() > 0.9


@pytest.mark.parametrize("group", GROUPS)
def test_machines_of_a_group_follow_their_load_in_the_same_way(group):
    frames = [fleet_readings(number, 2000, group=group) for number in range(3)]
    for frame in frames:
        assert list(frame) == list(GROUPS[group])
        assert frame.corr().to_numpy().min() > 0.5
    levels = np.array([frame.mean() for frame in frames])
    assert (levels.std(axis=0) / levels.mean(axis=0)).max() < 0.12


def test_one_machine_in_ten_has_a_fault_at_its_end():
    faulty = [number for number in range(50) if fleet_fault(number, 1000)]
    assert faulty == [9, 19, 29, 39, 49]
    assert fleet_fault(9, 1000) == (900, 920)
    assert fleet_fault(9, 10) == (9, 10)
    frame = fleet_readings(9, 1000)
    broken = (frame.to_numpy() - frame.shift(20).to_numpy())[900:920].mean(axis=0) / frame.std().to_numpy()
    assert np.argmax(broken) == 4
    assert broken[4] > 2


@pytest.mark.parametrize("partitioned", [True, False])
def test_the_folder_holds_both_groups_and_the_labels(tmp_path, partitioned):
    simulate_machines(tmp_path / "fleet", 12, 60, 7, partitioned=partitioned)
    groups = groups_of(tmp_path / "fleet")
    assert {group: [one.asset for one in files] for group, files in groups.items()} == {
        "fans": [f"fan-{k}" for k in range(6, 12)],
        "pumps": [f"pump-{k}" for k in range(6)],
    }
    folder = read_folder(tmp_path / "fleet", group="fans")
    assert [(span.asset, span.note) for span in folder.labels] == [("fan-9", "level_shift")]
    for series in folder.series:
        expected = fleet_readings(int(series.asset[4:]), 60, group="fans")
        np.testing.assert_array_equal(series.values, expected)


def test_numbers_out_of_range_are_refused(tmp_path):
    with pytest.raises(ReadingsError, match="at least 1 machine, 10 timesteps"):
        simulate_machines(tmp_path / "fleet", 0, 60, 7)
