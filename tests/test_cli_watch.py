"""`offbeat watch` as a person runs it: a file that grows, lines that are wrong, a service that comes and goes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_stack import current_of, running, serving, stack
from typer.testing import CliRunner, Result

from offbeat.cli import app

FAULT = slice(60, 66)


@pytest.fixture
def lines(make_series: Any) -> list[str]:
    """A line of names and a hundred readings; flow is wrong in a few of them."""
    frame = make_series(100, seed=1).to_frame().rename_axis("timestamp")
    frame.iloc[FAULT, 0] += 9.0
    return frame.round(4).to_csv(date_format="%Y-%m-%dT%H:%M:%SZ").splitlines(keepends=True)


@pytest.fixture
def url(make_detector: Any, tmp_path: Path) -> Any:
    """Address of a service that asks for a token."""
    with running(current_of(make_detector(), tmp_path), token="hush") as address:
        yield address


@pytest.fixture
def following(url: str, tmp_path: Path) -> Any:
    """Start the command on a file, in a process of its own; give the process and a way to wait for what it prints."""
    path, started = tmp_path / "pump-1.csv", []

    def start(*options: str, address: str = url) -> tuple[Path, subprocess.Popen[bytes], Any]:
        command = [sys.executable, "-c", "from offbeat.cli import main; main()", "watch", str(path), "--url", address]
        out = (tmp_path / "out").open("wb")
        env = {**os.environ, "OFFBEAT_TOKEN": "hush"}
        process = subprocess.Popen([*command, *options], env=env, stdout=out, stderr=subprocess.STDOUT)
        out.close()
        started.append(process)
        return path, process, lambda text: wait_for(tmp_path / "out", text)

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(10)


def wait_for(out: Path, text: str) -> str:
    """Return all that was printed, once it holds a text."""
    for _ in range(200):
        if text in (printed := out.read_text()):
            return printed
        time.sleep(0.05)
    pytest.fail(f"waited in vain for {text!r}: {printed}")


def watch(*arguments: object, text: str | None = None) -> Result:
    result = CliRunner().invoke(app, ["watch", *map(str, arguments)], env={"OFFBEAT_TOKEN": "hush"}, input=text)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def stamp(line: str) -> str:
    return line.partition(",")[0]


def test_once_prints_the_timesteps_in_alarm_and_stops(url, lines, tmp_path):
    path = tmp_path / "pump-1.csv"
    path.write_text("".join(lines).rstrip("\n"))
    printed = watch(path, "--url", url, "--once").stdout.splitlines()
    assert any(line.startswith(f"{stamp(lines[62])}  score ") for line in printed)
    assert all("  threshold " in line and "  alarm: " in line for line in printed)
    assert "alarm: flow" in printed[0]
    assert len(watch(path, "--url", url, "--once", "--all").stdout.splitlines()) == 100


def test_standard_input_is_scored_to_its_end(url, lines):
    semicolons = "".join(lines).replace(",", ";")
    printed = watch("-", "--asset", "pump-1", "--url", url, "--all", text=semicolons).stdout.splitlines()
    assert [line.partition("  ")[0] for line in printed] == [stamp(line) for line in lines[1:]]


def test_a_bad_line_is_named_and_left_out(url, lines):
    bad = [
        "2026-01-05T05:15:00Z,fast,1,2\n",
        "2026-01-05T05:15:00Z,1,2\n",
        "soon,1,2,3\n",
        lines[3],
        "\n",
        "x,1e200,,\n",
    ]
    result = watch("-", "--asset", "pump-1", "--url", url, "--all", text="".join([*lines[:31], *bad, *lines[31:]]))
    assert len(result.stdout.splitlines()) == 100
    named = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in named] == [f"standard input, line {k}" for k in (32, 33, 34, 35, 37)]
    assert "'fast' is no number" in named[0]
    assert "is not later" in named[3]


def test_what_cannot_work_ends_at_once(url, lines, tmp_path):
    with pytest.raises(Exception, match="--asset"):
        watch("-", "--url", url)
    with pytest.raises(Exception, match="no such file"):
        watch(tmp_path / "nothing.csv", "--url", url)
    with pytest.raises(Exception, match="first line must name"):
        watch("-", "--asset", "pump-1", "--url", url, text="".join(lines[1:]))
    with pytest.raises(Exception, match="does not know asset 'pump-9'"):
        watch("-", "--asset", "pump-9", "--url", url, text="".join(lines))


def test_a_growing_file_is_followed_through_half_lines_and_its_replacement(following, lines, tmp_path):
    path = tmp_path / "pump-1.csv"
    path.write_text("".join(lines[:40]) + lines[40][:25])
    _, process, wait = following("--all")
    assert stamp(lines[40]) not in wait(stamp(lines[39]))
    with path.open("a") as file:
        file.write(lines[40][25:])
    wait(stamp(lines[40]))
    path.rename(tmp_path / "pump-1.csv.1")  # rotated
    path.write_text("".join(lines[:1] + lines[41:63]))
    assert "alarm: flow" in wait(stamp(lines[62]))
    path.write_text("".join(lines[63:70]))  # cut, and without names
    wait(stamp(lines[69]))
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    printed = (tmp_path / "out").read_text().splitlines()
    assert [line.partition("  ")[0] for line in printed] == [stamp(line) for line in lines[1:70]]


def test_a_service_that_is_away_is_said_once_and_nothing_is_lost(following, lines, make_detector, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = tmp_path / "pump-1.csv"
    path.write_text("".join(lines))
    _, process, wait = following("--all", "--once", address=f"http://127.0.0.1:{port}")
    wait("trying again")
    time.sleep(1.0)
    (tmp_path / "other").mkdir()
    current = current_of(make_detector(), tmp_path / "other")
    current.load()
    with serving(stack(current), port=port):
        assert process.wait(20) == 0
    printed = (tmp_path / "out").read_text().splitlines()
    assert len(printed) == 102
    assert sum("trying again" in line for line in printed) == 1
    assert np.sum(["answers again" in line for line in printed]) == 1
