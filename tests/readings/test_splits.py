"""Time decides which rows serve what, and a window lies between one span and the next."""

from itertools import product

import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.splits import split_rows


def split_of(series, test_start=None, *, embargo=4, train=0.6, calibration=0.2, held_out=0.25):
    return split_rows(
        series,
        embargo=embargo,
        train_share=train,
        calibration_share=calibration,
        held_out_share=held_out,
        test_start=test_start,
    )


def test_the_spans_are_the_shares_of_the_rows_in_time_order(make_series):
    # 60 to learn from of which a quarter is held out; to row 80 for the threshold; 4 between
    split = split_of(make_series(100))
    assert (split.train, split.held_out) == ((0, 45), (45, 60))
    assert (split.calibration, split.test) == ((64, 80), (84, 100))


def test_a_given_test_start_is_kept_and_the_shares_divide_what_lies_before_it(make_series):
    split = split_of(make_series(100), test_start=60)
    assert (split.train, split.held_out) == ((0, 34), (34, 45))  # 0.6 / 0.8 of 60 rows, a quarter of them held out
    assert (split.calibration, split.test) == ((49, 56), (60, 100))


@pytest.mark.parametrize("test_start", [None, 150, 250])
def test_spans_stand_in_order_and_an_embargo_apart(make_series, test_start):
    series = make_series(300)
    for embargo, train, calibration, held_out in product((1, 4, 8), (0.4, 0.6), (0.2, 0.35), (0.25, 0.5)):
        split = split_of(series, test_start, embargo=embargo, train=train, calibration=calibration, held_out=held_out)
        assert split.train[0] == 0
        assert split.train[1] == split.held_out[0]
        assert split.held_out[1] + embargo <= split.calibration[0]
        assert split.calibration[1] + embargo <= split.test[0]
        assert split.test == (test_start or split.test[0], 300)


@pytest.mark.parametrize(
    ("test_start", "options"),
    [
        (100, {}),  # behind the last reading
        (None, {"embargo": 8, "calibration": 0.38}),  # 98 rows would leave 2 for an embargo of 8
    ],
)
def test_an_empty_test_span_is_refused(make_series, test_start, options):
    with pytest.raises(ReadingsError, match="'pump-1': its test span has 0 of 100 rows and needs 1: give more readi"):
        split_of(make_series(100), test_start, **options)


@pytest.mark.parametrize(
    ("n", "options", "span", "rows"),
    [
        (30, {"embargo": 8, "held_out": 0.5}, "calibration", 0),  # 18 learnt, 18 + 8 to 24
        (40, {"embargo": 8}, "held-out", 6),  # 24 learnt, a quarter held out
        (9, {"embargo": 8}, "train", 4),  # 5 learnt, 1 held out
    ],
)
def test_a_span_without_room_for_a_window_is_named_with_its_rows(make_series, n, options, span, rows):
    with pytest.raises(ReadingsError, match=rf"'pump-1': its {span} span has {rows} of {n} rows and needs 8: "):
        split_of(make_series(n), **options)


def test_a_test_start_too_early_leaves_no_room_and_is_refused(make_series):
    with pytest.raises(ReadingsError, match="'pump-1': its train span has 0 of 100 rows"):
        split_of(make_series(100), test_start=0)
