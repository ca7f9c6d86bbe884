"""Candidates compared where nothing is labelled: by the events of known kinds that each finds in the same readings.

The events are put into held-out normal rows that no candidate has learnt from, and each candidate looks for them at its
own threshold. Labelled events, where there are any, take no part in the choice: they tell how far to trust it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from offbeat.detection.detector import Detector
from offbeat.errors import ReadingsError
from offbeat.evaluation.contest import HEADINGS, Shown, by_kind, cells, described, show
from offbeat.evaluation.evidence import LEAST_EVENTS, LUCK, Evidence, finds_more
from offbeat.evaluation.ground import Ground, other_rule, shared_ground
from offbeat.evaluation.replay import UNTRAINED, network_method, simple_method
from offbeat.evaluation.trial import draw_trials
from offbeat.params import EvaluateParams
from offbeat.preparation import Prepared
from offbeat.progress import Report, counted, silent
from offbeat.readings.messages import count
from offbeat.typing import FloatArray

PCA = "pca"
FROM_LABELS = {"labelled found", "VUS-PR"}
LEAST_RANKS = 3  # two rankings of two either agree or do not, by chance
TRUST = (
    "How far to trust this: the injected events are simple. Each changes one channel in one of seven known ways, of a "
    "size fixed beforehand; a real fault that moves several channels, or none of these ways, may rank the candidates "
    "otherwise. What counts as luck here is which events were drawn, not how the training fell out: the same settings "
    "with another train.seed, as one more candidate, show how far that alone moves the figures. A real event in the "
    "test spans that nobody labelled counts as a false alarm. And the figures of whichever is chosen flatter it. "
    "Measured on labelled readings, large differences here were mostly those of the labels too, small ones hardly more "
    "often than a coin would have it (docs/compare.md)."
)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A trained and calibrated detector, the fleet as its params prepared it, and the seconds that took."""

    name: str
    detector: Detector
    fleet: Sequence[Prepared]
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison; `dataclasses.asdict` makes it a mapping that `files.write_json` can write.

    Attributes
    ----------
    replay : dict
        What was compared on: `words`, `hash`, `seed`, `assets`, `n_labelled`, `n_injected`.
    rows : dict of name to dict
        The candidates, `pca` and `untrained_network`, best first: the fleet's metrics, and `n_injected`,
        `n_injected_found`, `n_counted` (found within the budget), `allowed_false_alarms`, `alarm_share`, `over_budget`,
        `seconds` (NaN but for candidates).
    injected : list of dict
        `kind`, `strength`, `n`, and how many of them each row found.
    best : str
        Which is best, or why none is, in words.
    agreement : float
        Spearman's rank correlation of `n_counted` and VUS-PR over the rows; NaN where labels cannot tell.
    notes : list of str
        What the table does not say.
    """

    replay: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    injected: list[dict[str, Any]]
    best: str
    agreement: float
    notes: list[str]

    def blocks(self) -> list[str | list[list[str]]]:
        """Return what a person reads: paragraphs, and tables with their headings first."""
        over = [f"{name}: over its false-alarm budget: {row['over_budget']}" for name, row in self.rows.items()]
        over = [line for line, row in zip(over, self.rows.values(), strict=True) if row["over_budget"]]
        return [
            f"Compared on {self.replay['words']} (seed {self.replay['seed']}), best first:",
            self._table(),
            "Injected events found, by kind and strength, under the number of each row:",
            self._kinds(),
            *over,
            *self.notes,
            self.best,
            self._labels(),
            TRUST,
        ]

    def _table(self) -> list[list[str]]:
        shown = [k for k, heading in enumerate(HEADINGS) if self.replay["n_labelled"] or heading not in FROM_LABELS]
        table = [["#", "candidate", *(HEADINGS[k] for k in shown), "seconds to train"]]
        for number, (name, row) in enumerate(self.rows.items(), start=1):
            seconds = "-" if math.isnan(row["seconds"]) else f"{row['seconds']:.0f}"
            table.append([str(number), name, *(cells(row)[k] for k in shown), seconds])
        return table

    def _kinds(self) -> list[list[str]]:
        table = [["kind", "strength", "of", *(str(number) for number in range(1, len(self.rows) + 1))]]
        for kind in self.injected:
            found = [str(kind[name]) for name in self.rows]
            table.append([kind["kind"], f"{kind['strength']:g}", str(kind["n"]), *found])
        return table

    def _labels(self) -> str:
        n_labelled = self.replay["n_labelled"]
        if not n_labelled:
            return "No labelled event in the test spans: nothing real checks this choice."
        first = max(self.rows, key=lambda name: self.rows[name]["vus_pr"])
        by_labels = f"By VUS-PR over {count(n_labelled, 'labelled event')}, {first} ranks first"
        few = f"; so few (below {LEAST_EVENTS}) check little" if n_labelled < LEAST_EVENTS else ""
        if math.isnan(self.agreement):
            return f"{by_labels}{few}."
        agree = f"the two rankings of the {len(self.rows)} rows agree to {self.agreement:.2f} (Spearman; 1: the same)"
        return f"{by_labels}; {agree}{few}."


def compare(
    candidates: Sequence[Candidate],
    untrained: Detector | None,
    params: EvaluateParams,
    seed: int,
    report: Report = silent,
) -> Comparison:
    """Compare candidates on the events that each finds, with PCA and an untrained network beside them.

    Parameters
    ----------
    candidates : sequence of Candidate
        Of the same readings. PCA takes smoothing and threshold rule of the first.
    untrained : Detector or None
        Calibrated for the first candidate's fleet; None where it is no network.
    params : EvaluateParams
    seed : int
        Of the injected events: the same seed, the same events.
    report : callable, optional
        Takes each `Step`, in rows.

    Raises
    ------
    ReadingsError
        If no event can be put into the readings.
    StageError
        If no reading of an asset's test span has a score.
    """
    first = candidates[0]
    detectors = [one.detector for one in candidates]
    ground = shared_ground([one.fleet for one in candidates], detectors, params)
    trials = draw_trials(ground.stretches, ground.window_size, ground.context, ground.delay, seed)
    if not trials:
        raise ReadingsError(_no_room(ground))
    methods = [network_method(one.name, one.detector) for one in candidates]
    methods.append(simple_method("pca", first.detector, first.fleet, params))
    methods += [network_method(UNTRAINED, untrained)] if untrained else []
    replayed = counted(methods, report, "comparing", "rows")
    shown = {method.name: show(method, method.name, ground, trials) for method in replayed}
    ranking = ranked([by_injected(one) for one in shown.values()])
    seconds = {one.name: one.seconds for one in candidates}
    rows = {
        one.name: {**shown[one.name].row, "n_counted": one.n_found, "seconds": seconds.get(one.name, math.nan)}
        for one in ranking
    }
    agreement = rank_correlation([r["n_counted"] for r in rows.values()], [r["vus_pr"] for r in rows.values()])
    notes = [*ground.notes]
    for one in candidates[1:]:
        notes += other_rule(one.detector, first.detector, f"{one.name}: its", f"those of {first.name}")
    replay = described(ground, shown[first.name], seed)
    return Comparison(replay, rows, by_kind(trials, shown), in_words(ranking), agreement, notes)


def by_injected(shown: Shown) -> Evidence:
    """Return the evidence of the injected events alone: a choice that labels had a part in could not be checked."""
    return replace(shown.evidence, found=shown.injected, n_labelled=0)


def ranked(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the one that finds most within its budget first; those over it last, by what they find all the same."""
    return sorted(evidence, key=lambda one: (bool(one.over_budget), -int(one.found.sum())))


