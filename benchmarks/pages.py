"""How large the evaluation page of a large fleet is, and how soon it opens in Chromium.

    python benchmarks/pages.py --assets 50 --timesteps 100000 --channels 8

The fleet is made of sines, noise and faults, its model principal components: the page does not know the difference. Of
each of some openings it prints when the words stand there, and when an asset is drawn.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from playwright.sync_api import Browser, sync_playwright

from offbeat.evaluation.replay import network_method, replay, score_fleet, stretch_of
from offbeat.evaluation.report import Evaluated, write_report
from offbeat.params import Params, load_params
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series
from offbeat.readings.spans import Span
from offbeat.training import fit_fleet

SETTINGS = {
    "prepare": {"period": "1min", "window_size": 16},
    "train": {"model": "sub_pca"},
    "calibrate": {"stride": 8, "delay": 12, "smoothing": 8, "merge_gap": 8},
    "evaluate": {"max_buffer": 50},
}
EVENTS = 12  # labelled, of an asset


def main() -> None:
    """Print sizes and times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("assets", 50), ("timesteps", 100_000), ("channels", 8), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="offbeat-pages-") as scratch:
        page = Path(scratch) / "report.html"
        evaluated = evaluate(large_fleet(arguments.assets, arguments.timesteps, arguments.channels))
        begin = time.monotonic()
        write_report(page, evaluated)
        print(f"{page.stat().st_size / 1e6:.1f} MB, written in {time.monotonic() - begin:.1f} s")
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            words, drawn = zip(*(opening(browser, page) for _ in range(arguments.rounds)), strict=True)
            browser.close()
    for what, times in (("words", words), ("an asset drawn, from its link", drawn)):
        print(f"{what}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}")


def large_fleet(n_assets: int, n_timesteps: int, n_channels: int) -> Folder:
    """Return assets that hum, each with labelled faults in its last fifth."""
    rng = np.random.default_rng(5)
    index = pd.date_range("2026-01-05", periods=n_timesteps, freq="1min", name="timestamp")
    t, channels = np.arange(n_timesteps)[:, None], [f"channel-{k}" for k in range(n_channels)]
    series, labels = [], []
    for k in range(n_assets):
        values = np.sin(t / rng.uniform(80, 900, n_channels)) + 0.1 * rng.standard_normal((n_timesteps, n_channels))
        for start in rng.integers(int(0.81 * n_timesteps), int(0.98 * n_timesteps), EVENTS).tolist():
            length = int(rng.integers(5, max(n_timesteps // 500, 6)))
            values[start : start + length, rng.integers(n_channels)] += rng.choice([-4.0, 4.0])
            stop = min(start + length, n_timesteps) - 1
            labels.append(Span(f"asset-{k:02d}", index[start], index[stop], "fault"))
        frame = pd.DataFrame(values.round(4), index, channels)
        series.append(Series.from_frame(frame, f"asset-{k:02d}", period="1min"))
    return Folder(series=tuple(series), labels=tuple(labels))


def evaluate(folder: Folder) -> Evaluated:
    """Fit and judge the model alone: the simple methods beside it cost time, and their part of the page is a line."""
    params: Params = load_params(changes=SETTINGS)
    fitted = fit_fleet(folder, params)
    method, results = (
        network_method(fitted.detector.method, fitted.detector),
        score_fleet(fitted.detector, fitted.fleet),
    )
    replays = [replay(method, stretch_of(prepared, params.evaluate)) for prepared in fitted.fleet]
    explained = fitted.trained.overall_explained_variance
    return Evaluated(fitted.detector, params.train, fitted.fleet, results, replays, [], explained, [])


def opening(browser: Browser, page: Path) -> tuple[float, float]:
    """Return seconds until the words of a page stand there, and until an asset is drawn that its link asks for."""
    times = []
    for address, state in (("", "words"), ("#asset=asset-01", "pictures")):
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        begin = time.monotonic()
        tab.goto(f"{page.as_uri()}{address}")
        tab.wait_for_selector(f"html[data-ready={state}]", state="attached")
        times.append(time.monotonic() - begin)
        tab.close()
    return times[0], times[1]


if __name__ == "__main__":
    main()
