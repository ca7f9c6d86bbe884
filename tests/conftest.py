"""What several test modules share: a small network that needs no training, and readings for it."""

import warnings

import numpy as np
import pandas as pd
import pytest

from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.params import changed, load_params
from offbeat.readings.series import Series

WINDOW_SIZE, CHANNELS = 8, ("flow", "speed", "temp")


@pytest.fixture(scope="session")
def graph():
    """ONNX file of an untrained autoencoder of windows (N, 8, 3)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what TensorFlow says at import is not ours
        from offbeat.models.export import export_autoencoder
        from offbeat.models.recurrent import build_autoencoder

        return export_autoencoder(
            build_autoencoder(WINDOW_SIZE, len(CHANNELS), units=6, latent_size=3, position_size=4, seed=1)
        )


@pytest.fixture(scope="session")
def runtime(graph):
    return Runtime(graph)


@pytest.fixture
def make_series():
    """Readings of a machine that hums: three channels, 10 minutes apart or indexed by integers, with chosen gaps."""

    def make(n=400, *, asset="pump-1", seed=0, gaps=(), missing=0.0, timed=True, max_gap=2, channels=CHANNELS):
        rng = np.random.default_rng(seed)
        t = np.arange(n)[:, None]
        values = np.sin(t / np.array([5.0, 9.0, 14.0])) * [2, 30, 1] + [50, 1400, 40]
        values = values + rng.standard_normal((n, 3)) * [0.2, 2, 0.1]
        values[rng.random((n, 3)) < missing] = np.nan
        index = pd.date_range("2026-01-05 00:10", periods=n, freq="10min") if timed else pd.RangeIndex(7, 7 + n)
        frame = pd.DataFrame(values, index, list(CHANNELS))[list(channels)]
        kept = np.ones(n, dtype=bool)
        for start, stop in gaps:
            kept[start:stop] = False
        return Series.from_frame(frame[kept], asset, period="10min" if timed else 1, max_gap=max_gap)

    return make


@pytest.fixture
def make_detector(runtime, make_series):
    """A detector around that network, calibrated for `pump-1` on its first 400 readings."""

    def make(series=None, **changes):
        series = series or make_series()
        chosen = {"stride": 1, "delay": 0, "smoothing": 4, "merge_gap": 2, **changes}
        params = changed(load_params().calibrate, chosen)
        detector = Detector(runtime, CHANNELS, series.period, max_gap=2, clip=10.0, params=params)
        return detector.calibrate(series)

    return make
