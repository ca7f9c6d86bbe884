"""The page for people at `/`: a few fixed files, and the headers under which a browser takes nothing from elsewhere.

The files hold no data and are given without a token; the page asks for the model card with one. Each is named with its
hash, so that a browser keeps it until it changes.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import re
from pathlib import Path

import offbeat.pages
from offbeat.errors import OffbeatError
from offbeat.pages import PACKED_PLOTLY, part, plotly_script
from offbeat.serving.cells import TIME_COLUMNS
from offbeat.serving.requests import Limits

INDEX, TEMPLATE, PLOTLY = "/", "service.html", "/page/plotly.min.js"
TYPES = {
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "html": b"text/html; charset=utf-8",
}
TEXTS = {  # address: file in offbeat.pages
    "/page/style.css": "style.css",
    "/page/service.css": "service.css",
    "/page/chart.js": "chart.js",
    "/page/thinning.js": "thinning.js",
    "/page/service_file.js": "service_file.js",
    "/page/service_parts.js": "service_parts.js",
    "/page/service.js": "service.js",
}
FILES = (*TEXTS, PLOTLY)
PAGE_PATHS = (INDEX, *FILES)
POLICY = (  # Plotly sets styles in the markup that it makes
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
A_YEAR = b"public, max-age=31536000, immutable"
Headers = list[tuple[bytes, bytes]]


class PageFiles:
    """The files, as a browser gets them.

    Plotly's code, a hundred times as large as the rest, stays on disk: packed beside the other files, or installed.

    Parameters
    ----------
    limits : Limits
        Of a request: the page sends what is larger in parts.
    """

    def __init__(self, limits: Limits) -> None:
        self._texts = {path: part(name).encode() for path, name in TEXTS.items()}
        self._plotly = _plotly()
        versions = {path: _version(text) for path, text in self._texts.items()}
        if self._plotly:
            versions[PLOTLY] = _version(self._plotly.read_bytes())
        addresses = {path.lstrip("/"): f"{path.lstrip('/')}?v={version}" for path, version in versions.items()}
        # relative, so that the page works behind a prefix too; without Plotly empty
        settings = {"rows": str(limits.rows), "body": str(limits.body), "time_columns": ",".join(TIME_COLUMNS)}
        values = {PLOTLY.lstrip("/"): "", **addresses, **settings}
        filled = re.sub(r"\{\{([\w./]+)\}\}", lambda place: html.escape(values[place[1]]), part(TEMPLATE))
        self._texts[INDEX] = filled.encode()

    def file(self, path: str, *, takes_gzip: bool) -> tuple[bytes, Headers] | None:
        """Return a file and its headers; None where Plotly's code is not there.

        Parameters
        ----------
        path : str
            One of `PAGE_PATHS`.
        takes_gzip : bool
            Whether the browser unpacks what is compressed.
        """
        ending = "html" if path == INDEX else path.rpartition(".")[2]
        headers = [
            (b"content-type", TYPES[ending]),
            (b"content-security-policy", POLICY),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-cache" if path == INDEX else A_YEAR),
        ]
        if path != PLOTLY:
            return self._texts[path], headers
        if self._plotly is None:
            return None
        body = self._plotly.read_bytes()
        if self._plotly.suffix == ".gz":
            headers.append((b"vary", b"accept-encoding"))
            if takes_gzip:
                return body, [*headers, (b"content-encoding", b"gzip")]
            body = gzip.decompress(body)
        return body, headers


def _plotly() -> Path | None:
    packed = Path(offbeat.pages.__file__).parent / PACKED_PLOTLY
    if packed.is_file():
        return packed
    try:
        installed = plotly_script()
    except OffbeatError:
        return None
    return installed if installed.is_file() else None


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
