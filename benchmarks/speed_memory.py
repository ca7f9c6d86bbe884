"""Peak memory and time of training and of scoring as readings grow, each in a process of its own.

    python -m benchmarks.speed_memory score 100000 8 GRAPH

prints them for so many timesteps and channels. Memory is what the process takes more than after the same work on a
few readings: libraries, network and batches are no part of it, the readings are.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.speed_goals import Outcome
from benchmarks.speed_measure import Plan, median, ratios, run_python
from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.params import Params, load_params
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series

FEW, MANY = 8, 64  # channels
WARM_UP = 2_000  # timesteps
SECOND = 1_000_000_000
FLOAT32 = 4  # bytes


def memory(plan: Plan) -> dict[str, Outcome]:
    """Return peaks against the size of the readings, and growth in T and F against linear growth."""
    shapes = [(plan.timesteps // 10, FEW), (plan.timesteps, FEW), (plan.timesteps // 10, MANY)]
    graphs = {n: _graph(n, plan) for n in (FEW, MANY)}
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(plan.rounds):
        for work, k in [("score", 0), ("score", 1), ("score", 2), ("train", 1), ("train", 0), ("train", 2)]:
            if plan.short and work == "train" and k != 1:
                continue  # each loads TensorFlow
            n_timesteps, n_channels = shapes[k]
            arguments = (work, str(n_timesteps), str(n_channels), str(graphs[n_channels]))
            output, _ = run_python("-m", "benchmarks.speed_memory", *arguments)
            found.setdefault((work, k), []).append(tuple(json.loads(output.splitlines()[-1])))
    size = plan.timesteps * FEW * FLOAT32
    return {
        "memory_training": _peak(found["train", 1], size, plan.timesteps),
        "memory_scoring": _peak(found["score", 1], size, plan.timesteps),
        "time_t": _growth(found, 0, 1, 10),
        "time_f": _growth(found, 0, 2, MANY / FEW),
        "memory_t": _growth(found, 1, 1, 10),
        "memory_f": _growth(found, 1, 2, MANY / FEW),
    }


def _peak(measured: list[tuple[float, float]], size: int, n_timesteps: int) -> Outcome:
    peaks, times = [peak for _, peak in measured], [took for took, _ in measured]
    note = f"{n_timesteps:,} × {FEW}: {median(peaks) / 1e6:,.0f} MB for {size / 1e6:,.0f} MB, {median(times):.3g} s"
    return Outcome(tuple(peak / size for peak in peaks), note)


def _growth(found: dict[tuple[str, int], list[tuple[float, float]]], figure: int, to: int, by: float) -> Outcome:
    """Return by how much training or scoring, whichever is worse, grows more than linearly."""
    grown = {}
    for name, work in (("training", "train"), ("scoring", "score")):
        if (work, 0) in found:
            large, small = ([one[figure] for one in found[work, k]] for k in (to, 0))
            grown[name] = tuple(ratio / by for ratio in ratios(large, small))
    worse = max(grown, key=lambda name: median(grown[name]))
    return Outcome(grown[worse], ", ".join(f"{name} {median(one):.3g}" for name, one in grown.items()))


def _graph(n_channels: int, plan: Plan) -> Path:
    """Write the default network before training and return where it stands."""
    from offbeat.models.export import export_network
    from offbeat.models.recurrent import build_autoencoder

    params = load_params()
    path = plan.scratch / f"network-{n_channels}.onnx"
    path.write_bytes(export_network(build_autoencoder(params.prepare.window_size or 32, n_channels, params.train)))
    return path


def made_up(n_timesteps: int, n_channels: int) -> Series:
    """Return readings of one machine, a second apart."""
    values = np.random.default_rng(0).standard_normal((n_timesteps, n_channels))
    stamps = np.arange(n_timesteps, dtype=np.int64) * SECOND
    names = tuple(f"channel_{k:02d}" for k in range(n_channels))
    return Series("machine", names, values, stamps, True, SECOND, np.zeros(1, dtype=np.int64))


def score(series: Series, params: Params, graph: Path) -> None:
    """Calibrate on the first readings and score all."""
    rule = params.calibrate.for_window(params.prepare.window_size or 32)
    runtime = Runtime(graph.read_bytes())
    detector = Detector(runtime, series.channels, series.step, True, 5, params.prepare.preprocessing, rule)
    detector.calibrate(series.rows(0, WARM_UP))
    detector.score(series)


def train(series: Series, params: Params, _: Path) -> None:
    """Learn and calibrate: few steps, for their number does not grow with the readings."""
    from offbeat.training import fit_fleet

    fit_fleet(Folder((series,)), params)


def peak_bytes() -> int:
    """Return the most memory that this process has held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts on Linux what the process held that started this one
        [line] = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    """Print seconds and bytes of one piece of work."""
    name, n_timesteps, n_channels, graph = sys.argv[1:]
    work = {"score": score, "train": train}[name]
    params = load_params(changes={"train": {"epochs": 1, "steps_per_epoch": 10}})
    work(made_up(WARM_UP, int(n_channels)), params, Path(graph))
    before = peak_bytes()
    series = made_up(int(n_timesteps), int(n_channels))
    begin = time.perf_counter()
    work(series, params, Path(graph))
    print(json.dumps([time.perf_counter() - begin, max(peak_bytes() - before, 1)]))


if __name__ == "__main__":
    main()
