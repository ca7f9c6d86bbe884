"""What a method did on a replay, and the rule by which that is enough to take the champion's place.

The counts are small, so nothing is decided by what could as well be luck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from offbeat.detection.thresholds import LARGEST_SHARE
from offbeat.typing import BoolArray

LUCK = 0.05  # what chance does more seldom than this is not taken for chance
LEAST_EVENTS = 5  # a fair coin falls the same way so often with a chance below LUCK: of fewer events nothing is told
VUS_PR_MARGIN = 0.02


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a method did on a replay.

    Attributes
    ----------
    name : str
        As a sentence has it: `PCA`, `the champion`.
    found : ndarray of shape (n_events,), bool
        Labelled events, then injected ones; the same events for every method.
    n_labelled : int
        How many of the events are labelled ones.
    false_alarms : float
    allowed : float
        False alarms to expect if the method's promise is kept.
    alarm_share : float
        In alarm, of the timesteps whose scores rest on normal readings alone; NaN if there are none.
    vus_pr : float
        NaN where nothing is labelled.
    """

    name: str
    found: BoolArray
    n_labelled: int
    false_alarms: float
    allowed: float
    alarm_share: float
    vus_pr: float

    @property
    def over_budget(self) -> str:
        """Why the method is over its false-alarm budget; empty where it is not."""
        if self.alarm_share > LARGEST_SHARE:
            return f"in alarm for {self.alarm_share:.0%} of the normal time"
        if poisson_tail(self.false_alarms, self.allowed) < LUCK:
            return f"{self.false_alarms:.0f} false alarms where {self.allowed:.1f} are promised"
        return ""

    @property
    def found_in_budget(self) -> BoolArray:
        """The events (n_events,) that count as found: none where the method is over its budget."""
        return np.zeros_like(self.found) if self.over_budget else self.found

    @property
    def n_found(self) -> int:
        """How many events count as found."""
        return int(self.found_in_budget.sum())

    def __str__(self) -> str:
        if self.over_budget:
            return f"{self.name} none within its budget ({self.over_budget})"
        return f"{self.name} {self.n_found}"


def decide(challenger: Evidence, pca: Evidence, champion: Evidence | None, stays: str) -> tuple[bool, str]:
    """Return whether to promote the challenger, and why in one line, which begins with `stays` if not.

    Notes
    -----
    The events are those labelled in the replay and those injected into its normal readings: a handful of labels alone
    does not tell which of two models is better.

    1. A method over its budget finds none. It is over if its promise, kept, would bring as many false alarms by chance
       more seldom than `LUCK` (Poisson), or if it is in alarm for more than `LARGEST_SHARE` of the normal time: alarms
       are counted, and one that never ends counts once.
    2. One is better than another if it finds more events: of those that only one of the two finds, a fair coin would
       give it as many more seldom than `LUCK` (sign test), so that a difference of one is none. Where both find as many
       within luck, it is better if its VUS-PR is higher by at least `VUS_PR_MARGIN`, over at least `LEAST_EVENTS`
       labelled events.
    3. The challenger must be better than PCA and than the champion, and however well it ranks, it must find more events
       than PCA. Else the champion stays: to change a model must bring something.
    """
    n_events = len(challenger.found)
    if n_events < LEAST_EVENTS:
        return False, f"{stays}: {n_events} events to compare on, and fewer than {LEAST_EVENTS} tell nothing from luck"
    if challenger.over_budget:
        return False, f"{stays}: the challenger is over its false-alarm budget: {challenger.over_budget}"
    others = [pca] if champion is None else [champion, pca]
    found = f"finds {challenger.found.sum()} of {n_events} events, {' and '.join(str(other) for other in others)}"
    if challenger.n_found <= pca.n_found:
        return False, f"{stays}: the challenger {found}; no more than {pca.name}"
    for other in others:
        if not better(challenger, other):
            how = "" if finds_more(other, challenger) else " beyond luck, and ranks no better by the labels"
            return False, f"{stays}: the challenger {found}; no more than {other.name}{how}"
    ranks = [f"{other.vus_pr:.3f} of {other.name}" for other in others if not finds_more(challenger, other)]
    by_rank = f", within luck, but VUS-PR {challenger.vus_pr:.3f} against {' and '.join(ranks)}" if ranks else ""
    return True, f"promoted: {found}{by_rank}"


def better(one: Evidence, other: Evidence) -> bool:
    """Return whether one finds more than the other or, where both find as many within luck, ranks better."""
    return finds_more(one, other) or (not finds_more(other, one) and ranks_better(one, other))


def finds_more(one: Evidence, other: Evidence, luck: float = LUCK) -> bool:
    """Return whether one finds more of the events within its budget than the other, beyond luck (sign test)."""
    only_one = int((one.found_in_budget & ~other.found_in_budget).sum())
    only_other = int((other.found_in_budget & ~one.found_in_budget).sum())
    return coin_tail(only_one, only_one + only_other) < luck


def ranks_better(one: Evidence, other: Evidence) -> bool:
    """Return whether one has the higher VUS-PR by the margin, over enough labelled events; never where it is NaN."""
    return one.n_labelled >= LEAST_EVENTS and one.vus_pr - other.vus_pr >= VUS_PR_MARGIN


def coin_tail(heads: int, tosses: int) -> float:
    """Return the chance that a fair coin falls heads up so often or more."""
    heads_or_more = sum(math.comb(tosses, k) for k in range(heads, tosses + 1))
    return float(heads_or_more / 2**tosses)


def poisson_tail(events: float, expected: float) -> float:
    """Return the chance of so many events or more where so many are expected."""
    if expected <= 0:
        return float(events <= 0)
    fewer = range(math.ceil(events))
    return 1.0 - math.fsum(math.exp(k * math.log(expected) - expected - math.lgamma(k + 1)) for k in fewer)
