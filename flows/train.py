"""The train stage on a machine of the `gpu` work pool, which may share nothing with the caller but the DVC remote.

It borrows dvc.lock, params.yaml and start.dvc of the caller, fetches the prepared readings and the start, trains, and
leaves the result with its run cache in the remote, where the caller's `dvc repro --pull train` finds it. In the
caller's own folder it trains in place.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from pydantic import BaseModel, ConfigDict

from flows.dvc import code_hash, dvc, remote, reproduce
from flows.project import locked, plain_errors, project_root
from offbeat.errors import OffbeatError
from offbeat.files import new_file
from offbeat.locks import is_held, lock_path

STAGE = "train"
BATCHES = re.compile(r"training: ([\d,]+)/([\d,]+) batches")
WAIT_S = 6 * 3600.0


class TrainingRequest(BaseModel):
    """What a worker needs to train what the caller would: texts of three files, and the hash of the code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str
    code_hash: str
    params: str
    lock: str
    start: str


def request_from(root: Path, token: str) -> TrainingRequest:
    """Return the request of a caller that works in `root` and holds the lock `retrain` as `token`."""
    params, lock, start = (
        (root / name).read_text(encoding="utf-8") for name in ("params.yaml", "dvc.lock", "start.dvc")
    )
    return TrainingRequest(token=token, code_hash=code_hash(root, STAGE), params=params, lock=lock, start=start)


@flow(name="train", timeout_seconds=24 * 3600)
@plain_errors
def train(request: TrainingRequest) -> str:
    """Train what the caller asks for; return where."""
    root, say = project_root(), get_run_logger().info
    if code_hash(root, STAGE) != request.code_hash:
        raise OffbeatError(
            f"{root}: has other code for the train stage than the caller: check out the same commit on both machines"
        )
    if is_held(lock_path(root, "retrain"), request.token):
        with locked(root, STAGE, f"train for {request.token}", timeout_s=WAIT_S, say=say) as held:
            reproduce(root, STAGE, say=reporting(say), keep=[held])
        return f"in the caller's folder {root}"
    if remote(root) is None:
        raise OffbeatError(
            f"{root}: has no DVC remote to fetch the prepared readings from: give it the caller's, "
            "dvc remote add --force --default store ADDRESS"
        )
    theirs = {"dvc.lock": request.lock, "params.yaml": request.params, "start.dvc": request.start}
    with (
        locked(root, "retrain", f"train for {request.token}", timeout_s=WAIT_S, say=say) as held,
        borrowed(root, theirs),
    ):
        dvc(root, "pull", "prepare", "start.dvc", say=say, keep=[held])
        reproduce(root, STAGE, say=reporting(say), keep=[held])
        dvc(root, "push", "--run-cache", STAGE, say=say, keep=[held])
    return f"in {root}"


@contextmanager
def borrowed(root: Path, texts: Mapping[str, str]) -> Iterator[None]:
    """Give files of a clone other texts for a while; their own come back, after a killed run with the next."""
    kept = {name: root / ".offbeat" / f"own-{name}" for name in texts}
    for name, text in texts.items():
        if not kept[name].exists() and (root / name).exists():
            with new_file(kept[name]) as scratch:
                shutil.copyfile(root / name, scratch)
        with new_file(root / name) as scratch:
            scratch.write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        for name, own in kept.items():
            if own.exists():
                own.replace(root / name)


def reporting(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return what logs each line and moves a progress bar with the batches."""
    bar = create_progress_artifact(progress=0.0, key="training", description="batches of training")

    def report(line: str) -> None:
        say(line)
        if found := BATCHES.match(line):
            done, total = (int(number.replace(",", "")) for number in found.groups())
            update_progress_artifact(bar, progress=100 * done / total)  # type: ignore[arg-type]

    return report
