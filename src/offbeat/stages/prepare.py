"""data/ to artifacts/prepared/: gridded and scaled series, spans, window starts."""

from __future__ import annotations

from pathlib import Path

from offbeat.lineage import asset_hash, data_hash
from offbeat.params import PrepareSection
from offbeat.preparation import preparation_notes, prepare_fleet
from offbeat.progress import Report, silent
from offbeat.readings.folder import read_folder
from offbeat.readings.moments import step_json
from offbeat.stages.artifacts import PREPARED, write_prepared
from offbeat.window_choice import choose_window


def run(prepare: PrepareSection, *, root: Path, report: Report = silent) -> list[str]:
    """Prepare every asset of `data/`; return what to tell the person who runs it."""
    folder = read_folder(root / "data", period=prepare.period, max_gap=prepare.max_gap, report=report)
    params, choice = choose_window(folder, prepare)
    fleet = prepare_fleet(folder, params)
    first = fleet[0].series
    card = {
        "channels": list(first.channels),
        "period": step_json(first.step, first.is_time),
        "prepare": params.model_dump(),
        "data_hash": data_hash(map(asset_hash, fleet)),
    }
    write_prepared(root / PREPARED, fleet, card)
    n_windows = sum(len(prepared.starts) for prepared in fleet)
    about = f"{len(fleet)} assets, {len(first.channels)} channels, {n_windows} windows to learn from"
    return [about, *choice, *preparation_notes(folder, fleet)]
