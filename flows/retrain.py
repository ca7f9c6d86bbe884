"""Readings to a new champion: the stages of dvc.yaml one by one, then the gate, then the service's package.

DVC decides what is stale, the gate what is better; this flow says when, where, and what was decided.
"""

from __future__ import annotations

import argparse
import getpass
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run

from flows import gpu
from flows.dvc import dvc, is_up_to_date, remote, reproduce
from flows.ingest import bring_in, data_there, push
from flows.project import at_terminal, locked, plain_errors, project_root, step, store_url
from flows.train import reporting, request_from
from offbeat.operation.store import Store
from offbeat.params import load_params
from offbeat.progress import Lines
from offbeat.promotion import Decision, decide, left_out, metrics_rows, promote_by_hand, write_alarms
from offbeat.registry import Registry
from offbeat.start_choice import choose_start
from offbeat.starting import START, write_start

WAIT_S = 24 * 3600.0


@flow(name="retrain", timeout_seconds=48 * 3600)
@plain_errors
def retrain(reason: str = "by hand", manual: bool = False, new_weights: bool = False) -> Decision:
    """Train on the readings as they are now, and promote the model if the gate finds it better.

    Parameters
    ----------
    reason : str
        Why: by hand, on schedule, or what drifted.
    manual : bool
        Whether a person decides (`offbeat promote`); the gate still says what it would do.
    new_weights : bool
        Whether the champion's weights are nothing to start from, such as after a change of regime.
    """
    root, say = project_root(), get_run_logger().info
    token = f"run '{flow_run.name}' of retrain ({flow_run.id})"
    say(f"retraining: {reason}")
    bring_in(root)
    with locked(root, "retrain", token, timeout_s=WAIT_S, say=say) as held:
        prepare(root, held)
        start(root, held, new_weights)
        train(root, token, held)
        for stage in ("calibrate", "evaluate"):
            run_stage(root, stage, held)
        decision = gate(root, reason, manual)
        if decision.promoted:
            package(root)
    publish(root, decision)
    return decision


@step()
def prepare(root: Path, held: int) -> None:
    """Run the stage prepare on the readings and the alarms that people have not marked as false."""
    say = get_run_logger().info
    with locked(root, "data", f"run '{flow_run.name}'", timeout_s=WAIT_S, say=say) as data_held:
        data_there(root, say)
        with Store(store_url(root)) as store:
            if write_alarms(root / "data", store):
                dvc(root, "add", "data", say=say, keep=[held, data_held])
        reproduce(root, "prepare", say=say, keep=[held, data_held])
    push(root, "data.dvc")
    counts, stretches = left_out(root)
    say(counts)
    page = "\n".join(f"- {line}" for line in stretches) or counts
    create_markdown_artifact(page, key="left-out", description=counts)


@step()
def start(root: Path, held: int, new_weights: bool) -> None:
    """Choose what the stage train starts from, if it is to run."""
    put_start(root, new_weights, say=get_run_logger().info, keep=[held])
    push(root, "start.dvc")


def put_start(root: Path, new_weights: bool, *, say: Callable[[str], None], keep: Sequence[int] = ()) -> None:
    """Write `start/` and give it its version; where nothing is to be trained it stays, or its change would be a reason.

    A run that was killed after it chooses the same again.
    """
    if is_up_to_date(root, "train"):
        return
    params, why = load_params(root / "params.yaml").train, "they were asked for" if new_weights else ""
    chosen, line = choose_start(Registry(root / "registry"), params, why)
    say(line)
    write_start(root / START, chosen)
    dvc(root, "add", str(START), say=say, keep=keep)


@step()
def train(root: Path, token: str, held: int) -> None:
    """Run the stage train, on the pool `gpu` if it can."""
    say = get_run_logger().info
    if reason := gpu.why_not():
        say(f"training in place: {reason}")
        train_here(root, held)
        return
    if is_up_to_date(root, "train"):
        say("train: up to date")
        return
    push(root, "prepare")
    there = gpu.train_there(request_from(root, token), say)
    if train_here(root, held, pull=remote(root) is not None) and there:
        get_run_logger().warning("what the worker trained was not found in the DVC remote: trained again, in place")


def train_here(root: Path, held: int, *, pull: bool = False) -> bool:
    """Bring the stage train up to date in this folder, once nobody else trains in it; return whether it ran."""
    say = get_run_logger().info
    with locked(root, "train", f"run '{flow_run.name}'", timeout_s=WAIT_S, say=say) as train_held:
        return reproduce(root, "train", say=reporting(say), keep=[held, train_held], pull=pull)


@step(task_run_name="{stage}")
def run_stage(root: Path, stage: str, held: int) -> None:
    """Run one stage in place."""
    reproduce(root, stage, say=get_run_logger().info, keep=[held])


@step()
def gate(root: Path, reason: str, manual: bool) -> Decision:
    """Compare the new model with the champion and with PCA, register it, and promote it if it is better."""
    say = get_run_logger().info
    decision = decide(root, Registry(root / "registry"), reason=reason, manual=manual, report=Lines(say))
    say(decision.line)
    return decision


@step()
def package(root: Path) -> None:
    """Pack the new champion for the service, where the service's environment is set up."""
    if not (root / ".venv-service" / "ready").exists():
        get_run_logger().info("not packed for the service: `make bento` sets up what that takes, and packs")
        return
    done = subprocess.run(
        [sys.executable, "scripts/bento.py"], cwd=root, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:  # a service that follows the registry serves the champion all the same
        get_run_logger().warning("the champion could not be packed: %s", done.stderr.strip() or done.stdout.strip())
    else:
        get_run_logger().info(done.stdout.strip().splitlines()[-1])


def publish(root: Path, decision: Decision) -> None:
    """Show on the run's page what was decided and why."""
    create_table_artifact(metrics_rows(decision), key="metrics", description=decision.line)
    create_table_artifact(
        decision.verdict.get("injected", []), key="events", description="injected events, found by each"
    )
    create_markdown_artifact(
        f"{decision.line}\n\nModel {decision.version}: `{root / 'registry' / 'models' / decision.version}`, "
        f"metrics: `{root / 'artifacts' / 'metrics.json'}`. All models: `offbeat models`.",
        key="decision",
    )


def main() -> int:
    """Run the flow from a terminal, without deployments."""
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description="Retrain, and promote what is better.")
    parser.add_argument("--reason", default="by hand", help="kept with the model")
    parser.add_argument("--new-weights", action="store_true", help="do not start from the champion's")
    parser.add_argument("--manual", action="store_true", help="let a person decide on promotion")
    arguments = parser.parse_args()
    state = retrain(arguments.reason, manual=arguments.manual, new_weights=arguments.new_weights, return_state=True)
    if state.is_completed() and arguments.manual and sys.stdin.isatty():
        ask(project_root(), state.result())
    return at_terminal(state)


def ask(root: Path, decision: Decision) -> None:
    """Let a person at the terminal promote a model that waits."""
    if decision.waits and input(f"{decision.line}\nPromote model {decision.version} now? [y/N] ").lower() in (
        "y",
        "yes",
    ):
        by = getpass.getuser()
        print(promote_by_hand(Registry(root / "registry"), decision.version, by=by, why="asked", override=False))


if __name__ == "__main__":
    sys.exit(main())
