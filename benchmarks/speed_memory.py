"""Peak memory and time of training and of scoring as readings grow, each in a process of its own.

    python -m benchmarks.speed_memory score 100000 8 FOLDER

prints them for so many timesteps and channels, with the network that stands in the folder. Memory is what the process
takes more than after the same work on a few readings: libraries, network and batches are no part of it, the readings
are.
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
from offbeat.readings.assets import AssetFiles
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series

FEW, MANY = 8, 64  # channels
WARM_UP = 2_000  # timesteps
SECOND = 1_000_000_000
FLOAT32 = 4  # bytes


def memory(plan: Plan) -> dict[str, Outcome]:
    """Return peaks against the size of the readings, and growth in T and F against linear growth.

    Peaks of scoring from a file are held against those of a tenth of it.
    """
    shapes = [(plan.timesteps // 10, FEW), (plan.timesteps, FEW), (plan.timesteps // 10, MANY)]
    _write_graphs(plan)
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for _ in range(plan.rounds):
        for work, k in [(work, k) for work in ("score", "train") for k in range(3)] + [("stream", 0), ("stream", 1)]:
            if plan.short and work == "train" and k != 1:
                continue  # each loads TensorFlow
            arguments = (work, *map(str, shapes[k]), str(plan.scratch))
            output, _ = run_python("-m", "benchmarks.speed_memory", *arguments)
            found.setdefault((work, k), []).append(tuple(json.loads(output.splitlines()[-1])))
    size = plan.timesteps * FEW * FLOAT32
    return {
        "memory_training": _peak(found["train", 1], size, plan.timesteps),
        "memory_scoring": _peak(found["score", 1], size, plan.timesteps),
        "memory_streaming": _constant(found["stream", 0], found["stream", 1], plan.timesteps),
        "time_t": _growth(found, 0, 1, 10),
        "time_f": _growth(found, 0, 2, MANY / FEW),
        "memory_t": _growth(found, 1, 1, 10),
        "memory_f": _growth(found, 1, 2, MANY / FEW),
    }


def _peak(measured: list[tuple[float, float]], size: int, n_timesteps: int) -> Outcome:
    peaks, times = [peak for _, peak in measured], [took for took, _ in measured]
    note = f"{n_timesteps:,} × {FEW}: {median(peaks) / 1e6:,.0f} MB for {size / 1e6:,.0f} MB, {median(times):.3g} s"
    return Outcome(tuple(peak / size for peak in peaks), note)


def _constant(small: list[tuple[float, float]], large: list[tuple[float, float]], n_timesteps: int) -> Outcome:
    peaks = [[peak for _, peak in measured] for measured in (large, small)]
    sizes = [f"{median(one) / 1e6:,.0f} MB" for one in peaks]
    took = median([seconds for seconds, _ in large])
    return Outcome(ratios(*peaks), f"{n_timesteps:,} × {FEW}: {sizes[0]}, a tenth of them {sizes[1]}; {took:.3g} s")


def _growth(found: dict[tuple[str, int], list[tuple[float, float]]], figure: int, to: int, by: float) -> Outcome:
    """Return by how much training or scoring, whichever is worse, grows more than linearly."""
    grown = {}
    for name, work in (("training", "train"), ("scoring", "score")):
        if (work, 0) in found:
            large, small = ([one[figure] for one in found[work, k]] for k in (to, 0))
            grown[name] = tuple(ratio / by for ratio in ratios(large, small))
    worse = max(grown, key=lambda name: median(grown[name]))
    return Outcome(grown[worse], ", ".join(f"{name} {median(one):.3g}" for name, one in grown.items()))


def _write_graphs(plan: Plan) -> None:
    """Write the default network before training, for few channels and for many."""
    from offbeat.models.export import export_network
    from offbeat.models.recurrent import build_autoencoder

    params = load_params()
    for n_channels in (FEW, MANY):
        network = build_autoencoder(params.prepare.window_size or 32, n_channels, params.train)
        _graph(plan.scratch, n_channels).write_bytes(export_network(network))


def _graph(folder: Path, n_channels: int) -> Path:
    return folder / f"network-{n_channels}.onnx"


def made_up(n_timesteps: int, n_channels: int) -> Series:
    """Return readings of one machine, a second apart."""
    values = np.random.default_rng(0).standard_normal((n_timesteps, n_channels), dtype=np.float32)
    stamps = np.arange(n_timesteps, dtype=np.int64) * SECOND
    names = tuple(f"channel_{k:02d}" for k in range(n_channels))
    return Series("machine", names, values, stamps, True, SECOND, np.zeros(1, dtype=np.int64))


def calibrated(series: Series, params: Params, folder: Path) -> Detector:
    """Return a detector that was calibrated on the first readings."""
    rule = params.calibrate.for_window(params.prepare.window_size or 32)
    runtime = Runtime(_graph(folder, series.n_channels).read_bytes())
    detector = Detector(runtime, series.channels, series.step, True, 5, params.prepare.preprocessing, rule)
    return detector.calibrate(series.rows(0, WARM_UP))


def score(n_timesteps: int, n_channels: int, params: Params, folder: Path) -> float:
    """Calibrate on the first readings and score all."""
    series = made_up(n_timesteps, n_channels)
    begin = time.perf_counter()
    calibrated(series, params, folder).score(series)
    return time.perf_counter() - begin


def train(n_timesteps: int, n_channels: int, params: Params, _: Path) -> float:
    """Learn and calibrate: few steps, for their number does not grow with the readings."""
    from offbeat.training import fit_fleet

    series = made_up(n_timesteps, n_channels)
    begin = time.perf_counter()
    fit_fleet(Folder((series,)), params)
    return time.perf_counter() - begin


def stream(n_timesteps: int, n_channels: int, params: Params, folder: Path) -> float:
    """Score a Parquet file into another, as `offbeat score` does; a process of its own has written it."""
    from offbeat.detection.reading import read_pieces
    from offbeat.reporting import written

    file = folder / f"{n_timesteps}" / "machine.parquet"
    if not file.exists():
        run_python("-m", "benchmarks.speed_memory", "write", str(n_timesteps), str(n_channels), str(folder))
    detector = calibrated(made_up(WARM_UP, n_channels), params, folder)
    begin = time.perf_counter()
    results = detector.score_pieces("machine", read_pieces(detector, AssetFiles.of(file))[0])
    for _ in written(folder / "scores.parquet", results):
        pass
    return time.perf_counter() - begin


def write(n_timesteps: int, n_channels: int, _: Params, folder: Path) -> float:
    """Write the readings to a Parquet file, in row groups as large as pandas makes them."""
    file = folder / f"{n_timesteps}" / "machine.parquet"
    file.parent.mkdir(exist_ok=True)
    made_up(n_timesteps, n_channels).to_frame().rename_axis("timestamp").to_parquet(file)
    return 0.0


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
    name, n_timesteps, n_channels, folder = sys.argv[1:]
    work = {"score": score, "train": train, "stream": stream, "write": write}[name]
    params = load_params(changes={"train": {"epochs": 1, "steps_per_epoch": 10}})
    work(WARM_UP, int(n_channels), params, Path(folder))
    before = peak_bytes()
    took = work(int(n_timesteps), int(n_channels), params, Path(folder))
    print(json.dumps([took, max(peak_bytes() - before, 1)]))


if __name__ == "__main__":
    main()
