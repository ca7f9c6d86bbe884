"""Where a detector comes from: hashes of its readings and params, the commit, the version."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from offbeat.params import CalibrateParams, PrepareParams, TrainParams
from offbeat.preparation import Prepared, Survey
from offbeat.readings.series import series_hash

WRITTEN_BY_RUNS = tuple(f":(exclude,top){name}" for name in ("dvc.lock", "data.dvc", "start.dvc", "artifacts"))


def lineage_of(
    data_hash: str,
    prepare: PrepareParams,
    train: TrainParams,
    calibrate: CalibrateParams,
    start: Mapping[str, str],
) -> dict[str, str]:
    """Return `method`, `data_hash`, `params_hash`, `git_commit`, `offbeat_version`, and `Start.lineage` of the start.

    `start` is empty for what was trained from new weights.
    """
    return {
        "method": train.method,
        "data_hash": data_hash,
        "params_hash": params_hash(prepare, train, calibrate),
        "git_commit": git_commit(),
        "offbeat_version": version("offbeat"),
        **start,
    }


def asset_hash(asset: Prepared | Survey) -> str:
    """Return the SHA-256 of the gridded readings, the segments, the masks and the spans of an asset."""
    digest = hashlib.sha256(series_hash(asset.series).encode() + json.dumps(vars(asset.split)).encode())
    digest.update(asset.labelled.tobytes() + asset.excluded.tobytes() + asset.doubtful.tobytes())
    return digest.hexdigest()


def data_hash(hashes: Iterable[str]) -> str:
    """Return the SHA-256 of the hashes of all assets, in order."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def params_hash(prepare: PrepareParams, train: TrainParams, calibrate: CalibrateParams) -> str:
    """Return the SHA-256 of the sections that shape a detector."""
    content = {"prepare": prepare.model_dump(), "train": train.model_dump(), "calibrate": calibrate.model_dump()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def git_commit(directory: Path | None = None) -> str:
    """Return the commit checked out in a directory (the current one by default), or `unknown` outside a repository.

    `+changes` follows where tracked files differ from it, but for what a run of the pipeline itself rewrites.
    """
    try:
        commit = _git("rev-parse", "HEAD", directory=directory)
        changes = _git(
            "status", "--porcelain", "--untracked-files=no", "--", ".", *WRITTEN_BY_RUNS, directory=directory
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+changes" if changes else commit


def _git(*arguments: str, directory: Path | None) -> str:
    done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()
