"""Pages and history of drift checks, by Evidently, whose only importer this is.

Evidently draws what the check has decided: chunks in shares of how far their column must move to count, compared by a
method that is registered here, so that what it calls drift in a column is the check's own move.
"""

from __future__ import annotations

import html
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from offbeat.drift.check import Drift, to_json
from offbeat.drift.figures import Compared
from offbeat.drift.verdict import NONE, REMEDIES, VERDICTS, AssetDrift, Figure
from offbeat.errors import OffbeatError
from offbeat.files import file_stem, new_file, write_json
from offbeat.progress import Report, counted, silent
from offbeat.readings.messages import count

METHOD, PROJECT = "offbeat_move", "drift"
MOST_COLUMNS = 24  # on a page: those that moved most
MOST_PAGES = 12  # of a check, the worst machines
MOST_KEPT = 90  # checks in the history; the oldest go
FEWEST_ROWS = 2  # Evidently says nothing on fewer
PLAIN = str.maketrans({"<": "‹", ">": "›", "&": "＆"})  # names stand in scripts and in titles that know markup


def write_pages(drift: Drift, folder: Path, model: Mapping[str, str], report: Report = silent) -> list[Path]:
    """Write drift.json, a page for each machine that is not as it was, and add to the history in `workspace/`.

    Where all are as they were, the one that moved most gets a page. One that could not be compared has a page that says
    why; the history keeps the check's verdict, with the figures of the worst machine that has some.

    Returns
    -------
    list of Path
        The pages, worst first.

    Raises
    ------
    OffbeatError
        If Evidently is not installed.
    """
    write_json(folder / "drift.json", to_json(drift, model))
    order = list(VERDICTS)
    ranked = sorted(drift.assets, key=lambda one: (order.index(one.verdict), -one.largest[0]))
    shown = [one for number, one in enumerate(ranked) if number == 0 or one.verdict != NONE][:MOST_PAGES]
    figures = next((one for one in ranked if _columns(one, drift)), None)
    with _evidently():
        kept = _run(figures, drift)
        _keep(kept, figures, drift, folder / "workspace")
        pages = []
        for one in counted(shown, report, "drawing", "pages"):
            run = kept if one is figures else _run(one, drift) if _columns(one, drift) else None
            pages.append(_write_page(one, run, folder / "pages"))
    for path in set((folder / "pages").glob("*.html")) - set(pages):
        path.unlink()  # of a machine that is no longer there, or of an earlier check
    return pages


@contextmanager
def _evidently() -> Iterator[None]:
    """Let Evidently load and run without telemetry and without its warnings."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # it is read when the library loads
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import evidently  # noqa: F401
        except ModuleNotFoundError as error:
            raise OffbeatError(
                f"the pages need {error.name}, which is not installed: pip install 'offbeat[pipeline]'"
            ) from error
        yield


def comparable(compared: Compared) -> list[int]:
    """Return the columns that can be shown, those that moved most first.

    Evidently raises on a column without a reading, and says nothing on a single row: such columns are not given to it.
    """
    enough = [
        (~np.isnan(part)).sum(axis=0) >= least
        for part, least in ((compared.reference, FEWEST_ROWS), (compared.current, 1))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns that are empty
        moves = np.abs(np.nanmean(compared.current, axis=0) - np.nanmean(compared.reference, axis=0))
    chosen = np.flatnonzero(enough[0] & enough[1] & ~np.isnan(moves))
    return [int(k) for k in chosen[np.argsort(-moves[chosen], kind="stable")]]


def _columns(asset: AssetDrift, drift: Drift) -> list[int]:
    """Return the columns of a machine that are shown; none where nothing was compared."""
    compared = drift.compared.get(asset.asset)
    return [] if compared is None else comparable(compared)[:MOST_COLUMNS]


def _run(asset: AssetDrift | None, drift: Drift) -> Any:
    """Return Evidently's run of a check on a machine's figures; one without any where there are none."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    columns = [] if asset is None else _columns(asset, drift)
    parts = [pd.DataFrame({"nothing was compared": [0.0, 0.0]})] * 2
    if asset is not None and columns:
        compared = drift.compared[asset.asset]
        labels = [compared.names[k].translate(PLAIN) for k in columns]
        both = (_twice(compared.current), compared.reference)
        parts = [pd.DataFrame(part[:, columns], columns=labels) for part in both]
    names = [str(name) for name in parts[0].columns]
    current, reference = (Dataset.from_pandas(part, DataDefinition(numerical_columns=names)) for part in parts)
    _register()
    report = Report(
        [ValueDrift(column=name, method=METHOD, threshold=1.0) for name in names] if columns else [],
        include_tests=bool(columns),
        tags=[*([asset.asset.translate(PLAIN)] if asset is not None else []), drift.verdict],
        metadata={"verdict": VERDICTS[drift.verdict], "reason": drift.reason.translate(PLAIN)},
    )
    return report.run(current, reference)


