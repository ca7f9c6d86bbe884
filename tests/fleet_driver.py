"""A run over shards, for the tests that kill it: `python fleet_driver.py ENGINE FOLDER`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import fleet_works as works
import psutil

from offbeat.fleet.engine import engine_of
from offbeat.fleet.shards import Results, each_shard, shards_of
from offbeat.readings.assets import AssetFiles


def run(name: str, folder: Path) -> None:
    """Note ten shards of one asset each, a third of a second each, two at a time."""
    assets = [AssetFiles(f"pump-{k}", (folder / "readings.csv",), "pumps") for k in range(10)]
    work = partial(works.note, folder / "log.txt", 0.3)
    with engine_of(name, workers=2) as engine:
        for shard, made in each_shard(engine, work, shards_of(assets, 1), Results(folder / "results", "txt"), "note"):
            print(shard, made, flush=True)


def check_killed_driver(engine: str, folder: Path, *, within_s: float) -> None:
    """Kill a run in the middle; see its processes end and a rerun make the rest, once."""
    (folder / "readings.csv").write_text("timestamp,flow\n")
    command = [sys.executable, __file__, engine, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        for _ in range(3):
            assert process.stdout.readline()
        others = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(others) >= 2
    assert psutil.wait_procs(others, timeout=within_s)[1] == []
    there = {path.name.rsplit("-", 1)[0] for path in (folder / "results").glob("*.txt")}
    assert 3 <= len(there) < 10
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 10
    times = Counter(line.split()[1] for line in (folder / "log.txt").read_text().splitlines())
    assert len(times) == 10
    assert all(times[name] == 1 for name in there)
    assert len(list((folder / "results").iterdir())) == 10 + 1  # the lock


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
