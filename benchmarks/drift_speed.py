"""How long `offbeat drift` takes on a year of minutes with fifty channels.

    python benchmarks/drift_speed.py

Makes one machine's readings, a detector around a network that was not trained (its weights do not matter here), and
times making the reference, reading the file, the check of the last days and the page. Needs about 4 GB of memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.drift.arrival import read_arrived
from offbeat.drift.check import check
from offbeat.drift.page import write_pages
from offbeat.models.export import export_network
from offbeat.models.recurrent import build_autoencoder
from offbeat.params import load_params
from offbeat.readings.series import Series

MINUTES, CHANNELS, WINDOW = 365 * 1440, 50, 32


def main() -> None:
    """Time each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=float, default=7.0, help="that are compared")
    days = parser.parse_args().days
    params = load_params(changes={"drift": {"days": days}})
    names = [f"channel_{k:02d}" for k in range(CHANNELS)]
    frame = pd.DataFrame(made_up(), pd.date_range("2025-01-01", periods=MINUTES, freq="1min", name="timestamp"), names)
    series = Series.from_frame(frame, "machine", period="1min")
    graph = export_network(build_autoencoder(WINDOW, CHANNELS, params.train))
    rule = params.calibrate.for_window(WINDOW)
    detector = Detector(Runtime(graph), tuple(names), series.step, True, 5, params.prepare.preprocessing, rule)
    part = series.rows(0, MINUTES * 8 // 10)
    begin = time.perf_counter()
    detector.calibrate(part)
    print(f"calibration, with the reference of {part.n_timesteps:,} timesteps: {time.perf_counter() - begin:.1f} s")
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in ("parquet", "csv"):
            file = Path(scratch) / suffix / f"machine.{suffix}"
            file.parent.mkdir()
            frame.to_parquet(file) if suffix == "parquet" else frame.round(4).to_csv(file)
            timed(detector, file, params.drift, Path(scratch) / "out")


def timed(detector: Detector, file: Path, params: object, out: Path) -> None:
    """Time one check of a file."""
    marks = [time.perf_counter()]
    arrived = read_arrived(detector, [file])
    marks.append(time.perf_counter())
    found = check(detector, arrived, params)  # type: ignore[arg-type]
    marks.append(time.perf_counter())
    write_pages(found, out, {})
    marks.append(time.perf_counter())
    read, compared, page = np.diff(marks)
    print(f"{file.suffix}: read {read:.1f} s, check {compared:.1f} s, page {page:.1f} s: {found.reason}", flush=True)


def made_up() -> np.ndarray:
    """Return readings (T, F): a daily rhythm that all share, and noise of their own."""
    rng = np.random.default_rng(7)
    load = np.sin(2 * np.pi * np.arange(MINUTES) / 1440) + 0.1 * np.cumsum(rng.standard_normal(MINUTES)) / 100
    return (load[:, None] * rng.uniform(0.5, 2, CHANNELS) + 0.3 * rng.standard_normal((MINUTES, CHANNELS))).astype(
        float
    )


if __name__ == "__main__":
    main()
