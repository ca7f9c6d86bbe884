"""A real Prefect server, real workers and small projects; all on loopback, all ended by their ids."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5",
    "PREFECT_CLI_COLORS": "false",
}
SMALL = {  # a model in seconds
    "prepare": {"window_size": 16},
    "train": {"units": 12, "latent_size": 4, "epochs": 2, "steps_per_epoch": 10},
    "calibrate": {"delay": 4, "smoothing": 4},
}


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process of the tests, which knows nothing of this machine's own Prefect."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "OFFBEAT_"))}
    path = f"{TOOLS}{os.pathsep}{kept['PATH']}"
    return {**kept, **QUIET, "PATH": path, "PREFECT_HOME": str(home), **more}


def run(*command: str, cwd: Path, env: dict[str, str], timeout_s: float = 300.0) -> str:
    """Run a command to its good end and return what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}"
    return done.stdout


def kill_tree(process: subprocess.Popen[bytes] | subprocess.Popen[str], sig: int = signal.SIGKILL) -> None:
    """End a process and all it started, by their ids."""
    try:
        own = psutil.Process(process.pid)
        family = [own, *own.children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for one in family:
        try:
            one.send_signal(sig)
        except psutil.NoSuchProcess:
            continue
    process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], timeout_s: float, what: str) -> object:
    """Return what a condition gives as soon as it gives something."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.5)
    pytest.fail(f"waited {timeout_s:g} s in vain: {what}")


def readings(n: int, seed: int) -> pd.DataFrame:
    """Return readings of a machine that hums: three channels, every ten minutes."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)[:, None]
    values = np.sin(t / np.array([5.0, 9.0, 14.0])) * [2, 30, 1] + [50, 1400, 40]
    values = values + rng.standard_normal((n, 3)) * [0.2, 2, 0.1]
    index = pd.date_range("2026-01-05", periods=n, freq="10min", tz="UTC", name="timestamp")
    return pd.DataFrame(values.round(4), index, ["flow", "speed", "temp"])


class Server:
    """A Prefect server, and workers for it."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.directory = directory
        self.env = environment(directory / "home", PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
        self.server = self._start("server", ["server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"])
        self.workers: list[subprocess.Popen[bytes]] = []
        wait_until(lambda: self.ask("client.api_healthcheck() is None", check=False) == "True", 180, "the server")

    def worker(self, pool: str, project: Path, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker of a pool that works in a project's folder, and wait until it is online."""
        arguments = ["worker", "start", "--type", "process", "--pool", pool, "--limit", "2"]
        worker = self._start(f"worker-{pool}", arguments, OFFBEAT_ROOT=str(project), **env)
        self.workers.append(worker)
        online = f"any(w.status.value == 'ONLINE' for w in client.read_workers_for_work_pool('{pool}'))"
        wait_until(lambda: self.ask(online, check=False) == "True", 60, f"a worker of {pool}")
        return worker

    def deploy(self, project: Path) -> None:
        """Make the pools, and send the deployments of a project."""
        for pool in ("cpu", "gpu"):
            self.prefect("work-pool", "create", pool, "--type", "process", "--overwrite", cwd=project)
        self.prefect("--no-prompt", "deploy", "--all", cwd=project)

    def prefect(self, *arguments: str, cwd: Path) -> str:
        return run(str(TOOLS / "prefect"), *arguments, cwd=cwd, env={**self.env, "OFFBEAT_ROOT": str(cwd)})

    def start(self, deployment: str, **parameters: object) -> str:
        """Start a run of a deployment; return its id."""
        return self.ask(
            f"client.create_flow_run_from_deployment(client.read_deployment_by_name({deployment!r}).id, "
            f"parameters={parameters!r}).id"
        )

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """Return the runs of a flow: id, state, message, parameters, whether a schedule or an event made them."""
        found = self.ask(
            "json.dumps([dict(id=str(r.id), state=r.state.name, message=r.state.message, parameters=r.parameters, "
            "by=r.created_by.type if r.created_by else '', parent=str(r.parent_task_run_id)) "
            f"for r in client.read_flow_runs(flow_filter=FlowFilter(name=dict(any_=[{flow!r}])))], default=str)"
        )
        return json.loads(found)

    def ended(self, flow_run: str, timeout_s: float = 300) -> str:
        """Return the state in which a run ends."""
        final = ("Completed", "Failed", "Crashed", "Cancelled", "TimedOut")
        state = f"client.read_flow_run({flow_run!r}).state.name"
        return str(wait_until(lambda: (s := self.ask(state)) in final and s, timeout_s, f"run {flow_run} to end"))

    def ask(self, expression: str, check: bool = True) -> str:
        """Return what an expression over a client gives, in a process whose Prefect knows this server alone."""
        code = (
            "import json\nfrom prefect import get_client\nfrom prefect.client.schemas.filters import *\n"
            f"with get_client(sync_client=True) as client: print({expression})"
        )
        done = subprocess.run([sys.executable, "-c", code], env=self.env, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def clear(self) -> None:
        """End all workers, and forget what was deployed and run."""
        for worker in self.workers:
            kill_tree(worker)
        self.workers.clear()
        self.ask("[client.delete_deployment(one.id) for one in client.read_deployments()]")
        self.ask("[client.delete_flow_run(one.id) for one in client.read_flow_runs()]")
        self.ask("[client.delete_work_pool(one.name) for one in client.read_work_pools()]")

    def close(self) -> None:
        self.clear()
        kill_tree(self.server)

    def _start(self, name: str, arguments: list[str], **env: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [str(TOOLS / "prefect"), *arguments],
                env={**self.env, **env},
                cwd=self.directory,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def make_project(directory: Path, n: int = 1500, data: bool = True, **changes: dict[str, object]) -> Path:
    """Make a small project: what git tracks here, two machines, a model that trains in seconds."""
    env = environment(directory.with_name("home"))
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT, env=env).splitlines()
    skipped = ("data.dvc", "dvc.lock", ".dvcstore/", "artifacts/")
    for tracked in listed:
        if (ROOT / tracked).is_file() and not tracked.startswith(skipped):
            (directory / tracked).parent.mkdir(parents=True, exist_ok=True)
            (directory / tracked).write_bytes((ROOT / tracked).read_bytes())
    params = yaml.safe_load((directory / "params.yaml").read_text())
    for section, values in {**SMALL, **changes}.items():
        params[section] |= values
    (directory / "params.yaml").write_text(yaml.safe_dump(params))
    if data:
        (directory / "data" / "readings").mkdir(parents=True)
        for k in (1, 2):
            frame = readings(n, seed=k)
            frame.to_csv(directory / "data" / "readings" / f"pump-{k}.csv", date_format="%Y-%m-%dT%H:%M:%SZ")
    run("git", "init", "--quiet", ".", cwd=directory, env=env)
    run("git", "add", "--all", cwd=directory, env=env)
    author = ("-c", "user.name=offbeat", "-c", "user.email=offbeat@localhost")
    run("git", *author, "commit", "--quiet", "-m", "Begin", cwd=directory, env=env)
    return directory