def _twice(values: np.ndarray) -> np.ndarray:
    """Return a single row twice, which leaves its mean; others as they are."""
    return np.concatenate([values, values]) if len(values) < FEWEST_ROWS else values


def _register() -> None:
    """Tell Evidently the method: how far apart the means are."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    def move(
        reference_data: pd.Series, current_data: pd.Series, _feature_type: object, threshold: float
    ) -> tuple[float, bool]:
        apart = abs(float(current_data.mean() - reference_data.mean()))
        return apart, apart >= threshold

    name = "move of the mean, 1 being what it takes to count"
    test = StatTest(name=METHOD, display_name=name, allowed_feature_types=[ColumnType.Numerical], default_threshold=1.0)
    register_stattest(test, move)


def _write_page(asset: AssetDrift, run: Any, folder: Path) -> Path:
    """Write a machine's page: the verdict in words and, where it was compared, Evidently's report below it."""
    path = folder / f"{file_stem(asset.asset)}.html"
    with new_file(path) as scratch:
        if run is None:
            title = f"{html.escape(asset.asset)}: {VERDICTS[asset.verdict]}"
            page = BARE.format(title=title, body=headline(asset))
        else:
            run.save_html(str(scratch))
            page = scratch.read_text(encoding="utf-8").replace("<body>", f"<body>{headline(asset)}{BELOW}", 1)
        scratch.write_text(page, encoding="utf-8")
    return path


BARE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>{title}</title></head><body>{body}</body></html>\n"
)
BELOW = (
    '<p class="offbeat">Below, each value is a chunk&#39;s, in shares of how far the mean of its column must move to '
    "count: 1 is drift. The columns that moved most stand first.</p>"
)
STYLE = (
    "<style>.offbeat{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:1.5rem auto;padding:0 1rem}"
    ".offbeat table{border-collapse:collapse;display:block;overflow-x:auto}"
    ".offbeat td,.offbeat th{padding:.2rem .8rem .2rem 0;text-align:right;white-space:nowrap}"
    ".offbeat td:first-child,.offbeat th:first-child{text-align:left}</style>"
)


def headline(asset: AssetDrift) -> str:
    """Return the verdict on a machine and its figures as HTML."""
    about = ""
    if asset.period is not None:
        first, last = (str(end).replace("T", " ").replace("+00:00", " UTC") for end in asset.period)
        about = f"{first} to {last}, {asset.n_chunks} chunks of {asset.chunk}, beside what the model was made from."
    items = "".join(f"<li>{html.escape(reason)}</li>" for reason in asset.reasons)
    return (
        f'{STYLE}<section class="offbeat"><h1>{html.escape(asset.asset)}: {VERDICTS[asset.verdict]}</h1>'
        f"<p>What to do: {REMEDIES[asset.verdict]}.</p><ul>{items}</ul><p>{html.escape(about)}</p>{_table(asset)}"
        "</section>"
    )


def _table(asset: AssetDrift) -> str:
    """Return the figures of each channel, before and now, in the readings' own units."""
    if not asset.channels:
        return ""
    names = list(asset.channels[0].figures)
    head = "".join(f"<th>{name}</th>" for name in ("channel", *names, "largest move"))
    rows = []
    for channel in asset.channels:
        cells = [html.escape(channel.channel)]
        cells += [_change(channel.figures[name]) for name in names]
        cells.append(f"{channel.move:.2f}")
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _change(figure: Figure) -> str:
    """Return a figure before and now; nothing where nothing can be told."""
    return f"{figure.before:.4g} → {figure.now:.4g}" if figure.move == figure.move else "-"


def _keep(run: Any, asset: AssetDrift | None, drift: Drift, folder: Path) -> None:
    """Add a run to the history, which Evidently's own page shows."""
    from evidently.sdk.models import PanelMetric
    from evidently.sdk.panels import line_plot_panel
    from evidently.ui.workspace import Workspace

    folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace.create(str(folder))
    known = workspace.search_project(PROJECT)
    project = known[0] if known else workspace.create_project(PROJECT, "The machine that moved most in each check")
    if not known:
        moves = PanelMetric(metric="ValueDrift", legend="{{column}}")
        project.dashboard.add_panel(line_plot_panel("How far the columns moved; 1 is what it takes", [moves]))
    same = [one.asset for one in drift.assets if one.verdict == drift.verdict]
    who = "" if drift.verdict == NONE else f": {', '.join(same[:4])}{' and more' if len(same) > 4 else ''}"
    figures = f"; figures of {asset.asset}" if asset is not None else ""
    name = f"{VERDICTS[drift.verdict]}{who} ({count(len(drift.assets), 'machine')} checked{figures})"
    workspace.add_run(project.id, run, name=name.translate(PLAIN))
    for old in _oldest(workspace.list_runs(project.id)):
        workspace.delete_run(project.id, old)


def _oldest(runs: Sequence[Any]) -> list[Any]:
    """Return the runs that are too many; their ids begin with the time."""
    return sorted(runs, key=str)[: max(0, len(runs) - MOST_KEPT)]
