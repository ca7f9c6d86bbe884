"""Where no window is given it is as long as the rhythm of the training readings, within bounds, and that is said."""

from dataclasses import replace

import numpy as np
import pytest

from offbeat.errors import ReadingsError
from offbeat.params import PrepareParams, load_params
from offbeat.readings.folder import Folder, Span
from offbeat.window_choice import choose_window


def section(**changes):
    return load_params(changes={"prepare": {"window_size": None, **changes}}).prepare


@pytest.fixture
def humming(make_series):
    """Series whose channels repeat themselves after as many timesteps as given; None is noise."""

    def make(*periods, asset="pump-1", n=2000):
        rng, t = np.random.default_rng(len(asset)), np.arange(n)
        columns = [rng.normal(size=n) + (0 if p is None else 30 * np.sin(2 * np.pi * t / p)) for p in periods]
        return replace(make_series(n, asset=asset), values=np.column_stack(columns))

    return make


def test_a_window_that_is_given_is_taken_and_nothing_said(make_series):
    given = load_params(changes={"prepare": {"window_size": 7}, "calibrate": {"delay": 0}}).prepare
    params, lines = choose_window(Folder((make_series(50),)), given)
    assert (params.window_size, lines, type(params)) == (7, [], PrepareParams)


@pytest.mark.parametrize(
    ("periods", "window_size", "said"),
    [
        ((40, 40, 40), 80, "80 timesteps, chosen because 3 of 3 channels show a period, 40 in the median"),
        ((40, 70, 90), 70, "70 timesteps, chosen because 3 of 3 channels show a period, 70 in the median"),
        ((None, 80, None), 80, "because 1 of 3 channels show a period, 80 in the median"),
        ((10, 10, 10), 70, "70 timesteps, chosen because 3 of 3 channels show a period, 10 in the median"),
        ((60, 60, 60), 100, "3 of 3 channels show a period, 60 in the median, and 100 is the most"),
        ((200, 200, 200), 100, "3 of 3 channels show a period, 200 in the median, and 100 is the most"),
        ((None, None, None), 64, "64 timesteps, chosen because no channel shows a clear period"),
    ],
)
def test_the_window_is_the_fewest_whole_periods_that_make_64_timesteps_within_bounds(
    humming, periods, window_size, said
):
    params, [line] = choose_window(Folder((humming(*periods),)), section())
    assert params.window_size == window_size
    assert said in line


def test_all_channels_of_all_assets_have_a_say(humming):
    fleet = (humming(66, 66, None), humming(80, 80, 80, asset="pump-2"), humming(95, 95, None, asset="pump-3"))
    params, [line] = choose_window(Folder(fleet), section())
    assert params.window_size == pytest.approx(80, abs=1)
    assert "7 of 9 channels" in line


def test_only_normal_rows_of_the_training_span_have_a_say(humming):
    calm, other = humming(70, 70, 70), humming(95, 95, 95)
    stop = int(0.6 * 0.85 * calm.n_timesteps)  # train_share less held_out_share of it
    values = calm.values.copy()
    values[stop:] = 50 * other.values[stop:]
    values[100:400] = 50 * other.values[100:400]
    values[700:720, 1] = np.nan
    label = Span("pump-1", calm.index[100], calm.index[399])
    params, _ = choose_window(Folder((replace(calm, values=values),), labels=(label,)), section())
    assert params.window_size == pytest.approx(70, abs=1)
    params, _ = choose_window(Folder((replace(calm, values=values),)), section())
    assert params.window_size == pytest.approx(95, abs=3)


def test_a_channel_without_a_reading_has_no_say(humming):
    series = humming(40, 40, 40)
    values = series.values.copy()
    values[:, 1] = np.nan
    assert "2 of 3" in choose_window(Folder((replace(series, values=values),)), section())[1][0]


def test_readings_too_short_for_any_window_are_refused(make_series):
    with pytest.raises(ReadingsError, match=r"'pump-1': its held-out span has .* rows and needs 16"):
        choose_window(Folder((make_series(60),)), section())


def test_the_window_is_no_longer_than_the_spans_have_room_for(humming):
    # of 600 rows the held-out span has 0.6 x 0.15 = 54
    params, [line] = choose_window(Folder((humming(90, 90, 90, n=600),)), section())
    assert params.window_size == 54
    assert "3 of 3 channels show a period, 90 in the median, and the spans have room for no more" in line


def test_no_rhythm_is_sought_over_a_long_gap(humming):
    series = humming(40, 40, 40)
    keep = np.r_[0:300, 320:1000]  # half a period left out
    cut = replace(series, values=series.values[keep], stamps=series.stamps[keep], segment_starts=np.array([0, 300]))
    assert choose_window(Folder((cut,)), section())[0].window_size == pytest.approx(80, abs=2)
