"""What follows the stages: the gate, the registry, and new thresholds for the champion.

Pure decisions on a project's folder; the flows say when, and `offbeat promote` lets a person decide.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet
from offbeat.errors import FormatError, ModelError
from offbeat.evaluation.gate import Verdict, gate
from offbeat.evaluation.ground import Champion, learnt_until
from offbeat.files import write_csv
from offbeat.operation.recalibration import change_lines, recalibrate
from offbeat.operation.store import Store
from offbeat.params import load_params
from offbeat.preparation import Prepared
from offbeat.progress import Report, silent
from offbeat.readings.assets import asset_files
from offbeat.readings.folder import read_folder
from offbeat.readings.messages import count
from offbeat.readings.moments import moment_json, moment_of
from offbeat.readings.spans import SPAN_FILES, Span, read_spans
from offbeat.readings.tables import read_csv
from offbeat.registry import Model, Registry
from offbeat.stages.artifacts import DETECTOR, METRICS, PREPARED, read_json, read_prepared

VERDICT = "verdict"  # where a model's card keeps what the gate said
_ALARM_COLUMNS = (*SPAN_FILES["alarms"], "alarm")


@dataclass(frozen=True)
class Decision:
    """What became of a model: its version, whether it is the champion now or waits for a person, why in one line."""

    version: str
    promoted: bool
    line: str
    verdict: Mapping[str, Any]
    waits: bool = False


def decide(root: Path, registry: Registry, *, reason: str, manual: bool = False, report: Report = silent) -> Decision:
    """Judge the detector in artifacts/, register it, and promote it if it is better and nobody wants to be asked.

    A detector that was judged against the same champion is not judged again, and one that was champion before is left
    to people.
    """
    champion = registry.champion()
    against = None if champion is None else champion.version
    known = registry.find(root / DETECTOR)
    rule = load_params(root / "params.yaml").evaluate.model_dump()
    if known is not None and known.version == against:
        return Decision(against, False, f"model {against} is the champion already", known.card.get(VERDICT) or {})
    if known is not None and (known.card["against"], known.card.get("evaluate")) == (against, rule):
        verdict = known.card[VERDICT]
    else:
        fleet, _ = read_prepared(root / PREPARED)
        verdict = asdict(_judge(root, fleet, champion, report))
    if known is None:
        card = {"reason": reason, "parent": None, "against": against, "evaluate": rule, **_described(root, fleet)}
        card[VERDICT] = verdict
        with _lineage_files(root) as files:
            known = registry.register(root / DETECTOR, card, files)
    if known.version in {change["version"] for change in registry.history()}:
        line = f"model {known.version} was champion before: offbeat promote {known.version} brings it back"
        return Decision(known.version, False, line, verdict)
    if not verdict["promote"]:
        return Decision(known.version, False, f"model {known.version}: {verdict['reason']}", verdict)
    if manual:
        line = f"model {known.version} waits for a person: {verdict['reason']}; offbeat promote {known.version}"
        return Decision(known.version, False, line, verdict, waits=True)
    registry.promote(known.version, by="gate", why=verdict["reason"], instead_of=against)
    return Decision(known.version, True, f"model {known.version} {verdict['reason']}", verdict)


def promote_by_hand(registry: Registry, version: str, *, by: str, why: str, override: bool) -> str:
    """Make a model champion because a person says so; return what to tell.

    Raises
    ------
    ModelError
        If the gate kept it out, or compared it with another champion than there is now, and nobody overrides that. One
        that was champion before needs no override.
    """
    card, champion = registry.model(version).card, registry.champion_version()
    verdict = card.get(VERDICT) or {}
    was_champion = version in {change["version"] for change in registry.history()}
    objection = ""
    if not verdict.get("promote", True):
        objection = verdict["reason"]
    elif verdict and card["against"] != champion and not was_champion:
        objection = f"compared with champion {card['against'] or 'none'}, and {champion or 'none'} is champion now"
    if objection and not override:
        raise ModelError(f"model {version}: {objection}: to promote it all the same, say so with --override and --why")
    registry.promote(version, by=by, why=why or ("against the gate" if override else "by hand"))
    return f"model {version} is the champion"


def promote_folder(registry: Registry, folder: Path, *, by: str, why: str) -> str:
    """Register a model that `offbeat train` wrote, of one group or several, and make it champion; return what to tell.

    No gate judges it. What it has seen of each asset its references say.

    Raises
    ------
    ModelError
        If a file of it is missing or damaged.
    """
    fleet = Fleet.load(folder)
    seen = {
        asset: moment_json(moment_of(known.reference.until, detector.is_time))
        for detector in fleet.groups.values()
        for asset, known in sorted(detector.assets.items())
        if known.reference is not None
    }
    card = {
        "reason": f"registered by {by}",
        "parent": None,
        "against": None,
        "lineage": {group: dict(detector.lineage) for group, detector in sorted(fleet.groups.items())},
        **dict.fromkeys(("trained_until", "learnt_until", "scores_from"), seen),
    }
    version = registry.register(folder, card).version
    registry.promote(version, by=by, why=why or "registered by hand, without a gate")
    return (
        f"model {version} is the champion: {folder}, {count(len(fleet.group_of), 'asset')} in "
        f"{count(len(fleet.groups), 'group')}"
    )


def recalibrate_champion(root: Path, store: Store, *, by: str) -> list[str]:
    """Give machines with false alarms new thresholds, from all that was normal since they were learnt from.

    The network stays as it is; the result is a model of its own and the champion. Alarms that nobody marked as false
    are not normal. Returns what changed, in words.

    Raises
    ------
    ModelError
        If there is no champion.
    """
    registry = Registry(root / "registry")
    champion = registry.champion()
    if champion is None:
        raise ModelError("there is no champion to recalibrate: run the flow retrain, or offbeat promote a model")
    detector = champion.load()
    false_alarms = [Span(alarm.asset, alarm.first, alarm.last) for alarm in store.alarms(verdict="false")]
    assets = {span.asset for span in false_alarms} & detector.assets.keys()
    if not assets:
        return ["no alarm is marked as false: there is nothing to learn from"]
    folder = read_folder(root / "data", period=detector.period, max_gap=detector.max_gap)
    learnt = stamps(champion, "trained_until")
    done = recalibrate(detector, folder, learnt, store.doubtful_spans(), assets, false_alarms)
    lines = change_lines(done)
    moved = [change.asset for change in done.changes if change.after.value != change.before.value]
    if not moved:
        return ["no threshold changed", *lines]
    with tempfile.TemporaryDirectory() as scratch:
        done.detector.save(Path(scratch) / "detector")
        seen = {one.asset: moment_json(one.index[-1]) for one in folder.series if one.asset in moved}
        card = {**champion.card, "reason": f"recalibrated by {by}", "parent": champion.version, "against": None}
        card[VERDICT] = None  # the gate judged other thresholds
        before = dict.fromkeys(detector.assets, champion.card["registered"]) | champion.card.get("calibrated", {})
        card["calibrated"] = {asset: when for asset, when in before.items() if asset not in moved}
        card["learnt_until"] = {**champion.card["learnt_until"], **seen}  # what the gate must not replay
        model = registry.register(Path(scratch) / "detector", card, sorted((champion.directory / "lineage").iterdir()))
    why = f"model {champion.version} with new thresholds for {', '.join(moved)}"
    registry.promote(model.version, by=by, why=why, instead_of=champion.version)
    return [f"model {model.version} is the champion: {why}", *lines]


def write_alarms(data: Path, store: Store) -> bool:
    """Write the alarms of a store and their verdicts to data/alarms.csv; return whether the file changed.

    Rows without the number of an alarm are people's, and stay. A store without alarms leaves the file as it is; alarms
    of machines that are gone are left out.
    """
    raised = store.alarms()
    if not raised:
        return False
    assets = {one.asset for one in asset_files(data)}
    rows: list[tuple[str, ...]] = [
        (alarm.asset, str(moment_json(alarm.first)), str(moment_json(alarm.last)), alarm.verdict or "", str(alarm.id))
        for alarm in reversed(raised)
        if alarm.asset in assets
    ]
    path = data / "alarms.csv"
    known = _rows(path)
    rows = [row for row in known if not row[-1]] + rows
    if known == rows:
        return False
    write_csv(path, _ALARM_COLUMNS, rows)
    return True


def left_out(root: Path) -> tuple[str, list[str]]:
    """Return how much stays out of training and calibration, in one line, and a line for each stretch."""
    series = [prepared.series for prepared in read_prepared(root / PREPARED)[0]]
    lines, counts = [], []
    for name, what in (("labels", "labelled event"), ("exclude", "exclusion"), ("alarms", "past alarm")):
        spans, _ = read_spans(root / "data" / f"{name}.csv", series)
        kept_out = [span for span in spans if name != "alarms" or span.note != "false"]
        counts.append(count(len(kept_out), what))
        for span in kept_out:
            word = span.note or ("not judged" if name == "alarms" else "")
            lines.append(f"{span.asset} {span.start} to {span.end}: {what}{f' ({word})' if word else ''}")
    return f"left out of training: {', '.join(counts)}", lines


def stamps(model: Model, key: str) -> dict[str, int]:
    """Return `trained_until`, `learnt_until` or `scores_from` of a model's card as stamps, an asset each."""
    return {
        asset: until if isinstance(until, int) else pd.Timestamp(until).value
        for asset, until in model.card[key].items()
    }


