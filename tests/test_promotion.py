"""What follows the stages: gate, registry, promotion by hand, new thresholds, and scoring while a champion changes."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from offbeat.detection.reading import read_file
from offbeat.detection.thresholds import Threshold
from offbeat.errors import ModelError
from offbeat.evaluation.gate import Verdict
from offbeat.operation.scoring import score_folder
from offbeat.operation.store import Store
from offbeat.promotion import (
    _judge,
    decide,
    left_out,
    metrics_rows,
    promote_by_hand,
    recalibrate_champion,
    stamps,
    write_alarms,
)
from offbeat.readings.assets import AssetFiles
from offbeat.readings.folder import read_folder
from offbeat.registry import Registry
from offbeat.roster import roster
from offbeat.stages.artifacts import PREPARED, read_prepared

REPLAY = {"words": "", "hash": "", "seed": 7, "assets": [], "n_labelled": 0, "n_injected": 10}
WORSE = Verdict(False, "kept out: the challenger finds 3 of 10 events, PCA 9; no more than PCA", REPLAY, {}, [], [])
BETTER = Verdict(True, "promoted: finds 9 of 10 events, PCA 3", REPLAY, {}, [], [])


@pytest.fixture
def registry(project):
    return Registry(project / "registry")


@pytest.fixture
def store(project):
    with Store(f"sqlite:///{project / 'offbeat.db'}") as opened:
        yield opened


def champion(project, registry):
    """Make the model of the project champion, whatever the gate says."""
    decision = decide(project, registry, reason="a test")
    registry.promote(decision.version, by="a test", why="first")
    return registry.champion()


def score(project, registry, store):
    model = registry.champion()
    since = {asset: stamp + 1 for asset, stamp in stamps(model, "scores_from").items()}
    return score_folder(model.load(), project / "data", store, model.version, since)


def promote_another(project, registry):
    """Register a second model that differs from the first in its lineage alone, and make it champion."""
    other = replace(registry.model("1").load(), lineage={"git_commit": "another"})
    other.save(project / "other")
    registry.register(project / "other", {**registry.model("1").card, "reason": "another"}, [])
    registry.promote("2", by="me", why="better")


def test_a_decision_registers_the_model_with_all_it_takes_to_make_it_again(project, registry):
    decision = decide(project, registry, reason="a test")
    model = registry.model(decision.version)
    assert sorted(path.name for path in (model.directory / "lineage").iterdir()) == [
        "data.dvc",
        "dvc.lock",
        "params.yaml",
        "start.dvc",
    ]
    assert model.card["reason"] == "a test"
    assert model.card["verdict"]["reason"] in decision.line
    assert {row["method"] for row in metrics_rows(decision)} == {"challenger", "pca"}
    prepared = json.loads((project / "artifacts/prepared/prepared.json").read_text())["assets"][0]
    index = read_folder(project / "data", max_gap=2).series[0].index
    assert model.card["trained_until"]["pump-1"] == index[prepared["split"]["held_out"][1] - 1].isoformat()
    assert model.card["learnt_until"]["pump-1"] == index[prepared["split"]["test"][0] - 1].isoformat()


def test_what_is_decided_is_not_decided_again(project, registry, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: WORSE)
    first = decide(project, registry, reason="one")
    again = decide(project, registry, reason="two")
    assert (again.version, again.line) == (first.version, first.line)
    assert registry.versions() == ["1"]


def test_a_champion_stays_what_it_is(project, registry):
    champion(project, registry)
    assert decide(project, registry, reason="again").line == "model 1 is the champion already"


def test_a_champion_of_another_version_does_not_stand_in_the_way_of_its_successor(project, registry):
    decide(project, registry, reason="a test")
    promote_another(project, registry)
    directory = registry.model("2").directory / "detector"
    card = (directory / "detector.json").read_text().replace('"format": 3', '"format": 1')
    (directory / "detector.json").write_text(card)
    for name in ("profiles.npy", "lent.npy"):  # which that format had not
        (directory / name).unlink()
    names = ("model.onnx", "reference.npz", "detector.json")
    sums = {name: sha256((directory / name).read_bytes()).hexdigest() for name in names}
    (directory / "checksums.json").write_text(json.dumps(sums))
    verdict = _judge(project, read_prepared(project / PREPARED)[0], registry.champion())
    assert "champion" not in verdict.rows
    assert "compared with PCA alone: the champion cannot be read" in verdict.notes[0]
    assert "written in format 1" in verdict.notes[0]


def test_a_model_that_the_gate_keeps_out_takes_an_override(project, registry, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: WORSE)
    assert not decide(project, registry, reason="a test").promoted
    with pytest.raises(ModelError, match=r"model 1: kept out: .*say so with --override"):
        promote_by_hand(registry, "1", by="me", why="", override=False)
    assert registry.champion() is None
    assert promote_by_hand(registry, "1", by="me", why="a demonstration", override=True) == "model 1 is the champion"
    assert registry.history()[-1]["why"] == "a demonstration"


def test_a_better_model_waits_where_a_person_is_to_decide(project, registry, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: BETTER)
    decision = decide(project, registry, reason="a test", manual=True)
    assert not decision.promoted
    assert decision.line == "model 1 waits for a person: promoted: finds 9 of 10 events, PCA 3; offbeat promote 1"
    assert registry.champion() is None
    promote_by_hand(registry, "1", by="me", why="", override=False)
    assert registry.champion().version == "1"


def test_a_better_model_is_promoted(project, registry, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: BETTER)
    decision = decide(project, registry, reason="a test")
    assert (decision.promoted, registry.champion().version) == (True, "1")


def test_alarms_that_nobody_marked_as_false_stay_out_of_training(project, registry, store):
    champion(project, registry)
    score(project, registry, store)
    found = [alarm for alarm in store.alarms() if alarm.asset == "pump-1"]
    assert found
    assert write_alarms(project / "data", store)
    assert not write_alarms(project / "data", store)  # nothing is new
    [series] = [one for one in read_folder(project / "data", max_gap=2).series if one.asset == "pump-1"]
    _, _, doubtful = read_folder(project / "data", max_gap=2).masks(series)
    rows = np.flatnonzero(doubtful)
    assert set(rows) == {
        row for alarm in found for row in range(series.row_of(alarm.first), series.row_of(alarm.last) + 1)
    }
    counts, stretches = left_out(project)
    assert counts.endswith(f"0 exclusions, {len(store.alarms())} past alarm{'s' if len(store.alarms()) > 1 else ''}")
    assert any(line.endswith("past alarm (not judged)") for line in stretches)
    for alarm in found:
        store.mark(alarm.id, "false")
    assert write_alarms(project / "data", store)
    assert not read_folder(project / "data", max_gap=2).masks(series)[2].any()


def mark_false(store, asset):
    for alarm in store.alarms(asset):
        store.mark(alarm.id, "false")


def test_a_false_alarm_is_normal_in_the_next_calibration(project, registry, store):
    before = champion(project, registry).load().assets
    score(project, registry, store)
    mark_false(store, "pump-1")
    recalibrate_champion(project, store, by="a test")
    after = registry.champion().load().assets
    assert after["pump-1"].threshold.value > before["pump-1"].threshold.value
    assert after["pump-2"].threshold == before["pump-2"].threshold


def test_without_a_false_alarm_nothing_is_recalibrated(project, registry, store):
    champion(project, registry)
    score(project, registry, store)
    assert recalibrate_champion(project, store, by="me")[0].startswith("no alarm is marked as false")
    assert registry.versions() == ["1"]


def test_a_recalibration_is_a_model_of_its_own_and_can_be_rolled_back(project, registry, store):
    first = champion(project, registry)
    score(project, registry, store)
    mark_false(store, "pump-1")
    lines = recalibrate_champion(project, store, by="me")
    now = registry.champion()
    assert lines[0] == "model 2 is the champion: model 1 with new thresholds for pump-1"
    assert now.card["parent"] == "1"
    assert now.load().runtime.graph == first.load().runtime.graph
    kept = {path.name for path in (now.directory / "lineage").iterdir()}
    assert kept == {"data.dvc", "dvc.lock", "params.yaml", "start.dvc"}
    assert registry.rollback(by="me", why="it was worse").version == "1"


def test_a_recalibrated_model_has_seen_all_that_its_thresholds_were_chosen_from(project, registry, store):
    first = champion(project, registry)
    score(project, registry, store)
    mark_false(store, "pump-1")
    recalibrate_champion(project, store, by="me")
    card, last = registry.champion().card, read_folder(project / "data", max_gap=2).series[0].index[-1]
    assert card["learnt_until"] == {**first.card["learnt_until"], "pump-1": last.isoformat()}
    assert card["scores_from"] == first.card["scores_from"]


def test_a_recalibrated_model_does_not_bear_the_verdict_on_the_one_before(project, registry, store, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: BETTER)
    decide(project, registry, reason="first")
    score(project, registry, store)
    mark_false(store, "pump-1")
    recalibrate_champion(project, store, by="me")
    assert registry.model("2").card["verdict"] is None
    assert "-" in roster(registry).splitlines()[3].split()


def test_alarms_that_a_person_wrote_down_stay_beside_those_of_the_store(project, registry, store):
    champion(project, registry)
    score(project, registry, store)
    known = "pump-2", "2026-01-06T00:00:00+00:00", "2026-01-06T02:00:00+00:00", "true"
    (project / "data/alarms.csv").write_text("asset;start;end;verdict\n" + ";".join(known) + "\n")
    for _ in range(2):
        write_alarms(project / "data", store)
        rows = (project / "data/alarms.csv").read_text().splitlines()
        assert rows[1] == ",".join([*known, ""])
        assert len(rows) == 2 + len(store.alarms())


def test_other_settings_of_the_comparison_are_compared_anew(project, registry, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: WORSE)
    decide(project, registry, reason="one")
    params = json.loads((project / "params.yaml").read_text())
    params["evaluate"]["n_components"] = 2
    (project / "params.yaml").write_text(json.dumps(params))
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: BETTER)
    assert decide(project, registry, reason="two").promoted


def test_a_model_that_was_compared_with_another_champion_takes_an_override(project, registry, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: BETTER)
    decide(project, registry, reason="waits", manual=True)
    promote_another(project, registry)
    with pytest.raises(ModelError, match="model 1: compared with champion none, and 2 is champion now"):
        promote_by_hand(registry, "1", by="me", why="", override=False)
    promote_by_hand(registry, "1", by="me", why="", override=True)
    promote_by_hand(registry, "2", by="me", why="", override=False)  # it was champion before
    assert registry.champion_version() == "2"


def test_a_retraining_does_not_undo_a_recalibration_or_a_rollback(project, registry, store, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: BETTER)
    decide(project, registry, reason="first")
    score(project, registry, store)
    mark_false(store, "pump-1")
    recalibrate_champion(project, store, by="me")
    decision = decide(project, registry, reason="nothing is new")
    assert (decision.promoted, decision.line) == (
        False,
        "model 1 was champion before: offbeat promote 1 brings it back",
    )
    assert registry.champion().version == "2"


def test_a_verdict_against_another_champion_is_not_used_again(project, registry, monkeypatch):
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: BETTER)
    decide(project, registry, reason="waits", manual=True)
    promote_another(project, registry)
    monkeypatch.setattr("offbeat.promotion._judge", lambda *_: WORSE)
    decision = decide(project, registry, reason="again")
    assert (decision.promoted, decision.version) == (False, "1")
    assert WORSE.reason in decision.line


def test_the_lineage_names_the_data_that_the_stages_read(project, registry):
    read = {"prepare": ("data", "0"), "train": ("start", "1")}
    deps = {stage: [{"path": path, "hash": "md5", "md5": digit * 32 + ".dir"}] for stage, (path, digit) in read.items()}
    (project / "dvc.lock").write_text(json.dumps({"stages": {stage: {"deps": deps[stage]} for stage in read}}))
    for name in ("data.dvc", "start.dvc"):
        (project / name).write_text("# an ingestion or another run has moved it on\n")
    model = registry.model(decide(project, registry, reason="a test").version)
    for path, digit in read.values():
        assert digit * 32 + ".dir" in (model.directory / "lineage" / f"{path}.dvc").read_text()


def test_alarms_of_a_machine_that_is_gone_are_not_written(project, registry, store):
    champion(project, registry)
    score(project, registry, store)
    (project / "data" / "readings" / "pump-1.csv").unlink()
    write_alarms(project / "data", store)
    alarms = project / "data" / "alarms.csv"
    assert not alarms.exists() or "pump-1" not in alarms.read_text()


def test_there_is_nothing_to_recalibrate_without_a_champion(project, store):
    with pytest.raises(ModelError, match="no champion to recalibrate: run the flow retrain"):
        recalibrate_champion(project, store, by="me")


def test_while_champions_change_every_row_is_of_the_model_that_it_names(project, registry, store):
    model = champion(project, registry)
    detectors = {"1": model.load()}
    other = replace(detectors["1"], assets={name: halved(known) for name, known in detectors["1"].assets.items()})
    other.save(project / "other")
    registry.register(project / "other", {**model.card, "reason": "another"}, [])
    detectors["2"] = registry.model("2").load()
    folder = project / "data" / "readings"
    whole = {name: (folder / f"{name}.csv").read_text().splitlines() for name in ("pump-1", "pump-2")}
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            for version in ("2", "1"):
                registry.promote(version, by="a test", why="back and forth")

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for n in range(1250, 1501, 10):
            for name, lines in whole.items():
                (folder / f"{name}.csv").write_text("\n".join(lines[: n + 1]) + "\n")
            score(project, registry, store)
    finally:
        done.set()
        changing.join()
    rows = stored_rows(store)
    assert {row.model for row in rows} == {"1", "2"}
    results = {
        (version, name): detector.score(read_file(detector, AssetFiles.of(folder / f"{name}.csv")))
        for version, detector in detectors.items()
        for name in whole
    }
    for row in rows:
        result = results[row.model, row.asset]
        place = int(np.flatnonzero(result.index.asi8 == row.stamp)[0])
        assert row.score == pytest.approx(result.scores[place], abs=1e-9)
        assert row.threshold == result.threshold


def halved(known):
    """Return a calibration that gives other scores at another threshold."""
    return replace(
        known,
        usual=replace(known.usual, error=known.usual.error / 2),
        threshold=Threshold(1.5 * known.threshold.value, "sigma", None),
    )


def stored_rows(store):
    import sqlalchemy as sa

    from offbeat.operation.database import scores

    with store.database.reading() as connection:
        return connection.execute(sa.select(scores)).all()
