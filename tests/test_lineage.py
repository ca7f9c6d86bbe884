"""Lineage changes with whatever shapes a detector, and with nothing else."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from offbeat.lineage import asset_hash, data_hash, git_commit, lineage_of, params_hash
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder, Span

CHANGES = {"prepare": {"window_size": 8}, "calibrate": {"stride": 1, "delay": 0}}
PARAMS = load_params(changes=CHANGES)


def hash_of(*series, **known):
    return data_hash(map(asset_hash, prepare_fleet(Folder(tuple(series), **known), PARAMS.prepare)))


def sections(**changes):
    params = load_params(
        changes={key: {**CHANGES.get(key, {}), **changes.get(key, {})} for key in (*CHANGES, *changes)}
    )
    return params.prepare, params.train, params.calibrate


def test_the_data_hash_is_that_of_the_readings_and_not_of_their_notes(make_series):
    series = make_series()
    assert hash_of(series) == hash_of(make_series()) == hash_of(replace(series, notes=("read twice",)))
    assert len(hash_of(series)) == 64


def test_the_data_hash_changes_with_every_reading_mask_name_and_span(make_series):
    series = make_series()
    touched = series.values.copy()
    touched[399, 2] += 1e-9
    span = Span("pump-1", series.index[3], series.index[3])
    hashes = [
        hash_of(series),
        hash_of(replace(series, values=touched)),
        hash_of(replace(series, stamps=series.stamps + series.step)),
        hash_of(replace(series, asset="pump-2")),
        hash_of(replace(series, channels=("flow", "speed", "heat"))),
        hash_of(replace(series, segment_starts=np.array([0, 200]))),
        hash_of(series, labels=(span,)),
        hash_of(series, exclude=(span,)),
        hash_of(series, test_starts={"pump-1": series.index[300]}),
        hash_of(series, make_series(asset="pump-2")),
    ]
    assert len(set(hashes)) == len(hashes)


def test_the_params_hash_changes_with_each_section_that_shapes_a_detector():
    hashes = [
        params_hash(*sections(**changes))
        for changes in ({}, {"prepare": {"clip": 9.5}}, {"train": {"epochs": 9999}}, {"calibrate": {"n_sigmas": 4.5}})
    ]
    assert len(set(hashes)) == 4
    assert params_hash(*sections(evaluate={"n_components": 1})) == hashes[0]


@pytest.fixture
def repository(tmp_path):
    """A git repository with one commit."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    for name in ("file", "dvc.lock", "artifacts/metrics.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize("name", ["dvc.lock", "artifacts/metrics.json"])
def test_what_a_run_of_the_pipeline_rewrites_is_no_change(repository, name):
    (repository / name).write_text("two")
    assert "+" not in git_commit(repository)


def test_the_commit_is_the_one_checked_out_and_changes_of_tracked_files_are_marked(repository):
    commit = git_commit(repository)
    assert len(commit) == 40
    (repository / "untracked").write_text("two")
    assert git_commit(repository) == commit
    (repository / "file").write_text("two")
    assert git_commit(repository) == f"{commit}+changes"


def test_the_commit_is_unknown_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path) == "unknown"


def test_lineage_names_data_params_commit_and_version():
    lineage = lineage_of("abc", *sections(), {})
    assert list(lineage) == ["method", "data_hash", "params_hash", "git_commit", "offbeat_version"]
    start = {"start_hash": "def", "start_version": "3"}
    assert lineage_of("abc", *sections(), start) == {**lineage, **start}
    assert lineage["data_hash"] == "abc"
    assert all(isinstance(value, str) and value for value in lineage.values())
