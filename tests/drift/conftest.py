"""A group of machines whose chunk statistics are known, and verdicts on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.detector import Detector
from offbeat.drift.check import Drift, check
from offbeat.drift.period import Arrived
from offbeat.params import CalibrateParams, DriftParams, load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series

N, PER_DAY, N_MACHINES = 60 * 48, 48, 3  # sixty days of half hours
LATER = slice(N - 7 * PER_DAY, N)
Change = Callable[[np.ndarray], None]


def machine(asset: str, seed: int, n: int = N) -> Series:
    """Return a machine with a daily rhythm: temp follows flow, speed follows neither for long."""
    rng = np.random.default_rng(seed)
    hours = 2 * np.pi * np.arange(n) / PER_DAY
    load = np.sin(hours) + 0.3 * rng.standard_normal(n)
    values = np.column_stack([50 + 2 * load, 1400 + 30 * np.cos(hours), 40 + load]) + rng.standard_normal((n, 3)) * [
        0.2,
        8,
        0.1,
    ]
    index = pd.date_range("2026-01-05", periods=n, freq="30min")
    return Series.from_frame(pd.DataFrame(values, index, ["flow", "speed", "temp"]), asset, period="30min")


@pytest.fixture(scope="session")
def fleet() -> list[Series]:
    return [machine(f"m-{k}", seed=k) for k in range(N_MACHINES)]


@pytest.fixture(scope="session")
def detector(graph: bytes, fleet: list[Series]) -> Detector:
    """A detector made from the first four fifths of the fleet."""
    params = load_params(changes={"prepare": {"window_size": 8}, "calibrate": {"delay": 0, "smoothing": 4}})
    prepare = params.prepare.with_window(8)
    prepared = prepare_fleet(Folder(tuple(fleet)), prepare)
    rule: CalibrateParams = params.calibrate.for_window(8)
    made = assemble(graph, prepared[0].series, prepare, rule, {"method": "lstm_autoencoder"})
    calibrate_fleet(made, prepared)
    return made


@pytest.fixture(scope="session")
def params() -> DriftParams:
    return load_params().drift


@pytest.fixture
def verdict_on(detector: Detector, fleet: list[Series], params: DriftParams) -> Callable[..., Drift]:
    """Check the fleet with the first machine's last week changed in place by a function of its readings (n, 3)."""

    def verdict(change: Change, *, step: int | None = None, stop: int = N, **changes: object) -> Drift:
        values = fleet[0].values.copy()
        change(values[LATER])
        first = Arrived(fleet[0].asset, replace(fleet[0], values=values).rows(0, stop), step=step)
        rest = [Arrived(one.asset, one.rows(0, stop)) for one in fleet[1:]]
        return check(detector, [first, *rest], params.model_copy(update=changes))

    return verdict
