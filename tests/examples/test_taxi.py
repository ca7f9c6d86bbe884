"""The example finds days that are unlike others of their week, in the files that NAB comes in."""

import json

import numpy as np
import pandas as pd
import pytest

from examples.taxi import example

pytestmark = pytest.mark.slow
N_DAYS, PER_DAY = 90, 48
EVENTS = 52, 59, 66, 75, 83  # days on which hardly anybody takes a taxi


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nab")
    index = pd.date_range("2014-07-01", periods=N_DAYS * PER_DAY, freq="30min")
    level = 9 + np.sin(np.arange(len(index)) * 2 * np.pi / PER_DAY) - 0.3 * (index.dayofweek >= 5)
    values = np.exp(level + np.random.default_rng(0).normal(0, 0.1, len(index)))
    windows = []
    for day in EVENTS:
        rows = slice(day * PER_DAY, (day + 1) * PER_DAY)
        values[rows] /= 3
        windows.append([str(index[rows][0]), str(index[rows][-1])])
    (folder / "realKnownCause").mkdir()
    frame = pd.DataFrame({"timestamp": index, "value": values.round()})
    frame.to_csv(folder / "realKnownCause" / "nyc_taxi.csv", index=False)
    (folder / "combined_windows.json").write_text(json.dumps({"realKnownCause/nyc_taxi.csv": windows}))
    found = example.main(["--small", "--from", str(folder), "--out", str(folder / "picture.png")])
    assert (folder / "picture.png").stat().st_size > 1000
    return found


def test_the_interval_score_finds_all_five_events_and_little_else(judged):
    metrics = judged["interval_score"].metrics
    assert metrics["n_events_found"] == metrics["n_events"] == 5
    assert metrics["false_alarm_rate"] < 0.2


def test_how_far_outside_tells_more_than_how_wide(judged):
    assert judged["interval_exceedance"].metrics["auc_pr"] > judged["interval_width"].metrics["auc_pr"]
