"""The example judges a detector by real labels, in the files that NAB comes in."""

import json

import numpy as np
import pandas as pd
import pytest

from examples.ambient import example

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An office with a daily rhythm, and two days of failure in its later part."""
    folder = tmp_path_factory.mktemp("nab")
    index = pd.date_range("2013-07-04", periods=2400, freq="1h")
    values = 70 + 4 * np.sin(np.arange(2400) * 2 * np.pi / 24) + np.random.default_rng(0).normal(0, 0.5, 2400)
    values[1400:1448] += 12
    values[2000:2048] -= 12
    frame = pd.DataFrame({"timestamp": index, "value": values})
    (folder / "realKnownCause").mkdir()
    frame.to_csv(folder / "realKnownCause" / f"{example.ASSET}.csv", index=False)
    windows = [[str(index[1400]), str(index[1447])], [str(index[2000]), str(index[2047])]]
    (folder / "combined_windows.json").write_text(json.dumps({f"realKnownCause/{example.ASSET}.csv": windows}))
    return folder


@pytest.fixture(scope="module")
def figures(source):
    found = example.main(["--small", "--from", str(source), "--out", str(source / "picture.png")])
    assert (source / "picture.png").stat().st_size > 1000
    return found


def test_both_failures_are_found_and_f1_is_far_above_that_of_marking_everything(figures):
    calibrated = figures["calibrated quantile"]
    assert calibrated["n_events_found"] == calibrated["n_events"] == 2
    assert calibrated["point_recall"] > 0.8
    assert calibrated["point_f1"] > 4 * figures["everything"]["point_f1"]


def test_no_threshold_has_a_better_f1_than_the_oracles(figures):
    assert figures["calibrated quantile"]["point_f1"] <= figures["oracle, chosen by these labels"]["point_f1"]


def test_to_mark_everything_finds_all_at_the_precision_of_the_labelled_share(figures):
    everything = figures["everything"]
    assert everything["point_recall"] == 1
    assert everything["point_precision"] == pytest.approx(96 / (2400 - 2399 // 4))


def test_alarms_judged_by_themselves_are_always_perfect(figures):
    assert figures["calibrated, by its own alarms"]["point_f1"] == 1
