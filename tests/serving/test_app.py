"""The service without BentoML: pages, limits and errors as any client sees them."""

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from serving_stack import ask

from offbeat.serving import app as app_module
from offbeat.serving.app import PATHS, REST, Pages
from offbeat.serving.current import Current
from offbeat.serving.guard import Guard
from offbeat.serving.measures import MOST_LABELS, measures
from offbeat.serving.page import FILES, PAGE_PATHS
from offbeat.serving.refusals import CODES

JSON, CSV = {"content-type": "application/json"}, {"content-type": "text/csv"}


async def rest(scope, _, send):
    """What BentoML has."""
    assert scope["path"] in REST
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"well"})


@pytest.fixture
def stack(current, limits):
    def stack(pages=None, **changes):
        chosen = {"token": "", "max_body": 100_000, "max_concurrent": 8, "timeout_s": 20.0, **changes}
        pages = pages or Pages(rest, current=current, limits=limits)
        return Guard(pages, paths=frozenset(PATHS), public=frozenset(PAGE_PATHS), **chosen)

    return stack


def scores_of(answer):
    return np.array([np.nan if score is None else score for score in answer["scores"]])


def test_scores_are_those_of_the_detector(stack, detector, make_series, request_of):
    series = make_series(200, gaps=[(90, 120)], missing=0.02, seed=5)
    result = detector.score(series)
    answer = ask(stack(), "POST", "/score", json=request_of(series)).json()
    np.testing.assert_array_equal(scores_of(answer), result.scores)
    assert answer["alarms"] == result.alarms.tolist()
    assert [share is not None for share in answer["shares"]] == result.alarms.tolist()
    assert [event["peak_score"] for event in answer["events"]] == [event.peak_score for event in result.events]
    assert answer["settled_from"] == answer["timestamps"][int(np.flatnonzero(result.settled)[0])]
    assert answer["lineage"]["model"] == "1"
    assert answer["lineage"]["promised_false_alarms_per_week"] is not None


def test_many_are_answered_in_order_each_for_itself(stack, make_series, request_of):
    good, bad = request_of(make_series(50)), {"asset": "pump-1"}
    answers = ask(stack(), "POST", "/score_many", json={"requests": [good, bad, good]}).json()["answers"]
    assert answers[0] == answers[2] == ask(stack(), "POST", "/score", json=good).json()
    assert answers[1]["error"]["field"] == "requests[1].timestamps"


def test_a_csv_file_gets_csv_or_json(stack, detector, make_series):
    series = make_series(60)
    text = series.to_frame().rename_axis("timestamp").to_csv()
    kind = {"content-type": "text/csv; charset=utf-8"}
    lines = ask(stack(), "POST", "/score_csv?asset=pump-1", content=text, headers=kind).text.splitlines()
    assert lines[0] == "timestamp,asset,score,threshold,alarm,share.flow,share.speed,share.temp"
    scores = detector.score(series).scores
    np.testing.assert_array_equal([float(line.split(",")[2] or "nan") for line in lines[1:]], scores)
    both = {**kind, "accept": "application/json"}
    answer = ask(stack(), "POST", "/score_csv?asset=pump-1", content=text, headers=both).json()
    np.testing.assert_array_equal(scores_of(answer), scores)


def test_the_card_says_what_a_client_needs(stack, detector):
    card = ask(stack(), "GET", "/model").json()
    assert (card["version"], card["channels"], card["period"]) == ("1", ["flow", "speed", "temp"], "P0DT0H10M0S")
    assert card["stream_rows"] == detector.context + detector.window_size
    assert card["assets"]["pump-1"]["threshold"] == detector.assets["pump-1"].threshold.value
    assert card["metrics"] == {"vus_pr": 0.9}


def test_the_description_names_every_page_and_every_refusal_and_its_examples_work(stack):
    document = ask(stack(), "GET", "/docs.json").json()
    assert set(document["paths"]) == set(PATHS) - {*REST, *FILES, "/docs.json"}
    statuses = {str(status) for status, _ in CODES.values()}
    for path, page in document["paths"].items():
        for method, one in page.items():
            assert set(one["responses"]) == statuses | {"200"}
            for kind, body in one.get("requestBody", {"content": {}})["content"].items():
                example = body["example"]
                content = example if isinstance(example, str) else json.dumps(example)
                address = f"{path}?asset=pump-1" if "parameters" in one else path
                answer = ask(stack(), method.upper(), address, content=content, headers={"content-type": kind})
                assert answer.status_code == 200, answer.text


