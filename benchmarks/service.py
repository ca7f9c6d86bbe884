"""The packed service beside a trivial one of the same server: throughput, memory, start, end, kills and promotions.

    make bento && python benchmarks/service.py --out artifacts/service.json

The trivial service has one `@bentoml.api`, which takes the same JSON and returns a constant. Both run in
.venv-service at once, and are asked in turn (A B A B), so that whatever else the machine does slows both. One thread
asks over raw, kept connections, with requests that are bytes already; how busy it is stands in the results.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

if not __package__:  # run as a script
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in ("", "tests")]

from benchmarks.service_load import LONGEST_S, PYTHON, Answer, Line, Service, drive, post, running
from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.files import write_json
from offbeat.params import load_params
from offbeat.readings.series import Series
from offbeat.registry import Registry, open_model

ROOT = Path(__file__).resolve().parents[1]
MODEL = re.compile(rb'"model":"(\w+)"')
TRIVIAL = """
import os
import bentoml

@bentoml.service(workers=int(os.environ["OFFBEAT_WORKERS"]), logging={"access": {"enabled": False}})
class Trivial:
    @bentoml.api
    async def score(self, request: dict, /) -> dict:
        return {"score": 1.0}
"""


def readings(detector: Detector, n: int, asset: str | None = None) -> bytes:
    """Return a request with n usual readings of a machine."""
    asset = asset or min(detector.assets)
    scaling = detector.assets[asset].scaling
    values = scaling.centre + 0.3 * scaling.scale * np.sin(np.arange(n) / 9)[:, None]
    index = pd.date_range("2026-01-05", periods=n, freq=detector.period, tz="UTC")
    stamps = index.strftime("%Y-%m-%dT%H:%M:%SZ").tolist()
    return post(
        "/score", json.dumps({"asset": asset, "timestamps": stamps, "values": values.round(4).tolist()}).encode()
    )


@dataclass(frozen=True)
class Bench:
    """What all parts share."""

    bento: Path
    trivial: Path
    scratch: Path
    rounds: int
    requests: int
    mixed: int

    @property
    def detector(self) -> Detector:
        return open_model(self.bento / "src/model").load()

    @property
    def registry(self) -> Registry:
        """Two models that differ in their lineage alone; the first is the champion."""
        registry = Registry(self.scratch / "registry")
        if not registry.versions():
            for name in ("a", "b"):
                replace(self.detector, lineage={"git_commit": name}).save(self.scratch / name)
                registry.register(self.scratch / name, {})
            registry.promote("1", by="benchmark", why="first")
        return registry


def row(what: str, value: Any, other: Any = "", ratio: float | None = None, must: str = "", holds: bool | None = None):
    """Return a line of the table."""
    ratio = None if ratio is None else round(float(ratio), 3)
    holds = None if holds is None else bool(holds)
    return {"what": what, "offbeat": value, "beside": other, "ratio": ratio, "must": must, "holds": holds}


def part_requests(bench: Bench) -> Iterator[dict[str, Any]]:
    """One-window requests: requests a second and latency, at 1 and 2 workers."""
    request = readings(bench.detector, bench.detector.window_size)
    for workers in (1, 2):
        services = [Service(folder, workers) for folder in (bench.bento, bench.trivial)]
        with running(*services):
            turns: list[list[tuple[float, ...]]] = [[], []]
            for k in range(bench.rounds + 1):
                for service, found in zip(services, turns, strict=True):
                    begin, busy = time.perf_counter(), time.process_time()
                    answers = drive(service.port, [request] * bench.requests)
                    took, busy = time.perf_counter() - begin, time.process_time() - busy
                    assert all(one.status == 200 for one in answers), answers[0]
                    if k:  # the first warms
                        tails = np.quantile([one.seconds for one in answers], [0.5, 0.99]) * 1e3
                        found.append((len(answers) / took, *tails, busy / took))
        ours, theirs = (np.array(found).T for found in turns)
        rate, p50, p99, _ = (statistics.median(a / b) for a, b in zip(ours, theirs, strict=True))
        (a, a50, a99, busy), (b, b50, b99, _) = (np.median(found, axis=1) for found in (ours, theirs))
        name = f"{workers} worker{'s' * (workers > 1)}, 8 at once"
        yield row(f"{name}: requests/s (client busy {busy:.0%})", f"{a:.0f}", f"{b:.0f}", rate, ">= 0.8", rate >= 0.8)
        yield row(f"{name}: p50 ms", f"{a50:.1f}", f"{b50:.1f}", p50)
        yield row(f"{name}: p99 ms", f"{a99:.1f}", f"{b99:.1f}", p99, "<= 2", p99 <= 2)


def part_windows(bench: Bench) -> Iterator[dict[str, Any]]:
    """One request of 10,000 timesteps x 8 channels against ONNX Runtime alone on the same windows."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from offbeat.models.export import export_network
    from offbeat.models.recurrent import build_autoencoder

    params = load_params()
    runtime = Runtime(export_network(build_autoencoder(64, 8, params.train)))
    rng, n = np.random.default_rng(7), 4_000
    values = np.sin(np.arange(n)[:, None] / np.arange(5, 13)) + 0.1 * rng.standard_normal((n, 8))
    frame = pd.DataFrame(values, pd.date_range("2026-01-05", periods=n, freq="10min", tz="UTC"))
    series = Series.from_frame(frame.rename(columns="c{}".format), "wide", max_gap=5)
    preprocessing, scoring = params.prepare.preprocessing, params.calibrate.for_window(64)
    detector = Detector(runtime, series.channels, series.step, True, 5, preprocessing, scoring).calibrate(series)
    detector.save(bench.scratch / "wide")
    registry = Registry(bench.scratch / "wide-registry")
    registry.promote(registry.register(bench.scratch / "wide", {}).version, by="benchmark", why="wide")

    request = readings(detector, 10_000)
    batches = batches_of(detector, request)
    service = Service(bench.bento, OFFBEAT_REGISTRY=str(registry.directory))
    times = []
    with running(service):
        for k in range(bench.rounds + 1):
            begin = time.perf_counter()
            for batch in batches:
                runtime.estimate(batch)
            direct = time.perf_counter() - begin
            [answer] = drive(service.port, [request], 1)
            assert answer.status == 200, answer.body[:500]
            times += [(answer.seconds, direct)] * (k > 0)
    rate = statistics.median(b / a for a, b in times)
    windows = sum(map(len, batches))
    ours, direct = (windows / statistics.median(found) for found in zip(*times, strict=True))
    name = f"10,000 x 8 in one request, {len(request) / 1e6:.1f} MB: windows/s (beside: ONNX Runtime alone)"
    yield row(name, f"{ours:.0f}", f"{direct:.0f}", rate, ">= 0.7", rate >= 0.7)


