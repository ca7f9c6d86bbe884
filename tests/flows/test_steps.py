"""Errors of a flow: a plain one is its message, without a traceback; only what may pass is tried again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from servers import ROOT, Server

pytestmark = pytest.mark.slow

FLOW = """
from prefect import flow
from flows.project import at_terminal, plain_errors, step
from offbeat.errors import OffbeatError, SourceError
import sys
tries = []
@step(retries=2, retry_delay_seconds=0)
def work(kind: str) -> str:
    tries.append(kind)
    if kind == "unreachable" and len(tries) < 3:
        raise SourceError("the database does not answer: look at it")
    if kind == "wrong":
        raise OffbeatError("column 'flow' is gone: bring it back")
    return "done"
@flow
@plain_errors
def trial(kind: str) -> str:
    return work(kind)
code = at_terminal(trial(sys.argv[1], return_state=True))
print("tries:", len(tries), "status:", code)
"""


def trial(server: Server, kind: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FLOW, kind], cwd=ROOT, env=server.env, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def test_what_a_person_must_mend_is_told_once_without_a_traceback(server: Server) -> None:
    said = trial(server, "wrong")
    assert "tries: 1 status: 1" in said
    assert "error: column 'flow' is gone: bring it back" in said
    assert "Traceback" not in said


def test_what_may_pass_is_tried_again(server: Server) -> None:
    assert "tries: 3 status: 0" in trial(server, "unreachable")


def test_a_folder_that_is_no_project_is_told(server: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.score"],
        cwd=ROOT,
        env={**server.env, "OFFBEAT_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"error: {tmp_path}: holds no dvc.yaml: set OFFBEAT_ROOT" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
