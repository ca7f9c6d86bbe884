"""What is kept is whole and never changes; one file says who is champion."""

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from offbeat.detection.fleet import Fleet
from offbeat.errors import ModelError
from offbeat.registry import Registry
from offbeat.roster import roster

REGISTER = """
import sys
from pathlib import Path
from offbeat.registry import Registry
registry = Registry(sys.argv[1])
for detector in sys.argv[2:]:
    print(registry.register(Path(detector), {}).version, flush=True)
"""


@pytest.fixture
def saved(make_detector, tmp_path):
    """Save detectors that differ in their lineage."""
    detector = make_detector()

    def save(name):
        replace(detector, lineage={"git_commit": name}).save(tmp_path / name)
        return tmp_path / name

    return save


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


@pytest.fixture
def three(registry, saved):
    """Versions 1, 2 and 3, each promoted in its turn."""
    for name in ("a", "b", "c"):
        model = registry.register(saved(name), {"n": name})
        registry.promote(model.version, by="gate", why=f"{name} is better")
    return registry


def damage(registry, version):
    path = registry.model(version).directory / "detector" / "detector.json"
    path.write_text(path.read_text().replace("flow", "flaw"))


# --- several groups ---------------------------------------------------------------------------------------------------


@pytest.fixture
def grouped(make_detector, make_series, tmp_path):
    """The folder of a model of two groups."""
    fans = make_detector(make_series(asset="fan-1"))
    Fleet({"pumps": make_detector(), "fans": fans}).save(tmp_path / "grouped")
    return tmp_path / "grouped"


def test_a_model_of_several_groups_is_kept_promoted_and_rolled_back_as_any_other(registry, saved, grouped):
    for place in (saved("a"), grouped, saved("b")):
        registry.promote(registry.register(place, {}).version, by="a test", why="next")
    assert sorted(registry.model("2").load_fleet().groups) == ["fans", "pumps"]
    assert registry.find(grouped).version == "2"
    assert registry.rollback(by="a test", why="").version == "2"
    assert list(registry.model("1").load_fleet().group_of) == ["pump-1"]


def test_what_works_on_one_group_is_told_that_a_model_has_several(registry, grouped):
    model = registry.register(grouped, {})
    with pytest.raises(ModelError, match=r"model 1 has 2 groups \(fans, pumps\): .* keep a project a group"):
        model.load()
    assert not model.damage


def test_a_damaged_group_is_neither_promoted_nor_rolled_back_to(registry, saved, grouped):
    registry.promote(registry.register(saved("a"), {}).version, by="a test", why="first")
    file = registry.register(grouped, {}).directory / "detector" / "groups" / "fans" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    assert "fans/model.onnx: damaged" in registry.model("2").damage
    with pytest.raises(ModelError, match=r"fans/model\.onnx: damaged"):
        registry.promote("2", by="a test", why="it is new")
    assert registry.champion_version() == "1"


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_a_model_is_kept_with_its_card_and_its_lineage(registry, saved, tmp_path):
    (tmp_path / "dvc.lock").write_text("stages")
    model = registry.register(saved("a"), {"data": "here", "odd": float("nan")}, [tmp_path / "dvc.lock"])
    assert (model.version, model.card["data"], model.card["odd"]) == ("1", "here", None)
    assert (model.directory / "lineage" / "dvc.lock").read_text() == "stages"
    assert model.load().lineage == {"git_commit": "a"}
    assert [one.version for one in registry.models()] == ["1"]


def test_the_same_detector_keeps_its_version_and_another_gets_the_next(registry, saved):
    a, b = saved("a"), saved("b")
    assert [registry.register(one, {}).version for one in (a, b, a, b)] == ["1", "2", "1", "2"]


def test_a_detector_is_found_by_what_it_holds(registry, saved):
    assert registry.find(saved("a")) is None
    registry.register(saved("a"), {})
    assert registry.find(saved("a")).version == "1"
    assert registry.find(saved("b")) is None


