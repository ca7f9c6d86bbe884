"""The gate: may a new model take the champion's place?

Challenger, champion and PCA replay the same readings and look for the same events, each at its own threshold;
`evidence.decide` holds the rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offbeat.detection.detector import Detector
from offbeat.evaluation.contest import HEADINGS, by_kind, cells, described, show
from offbeat.evaluation.evidence import decide
from offbeat.evaluation.ground import Champion, common_ground
from offbeat.evaluation.replay import Replay, network_method, simple_method
from offbeat.evaluation.trial import draw_trials
from offbeat.params import EvaluateParams
from offbeat.preparation import Prepared
from offbeat.progress import Report, counted, silent

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
        return [["", *HEADINGS], *([name, *cells(row)] for name, row in self.rows.items())]


def gate(
    fleet: Sequence[Prepared],
    challenger: Detector,
    champion: Champion | None,
    params: EvaluateParams,
    seed: int,
    report: Report = silent,
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
    report : callable, optional
        Takes each `Step`, in methods.

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
    methods = [network_method(CHALLENGER, challenger), simple_method("pca", challenger, fleet, params)]
    if ground.champion is not None:
        methods.append(network_method(CHAMPION, ground.champion.detector))
    replayed = counted(methods, report, "comparing", "methods")
    shown = {method.name: show(method, NAMES[method.name], ground, trials) for method in replayed}
    own, theirs = shown[CHALLENGER], shown.get(CHAMPION)
    promote, reason = decide(own.evidence, shown[PCA].evidence, theirs.evidence if theirs else None, stays)
    if theirs is not None and _same(own.replays, theirs.replays):
        promote, reason = False, f"{stays}: the challenger gives the same scores and thresholds"
    rows = {name: one.row for name, one in shown.items()}
    return Verdict(promote, reason, described(ground, own, seed), rows, by_kind(trials, shown), ground.notes)


def _same(replays: Sequence[Replay], others: Sequence[Replay]) -> bool:
    return all(
        one.threshold.value == other.threshold.value and np.array_equal(one.scores, other.scores, equal_nan=True)
        for one, other in zip(replays, others, strict=True)
    )