def test_one_machine_has_a_card_of_its_own(stack):
    whole, own = (ask(stack(), "GET", path).json() for path in ("/model", "/model?asset=pump-1"))
    assert own == whole
    assert refused(ask(stack(), "GET", "/model?asset=pump-9")) == (404, "unknown_asset", "asset")
    assert refused(ask(stack(), "GET", "/model?machine=pump-1")) == (400, "bad_content", "asset")


def test_the_card_is_compressed_for_those_who_take_it(stack):
    app = stack()
    packed, plain = (ask(app, "GET", "/model", headers={"accept-encoding": how}) for how in ("gzip", "identity"))
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])


# --- several groups ---------------------------------------------------------------------------------------------------


@pytest.fixture
def grouped(keep, groups, stack, limits, tmp_path):
    """The pages with a model of two groups."""
    served = Current(tmp_path / "nowhere", keep(groups).directory)
    served.load()
    return stack(Pages(rest, current=served, limits=limits))


def test_each_request_is_scored_by_the_detector_of_its_group(grouped, groups, make_series, request_of):
    asked = [make_series(60, seed=5), make_series(60, asset="meter-1", seed=6, timed=False)]
    answers = ask(grouped, "POST", "/score_many", json={"requests": [request_of(one) for one in asked]}).json()
    for series, answer in zip(asked, answers["answers"], strict=True):
        np.testing.assert_array_equal(scores_of(answer), groups.detector_of(series.asset).score(series).scores)
    text = asked[1].to_frame().rename_axis("index").to_csv()
    lines = ask(grouped, "POST", "/score_csv?asset=meter-1", content=text, headers=CSV).text.splitlines()
    assert lines[0].startswith("index,asset,score")
    assert len(lines) == 61


def test_what_one_group_takes_another_refuses(grouped, make_series, request_of):
    answer = ask(grouped, "POST", "/score", json=request_of(make_series(60), asset="meter-1"))
    assert refused(answer) == (400, "bad_content", "timestamps")
    answer = ask(grouped, "POST", "/score", json=request_of(make_series(60), asset="meter-9"))
    assert refused(answer) == (404, "unknown_asset", "asset")


def test_the_card_of_several_groups_has_a_block_for_each_and_each_machine_its_group(grouped, groups):
    card = ask(grouped, "GET", "/model").json()
    assert {name: one["period"] for name, one in card["groups"].items()} == {"pumps": "P0DT0H10M0S", "meters": 1}
    assert {name: one["group"] for name, one in card["assets"].items()} == {"pump-1": "pumps", "meter-1": "meters"}
    own = ask(grouped, "GET", "/model?asset=meter-1").json()
    assert own["context"] == groups.group("meters").context
    common = {key: card[key] for key in ("version", "registered", "metrics")}
    asset = {key: value for key, value in card["assets"]["meter-1"].items() if key != "group"}
    assert own == {**common, "group": "meters", **card["groups"]["meters"], "assets": {"meter-1": asset}}


def test_the_description_fits_every_group_and_its_example_works(grouped):
    document = ask(grouped, "GET", "/docs.json").json()
    example = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert ask(grouped, "POST", "/score", json=example).status_code == 200
    moments = document["components"]["schemas"]["Request"]["properties"]["timestamps"]["items"]
    assert [one["type"] for one in moments["oneOf"]] == ["string", "integer"]


def test_answers_and_card_say_how_far_a_threshold_can_be_trusted(grouped, groups, make_series, request_of):
    lineage = ask(grouped, "POST", "/score", json=request_of(make_series(60))).json()["lineage"]
    threshold = groups.detector_of("pump-1").assets["pump-1"].threshold
    assert (lineage["maturity"], lineage["warning"]) == (threshold.maturity, threshold.warning)
    assert lineage["maturity"] == "provisional"
    assert ask(grouped, "GET", "/model").json()["assets"]["pump-1"]["warning"] == threshold.warning


