"""Requests become the series that a file would; what is wrong is refused with its field."""

import json

import numpy as np
import pytest

from offbeat.detection.fleet import ALONE, Fleet
from offbeat.readings.asset_readings import read_readings
from offbeat.readings.assets import AssetFiles
from offbeat.serving.refusals import Refusal
from offbeat.serving.requests import read_csv, read_json, read_many, read_request

GAPS = [(40, 42), (70, 90)]  # a short one that is filled, and a long one


def refusal(function, *arguments):
    with pytest.raises(Refusal) as caught:
        function(*arguments)
    return caught.value.code, caught.value.field


def assert_same(one, other):
    np.testing.assert_array_equal(one.values, other.in_order(one.channels).values)
    np.testing.assert_array_equal(one.stamps, other.stamps)
    np.testing.assert_array_equal(one.segment_starts, other.segment_starts)


@pytest.mark.parametrize("timed", [True, False])
def test_a_request_is_the_series_that_it_was_made_of(make_detector, make_series, request_of, limits, timed):
    fleet = Fleet({ALONE: make_detector(make_series(timed=timed))})
    series = make_series(150, gaps=GAPS, missing=0.05, timed=timed)
    content = read_json(json.dumps(request_of(series)).encode())
    assert_same(read_request(content, fleet, limits), series)


def test_a_csv_file_is_what_it_is_as_a_file(fleet, make_series, limits, tmp_path):
    frame = make_series(150, gaps=GAPS, missing=0.05).to_frame().rename_axis("timestamp")
    for separator, name in ((",", "a"), (";", "b"), ("\t", "c")):
        path = tmp_path / f"{name}.csv"
        frame.dropna(how="all").to_csv(path, sep=separator)
        got = read_csv(path.read_bytes(), "pump-1", fleet, limits)
        assert_same(got, read_readings(AssetFiles.of(path), period="10min", max_gap=2))


def test_channels_may_stand_in_any_order(fleet, detector, make_series, request_of, limits):
    series = make_series(50)
    turned = series.in_order(("temp", "flow", "speed"))
    got = read_request(request_of(turned, channels=list(turned.channels)), fleet, limits)
    np.testing.assert_array_equal(detector.score(got).scores, detector.score(series).scores)


def changed(content, **changes):
    return {key: value for key, value in {**content, **changes}.items() if value is not ...}


WRONG = [
    ({"asset": 7}, "bad_content", "asset"),
    ({"asset": "pump-9"}, "unknown_asset", "asset"),
    ({"asset": ...}, "bad_content", "asset"),
    ({"other": 1}, "bad_content", "other"),
    ({"channels": "flow"}, "bad_content", "channels"),
    ({"channels": ["flow", "speed", 3]}, "bad_content", "channels"),
    ({"channels": ["flow", "speed", "heat"]}, "bad_shape", "channels"),
    ({"channels": ["flow", "flow", "temp"]}, "bad_shape", "channels"),
    ({"channels": ["flow", "speed"]}, "bad_shape", "values[0]"),
    ({"timestamps": []}, "bad_content", "timestamps"),
    ({"timestamps": "2026"}, "bad_content", "timestamps"),
    ({"timestamps": [1, 2]}, "bad_content", "timestamps"),
    ({"timestamps": ["2026-01-05", "soon"]}, "bad_content", "timestamps[1]"),
    ({"timestamps": ["2026-01-05"] * 1001}, "too_large", "timestamps"),
    ({"timestamps": ["2026-01-05"]}, "bad_shape", "values"),
    ({"timestamps": ["2026-01-06", "2026-01-05"], "values": [[1, 1, 1]] * 2}, "bad_shape", "timestamps"),
    ({"timestamps": ["2026-01-05", "2026-01-05"], "values": [[1, 1, 1], [2, 1, 1]]}, "bad_shape", "timestamps"),
    ({"timestamps": [f"2026-01-{k:02}" for k in range(1, 21)], "values": [[1, 1, 1]] * 20}, "bad_shape", "timestamps"),
    ({"values": 3}, "bad_content", "values"),
    ({"values": [3] * 40}, "bad_content", "values"),
    ({"values": [[1, 2, 3]] * 39 + [[1, 2]]}, "bad_shape", "values[39]"),
    ({"values": [[1, 2, 3]] * 39 + [[1, "2", 3]]}, "bad_content", "values[39][1]"),
    ({"values": [[1, 2, True]] * 40}, "bad_content", "values[0][2]"),
    ({"values": [[1, 2, {}]] * 40}, "bad_content", "values[0][2]"),
    ({"values": [[1, 2, 1e101]] * 40}, "bad_content", "values[0][2]"),
    ({"values": [[None] * 3] * 40}, "bad_shape", "timestamps"),
]


@pytest.mark.parametrize(("changes", "code", "field"), WRONG)
def test_what_is_wrong_is_refused_with_its_field(fleet, make_series, request_of, limits, changes, code, field):
    content = changed(request_of(make_series(40)), **changes)
    assert refusal(read_request, content, fleet, limits) == (code, field)
    assert refusal(read_request, content, fleet, limits, "requests[2].") == (code, f"requests[2].{field}")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": NaN}', b"[1e999]", b"[" * 100_000])
def test_what_is_no_json_is_refused(body):
    assert refusal(read_json, body) == ("bad_content", None)


@pytest.mark.parametrize("content", [None, 3, [], "x"])
def test_another_kind_of_json_is_no_request(fleet, limits, content):
    assert refusal(read_request, content, fleet, limits) == ("bad_content", None)


HEAD = "timestamp,flow,speed,temp\n"


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("", "bad_content", None),
        (HEAD, "bad_content", None),
        ("flow,speed,temp\n1,2,3\n", "bad_content", "line 1"),
        (f"{HEAD}2026-01-05,1,2\n", "bad_content", "line 2"),
        (f"{HEAD}2026-01-05,1,2,3\n\nsoon,1,2,3\n", "bad_content", "line 4, column timestamp"),
        (f"{HEAD}2026-01-05,1,2,x\n", "bad_content", "line 2, column temp"),
        (f"{HEAD}2026-01-05,1,2,inf\n", "bad_content", "line 2, column temp"),
        (f"{HEAD}2026-01-05,1,2,1_0\n", "bad_content", "line 2, column temp"),
        (f"{HEAD}2026-01-05,1,2,1e200\n", "bad_content", "line 2, column temp"),
        ("timestamp,flow,speed,heat\n2026-01-05,1,2,3\n", "bad_shape", "channels"),
        (HEAD + "2026-01-05,1,2,3\n" * 1001, "too_large", None),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_refused_with_its_line(fleet, limits, text, code, field):
    assert refusal(read_csv, text.encode(), "pump-1", fleet, limits) == (code, field)


def test_what_is_no_text_is_no_csv_file(fleet, limits):
    assert refusal(read_csv, b"\xff\xfe\x00", "pump-1", fleet, limits) == ("bad_content", None)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ([], "bad_content"),
        ({"requests": []}, "bad_content"),
        ({"requests": {}}, "bad_content"),
        ({"requests": [{}], "more": 1}, "bad_content"),
        ({"requests": [{}] * 4}, "too_large"),
        ({"requests": [{"timestamps": [0] * 501}] * 2}, "too_large"),
    ],
)
def test_a_request_for_many_is_a_list_of_so_many(limits, content, code):
    assert refusal(read_many, content, limits) == (code, "requests")
