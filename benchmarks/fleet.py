"""Fleets of 10 to 10,000 machines, step by step: seconds and memory for each machine, and whether they stay so.

    python benchmarks/fleet.py --out artifacts/fleet

Readings are simulated, 1,000 timesteps of 8 channels, and written as a partitioned data set, whose file for each month
holds all of a machine's. Each step runs in a process of its own with its workers; a model of `--trained` machines,
trained once, is what machines it never saw are calibrated for, scored and checked with. Fleets of up to `--learn-up-to`
machines are trained on too, as `offbeat train` does it. What stands in `steps/` of the results is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fleet_steps import Task
from benchmarks.fleet_table import page
from offbeat.detection.runtime import n_processors
from offbeat.files import new_file, write_json
from offbeat.lineage import git_commit

ROOT = Path(__file__).resolve().parents[1]
TRAINED = "trained"  # the fleet of the common model
OTHERS = 10_000_000  # the number of the first machine that the model is trained on: none of those it is calibrated for


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is not done yet, smaller fleets first, and write results.json and the tables after each step."""
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="offbeat-fleet-") as temporary:
        scratch = options.scratch or Path(temporary)
        results: list[dict[str, Any]] = []
        steps = options.out / "steps"
        ended = {n for n in options.assets if (steps / f"{n}-drift.json").exists()}
        for n_assets, name, task in tasks(options, scratch):
            is_over = n_assets in ended if name != TRAINED else len(ended) == len(options.assets)
            path = steps / f"{name}-{task.step}.json"
            if not path.exists() or not (is_over or Path(task.target).exists()):
                _do(n_assets, task, path)
            results.append(result := json.loads(path.read_text(encoding="utf-8")))
            print(_line(result), flush=True)
            _write(options, results)
            if task.step == "drift" and not options.keep:  # the last of a fleet's
                shutil.rmtree(scratch / str(n_assets))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=int, nargs="+", default=[10, 100, 1_000, 10_000], help="how many machines")
    parser.add_argument("--timesteps", type=int, default=1_000, help="of each")
    parser.add_argument("--trained", type=int, default=100, help="machines that the common model is trained on")
    parser.add_argument("--learn-up-to", type=int, default=100, help="machines of a fleet that is trained on too")
    parser.add_argument("--convert-up-to", type=int, default=1_000, help="machines of a fleet that is converted too")
    parser.add_argument("--shard-size", type=int, help="machines worked on in one go; 100, or fewer of few, by default")
    parser.add_argument("--engine", default="local", choices=("local", "ray"))
    parser.add_argument("--workers", type=int, default=n_processors())
    parser.add_argument("-S", "--set", action="append", default=[], dest="changes", help="such as train.epochs=3")
    parser.add_argument("--scratch", type=Path, help="folder for readings and models; a temporary one by default")
    parser.add_argument("--keep", action="store_true", help="leave each fleet in the folder --scratch")
    parser.add_argument("--out", type=Path, default=Path("artifacts/fleet"))
    options = parser.parse_args(arguments)
    options.assets.sort()
    return options


def tasks(options: argparse.Namespace, scratch: Path) -> Iterator[tuple[int, str, Task]]:
    """Yield for how many machines what is to be done, under which name; the common model first."""
    common = Task(
        "",
        n_timesteps=options.timesteps,
        engine=options.engine,
        workers=options.workers,
        shard_size=options.shard_size,
        changes=tuple(options.changes),
    )
    n, trained = options.trained, scratch / TRAINED
    model = str(trained / "model")
    yield n, TRAINED, replace(common, step="write", target=str(trained), n_assets=n, first=OTHERS)
    yield n, TRAINED, replace(common, step="learn", source=str(trained / "normal"), target=model)
    for n in options.assets:
        place = scratch / str(n)
        normal, later, own = (str(place / name) for name in ("normal", "later", "model"))
        yield n, str(n), replace(common, step="write", target=str(place), n_assets=n)
        if n <= options.convert_up_to:
            yield n, str(n), replace(common, step="convert", source=normal, target=str(place / "converted"))
        if n <= options.learn_up_to and n != options.trained:
            yield n, str(n), replace(common, step="learn", source=normal, target=str(place / "learnt"))
        yield n, str(n), replace(common, step="calibrate", source=normal, model=model, target=own)
        yield n, str(n), replace(common, step="score", source=later, model=own, target=str(place / "scores"))
        yield n, str(n), replace(common, step="drift", source=later, model=own, target=str(place / "drift"))


def _do(n_assets: int, task: Task, path: Path) -> None:
    """Do a task in a process of its own, and write what it took."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "benchmarks.fleet_steps", json.dumps(asdict(task))]
    environment = {**os.environ, "PYTHONPATH": place}
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    about = {"name": path.stem, "n_assets": n_assets, "commit": git_commit(ROOT), "load": os.getloadavg()[0]}
    write_json(path, {**about, **json.loads(output.splitlines()[-1])})


def _line(result: dict[str, Any]) -> str:
    parts = [f"{one['step']} {one['seconds']:.1f} s, {one['cpu_seconds']:.1f} s of CPU" for one in result["took"]]
    return f"{result['name']}: {'; '.join(parts)}"


def _write(options: argparse.Namespace, results: Sequence[dict[str, Any]]) -> None:
    write_json(options.out / "results.json", {"workers": options.workers, "steps": results})
    with new_file(options.out / "summary.md") as scratch:
        scratch.write_text(page(results, options.workers), encoding="utf-8")


if __name__ == "__main__":
    main()
