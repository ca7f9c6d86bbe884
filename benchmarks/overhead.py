"""How much longer the flow retrain takes than the same stages typed by hand, for each stage.

    python benchmarks/overhead.py --rounds 5

Both do the same work in turn (A B A B): a small project, a new seed each round, so that train, calibrate and evaluate
run and prepare does not. By hand that is `dvc repro --single-item` for each of the four stages. The flow runs against a
server that is up already; its time counts from the end of ingestion to that of the last stage, so without the gate.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import yaml

if not __package__:  # run as a script
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in ("", "tests")]

from servers import Server, make_project, run

STAGES = ("prepare", "train", "calibrate", "evaluate")
STAMP = re.compile(r"^(\d\d:\d\d:\d\d\.\d{3}) \|")
ENDS = "Task run 'evaluate' - Finished"


def main() -> int:
    """Print seconds of both, and the difference for each stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="offbeat-overhead-") as scratch:
        directory = Path(scratch)
        server = Server(directory)
        try:
            project = make_project(directory / "project")
            env = {**server.env, "OFFBEAT_ROOT": str(project), "PYTHONPATH": str(project / "src")}
            by_flow(project, env)
            rounds = []
            for k in range(arguments.rounds):
                set_seed(project, 2 * k)
                typed = by_hand(project, env)
                set_seed(project, 2 * k + 1)
                rounds.append((typed, by_flow(project, env)))
                print(f"typed {rounds[-1][0]:.1f} s, flow {rounds[-1][1]:.1f} s", flush=True)
        finally:
            server.close()
    typed, flow = (statistics.median(times) for times in zip(*rounds, strict=True))
    more = [(b - a) / len(STAGES) for a, b in rounds]
    print(
        f"median of {len(rounds)}: typed {typed:.1f} s, flow {flow:.1f} s ({flow / typed:.2f} times); "
        f"{statistics.median(more):+.2f} s a stage ({min(more):+.2f} to {max(more):+.2f})"
    )
    return 0


def set_seed(project: Path, seed: int) -> None:
    """Change what the stage train depends on."""
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["train"]["seed"] = seed
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def by_hand(project: Path, env: dict[str, str]) -> float:
    """Return the seconds that the stages take as typed commands."""
    begin = time.monotonic()
    for stage in STAGES:
        run(sys.executable, "-m", "dvc", "repro", "--single-item", stage, cwd=project, env=env)
    return time.monotonic() - begin


def by_flow(project: Path, env: dict[str, str]) -> float:
    """Return the seconds from the first stage of the flow to the end of the last, by the times in its log."""
    command = [sys.executable, "-m", "flows.retrain"]
    done = subprocess.run(
        command, cwd=project, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    lines = done.stdout.splitlines()
    end = moment(next(line for line in lines if ENDS in line))
    ingested = next(k for k, line in enumerate(lines) if "Task run 'ingest" in line and "Finished" in line)
    return (end - moment(lines[ingested])).total_seconds() % 86_400  # the clock may pass midnight


def moment(line: str) -> datetime:
    """Return the time at which a line was logged."""
    found = STAMP.match(line)
    assert found, line
    return datetime.strptime(found[1], "%H:%M:%S.%f")


if __name__ == "__main__":
    sys.exit(main())
