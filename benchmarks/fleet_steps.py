"""One step of the work on a simulated fleet, in a process of its own: what it took, as JSON on the last line.

    python -m benchmarks.fleet_steps '{"step": "score", ...}'

`fleet.py` gives the JSON. Linux alone says how much memory a process took at most, so this measures there.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread

import psutil

from offbeat.fleet.engine import Engine, engine_of
from offbeat.params import Params, load_params, parse_changes
from offbeat.progress import Step
from offbeat.readings.assets import AssetFiles, asset_files
from offbeat.readings.fleet import fleet_fault, fleet_readings
from offbeat.readings.layout import new_folder, write_partitions, write_spans

GROUP = "pumps"  # 8 channels
LATER = 4  # an asset has a quarter more readings than are written: a folder of the first, one of the last
BLOCK = 100  # assets that are written in one go
LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Took:
    """What a step took.

    Attributes
    ----------
    step : str
    seconds, cpu_seconds : float
        By the clock; of this process and its workers together.
    main_bytes, worker_bytes : int
        The most memory that this process, and that any worker, had at once; 0 without workers.
    """

    step: str
    seconds: float
    cpu_seconds: float
    main_bytes: int
    worker_bytes: int


class Meter:
    """Measures the steps of this process one after the other, each from the end of the one before it."""

    def __init__(self) -> None:
        self.took: list[Took] = []
        self._ends = Event()
        self._worker_bytes = 0
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()
        self._begin()

    def end(self, step: str) -> None:
        """End a step."""
        now = time.perf_counter(), _cpu_seconds()
        spent = [then - before for then, before in zip(now, self._began, strict=True)]
        self.took.append(Took(step, spent[0], spent[1], _peak(os.getpid()), self._worker_bytes))
        self._begin()

    def close(self) -> None:
        """Look no more."""
        self._ends.set()
        self._thread.join()

    def _begin(self) -> None:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the most memory is that from here on
        self._worker_bytes = 0
        self._began = time.perf_counter(), _cpu_seconds()

    def _look(self) -> None:
        this = psutil.Process()
        while not self._ends.wait(LOOK_EVERY_S):
            for child in this.children(recursive=True):
                self._worker_bytes = max(self._worker_bytes, _peak(child.pid))


def _peak(pid: int) -> int:
    """Return the most bytes that a process had in memory at once; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _cpu_seconds() -> float:
    """Return the seconds of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes
    ----------
    step : str
        A key of `STEPS`.
    source, target, model : str
        Folders: of readings; of what comes of it; of a model.
    n_assets, first, n_timesteps : int
        Of the fleet that is written: how many assets, the number of the first, their readings.
    engine, workers, shard_size : str, int or None, int or None
    changes : tuple of str
        Of params.yaml.
    """

    step: str
    source: str = ""
    target: str = ""
    model: str = ""
    n_assets: int = 0
    first: int = 0
    n_timesteps: int = 0
    engine: str = "local"
    workers: int | None = None
    shard_size: int | None = None
    changes: tuple[str, ...] = ()

    @property
    def params(self) -> Params:
        """The packaged parameters with the changes."""
        return load_params(changes=parse_changes(list(self.changes)))

    @property
    def files(self) -> list[AssetFiles]:
        """The assets of the source."""
        return asset_files(Path(self.source))


