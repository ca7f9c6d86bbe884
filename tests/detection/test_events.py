import itertools

import naive
import numpy as np
import pytest

from offbeat.detection.events import alarm_mask, detection_delays, events_of, mask_of, merge_events, overlaps

MASKS = [np.array(bits, dtype=bool) for n in range(9) for bits in itertools.product([0, 1], repeat=n)]


def test_events_are_the_maximal_runs():
    for mask in MASKS:
        assert events_of(mask).tolist() == naive.events_of(mask)


def test_no_event_crosses_a_segment_start():
    for mask in MASKS[-256:]:
        for starts in ([0, 4], [3], [1, 2, 7], []):
            assert events_of(mask, starts).tolist() == naive.events_of(mask, starts)


def test_mask_of_events_is_the_mask_they_came_from():
    for mask in MASKS:
        np.testing.assert_array_equal(mask_of(events_of(mask, [0] if len(mask) else None), len(mask)), mask)


def test_mask_of_overlapping_events_is_their_union():
    assert mask_of(np.array([[0, 3], [2, 4]]), 6).tolist() == [True] * 4 + [False] * 2


def test_events_merge_up_to_the_gap():
    for mask in MASKS[-256:]:
        for max_gap in range(4):
            for starts in ([], [4]):
                events = events_of(mask, starts)
                expected = naive.merge_events(events.tolist(), max_gap, starts)
                assert merge_events(events, max_gap, starts).tolist() == expected


def test_events_in_any_order_and_overlapping_merge():
    assert merge_events(np.array([[7, 9], [0, 5], [1, 2], [5, 6]]), 0).tolist() == [[0, 6], [7, 9]]


def test_merging_does_not_change_what_it_was_given():
    events = np.array([[5, 6], [0, 2]])
    merge_events(events, 10)
    assert events.tolist() == [[5, 6], [0, 2]]


def test_delay_is_counted_from_the_event_start_to_the_first_alarm_in_it():
    labels = MASKS[-100]
    for alarms in MASKS[-256:]:
        expected = naive.detection_delays(naive.events_of(labels), alarms)
        np.testing.assert_array_equal(detection_delays(events_of(labels), alarms), expected)
        np.testing.assert_array_equal(detection_delays(events_of(labels), events_of(alarms)), expected)


def test_an_alarm_that_is_on_before_the_event_has_no_delay_and_a_missed_event_is_nan():
    # the alarm [1, 5) is on when [3, 6) starts: 0; the alarm at 9 is 1 after 8; nothing lies in [12, 14)
    delays = detection_delays(np.array([[3, 6], [8, 11], [12, 14]]), np.array([[1, 5], [9, 10], [14, 15]]))
    np.testing.assert_array_equal(delays, [0, 1, np.nan])


def test_events_overlap_when_they_share_a_timestep():
    events = events_of(MASKS[-77])
    for other in MASKS[-256:]:
        shared = [bool(other[start:stop].any()) for start, stop in events]
        assert overlaps(events, events_of(other)).tolist() == shared


def test_the_threshold_itself_raises_no_alarm_nor_does_a_missing_score():
    assert alarm_mask(np.array([0.5, 0.6, np.nan, 0.7]), 0.5).tolist() == [False, True, False, True]


def test_a_gap_between_alarms_is_bridged_within_a_segment_only():
    scores = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    alarms = alarm_mask(scores, 0.5, max_gap=1, segment_starts=[0, 3])
    assert alarms.tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("max_gap", [0, 1, 5])
def test_a_higher_threshold_never_adds_an_alarm_timestep(max_gap):
    scores = np.random.default_rng(0).normal(size=300)
    masks = [alarm_mask(scores, threshold, max_gap=max_gap) for threshold in np.linspace(-3, 3, 40)]
    for lower, higher in itertools.pairwise(masks):
        assert not (higher & ~lower).any()


def test_nothing_in_nothing_out():
    none = np.empty((0, 2), dtype=int)
    assert events_of(np.array([], dtype=bool)).shape == (0, 2)
    assert merge_events(none, 3).shape == (0, 2)
    assert detection_delays(none, np.zeros(4, dtype=bool)).shape == (0,)
    assert overlaps(none, none).shape == (0,)
    assert mask_of(none, 3).tolist() == [False] * 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mask_of(np.array([[0, 1], [2, 9]]), 5), r"within \[0, 5\), got \[2, 9\)"),
        (lambda: mask_of(np.array([[3, 3]]), 5), r"stops after it starts, got \[3, 3\)"),
        (lambda: merge_events(np.array([[0, 1]]), -1), "at least 0 timesteps, got -1"),
        (lambda: events_of(np.ones((2, 2), dtype=bool)), r"one dimension, got shape \(2, 2\)"),
        (lambda: events_of(np.ones(3, dtype=bool), [0, 3]), r"start within \[0, 3\), got 0 to 3"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
