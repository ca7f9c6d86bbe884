"""Processor time of `offbeat --help` and of `offbeat score` on a small file, and what the latter loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.speed_goals import Outcome
from benchmarks.speed_measure import Plan, run_python
from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.models.export import export_network
from offbeat.models.recurrent import build_autoencoder
from offbeat.params import load_params
from offbeat.readings.series import Series

RUN = """
import sys
sys.argv = ["offbeat", *sys.argv[1:]]
from offbeat.cli import main
try: main()
except SystemExit as stop: assert not stop.code, stop.code
print("loaded", *{name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras"})
"""


def start_up(plan: Plan) -> dict[str, Outcome]:
    """Return the processor seconds of both commands."""
    model, readings = _small_model(plan.scratch)
    score = ("score", str(readings), "--model", str(model), "--out", str(plan.scratch / "scores.csv"))
    helps, scores, loaded = [], [], set()
    for _ in range(plan.rounds):
        helps.append(run_python("-c", RUN, "--help")[1])
        output, took = run_python("-c", RUN, *score)
        scores.append(took)
        loaded |= set(output.splitlines()[-1].split()[1:])
    note = f"1,000 timesteps × 3; loads {', '.join(sorted(loaded)) or 'no TensorFlow'}"
    return {"help": Outcome(tuple(helps)), "score": Outcome(tuple(scores), note, holds=not loaded)}


def _small_model(scratch: Path) -> tuple[Path, Path]:
    """Write an untrained detector and 1,000 timesteps of three channels; return where they stand."""
    params = load_params()
    rng = np.random.default_rng(0)
    times = pd.date_range("2026-01-05", periods=1000, freq="10min", name="timestamp")
    frame = pd.DataFrame(rng.normal(size=(1000, 3)), times, ["flow", "speed", "temp"])
    series = Series.from_frame(frame, "pump")
    rule = params.calibrate.for_window(params.prepare.window_size or 32)
    runtime = Runtime(export_network(build_autoencoder(params.prepare.window_size or 32, 3, params.train)))
    detector = Detector(runtime, series.channels, series.step, True, 5, params.prepare.preprocessing, rule)
    detector.calibrate(series).save(scratch / "model")
    frame.to_csv(scratch / "pump.csv")
    return scratch / "model", scratch / "pump.csv"
