"""Pages for people: markup, style and drawing code, and how they become one file that asks for nothing outside.

What a page shows goes in as data, never as markup: JSON in which no `<` is left, and blocks that the page unpacks when
they are looked at.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from offbeat.errors import OffbeatError

PACKED_PLOTLY = "plotly.min.js.gz"  # in this folder where the service is packed, whose environment has no Plotly


def part(name: str) -> str:
    """Return a file of this folder."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def one_file(
    template: str, style: str, scripts: Sequence[str], title: str, data: Any, blocks: Mapping[str, Any]
) -> str:
    """Return a page that stands alone.

    Parameters
    ----------
    template : str
        Name of its markup, which has a place in double braces for each of title, style, plotly, data, blocks, scripts.
    style : str
        Name of its style sheet.
    scripts : sequence of str
        Names of its code, in the order in which it runs.
    title : str
        Plain text.
    data : object
        What the page shows at once, as JSON holds it.
    blocks : mapping of str to object
        What it unpacks later, by the id under which it asks for it.
    """
    inner = {
        "title": html.escape(title),
        "style": part(style),
        "plotly": _packed_plotly(),
        "data": _json(data),
        "blocks": "\n".join(
            f'<script type="text/plain" id="{html.escape(name)}">{packed(_json(block))}</script>'
            for name, block in blocks.items()
        ),
        "scripts": "\n".join(part(name) for name in scripts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: inner[place[1]], part(template))


def packed(text: str) -> str:
    """Return text compressed with gzip, in base64; the same text gives the same letters."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def plotly_script() -> Path:
    """Return the file of Plotly's code for browsers.

    Raises
    ------
    OffbeatError
        If it is not installed.
    """
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise OffbeatError("pages are drawn by plotly, which is not installed: pip install 'offbeat[train]'")
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


@cache
def _packed_plotly() -> str:
    return packed(plotly_script().read_text(encoding="utf-8"))


def _json(content: Any) -> str:
    """Return JSON that may stand in a script element: markup in it would end that element."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