def batches_of(detector: Detector, request: bytes) -> list[Any]:
    """Return the batches of windows that a detector gives ONNX Runtime for a request."""
    content = json.loads(request.partition(b"\r\n\r\n")[2])
    frame = pd.DataFrame(content["values"], pd.to_datetime(content["timestamps"]), list(detector.channels))
    batches: list[Any] = []

    class Recorder:
        window_size = detector.window_size

        def estimate(self, windows: Any) -> Any:
            batches.append(windows.astype(np.float32))
            return windows

    series = Series.from_frame(frame, content["asset"], period=detector.period, max_gap=detector.max_gap)
    replace(detector, runtime=Recorder()).score(series)  # type: ignore[arg-type]
    return batches


def part_start(bench: Bench) -> Iterator[dict[str, Any]]:
    """From the command to ready."""
    times = []
    for k in range(bench.rounds + 1):
        found = []
        for folder in (bench.bento, bench.trivial):
            service = Service(folder)
            with running(service):
                found.append(service.ready_s)
        times += [found] * (k > 0)
    ratio = statistics.median(a / b for a, b in times)
    ours, theirs = (statistics.median(found) for found in zip(*times, strict=True))
    yield row("start to ready, s", f"{ours:.2f}", f"{theirs:.2f}", ratio, "<= 1.5", ratio <= 1.5)


def mixture(detector: Detector) -> Iterator[bytes]:
    """Return requests without end: good, some of thousands of rows, some wrong; each kind within any 100."""
    good, large = readings(detector, 2 * detector.window_size), readings(detector, 2_000)
    body = good.partition(b"\r\n\r\n")[2]
    wrong = [
        post("/score", b"[" * 100_000),
        post("/score", body[:-9]),
        post("/score", body.replace(b"[[", b"[[null,", 1)),
        post("/score", body, "text/plain"),
        post("/score", b'{"asset": "nobody", "timestamps": [], "values": []}'),
        post("/score_csv?asset=nobody", b"timestamp,a\n2026-01-05,1\n", "text/csv"),
        post("/nowhere", b"{}"),
    ]
    for k in itertools.count():
        yield large if k % 50 == 0 else wrong[k % 7] if k % 5 == 1 else good


