"""Why a request gets no answer: one form for all, with a status, a code, and the field that is wrong.

`Refusal` is raised wherever it is found out; the outermost layer makes the response of it.
"""

from __future__ import annotations

from typing import Any

# The one place where codes and statuses stand: the HTTP description is made of it, and a test holds the docs to it.
CODES = {
    "bad_content": (400, "no JSON or CSV, a wrong type, an unknown or missing key, no number within ±1e100"),
    "unauthorized": (401, "no token, or a wrong one"),
    "unknown_asset": (404, "a machine that the model does not know"),
    "not_found": (404, "no such page"),
    "method_not_allowed": (405, "another method than the page has"),
    "too_large": (413, "more bytes, rows, channels or assets than allowed"),
    "unsupported_type": (415, "another content type"),
    "bad_shape": (422, "ragged rows, other channels, unordered timestamps, another period, less than a window"),
    "overloaded": (503, "as many requests as allowed are at work; Retry-After says when to try again"),
    "timeout": (504, "the request took too long"),
}


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of the service
    """A request that is refused: one of `CODES`, in words, and the field that is wrong, if one is.

    `allow` names the methods that a page has, where it has not the one asked for.
    """

    def __init__(self, code: str, message: str, field: str | None = None, *, allow: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.field, self.allow = code, message, field, allow

    @property
    def status(self) -> int:
        """Its HTTP status."""
        return CODES[self.code][0]

    @property
    def body(self) -> dict[str, Any]:
        """Its JSON."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field}}
