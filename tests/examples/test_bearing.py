"""The example raises an alarm that lasts before a bearing fails, in the files that the IMS runs come in."""

import numpy as np
import pandas as pd
import pytest

from examples.bearing import example

pytestmark = pytest.mark.slow
N_TIMESTEPS, WEAR_BEGINS = 700, 400


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Four bearings, of which the first wears out; and raw snapshots whose 1 kHz grows."""
    table, raw = tmp_path_factory.mktemp("ims_bearing"), tmp_path_factory.mktemp("ims_raw")
    rng = np.random.default_rng(0)
    index = pd.date_range("2004-02-12 10:32:39", periods=N_TIMESTEPS, freq="10min").strftime("%Y.%m.%d.%H.%M.%S")
    values = 0.06 + rng.normal(0, 0.001, (N_TIMESTEPS, 4))
    values[WEAR_BEGINS:, 0] += np.linspace(0, 0.2, N_TIMESTEPS - WEAR_BEGINS)
    frame = pd.DataFrame(values, columns=[f"Bearing {k}" for k in range(1, 5)])
    frame.insert(0, "Datetime", index)
    frame.to_csv(table / "2nd_test_resmaple_10minutes.csv")
    for row in (0, 300, N_TIMESTEPS - 1):
        samples = rng.normal(0, 0.1, (2000, 4)) + row / 500 * np.sin(np.arange(2000) * 2 * np.pi / 20)[:, None]
        np.savetxt(raw / index[row], samples, "%.3f", delimiter="\t")
    return table, raw


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Take snapshots that were written a moment ago."""
    source = example.SnapshotFolder
    monkeypatch.setattr(example, "SnapshotFolder", lambda *given: source(*given, settle_s=0.0))


def test_an_alarm_comes_to_stay_days_before_the_end_and_none_before_the_wear(folders, tmp_path):
    table, raw = map(str, folders)
    figures = example.main(["--small", "--from", table, "--raw", raw, "--out", str(tmp_path / "picture.png")])
    assert figures["lasting_in_first_half"] == 0
    assert 24 < figures["lead_hours"] <= (N_TIMESTEPS - WEAR_BEGINS) / 6
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_the_spectra_show_where_the_vibration_grows(folders):
    energies = example.spectra(folders[1])
    assert energies.shape == (3, 100)
    assert energies.iloc[-1].idxmax() == 1050.0  # the band from 1,000 to 1,100 Hz


def test_without_raw_snapshots_there_is_a_picture_of_the_rest(folders, tmp_path):
    example.main(["--small", "--from", str(folders[0]), "--out", str(tmp_path / "picture.png")])
    assert (tmp_path / "picture.png").stat().st_size > 1000