def part_memory(bench: Bench) -> Iterator[dict[str, Any]]:
    """Resident memory of a worker after 500 and after all mixed requests."""
    service = Service(bench.bento)
    with running(service):
        [worker] = service.workers()
        requests, found = mixture(bench.detector), []
        for n in (500, bench.mixed - 500):
            answers = drive(service.port, itertools.islice(requests, n))
            assert all(one.status not in (0, 500) for one in answers), "no answer, or an undocumented one"
            found.append(worker.memory_info().rss / 1e6)
        assert service.workers() == [worker], "the worker died"
    drift = found[1] / found[0] - 1
    yield row("resident MB of a worker after 500 mixed requests", f"{found[0]:.0f}", "", None, "< 300", found[0] < 300)
    name = f"the same after {bench.mixed:,}"
    yield row(name, f"{found[1]:.0f} ({drift:+.1%})", "", None, "< 300, ±5 %", found[1] < 300 and abs(drift) <= 0.05)


def part_end(bench: Bench) -> Iterator[dict[str, Any]]:
    """SIGTERM under load: requests that were sent whole before it and got no answer; seconds until all has ended."""
    detector = bench.detector
    small, large = readings(detector, detector.window_size), readings(detector, 5_000)
    late = small.replace(b"Host:", b"X-Late: 1\r\nHost:", 1)
    lost, late_lost, n_open, times = 0, 0, 0, []
    for k in range(bench.rounds):
        service = Service(bench.bento, 1 + k % 2)
        with running(service):
            family, ended = service.family(), []

            def end(answers: list[Answer], lines: list[Line], service=service, ended=ended) -> bool:
                if len(answers) < 200:
                    return False
                lines += [Line(service.port) for _ in range(8)]
                for line in lines[-8:]:
                    line.ask(late)
                service.process.send_signal(signal.SIGTERM)
                ended += [time.perf_counter(), len(answers)]
                return True

            answers = drive(service.port, itertools.cycle([small] * 30 + [large]), 16, act=end)
            service.process.wait(LONGEST_S)
            left = psutil.wait_procs(family[1:], LONGEST_S)[1]
            times.append(time.perf_counter() - ended[0] if not left else LONGEST_S)
        gone = [one for one in answers[ended[1] :] if one.status != 200]
        late_lost += sum(one.request is late for one in gone)
        lost += sum(one.request is not late for one in gone)
        n_open += len(answers) - ended[1]
    yield row("SIGTERM: requests under way lost, on kept connections", f"{lost} of {n_open}", "", None, "0", lost == 0)
    name = "SIGTERM: lost of those on connections opened just before"
    yield row(name, f"{late_lost} of {8 * bench.rounds}", "", None, "0", late_lost == 0)
    slowest = max(times)
    yield row("SIGTERM: s until every process ended (slowest)", f"{slowest:.1f}", "", None, "<= 10", slowest <= 10)
    service = Service(bench.bento)
    with running(service):
        slow, family = Line(service.port), service.family()
        slow.ask(small[:-10])
        time.sleep(0.2)
        begin = time.perf_counter()
        service.process.send_signal(signal.SIGTERM)
        psutil.wait_procs(family, 15)  # after which the rest is killed
        took = time.perf_counter() - begin
        slow.ask(None)
    yield row(
        "the same, while a client stops in mid-request",
        f"{took:.1f}" if took < 15 else "> 15",
        "",
        None,
        "<= 10",
        took <= 10,
    )


def part_kill(bench: Bench) -> Iterator[dict[str, Any]]:
    """`kill -9` of one of two workers under load, with a client that tries up to 5 times."""
    service = Service(bench.bento, workers=2)
    request = readings(bench.detector, bench.detector.window_size)
    with running(service):
        victim, killed = service.workers()[0], []

        def kill(answers: list[Answer], _: list[Line]) -> bool:
            if len(answers) >= 200 and not killed:
                victim.kill()
                killed.append(time.time())
            return bool(killed) and time.time() > killed[0] + 8

        answers = drive(service.port, itertools.repeat(request), act=kill, tries=5)
        while len(born := [one for one in service.workers() if one.create_time() > killed[0] - 0.1]) < 1:
            if time.time() > killed[0] + LONGEST_S:
                break
            time.sleep(0.1)
        new = f"{born[0].create_time() - killed[0]:.1f}" if born else "never"
        is_whole = len(service.workers()) == 2 and service.is_ready()
    failed, again = sum(one.status != 200 for one in answers), sum(one.tries > 1 for one in answers)
    name = f"kill -9 of a worker: requests failed after tries, of {len(answers):,} ({again} tried again)"
    yield row(name, failed, "", None, "0", failed == 0)
    yield row("kill -9: s until a new worker stands in its place", new, "", None, "comes", bool(born) and is_whole)


