import pytest

from examples.sine import example

pytestmark = pytest.mark.slow


def test_every_spike_is_marked_at_its_own_place_and_nothing_else_is(tmp_path):
    figures = example.main(["--small", "--out", str(tmp_path / "picture.png")])
    assert figures["error of the reading"] == (4, 4, 0)
    assert figures["error of the window before it"][0] == 0  # why the example is there
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_the_series_holds_spikes_where_it_says():
    series, spikes = example.simulate()
    readings = series.values[:, 0]
    between = (readings[:-2] + readings[2:]) / 2  # a sine hardly bends within two timesteps
    assert (abs(readings[1:-1] - between)[spikes[1:-1]] > 1.5).all()
    assert series.n_timesteps == 1000
    assert spikes.sum() == 4
