"""What `offbeat estimate` says beside what training and scoring then take, each in a process of its own.

    python benchmarks/estimate.py --assets 40 300 --workers 1 2 --out artifacts/estimate.json

takes the bundled fleet and simulated ones of so many machines. Processor seconds say more than the clock where others
use the machine too. A ratio is what was said over what was taken.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from offbeat.fleet.engine import engine_of
from offbeat.fleet.estimate import estimate_fleet
from offbeat.fleet.learning import learn_fleet
from offbeat.fleet.probe import Time, peak_bytes
from offbeat.fleet.scoring import score_into
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.progress import Step
from offbeat.readings.assets import asset_files, groups_of
from offbeat.readings.fleet import simulate_machines
from offbeat.readings.folder import read_folder
from offbeat.tables import markdown_table
from offbeat.window_choice import choose_window

ROOT = Path(__file__).resolve().parents[1]
PHASES = {
    "looking at the readings": "prepare",
    "preparing": "prepare",
    "training": "train",
    "calibrating": "calibrate",
    "scoring": "evaluate",
    "evaluating": "evaluate",
}
EVERY_S = 0.3  # between two looks at the processes and the work folder


class Watch:
    """Takes the steps of a run: seconds of each phase, and the most memory and disk.

    Attributes
    ----------
    phases : dict of str to Time
    peaks : dict of str to int
        Bytes of `worker`, `training` and `work`.
    """

    def __init__(self, work: Path) -> None:
        self.phases: dict[str, Time] = {}
        self.peaks = {"worker": 0, "training": 0, "work": 0}
        self._work, self._phase, self._begin = work, "", _spent()

    def __call__(self, step: Step) -> None:
        """Add what has passed to the phase before."""
        if PHASES[step.work] != self._phase or step.done == step.total:
            now = _spent()
            if self._phase:
                self.phases[self._phase] = now.plus(self._begin, -1).plus(self.phases.get(self._phase, Time(0.0, 0.0)))
            self._phase, self._begin = PHASES[step.work], now

    def end(self) -> None:
        """Add what has passed to the last phase."""
        self.phases[self._phase] = self.phases[self._phase].plus(_spent()).plus(self._begin, -1)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at the processes and the folder now and then."""
        ended = threading.Event()
        looker = threading.Thread(target=self._look, args=(ended,))
        looker.start()
        try:
            yield
        finally:
            ended.set()
            looker.join()

    def _look(self, ended: threading.Event) -> None:
        while not ended.wait(EVERY_S):
            place = "training" if self._phase == "train" else "worker"
            for child in psutil.Process().children():
                with suppress(psutil.Error, OSError, ValueError):  # it may have ended by now
                    self.peaks[place] = max(self.peaks[place], peak_bytes(child.pid))
            self.peaks["work"] = max(self.peaks["work"], _size(self._work))


def _spent() -> Time:
    """Return the clock, and what this process and those that it has ended have taken."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Time(time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in spent))


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def estimated(readings: Path, _: Path, workers: int) -> dict[str, Any]:
    """Return what the command says."""
    found = asdict(estimate_fleet(readings, asset_files(readings), load_params(), workers))
    phases = {name: list(took) for name, took in found["train"].items()}
    return found | {"train": phases, "score": list(found["score"])}


def trained(readings: Path, out: Path, workers: int) -> dict[str, Any]:
    """Learn, and return what that took; then count the windows that there are to learn from."""
    watch = Watch(out.with_name(f".{out.name}.work"))
    with watch.looking(), engine_of(workers=workers) as engine:
        learn_fleet(readings, asset_files(readings), load_params(), out, engine, report=watch)
        watch.end()
    main = peak_bytes()
    return {"train": watch.phases, **watch.peaks, "main": main, "model": _size(out), "windows": _windows(readings)}


def scored(readings: Path, out: Path, workers: int) -> dict[str, Any]:
    """Score with the model of before."""
    scores = out.with_name("scores")
    with engine_of(workers=workers) as engine:
        counts = score_into(scores, out, asset_files(readings), engine)
    return {"scores": _size(scores), "timesteps": counts.n_timesteps}


def _windows(readings: Path) -> int:
    n, params = 0, load_params()
    for group in groups_of(readings):
        folder = read_folder(readings, group=group or None)
        prepare, _ = choose_window(folder, params.for_channels(folder.series[0].n_channels).prepare)
        n += sum(len(one.starts) for one in prepare_fleet(folder, prepare))
    return n


WORKS = {"estimate": estimated, "train": trained, "score": scored}


def in_own_process(work: str, readings: Path, out: Path, workers: int) -> tuple[dict[str, Any], Time]:
    """Return what a work says, and what all of it took."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    call = [sys.executable, "-m", "benchmarks.estimate", "--do", work, str(readings), str(out), str(workers)]
    begin = _spent()
    done = subprocess.run(call, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{work} of {readings} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1]), _spent().plus(begin, -1)


