"""The example finds the odd beat at the calibrated threshold, in the files that the UCR archive comes in."""

import numpy as np
import pandas as pd
import pytest

from examples.ecg import example
from offbeat import Series

pytestmark = pytest.mark.slow
BEAT, N_TIMESTEPS, FIRST, LAST = 90, 5400, 4501, 4620


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """A sharp peak every 90 timesteps; one of them is broad and low."""
    folder = tmp_path_factory.mktemp("ucr")
    phase = np.arange(N_TIMESTEPS) % BEAT
    values = 60 * np.exp(-(((phase - 20) / 4) ** 2)) + 10 * np.exp(-(((phase - 55) / 10) ** 2))
    values[FIRST - 1 : LAST] = 30 * np.sin(np.arange(LAST - FIRST + 1) / 15)
    values += np.random.default_rng(0).normal(0, 1, N_TIMESTEPS)
    name = f"119_UCR_Anomaly_ECG1_4000_{FIRST}_{LAST}.csv"
    pd.DataFrame({"value": values}).to_csv(folder / name, index=False)
    found = example.main(["--small", "--from", str(folder), "--out", str(folder / "picture.png")])
    assert (folder / "picture.png").stat().st_size > 1000
    return {key: figures for key, (_, figures) in found.items()}


def test_the_odd_beat_is_found_at_the_calibrated_threshold(figures):
    assert figures["calibrated"]["n_events_found"] == 1
    assert figures["calibrated"]["point_f1"] > 0.5


def test_no_threshold_has_a_better_f1_than_the_oracles(figures):
    assert max(by["point_f1"] for by in figures.values()) == figures["oracle, chosen by these labels"]["point_f1"]


def test_recall_falls_as_the_threshold_rises(figures):
    recalls = [by["point_recall"] for by in figures.values()]  # thresholds ascend
    assert recalls == sorted(recalls, reverse=True)


def test_the_second_channel_is_the_change_since_the_reading_before():
    series = Series.from_frame(pd.DataFrame({"value": [1.0, 4.0, 2.0]}), "beat")
    np.testing.assert_array_equal(example.with_slope(series).values, [[1, 0], [4, 3], [2, -2]])
