"""Scores of a fleet are those of its assets one by one, and every asset is accounted for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fleet.fleets import Inline, write_fleet

from offbeat.detection.fleet import Fleet
from offbeat.detection.thresholds import Threshold
from offbeat.errors import ModelError, OffbeatError, ReadingsError
from offbeat.fleet import scoring
from offbeat.fleet.engine import Failure, engine_of
from offbeat.fleet.scoring import score_into
from offbeat.readings.assets import asset_files


@pytest.fixture
def assets(make_series):
    return [make_series(asset=f"pump-{k}", seed=k) for k in range(1, 6)]


@pytest.fixture
def model(make_detector, assets, tmp_path):
    """A model of two groups."""
    detector = make_detector(assets[0])
    for one in assets[1:3]:
        detector.calibrate(one)
    other = make_detector(assets[3])
    other.calibrate(assets[4])
    Fleet({"old": detector, "new": other}).save(tmp_path / "model")
    return tmp_path / "model"


def scored(folder, model, out, engine=None):
    return score_into(out, model, asset_files(folder), engine or Inline(), shard_size=2)


def scores_of(out):
    frames = [pd.read_parquet(path) for path in sorted((out / "scores").glob("*.parquet"))]
    return pd.concat(frames, ignore_index=True)


def test_the_scores_are_those_of_each_asset_alone(assets, model, tmp_path):
    folder, out = write_fleet(tmp_path / "data", assets), tmp_path / "scores"
    counts = scored(folder, model, out)
    rows, fleet = scores_of(out), Fleet.load(model)
    n_events = 0
    for one in assets:
        result = fleet.detector_of(one.asset).score(one)
        own = rows[rows["asset"] == one.asset]
        np.testing.assert_array_equal(own["score"], result.scores)
        np.testing.assert_array_equal(own["alarm"], result.alarms)
        n_events += len(result.events)
    assert (counts.n_scored, counts.n_failed) == (5, 0)
    assert (counts.n_timesteps, counts.n_events) == (len(rows), n_events)
    table = pd.read_csv(out / "assets.csv").set_index("asset")
    assert table["group"].to_dict() == {f"pump-{k}": "old" if k < 4 else "new" for k in range(1, 6)}
    assert table["n_alarm"].to_dict() == rows.groupby("asset")["alarm"].sum().to_dict()
    assert len(pd.read_csv(out / "events.csv")) == n_events


def test_a_poisoned_asset_and_one_that_nobody_knows_are_listed_and_the_rest_is_complete(
    assets, model, make_series, tmp_path
):
    folder, out = write_fleet(tmp_path / "data", [*assets, make_series(asset="stranger")]), tmp_path / "scores"
    scored(folder, model, tmp_path / "whole")
    (folder / "readings" / "pump-2.csv").write_text("timestamp,flow,speed,temp\n2026-01-05,1,a lot,3\n")
    counts = scored(folder, model, out)
    table = pd.read_csv(out / "assets.csv").set_index("asset")
    assert counts.reasons.keys() == {"pump-2", "stranger"}
    assert table["state"].value_counts().to_dict() == {"scored": 4, "failed": 2}
    assert "must hold numbers, got 'a lot'" in table.loc["pump-2", "reason"]
    assert "never calibrated" in table.loc["stranger", "reason"]
    whole = scores_of(tmp_path / "whole")
    left = whole[whole["asset"] != "pump-2"].reset_index(drop=True)
    by = ["asset", "timestamp"]
    pd.testing.assert_frame_equal(
        scores_of(out).sort_values(by, ignore_index=True), left.sort_values(by, ignore_index=True)
    )


def test_what_is_there_is_not_scored_again_and_what_changed_is(assets, model, tmp_path, monkeypatch):
    folder, out = write_fleet(tmp_path / "data", assets), tmp_path / "scores"
    scored(folder, model, out)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "scores").glob("*.parquet")}
    monkeypatch.setattr(scoring, "_score_asset", lambda *_: pytest.fail("it is there"))
    scored(folder, model, out)
    monkeypatch.undo()
    path = folder / "readings" / "pump-4.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    scored(folder, model, out)
    after = {path.name: path.stat().st_mtime_ns for path in (out / "scores").glob("*.parquet")}
    assert len(before.keys() & after.keys()) == len(before) - 1 == len(after) - 1
    assert {before[name] == after[name] for name in before.keys() & after.keys()} == {True}
    assert len(scores_of(out)) == 5 * 400 - 1


def test_another_model_scores_anew(assets, model, make_detector, tmp_path):
    folder, out = write_fleet(tmp_path / "data", assets[:1]), tmp_path / "scores"
    scored(folder, model, out)
    Fleet({"": make_detector(assets[0], smoothing=8)}).save(tmp_path / "other")
    scored(folder, tmp_path / "other", out)
    [path] = (out / "scores").glob("*.parquet")
    own = Fleet.load(tmp_path / "other").detector_of("pump-1").score(assets[0])
    np.testing.assert_array_equal(pd.read_parquet(path)["score"], own.scores)


def test_a_shard_that_takes_its_workers_with_it_fails_its_assets_alone(assets, model, tmp_path):
    class Deadly(Inline):
        def run(self, work, items):
            for item in items:
                outcome = Failure("killed 3 times") if item.name.startswith("new") else work(item)
                yield item, outcome

    folder, out = write_fleet(tmp_path / "data", assets), tmp_path / "scores"
    counts = scored(folder, model, out, Deadly())
    assert counts.reasons == {"pump-4": "killed 3 times", "pump-5": "killed 3 times"}
    assert set(scores_of(out)["asset"]) == {"pump-1", "pump-2", "pump-3"}


def test_several_processes_write_what_one_does(assets, model, tmp_path):
    folder = write_fleet(tmp_path / "data", assets)
    scored(folder, model, tmp_path / "one")
    with engine_of("local", workers=2) as engine:
        scored(folder, model, tmp_path / "two", engine)
    for name in ("assets.csv", "events.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / out / "scores").glob("*.parquet")} for out in ("one", "two")
    )
    assert one == two


def test_a_folder_without_a_model_is_refused_before_any_work(assets, tmp_path):
    folder = write_fleet(tmp_path / "data", assets[:1])
    with pytest.raises(ModelError, match="there is no such folder"):
        scored(folder, tmp_path / "nothing", tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


def test_a_model_that_a_worker_could_not_load_is_no_result_that_stays(assets, model, tmp_path, monkeypatch):
    folder, out = write_fleet(tmp_path / "data", assets), tmp_path / "scores"

    def missing(*_):
        raise ModelError("not mounted here")

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "loaded_detector", missing)
        assert set(scored(folder, model, out).reasons.values()) == {"not mounted here"}
    assert scored(folder, model, out).n_failed == 0


def test_a_folder_that_holds_other_things_is_refused_and_left_alone(assets, model, tmp_path):
    folder = write_fleet(tmp_path / "data", assets[:1])
    with pytest.raises(OffbeatError, match="holds other files"):
        scored(folder, model, model)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "events.csv").write_text("mine")
    with pytest.raises(OffbeatError, match=r"holds other files \(events.csv\)"):
        scored(folder, model, tmp_path / "mine")
    assert (tmp_path / "mine" / "events.csv").read_text() == "mine"


def test_a_damaged_result_is_named_with_the_remedy(assets, model, tmp_path):
    folder, out = write_fleet(tmp_path / "data", assets[:1]), tmp_path / "scores"
    scored(folder, model, out)
    [path] = (out / "scores").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ReadingsError, match=r"damaged .*: remove it, and score again"):
        scored(folder, model, out)


def test_a_threshold_of_nothing_ends_no_run(assets, model, tmp_path):
    fleet = Fleet.load(model)
    known = fleet.groups["old"].assets
    known["pump-1"] = replace(known["pump-1"], threshold=Threshold(0.0, "quantile", None))
    fleet.save(tmp_path / "still")
    counts = scored(write_fleet(tmp_path / "data", assets), tmp_path / "still", tmp_path / "scores")
    assert (counts.n_scored, counts.n_failed) == (5, 0)
    assert np.isinf(pd.read_csv(tmp_path / "scores" / "assets.csv").set_index("asset").loc["pump-1", "highest"])
