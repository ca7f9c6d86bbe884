"""Served scores are those of a detector, for every machine of the bundled fleet and of SKAB, whole and as a stream."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from serving_stack import current_of, running

from offbeat.client import Scorer, Stream
from offbeat.detection.detector import Detector
from offbeat.detection.reading import read_file
from offbeat.detection.runtime import Runtime
from offbeat.params import load_params
from offbeat.readings.assets import asset_files
from offbeat.readings.datasets import fetch
from offbeat.readings.folder import read_folder
from offbeat.readings.simulate import simulate_fleet

pytestmark = pytest.mark.slow
PUBLIC = Path(__file__).resolve().parents[3] / "shared" / "data" / "skab"


def bundled(folder):
    simulate_fleet(folder, 7)


def skab(folder):
    fetch("skab", folder, PUBLIC)


def detector_for(folder, prepare):
    """An untrained network, calibrated for every machine: what it says need not be wise to be the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what TensorFlow says at import is not ours
        from offbeat.models.export import export_network
        from offbeat.models.recurrent import build_autoencoder
    first = folder.series[0]
    sizes = {"units": 8, "latent_size": 4, "position_size": 4, "linear_size": 0, "seed": 1}
    params = load_params(changes={"prepare": {"window_size": 16, **prepare}, "train": sizes, "calibrate": {"delay": 8}})
    runtime = Runtime(export_network(build_autoencoder(16, first.n_channels, params.train)))
    preprocessing, calibrate = params.prepare.preprocessing, params.calibrate.for_window(16)
    detector = Detector(runtime, first.channels, first.step, first.is_time, first.max_gap, preprocessing, calibrate)
    for series in folder.series:
        detector.calibrate(series, method="quantile")
    return detector


def numbers(scores):
    return np.array([np.nan if score is None else score for score in scores])


ALL_AT_ONCE = {"transform": "log", "season": "week", "difference": 1, "scaling": "robust"}


@pytest.mark.parametrize(("fill", "prepare"), [(bundled, {}), (bundled, ALL_AT_ONCE), (skab, {})])
def test_served_scores_are_those_of_the_detector(tmp_path, fill, prepare):
    if fill is skab and not PUBLIC.exists():
        pytest.skip("the public readings are not beside the repository (shared/data/skab)")
    fill(tmp_path / "data")
    detector = detector_for(read_folder(tmp_path / "data"), prepare)
    with running(current_of(detector, tmp_path / "models")) as url, Scorer(url) as scorer:
        for one in asset_files(tmp_path / "data"):
            expected = detector.score(read_file(detector, one)).scores
            frame = pd.read_csv(one.files[0], index_col=0)
            asset, channels, times = one.asset, list(frame.columns), frame.index.tolist()
            values = frame.to_numpy(dtype=float)
            whole = scorer.score(asset, times, values, channels)
            np.testing.assert_allclose(numbers(whole["scores"]), expected, rtol=1e-6)
            stream, scored = Stream(scorer, asset, channels), []
            for start in range(0, len(times), 700):
                scored += stream.push(times[start : start + 700], values[start : start + 700])
            scored += stream.flush()
            np.testing.assert_allclose(numbers([one.score for one in scored]), expected, rtol=1e-6)
