"""The readings of many machines to a model for each group and to scores, shard by shard; one task run is a shard."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.engine import task_engine
from flows.ingest import data_there
from flows.project import at_terminal, locked, plain_errors, project_root
from offbeat.errors import ReadingsError
from offbeat.fleet.engine import Engine
from offbeat.fleet.learning import learn_fleet
from offbeat.fleet.scoring import ASSETS, FAILED, score_into
from offbeat.fleet.summary import fleet_summary
from offbeat.params import load_params
from offbeat.progress import Lines
from offbeat.readings.assets import AssetFiles, asset_files
from offbeat.readings.messages import count
from offbeat.reporting import check_folder
from offbeat.training import check_trainer

READINGS, MODEL, SCORES = Path("data"), Path("artifacts/fleet"), Path("artifacts/fleet-scores")
MOST_LINES, MOST_ROWS = 20, 100  # on machines that failed: in the log, and in the table on the run's page
WAIT_S = 24 * 3600.0


@flow(name="fleet", timeout_seconds=48 * 3600)
@plain_errors
def fleet(
    readings: Path = READINGS,
    model: Path = MODEL,
    scores: Path = SCORES,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    retrain: bool = False,
) -> State[None]:
    """Score a fleet into a folder, with a model that is learnt first where there is none.

    Parameters
    ----------
    readings, model, scores : Path
        Folders, from the project's on.
    engine : str
        Where the shards are worked on: on this machine, or on Ray, of which RAY_ADDRESS names a cluster.
    workers : int, optional
        Shards at work at once; as many as there are processors by default.
    retrain : bool
        Whether to learn the model anew.
    """
    root, say = project_root(), get_run_logger().info
    folder, place, out = root / readings, root / model, root / scores
    is_own = folder.resolve() == root / "data"
    (root / "artifacts").mkdir(exist_ok=True)
    check_folder(out, [folder])
    with (
        locked(root, "data", f"run '{flow_run.name}'", timeout_s=WAIT_S, say=say) if is_own else nullcontext(),
        task_engine(engine, workers=workers) as running,
    ):
        if is_own:
            data_there(root, say)
        assets = asset_files(folder)
        reasons: Mapping[str, str] = {}
        if retrain or not place.exists():
            say(
                f"learning from {count(len(assets), 'machine')}: {'it was asked for' if retrain else f'no {model} yet'}"
            )
            reasons = learn(root, folder, assets, place, running)
        counts = score_into(out, place, assets, running, report=Lines(say))
    failed = failures(out, reasons)
    tell(failed, counts.n_failed, out)
    if not counts.n_scored:
        raise ReadingsError(f"none of {count(counts.n_failed, 'machine')} could be scored: {out / ASSETS} says why")
    line = f"{counts.words()}; {count(counts.n_failed, 'machine')} failed"
    say(line)
    return Completed(message=line)


def learn(root: Path, folder: Path, assets: Sequence[AssetFiles], place: Path, engine: Engine) -> Mapping[str, str]:
    """Learn the model, say how good it is, and return why some machines have none."""
    say = get_run_logger().info
    check_trainer()
    learnt = learn_fleet(folder, assets, load_params(root / "params.yaml"), place, engine, report=Lines(say))
    say("\n".join(fleet_summary(learnt)))
    return learnt.failures


def failures(out: Path, reasons: Mapping[str, str]) -> list[dict[str, str]]:
    """Return asset, group and reason of machines without scores, the first of them; why one has no model says more."""
    with (out / ASSETS).open(encoding="utf-8", newline="") as file:
        rows = (row for row in csv.DictReader(file) if row["state"] == FAILED)
        return [
            {"asset": row["asset"], "group": row["group"], "reason": reasons.get(row["asset"], row["reason"])}
            for row in islice(rows, MOST_ROWS)
        ]


def tell(failed: Sequence[Mapping[str, str]], n_failed: int, out: Path) -> None:
    """Tell of machines that failed, in the log and on the run's page."""
    if not failed:
        return
    for row in failed[:MOST_LINES]:
        get_run_logger().warning("%s: not scored: %s", row["asset"], row["reason"])
    says = f"{count(n_failed, 'machine')} failed; {out / ASSETS} names them"
    get_run_logger().warning(says)
    create_table_artifact([dict(row) for row in failed], key="failed-machines", description=says)


def main() -> int:
    """Run the flow from a terminal, without deployments."""
    parser = argparse.ArgumentParser(prog="python -m flows.fleet", description="Score a fleet, and learn it first.")
    parser.add_argument("--readings", type=Path, default=READINGS, help="folder of readings (%(default)s)")
    parser.add_argument("--model", type=Path, default=MODEL, help="folder of the model (%(default)s)")
    parser.add_argument("--scores", type=Path, default=SCORES, help="folder of the scores (%(default)s)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where the shards are worked on")
    parser.add_argument("--workers", type=int, help="shards at work at once")
    parser.add_argument("--retrain", action="store_true", help="learn the model anew")
    given = parser.parse_args()
    state = fleet(
        given.readings,
        given.model,
        given.scores,
        engine=given.engine,
        workers=given.workers,
        retrain=given.retrain,
        return_state=True,
    )
    return at_terminal(state)


if __name__ == "__main__":
    sys.exit(main())