def write(task: Task, engine: Engine, meter: Meter) -> dict[str, int]:
    """Simulate a fleet: `normal`, readings of every asset, and `later`, which begin and end a quarter later.

    Every tenth asset has a span to leave out among the former, a fault among the latter.
    """
    n_all = task.n_timesteps + task.n_timesteps // LATER
    numbers = range(task.first, task.first + task.n_assets)
    blocks = [numbers[start : start + BLOCK] for start in range(0, len(numbers), BLOCK)]
    target = Path(task.target)
    with new_folder(target / "normal") as normal, new_folder(target / "later") as later:
        for _ in engine.run(partial(_write_block, normal, later, n_all, task.n_timesteps), blocks):
            pass
        index = fleet_readings(0, n_all, group=GROUP).index
        faulty = [(f"pump-{number}", found) for number in numbers if (found := fleet_fault(number, n_all))]
        write_spans(later, "labels", [(name, index[start], index[stop - 1], "shift") for name, (start, stop) in faulty])
        middle = index[task.n_timesteps // 2], index[task.n_timesteps // 2 + 9]
        write_spans(normal, "exclude", [(name, *middle, "maintenance") for name, _ in faulty])
    meter.end("write")
    return {"bytes_readings": _bytes_of(target / "later")}


def _write_block(normal: Path, later: Path, n_all: int, n_timesteps: int, block: range) -> None:
    for number in block:
        frame = fleet_readings(number, n_all, group=GROUP)
        write_partitions(normal, GROUP, f"pump-{number}", frame.iloc[:n_timesteps])
        write_partitions(later, GROUP, f"pump-{number}", frame.iloc[-n_timesteps:])


def convert(task: Task, engine: Engine, meter: Meter) -> dict[str, int]:  # noqa: ARG001
    """Write readings as CSV files, and those as a partitioned data set again."""
    from offbeat.readings.conversion import to_csv, to_partitions

    target = Path(task.target)
    to_csv(Path(task.source), target / "csv")
    meter.end("convert to csv")
    to_partitions(target / "csv", target / "parquet")
    meter.end("convert to parquet")
    return {}


def learn(task: Task, engine: Engine, meter: Meter) -> dict[str, int]:
    """Train, calibrate and evaluate, each a step of its own."""
    from offbeat.fleet.learning import learn_fleet

    names = {"preparing": "look", "training": "prepare", "calibrating": "train", "scoring": "calibrate"}
    begun: set[str] = set()

    def report(step: Step) -> None:
        if step.work in names and step.work not in begun:
            meter.end(names[step.work])
        begun.add(step.work)

    root, out = Path(task.source), Path(task.target)
    learnt = learn_fleet(root, task.files, task.params, out, engine, shard_size=task.shard_size, report=report)
    meter.end("evaluate")
    known = sum(len(detector.assets) for detector in learnt.fleet.groups.values())
    return {"bytes_model": _bytes_of(out), "n_done": known, "n_failed": len(learnt.failures)}


def calibrate(task: Task, engine: Engine, meter: Meter) -> dict[str, int]:
    """Give new assets thresholds under a model that never saw them."""
    from offbeat.fleet.calibrating import calibrate_assets

    model, root, out = Path(task.model), Path(task.source), Path(task.target)
    done = calibrate_assets(model, task.files, out, engine, root=root, changes={}, shard_size=task.shard_size)
    meter.end("calibrate new")
    return {"bytes_model": _bytes_of(out), "n_done": len(done.assets), "n_failed": len(done.failures)}


def score(task: Task, engine: Engine, meter: Meter) -> dict[str, int]:
    """Score later readings, and count the lines on assets."""
    from offbeat.fleet.scoring import ASSETS, score_into

    out = Path(task.target)
    counts = score_into(out, Path(task.model), task.files, engine, shard_size=task.shard_size)
    meter.end("score")
    with (out / ASSETS).open(encoding="utf-8") as file:
        n_lines = sum(1 for _ in file) - 1
    found = {"n_done": counts.n_scored, "n_failed": counts.n_failed, "n_timesteps": counts.n_timesteps}
    return {**found, "n_lines": n_lines, "n_events": counts.n_events, "bytes_scores": _bytes_of(out)}


def drift(task: Task, engine: Engine, meter: Meter) -> dict[str, int]:
    """Compare later readings with those that the model was calibrated from."""
    from offbeat.fleet.drifting import check_fleet
    from offbeat.fleet.work import Work

    work, root = Work(Path(task.target), engine, lambda _: None), Path(task.source)
    params = task.params.drift
    found = check_fleet(Path(task.model), task.files, params, work, root=root, shard_size=task.shard_size)
    work.clear()
    meter.end("drift")
    verdicts = [asset for one in found.values() for asset in one.assets]
    return {"n_done": sum(one.n_chunks > 0 for one in verdicts), "n_failed": len(work.failures)}


STEPS: Mapping[str, Callable[[Task, Engine, Meter], dict[str, int]]] = {
    one.__name__: one for one in (write, convert, learn, calibrate, score, drift)
}


def _bytes_of(folder: Path) -> int:
    """Return the bytes that the files of a folder take on the disk, in whole blocks."""
    return sum(512 * Path(place, name).stat().st_blocks for place, _, names in os.walk(folder) for name in names)


def main(text: str) -> None:
    """Do a task and print what it took, and what came of it."""
    task = Task(**{**json.loads(text), "changes": tuple(json.loads(text).get("changes", ()))})
    meter = Meter()
    with engine_of(task.engine, workers=task.workers) as engine:
        counts = STEPS[task.step](task, engine, meter)
    meter.close()
    print(json.dumps({"took": [asdict(one) for one in meter.took], **counts}))


if __name__ == "__main__":
    main(sys.argv[1])
