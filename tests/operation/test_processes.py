"""Processes that score at once or are killed in the middle store what one that runs alone does."""

import os
import signal
import subprocess
import sys
import time

import naive
import numpy as np
import pytest

from offbeat.detection.streaming import final_rows
from offbeat.operation.store import Store

SCORER = """
import sys
from pathlib import Path
from offbeat.detection.detector import Detector
from offbeat.detection.reading import read_file
from offbeat.readings.assets import AssetFiles
from offbeat.operation.scoring import score_new
from offbeat.operation.store import Store

url, folder, n_new = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
detector = Detector.load(folder / "model")
whole = read_file(detector, AssetFiles.of(folder / "pump-1.csv"))
print("ready", flush=True)
sys.stdin.readline()
with Store(url) as store:
    for stop in [*range(20, whole.n_timesteps, n_new), whole.n_timesteps]:
        store.write(score_new(detector, whole.rows(0, stop), "v1", stored=store.last_stamps("pump-1", 5000)))
"""


@pytest.fixture
def scorer(tmp_path, make_detector, make_series, url):
    """Start processes that score a series piece by piece once a line is written to them; and what they are to store."""
    detector = make_detector(delay=3, stride=2).calibrate(make_series(), method="quantile", quantile=0.8)
    whole = make_series(300, seed=1, gaps=[(70, 90), (150, 155)])
    detector.save(tmp_path / "model")
    whole.to_frame().dropna(how="all").rename_axis("timestamp").to_csv(tmp_path / "pump-1.csv")
    twin, started = naive.ScoredOnce(0), []
    twin.take(whole, detector.score(whole), final_rows(detector, whole), detector.params.merge_gap, "v1")

    def start(n_new):
        arguments = [sys.executable, "-c", SCORER, url, str(tmp_path), str(n_new)]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(arguments, env=quiet, **pipes))
        return started[-1]

    yield start, twin
    for process in started:
        process.kill()
        process.communicate()


def ready(process):
    assert process.stdout.readline() == "ready\n", process.stderr.read()


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def test_two_processes_that_score_at_once_store_each_row_once(scorer, url, assert_same):
    start, twin = scorer
    processes = [start(n_new) for n_new in (3, 5)]
    for process in processes:
        ready(process)
    for process in processes:
        go(process)
    for process in processes:
        assert process.wait(120) == 0, process.stderr.read()
    with Store(url) as store:
        assert_same(store, twin)


def test_a_scorer_that_is_killed_again_and_again_loses_and_doubles_nothing(scorer, url, assert_same):
    start, twin = scorer
    rng, n_killed = np.random.default_rng(0), 0
    for _ in range(4):
        process = start(1)
        ready(process)
        go(process)
        time.sleep(float(rng.uniform(0.0, 0.5)))
        n_killed += process.poll() is None
        process.kill()
        assert process.wait(60) in (0, -signal.SIGKILL)
    assert n_killed >= 2
    last = start(1)
    ready(last)
    go(last)
    assert last.wait(120) == 0, last.stderr.read()
    with Store(url) as store:
        assert_same(store, twin)
