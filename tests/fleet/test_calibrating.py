"""Many assets get thresholds as each would alone; one that cannot stops no other."""

import numpy as np
import pytest
from fleet.fleets import Inline, write_fleet

from offbeat.detection.calibration import GroupMaxima
from offbeat.detection.fleet import Fleet
from offbeat.errors import OffbeatError
from offbeat.fleet.calibrating import calibrate_assets
from offbeat.fleet.work import Work
from offbeat.progress import silent
from offbeat.readings.assets import asset_files


@pytest.fixture
def model(make_detector, make_series, tmp_path):
    old, new = (make_detector(make_series(asset=name, seed=seed)) for name, seed in (("pump-1", 1), ("pump-9", 9)))
    Fleet({"new": new, "old": old}).save(tmp_path / "model")
    return tmp_path / "model"


def calibrated(folder, model, out, **changes):
    return calibrate_assets(model, asset_files(folder), out, Inline(), root=folder, changes=changes, shard_size=2)


def test_new_assets_join_their_group_with_the_threshold_that_each_would_have_alone(model, make_series, tmp_path):
    fleet = [make_series(800, asset=f"pump-{k}", seed=k) for k in (2, 3, 4)]
    groups = "groups:\n  old: [pump-2, pump-3]\n  new: [pump-4]\n"
    folder = write_fleet(tmp_path / "data", fleet, groups=groups, labels=[("pump-3", 100, 120)])
    done = calibrated(folder, model, tmp_path / "out", quantile=0.9, method="quantile")
    assert done.assets == {"pump-2": "old", "pump-3": "old", "pump-4": "new"}
    found = Fleet.load(tmp_path / "out")
    assert found.group_of == {"pump-1": "old", "pump-9": "new"} | done.assets
    for series in fleet:
        alone = Fleet.load(model).groups[done.assets[series.asset]]
        labelled = np.zeros(800, dtype=bool)
        labelled[100:120] = series.asset == "pump-3"
        alone.calibrate(series, labelled=labelled, quantile=0.9, method="quantile")
        assert found.detector_of(series.asset).assets[series.asset].threshold == alone.assets[series.asset].threshold


def test_one_that_cannot_be_calibrated_is_told_of_and_stops_no_other(model, make_series, tmp_path):
    short, good = make_series(20, asset="short"), make_series(800, asset="good")
    folder = write_fleet(tmp_path / "data", [short, good], groups="groups:\n  old: ['*']\n")
    (folder / "readings" / "bad.csv").write_text("nothing\n")
    done = calibrated(folder, model, tmp_path / "out")
    assert list(done.assets) == ["good"]
    assert done.failures.keys() == {"short", "bad"}
    assert set(Fleet.load(tmp_path / "out").group_of) == {"pump-1", "pump-9", "good"}


def test_where_the_model_has_several_groups_a_new_asset_must_say_which_is_its_own(model, make_series, tmp_path):
    folder = write_fleet(tmp_path / "data", [make_series(800, asset="pump-7")])
    with pytest.raises(OffbeatError, match=r"say in groups.yaml which"):
        calibrated(folder, model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_order_of_the_assets_makes_no_difference(model, make_series, tmp_path):
    still = make_series(800, asset="still").to_frame()
    still["flow"] = 50.0  # a channel that stands still takes the usual scale of those that the model knows
    fleet = [make_series(800, asset=name, seed=5) for name in ("a", "z")]
    thresholds = []
    for name in ("a-still", "still-z"):
        folder = write_fleet(tmp_path / name, fleet, groups="groups:\n  old: ['*']\n")
        still.rename_axis("timestamp").to_csv(folder / "readings" / f"{name}.csv")
        done = calibrated(folder, model, tmp_path / f"out-{name}")
        thresholds.append(done.fleet.detector_of(name).assets[name].threshold.value)
    assert thresholds[0] == thresholds[1]


def test_only_an_asset_that_the_model_did_not_learn_from_borrows_of_those_that_it_did(make_detector, make_series):
    detector, span = make_detector(make_series(asset="pump-1")), make_series(200, asset="pump-1", seed=3)
    alone = detector.calibrated(span).threshold
    detector.lent = GroupMaxima(np.linspace(0, 1, 1000), detector.reach, frozenset({"pump-1"}))
    assert detector.calibrated(span).threshold == alone
    late = detector.calibrated(make_series(400, asset="late", seed=3)).threshold
    assert "borrowed the group's" in late.warning


def test_while_another_run_makes_a_model_it_is_refused(model, make_series, tmp_path):
    folder = write_fleet(tmp_path / "data", [make_series(800, asset="pump-2")], groups="groups:\n  old: ['*']\n")
    work = Work(tmp_path / "out", Inline(), silent)
    with work.alone(), pytest.raises(OffbeatError, match="held by process"):
        calibrated(folder, model, tmp_path / "out")


def test_a_known_asset_is_not_moved_to_another_group_in_silence(model, make_series, tmp_path):
    folder = write_fleet(tmp_path / "data", [make_series(800, asset="pump-1")], groups="groups:\n  new: ['*']\n")
    with pytest.raises(OffbeatError, match="is in group 'old' of the model, not in 'new'"):
        calibrated(folder, model, tmp_path / "out")
