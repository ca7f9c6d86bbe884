"""A result says for each event when, how strongly and in which channels."""

import numpy as np
import pandas as pd
import pytest
from scored import score_result

CHANNELS = ("flow", "speed", "temp")


def result_of(make_series, by_channel, threshold, merge_gap=0, **options):
    series = make_series(len(by_channel), **options)
    settled = np.ones(len(by_channel), dtype=bool)
    return score_result(series, CHANNELS, np.array(by_channel), "mean", threshold, merge_gap, settled, {})


def test_an_event_is_a_run_of_alarms_with_its_first_and_last_timestep(make_series):
    by_channel = np.zeros((10, 3))
    by_channel[3:5] = [[3, 9, 0], [0, 30, 0]]  # scores 4 and 10
    result = result_of(make_series, by_channel, threshold=2.0)
    (event,) = result.events
    assert (event.start, event.stop, event.peak_score) == (3, 5, 10.0)
    assert event.first == pd.Timestamp("2026-01-05 00:40", tz="UTC")
    assert event.last == pd.Timestamp("2026-01-05 00:50", tz="UTC")
    assert np.flatnonzero(result.alarms).tolist() == [3, 4]


def test_leading_channels_are_the_fewest_that_make_up_half_of_the_event(make_series):
    by_channel = np.zeros((4, 3))
    by_channel[1] = [2, 3, 5]
    by_channel[2] = [1, 6, 3]
    # both scores weigh alike, so that the shares are (3, 9, 8) / 20
    (event,) = result_of(make_series, by_channel, threshold=1.0).events
    assert [name for name, _ in event.channels] == ["speed", "temp"]
    assert [share for _, share in event.channels] == pytest.approx([9 / 20, 8 / 20])


def test_a_score_at_the_threshold_is_no_alarm(make_series):
    assert not result_of(make_series, np.full((5, 3), 2.0), threshold=2.0).alarms.any()


def test_a_timestep_without_a_score_is_no_alarm_and_may_be_bridged(make_series):
    by_channel = np.full((6, 3), np.nan)
    by_channel[[1, 3]] = 5.0
    assert len(result_of(make_series, by_channel, threshold=1.0).events) == 2
    (event,) = result_of(make_series, by_channel, threshold=1.0, merge_gap=1).events
    assert (event.start, event.stop, event.peak_score) == (1, 4, 5.0)


def test_events_do_not_merge_across_a_long_gap(make_series):
    series = make_series(20, gaps=[(5, 15)])  # two segments of 5 rows
    by_channel = np.full((10, 3), 5.0)
    by_channel[4:6] = 0  # on either side of the gap
    result = score_result(series, CHANNELS, by_channel, "mean", 1.0, 9, np.ones(10, dtype=bool), {})
    assert [(event.start, event.stop) for event in result.events] == [(0, 4), (6, 10)]


@pytest.mark.parametrize("timed", [True, False])
def test_the_table_has_a_row_per_timestep_and_a_share_per_channel(make_series, timed):
    result = result_of(make_series, np.full((5, 3), 2.0), threshold=1.0, timed=timed)
    frame = result.to_frame()
    names = ["asset", "score", "threshold", "alarm", "share.flow", "share.speed", "share.temp"]
    assert frame.columns.tolist() == names
    assert frame.index.equals(result.index)
    assert frame.iloc[0].tolist() == ["pump-1", 2.0, 1.0, True, *[pytest.approx(1 / 3)] * 3]


def test_the_peak_of_an_event_is_its_highest_score_and_shares_are_those_of_the_scores(make_series):
    by_channel = np.random.default_rng(0).gamma(2, size=(200, 3))
    result = result_of(make_series, by_channel, threshold=3.0, merge_gap=1)
    assert len(result.events) > 5
    for event in result.events:
        assert event.peak_score == result.scores[event.start : event.stop].max()
    np.testing.assert_allclose(result.channel_shares * result.scores[:, None] * 3, by_channel)


def test_a_result_tells_where_it_comes_from(make_series):
    lineage = {"data_hash": "abc", "git_commit": "c0ffee"}
    series, settled = make_series(5), np.ones(5, dtype=bool)
    assert score_result(series, CHANNELS, np.ones((5, 3)), "mean", 2.0, 0, settled, lineage).lineage == lineage
