"""The command line as a person types it: what it prints, writes and refuses."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import offbeat
from offbeat.cli import app, main

SMALL = ["-S", "train.epochs=1", "-S", "train.steps_per_epoch=5", "-S", "train.units=8", "-S", "prepare.window_size=16"]


def invoke(*arguments: object, code: int = 0) -> str:
    """Run a command in this process and return what it prints."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command through its entry point and return its message, after checking that it failed with one line."""
    monkeypatch.setattr("sys.argv", ["offbeat", *(str(argument) for argument in arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "Traceback" not in message
    assert message.count("\n") == 1
    return message


def write_readings(path: Path, n_timesteps: int = 600, seed: int = 0, **columns: object) -> Path:
    rng = np.random.default_rng(seed)
    time = pd.date_range("2026-01-01", periods=n_timesteps, freq="1min", tz="UTC", name="timestamp")
    wave = np.sin(np.arange(n_timesteps) / 5)
    frame = pd.DataFrame({"flow": wave, "pressure": 2 * wave} | columns, index=time)
    path.parent.mkdir(parents=True, exist_ok=True)
    (frame + rng.normal(scale=0.05, size=frame.shape)).to_csv(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two machines, one of which stands still for a while near its end, with that labelled."""
    directory = tmp_path_factory.mktemp("readings")
    write_readings(directory / "readings" / "a.csv")
    path = write_readings(directory / "readings" / "b.csv", seed=1)
    frame = pd.read_csv(path)
    frame.loc[520:560, "flow"] = 3.0
    frame.to_csv(path, index=False)
    labels = "asset,start,end,kind\nb,2026-01-01T08:40:00Z,2026-01-01T09:20:00Z,stuck\n"
    (directory / "labels.csv").write_text(labels)
    return directory


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "detector"
    printed = invoke("train", folder, "--out", directory, *SMALL)
    assert "2 assets, 1 labelled event in their test spans" in printed
    assert "untrained_network" in printed
    assert f"open {directory / 'report.html'} in a browser" in printed
    return directory


def test_training_leaves_a_page_beside_the_detector_that_goes_with_it(
    folder: Path, model: Path, tmp_path: Path
) -> None:
    page = (model / "report.html").read_text(encoding="utf-8")
    assert "1 labelled event found" in page
    out = tmp_path / "again"
    shutil.copytree(model, out)
    invoke("calibrate", folder / "readings" / "a.csv", "--model", out, "--out", out)
    assert not (out / "report.html").exists()


def test_training_says_when_the_budget_cannot_be_promised(folder: Path, tmp_path: Path) -> None:
    printed = invoke("train", folder, "--out", tmp_path / "m", *SMALL)
    assert "Warning: a, b: the budget needs" in printed


def test_scoring_prints_the_event_and_writes_a_row_a_timestep(folder: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    printed = invoke("score", folder, "--model", model, "--out", out)
    assert "2026-01-01 08:" in printed
    assert re.search(r"(flow|pressure) \d+%", printed)  # each tells the other, so which one is wrong is not known
    table = pd.read_csv(out, parse_dates=["timestamp"])
    expected = ["timestamp", "asset", "score", "threshold", "alarm", "share.flow", "share.pressure"]
    assert list(table.columns) == expected
    assert len(table) == 1200
    assert table.loc[table["asset"] == "b", "alarm"].iloc[520:560].any()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_written_scores_are_those_of_the_library(folder: Path, model: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"scores{suffix}"
    invoke("score", folder / "readings" / "a.csv", "--model", model, "--out", out)
    table = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    result = offbeat.Detector.load(model).score(offbeat.read_folder(folder).series[0])
    np.testing.assert_allclose(table["score"], result.scores, rtol=1e-12)


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet files of any size are read piece by piece, and scored in stretches of a few hundred timesteps."""
    monkeypatch.setattr("offbeat.readings.asset_readings.MOST_AT_ONCE", 0)
    monkeypatch.setattr("offbeat.readings.asset_readings.PIECE_READINGS", 300)
    monkeypatch.setattr("offbeat.detection.streaming.STRETCH_READINGS", 0)
    monkeypatch.setattr("offbeat.detection.streaming.FEWEST_REACHES", 2)


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_is_read_in_pieces_is_scored_as_one_that_is_read_at_once(
    folder: Path, model: Path, tmp_path: Path, suffix: str
) -> None:
    large, out = tmp_path / "large", tmp_path / f"scores{suffix}"
    large.mkdir()
    for name in ("a", "b"):
        frame = pd.read_csv(folder / "readings" / f"{name}.csv", parse_dates=["timestamp"])
        frame.to_parquet(large / f"{name}.parquet")
    at_once, printed = tmp_path / f"at-once{suffix}", []
    for given, to in ((folder, at_once), (large, out)):
        printed.append(invoke("score", given, "--model", model, "--out", to).replace(str(to), ""))
    assert printed[0] == printed[1]
    assert "1 event in 1,200 timesteps of 2 assets" in printed[0] or "events in 1,200 timesteps" in printed[0]
    if suffix == ".csv":
        assert out.read_text() == at_once.read_text()
    else:
        pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(at_once))


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_wrong_reading_in_the_middle_of_a_file_leaves_the_old_scores(
    folder: Path,
    model: Path,
    tmp_path: Path,
    suffix: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    frame = pd.read_csv(folder / "readings" / "a.csv", parse_dates=["timestamp"])
    frame.loc[550, "flow"] = np.inf
    (tmp_path / "in").mkdir()
    frame.to_parquet(tmp_path / "in" / "a.parquet")
    out = tmp_path / f"scores{suffix}"
    out.write_text("old")
    message = refused(monkeypatch, capsys, "score", tmp_path / "in" / "a.parquet", "--model", model, "--out", out)
    assert "a.parquet, row 550: channel 'flow' is inf" in message
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", out.name]


def test_validate_grades_and_fails_on_an_unreadable_file(folder: Path, tmp_path: Path) -> None:
    assert "grade" in invoke("validate", folder)
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "readings" / "c.csv").write_text("timestamp,flow,pressure\n2026-01-01,1,oops\n")
    printed = invoke("validate", tmp_path / "copy", code=1)
    assert "c.csv" in printed
    assert "oops" in printed


def test_validate_says_if_training_would_refuse_the_readings(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["validate", folder, "-S", "prepare.window_size=200"]
    assert "training would refuse these readings: asset 'a': its " in refused(monkeypatch, capsys, *arguments)


def test_validate_reads_a_params_file_and_single_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packaged = (Path(__file__).resolve().parents[1] / "params.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(re.sub(r"window_size: .*", "window_size: 200", packaged))
    arguments = ["validate", folder, "--params", tmp_path / "mine.yaml"]
    assert "training would refuse" in refused(monkeypatch, capsys, *arguments)
    invoke(*arguments, "-S", "prepare.window_size=16")


def test_validate_tells_the_window_that_would_be_chosen(folder: Path) -> None:
    assert "window of" not in invoke("validate", folder, "-S", "prepare.window_size=16")
    assert re.search(r"window of \d+ timesteps, chosen", invoke("validate", folder, "-S", "prepare.window_size=null"))


def test_the_version_is_that_of_the_package() -> None:
    assert invoke("--version") == f"offbeat {version('offbeat')}\n"


def test_simulate_refuses_a_folder_that_holds_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.csv").write_text("precious")
    assert "empty" in refused(monkeypatch, capsys, "simulate", tmp_path)
    assert (tmp_path / "mine.csv").read_text() == "precious"


def test_convert_goes_there_and_back(folder: Path, tmp_path: Path) -> None:
    months = tmp_path / "months"
    said = invoke("convert", folder, months, "--group", "valves")
    assert said == f"Wrote the readings of 2 machines to {months}; look at them: offbeat validate {months}\n"
    assert (months / "readings" / "group=valves" / "asset=a" / "month=2026-01" / "readings.parquet").is_file()
    invoke("convert", months, tmp_path / "back", "--to", "csv")
    for asset in ("a", "b"):
        one, other = (pd.read_csv(place / "readings" / f"{asset}.csv") for place in (folder, tmp_path / "back"))
        np.testing.assert_array_equal(one.iloc[:, 1:], other.iloc[:, 1:])


def test_a_partitioned_data_set_is_scored_as_files_are(folder: Path, model: Path, tmp_path: Path) -> None:
    invoke("convert", folder, tmp_path / "months")
    said = [
        invoke("score", place, "--model", model, "--out", tmp_path / f"{place.name}.csv")
        for place in (folder, tmp_path / "months")
    ]
    assert said[0].splitlines()[:-1] == said[1].splitlines()[:-1]
    assert (tmp_path / f"{folder.name}.csv").read_bytes() == (tmp_path / "months.csv").read_bytes()


def test_simulate_makes_as_many_machines_as_are_wanted_and_validate_takes_their_groups(tmp_path: Path) -> None:
    invoke("simulate", tmp_path / "fleet", "--assets", 4, "--timesteps", 700, "--layout", "parquet")
    said = invoke("validate", tmp_path / "fleet", "-S", "prepare.window_size=16")
    assert [line.split()[0] for line in said.splitlines() if re.match(r"(fan|pump)-\d", line)] == [
        "fan-2",
        "fan-3",
        "pump-0",
        "pump-1",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["score", "{folder}", "--model", "{tmp}/nothing"],
            ["nothing: there is no such folder", "`offbeat train`"],
        ),
        (["convert", "{folder}", "{tmp}/new", "--to", "csv"], ["holds a file for each asset already"]),
        (["convert", "{folder}", "{tmp}/new", "--to", "csv", "--group", "a"], ["--group is for --to parquet"]),
        (["simulate", "{tmp}/new", "--layout", "parquet"], ["--layout is for --assets"]),
        (["score", "{tmp}/none.csv", "--model", "{model}"], ["none.csv does not exist"]),
        (["score", "{folder}", "--model", "{model}", "--out", "{folder}/scores.csv"], ["among the readings"]),
        (["score", "{folder}", "--model", "{model}", "--out", "{tmp}/scores.txt"], [".csv or .parquet"]),
        (["score", "{folder}", "--model", "{model}", "--out", "{tmp}/no/scores.csv"], ["does not exist"]),
        (["train", "{folder}", "--out", "{tmp}/m", "-S", "train.epoch=3"], ["train.epoch", "did you mean 'epochs'"]),
        (["train", "{folder}", "--out", "{tmp}/m", "-S", "train.epochs=0"], ["train.epochs=0"]),
        (["train", "{folder}", "--out", "{tmp}/m", "-S", "epochs"], ["section.key=value"]),
        (["train", "{folder}", "--out", "{folder}"], ["holds other files"]),
        (["train", "{tmp}/none", "--out", "{tmp}/m"], ["none does not exist"]),
        (["run", "calibrate", "--root", "{root}"], ["run the stages before this one"]),
    ],
)
def test_what_a_person_can_mend_is_one_line_without_a_traceback(
    folder: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(Path(__file__).resolve().parents[1] / "params.yaml", root)
    places = {"folder": folder, "model": model, "tmp": tmp_path, "root": root}
    message = refused(monkeypatch, capsys, *(argument.format(**places) for argument in arguments))
    for word in words:
        assert word in message
    assert not (tmp_path / "m").exists()


def test_a_machine_the_model_never_saw_is_refused_with_the_remedy(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_readings(tmp_path / "stranger.csv")
    message = refused(monkeypatch, capsys, "score", path, "--model", model)
    assert "stranger" in message
    assert "calibrate" in message


@pytest.mark.parametrize(
    ("given", "out"),
    [
        ("{folder}", "{folder}/readings/a.csv"),
        ("{folder}", "{folder}/labels.csv"),
        ("{folder}/readings/a.csv", "{folder}/readings/a.csv"),
    ],
)
def test_scores_never_overwrite_what_they_are_scores_of(
    folder: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: str,
    out: str,
) -> None:
    own = shutil.copytree(folder, tmp_path / "own")
    before = Path(out.format(folder=own)).read_bytes()
    arguments = ["score", given.format(folder=own), "--model", model, "--out", out.format(folder=own)]
    assert "--out" in refused(monkeypatch, capsys, *arguments)
    assert Path(out.format(folder=own)).read_bytes() == before


@pytest.mark.parametrize("step", [2, 10])
def test_readings_of_another_period_are_refused_with_both(
    folder: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    step: int,
) -> None:
    pd.read_csv(folder / "readings" / "a.csv").iloc[::step].to_csv(tmp_path / "a.csv", index=False)
    message = refused(monkeypatch, capsys, "score", tmp_path / "a.csv", "--model", model)
    assert f"readings every {step} min, the model learnt from readings every 1 min" in message


def invoke_score(folder: Path, model: Path, out: Path) -> Path:
    invoke("score", folder, "--model", model, "--out", out)
    return out


@pytest.mark.parametrize("name", ["labels.csv", "exclude.csv"])
def test_a_calibration_leaves_out_what_the_folder_labels_and_excludes(
    folder: Path, model: Path, tmp_path: Path, name: str
) -> None:
    def threshold_of(own: Path, out: str) -> float:
        invoke("calibrate", own, "--model", model, "--out", tmp_path / out)
        return offbeat.Detector.load(tmp_path / out).assets["b"].threshold.value

    own = shutil.copytree(folder, tmp_path / "own")
    spans = (own / "labels.csv").read_text()
    (own / "labels.csv").unlink()
    known_as_normal = threshold_of(own, "all")
    (own / name).write_text(spans.replace("kind", "reason") if name == "exclude.csv" else spans)
    assert threshold_of(own, "some") < known_as_normal


def test_a_calibration_by_labels_takes_the_events_that_the_folder_labels(
    folder: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = shutil.copytree(folder, tmp_path / "own")
    asked = ["calibrate", own, "--model", model, "--out", tmp_path / "out", "-S", "calibrate.method=labelled"]
    monkeypatch.setattr("sys.argv", ["offbeat", *map(str, asked)])
    with pytest.raises(SystemExit) as stop:
        main()
    out, told = capsys.readouterr()
    assert (stop.value.code, "(labelled, calibrated)" in out) == (1, True)
    assert told.startswith("1 machine could not be calibrated:\n  a: ")
    assert "'labelled' takes labelled events, and no score in the calibration span of 'a' lies in one" in told
    (own / "readings" / "a.csv").unlink()
    scores = pd.read_csv(invoke_score(own, tmp_path / "out", tmp_path / "scores.csv"))
    events = scores["timestamp"].between("2026-01-01T08:45:00Z", "2026-01-01T09:15:00Z")
    assert scores["alarm"][events].mean() > 0.9
    assert scores["alarm"][: 500 - 40].mean() < 0.1


def test_a_model_of_other_channels_is_refused_by_name(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_readings(tmp_path / "a.csv", speed=np.ones(600))
    message = refused(monkeypatch, capsys, "score", path, "--model", model)
    assert "speed" in message


def test_a_full_disk_leaves_the_old_scores(
    folder: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert "No space left" in refused(monkeypatch, capsys, "score", folder, "--model", model, "--out", out)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
    assert out.read_text() == "old"


@pytest.mark.parametrize("place", [1, 2, 5])
def test_debug_shows_the_traceback_before_the_command_and_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: int
) -> None:
    arguments = ["offbeat", "score", str(tmp_path), "--model", str(tmp_path)]
    arguments.insert(place, "--debug")
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(offbeat.OffbeatError):
        main()