def test_a_model_of_many_machines_is_counted_without_their_names(grouped, make_series, request_of, monkeypatch):
    counted = []
    monkeypatch.setattr(app_module, "measures", lambda: SimpleNamespace(scored=lambda *one: counted.append(one)))
    ask(grouped, "POST", "/score", json=request_of(make_series(60)))
    [(result, n_assets)] = counted
    assert n_assets == 2
    metrics = measures()
    metrics.scored(result, MOST_LABELS + 1)
    metrics.scored(replace(result, asset="named"), MOST_LABELS)
    labels = {sample.labels["asset"] for metric in metrics._scored.collect() for sample in metric.samples}
    assert "" in labels
    assert "named" in labels


def refused(answer):
    """Check the form of an error; return status, code and field."""
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "field"}
    assert answer.status_code == CODES[error["code"]][0]
    return answer.status_code, error["code"], error["field"]


@pytest.mark.parametrize(
    ("method", "path", "more", "expected"),
    [
        ("GET", "/page", {}, (404, "not_found", None)),
        ("POST", "/", {}, (405, "method_not_allowed", None)),
        ("GET", "/score/", {}, (404, "not_found", None)),
        ("GET", "/score", {}, (405, "method_not_allowed", None)),
        ("POST", "/model", {}, (405, "method_not_allowed", None)),
        ("POST", "/score", {"content": "{}"}, (415, "unsupported_type", None)),
        ("POST", "/score", {"content": "{}", "headers": CSV}, (415, "unsupported_type", None)),
        (
            "POST",
            "/score",
            {"content": "{}", "headers": {"content-type": "application/json; charset=latin-1"}},
            (415, "unsupported_type", None),
        ),
        ("POST", "/score", {"content": "{}", "headers": JSON}, (400, "bad_content", "asset")),
        (
            "POST",
            "/score_csv",
            {"content": "a", "headers": CSV},
            (400, "bad_content", "asset"),
        ),
        (
            "POST",
            "/score_csv?asset=a&asset=b",
            {"content": "a", "headers": CSV},
            (400, "bad_content", "asset"),
        ),
        ("POST", "/score", {"content": "x" * 100_001, "headers": JSON}, (413, "too_large", None)),
    ],
)
def test_what_is_not_asked_rightly_is_refused_in_one_form(stack, method, path, more, expected):
    assert refused(ask(stack(), method, path, **more)) == expected


def test_readings_too_few_for_a_window_are_refused(stack, make_series, request_of):
    answer = ask(stack(), "POST", "/score", json=request_of(make_series(7)))
    assert refused(answer) == (422, "bad_shape", "values")
    assert "a window takes 8 timesteps" in answer.json()["error"]["message"]


def test_a_body_in_pieces_is_limited_too(stack):
    async def pieces():
        for _ in range(200):
            yield b"x" * 1_000

    assert refused(ask(stack(), "POST", "/score", content=pieces(), headers=JSON)) == (413, "too_large", None)


def test_who_has_no_token_sees_only_whether_the_service_lives(stack):
    app = stack(token="hush")
    assert refused(ask(app, "GET", "/model"))[1] == "unauthorized"
    assert refused(ask(app, "GET", "/metrics"))[1] == "unauthorized"
    assert refused(ask(app, "GET", "/model", headers={"authorization": "Bearer hus"}))[1] == "unauthorized"
    assert ask(app, "GET", "/model", headers={"authorization": "Bearer hush"}).status_code == 200
    assert ask(app, "GET", "/readyz").status_code == 200


async def slow(_, receive, send):
    await asyncio.sleep(0.3)
    await rest({"path": "/metrics"}, receive, send)


def test_what_takes_too_long_is_ended(stack):
    assert refused(ask(stack(slow, timeout_s=0.05), "GET", "/model")) == (504, "timeout", None)


def test_more_at_once_than_allowed_are_told_to_come_again(stack):
    async def many():
        transport = httpx.ASGITransport(app=stack(slow, max_concurrent=2))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answers = await asyncio.gather(*(client.get("/model") for _ in range(5)))
            return answers, await client.get("/model")

    answers, later = asyncio.run(many())
    told = [answer for answer in answers if answer.status_code != 200]
    assert [refused(answer)[1] for answer in told] == ["overloaded"] * 3
    assert all(answer.headers["retry-after"] == "1" for answer in told)
    assert later.status_code == 200
