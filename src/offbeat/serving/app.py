"""The pages of the service: from a request to the answer, with the model that is current when it comes."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from offbeat.detection.detector import Detector
from offbeat.detection.result import ScoreResult
from offbeat.errors import ModelError, ReadingsError
from offbeat.readings.series import Series
from offbeat.serving.answers import answer, card_of_asset, lineage_of, to_csv, to_json
from offbeat.serving.current import Current, Served
from offbeat.serving.description import description
from offbeat.serving.guard import App, Receive, Scope, Send, respond
from offbeat.serving.measures import measures
from offbeat.serving.page import PAGE_PATHS, Headers, PageFiles
from offbeat.serving.refusals import Refusal
from offbeat.serving.requests import Limits, known_detector, read_csv, read_json, read_many, read_request

REST = ("/livez", "/readyz", "/healthz", "/metrics")  # BentoML's own
PATHS = (*PAGE_PATHS, "/score", "/score_many", "/score_csv", "/model", "/docs.json", *REST)
AT_ONCE = 16_000  # bytes of a request that is answered in the event loop, in some milliseconds; larger go to a thread
JSON, CSV = b"application/json", b"text/csv"


@dataclass(frozen=True)
class Asked:
    """A request: its body, and of its headers and query what matters."""

    body: bytes
    content_type: bytes
    accept: bytes
    encodings: bytes
    query: bytes


class Pages:
    """An ASGI app of a few pages, in front of another that has the rest.

    Parameters
    ----------
    app : ASGI app
        Has `REST`.
    current : Current
    limits : Limits
    """

    def __init__(self, app: App, *, current: Current, limits: Limits) -> None:
        self.app, self.current, self.limits, self.page = app, current, limits, PageFiles(limits)
        # one, for ONNX Runtime uses all cores for a large batch already, and each thread keeps memory of its own
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._pages: dict[str, tuple[str, Callable[[Asked], Awaitable[tuple[bytes, Headers]]]]] = {
            "/score": ("POST", self._score),
            "/score_many": ("POST", self._score_many),
            "/score_csv": ("POST", self._score_csv),
            "/model": ("GET", self._model),
            "/docs.json": ("GET", self._description),
            **{path: ("GET", partial(self._file, path)) for path in PAGE_PATHS},
        }
        assert {*self._pages, *REST} == set(PATHS), "every page stands in PATHS"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or (scope["path"] in REST and scope["method"] in ("GET", "HEAD")):
            await self.app(scope, receive, send)
            return
        try:
            if scope["path"] in REST:
                raise Refusal("method_not_allowed", "this page takes GET", allow="GET, HEAD")
            if scope["path"] not in self._pages:
                raise Refusal("not_found", f"there are {', '.join(PATHS)}", None)
            method, page = self._pages[scope["path"]]
            if scope["method"] != method:
                raise Refusal("method_not_allowed", f"this page takes {method}", allow=method)
            body, headers = await page(await _asked(scope, receive))
        except Refusal as refusal:
            await respond(refusal, send)
            return
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _score(self, asked: Asked) -> tuple[bytes, Headers]:
        _check_type(asked, JSON)
        served = self.current.served

        def work() -> bytes:
            series = read_request(read_json(asked.body), served.fleet, self.limits)
            return to_json(_answer(served, series))

        return await self._run(work, len(asked.body)), _type(JSON)

    async def _score_many(self, asked: Asked) -> tuple[bytes, Headers]:
        _check_type(asked, JSON)
        served = self.current.served

        def one(content: Any, field: str) -> dict[str, Any]:
            try:
                return _answer(served, read_request(content, served.fleet, self.limits, field))
            except Refusal as refusal:
                measures().refused(refusal.code)
                return refusal.body

        def work() -> bytes:
            requests = read_many(read_json(asked.body), self.limits)
            return to_json({"answers": [one(request, f"requests[{k}].") for k, request in enumerate(requests)]})

        return await self._run(work, len(asked.body)), _type(JSON)

    async def _score_csv(self, asked: Asked) -> tuple[bytes, Headers]:
        _check_type(asked, CSV)
        served, asset = self.current.served, _asset(asked.query, "/score_csv")
        wants_json = JSON in asked.accept

        def work() -> bytes:
            series = read_csv(asked.body, asset, served.fleet, self.limits)
            if wants_json:
                return to_json(_answer(served, series))
            return to_csv(_result(served, served.fleet.detector_of(asset), series)).encode()

        return await self._run(work, len(asked.body)), _type(JSON if wants_json else CSV + b"; charset=utf-8")

    async def _model(self, asked: Asked) -> tuple[bytes, Headers]:
        served = self.current.served
        if asked.query:
            asset = _asset(asked.query, "/model")
            known_detector(served.fleet, asset)
            return to_json(card_of_asset(served.model, served.fleet, asset)), _type(JSON)
        headers, packed = [*_type(JSON), (b"vary", b"accept-encoding")], served.packed_card
        if b"gzip" in asked.encodings:
            return packed, [*headers, (b"content-encoding", b"gzip")]
        return gzip.decompress(packed), headers

    async def _description(self, _: Asked) -> tuple[bytes, Headers]:
        return to_json(description(self.current.served)), _type(JSON)

    async def _file(self, path: str, asked: Asked) -> tuple[bytes, Headers]:
        found = self.page.file(path, takes_gzip=b"gzip" in asked.encodings)
        if found is None:
            raise Refusal("not_found", "the code that draws is not here: pack the service with make bento")
        return found

    async def _run(self, work: Callable[[], bytes], n_bytes: int) -> bytes:
        """Work at once where that is quick, else in a thread, so that others are answered meanwhile."""
        if n_bytes <= AT_ONCE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _result(served: Served, detector: Detector, series: Series) -> ScoreResult:
    try:
        result = detector.score(series)
    except (ReadingsError, ModelError) as error:
        raise Refusal("bad_shape", str(error), "values") from None
    measures().scored(result, len(served.fleet.group_of))
    return result


def _answer(served: Served, series: Series) -> dict[str, Any]:
    detector = served.fleet.detector_of(series.asset)
    return answer(_result(served, detector, series), series, detector, lineage_of(served.model, detector, series.asset))


async def _asked(scope: Scope, receive: Receive) -> Asked:
    """Read a request; the guard has its whole body."""
    headers = dict(scope["headers"])
    message = await receive()
    return Asked(
        body=message.get("body", b""),
        content_type=headers.get(b"content-type", b""),
        accept=headers.get(b"accept", b""),
        encodings=headers.get(b"accept-encoding", b""),
        query=scope["query_string"],
    )


def _type(kind: bytes) -> Headers:
    return [(b"content-type", kind)]


def _check_type(asked: Asked, wanted: bytes) -> None:
    kind, _, more = asked.content_type.partition(b";")
    if kind.strip().lower() != wanted:
        raise Refusal("unsupported_type", f"send Content-Type: {wanted.decode()}")
    if b"charset" in more.lower() and b"utf-8" not in more.lower():
        raise Refusal("unsupported_type", "send UTF-8")


def _asset(query: bytes, path: str) -> str:
    try:
        found = parse_qs(query.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except (ValueError, UnicodeDecodeError):
        found = {}
    if set(found) != {"asset"} or len(found["asset"]) != 1:
        raise Refusal("bad_content", f"name the machine in the address: {path}?asset=NAME", "asset")
    return found["asset"][0]