def compared(readings: Path, workers: int) -> list[tuple[str, float, float]]:
    """Return figures as they were said, and as they were."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        said, probe = in_own_process("estimate", readings, out, workers)
        train, _ = in_own_process("train", readings, out, workers)
        score, whole = in_own_process("score", readings, out, workers)
    figures = [("windows", said["n_windows"], train["windows"]), ("timesteps", said["n_timesteps"], score["timesteps"])]
    phases = [name for name in said["train"] if name in train["train"]]
    for k, unit in enumerate(("s", "processor s")):
        figures += [(f"{name}, {unit}", said["train"][name][k], train["train"][name][k]) for name in phases]
        totals = [sum(one[name][k] for name in phases) for one in (said["train"], train["train"])]
        figures += [(f"train together, {unit}", *totals), (f"score, {unit}", said["score"][k], whole[k])]
    figures.append(("main process, MB", said["main_bytes"] / 1e6, train["main"] / 1e6))
    if workers > 1:
        figures.append(("each worker, MB", said["worker_bytes"] / 1e6, train["worker"] / 1e6))
    figures += [
        ("process that trains, MB", said["training_bytes"] / 1e6, train["training"] / 1e6),
        ("work folder, MB", said["work_bytes"] / 1e6, train["work"] / 1e6),
        ("model, MB", said["model_bytes"] / 1e6, train["model"] / 1e6),
        ("scores, MB", said["scores_bytes"] / 1e6, score["scores"] / 1e6),
        ("the estimate itself, s", probe.clock_s, float("nan")),
        ("the estimate itself, processor s", probe.cpu_s, float("nan")),
    ]
    return figures


def table(figures: Sequence[tuple[str, float, float]]) -> str:
    """Return figures as Markdown."""
    rows = [["", "said", "taken", "ratio"]]
    for name, said, taken in figures:
        known = taken == taken and taken
        rows.append([name, f"{said:,.4g}", f"{taken:,.4g}" if known else "", f"{said / taken:.2f}" if known else ""])
    return markdown_table(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Estimate and run, and print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=int, nargs="*", default=[40, 300], help="of simulated fleets")
    parser.add_argument("--timesteps", type=int, default=1000, help="of each machine")
    parser.add_argument("--data", type=Path, nargs="*", default=[ROOT / "data"], help="other folders of readings")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--do", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.do:
        work, readings, out, workers = options.do
        print(json.dumps(WORKS[work](Path(readings), Path(out), int(workers))))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        fleets = list(options.data)
        for n in options.assets:
            simulate_machines(Path(folder) / f"{n} machines", n, options.timesteps, seed=7)
            fleets.append(Path(folder) / f"{n} machines")
        for workers in options.workers:
            for readings in fleets:
                name = f"{readings.name}, {workers} worker{'s' if workers > 1 else ''}"
                found[name] = compared(readings.absolute(), workers)
                print(f"### {name}\n\n{table(found[name])}\n", flush=True)
    if options.out:
        from offbeat.files import write_json

        write_json(options.out, {"processors": os.cpu_count(), "figures": found})


if __name__ == "__main__":
    main()