def metrics_rows(decision: Decision) -> list[dict[str, Any]]:
    """Return a row for each method that the gate compared."""
    keys = ("n_events_found", "n_events", "n_injected_found", "n_injected", "false_alarms", "alarm_share", "vus_pr")
    return [
        {"method": name, **{key: row[key] for key in keys}} for name, row in decision.verdict.get("rows", {}).items()
    ]


def _judge(root: Path, fleet: Sequence[Prepared], champion: Model | None, report: Report = silent) -> Verdict:
    params = load_params(root / "params.yaml").evaluate
    known, unread = None, ""
    if champion is not None:
        try:
            known = Champion(champion.load(), champion.card["learnt_until"])
        except FormatError as error:  # whoever has it can do nothing but train anew, so it must not stand in the way
            unread = f"compared with PCA alone: the champion cannot be read ({error})"
    verdict = gate(fleet, Detector.load(root / DETECTOR), known, params, params.seed, report)
    return replace(verdict, notes=[unread, *verdict.notes]) if unread else verdict


@contextmanager
def _lineage_files(root: Path) -> Iterator[list[Path]]:
    """Give the files that make the model again: the .dvc files as the stages read them, should one have moved on."""
    with tempfile.TemporaryDirectory() as scratch:
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8")) or {}
        files = [root / "dvc.lock", root / "params.yaml"]
        for stage, name in (("prepare", "data"), ("train", "start")):
            read = [dep for dep in lock.get("stages", {}).get(stage, {}).get("deps", []) if dep["path"] == name]
            file = (Path(scratch) if read else root) / f"{name}.dvc"
            if read:
                file.write_text(yaml.safe_dump({"outs": read}, sort_keys=False), encoding="utf-8")
            files.append(file)
        yield files


def _described(root: Path, fleet: Sequence[Prepared]) -> dict[str, Any]:
    """Return what a model's card says of where it comes from, what it has seen, and how good it is."""
    trained = {p.series.asset: p.series.index[p.split.held_out[1] - 1] for p in fleet}
    return {
        "lineage": dict(Detector.load(root / DETECTOR).lineage),
        "trained_until": {asset: moment_json(when) for asset, when in trained.items()},
        "learnt_until": learnt_until(fleet),
        "scores_from": learnt_until(fleet),
        "metrics": read_json(root / METRICS)["fleet"],
    }


def _rows(path: Path) -> list[tuple[str, ...]]:
    """Return the rows of alarms.csv, their columns as `write_alarms` orders them; those of people may lack some."""
    if not path.exists():
        return []
    table = read_csv(path, text=True)[0].reindex(columns=list(_ALARM_COLUMNS)).fillna("")
    return [tuple(row) for row in table.itertuples(index=False)]
