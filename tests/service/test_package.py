"""The packed service, started as it is shipped: the same scores, one form for all that is wrong, and it goes on."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
from servers import readings, wait_until

from benchmarks.service_load import PYTHON, Answer, Line, Service, drive, post, running
from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.params import changed, load_params
from offbeat.readings.series import Series
from offbeat.registry import Registry

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-service, which the service runs in: make bento"),
]
ROOT = Path(__file__).resolve().parents[2]
ASSETS = {"pump-1": 1, "pump-2": 2, "pump-3": 3}  # name: seed of its readings
MAX_BODY, TIMEOUT_S = 1_000_000, 3
LIMITS = {"OFFBEAT_MAX_BODY": str(MAX_BODY), "OFFBEAT_MAX_ROWS": "5000", "OFFBEAT_TIMEOUT_S": str(TIMEOUT_S)}
NOT_IN_PRODUCTION = ("tensorflow", "keras", "pandas", "prefect", "dvc", "sklearn", "evidently")


@pytest.fixture(scope="session")
def detector(runtime: Any) -> Detector:
    frame = readings(600, seed=0)
    series = [Series.from_frame(frame, asset, max_gap=2) for asset in ASSETS]
    params = changed(load_params().calibrate, {"delay": 0, "smoothing": 4, "merge_gap": 2})
    preprocessing = load_params().prepare.preprocessing
    made = Detector(runtime, series[0].channels, series[0].step, True, 2, preprocessing, params)
    for one in series:
        made.calibrate(one)
    return made


@pytest.fixture
def make_registry(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Registry]:
    """Registries of three models, of which the first is the champion."""

    def make() -> Registry:
        directory = tmp_path_factory.mktemp("models")
        registry = Registry(directory / "registry")
        for name in "abc":
            replace(detector, lineage={"git_commit": name}).save(directory / name)
            registry.register(directory / name, {})
        registry.promote("1", by="test", why="first")
        return registry

    return make


@pytest.fixture(scope="session")
def package(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package as `make bento` makes it, in a folder where nothing else stands."""
    spec = importlib.util.spec_from_file_location("pack", ROOT / "scripts/bento.py")
    assert spec is not None
    assert spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    scratch, place = tmp_path_factory.mktemp("scratch"), tmp_path_factory.mktemp("elsewhere") / "package"
    detector.save(scratch / "detector")
    registry = Registry(scratch / "registry")
    pack.gather(scratch / "source", registry.register(scratch / "detector", {}).directory)
    with pytest.MonkeyPatch.context() as patch:  # it asks for uv, which stands beside this Python
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
        name, _, version = pack.build(scratch / "source", scratch / "store").partition(":")
    shutil.copytree(scratch / "store" / "bentos" / name / version, place)
    (place / "serve").write_text(pack.SERVE)
    (place / "serve").chmod(0o755)
    return place


@pytest.fixture(scope="session")
def service(package: Path) -> Iterator[Service]:
    started = Service(package, **LIMITS)
    with running(started):
        yield started


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    """A client; after the test a good request must succeed, in the worker that was there before."""
    workers = service.workers()
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=30, trust_env=False) as opened:
        yield opened
        answer = opened.post("/score", json=good())
        assert answer.status_code == 200, answer.text
    assert service.workers() == workers, f"the worker died: {service.log[-2000:]}"


def frame_of(asset: str, n: int = 300) -> pd.DataFrame:
    """Readings of a machine, with a fault, single readings missing, and a short and a long gap."""
    frame = readings(n, ASSETS[asset])
    frame.iloc[60:70, 0] += 9.0
    frame.iloc[[5, 90, 91], [1, 0, 2]] = np.nan
    return frame.drop(frame.index[[*range(120, 122), *range(180, 190)]])


def request_of(frame: pd.DataFrame, asset: str = "pump-1") -> dict[str, Any]:
    stamps = frame.index.strftime("%Y-%m-%dT%H:%M:%SZ").tolist()
    values = [[None if value != value else value for value in row] for row in frame.to_numpy().tolist()]
    return {"asset": asset, "timestamps": stamps, "values": values}


def good(**changes: Any) -> dict[str, Any]:
    return {**request_of(readings(24, seed=1)), **changes}


def expected(detector: Detector, asset: str, frame: pd.DataFrame) -> Any:
    return detector.score(Series.from_frame(frame, asset, period=detector.period, max_gap=detector.max_gap))


