"""The scoring service without BentoML: the same pages and guard, in a thread of the tests on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.registry import Registry
from offbeat.serving.app import PATHS, Pages
from offbeat.serving.current import Current
from offbeat.serving.guard import App, Guard, Receive, Scope, Send
from offbeat.serving.page import PAGE_PATHS
from offbeat.serving.requests import Limits


def current_of(detector: Detector | Fleet, folder: Path) -> Current:
    """Register a detector or a fleet in a folder, make it champion and return the model to serve, not loaded yet."""
    version = promote(detector, folder)
    return Current(folder / "registry" / "models" / version, folder / "registry")


def promote(detector: Detector | Fleet, folder: Path) -> str:
    """Register a detector or a fleet and make it champion; `current.load()` takes it then. Return its version."""
    registry = Registry(folder / "registry")
    saved = folder / f"saved-{len(registry.versions())}"
    detector.save(saved)
    version = registry.register(saved, {}).version
    registry.promote(version, by="a test", why="it is new")
    return version


async def rest_app(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Stand for BentoML's own pages."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def stack(current: Current, *, limits: Limits | None = None, **guard: Any) -> App:
    """Return the pages behind their guard, with some of the settings that `offbeat.service` gives them."""
    limits = limits or Limits()
    settings = {"token": "", "max_body": limits.body, "max_concurrent": 32, "timeout_s": 60.0, **guard}
    pages = Pages(rest_app, current=current, limits=limits)
    return Guard(pages, paths=frozenset(PATHS), public=frozenset(PAGE_PATHS), **settings)


def ask(app: App, method: str, path: str, **more: Any) -> httpx.Response:
    """Return the answer to one request."""

    async def one() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **more)

    return asyncio.run(one())


@contextmanager
def running(current: Current, **settings: Any) -> Iterator[str]:
    """Load the model and serve it with settings of `stack`; gives the address."""
    current.load()
    with serving(stack(current, **settings)) as url:
        yield url


@contextmanager
def serving(app: App, *, port: int = 0, keep_alive_s: int = 5) -> Iterator[str]:
    """Serve an app on a port, or on a free one; gives the address."""
    # named TCP, or asyncio leaves its delay on, which makes 40 ms of each answer
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_level="critical",
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server ended at once"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
