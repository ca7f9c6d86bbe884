"""The service as BentoML runs it: what the environment says, and the pages of `offbeat.serving` around a model.

`make bento` packs this module, the rest of offbeat and a model beside it into one folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import bentoml
from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
from bentoml._internal.server.http.traffic import TimeoutMiddleware

from offbeat.serving import guard
from offbeat.serving.app import PATHS, Pages
from offbeat.serving.current import Current
from offbeat.serving.guard import Guard
from offbeat.serving.page import PAGE_PATHS
from offbeat.serving.requests import Limits

FOLDER = Path(__file__).resolve().parents[1] / "model"  # where the package has it


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if text and not (text.isdecimal() and int(text) > 0):
        raise SystemExit(f"{name}={text!r} must be a whole number above 0")
    return int(text or default)


LIMITS = Limits(
    body=_number("OFFBEAT_MAX_BODY", Limits.body),
    rows=_number("OFFBEAT_MAX_ROWS", Limits.rows),
    assets=_number("OFFBEAT_MAX_ASSETS", Limits.assets),
)
DRAIN_S = 1.0
TIMEOUT_S = _number("OFFBEAT_TIMEOUT_S", 60)
TOKEN = os.environ.get("OFFBEAT_TOKEN", "")
MODEL, REGISTRY = Path(os.environ.get("OFFBEAT_MODEL") or FOLDER), os.environ.get("OFFBEAT_REGISTRY")
if TOKEN.strip() != TOKEN or not (TOKEN.isascii() and TOKEN.isprintable()):
    raise SystemExit(
        "OFFBEAT_TOKEN must be printable ASCII without blanks around it: is there a line break at its end?"
    )
if REGISTRY and not Path(REGISTRY).is_dir():
    raise SystemExit(f"OFFBEAT_REGISTRY={REGISTRY}: there is no such folder")
if not REGISTRY and not (MODEL / "card.json").is_file():
    raise SystemExit(f"{MODEL}: holds no model: pack one with make bento, or name a registry in OFFBEAT_REGISTRY")
CURRENT = Current(MODEL, Path(REGISTRY) if REGISTRY else None)


async def _straight(self: Any, scope: Any, receive: Any, send: Any) -> None:
    await self.app(scope, receive, send)


# BentoML's own time-out keeps some kB of each request until it would have struck; the guard has one already
TimeoutMiddleware.__call__ = _straight
_measured = RunnerTrafficMetricsMiddleware.__call__


async def _measured_if_known(self: Any, scope: Any, receive: Any, send: Any) -> None:
    await (_measured if scope.get("path") in PATHS else _straight)(self, scope, receive, send)


# it keeps a label for every path that was ever asked for
RunnerTrafficMetricsMiddleware.__call__ = _measured_if_known


def drain_first(number: int) -> None:
    """Before a signal ends this process: answer for a while, each time with `Connection: close`.

    The server drops connections that it has accepted but not read yet.
    """
    end, loop = signal.getsignal(number), asyncio.get_running_loop()

    def drain(*_: object) -> None:
        guard.closing.set()
        loop.call_soon_threadsafe(loop.call_later, DRAIN_S, lambda: end(number, None) if callable(end) else None)

    signal.signal(number, drain)


@bentoml.service(
    name="offbeat",
    workers=_number("OFFBEAT_WORKERS", 1),
    logging={"access": {"enabled": False}},
)
class Offbeat:
    """Scores of sensor readings."""

    def __init__(self) -> None:
        CURRENT.load()

    @bentoml.on_startup
    async def follow(self) -> None:
        """Follow the registry's champion from now on, and leave in an orderly way when told to."""
        self._following = asyncio.create_task(CURRENT.follow())
        drain_first(signal.SIGTERM)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Stop following."""
        self._following.cancel()


SERVICE: Any = Offbeat  # what the decorator made of it
SERVICE.add_asgi_middleware(
    Guard,
    token=TOKEN,
    max_body=LIMITS.body,
    max_concurrent=_number("OFFBEAT_MAX_CONCURRENT", 32),
    timeout_s=float(TIMEOUT_S),
    paths=frozenset(PATHS),
    public=frozenset(PAGE_PATHS),
)
SERVICE.add_asgi_middleware(Pages, current=CURRENT, limits=LIMITS)
