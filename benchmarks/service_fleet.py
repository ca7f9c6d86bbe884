"""The packed service with a model of many assets beside one of ten: load, memory, latency, the size of the card.

    make bento && python benchmarks/service_fleet.py --assets 10000 --out artifacts/service_fleet.json

Both models have three groups of 8 channels with small networks (principal components), and the same readings are sent
to both. An asset's calibration and reference are those of 1,000 to 8,000 timesteps, copied with other numbers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

if not __package__:  # run as a script
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in ("", "tests")]

from benchmarks.service import readings, row, table
from benchmarks.service_load import PYTHON, Service, drive, running
from offbeat.detection.calibration import Calibration
from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.detection.runtime import Runtime
from offbeat.files import write_json
from offbeat.models.classical import sub_pca_graph
from offbeat.params import load_params
from offbeat.readings.series import Series
from offbeat.registry import Model, Registry

ROOT = Path(__file__).resolve().parents[1]
N_CHANNELS, FEW = 8, 10
GROUPS = {"pumps": (36, 8_000), "fans": (24, 4_000), "valves": (12, 1_000)}  # window size and timesteps
LOAD = """
import json, resource, sys, time
from offbeat.registry import open_model
from pathlib import Path
begin = time.perf_counter()
fleet = open_model(Path(sys.argv[1])).load_fleet()
print(json.dumps({"s": time.perf_counter() - begin, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))
"""


def group_of(name: str, n_assets: int) -> Detector:
    """Return the detector of a group: one asset calibrated, the others with numbers that differ from its."""
    window_size, n = GROUPS[name]
    rng = np.random.default_rng(len(name))
    values = np.sin(np.arange(n)[:, None] / np.arange(5, 5 + N_CHANNELS)) + rng.normal(0, 0.1, (n, N_CHANNELS))
    index = pd.date_range("2026-01-05", periods=n, freq="10min")
    frame = pd.DataFrame(values, index, [f"{name}_{k}" for k in range(N_CHANNELS)])
    series = Series.from_frame(frame, f"{name}-00000", period="10min", max_gap=2)
    graph = sub_pca_graph(values, np.arange(0, n - window_size, 7), window_size, 5)
    params = load_params()
    calibrate, preprocessing = params.calibrate.for_window(window_size), params.prepare.preprocessing
    detector = Detector(Runtime(graph), series.channels, series.step, True, 2, preprocessing, calibrate)
    one = detector.calibrated(series)
    detector.assets = {f"{name}-{k:05d}": another(one, rng) for k in range(n_assets)}
    return detector


def another(one: Calibration, rng: np.random.Generator) -> Calibration:
    """Return a calibration like one, of which no number is the same."""

    def other(values: Any) -> Any:
        return values * rng.uniform(0.9, 1.1, values.shape)

    assert one.reference is not None
    chunks = replace(one.reference.chunks, statistics=other(one.reference.chunks.statistics))
    return replace(
        one,
        scaling=replace(one.scaling, centre=other(one.scaling.centre), scale=other(one.scaling.scale)),
        usual=replace(one.usual, error=other(one.usual.error)),
        threshold=replace(one.threshold, value=one.threshold.value * rng.uniform(0.9, 1.1)),
        reference=replace(one.reference, chunks=chunks),
    )


def fleet_of(n_assets: int) -> Fleet:
    """Return a model of so many assets, a third in each group."""
    shares = np.diff(np.linspace(0, n_assets, len(GROUPS) + 1).round().astype(int))
    return Fleet({name: group_of(name, int(n)) for name, n in zip(GROUPS, shares, strict=True)})


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that something takes, and what comes of it."""
    begin = time.perf_counter()
    done = work()
    return time.perf_counter() - begin, done


def kept(fleet: Fleet, folder: Path) -> tuple[Registry, Model, float]:
    """Save a model and make it the champion of a registry; return both and the seconds to save it."""
    saved, _ = timed(lambda: fleet.save(folder / "model"))
    registry = Registry(folder / "registry")
    model = registry.register(folder / "model", {})
    registry.promote(model.version, by="benchmark", why="first")
    return registry, model, saved


def requests_of(fleet: Fleet, n: int) -> list[bytes]:
    """Return n requests of two windows for its assets, one after the other; those of a group have the same readings."""
    assets = sorted(fleet.group_of, key=lambda asset: asset[::-1])  # of all groups in turn
    firsts = {name: min(detector.assets) for name, detector in fleet.groups.items()}
    bodies = {
        name: readings(detector, 2 * detector.window_size, firsts[name]) for name, detector in fleet.groups.items()
    }
    chosen = [assets[k % len(assets)] for k in range(n)]
    groups = [fleet.group_of[asset] for asset in chosen]
    return [
        bodies[group].replace(firsts[group].encode(), asset.encode())
        for group, asset in zip(groups, chosen, strict=True)
    ]


def asked(service: Service, requests: Sequence[bytes]) -> tuple[float, float, float]:
    """Ask all; return requests a second and the median and 99th percentile of their latency in ms."""
    took, answers = timed(lambda: drive(service.port, requests))
    assert all(one.status == 200 for one in answers), answers[0]
    tails = np.quantile([one.seconds for one in answers], [0.5, 0.99]) * 1e3
    return len(answers) / took, float(tails[0]), float(tails[1])


def measured(bento: Path, scratch: Path, n_assets: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of the table."""
    fleets = {n: fleet_of(n) for n in (n_assets, FEW)}
    models = {n: kept(fleet, scratch / str(n)) for n, fleet in fleets.items()}
    _, large, saved = models[n_assets]
    size = sum(path.stat().st_size for path in large.directory.rglob("*") if path.is_file()) / 1e6
    yield row(f"save {n_assets:,} assets, s ({size:.0f} MB)", f"{saved:.1f}")
    loads = [json.loads(os.popen(f"{sys.executable} -c '{LOAD}' {models[n][1].directory}").read()) for n in models]
    yield row("load, s, every checksum verified", *(f"{one['s']:.2f}" for one in loads))
    services = [Service(bento, OFFBEAT_REGISTRY=str(registry.directory)) for registry, *_ in models.values()]
    with running(*services):
        yield row("start to ready, s", *(f"{one.ready_s:.2f}" for one in services))
        workers: list[psutil.Process] = [service.workers()[0] for service in services]
        requests = [requests_of(fleet, max(n_assets // (1 + 9 * (n == FEW)), 1_000)) for n, fleet in fleets.items()]

        def resident() -> list[float]:
            return [one.memory_info().rss / 1e6 for one in workers]

        for service, some in zip(services, requests, strict=True):
            asked(service, some[:500])
        yield row("resident MB of a worker after 500 requests", *(f"{one:.0f}" for one in resident()))
        for which in ("one", "two"):
            for service, some in zip(services, requests, strict=True):
                asked(service, some)
            yield row(f"the same after {which} for each of {n_assets:,} assets", *(f"{one:.0f}" for one in resident()))
        turns = [
            [asked(service, some[:1_000]) for service, some in zip(services, requests, strict=True)]
            for _ in range(rounds)
        ]
        for k, what in enumerate(("requests/s, two windows, 8 at once", "median ms", "p99 ms")):
            many, few = ([turn[place][k] for turn in turns] for place in (0, 1))
            ratio = statistics.median(one / other for one, other in zip(many, few, strict=True))
            yield row(what, f"{statistics.median(many):.1f}", f"{statistics.median(few):.1f}", ratio)
        cards = [timed(lambda service=service: service.get("/model").body) for service in services]  # type: ignore[misc]
        yield row("/model, kB", *(f"{len(body) / 1e3:.0f}" for _, body in cards))
        yield row("/model, kB compressed", *(f"{len(gzip.compress(body, 6)) / 1e3:.0f}" for _, body in cards))
        yield row("/model, s, first time", *(f"{took:.2f}" for took, _ in cards))
        ones = [
            len(service.get(f"/model?asset={min(fleet.group_of)}").body)
            for service, fleet in zip(services, fleets.values(), strict=True)
        ]
        yield row("/model?asset=NAME, kB", *(f"{one / 1e3:.1f}" for one in ones))
        yield row("resident MB after that", *(f"{one:.0f}" for one in resident()))


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bento", type=Path, default=ROOT / "bento")
    parser.add_argument("--assets", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not (arguments.bento / "bento.yaml").exists() or not PYTHON.exists():
        raise SystemExit(f"{arguments.bento} or {PYTHON} is missing: make bento")
    with tempfile.TemporaryDirectory(prefix="offbeat-service-") as folder:
        rows = []
        for one in measured(arguments.bento, Path(folder), arguments.assets, arguments.rounds):
            rows.append(one)
            print(one["what"], one["offbeat"], one["beside"], one["ratio"] or "", file=sys.stderr, flush=True)
    print(table(rows))
    if arguments.out:
        write_json(arguments.out, {"cores": os.cpu_count(), "assets": arguments.assets, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