def in_words(ranking: Sequence[Evidence]) -> str:
    """Return which of several is best, or why none is.

    Notes
    -----
    The first is best if it finds more events than each other beyond luck, by the sign test of `evidence.finds_more`. To
    take the best of many is to take the luckiest, so that the chance `LUCK` is shared out over all pairs (Bonferroni).
    """
    leader, others = ranking[0], ranking[1:]
    n_events = len(leader.found)
    if n_events < LEAST_EVENTS:
        return f"No winner: of {count(n_events, 'event')}, fewer than {LEAST_EVENTS}, nothing is told from luck."
    if leader.over_budget:
        return (
            "No winner: every row is over its false-alarm budget, so that nothing it finds counts. Is normal in the "
            "test spans still what it was before? A longer prepare.calibration_share, or a larger budget, may help."
        )
    luck = LUCK / math.comb(len(ranking), 2)
    near = [other for other in others if not finds_more(leader, other, luck)]
    found = f"{leader.name} finds {leader.n_found} of {n_events} injected events"
    if not near:
        return f"Best: {found}, beyond luck more than every other; next: {others[0]}.{_simple([leader.name])}"
    close = ", ".join(str(other) for other in near)
    return (
        f"No winner: {found}, and luck explains its lead over {close}. Take the simplest or quickest of them."
        f"{_simple([leader.name, *(other.name for other in near)])}"
    )


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Return Spearman's rank correlation of two sequences; equal values share their mean rank.

    NaN for fewer than three pairs, a NaN among the values, or where one of the sequences never changes.
    """
    ranks = [_ranks(np.asarray(values, dtype=np.float64)) for values in (one, other)]
    if len(ranks[0]) < LEAST_RANKS or np.isnan(ranks).any() or min(np.ptp(rank) for rank in ranks) == 0:
        return math.nan
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    """Return how many values (n,) are below each, and half of how many are its equals; all NaN where one is NaN."""
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    below, same = (values < values[:, None]).sum(axis=1), (values == values[:, None]).sum(axis=1)
    ranks: FloatArray = below + 0.5 * same
    return ranks


def _simple(best: Sequence[str]) -> str:
    """Return what it means that a method without a trained network is among the best."""
    simple = [name for name in (PCA, UNTRAINED) if name in best]
    return f" Among the best: {' and '.join(simple)}; these events show no need of a trained network." if simple else ""


def _no_room(ground: Ground) -> str:
    if not ground.stretches:
        return f"no readings are left to compare on: {'; '.join(ground.notes)}: give more readings"
    return (
        f"the test spans have no room for injected events: one needs {ground.window_size} normal rows in a row, with "
        f"{ground.context} normal rows before and {ground.delay} after, in which some channel moves: give more "
        "readings, mark fewer rows, or compare shorter windows"
    )
