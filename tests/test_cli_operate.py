"""The commands of the system at work, as a person types them: readings, alarms and verdicts, models and champions."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from offbeat.cli import app
from offbeat.detection.fleet import Fleet
from offbeat.errors import OffbeatError
from offbeat.operation.scoring import score_folder
from offbeat.operation.store import Store
from offbeat.promotion import decide, stamps
from offbeat.registry import Registry


def invoke(project: Path, *arguments: object) -> str:
    """Run a command on a project and return what it prints; what it raises is raised here."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--root", str(project)], env={"OFFBEAT_STORE": None})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def serving(project: Path) -> Path:
    """Return a project with a champion that has scored the readings of its test spans."""
    registry = Registry(project / "registry")
    registry.promote(decide(project, registry, reason="a test").version, by="a test", why="first")
    champion = registry.champion()
    assert champion is not None
    with Store(f"sqlite:///{project / 'offbeat.db'}") as store:
        since = {asset: stamp + 1 for asset, stamp in stamps(champion, "scores_from").items()}
        score_folder(champion.load(), project / "data", store, champion.version, since)
    return project


def learn_from_a_false_alarm(project: Path) -> str:
    """Make a second model, with a new threshold."""
    invoke(project, "feedback", 1, "false", "--by", "Ada")
    return invoke(project, "recalibrate", "--by", "Ada")


def test_alarms_show_when_how_strong_and_in_which_channel(serving: Path) -> None:
    lines = invoke(serving, "alarms", "--asset", "pump-1").splitlines()
    assert lines[0].split("  ")[0] == "alarm"
    assert any("pump-1" in line and "flow" in line for line in lines[2:])
    assert lines[-1] == "Say what one was: offbeat feedback ALARM true|false|expected"


def test_a_verdict_is_kept_and_may_be_changed(serving: Path) -> None:
    said = invoke(serving, "feedback", 1, "expected", "--note", "valve serviced", "--by", "Ada")
    assert said.startswith("alarm 1 of pump-1, 2026-")
    assert said.rstrip().endswith("expected")
    assert "expected (valve serviced)" in invoke(serving, "alarms")
    assert "false (was expected)" in invoke(serving, "feedback", 1, "false", "--by", "Ada")
    assert invoke(serving, "alarms", "--verdict", "expected").rstrip() == "No alarms."


def test_a_false_alarm_takes_effect_with_a_recalibration(serving: Path) -> None:
    assert "offbeat recalibrate" in invoke(serving, "feedback", 1, "false", "--by", "Ada")
    said = learn_from_a_false_alarm(serving)
    assert said.startswith("model 2 is the champion: model 1 with new thresholds for ")
    assert "pump-1: threshold " in said
    rows = invoke(serving, "models").splitlines()[2:]
    assert ["was champion" in rows[0], "champion" in rows[1]] == [True, True]


def test_a_rollback_brings_the_former_champion_back(serving: Path) -> None:
    learn_from_a_false_alarm(serving)
    assert invoke(serving, "rollback", "--by", "Ada", "--why", "too many alarms") == "model 1 is the champion again\n"
    assert Registry(serving / "registry").history()[-1]["why"] == "too many alarms"


def test_a_person_promotes(serving: Path) -> None:
    learn_from_a_false_alarm(serving)
    assert invoke(serving, "promote", 1, "--by", "Ada", "--override") == "model 1 is the champion\n"
    with pytest.raises(OffbeatError, match=r"no model has version 9 \(known: 1, 2\)"):
        invoke(serving, "promote", 9, "--by", "Ada")


def test_a_person_promotes_a_model_in_a_folder_without_a_gate(serving: Path, make_detector, make_series) -> None:
    fans = make_detector(make_series(1400, asset="fan-1"))
    Fleet({"pumps": make_detector(), "fans": fans}).save(serving / "mine")
    said = invoke(serving, "promote", "--from", serving / "mine", "--by", "Ada", "--why", "more machines")
    assert said == f"model 2 is the champion: {serving / 'mine'}, 2 assets in 2 groups\n"
    registry = Registry(serving / "registry")
    assert (registry.history()[-1]["by"], registry.history()[-1]["why"]) == ("Ada", "more machines")
    last = make_series(1400).index[-1].isoformat()
    assert registry.model("2").card["learnt_until"] == {"fan-1": last, "pump-1": make_series(400).index[-1].isoformat()}
    assert "model 1 is the champion again" in invoke(serving, "rollback", "--by", "Ada")


def test_a_person_promotes_a_version_or_a_folder(serving: Path) -> None:
    for wrong in ((), (1, "--from", serving / "artifacts/detector")):
        with pytest.raises(OffbeatError, match=r"promote takes a version .*, or --from and the folder of a model"):
            invoke(serving, "promote", *wrong, "--by", "Ada")


def test_a_champion_of_a_folder_scores_and_is_judged_against_from_where_it_had_learnt(
    serving: Path, make_detector
) -> None:
    make_detector().save(serving / "mine")
    invoke(serving, "promote", "--from", serving / "mine", "--by", "Ada")
    registry = Registry(serving / "registry")
    assert stamps(registry.champion(), "scores_from") == {
        "pump-1": registry.champion().load().assets["pump-1"].reference.until
    }
    assert decide(serving, registry, reason="a test").version == "1"


def test_without_a_store_the_alarms_say_what_to_do(project: Path) -> None:
    with pytest.raises(OffbeatError, match=r"offbeat\.db: no alarms yet: run the flow score, or name the database"):
        invoke(project, "alarms")


def test_an_unknown_alarm_is_named(serving: Path) -> None:
    with pytest.raises(OffbeatError, match=r"there is no alarm 99 \(they go up to \d+\): offbeat alarms lists them"):
        invoke(serving, "feedback", 99, "true", "--by", "Ada")


def test_ingest_tells_what_it_took(project: Path) -> None:
    (project / "drop").mkdir()
    (project / "drop" / "pump-1.csv").write_text("timestamp,flow,speed,temp\n2026-03-01T00:00:00Z,50,1400,40\n")
    (project / "sources.yaml").write_text("sources:\n  - {kind: folder, name: loggers, path: drop, settle_s: 0}\n")
    assert "pump-1: 1 new" in invoke(project, "ingest")
    assert "no new readings from 1 source" in invoke(project, "ingest")


def test_ingest_without_sources_says_where_to_name_them(project: Path) -> None:
    with pytest.raises(OffbeatError, match=r"sources\.yaml: there is no such file: .* docs/ingestion\.md"):
        invoke(project, "ingest")


def test_a_mistyped_store_is_told_and_not_made(project: Path) -> None:
    with pytest.raises(OffbeatError, match=r"elsewhere/x\.db: no alarms yet"):
        invoke(project, "alarms", "--store", f"sqlite:///{project}/elsewhere/x.db")
    assert not (project / "elsewhere").exists()


def test_readings_that_were_not_fetched_yet_are_not_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    (tmp_path / "sources.yaml").write_text("sources: [{kind: folder, name: drop, path: drop}]\n")
    (tmp_path / "data.dvc").write_text("outs: []\n")
    with pytest.raises(OffbeatError, match=r"data is not there, but data\.dvc has a version of it: dvc pull"):
        invoke(tmp_path, "ingest")
    assert not (tmp_path / "data").exists()