def test_versions_count_on_in_numbers_not_letters(registry, saved):
    models = [registry.register(saved(f"n{k}"), {}) for k in range(11)]
    assert [model.version for model in registry.models()] == [str(k) for k in range(1, 12)]
    assert models[-1].version == "11"


def test_a_damaged_copy_does_not_stand_for_its_detector(registry, saved):
    registry.register(saved("a"), {})
    damage(registry, "1")
    assert registry.register(saved("a"), {}).version == "2"


def test_a_version_that_was_champion_is_not_given_again(three, saved, tmp_path):
    three.promote("1", by="me", why="back")
    (three.directory / "models" / "3").rename(tmp_path / "away")
    assert three.register(saved("d"), {}).version == "4"


@pytest.mark.parametrize("broken", ["model.onnx", "detector.json", "checksums.json"])
def test_a_damaged_detector_is_not_kept(registry, saved, broken):
    path = saved("a")
    (path / broken).write_bytes(b"{")
    with pytest.raises(ModelError, match=broken):
        registry.register(path, {})
    assert registry.models() == []
    assert [entry.name for entry in (registry.directory).rglob("*.partial")] == []


def test_a_lineage_file_that_is_not_there_is_named(registry, saved, tmp_path):
    with pytest.raises(ModelError, match=r"dvc\.lock: cannot be kept"):
        registry.register(saved("a"), {}, [tmp_path / "dvc.lock"])
    assert registry.models() == []


def test_two_lineage_files_of_one_name_are_refused(registry, saved, tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ModelError, match="two lineage files have the name x"):
        registry.register(saved("a"), {}, [tmp_path / "x", tmp_path / "x"])


# --- who is champion --------------------------------------------------------------------------------------------------


def test_there_is_no_champion_before_the_first_promotion(registry, saved):
    registry.register(saved("a"), {})
    assert registry.champion() is None
    assert registry.history() == []


def test_the_last_promoted_is_champion_and_the_history_tells_by_whom_and_why(three):
    assert three.champion().version == "3"
    assert [(c["version"], c["by"], c["why"], c["how"]) for c in three.history()] == [
        ("1", "gate", "a is better", "promote"),
        ("2", "gate", "b is better", "promote"),
        ("3", "gate", "c is better", "promote"),
    ]
    assert three.history()[0]["when"].endswith("Z")


def test_promoting_the_champion_changes_nothing(three):
    three.promote("3", by="me", why="again")
    assert len(three.history()) == 3


def test_an_unknown_version_is_refused_with_those_known(three):
    with pytest.raises(ModelError, match=r"no model has version 9 \(known: 1, 2, 3\)"):
        three.promote("9", by="me", why="")


def test_a_damaged_model_is_not_promoted_and_the_champion_stays(three):
    damage(three, "1")
    with pytest.raises(ModelError, match=r"detector\.json: damaged"):
        three.promote("1", by="me", why="")
    assert three.champion().version == "3"


def test_a_detector_that_took_the_place_of_the_registered_one_is_refused(three, make_detector):
    replace(make_detector(), lineage={"git_commit": "foreign"}).save(three.model("1").directory / "detector")
    with pytest.raises(ModelError, match="not the detector that was registered as version 1"):
        three.promote("1", by="me", why="")


def test_a_damaged_champion_file_is_named(three):
    (three.directory / "champion.json").write_text("{")
    with pytest.raises(ModelError, match=r"champion\.json: damaged"):
        three.champion()


def test_a_champion_whose_folder_is_gone_is_named(three, tmp_path):
    (three.directory / "models" / "3").rename(tmp_path / "away")
    with pytest.raises(ModelError, match="no model has version 3"):
        three.champion()
    assert three.rollback(by="me", why="gone").version == "2"


# --- rollback ---------------------------------------------------------------------------------------------------------


def test_each_rollback_goes_one_champion_further_back(three):
    assert [three.rollback(by="me", why="bad").version for _ in range(2)] == ["2", "1"]
    assert three.champion().version == "1"
    assert [change["how"] for change in three.history()[3:]] == ["rollback", "rollback"]
    with pytest.raises(ModelError, match=r"no other model that is whole was champion before"):
        three.rollback(by="me", why="bad")
    assert three.champion().version == "1"


