"""The registered models as people read them: a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from offbeat.errors import ModelError
from offbeat.tables import text_table

if TYPE_CHECKING:
    from offbeat.registry import Registry

NONE = "No models yet: `make run`, or the flow retrain, trains and registers the first."
HEADING = ["version", "registered", "state", "found", "VUS-PR", "false/day", "why"]


def roster(registry: Registry) -> str:
    """Return for each model when it was registered, its state, what it found on its replay, and why it is where it is.

    The state is `champion`, `was champion`, `kept out` (by the gate), `waiting` (for somebody to promote it) or
    `damaged` (its card cannot be read).
    """
    champion = registry.champion_version()
    whys = {change["version"]: change["why"] for change in registry.history()}
    rows = [_cells(registry, version, champion, whys) for version in registry.versions()]
    return text_table([HEADING, *rows], right_from=len(HEADING)) if rows else NONE


def _cells(registry: Registry, version: str, champion: str | None, whys: Mapping[str, str]) -> list[str]:
    try:
        card = registry.model(version).card
    except ModelError:
        return [version, "-", "damaged", "-", "-", "-", "its card cannot be read: restore its folder"]
    verdict: Mapping[str, Any] = card.get("verdict") or {}
    row = (verdict.get("rows") or {}).get("challenger") or {}
    state = "was champion" if version in whys else "kept out" if verdict.get("promote") is False else "waiting"
    found = f"{_sum(row, 'n_events_found', 'n_injected_found')} of {_sum(row, 'n_events', 'n_injected')}"
    return [
        version,
        card["registered"],
        "champion" if version == champion else state,
        found if row else "-",
        _figure(row.get("vus_pr"), "{:.3f}"),
        _figure(row.get("false_alarms_per_day"), "{:.2f}"),
        whys.get(version) or verdict.get("reason") or "-",
    ]


def _sum(row: Mapping[str, Any], *keys: str) -> int:
    return sum(int(row.get(key) or 0) for key in keys)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
