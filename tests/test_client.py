"""Scores over HTTP equal those of the detector, whole or as a stream, whatever happens on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from serving_stack import current_of, promote, running, serving, stack

from offbeat import client
from offbeat.client import Scored, Scorer, Stream
from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.errors import ParamsError, ReadingsError, ServiceError
from offbeat.readings.series import Series
from offbeat.serving.current import Current
from offbeat.serving.guard import App
from offbeat.serving.stamps import stamp_of, stamp_texts

Serve = Callable[..., Scorer]
GAPS = [(30, 32), (60, 75), (78, 90), (93, 99), (130, 131), (140, 147)]  # short and long; some soon after another
HOW = [
    {"stride": 1, "delay": 0, "smoothing": 4},
    {"stride": 3, "delay": 4, "smoothing": 4},
    {"stride": 4, "delay": 7, "smoothing": 1},
]


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client asks for; none is made."""
    asked: list[float] = []
    monkeypatch.setattr(client, "time", SimpleNamespace(sleep=asked.append))
    return asked


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a detector and return a scorer of it."""
    with ExitStack() as opened:

        def start(detector: Detector | Fleet, **settings: Any) -> Scorer:
            url = opened.enter_context(running(current_of(detector, tmp_path), **settings))
            return opened.enter_context(Scorer(url, token=settings.get("token", "")))

        yield start


def readings_of(series: Series) -> tuple[list[Any], np.ndarray]:
    """Return the readings that a series was made of: a row without any is a gap."""
    read = np.flatnonzero(~np.isnan(series.values).all(axis=1))
    texts = stamp_texts(series.stamps, series.is_time)
    return [texts[k] for k in read], series.values[read]


def streamed(stream: Stream, timestamps: list[Any], values: np.ndarray, pieces: Iterable[int]) -> list[Scored]:
    scored, first = [], 0
    for size in pieces:
        if first >= len(timestamps):
            break
        scored += stream.push(timestamps[first : first + size], values[first : first + size])
        first += size
    return scored + stream.flush()


def check_equal(scored: list[Scored], detector: Detector, series: Series) -> None:
    """Check that each timestep was given out once and in order, with what all readings at once give."""
    result = detector.score(series)
    given = [stamp_of(str(one.timestamp)) if series.is_time else one.timestamp for one in scored]
    assert given == result.stamps.tolist()
    np.testing.assert_allclose([np.nan if s.score is None else s.score for s in scored], result.scores, atol=1e-6)
    alarms, over = np.array([one.alarm for one in scored]), result.scores > result.threshold
    assert not (over & ~alarms).any()
    assert not (alarms & ~result.alarms).any()  # a pause between two alarms shows only after it
    shares = np.array([list(one.shares.values()) for one in scored if one.alarm]).reshape(-1, 3)
    np.testing.assert_allclose(shares, result.channel_shares[alarms], atol=1e-6)


ONE_BY_ONE, AT_ONCE = itertools.repeat(1), itertools.repeat(1000)
ODD = (1, 2, 3, 7, 20, 50, 1, 1, 5) * 10


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("pieces", [ONE_BY_ONE, ODD, AT_ONCE], ids=["one by one", "odd pieces", "at once"])
def test_streamed_scores_equal_those_of_the_whole(how, pieces, make_detector, make_series, serve):
    detector, series = make_detector(**how), make_series(190, seed=3, gaps=GAPS, missing=0.2)
    check_equal(streamed(Stream(serve(detector), "pump-1"), *readings_of(series), pieces), detector, series)


@pytest.mark.parametrize("how", HOW, ids=str)
def test_readings_beside_the_grid_stay_on_the_grid_of_the_first(how, make_detector, make_series, serve):
    series = make_series(120, seed=3, gaps=GAPS[:3])
    shift = np.random.default_rng(0).integers(-200, 200, size=series.n_timesteps)
    frame = series.to_frame().set_axis(series.index + pd.to_timedelta(shift, unit="s")).dropna(how="all")
    whole, detector = Series.from_frame(frame, "pump-1", period="10min", max_gap=2), make_detector(**how)
    check_equal(streamed(Stream(serve(detector), "pump-1"), [*frame.index], frame.to_numpy(), ODD), detector, whole)


def test_an_integer_index_streams_too(make_detector, make_series, serve):
    detector = make_detector(make_series(timed=False), stride=2, delay=3)
    series = make_series(100, seed=4, timed=False, gaps=GAPS[:2])
    check_equal(streamed(Stream(serve(detector), "pump-1"), *readings_of(series), ONE_BY_ONE), detector, series)


def test_a_stretch_of_which_most_readings_are_missing_is_no_other_period(make_detector, make_series, serve):
    missing = [(k, k + 2) for k in range(61, 118, 3)]
    detector, series = make_detector(), make_series(160, seed=5, gaps=missing)
    check_equal(streamed(Stream(serve(detector), "pump-1"), *readings_of(series), ONE_BY_ONE), detector, series)


def test_many_stretches_shorter_than_a_window_do_not_stop_a_stream(make_detector, make_series, serve):
    alone = [(k + 1, k + 6) for k in range(60, 120, 6)]  # ten readings, far from each other
    detector, series = make_detector(), make_series(190, seed=5, gaps=[(2, 9), (14, 20), *alone])
    check_equal(streamed(Stream(serve(detector), "pump-1"), *readings_of(series), ONE_BY_ONE), detector, series)


def test_channels_may_come_in_another_order(make_detector, make_series, serve):
    detector, series = make_detector(), make_series(60, seed=6)
    stream = Stream(serve(detector), "pump-1", channels=("temp", "flow", "speed"))
    timestamps, values = readings_of(series)
    check_equal(streamed(stream, timestamps, values[:, [2, 0, 1]], ODD), detector, series)


def test_one_request_of_a_stream_holds_no_more_than_some_values(make_detector, make_series, serve, monkeypatch):
    monkeypatch.setattr(client, "VALUES_AT_ONCE", 30)
    detector, series = make_detector(), make_series(150, seed=6, gaps=GAPS)
    check_equal(streamed(Stream(serve(detector), "pump-1"), *readings_of(series), AT_ONCE), detector, series)


def test_follow_gives_each_timestep_as_it_becomes_final_and_the_rest_at_the_end(make_detector, make_series, serve):
    detector, series = make_detector(delay=3), make_series(40, seed=6)
    pairs = zip(*readings_of(series), strict=True)
    scorer = serve(detector)
    list(itertools.islice(Stream(scorer, "pump-1").follow(pairs), 12))
    assert next(pairs)[0] == readings_of(series)[0][15]  # 15 were taken: what 3 have followed is final
    scored = Stream(scorer, "pump-1").follow(zip(*readings_of(series), strict=True))
    check_equal(list(scored), detector, series)


def test_too_few_readings_for_a_window_are_kept_without_asking(make_detector, make_series, serve):
    detector, series = make_detector(), make_series(20)
    stream, (timestamps, values) = Stream(serve(detector), "pump-1"), readings_of(series)
    assert stream.push(timestamps[:7], values[:7]) == []
    assert stream.flush() == []
    check_equal(streamed(stream, timestamps[7:], values[7:], AT_ONCE), detector, series)


def test_a_stream_keeps_no_more_than_it_needs(make_detector, make_series, serve):
    stream, series = Stream(serve(make_detector()), "pump-1"), make_series(400)
    streamed(stream, *readings_of(series), itertools.repeat(50))
    assert len(stream._context.stamps) < 150


def test_a_new_model_scores_with_its_own_context(make_detector, make_series, tmp_path):
    before, after = make_detector(smoothing=1), make_detector(stride=4, delay=7, smoothing=9)
    series, current = make_series(100, seed=8), current_of(before, tmp_path)
    timestamps, values = readings_of(series)
    with running(current) as url, Scorer(url) as scorer:
        stream = Stream(scorer, "pump-1")
        scored = stream.push(timestamps[:60], values[:60])
        version = promote(after, tmp_path)
        current.load()
        new = streamed(stream, timestamps[60:], values[60:], ONE_BY_ONE)
    assert [one.timestamp for one in scored + new] == timestamps
    assert {one.model for one in new} == {version}
    np.testing.assert_allclose([s.score for s in new], after.score(series).scores[60:], atol=1e-6)


def test_nothing_is_lost_while_the_service_is_away(make_detector, make_series, tmp_path):
    detector, series = make_detector(), make_series(60, seed=9)
    timestamps, values = readings_of(series)
    current = current_of(detector, tmp_path)
    with running(current) as url:
        scorer = Scorer(url)
        stream = Stream(scorer, "pump-1")
        scored = stream.push(timestamps[:30], values[:30])
    for k in (30, 31):
        with pytest.raises(ServiceError, match="no answer"):
            stream.push(timestamps[k], values[k])
    with serving(stack(current), port=int(url.rpartition(":")[2])), scorer:
        scored += stream.push()
        check_equal(scored + streamed(stream, timestamps[32:], values[32:], ODD), detector, series)


def test_readings_that_cannot_be_sent_are_refused_and_not_kept(make_detector, make_series, serve):
    detector, series = make_detector(), make_series(60, seed=9)
    stream, (timestamps, values) = Stream(serve(detector), "pump-1"), readings_of(series)
    scored = stream.push(timestamps[:30], values[:30])
    for wrong in (
        ([timestamps[31], timestamps[30]], values[:2]),
        (timestamps[29], values[29]),
        ("yesterday", values[0]),
        (30, values[0]),
        (1.5, values[0]),
        (timestamps[30:32], values[:1]),
        (timestamps[30], [1.0, "x", 2.0]),
        (timestamps[30], [1.0, 2.0]),
        (timestamps[30], [1.0, float("inf"), 2.0]),
    ):
        with pytest.raises(ReadingsError):
            stream.push(*wrong)
    check_equal(scored + streamed(stream, timestamps[30:], values[30:], ODD), detector, series)


def test_readings_that_never_make_a_window_are_refused_by_the_service(make_detector, serve):
    stream = Stream(serve(make_detector()), "pump-1")
    hourly = [datetime(2026, 1, 5, hour) for hour in range(8)]
    with pytest.raises(ServiceError, match="readings every") as caught:
        stream.push(hourly, np.ones((8, 3)))
    assert caught.value.code == "bad_shape"


def test_a_machine_of_one_group_among_several_streams_as_its_own_model_says(make_detector, make_series, serve):
    meters = make_detector(make_series(asset="meter-1", timed=False), stride=2, delay=3)
    scorer = serve(Fleet({"pumps": make_detector(), "meters": meters}))
    for asset, timed, detector in (("meter-1", False, meters), ("pump-1", True, make_detector())):
        series = make_series(80, asset=asset, seed=4, timed=timed, gaps=GAPS[:2])
        check_equal(streamed(Stream(scorer, asset), *readings_of(series), ODD), detector, series)


def test_a_machine_that_the_model_does_not_know_is_told_at_the_first_reading(make_detector, serve):
    with pytest.raises(ReadingsError, match="the model does not know asset 'pump-9'"):
        Stream(serve(make_detector()), "pump-9").push("2026-01-05", [1.0, 2.0, 3.0])


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_scores_as_the_detector_does(make_detector, make_series, serve):
    detector, series = make_detector(), make_series(60, seed=2, missing=0.2)
    scorer, (timestamps, values) = serve(detector), readings_of(series)
    answer = scorer.score("pump-1", timestamps, values, detector.channels)
    np.testing.assert_allclose(answer["scores"], detector.score(series).scores, atol=1e-6)
    assert scorer.model()["assets"]["pump-1"]["threshold"] == answer["threshold"]


def test_timestamps_may_be_texts_or_datetimes(make_detector, make_series, serve):
    series, scorer = make_series(20), serve(make_detector())
    aware = [datetime.fromisoformat(text) for text in stamp_texts(series.stamps, True)]
    elsewhere = [one.astimezone(timezone(timedelta(hours=5, minutes=30))) for one in aware]
    naive = [one.astimezone(UTC).replace(tzinfo=None) for one in aware]
    kinds = (aware, elsewhere, naive, series.index, series.stamps.astype("M8[ns]"))
    answers = [scorer.score("pump-1", kind, series.values) for kind in kinds]
    assert all(answer == answers[0] for answer in answers)


def test_many_machines_at_once_each_have_an_answer_or_an_error(make_detector, make_series, serve):
    series, scorer = make_series(20), serve(make_detector())
    good = {"asset": "pump-1", "timestamps": series.index, "values": series.values}
    first, second = scorer.score_many([good, {**good, "asset": "pump-9"}])
    assert first["asset"] == "pump-1"
    assert second["error"]["code"] == "unknown_asset"


def test_a_refusal_says_status_code_and_field(make_detector, make_series, serve):
    series = make_series(20)
    with pytest.raises(ServiceError, match="does not know asset 'pump-9'") as caught:
        serve(make_detector()).score("pump-9", series.index, series.values)
    assert (caught.value.status, caught.value.code, caught.value.field) == (404, "unknown_asset", "asset")


# --- the connection ---------------------------------------------------------------------------------------------------


def faulty(current: Current, *statuses: int) -> tuple[App, list[int]]:
    """Return an app that answers so before it does its work, and a list that grows with each request."""
    current.load()
    app, asked = stack(current), []

    async def answer(scope, receive, send):
        asked.append(len(asked))
        if len(asked) > len(statuses):
            return await app(scope, receive, send)
        start = {"type": "http.response.start", "status": statuses[len(asked) - 1]}
        await send({**start, "headers": [(b"retry-after", b"7")] if len(asked) == 2 else []})
        return await send({"type": "http.response.body", "body": b"busy"})

    return answer, asked


def test_an_overloaded_service_is_asked_again_after_growing_pauses(make_detector, tmp_path, pauses):
    app, asked = faulty(current_of(make_detector(), tmp_path), 503, 503, 503)
    with serving(app) as url, Scorer(url) as scorer:
        assert scorer.model()["version"] == "1"
    assert len(asked) == 4
    assert pauses == [0.2, 7.0, 0.8]  # the second time it says how long


def test_what_took_too_long_is_not_asked_again(make_detector, tmp_path, pauses):
    app, asked = faulty(current_of(make_detector(), tmp_path), 504)
    with serving(app) as url, Scorer(url) as scorer, pytest.raises(ServiceError, match="504") as caught:
        scorer.model()
    assert (caught.value.status, caught.value.code, len(asked), pauses) == (504, None, 1, [])


def test_without_a_service_the_tries_end(pauses):
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:1: no answer") as caught:
        Scorer("http://127.0.0.1:1", retries=2).model()
    assert caught.value.status is None
    assert pauses == [0.2, 0.4]


def test_a_connection_that_the_service_closed_is_opened_again(make_detector, tmp_path):
    current = current_of(make_detector(), tmp_path)
    with running(current) as url:
        scorer = Scorer(url, retries=0)
        scorer.model()
    with serving(stack(current), port=int(url.rpartition(":")[2])), scorer:
        assert scorer.model()["version"] == "1"


def test_one_connection_serves_many_requests(make_detector, serve):
    scorer = serve(make_detector())
    scorer.model()
    sock = scorer._connection.sock
    scorer.model()
    assert scorer._connection.sock is sock


def test_the_token_is_sent_and_never_shown(make_detector, serve):
    scorer = serve(make_detector(), token="hush")
    assert scorer.model()["version"] == "1"
    with Scorer(scorer.url, token="shush") as other, pytest.raises(ServiceError) as caught:
        other.model()
    assert caught.value.code == "unauthorized"
    assert "hush" not in repr(scorer) + repr(other) + str(caught.value) + repr(Stream(scorer, "pump-1"))


@pytest.mark.parametrize("url", ["127.0.0.1:3000", "ftp://host", "http://", "http://ada:secret@host"])
def test_an_address_that_is_none_is_named_at_once(url):
    with pytest.raises(ParamsError, match="url must be") as caught:
        Scorer(url)
    assert "secret" not in str(caught.value)


def test_a_token_with_a_line_break_is_refused_without_showing_it():
    with pytest.raises(ParamsError, match="printable") as caught:
        Scorer("http://host", token="secret\n")
    assert "secret" not in str(caught.value)
