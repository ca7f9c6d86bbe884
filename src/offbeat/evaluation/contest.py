"""What a method does on a ground: its replays, the injected events that it finds, and its figures for a table.

The gate and `offbeat compare` both judge by this.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offbeat.evaluation.evidence import Evidence
from offbeat.evaluation.ground import Ground
from offbeat.evaluation.replay import Method, Replay, replay, summarize
from offbeat.evaluation.trial import Trial, find_trials, quiet_rows
from offbeat.readings.messages import count
from offbeat.readings.series import series_hash
from offbeat.typing import BoolArray

HEADINGS = ("labelled found", "injected found", "false alarms", "promised", "in alarm", "VUS-PR")


@dataclass(frozen=True, eq=False)
class Shown:
    """What a method did.

    Attributes
    ----------
    replays : list of Replay
        One a stretch.
    injected : ndarray of shape (n_trials,), bool
        Which injected events it found.
    evidence : Evidence
        Over the labelled events and the injected ones.
    row : dict
        The fleet's metrics, and `n_injected`, `n_injected_found`, `allowed_false_alarms`, `alarm_share`, `over_budget`.
    """

    replays: list[Replay]
    injected: BoolArray
    evidence: Evidence
    row: dict[str, Any]


def show(method: Method, name: str, ground: Ground, trials: Sequence[Trial]) -> Shown:
    """Replay a method on every stretch and with every injected event; `name` is what a sentence calls it."""
    replays = [replay(method, stretch) for stretch in ground.stretches]
    injected = find_trials(method, trials, {one.asset: one.alarms for one in replays})
    quiet = [quiet_rows(stretch, ground.context, ground.delay) for stretch in ground.stretches]
    alarms = np.concatenate([one.alarms[rows] for one, rows in zip(replays, quiet, strict=True)])
    labelled = np.concatenate([one.found for one in replays])
    metrics = summarize(replays)[method.name]
    evidence = Evidence(
        name=name,
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
    return Shown(replays, injected, evidence, row)


def described(ground: Ground, shown: Shown, seed: int) -> dict[str, Any]:
    """Return what methods were compared on, in words, and a hash that changes with any of it; any `shown` tells."""
    digest = hashlib.sha256(json.dumps([seed, ground.window_size, ground.context, ground.delay]).encode())
    for one in ground.stretches:
        digest.update(series_hash(one.series).encode() + one.labelled.tobytes() + one.kept.tobytes())
    n_timesteps = sum(int(stretch.kept.sum()) for stretch in ground.stretches)
    n_labelled, n_injected = shown.evidence.n_labelled, len(shown.injected)
    return {
        "words": f"{count(n_timesteps, 'timestep')} of {count(len(ground.stretches), 'asset')}, "
        f"{count(n_labelled, 'labelled event')} and {count(n_injected, 'injected one')}",
        "hash": digest.hexdigest(),
        "seed": seed,
        "assets": [stretch.series.asset for stretch in ground.stretches],
        "n_labelled": n_labelled,
        "n_injected": n_injected,
    }


def by_kind(trials: Sequence[Trial], shown: Mapping[str, Shown]) -> list[dict[str, Any]]:
    """Return for each kind and strength of injected events `n`, and how many of them each method found."""
    rows = []
    for kind, strength in dict.fromkeys(sorted((trial.kind, trial.strength) for trial in trials)):
        own = np.array([(trial.kind, trial.strength) == (kind, strength) for trial in trials])
        found = {name: int(one.injected[own].sum()) for name, one in shown.items()}
        rows.append({"kind": kind, "strength": strength, "n": int(own.sum()), **found})
    return rows


def cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row's figures under `HEADINGS`."""
    texts = [
        f"{row['n_events_found']} of {row['n_events']}",
        f"{row['n_injected_found']} of {row['n_injected']}",
        f"{row['false_alarms']}",
        f"{row['allowed_false_alarms']:.1f}",
        f"{row['alarm_share']:.1%}",
        f"{row['vus_pr']:.3f}",
    ]
    return ["-" if text.startswith("nan") else text for text in texts]


def _allowed(metrics: Mapping[str, float]) -> float:
    """Return the false alarms to expect in the normal time by the promise or, where none is made, by the budget."""
    if "normal_days" in metrics:
        unit, normal = "day", metrics["normal_days"]
    else:
        unit, normal = "10000_timesteps", (metrics["n_timesteps"] - metrics["n_labelled"]) / 10_000
    promised = metrics[f"promised_false_alarms_per_{unit}"]
    return normal * (metrics[f"budget_false_alarms_per_{unit}"] if math.isnan(promised) else promised)
