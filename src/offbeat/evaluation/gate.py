"""The gate: may a new model take the champion's place?

Challenger, champion and PCA replay the same readings and look for the same events, each at its own threshold;
`evidence.decide` holds the rule.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offbeat.detection.detector import Detector
from offbeat.evaluation.evidence import Evidence, decide
from offbeat.evaluation.ground import Champion, Ground, common_ground
from offbeat.evaluation.replay import Method, Replay, network_method, pca_method, replay, summarize
from offbeat.evaluation.trial import Trial, draw_trials, find_trials, quiet_rows
from offbeat.params import EvaluateParams
from offbeat.preparation import Prepared
from offbeat.readings.messages import count
from offbeat.readings.series import series_hash
from offbeat.typing import BoolArray

CHALLENGER, CHAMPION, PCA = "challenger", "champion", "pca"
NAMES = {CHALLENGER: "the challenger", CHAMPION: "the champion", PCA: "PCA"}


@dataclass(frozen=True)
class Verdict:
    """What the gate says; `dataclasses.asdict` makes it a mapping that `files.write_json` can write.

    Attributes
    ----------
    promote : bool
    reason : str
        In one line.
    replay : dict
        What was compared on: `words`, `hash`, `seed`, `assets`, `n_labelled`, `n_injected`.
    rows : dict of method to dict
        For `challenger`, `pca` and `champion` the fleet's metrics, and `n_injected`, `n_injected_found`,
        `allowed_false_alarms`, `alarm_share`, `over_budget`.
    injected : list of dict
        `kind`, `strength`, `n`, and how many of them each method found.
    notes : list of str
        What could not be compared, and why.
    """

    promote: bool
    reason: str
    replay: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    injected: list[dict[str, Any]]
    notes: list[str]

    def cells(self) -> list[list[str]]:
        """Return the rows as a table for people, its heading first."""
        heading = ["", "labelled found", "injected found", "false alarms", "promised", "in alarm", "VUS-PR"]
        return [heading, *([name, *_cells(row)] for name, row in self.rows.items())]


@dataclass(frozen=True, eq=False)
class _Shown:
    """What a method did: on each stretch, with each injected event (n_trials,), and all of it together."""

    replays: list[Replay]
    injected: BoolArray
    evidence: Evidence
    row: dict[str, Any]


def gate(
    fleet: Sequence[Prepared], challenger: Detector, champion: Champion | None, params: EvaluateParams, seed: int
) -> Verdict:
    """Compare a challenger with the champion and with PCA, and say whether to promote it.

    Parameters
    ----------
    fleet : sequence of Prepared
        The challenger's. Its test spans are replayed, as far as the champion has not learnt from them.
    challenger : Detector
        Calibrated for every asset of the fleet.
    champion : Champion or None
        One that cannot score these readings is left out, as are assets it does not know; the notes say so.
    params : EvaluateParams
    seed : int
        Of the injected events: the same seed, the same events.

    Raises
    ------
    StageError
        If no reading of an asset's replay has a score.
    """
    ground = common_ground(fleet, challenger, champion, params)
    stays = "kept out" if champion is None else "champion kept"
    if not ground.stretches:
        return Verdict(False, f"{stays}: no readings are left to compare on", {}, {}, [], ground.notes)
    trials = draw_trials(ground.stretches, ground.window_size, ground.context, ground.delay, seed)
    methods = [network_method(CHALLENGER, challenger), pca_method(challenger, fleet, params)]
    if ground.champion is not None:
        methods.append(network_method(CHAMPION, ground.champion.detector))
    shown = {method.name: _show(method, ground, trials) for method in methods}
    own, theirs = shown[CHALLENGER], shown.get(CHAMPION)
    promote, reason = decide(own.evidence, shown[PCA].evidence, theirs.evidence if theirs else None, stays)
    if theirs is not None and _same(own.replays, theirs.replays):
        promote, reason = False, f"{stays}: the challenger gives the same scores and thresholds"
    rows = {name: one.row for name, one in shown.items()}
    return Verdict(promote, reason, _described(ground, own.evidence, seed), rows, _by_kind(trials, shown), ground.notes)


def _show(method: Method, ground: Ground, trials: Sequence[Trial]) -> _Shown:
    replays = [replay(method, stretch) for stretch in ground.stretches]
    injected = find_trials(method, trials, {one.asset: one.alarms for one in replays})
    quiet = [quiet_rows(stretch, ground.context, ground.delay) for stretch in ground.stretches]
    alarms = np.concatenate([one.alarms[rows] for one, rows in zip(replays, quiet, strict=True)])
    labelled = np.concatenate([one.found for one in replays])
    metrics = summarize(replays)[method.name]
    evidence = Evidence(
        name=NAMES[method.name],
        found=np.concatenate([labelled, injected]),
        n_labelled=len(labelled),
        false_alarms=metrics["false_alarms"],
        allowed=_allowed(metrics),
        alarm_share=float(alarms.mean()) if len(alarms) else math.nan,
        vus_pr=metrics["vus_pr"],
    )
    row = {
        **metrics,
        "n_injected": len(injected),
        "n_injected_found": int(injected.sum()),
        "allowed_false_alarms": evidence.allowed,
        "alarm_share": evidence.alarm_share,
        "over_budget": evidence.over_budget,
    }
    return _Shown(replays, injected, evidence, row)


def _allowed(metrics: Mapping[str, float]) -> float:
    """Return the false alarms to expect in the normal time by the promise or, where none is made, by the budget."""
    if "normal_days" in metrics:
        unit, normal = "day", metrics["normal_days"]
    else:
        unit, normal = "10000_timesteps", (metrics["n_timesteps"] - metrics["n_labelled"]) / 10_000
    promised = metrics[f"promised_false_alarms_per_{unit}"]
    return normal * (metrics[f"budget_false_alarms_per_{unit}"] if math.isnan(promised) else promised)


def _same(replays: Sequence[Replay], others: Sequence[Replay]) -> bool:
    return all(
        one.threshold.value == other.threshold.value and np.array_equal(one.scores, other.scores, equal_nan=True)
        for one, other in zip(replays, others, strict=True)
    )


def _described(ground: Ground, evidence: Evidence, seed: int) -> dict[str, Any]:
    """Return what was compared on, in words, and a hash that changes with any of it."""
    digest = hashlib.sha256(json.dumps([seed, ground.window_size, ground.context, ground.delay]).encode())
    for one in ground.stretches:
        digest.update(series_hash(one.series).encode() + one.labelled.tobytes() + one.kept.tobytes())
    n_timesteps = sum(int(stretch.kept.sum()) for stretch in ground.stretches)
    n_labelled, n_injected = evidence.n_labelled, len(evidence.found) - evidence.n_labelled
    return {
        "words": f"{count(n_timesteps, 'timestep')} of {count(len(ground.stretches), 'asset')}, "
        f"{count(n_labelled, 'labelled event')} and {count(n_injected, 'injected one')}",
        "hash": digest.hexdigest(),
        "seed": seed,
        "assets": [stretch.series.asset for stretch in ground.stretches],
        "n_labelled": n_labelled,
        "n_injected": n_injected,
    }


def _by_kind(trials: Sequence[Trial], shown: Mapping[str, _Shown]) -> list[dict[str, Any]]:
    rows = []
    for kind, strength in dict.fromkeys(sorted((trial.kind, trial.strength) for trial in trials)):
        own = np.array([(trial.kind, trial.strength) == (kind, strength) for trial in trials])
        found = {name: int(one.injected[own].sum()) for name, one in shown.items()}
        rows.append({"kind": kind, "strength": strength, "n": int(own.sum()), **found})
    return rows


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = [
        f"{row['n_events_found']} of {row['n_events']}",
        f"{row['n_injected_found']} of {row['n_injected']}",
        f"{row['false_alarms']}",
        f"{row['allowed_false_alarms']:.1f}",
        f"{row['alarm_share']:.1%}",
        f"{row['vus_pr']:.3f}",
    ]
    return ["-" if cell.startswith("nan") else cell for cell in cells]
