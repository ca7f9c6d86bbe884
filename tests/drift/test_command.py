"""`offbeat drift` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from offbeat.cli import app
from offbeat.detection.detector import Detector
from offbeat.errors import OffbeatError
from offbeat.progress import Step
from offbeat.readings.series import Series


@pytest.fixture
def place(detector: Detector, fleet: list[Series], tmp_path: Path) -> Path:
    """Return a folder with a model and readings, the first machine of which has another regime."""
    detector.save(tmp_path / "model")
    (tmp_path / "readings").mkdir()
    for one in fleet:
        frame = one.to_frame().rename_axis("timestamp")
        if one is fleet[0]:
            frame.iloc[-7 * 48 :] += [2.0, 30.0, 1.0]
        frame.to_csv(tmp_path / "readings" / f"{one.asset}.csv")
    return tmp_path


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["drift", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_it_says_what_changed_and_what_to_do(place: Path) -> None:
    said = invoke(place / "readings", "--model", place / "model")
    assert said.splitlines()[0] == "the regime changed: m-0: 3 of 3 channels moved together and stayed"
    assert "What to do: retrain" in said
    assert invoke(place / "readings" / "m-1.csv", "--model", place / "model").startswith("no drift\n")


def test_parameters_can_be_changed(place: Path) -> None:
    said = invoke(place / "readings", "--model", place / "model", "-S", "drift.days=5", "-S", "drift.least_change=50")
    assert said.startswith("no drift\n")
    assert "5 x 1 d" in said


def test_out_takes_pages_and_history(place: Path) -> None:
    out = place / "out"
    said = invoke(place / "readings", "--model", place / "model", "--out", out)
    assert f"Wrote {out / 'drift.json'} and {out / 'pages' / 'm-0.html'}" in said
    assert json.loads((out / "drift.json").read_text())["model"]["method"] == "lstm_autoencoder"
    assert list((out / "workspace").rglob("snapshots/*.json"))


def test_it_shows_how_far_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBEAT_PROGRESS", "lines")
    steps: list[Step] = []
    monkeypatch.setattr("offbeat.progress.Lines.__call__", lambda _, step: steps.append(step))
    invoke(place / "readings", "--model", place / "model", "--out", place / "out")
    ends = [(step.work, step.done, step.unit) for step in steps if step.done == step.total]
    assert ends == [("reading", 3, "machines"), ("comparing", 3, "machines"), ("drawing", 1, "pages")]


def test_results_do_not_go_among_the_readings_or_into_a_file(place: Path) -> None:
    for out, said in ((place / "readings", "among the readings"), (place / "model" / "detector.json", "is a file")):
        with pytest.raises(OffbeatError, match=said):
            invoke(place / "readings", "--model", place / "model", "--out", out)
    with pytest.raises(OffbeatError, match="does not exist: make it first"):
        invoke(place / "readings", "--model", place / "model", "--out", place / "a" / "b")
