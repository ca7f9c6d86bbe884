"""A service under load: started and ended by its ids, and asked over raw, kept connections from one thread."""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from servers import free_port, kill_tree

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-service/bin/python"
LONGEST_S = 90.0  # that an answer, a start or an end may take
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Service:
    """A BentoML service of a folder, on loopback, in .venv-service; all of it is ended by its ids."""

    def __init__(self, folder: Path, workers: int = 1, **env: str) -> None:
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="offbeat-service-"))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OFFBEAT_", "PYTHONPATH"))}
        quiet = {"BENTOML_DO_NOT_TRACK": "true", "ORT_DISABLE_TELEMETRY": "1", "BENTOML_HOME": str(self.home)}
        place = {"PYTHON": str(PYTHON), "OFFBEAT_PORT": str(self.port), "OFFBEAT_WORKERS": str(workers)}
        plain = [str(PYTHON), "-m", "bentoml", "serve", str(folder), "--host", "127.0.0.1", "--port", str(self.port)]
        command = [str(folder / "serve")] if (folder / "serve").exists() else plain
        begin = time.perf_counter()
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, env={**kept, **quiet, **place, **env}, cwd=self.home, stdout=log, stderr=subprocess.STDOUT
            )
        while not self.is_ready():
            if self.process.poll() is not None or time.perf_counter() - begin > LONGEST_S:
                self.close()
                raise SystemExit(f"{folder}: the service does not start: {self.log[-2000:]}")
            time.sleep(0.01)
        self.ready_s = time.perf_counter() - begin

    @property
    def log_path(self) -> Path:
        return self.home.with_suffix(".log")

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz").status == 200
        except OSError:
            return False

    def get(self, path: str) -> Answer:
        line = Line(self.port)
        line.ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while (answer := line.read()) is None:
            pass
        line.ask(None)
        return answer

    def family(self) -> list[psutil.Process]:
        """Return all its processes."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        found = []
        for one in self.family():
            try:
                if "_bentoml_impl.worker.service" in one.cmdline():
                    found.append(one)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found

    def close(self) -> None:
        """End what is left of it at once."""
        if self.process.poll() is None:
            kill_tree(self.process)
        shutil.rmtree(self.home, ignore_errors=True)


@contextmanager
def running(*services: Service) -> Iterator[None]:
    """End the services with the block."""
    try:
        yield
    finally:
        for service in services:
            service.close()
            service.log_path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Answer:
    """What came of a request; status 0: nothing, or no whole answer."""

    request: bytes
    status: int
    seconds: float
    body: bytes
    tries: int = 1


class Line:
    """A connection that is kept, with one request under way or none."""

    def __init__(self, port: int) -> None:
        self.port, self.socket = port, None
        self.request: bytes | None = None

    def ask(self, request: bytes | None, tries: int = 1) -> None:
        """Send a whole request; None ends the connection."""
        self.request, self.tries, self.begin, self.got = request, tries, time.perf_counter(), b""
        if request is None:
            self._close()
            return
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=LONGEST_S)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):  # a broken connection shows when it is read
            self.socket.sendall(request)

    def read(self) -> Answer | None:
        """Return the answer once it is whole, or has ended."""
        assert self.socket is not None
        assert self.request is not None
        try:
            part = self.socket.recv(1 << 20)
        except OSError:
            part = b""
        self.got += part
        head, mark, body = self.got.partition(b"\r\n\r\n")
        length = LENGTH.search(head) if mark else None
        seconds = time.perf_counter() - self.begin
        if length and len(body) >= int(length[1]):
            if b"connection: close" in head.lower():
                self._close()
            return Answer(self.request, int(head[9:12]), seconds, body, self.tries)
        if part:
            return None
        self._close()
        ended = mark and not length and b"chunked" not in head  # a body that lasts until the end
        return Answer(self.request, int(head[9:12]) if ended else 0, seconds, body, self.tries)

    def fileno(self) -> int:
        assert self.socket is not None
        return self.socket.fileno()

    def _close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


Act = Callable[[list[Answer], list[Line]], bool]


def drive(
    port: int, requests: Iterable[bytes], at_once: int = 8, *, act: Act = lambda *_: False, tries: int = 1
) -> list[Answer]:
    """Ask over so many connections, one request at a time on each; return the answers as they came.

    Parameters
    ----------
    port : int
    requests : iterable of bytes
    at_once : int
    act : callable, optional
        Told, after each answer, all answers and all lines, to which it may add; once it returns True no more is asked.
    tries : int
        How often a request is sent as long as its connection breaks.
    """
    source, answers, is_over = iter(requests), [], False
    lines = [Line(port) for _ in range(at_once)]
    for line in lines:
        line.ask(next(source, None))
    while busy := [line for line in lines if line.request is not None]:
        ready = select.select(busy, [], [], LONGEST_S)[0]
        if not ready:
            answers += [Answer(line.request or b"", 0, LONGEST_S, b"") for line in busy]
            break
        for line in ready:
            answer = line.read()
            if answer is None:
                continue
            if not answer.status and line.tries < tries:
                line.ask(line.request, line.tries + 1)
                continue
            answers.append(answer)
            is_over = is_over or act(answers, lines)
            line.ask(None if is_over else next(source, None))
    for line in lines:
        line.ask(None)
    return answers


def post(path: str, body: bytes, kind: str = "application/json") -> bytes:
    """Return a whole request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