def part_promotion(bench: Bench) -> Iterator[dict[str, Any]]:
    """Promotion and rollback under load: which answers name which model, and whether it is ever not ready."""
    registry, moments = bench.registry, [(2.0, "2"), (6.0, "1")]
    request = readings(bench.detector, bench.detector.window_size)
    service = Service(bench.bento, workers=2, OFFBEAT_REGISTRY=str(registry.directory))
    with running(service):
        begin, over, looks = time.monotonic(), threading.Event(), []

        def look() -> None:
            while not over.wait(0.02):
                looks.append(service.is_ready())

        def promote(*_: object) -> bool:
            if moments and time.monotonic() - begin > moments[0][0]:
                registry.promote(moments.pop(0)[1], by="benchmark", why="under load")
            return time.monotonic() - begin > 10

        watcher = threading.Thread(target=look)
        watcher.start()
        answers = drive(service.port, itertools.repeat(request), act=promote)
        over.set()
        watcher.join()
    named = [MODEL.findall(one.body) for one in answers]
    wrong = sum(one.status != 200 or len(names) != 1 for one, names in zip(answers, named, strict=True))
    counts = {version: sum(names == [version.encode()] for names in named) for version in ("1", "2")}
    is_well = not wrong and all(counts.values()) and sum(counts.values()) == len(answers)
    told = ", ".join(f"{n:,} by model {version}" for version, n in counts.items())
    yield row("two promotions under load: answers that are wrong", f"{wrong} of {told}", "", None, "0", is_well)
    yield row("the same: times not ready", f"{looks.count(False)} of {len(looks)}", "", None, "0", all(looks))


PARTS: dict[str, Callable[[Bench], Iterator[dict[str, Any]]]] = {
    "requests": part_requests,
    "windows": part_windows,
    "start": part_start,
    "memory": part_memory,
    "end": part_end,
    "kill": part_kill,
    "promotion": part_promotion,
}


def main() -> int:
    """Measure, and print the table; 1 if something that must hold does not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bento", type=Path, default=ROOT / "bento")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2_000, help="one-window requests of a turn")
    parser.add_argument("--mixed", type=int, default=20_000, help="requests between which memory must stay flat")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be given again")
    parser.add_argument("--short", action="store_true", help="fewer of everything: under 90 s")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not (arguments.bento / "bento.yaml").exists() or not PYTHON.exists():
        raise SystemExit(f"{arguments.bento} or {PYTHON} is missing: make bento")
    if arguments.short:
        arguments.rounds, arguments.requests, arguments.mixed = 1, 300, 1_000
    rows = []
    with tempfile.TemporaryDirectory(prefix="offbeat-service-") as folder:
        scratch = Path(folder)
        shutil.copytree(arguments.bento, scratch / "bento")  # another may be packed meanwhile
        (scratch / "trivial").mkdir()
        (scratch / "trivial/service.py").write_text(TRIVIAL, encoding="utf-8")
        (scratch / "trivial/bentofile.yaml").write_text("service: service:Trivial\n", encoding="utf-8")
        sizes = (arguments.rounds, arguments.requests, arguments.mixed)
        bench = Bench(scratch / "bento", scratch / "trivial", scratch, *sizes)
        for name in arguments.only or PARTS:
            for one in PARTS[name](bench):
                rows.append(one)
                print(line_of(one), file=sys.stderr, flush=True)
    print(table(rows))
    if arguments.out:
        write_json(arguments.out, {"cores": os.cpu_count(), "rounds": arguments.rounds, "rows": rows})
    return int(any(one["holds"] is False for one in rows))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    heads = ("what", "offbeat", "beside", "ratio", "must be", "holds")
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads), *map(line_of, rows)])


def line_of(one: dict[str, Any]) -> str:
    ratio = "" if one["ratio"] is None else f"{one['ratio']:.2f}"
    holds = {None: "", True: "yes", False: "NO"}[one["holds"]]
    return f"| {one['what']} | {one['offbeat']} | {one['beside']} | {ratio} | {one['must']} | {holds} |"


if __name__ == "__main__":
    sys.exit(main())
