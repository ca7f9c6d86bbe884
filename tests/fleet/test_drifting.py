"""A fleet that is checked shard by shard gets the verdicts of one that is checked at once."""

from dataclasses import replace

import pytest
from drift.conftest import machine
from fleet.fleets import Inline, write_fleet

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.fleet import Fleet
from offbeat.drift.arrival import read_arrived
from offbeat.drift.check import check, report
from offbeat.errors import ModelError
from offbeat.fleet.drifting import check_fleet
from offbeat.fleet.work import Work
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.progress import silent
from offbeat.readings.assets import asset_files
from offbeat.readings.folder import Folder

PARAMS = load_params(changes={"prepare": {"window_size": 8}, "calibrate": {"delay": 0, "smoothing": 4}})


@pytest.fixture(scope="module")
def machines():
    return [machine(f"m-{k}", seed=k) for k in range(5)]


@pytest.fixture(scope="module")
def detector(graph, machines):
    """Made from the first four fifths of the readings of all but the last machine."""
    prepare = PARAMS.prepare.with_window(8)
    prepared = prepare_fleet(Folder(tuple(machines[:-1])), prepare)
    made = assemble(graph, prepared[0].series, prepare, PARAMS.calibrate.for_window(8), {"method": "lstm_autoencoder"})
    calibrate_fleet(made, prepared)
    return made


def moved(series):
    """The same with another level in the last week."""
    values = series.values.copy()
    values[-7 * 48 :] += [3.0, 60.0, 2.0]
    return replace(series, values=values)


def checked(model, folder, tmp_path):
    work = Work(tmp_path / "drift", Inline(), silent)
    return check_fleet(model, asset_files(folder), PARAMS.drift, work, root=folder, shard_size=2)


def test_the_verdicts_are_those_of_all_machines_at_once(detector, machines, tmp_path):
    fleet = [moved(machines[0]), *machines[1:3]]  # the fourth has no file any more, and the fifth is not known
    folder = write_fleet(tmp_path / "data", [*fleet, machines[4]], labels=[("m-1", 2700, 2720)])
    (folder / "readings" / "m-2.csv").write_text("nothing\n")
    Fleet({"": detector}).save(tmp_path / "model")
    saved = Fleet.load(tmp_path / "model").groups[""]  # which keeps statistics in single precision
    expected = check(saved, read_arrived(saved, [folder]), PARAMS.drift)
    found = checked(tmp_path / "model", folder, tmp_path)
    assert list(found) == [""]
    # as text, for no NaN equals another
    assert {one.asset: repr(one) for one in found[""].assets} == {one.asset: repr(one) for one in expected.assets}
    assert report(found[""]).splitlines()[0] == report(expected).splitlines()[0]
    assert {one.verdict for one in expected.assets} > {"none", "regime"}


def test_each_group_has_a_verdict_of_its_own(detector, machines, tmp_path):
    names = {"a": ["m-0", "m-1"], "b": ["m-2", "m-3"]}
    groups = {name: replace(detector, assets={k: detector.assets[k] for k in own}) for name, own in names.items()}
    Fleet(groups).save(tmp_path / "model")
    folder = write_fleet(tmp_path / "data", [moved(machines[0]), moved(machines[1]), *machines[2:4]])
    found = checked(tmp_path / "model", folder, tmp_path)
    assert {name: one.verdict for name, one in found.items()} == {"a": "regime", "b": "none"}


def test_a_model_without_any_of_the_machines_is_refused(detector, machines, tmp_path):
    Fleet({"": detector}).save(tmp_path / "model")
    folder = write_fleet(tmp_path / "data", [machines[4]])
    with pytest.raises(ModelError, match="carries no reference of these machines"):
        checked(tmp_path / "model", folder, tmp_path)
