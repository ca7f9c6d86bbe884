"""Stamps and steps as pandas and JSON have them."""

import json

import numpy as np
import pandas as pd
import pytest

from offbeat.readings.moments import index_of_stamps, length_of, moment_json, moment_of, step_from_json, step_json

PERIODS = ["10min", "1s", "250ms", "1us", "17ns", "36h", "400d", "1s 500ms", "1D 00:00:00.05"]


@pytest.mark.parametrize("period", PERIODS)
def test_a_step_is_written_as_pandas_writes_it_and_comes_back(period):
    step = pd.Timedelta(period).value
    stored = json.loads(json.dumps(step_json(step, is_time=True)))
    assert stored == pd.Timedelta(period).isoformat()
    assert step_from_json(stored) == (step, True)


def test_a_number_of_steps_comes_back_as_one():
    assert step_from_json(json.loads(json.dumps(step_json(np.int64(5), is_time=False)))) == (5, False)


@pytest.mark.parametrize("stored", ["", "10min", "PT10M", "P0DT0H10M0.0000000001S"])
def test_another_text_is_no_step(stored):
    with pytest.raises(ValueError, match="is not written as"):
        step_from_json(stored)


def test_stamps_are_nanoseconds_in_utc_or_the_integers_themselves():
    stamps = np.array([0, 1_500_000_000])
    times = pd.DatetimeIndex(["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.5Z"])
    assert index_of_stamps(stamps, is_time=True).equals(times.as_unit("ns"))
    assert index_of_stamps(stamps, is_time=False).tolist() == stamps.tolist()
    assert (moment_of(1_500_000_000, is_time=True), moment_of(7, is_time=False)) == (times[1], 7)
    assert (length_of(60_000_000_000, is_time=True), length_of(3, is_time=False)) == (pd.Timedelta("1min"), 3)
    assert (moment_json(times[0]), moment_json(7)) == ("1970-01-01T00:00:00+00:00", 7)