def as_numbers(values: list[Any]) -> np.ndarray:
    return np.array(values, dtype=np.float64)  # None becomes NaN


def test_a_model_of_several_groups_is_served(package: Path, detector: Detector, tmp_path: Path) -> None:
    meters = replace(detector, params=changed(detector.params, {"smoothing": 2}))
    meters.assets = {"meter-1": detector.assets["pump-1"]}
    fleet = Fleet({"pumps": detector, "meters": meters})
    fleet.save(tmp_path / "model")
    registry = Registry(tmp_path / "registry")
    registry.promote(registry.register(tmp_path / "model", {}).version, by="test", why="first")
    service, frame = Service(package, OFFBEAT_REGISTRY=str(registry.directory)), frame_of("pump-1")
    with running(service), httpx.Client(base_url=f"http://127.0.0.1:{service.port}", trust_env=False) as client:
        for asset in ("pump-1", "meter-1"):
            answer = client.post("/score", json=request_of(frame, asset)).json()
            want = expected(fleet.detector_of(asset), asset, frame)
            np.testing.assert_allclose(as_numbers(answer["scores"]), want.scores, atol=1e-6)
        assert client.get("/model?asset=meter-1").json()["group"] == "meters"


def test_the_page_and_the_code_that_draws_are_in_the_package(client: httpx.Client) -> None:
    index = client.get("/")
    assert index.status_code == 200
    [address] = re.findall(r'data-plotly="(page/plotly.min.js[^"]+)"', index.text)
    answer = client.get(f"/{address}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.content) > 3e6 > 1.5e6 > int(answer.headers["content-length"])


def test_pages_that_nobody_has_leave_no_trace(client: httpx.Client) -> None:
    for k in range(5):
        assert client.get(f"/nobody-{k}").status_code == 404
    assert "nobody" not in client.get("/metrics").text


# --- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asset", ASSETS)
def test_scores_are_those_of_the_detector(client: httpx.Client, detector: Detector, asset: str) -> None:
    frame = frame_of(asset)
    answer = client.post("/score", json=request_of(frame, asset)).json()
    result = expected(detector, asset, frame)
    np.testing.assert_allclose(as_numbers(answer["scores"]), result.scores, rtol=0, atol=1e-6)
    assert answer["alarms"] == result.alarms.tolist()
    assert answer["threshold"] == pytest.approx(result.threshold, abs=1e-9)
    assert pd.DatetimeIndex(answer["timestamps"]).equals(pd.DatetimeIndex(result.index))
    assert len(answer["events"]) == len(result.events) > 0


@pytest.mark.parametrize("asset", ASSETS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_file_gives_the_same_scores(client: httpx.Client, detector: Detector, asset: str, separator: str) -> None:
    frame = frame_of(asset)
    text = frame.to_csv(sep=separator, date_format="%Y-%m-%dT%H:%M:%SZ")
    ask = {"url": "/score_csv", "params": {"asset": asset}, "content": text}
    result = expected(detector, asset, frame)
    table = client.post(**ask, headers={"Content-Type": "text/csv"}).text
    scores = [row.split(",")[2] for row in table.splitlines()[1:]]
    np.testing.assert_allclose([float(score or "nan") for score in scores], result.scores, rtol=0, atol=1e-6)
    as_json = client.post(**ask, headers={"Content-Type": "text/csv", "Accept": "application/json"}).json()
    np.testing.assert_allclose(as_numbers(as_json["scores"]), result.scores, rtol=0, atol=1e-6)


def test_many_machines_at_once_get_what_each_gets_alone(client: httpx.Client) -> None:
    requests = [request_of(frame_of(asset), asset) for asset in ASSETS]
    alone = [client.post("/score", json=request).json() for request in requests]
    assert client.post("/score_many", json={"requests": requests}).json() == {"answers": alone}


def test_the_order_of_channels_does_not_matter(client: httpx.Client) -> None:
    frame = frame_of("pump-1")
    turned = frame[frame.columns[::-1]]
    answers = [
        client.post("/score", json={**request_of(one), "channels": list(one.columns)}).json() for one in (frame, turned)
    ]
    assert answers[0] == answers[1]


# --- what is wrong ----------------------------------------------------------------------------------------------------


def text(**changes: Any) -> bytes:
    return json.dumps(good(**changes)).encode()


def with_value(written: str) -> bytes:
    """A good request but for one value, written so."""
    values = good()["values"]
    values[3][1] = "HERE"
    return text(values=values).replace(b'"HERE"', written.encode())


def csv(rows: str, header: str = "timestamp,flow,speed,temp") -> bytes:
    return f"{header}\n{rows}".encode()


STAMPS, VALUES = good()["timestamps"], good()["values"]
BAD: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "bad_content"),
    "no object": (b"[]", 400, "bad_content"),
    "half": (text()[:-20], 400, "bad_content"),
    "no key": (b"{}", 400, "bad_content"),
    "unknown key": (text(more=1), 400, "bad_content"),
    "no rows": (text(timestamps=[], values=[]), 400, "bad_content"),
    "one row": (text(timestamps=STAMPS[:1], values=VALUES[:1]), 422, "bad_shape"),
    "less than a window": (text(timestamps=STAMPS[:7], values=VALUES[:7]), 422, "bad_shape"),
    "ragged": (text(values=[*VALUES[:-1], VALUES[-1][:2]]), 422, "bad_shape"),
    "fewer values than timestamps": (text(values=VALUES[:-1]), 422, "bad_shape"),
    "empty rows": (text(values=[[] for _ in VALUES]), 422, "bad_shape"),
    "NaN": (with_value("NaN"), 400, "bad_content"),
    "Infinity": (with_value("-Infinity"), 400, "bad_content"),
    "1e999": (with_value("1e999"), 400, "bad_content"),
    "1e200": (with_value("1e200"), 400, "bad_content"),
    "a number of 400 digits": (with_value("9" * 400), 400, "bad_content"),
    "text as a value": (with_value('"12.0"'), 400, "bad_content"),
    "true as a value": (with_value("true"), 400, "bad_content"),
    "a list as a value": (with_value("[1]"), 400, "bad_content"),
    "values are no list": (text(values={"a": 1}), 400, "bad_content"),
    "nothing read": (text(values=[[None] * 3 for _ in VALUES]), 422, "bad_shape"),
    "wrong channels": (text(channels=["flow", "speed", "noise"]), 422, "bad_shape"),
    "a channel twice": (text(channels=["flow", "speed", "speed"]), 422, "bad_shape"),
    "a channel too few": (text(channels=["flow", "speed"], values=[v[:2] for v in VALUES]), 422, "bad_shape"),
    "channels are numbers": (text(channels=[1, 2, 3]), 400, "bad_content"),
    "backwards": (text(timestamps=STAMPS[::-1]), 422, "bad_shape"),
    "two out of order": (text(timestamps=[STAMPS[1], STAMPS[0], *STAMPS[2:]]), 422, "bad_shape"),
    "a timestamp twice": (text(timestamps=[STAMPS[0], *STAMPS[:-1]]), 422, "bad_shape"),
    "another period": (text(timestamps=[f"2026-01-05T00:00:{k:02}Z" for k in range(24)]), 422, "bad_shape"),
    "no time": (text(timestamps=["tomorrow", *STAMPS[1:]]), 400, "bad_content"),
    "no such day": (text(timestamps=["2026-02-30T00:00:00Z", *STAMPS[1:]]), 400, "bad_content"),
    "times as numbers": (text(timestamps=list(range(24))), 400, "bad_content"),
    "far apart": (text(timestamps=["1700-01-01", *STAMPS[1:]]), 422, "bad_shape"),
    "unknown asset": (text(asset="nobody"), 404, "unknown_asset"),
    "asset is a number": (text(asset=1), 400, "bad_content"),
    "asset is code": (text(asset="__import__('os').abort()"), 404, "unknown_asset"),
    "deep": (b"[" * 100_000, 400, "bad_content"),
    "deep and closed": (b'{"values":' * 2_000 + b"1" + b"}" * 2_000, 400, "bad_content"),
    "bad UTF-8": (text().replace(b"pump-1", b"pump-\xff"), 400, "bad_content"),
    "half a surrogate": (text().replace(b"pump-1", rb"pump-\ud800"), 400, "bad_content"),
    "UTF-16": (text().decode().encode("utf-16"), 400, "bad_content"),
    "too many bytes": (b" " * MAX_BODY + text(), 413, "too_large"),
    "too many rows": (text(timestamps=STAMPS[:1] * 5001, values=[[1, 1, 1]] * 5001), 413, "too_large"),
}
BAD_CSV: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "bad_content"),
    "a header alone": (csv(""), 400, "bad_content"),
    "one row": (csv("2026-01-05,1,2,3"), 422, "bad_shape"),
    "ragged": (csv("2026-01-05,1,2,3\n2026-01-06,1,2"), 400, "bad_content"),
    "text as a value": (csv("2026-01-05,1,much,3"), 400, "bad_content"),
    "Infinity": (csv("2026-01-05,1,inf,3"), 400, "bad_content"),
    "1e999": (csv("2026-01-05,1,1e999,3"), 400, "bad_content"),
    "wrong channels": (csv("2026-01-05,1,2", "timestamp,flow,speed"), 422, "bad_shape"),
    "no timestamp": (csv("1,2,3", "flow,speed,temp"), 400, "bad_content"),
    "no time": (csv("soon,1,2,3"), 400, "bad_content"),
    "backwards": (csv("2026-01-06,1,2,3\n2026-01-05,1,2,3"), 422, "bad_shape"),
    "open quote": (csv('"2026-01-05,1,2,3'), 400, "bad_content"),
    "zero bytes": (csv("2026-01-05,1,\0,3"), 400, "bad_content"),
    "bad UTF-8": (csv("2026-01-05,1,2,3") + b"\xff", 400, "bad_content"),
    "a cell without end": (csv("2026-01-05,1,2," + "3" * 200_000), 400, "bad_content"),
}


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    """An answer that refuses, in the one form."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"].startswith("application/json")
    content = answer.json()
    assert set(content) == {"error"}
    assert set(content["error"]) == {"code", "message", "field"}
    assert content["error"]["code"] == code
    assert 0 < len(content["error"]["message"]) < 500


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_refused(client: httpx.Client, name: str) -> None:
    body, status, code = BAD[name]
    assert_refused(client.post("/score", content=body, headers={"Content-Type": "application/json"}), status, code)


@pytest.mark.parametrize("name", BAD_CSV)
def test_a_wrong_csv_file_is_refused(client: httpx.Client, name: str) -> None:
    body, status, code = BAD_CSV[name]
    ask = {"params": {"asset": "pump-1"}, "content": body, "headers": {"Content-Type": "text/csv"}}
    assert_refused(client.post("/score_csv", **ask), status, code)


def test_of_many_the_wrong_one_alone_is_refused(client: httpx.Client) -> None:
    requests = [good(), good(asset="nobody"), None, good()]
    first, second, third, last = client.post("/score_many", json={"requests": requests}).json()["answers"]
    assert first == last
    assert first["asset"] == "pump-1"
    assert second["error"] == {**second["error"], "code": "unknown_asset", "field": "requests[1].asset"}
    assert third["error"]["code"] == "bad_content"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/page", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/score", 405, "method_not_allowed"),
        ("DELETE", "/model", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("POST", "/metrics", 405, "method_not_allowed"),
    ],
)
def test_pages_that_there_are_not(client: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    assert_refused(answer, status, code)
    assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/json; charset=latin-1", ""])
def test_another_content_type_is_refused(client: httpx.Client, kind: str) -> None:
    answer = client.post("/score", content=text(), headers={"Content-Type": kind} if kind else {})
    assert_refused(answer, 415, "unsupported_type")


def test_a_chunked_body_over_the_limit_is_refused(client: httpx.Client) -> None:
    chunks = (b" " * 65_536 for _ in range(2 * MAX_BODY // 65_536))
    answer = client.post("/score", content=chunks, headers={"Content-Type": "application/json"})
    assert "content-length" not in answer.request.headers
    assert_refused(answer, 413, "too_large")


def test_a_good_chunked_body_is_answered(client: httpx.Client) -> None:
    answer = client.post(
        "/score", content=iter([text()[:40], text()[40:]]), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 200


def test_a_slow_client_is_told_so_and_holds_up_nobody(client: httpx.Client, service: Service) -> None:
    slow = Line(service.port)
    slow.ask(post("/score", text())[:-100])
    begin = time.monotonic()
    assert client.post("/score", json=good()).status_code == 200
    assert time.monotonic() - begin < TIMEOUT_S / 2
    while (answer := slow.read()) is None:
        pass
    slow.ask(None)
    assert answer.status == 504
    assert json.loads(answer.body)["error"]["code"] == "timeout"
    assert answer.seconds < TIMEOUT_S + 2


def test_a_client_that_goes_away_in_mid_request_harms_nobody(client: httpx.Client, service: Service) -> None:
    for cut in (10, 80, 300):
        with socket.create_connection(("127.0.0.1", service.port)) as gone:
            gone.sendall(post("/score", text())[:cut])
    assert client.get("/readyz").status_code == 200


def test_two_hundred_connections_at_once_are_answered_or_told_to_come_again(
    client: httpx.Client, service: Service
) -> None:
    large = post("/score", json.dumps(request_of(readings(2_000, seed=1))).encode())
    answers = drive(service.port, [large, post("/score", text())] * 100, at_once=200)
    assert len(answers) == 200
    assert {one.status for one in answers} <= {200, 503}
    assert sum(one.status == 200 for one in answers) >= 32  # as many as may be at work
    for one in answers:
        assert one.status == 200 or json.loads(one.body)["error"]["code"] == "overloaded"
    assert client.get("/readyz").status_code == 200


# --- it goes on, and it ends ------------------------------------------------------------------------------------------


def test_a_damaged_champion_is_refused_and_the_old_one_goes_on(
    package: Path, make_registry: Callable[[], Registry]
) -> None:
    registry = make_registry()
    service = Service(package, OFFBEAT_REGISTRY=str(registry.directory))

    def model() -> str:
        [answer] = drive(service.port, [post("/score", text())], 1)
        assert answer.status == 200
        return json.loads(answer.body)["lineage"]["model"]

    with running(service):
        assert model() == "1"
        registry.promote("2", by="test", why="better")
        wait_until(lambda: model() == "2", 20, "model 2")
        graph = registry.model("3").directory / "detector/model.onnx"
        whole = graph.read_bytes()
        graph.write_bytes(whole[: len(whole) // 2])
        champion = registry.directory / "champion.json"
        champion.write_text(json.dumps({**json.loads(champion.read_text()), "champion": "3"}))
        refused = b"offbeat_refused_models_total 1.0"
        wait_until(lambda: refused in service.get("/metrics").body, 20, "the damaged model to be refused")
        assert model() == "2"
        assert service.is_ready()
        assert "champion 3 is refused" in service.log
        graph.write_bytes(whole)
        wait_until(lambda: model() == "3", 20, "the model that was restored")


def test_a_champion_is_served_even_if_the_packed_model_has_its_version(
    package: Path, make_registry: Callable[[], Registry]
) -> None:
    registry = make_registry()
    champion = registry.directory / "champion.json"
    champion.rename(champion.with_suffix(".later"))
    service = Service(package, OFFBEAT_REGISTRY=str(registry.directory))
    with running(service):
        asked = post("/score", text())
        [packed] = drive(service.port, [asked], 1)
        assert packed.status == 200
        assert b'"git_commit"' not in packed.body
        champion.with_suffix(".later").rename(champion)
        wait_until(lambda: b'"git_commit":"a"' in drive(service.port, [asked], 1)[0].body, 10, "the first champion")


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_loses_no_request_and_ends_everything(package: Path, workers: int) -> None:
    service = Service(package, workers)
    with running(service):
        family = service.family()

        def end(answers: list[Answer], _: list[Line]) -> bool:
            if len(answers) == 50:
                service.process.send_signal(signal.SIGTERM)
            return len(answers) >= 50

        answers = drive(service.port, [post("/score", text())] * 100, act=end)
        assert_ends(service, family)
        assert [one.status for one in answers] == [200] * len(answers)


def test_sigterm_ends_everything_though_a_client_stops_in_mid_request(package: Path) -> None:
    service = Service(package)
    with running(service):
        family, idle, slow = service.family(), Line(service.port), Line(service.port)
        idle.ask(post("/score", text()))
        slow.ask(post("/score", text())[:-100])
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        try:
            assert_ends(service, family)
        finally:
            for line in (idle, slow):
                line.ask(None)


def assert_ends(service: Service, family: list[psutil.Process]) -> None:
    left = psutil.wait_procs(family, timeout=10)[1]
    assert not left, f"10 s after SIGTERM there are {left}: {service.log[-2000:]}"


def test_the_environment_holds_nothing_that_trains_or_orchestrates() -> None:
    code = f"import importlib.util as u; print([n for n in {NOT_IN_PRODUCTION!r} if u.find_spec(n)])"
    done = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
