"""Scores from the service: `Scorer` for batches, `Stream` for readings that go on.

The service keeps no state. A stream keeps the readings that its next scores depend on and sends them along, so that
each score is the one that all readings at once would have given.
"""

from __future__ import annotations

import http.client
import json
import re
import select
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

import numpy as np
from numpy.typing import ArrayLike

from offbeat.errors import ParamsError, ReadingsError, ServiceError
from offbeat.serving.context import Card, Context
from offbeat.serving.sending import Timestamp, request_of, stamps_of, table_of
from offbeat.serving.stamps import stamp_of, stamp_texts

FIRST_PAUSE_S = 0.2  # before the second try; each later one waits twice as long
VALUES_AT_ONCE = 200_000  # new readings times channels in one request of a stream: some MB


class Scorer:
    """A scoring service, over one connection that is kept; for one thread.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:3000``.
    token : str
        As `OFFBEAT_TOKEN` of the service; empty if it asks for none.
    timeout_s : float
        How long to wait for the service, at each step.
    retries : int
        How often to ask again where there was no connection or the service was overloaded.

    Raises
    ------
    ParamsError
        If url or token cannot be one. Every method raises ServiceError if the service refuses or does not answer.
    """

    def __init__(self, url: str, *, token: str = "", timeout_s: float = 60.0, retries: int = 3) -> None:
        parts = _plain(url)
        if not (token.isascii() and token.isprintable()):
            raise ParamsError("token must be printable ASCII: is there a line break at its end?")
        self.url, self.retries, self._timeout_s = url.rstrip("/"), retries, timeout_s
        self._path = parts.path.rstrip("/")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(str(parts.hostname), parts.port, timeout=timeout_s)
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}

    def __repr__(self) -> str:
        return f"Scorer({self.url!r})"

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def model(self, asset: str | None = None) -> dict[str, Any]:
        """Return the model card, or what it says of one machine."""
        return self._ask("GET", "/model" if asset is None else f"/model?{urlencode({'asset': asset})}")

    def score(
        self, asset: str, timestamps: Sequence[Timestamp], values: ArrayLike, channels: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Return what the service says of the readings of a machine; docs/service.md tells its form.

        Parameters
        ----------
        asset : str
        timestamps : sequence of length T
            ISO 8601 texts, datetimes (without a zone: UTC), or the whole numbers of an index.
        values : array of shape (T, F)
            None or NaN is a missing reading.
        channels : sequence of str, optional
            The columns of `values`; by default in the model's order.
        """
        return self._ask("POST", "/score", request_of(asset, timestamps, values, channels))

    def score_many(self, requests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return an answer for each request, a mapping of arguments of `score`; ``{"error": ...}`` if it is refused."""
        content = {"requests": [request_of(**request) for request in requests]}
        answers: list[dict[str, Any]] = self._ask("POST", "/score_many", content)["answers"]
        return answers

    def _ask(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        """Return an answer. Scoring changes nothing, so that what got no answer may be asked again."""
        body = None if content is None else json.dumps(content).encode()
        for attempt in range(self.retries + 1):
            pause = FIRST_PAUSE_S * 2**attempt
            try:
                response, text = self._exchange(method, path, body)
            except (ConnectionError, http.client.HTTPException) as error:
                problem = self._no_answer(error)
            except OSError as error:  # too slow, or an address that leads nowhere
                raise self._no_answer(error) from error
            else:
                if response.status == 200:
                    return self._content(text)
                problem = _refusal(response, text)
                if response.status != 503:
                    raise problem
                pause = max(pause, min(_seconds(response.headers.get("Retry-After")), self._timeout_s))
            if attempt < self.retries:
                time.sleep(pause)
        raise problem

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[http.client.HTTPResponse, bytes]:
        idle = self._connection.sock
        if idle is not None and select.select([idle], [], [], 0)[0]:  # nothing is due, so the service closed it
            self.close()
        self._connection.request(method, self._path + path, body, self._headers)
        response = self._connection.getresponse()
        return response, response.read()

    def _no_answer(self, error: Exception) -> ServiceError:
        self.close()
        return ServiceError(f"{self.url}: no answer: {str(error) or type(error).__name__}")

    def _content(self, text: bytes) -> dict[str, Any]:
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise ServiceError(f"{self.url}: answers something else than JSON: is it the scoring service?", status=200)
        return content


@dataclass(frozen=True)
class Scored:
    """A timestep that was scored: `score` None if it has none, `shares` of each channel if it is in alarm."""

    timestamp: str | int
    score: float | None
    threshold: float
    alarm: bool
    shares: Mapping[str, float]
    model: str


class Stream:
    """The readings of one machine as they come, and their scores as they become final: each timestep once, in order.

    Parameters
    ----------
    scorer : Scorer
    asset : str
    channels : sequence of str, optional
        The columns of the values; by default in the model's order.

    Notes
    -----
    Scores equal those of all readings at once. Alarms do too, but for a pause between two of them: that it is short
    enough to belong to them shows only after it. After a promotion the next scores are the new model's, as if it had
    scored all.
    """

    def __init__(self, scorer: Scorer, asset: str, channels: Sequence[str] | None = None) -> None:
        self._scorer, self._asset = scorer, asset
        self._channels = None if channels is None else list(channels)
        self._card: Card | None = None
        self._context = Context()
        self._ready: list[Scored] = []  # kept if a later request of the same push fails

    def push(self, timestamps: Any = (), values: Any = ()) -> list[Scored]:
        """Take new readings, one or many, and return the timesteps that became final.

        Parameters
        ----------
        timestamps : a timestamp, or a sequence of T
            As for `Scorer.score`; each later than the one before.
        values : array of shape (F,), or (T, F)
            None or NaN is a missing reading.

        Raises
        ------
        ReadingsError
            If timestamps do not rise or a value is no number; then none of these readings is taken.
        ServiceError
            The readings are kept: push again, others or none, and nothing is left out.
        """
        if isinstance(timestamps, str | int | float | datetime | np.generic):
            timestamps, values = [timestamps], [values]
        if len(timestamps):
            stamps, is_time = stamps_of(timestamps)
            self._context.keep(stamps, table_of(values, len(stamps)), is_time)
            if self._card is None:  # what does not fit is told at once, not when there is enough for a window
                self._card = self._first_card()
        self._advance()
        return self._hand_out()

    def flush(self) -> list[Scored]:
        """Return the timesteps that are not final yet, with the scores they have if no reading follows."""
        self._advance()
        if len(self._context.stamps):
            self._ask(len(self._context.stamps), everything=True)
        return self._hand_out()

    def follow(self, readings: Iterable[tuple[Timestamp, ArrayLike]]) -> Iterator[Scored]:
        """Yield what becomes final of pairs (timestamp, values) as they come, and the rest at their end."""
        for timestamp, values in readings:
            yield from self.push(timestamp, values)
        yield from self.flush()

    def _hand_out(self) -> list[Scored]:
        ready, self._ready = self._ready, []
        return ready

    def _advance(self) -> None:
        context = self._context
        at_once = VALUES_AT_ONCE // max(1, context.values.shape[1]) + 1
        while context.n_answered < len(context.stamps):
            self._ask(min(context.n_answered + at_once, len(context.stamps)))

    def _ask(self, stop: int, *, everything: bool = False) -> None:
        """Take what is new and final, or everything that is new, of the scores of the first `stop` readings."""
        context = self._context
        for _ in range(3):  # a new model may take its place between two requests
            card = self._card = self._card or self._fetch_card()
            if context.is_time != card.is_time:
                known = "times" if card.is_time else "an integer index"
                raise ReadingsError(f"the model learnt from {known}, the timestamps are not of that kind")
            rows = context.rows(stop, card)
            if not len(rows):
                context.answered(stop, rows, card)
                return
            stamps, values = context.on_grid(rows, card)
            try:
                texts = stamp_texts(stamps, card.is_time)
                answer = self._scorer.score(self._asset, texts, values, self._channels)
            except ServiceError as error:
                if error.code != "bad_shape" or not self._is_another_model():
                    raise
                continue
            if answer["lineage"]["model"] == card.version or not self._is_another_model():
                self._take(answer, card, everything)
                context.answered(stop, rows, card)
                return
        raise ServiceError(f"{self._scorer.url}: models take turns: ask again when it is settled which one serves")

    def _take(self, answer: Mapping[str, Any], card: Card, everything: bool) -> None:
        context, channels = self._context, answer["channels"]
        context.confirmed_step = card.step
        for k, (timestamp, final) in enumerate(zip(answer["timestamps"], answer["final"], strict=True)):
            stamp = stamp_of(timestamp) if card.is_time else timestamp
            if (final or everything) and (context.given is None or stamp > context.given):
                context.given, shares = stamp, dict(zip(channels, answer["shares"][k] or (), strict=False))
                row = (timestamp, answer["scores"][k], answer["threshold"], answer["alarms"][k], shares)
                self._ready.append(Scored(*row, answer["lineage"]["model"]))

    def _first_card(self) -> Card:
        try:
            card = self._fetch_card()
        except ServiceError as error:
            if error.code != "unknown_asset":
                raise
            raise ReadingsError(str(error)) from error
        card.check(self._channels)
        return card

    def _fetch_card(self) -> Card:
        try:
            return Card.of(self._scorer.model(self._asset))
        except (KeyError, TypeError, ValueError) as error:
            raise ServiceError(f"{self._scorer.url}: has no model card: is it the scoring service?") from error

    def _is_another_model(self) -> bool:
        before, self._card = self._card, self._fetch_card()
        return before is None or before.version != self._card.version


def _plain(url: str) -> SplitResult:
    """Return the parts of an address that holds no secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # such as a port beyond 65535
        parts, port = urlsplit(""), 0
    is_plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    if not is_plain or port == 0 or re.search(r"\s", url):
        raise ParamsError("url must be written as http://127.0.0.1:3000, without a name or password in it")
    return parts


def _refusal(response: http.client.HTTPResponse, text: bytes) -> ServiceError:
    """Return what was refused and why; also of whatever stands before the service and has another form of errors."""
    try:
        said = json.loads(text)["error"]
        return ServiceError(said["message"], status=response.status, code=said["code"], field=said["field"])
    except (ValueError, KeyError, TypeError):
        return ServiceError(f"the service answers {response.status} {response.reason}", status=response.status)


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else 0.0
