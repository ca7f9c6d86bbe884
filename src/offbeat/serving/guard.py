"""The outermost layer: who may ask, how much, how many at once and for how long; and one form for all errors.

It reads the body itself, so that neither a wrong Content-Length nor a chunked body can be larger than is allowed.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from offbeat.serving.answers import to_json
from offbeat.serving.measures import measures
from offbeat.serving.refusals import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/livez", "/readyz", "/healthz")  # of whoever watches over the process, without a token and always
RETRY_AFTER_S = 1
BODIES = 4  # of the largest size, that are read at once
closing = threading.Event()  # set when this process is told to end


class Guard:
    """An ASGI app around another.

    Parameters
    ----------
    app : ASGI app
    token : str
        That requests must bear; empty for none.
    max_body : int
        Bytes of a request; of all that are read at once, `BODIES` times as many.
    max_concurrent : int
        Requests at work at once. Those that are still read do not count, so that slow clients keep nobody out.
    timeout_s : float
        From the first byte of the body to the answer.
    paths : collection of str
        Of the app, for the measures: others count as one.
    public : collection of str
        Those that are given without a token, for they hold no data; all other rules are for them too.
    """

    def __init__(
        self,
        app: App,
        *,
        token: str,
        max_body: int,
        max_concurrent: int,
        timeout_s: float,
        paths: frozenset[str],
        public: frozenset[str] = frozenset(),
    ) -> None:
        self.app = app
        self._token, self._max_body = token.encode(), max_body
        self._max_concurrent, self._timeout_s = max_concurrent, timeout_s
        self._paths, self._public = paths, public
        self._n_at_work = self._n_buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or (scope["path"] in OPEN and scope["method"] in ("GET", "HEAD")):
            await self.app(scope, receive, send)
            return
        begin, sent = time.perf_counter(), Sent(send)
        try:
            self._check_token(scope)
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._pass_on(await self._body(receive), scope, receive, sent)
            except TimeoutError:
                raise Refusal("timeout", f"no answer within {self._timeout_s:g} s: send fewer readings") from None
        except Refusal as refusal:
            if not sent.began:
                await respond(refusal, sent)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            measures().took(path, time.perf_counter() - begin)

    async def _pass_on(self, body: bytes, scope: Scope, receive: Receive, sent: Sent) -> None:
        if self._n_at_work >= self._max_concurrent:
            raise Refusal("overloaded", f"{self._max_concurrent} requests are at work: try again in a moment")
        self._n_at_work += 1
        try:
            await self.app(scope, _replay(body, receive), sent)
        finally:
            self._n_at_work -= 1

    def _check_token(self, scope: Scope) -> None:
        if scope["path"] in self._public:
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        if self._token and not (scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)):
            raise Refusal("unauthorized", "send the header Authorization: Bearer TOKEN")

    async def _body(self, receive: Receive) -> bytes:
        """Read the body; of one that is too large the rest is read and dropped, so that the client sees the answer."""
        parts: list[bytes] = []
        n_bytes, more = 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal("bad_content", "the client went away")
                part = message.get("body", b"")
                n_bytes, more = n_bytes + len(part), message.get("more_body", False)
                if n_bytes <= self._max_body:
                    parts.append(part)
                    self._n_buffered += len(part)
                else:
                    self._n_buffered -= sum(map(len, parts))
                    parts.clear()
                if self._n_buffered > BODIES * self._max_body:
                    raise Refusal("overloaded", "too many large requests at once: try again in a moment")
        finally:
            self._n_buffered -= sum(map(len, parts))
        if n_bytes > self._max_body:
            at_most = f"at most {self._max_body:,} are allowed"
            raise Refusal("too_large", f"{n_bytes:,} bytes, and {at_most}: send it in pieces")
        return b"".join(parts)


class Sent:
    """A `send` that knows whether an answer has begun, and ends the connection where the process is about to end."""

    def __init__(self, send: Send) -> None:
        self._send, self.began = send, False

    async def __call__(self, message: Message) -> None:
        """Send."""
        self.began = True
        if closing.is_set() and message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await self._send(message)


async def respond(refusal: Refusal, send: Send) -> None:
    """Answer with a refusal."""
    measures().refused(refusal.code)
    body = to_json(refusal.body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.code == "overloaded":
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    if refusal.allow:
        headers.append((b"allow", refusal.allow.encode()))
    if refusal.code == "unauthorized":
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, and then what comes."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
