"""Locks between runs: one holder at a time, held as long as what the holder started, never longer."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.project import locked, project_root, store_url
from offbeat.errors import OffbeatError
from offbeat.locks import is_held, lock_path

HOLD = """
import subprocess, sys, time
from pathlib import Path
from flows.project import locked
with locked(Path(sys.argv[1]), "retrain", "the first", timeout_s=1) as held:
    if sys.argv[2] == "child":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"], pass_fds=[held])
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


def holder(root: Path, kind: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root), kind],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def test_a_lock_is_held_by_one_at_a_time(root: Path) -> None:
    process, said = holder(root, "alone"), []
    try:
        still = pytest.raises(OffbeatError, match=r"retrain\.lock: still held by the first after 1 s: wait for it")
        with still, locked(root, "retrain", "the second", timeout_s=1, say=said.append):
            pass
    finally:
        end(process)
    assert said == ["waiting for the first, which holds retrain.lock"]


def test_a_killed_holder_holds_no_longer(root: Path) -> None:
    end(holder(root, "alone"))
    with locked(root, "retrain", "the second", timeout_s=1):
        assert is_held(lock_path(root, "retrain"), "the second")


def test_what_a_killed_holder_started_is_waited_for(root: Path) -> None:
    process = holder(root, "child")
    end(process)
    begin = time.monotonic()
    with locked(root, "retrain", "the second", timeout_s=30):
        assert time.monotonic() - begin > 1


def test_locks_of_two_names_do_not_meet(root: Path) -> None:
    with locked(root, "retrain", "one", timeout_s=1), locked(root, "data", "one", timeout_s=1):
        assert is_held(lock_path(root, "retrain"), "one")
        assert is_held(lock_path(root, "data"), "one")
        assert not is_held(lock_path(root, "data"), "two")


def test_a_lock_that_was_let_go_is_not_held(root: Path) -> None:
    with locked(root, "retrain", "one", timeout_s=1):
        pass
    assert not is_held(lock_path(root, "retrain"), "one")


def test_the_project_is_where_the_environment_says(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFBEAT_ROOT", str(root))
    assert project_root() == root
    monkeypatch.setenv("OFFBEAT_ROOT", str(root / "elsewhere"))
    with pytest.raises(OffbeatError, match=r"elsewhere: holds no dvc\.yaml: set OFFBEAT_ROOT"):
        project_root()


def test_the_store_is_a_file_of_the_project_unless_the_environment_names_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OFFBEAT_STORE", raising=False)
    assert store_url(root) == f"sqlite:///{root}/offbeat.db"
    monkeypatch.setenv("OFFBEAT_STORE", "postgresql+psycopg://plant/offbeat")
    assert store_url(root) == "postgresql+psycopg://plant/offbeat"
