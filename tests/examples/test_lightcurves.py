import numpy as np
import pytest

from examples.lightcurves import example


@pytest.mark.slow
def test_points_called_signal_are_those_of_transits(tmp_path):
    figures = example.main(["--small", "--out", str(tmp_path / "picture.png")])
    learnt = figures["bidirectional autoencoder"]
    assert learnt["point precision"] >= 0.85
    assert learnt["point recall"] >= 0.4
    assert learnt["event recall"] >= 0.6
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_every_curve_is_a_segment_of_its_own():
    series, signal = example.simulate(20)
    assert series.segments == [(k * 256, (k + 1) * 256) for k in range(20)]
    with_planet = signal.reshape(20, 256).any(axis=1)
    assert 0 < with_planet.sum() < 20


def test_transits_come_back_after_each_orbit_and_are_dark():
    series, signal = example.simulate(40)
    curves, dark = series.values.reshape(40, 256), signal.reshape(40, 256)
    for curve, transit in zip(curves[dark.any(axis=1)], dark[dark.any(axis=1)], strict=True):
        begins = np.flatnonzero(np.diff(transit.astype(int)) == 1)
        assert len(set(np.diff(begins).tolist())) <= 1
        assert len(begins) >= 2
        assert curve[transit].mean() < curve[~transit].mean()
