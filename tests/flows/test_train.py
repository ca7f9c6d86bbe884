"""The train stage in another clone: what it borrows of the caller, it gives back."""

from __future__ import annotations

from pathlib import Path

from flows.train import borrowed


def test_a_clone_gets_its_own_files_back(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("own")
    with borrowed(tmp_path, {"params.yaml": "the caller's"}):
        assert (tmp_path / "params.yaml").read_text() == "the caller's"
    assert (tmp_path / "params.yaml").read_text() == "own"


def test_after_a_killed_run_the_next_gives_them_back(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("own")
    killed = borrowed(tmp_path, {"params.yaml": "the first caller's"})
    killed.__enter__()
    with borrowed(tmp_path, {"params.yaml": "the second caller's"}):
        assert (tmp_path / "params.yaml").read_text() == "the second caller's"
    assert (tmp_path / "params.yaml").read_text() == "own"
