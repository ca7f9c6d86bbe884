"""What a person sees at a terminal, and a program in a pipe: progress, failures, Ctrl-C."""

from __future__ import annotations

import errno
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from offbeat.cli import app, bars, main
from offbeat.cli.failures import explained, failures_in_words
from offbeat.errors import OffbeatError
from offbeat.progress import Report, Step, silent

COMMAND = [sys.executable, "-c", "import sys; from offbeat.cli import main; sys.argv[0] = 'offbeat'; main()"]


class Terminal:
    """A command in a terminal of its own, 80 columns wide."""

    def __init__(self, *arguments: object, out: Path | None = None) -> None:
        own, other = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name != bars.VARIABLE}
        with (out or Path(os.devnull)).open("wb") as file:
            self.process = subprocess.Popen(
                [*COMMAND, *map(str, arguments)],
                stdin=other,
                stdout=file if out else other,
                stderr=other,
                env={**environment, "TERM": "xterm-256color", "COLUMNS": "80"},
                start_new_session=True,
            )
        os.close(other)
        self._own, self._shown = own, b""

    def wait_for(self, text: str) -> None:
        """Read until something was shown."""
        while text not in self.shown:
            if not self._read():
                pytest.fail(f"ended without {text!r}: {self.shown}")

    def end(self) -> int:
        """Read to the end; return the exit status."""
        while self._read():
            pass
        os.close(self._own)
        return self.process.wait()

    @property
    def shown(self) -> str:
        """All that was shown, without what moves the cursor and chooses colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._shown.decode(errors="replace")).replace("\r\n", "\n")

    def _read(self) -> bool:
        try:
            data = os.read(self._own, 1 << 16)
        except OSError as error:  # how a terminal ends whose last command has ended
            if error.errno != errno.EIO:
                raise
            data = b""
        self._shown += data
        return bool(data)


@pytest.fixture
def scoring(make_detector: Any, make_series: Any, tmp_path: Path) -> list[object]:
    """Arguments of a command that scores enough readings to be seen at it."""
    make_detector().save(tmp_path / "model")
    make_series(60_000, seed=1).to_frame().rename_axis("timestamp").to_csv(tmp_path / "pump-1.csv")
    return ["score", tmp_path / "pump-1.csv", "--model", tmp_path / "model"]


def test_a_terminal_sees_how_far_scoring_is_and_how_long_it_takes(scoring: list[object], tmp_path: Path) -> None:
    terminal = Terminal(*scoring, out=tmp_path / "printed")
    assert terminal.end() == 0
    assert re.search(r"scoring \S+ [\d,]+/60,000 timesteps, [\d,]+/s, \d+ s left", terminal.shown)
    assert "reading" in terminal.shown
    printed = (tmp_path / "printed").read_text()
    assert "60,000 timesteps of 1 asset" in printed
    assert "scoring" not in printed


@pytest.mark.parametrize("chosen", ["", "auto", "none"])
def test_a_pipe_gets_the_result_and_nothing_else(scoring: list[object], chosen: str) -> None:
    done = subprocess.run(
        [*COMMAND, *map(str, scoring)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, bars.VARIABLE: chosen},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].endswith("60,000 timesteps of 1 asset")
    assert "\x1b" not in done.stdout


def test_a_log_asks_for_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(bars.VARIABLE, "lines")
    with bars.shown() as report:
        report(Step("training", 1, 2, "batches", "loss 1"))
    assert capsys.readouterr().err == "training: 1/2 batches; loss 1\n"


def test_a_wrong_choice_of_progress_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bars.VARIABLE, "yes")
    with pytest.raises(OffbeatError, match="OFFBEAT_PROGRESS='yes': must be one of auto, lines, none"), bars.shown():
        pass


@pytest.mark.parametrize("stage", ["prepare", "train", "calibrate", "evaluate"])
def test_every_stage_is_given_what_shows_its_progress(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    given: list[Report] = []

    def run(_section: object, *, root: Path, report: Report) -> list[str]:
        given.append(report)
        return [f"{stage} in {root.name}"]

    from importlib import import_module

    monkeypatch.setattr(import_module(f"offbeat.stages.{stage}"), "run", run)
    root = Path(__file__).resolve().parents[1]
    assert CliRunner().invoke(app, ["run", stage, "--root", str(root)]).output == f"{stage} in {root.name}\n"
    assert given == [silent]


def test_ctrl_c_ends_with_a_word_and_the_status_of_shells(scoring: list[object]) -> None:
    terminal = Terminal(*scoring)
    terminal.wait_for("scoring")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.shown.rstrip().endswith("stopped: no file was left half-written")
    assert "Traceback" not in terminal.shown


def fails(error: Exception) -> Exception:
    """Return an error as it is after it was raised."""
    try:
        raise error
    except type(error) as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("speed"), ["KeyError: 'speed' (test_cli_terminal.py, line", "fault of offbeat", "offbeat --debug"]),
        (OSError(28, "No space left on device", "scores.csv"), ["scores.csv: No space left on device (nothing was"]),
        (
            MemoryError("Unable to allocate 7 TiB"),
            ["not enough memory (Unable to allocate 7 TiB): give fewer machines"],
        ),
        (ModuleNotFoundError("No module", name="sqlalchemy"), ["needs sqlalchemy", "pip install 'offbeat["]),
        (ModuleNotFoundError("No module", name="offbeat.x"), ["fault of offbeat"]),
        (ValueError("over\ntwo lines"), ["ValueError: over two lines"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_failure_is_one_paragraph(error: Exception, words: list[str]) -> None:
    paragraph = explained(fails(error), "offbeat")
    assert "\n" not in paragraph
    for word in words:
        assert word in paragraph


def test_what_offbeat_did_not_foresee_is_told_as_a_fault_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("offbeat.readings.simulate.simulate_fleet", broken)
    monkeypatch.setattr("sys.argv", ["offbeat", "simulate", str(tmp_path / "fleet")])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err.startswith("error: ZeroDivisionError: division by zero (test_cli_terminal.py, line ")
    monkeypatch.setattr("sys.argv", ["offbeat", "--debug", "simulate", str(tmp_path / "fleet")])
    with pytest.raises(ZeroDivisionError):
        main()


def test_an_exit_status_that_a_command_chose_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop, failures_in_words("offbeat"):
        sys.exit(3)
    assert stop.value.code == 3
    assert capsys.readouterr().err == ""


def test_the_examples_fail_in_words_too(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "examples.taxi.example", "--from", str(tmp_path / "nowhere")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'nowhere'} does not exist: give the folder")
    assert "Traceback" not in done.stderr
