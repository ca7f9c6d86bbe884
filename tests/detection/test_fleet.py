"""Several groups' detectors are one model: whole on disk or not there, and each asset has its group's detector."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from offbeat.detection import fleet as module
from offbeat.detection.detector import Detector
from offbeat.detection.fleet import ALONE, Fleet
from offbeat.errors import ModelError


@pytest.fixture
def fleet(make_detector, make_series):
    """Two groups of different params, the second with two assets."""
    fans = make_detector(make_series(asset="fan-1"), smoothing=2)
    fans.calibrate(make_series(asset="fan-2", seed=2))
    return Fleet({"pumps": make_detector(), "fans": fans})


@pytest.fixture
def saved(fleet, tmp_path):
    fleet.save(tmp_path / "model")
    return tmp_path / "model"


def content_of(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# --- whose detector ---------------------------------------------------------------------------------------------------


def test_each_asset_is_scored_by_the_detector_of_its_group(fleet):
    assert fleet.group_of == {"pump-1": "pumps", "fan-1": "fans", "fan-2": "fans"}
    assert fleet.detector_of("fan-2") is fleet.groups["fans"]
    assert fleet.detector_of("pump-1") is fleet.group("pumps")


def test_an_asset_of_no_group_is_refused_with_those_beside_it(fleet):
    with pytest.raises(ModelError, match=r"asset 'fan-3' was never calibrated in any of 2 groups \(known: fan-1, fan"):
        fleet.detector_of("fan-3")


def test_of_many_assets_a_message_names_a_few_beside_it(fleet):
    pumps = fleet.groups["pumps"]
    known = {f"{kind}-{k}": pumps.assets["pump-1"] for kind in ("fan", "pump") for k in range(5_000)}
    large = replace(pumps, assets=known)
    for many in (Fleet({ALONE: large}), Fleet({**fleet.groups, "more": large})):
        with pytest.raises(ModelError) as caught:
            many.detector_of("pump-9999")
        assert "pump-998, pump-999 and 9,99" in str(caught.value)
        assert len(str(caught.value)) < 350


def test_one_group_alone_goes_by_any_name_that_readings_have(make_detector):
    detector = make_detector()
    for alone in (Fleet({ALONE: detector}), Fleet({"pumps": detector})):
        assert alone.group(ALONE) is detector
        assert alone.detector_of("pump-1") is detector
        with pytest.raises(ModelError, match=r"asset 'pump-9' was never calibrated \(known: pump-1\)"):
            alone.detector_of("pump-9")
    assert Fleet({ALONE: detector}).group("pumps") is detector


def test_a_group_that_is_not_there_is_named(fleet):
    with pytest.raises(ModelError, match=r"no group 'valves' \(known: fans, pumps\): name the group as the model does"):
        fleet.group("valves")
    with pytest.raises(ModelError, match=r"the readings are in no group, and the model has fans, pumps: say in groups"):
        fleet.group(ALONE)


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_save_and_load_give_equal_scores(fleet, saved, make_series):
    loaded = Fleet.load(saved)
    assert loaded.group_of == fleet.group_of
    for asset in fleet.group_of:
        series = make_series(100, asset=asset, seed=3)
        one, other = (each.detector_of(asset).score(series) for each in (fleet, loaded))
        np.testing.assert_array_equal(one.scores, other.scores)


def test_one_group_alone_is_the_folder_of_a_detector(make_detector, tmp_path):
    detector = make_detector()
    Fleet({ALONE: detector}).save(tmp_path / "model")
    assert Detector.load(tmp_path / "model").assets.keys() == detector.assets.keys()
    assert list(Fleet.load(tmp_path / "model").groups) == [ALONE]


def test_a_model_takes_the_place_of_another_of_more_or_fewer_groups(fleet, saved, make_detector):
    (saved / "report.html").write_text("how good it is")
    Fleet({"pumps": make_detector()}).save(saved)
    assert list(Fleet.load(saved).groups) == ["pumps"]
    fleet.save(saved)
    assert sorted(Fleet.load(saved).groups) == ["fans", "pumps"]
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_save_that_fails_leaves_what_was_there(fleet, saved, monkeypatch):
    before = content_of(saved)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_detector", full)
    with pytest.raises(OSError, match="No space left"):
        fleet.save(saved)
    assert content_of(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_folder_with_other_files_is_refused_and_left_alone(fleet, saved):
    (saved / "notes.txt").write_text("mine")
    before = content_of(saved)
    with pytest.raises(ModelError, match=r"model: holds other files \(notes.txt\); give a new folder"):
        fleet.save(saved)
    assert content_of(saved) == before


def change_a_group(saved):
    Fleet.load(saved).group("fans").save(saved / "groups" / "pumps")


DAMAGE = {
    "a flipped byte": lambda saved: (saved / "groups/fans/model.onnx").write_bytes(b"x"),
    "a group that was not saved with the others": change_a_group,
    "a group too few": lambda saved: shutil.rmtree(saved / "groups" / "fans"),
    "a stranger among the groups": lambda saved: shutil.copytree(saved / "groups" / "fans", saved / "groups" / "x"),
    "no checksums": lambda saved: (saved / "checksums.json").unlink(),
    "checksums of nothing": lambda saved: (saved / "checksums.json").write_text("{}"),
    "checksums of another place": lambda saved: (saved / "checksums.json").write_text(
        json.dumps({"../fans/checksums.json": "", "groups/pumps/checksums.json": ""})
    ),
    "checksums that are none": lambda saved: (saved / "checksums.json").write_text('["fans"]'),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_is_not_the_model_that_was_saved_is_refused(saved, what):
    DAMAGE[what](saved)
    with pytest.raises(ModelError, match="restore"):
        Fleet.load(saved)