def test_after_a_promotion_by_hand_rollback_returns_to_the_champion_it_replaced(three):
    three.promote("1", by="me", why="try")
    assert three.rollback(by="me", why="no").version == "3"


def test_rollback_passes_over_a_damaged_model(three):
    damage(three, "2")
    assert three.rollback(by="me", why="bad").version == "1"


def test_nothing_to_go_back_to_is_an_error(registry, saved):
    with pytest.raises(ModelError, match="promote it"):
        registry.rollback(by="me", why="")
    registry.promote(registry.register(saved("a"), {}).version, by="me", why="")
    with pytest.raises(ModelError, match="promote it"):
        registry.rollback(by="me", why="")


# --- several at once, and killed --------------------------------------------------------------------------------------


def test_two_processes_at_once_give_different_versions(registry, saved):
    sides = [[str(saved(f"{side}{k}")) for k in range(4)] for side in "ab"]
    command = [sys.executable, "-c", REGISTER, str(registry.directory)]
    running = [subprocess.Popen([*command, *side], stdout=subprocess.PIPE, text=True) for side in sides]
    given = [process.communicate()[0].split() for process in running]
    assert sorted(int(version) for versions in given for version in versions) == list(range(1, 9))
    assert not any(model.damage for model in registry.models())


def test_a_process_that_is_killed_leaves_only_whole_models(registry, saved):
    detectors = [saved(f"n{k}") for k in range(60)]
    for delay in (0.0, 0.03):
        command = [sys.executable, "-c", REGISTER, str(registry.directory), *map(str, detectors)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        assert not any(model.damage for model in registry.models())
        assert len(registry.models()) == len(registry.versions())
    registry.register(saved("last"), {})
    assert list(registry.directory.rglob("*.partial")) == []


def test_a_reader_never_sees_half_a_champion(three):
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(three.champion().version)

    reader = threading.Thread(target=read)
    reader.start()
    for k in range(60):
        three.promote(str(k % 3 + 1), by="me", why="turn")
    stop.set()
    reader.join()
    assert seen == {"1", "2", "3"}
    assert len(json.loads((three.directory / "champion.json").read_text())["history"]) == 63


# --- table ------------------------------------------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_model_with_state_and_reason(registry, saved):
    row = {"n_events": 18, "n_events_found": 17, "n_injected": 114, "n_injected_found": 90, "vus_pr": 0.9618}
    verdict = {"promote": False, "reason": "kept out: no more than PCA", "rows": {"challenger": row}}
    for name, card in (("a", {}), ("b", {}), ("c", {"verdict": verdict}), ("d", {}), ("e", {})):
        registry.register(saved(name), card)
    registry.promote("1", by="me", why="first")
    registry.promote("2", by="me", why="better")
    (registry.model("5").directory / "card.json").write_text("[]")
    lines = [line.split() for line in roster(registry).splitlines()[2:]]
    assert [line[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert lines[0][2:] == ["was", "champion", "-", "-", "-", "first"]
    assert lines[1][2:] == ["champion", "-", "-", "-", "better"]
    assert " ".join(lines[2][2:]) == "kept out 107 of 132 0.962 - kept out: no more than PCA"
    assert lines[3][2:] == ["waiting", "-", "-", "-", "-"]
    assert lines[4][2] == "damaged"


def test_an_empty_registry_says_so(registry):
    assert roster(registry).startswith("No models yet: ")


def test_a_model_does_not_take_the_place_of_a_champion_it_was_not_compared_with(three, saved):
    version = three.register(saved("d"), {}).version
    with pytest.raises(ModelError, match=r"was compared with champion 2, and meanwhile 3 is champion: run the flow"):
        three.promote(version, by="gate", why="better", instead_of="2")
    assert three.promote(version, by="gate", why="better", instead_of="3").version == version
