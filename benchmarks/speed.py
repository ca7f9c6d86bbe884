"""How fast offbeat trains, scores and starts, and how much memory it takes, as ratios to what it is held against.

    python benchmarks/speed.py --data ../shared/data
    python benchmarks/speed.py --only training scoring --rounds 5
    python benchmarks/speed.py --short --out /tmp/speed.json

What is compared runs in turn (A B A B), several rounds; the table shows the median of the rounds' ratios, lowest and
highest, and the machine's own matrix-product speed beside. `--out` keeps every row, so rows may be measured one after
the other; a row that is measured again is replaced. What the rows mean: docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it loads

from benchmarks.speed_goals import GROUPS, row_of, table
from benchmarks.speed_measure import Plan, sgemm_gflops
from offbeat.files import write_json
from offbeat.lineage import git_commit

PROFILE = "profile"
LEAST_TIMESTEPS = 20_000  # a tenth of them must do to calibrate


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write and print the table."""
    options = _options(arguments)
    rows: dict[str, Any] = {}
    if options.out.exists():
        rows = json.loads(options.out.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="offbeat-speed-") as scratch:
        plan = Plan(options.rounds, options.short, options.timesteps, options.data, Path(scratch), options.orion)
        for group in options.only:
            begin = time.perf_counter()
            rows |= _measured(group, plan)
            print(f"{group}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
            options.out.parent.mkdir(parents=True, exist_ok=True)
            write_json(options.out, rows)
    print(_text(rows))


def _measured(group: str, plan: Plan) -> dict[str, Any]:
    """Return the rows of a group, or the profile."""
    before = sgemm_gflops()
    found = _measures()[group](plan)
    machine = {
        "sgemm_gflops": (before + sgemm_gflops()) / 2,
        "n_processors": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(Path(__file__).parent),
        "short": plan.short,
    }
    if group == PROFILE:
        return {PROFILE: {"parts": found, **machine}}
    return {name: row_of(name, outcome, machine) for name, outcome in found.items()}


def _measures() -> dict[str, Callable[[Plan], dict[str, Any]]]:
    """Return what measures each group; here, so that --help is quick."""
    from benchmarks import (
        speed_alarms,
        speed_memory,
        speed_networks,
        speed_orion,
        speed_profile,
        speed_startup,
        speed_vus,
        speed_warm,
    )

    return {
        "training": speed_networks.training,  # before what asks TensorFlow to be deterministic, for all of the process
        "scoring": speed_networks.scoring,
        "one_window": speed_networks.one_window,
        PROFILE: speed_profile.profile,
        "alarms": speed_alarms.alarms,
        "orion": speed_orion.alarms_orion,
        "warm_start": speed_warm.warm_start,
        "memory": speed_memory.memory,
        "vus_pr": speed_vus.against_plain,
        "start_up": speed_startup.start_up,
    }


def _text(rows: dict[str, Any]) -> str:
    text = table(rows)
    if PROFILE in rows:
        from benchmarks.speed_profile import profile_table

        text += f"\n\n{profile_table(rows[PROFILE]['parts'])}"
    if any(row["short"] for row in rows.values()):
        text += "\n\nMeasured with --short, at least in part: such figures say nothing but that all runs."
    return text


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    groups = ["training", "scoring", "one_window", PROFILE]
    groups += [group for group in GROUPS if group not in groups]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=groups, default=groups, metavar="GROUP", help=", ".join(groups))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with a folder for each set")
    parser.add_argument("--orion", type=Path, metavar="PYTHON", help="of an environment that has Orion (docs/speed.md)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--timesteps", type=int, default=1_000_000, help="of the readings for memory, 8 channels")
    parser.add_argument("--full", action="store_true", help="10 million of them")
    parser.add_argument("--short", action="store_true", help="tiny sizes, one round: only whether it runs")
    parser.add_argument("--out", type=Path, default=Path("artifacts/speed.json"))
    options = parser.parse_args(arguments)
    options.timesteps = 10_000_000 if options.full else options.timesteps
    if options.short:
        options.rounds, options.timesteps = 1, LEAST_TIMESTEPS
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {options.rounds}")
    if options.timesteps < LEAST_TIMESTEPS:
        parser.error(f"--timesteps must be at least {LEAST_TIMESTEPS}, got {options.timesteps}")
    return options


if __name__ == "__main__":
    main()
