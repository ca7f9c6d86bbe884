"""The tables of the benchmark of fleets: what each step takes for a machine, and how it grows with the fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MEGA = 1e6
BASE, BAR = 100, 1.3  # a larger fleet's seconds per machine, against one of so many machines
BARRED = ("calibrate new", "score")
SIZES = ("bytes_readings", "bytes_model", "bytes_scores")


def page(results: Sequence[Mapping[str, Any]], workers: int) -> str:
    """Return all tables as Markdown."""
    return "\n\n".join([_steps(results, workers), _growth(results), _disk(results), _counts(results)]) + "\n"


def _steps(results: Sequence[Mapping[str, Any]], workers: int) -> str:
    rows = [["step", "machines", "s", "ms per machine", "CPU ms per machine", "main process, MB", "a worker, MB"]]
    for n_assets, took in _took(results):
        each = [f"{1000 * took[key] / n_assets:,.1f}" for key in ("seconds", "cpu_seconds")]
        memory = [f"{took[key] / MEGA:,.0f}" if took[key] else "-" for key in ("main_bytes", "worker_bytes")]
        rows.append([took["step"], f"{n_assets:,}", f"{took['seconds']:,.1f}", *each, *memory])
    rows[1:] = sorted(rows[1:], key=lambda row: _order(results).index(row[0]))
    return f"With {workers} workers:\n\n{_table(rows)}"


def _growth(results: Sequence[Mapping[str, Any]]) -> str:
    """Return seconds per machine against those of a fleet of `BASE`, by the clock and of CPU."""
    cost = {(took["step"], n): (took["seconds"] / n, took["cpu_seconds"] / n) for n, took in _took(results)}
    rows = [["step", "machines", f"clock, against {BASE}", f"CPU, against {BASE}", "bar"]]
    for (step, n), seconds in cost.items():
        if n > BASE and (step, BASE) in cost:
            ratios = [f"{one / other:.2f}" for one, other in zip(seconds, cost[step, BASE], strict=True)]
            rows.append([step, f"{n:,}", *ratios, f"at most {BAR}" if step in BARRED else ""])
    return _table(rows)


def _disk(results: Sequence[Mapping[str, Any]]) -> str:
    rows = [["on disk", "machines", "bytes per machine"]]
    for one in results:
        what = one["name"].partition("-")[2]
        for key in SIZES:
            if key in one:
                name = key.removeprefix("bytes_") + (f" ({what})" if key == "bytes_model" else "")
                rows.append([name, f"{one['n_assets']:,}", f"{one[key] / one['n_assets']:,.0f}"])
    return _table(rows)


def _counts(results: Sequence[Mapping[str, Any]]) -> str:
    """Return of each step how many machines it accounts for."""
    rows = [["step", "machines", "done", "failed", "lines of assets.csv", "timesteps"]]
    for one in results:
        if "n_done" in one:
            told = [f"{one[key]:,}" if key in one else "" for key in ("n_done", "n_failed", "n_lines", "n_timesteps")]
            rows.append([one["name"].partition("-")[2], f"{one['n_assets']:,}", *told])
    return _table(rows)


def _took(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for one in results:
        for took in one["took"]:
            yield one["n_assets"], took


def _order(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(took["step"] for _, took in _took(results)))


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    rule = [":--" if k == 0 else "--:" for k in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))
