"""Timestamps on the wire."""

import numpy as np
import pandas as pd
import pytest

from offbeat.serving.stamps import stamp_of, stamp_texts

TEXTS = [
    "2026-01-05",
    "2026-01-05T00:10",
    "2026-01-05 00:10:00",
    "2026-01-05T00:10:00Z",
    "2026-01-05T00:10:00+02:00",
    "2026-01-05T00:10:00-0530",
    "2026-01-05T00:10:00.5Z",
    "2026-01-05T00:10:00.123456789Z",
    "2026-01-05T00:10:00.1234567Z",
    "1969-12-31T23:59:59.999999999Z",
    "1678-01-01T00:00:00Z",
    "2261-12-31T23:59:59Z",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_the_time_that_pandas_reads(text):
    when = pd.Timestamp(text)
    assert stamp_of(text) == (when.tz_localize("UTC") if when.tz is None else when).as_unit("ns").value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "today",
        "NaT",
        "2026",
        "2026-13-01",
        "2026-01-05T25:00",
        "20260105",
        "2026-W01-1",
        "1677-12-31",
        "9999-01-01",
    ],
)
def test_what_is_no_time_of_a_reading_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        stamp_of(text)


@pytest.mark.parametrize("step", [86_400_000_000_000, 1_000_000_000, 1_000_000, 1_000, 1])
def test_stamps_are_written_as_fine_as_they_are_and_come_back(step):
    stamps = 1_767_571_200_000_000_000 + np.arange(3) * step
    assert [stamp_of(text) for text in stamp_texts(stamps, is_time=True)] == stamps.tolist()
    assert stamp_texts(stamps, is_time=False) == stamps.tolist()
