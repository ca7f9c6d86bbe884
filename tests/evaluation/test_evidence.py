"""A challenger is promoted for what it finds within its budget, beyond luck; else the champion stays."""

from itertools import product
from math import exp, factorial, nan

import numpy as np
import pytest

from offbeat.evaluation.evidence import Evidence, coin_tail, decide, finds_more, poisson_tail, ranks_better

N = 40


def evidence(found, *, name="it", n_labelled=10, false_alarms=0, allowed=3.0, alarm_share=0.0, vus_pr=0.5):
    """Return a method that found the events with these numbers, of N."""
    mask = np.isin(np.arange(N), list(found))
    return Evidence(name, mask, n_labelled, false_alarms, allowed, alarm_share, vus_pr)


def verdict(challenger, pca, champion=None):
    return decide(challenger, pca, champion, "stays")


# --- the rule ---------------------------------------------------------------------------------------------------------


def test_more_than_pca_and_more_than_the_champion_is_promoted():
    promote, reason = verdict(
        evidence(range(30)), evidence(range(20), name="PCA"), evidence(range(22), name="the champion")
    )
    assert promote
    assert reason == "promoted: finds 30 of 40 events, the champion 22 and PCA 20"


def test_without_a_champion_more_than_pca_is_enough():
    assert verdict(evidence(range(30)), evidence(range(20), name="PCA")) == (
        True,
        "promoted: finds 30 of 40 events, PCA 20",
    )


@pytest.mark.parametrize("champion", [None, evidence(range(5), name="the champion")])
@pytest.mark.parametrize("n_pca", [30, 35])
def test_no_more_than_pca_is_never_promoted(champion, n_pca):
    promote, reason = verdict(evidence(range(30), vus_pr=0.99), evidence(range(n_pca), name="PCA"), champion)
    assert not promote
    assert reason.startswith("stays: the challenger finds 30 of 40 events")
    assert reason.endswith(f"PCA {n_pca}; no more than PCA")


def test_one_event_more_than_pca_is_luck():
    promote, reason = verdict(evidence(range(31)), evidence(range(30), name="PCA"))
    assert not promote
    assert reason.endswith("no more than PCA beyond luck, and ranks no better by the labels")


def test_one_event_more_than_pca_and_a_better_ranking_is_enough():
    promote, reason = verdict(evidence(range(31), vus_pr=0.6), evidence(range(30), name="PCA", vus_pr=0.5))
    assert promote
    assert reason.endswith("PCA 30, within luck, but VUS-PR 0.600 against 0.500 of PCA")


def test_as_many_as_the_champion_keeps_it():
    same = evidence(range(30), name="the champion")
    promote, reason = verdict(evidence(range(30)), evidence(range(10), name="PCA"), same)
    assert not promote
    assert reason.endswith("no more than the champion beyond luck, and ranks no better by the labels")


def test_fewer_than_the_champion_keeps_it_however_well_it_ranks():
    better = evidence(range(30), name="the champion")
    promote, reason = verdict(evidence(range(20), vus_pr=0.99), evidence(range(5)), better)
    assert not promote
    assert reason.endswith("no more than the champion")


def test_where_both_find_as_many_the_better_ranking_is_promoted():
    champion = evidence(range(30), name="the champion", vus_pr=0.50)
    promote, reason = verdict(evidence(range(30), vus_pr=0.53), evidence(range(10)), champion)
    assert promote
    assert reason.endswith("within luck, but VUS-PR 0.530 against 0.500 of the champion")


@pytest.mark.parametrize(("vus_pr", "n_labelled"), [(0.51, 10), (nan, 0), (0.9, 4)])
def test_a_ranking_that_is_little_better_or_rests_on_few_labels_promotes_nothing(vus_pr, n_labelled):
    champion = evidence(range(30), vus_pr=0.5, n_labelled=n_labelled)
    challenger = evidence(range(30), vus_pr=vus_pr, n_labelled=n_labelled)
    assert not ranks_better(challenger, champion)
    assert not verdict(challenger, evidence(range(10)), champion)[0]


def test_a_challenger_over_its_budget_is_not_promoted():
    promote, reason = verdict(evidence(range(40), false_alarms=9), evidence([], name="PCA"))
    assert not promote
    assert reason == "stays: the challenger is over its false-alarm budget: 9 false alarms where 3.0 are promised"


def test_a_challenger_that_is_always_in_alarm_is_not_promoted():
    promote, reason = verdict(evidence(range(40), alarm_share=0.53), evidence([]))
    assert not promote
    assert reason.endswith("in alarm for 53% of the normal time")


def test_a_champion_over_its_budget_gives_way():
    champion = evidence(range(40), name="the champion", false_alarms=20)
    promote, reason = verdict(evidence(range(20)), evidence(range(5), name="PCA"), champion)
    assert promote
    assert "the champion none within its budget (20 false alarms where 3.0 are promised)" in reason


def test_pca_over_its_budget_is_no_bar():
    assert verdict(evidence(range(6)), evidence(range(40), alarm_share=0.2))[0]


def test_without_labels_the_injected_events_decide():
    mine, pca = (evidence(range(n), n_labelled=0, vus_pr=nan) for n in (30, 10))
    assert verdict(mine, pca)[0]


@pytest.mark.parametrize("n", [0, 4])
def test_too_few_events_promote_nobody(n):
    one, none = (Evidence("it", np.full(n, on), n, 0, 1.0, 0.0, 0.9) for on in (True, False))
    assert verdict(one, none) == (False, f"stays: {n} events to compare on, and fewer than 5 tell nothing from luck")


# --- its arithmetic ---------------------------------------------------------------------------------------------------


def test_five_to_none_is_more_than_luck_and_four_to_none_is_not():
    assert finds_more(evidence(range(5)), evidence([]))
    assert not finds_more(evidence(range(4)), evidence([]))


def test_only_events_that_one_of_the_two_finds_count():
    assert finds_more(evidence(range(35)), evidence(range(30)))
    assert not finds_more(evidence([*range(9)]), evidence([*range(20, 26)]))  # 9 to 6


@pytest.mark.parametrize("tosses", range(8))
def test_coin_tail_counts_the_ways_a_coin_can_fall(tosses):
    falls = [sum(way) for way in product((0, 1), repeat=tosses)]
    for heads in range(tosses + 1):
        assert coin_tail(heads, tosses) == pytest.approx(sum(fall >= heads for fall in falls) / len(falls))


@pytest.mark.parametrize("expected", [0.1, 3.0, 8.2])
@pytest.mark.parametrize("events", [0, 1, 5, 14])
def test_poisson_tail_is_what_its_terms_leave(events, expected):
    below = sum(expected**k * exp(-expected) / factorial(k) for k in range(events))
    assert poisson_tail(events, expected) == pytest.approx(1 - below)


def test_where_no_false_alarm_is_expected_one_is_over_and_none_is_not():
    assert evidence([], allowed=0.0).over_budget == ""
    assert evidence([], allowed=0.0, false_alarms=1).over_budget


def test_a_large_expectation_does_not_overflow():
    assert poisson_tail(10_000, 10_000.0) == pytest.approx(0.5, abs=0.01)


def test_without_a_quiet_row_no_share_of_alarm_is_held_against_a_method():
    assert evidence(range(9), alarm_share=nan).over_budget == ""
