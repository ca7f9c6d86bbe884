"""Candidates are ranked by the same injected events, and none wins where luck explains its lead."""

import json
from dataclasses import asdict, replace
from math import isnan, nan

import numpy as np
import pytest
from scipy.stats import spearmanr

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.runtime import Runtime
from offbeat.errors import ReadingsError
from offbeat.evaluation.comparison import TRUST, Candidate, compare, in_words, rank_correlation, ranked
from offbeat.evaluation.evidence import Evidence
from offbeat.files import write_json
from offbeat.models.export import export_network
from offbeat.models.recurrent import build_autoencoder
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder, Span

N_EVENTS, N = 114, 700
CHANGES = {
    "prepare": {"window_size": 8, "held_out_share": 0.25},
    "calibrate": {"delay": 3, "smoothing": 4, "merge_gap": 2, "false_alarms_per_week": 20},
    "evaluate": {"max_buffer": 4, "n_components": 2},
}
PARAMS = load_params(changes=CHANGES)


def evidence(name, n_found, *, missed_from=0, false_alarms=0, n_events=N_EVENTS):
    """Return a method that found `n_found` events in a row."""
    found = np.isin(np.arange(n_events), np.arange(missed_from, missed_from + n_found))
    return Evidence(name, found, 0, false_alarms, 3.0, 0.0, nan)


# --- the choice -------------------------------------------------------------------------------------------------------


def test_most_found_comes_first_and_whoever_is_over_budget_last():
    over = evidence("over", 114, false_alarms=30)
    ranking = ranked([evidence("some", 40), over, evidence("many", 80), evidence("none", 0)])
    assert [one.name for one in ranking] == ["many", "some", "none", "over"]


def test_of_those_that_find_as_many_the_one_given_first_comes_first():
    assert [one.name for one in ranked([evidence(name, 40) for name in "cab"])] == ["c", "a", "b"]


def test_a_lead_that_luck_does_not_explain_wins():
    words = in_words([evidence("a", 90), evidence("b", 60), evidence("pca", 10)])
    assert words == "Best: a finds 90 of 114 injected events, beyond luck more than every other; next: b 60."


def test_a_lead_that_luck_explains_wins_nothing():
    words = in_words([evidence("a", 90), evidence("b", 87), evidence("pca", 10)])
    assert words.startswith("No winner: a finds 90 of 114 injected events, and luck explains its lead over b 87.")
    assert "pca" not in words


def test_among_more_candidates_the_same_lead_must_be_larger_to_win():
    """Six events that only one finds: 1/64 in one toss series, below 0.05 / 3 but above 0.05 / 10."""
    few, many = [evidence("weak", 5)], [evidence(f"weak {k}", 5) for k in range(3)]
    assert in_words([evidence("a", 90), evidence("b", 84), *few]).startswith("Best: a")
    assert in_words([evidence("a", 90), evidence("b", 84), *many]).startswith("No winner: a")


def test_of_equal_candidates_one_is_called_best_no_more_often_than_luck_allows():
    rng = np.random.default_rng(0)
    n_best = 0
    for _ in range(300):
        equals = [replace(evidence(f"{k}", 0), found=rng.random(N_EVENTS) < 0.7) for k in range(6)]
        n_best += in_words(ranked(equals)).startswith("Best")
    assert n_best / 300 <= 0.05


@pytest.mark.parametrize("name", ["pca", "untrained_network"])
def test_a_simple_method_among_the_best_is_said(name):
    needless = f"Among the best: {name}; these events show no need of a trained network."
    assert in_words([evidence("a", 90), evidence(name, 88), evidence("b", 10)]).endswith(needless)
    assert in_words([evidence(name, 90), evidence("a", 40)]).endswith(needless)
    assert needless not in in_words([evidence("a", 90), evidence(name, 40)])


def test_where_every_one_is_over_its_budget_none_wins():
    words = in_words(ranked([evidence("a", 90, false_alarms=30), evidence("b", 60, false_alarms=30)]))
    assert words.startswith("No winner: every row is over its false-alarm budget")


def test_a_handful_of_events_tells_nothing():
    words = in_words([evidence("a", 4, n_events=4), evidence("b", 0, n_events=4)])
    assert words == "No winner: of 4 events, fewer than 5, nothing is told from luck."


# --- rank correlation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_correlation_is_spearman_s_ties_too(seed):
    one, other = np.random.default_rng(seed).integers(0, 6, (2, 9))
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)


def test_the_rank_correlation_by_hand():
    """Ranks 1 2 3 and 1 3 2: 1 - 6 * (0 + 1 + 1) / (3 * 8) = 0.5."""
    assert rank_correlation([1, 5, 9], [0.1, 0.9, 0.2]) == pytest.approx(0.5)


@pytest.mark.parametrize(("one", "other"), [([1, 2], [1, 2]), ([1, 2, 3], [4, 4, 4]), ([1, 2, 3], [1, nan, 2])])
def test_what_has_no_rank_correlation_is_nan(one, other):
    assert isnan(rank_correlation(one, other))


# --- the whole of it --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graphs():
    """Untrained networks by window size; for 8, another beside that of `graph`."""
    sizes = {"units": 4, "latent_size": 2, "position_size": 4, "linear_size": 0, "seed": 2}
    params = load_params(changes={"train": sizes}).train
    return {size: export_network(build_autoencoder(size, 3, params)) for size in (8, 16)}


@pytest.fixture
def folder_of(make_series):
    def make(labels=()):
        series = [make_series(N, asset=asset, seed=k) for k, asset in enumerate(("pump-1", "pump-2"))]
        values = series[0].values.copy()
        for start, stop in labels:
            values[start:stop] += [8, 100, 5]
        series[0] = replace(series[0], values=values)
        return Folder(
            tuple(series),
            tuple(Span("pump-1", series[0].index[start], series[0].index[stop - 1]) for start, stop in labels),
        )

    return make


@pytest.fixture
def candidate_of(graph):
    """Return a candidate around an untrained network: here only the judging matters."""

    def make(name, folder, network=None, **calibrate):
        runtime = Runtime(network or graph)
        params = load_params(
            changes={
                **CHANGES,
                "prepare": CHANGES["prepare"] | {"window_size": runtime.window_size},
                "calibrate": CHANGES["calibrate"] | calibrate,
            }
        )
        fleet = prepare_fleet(folder, params.prepare)
        section = params.calibrate.for_window(runtime.window_size)
        detector = assemble(network or graph, fleet[0].series, params.prepare, section, {})
        calibrate_fleet(detector, fleet)
        return Candidate(name, detector, fleet, 12.0)

    return make


@pytest.fixture
def compared(folder_of, candidate_of, graphs):
    """Three candidates, the second with another window, the third with another budget."""

    def make(labels=(), seed=3):
        folder = folder_of(labels)
        candidates = [
            candidate_of("base", folder),
            candidate_of("window", folder, graphs[16]),
            candidate_of("budget", folder, false_alarms_per_week=40),
        ]
        untrained = candidate_of("untrained", folder, graphs[8]).detector
        return compare(candidates, untrained, PARAMS.evaluate, seed)

    return make


def test_all_rows_rest_on_the_same_events_and_readings(compared):
    comparison = compared()
    rows = comparison.rows
    assert set(rows) == {"base", "window", "budget", "pca", "untrained_network"}
    for key in ("n_injected", "n_timesteps", "n_labelled", "n_events"):
        assert len({row[key] for row in rows.values()}) == 1
    assert comparison.replay["n_injected"] == sum(kind["n"] for kind in comparison.injected) > 0
    for name, row in rows.items():
        assert row["n_injected_found"] == sum(kind[name] for kind in comparison.injected)
        assert row["n_counted"] == (0 if row["over_budget"] else row["n_injected_found"])


def test_the_seconds_are_the_candidates_and_the_simple_methods_have_none(compared):
    rows = compared().rows
    assert [name for name, row in rows.items() if isnan(row["seconds"])] == [
        name for name in rows if name in ("pca", "untrained_network")
    ]


def test_a_candidate_with_another_budget_is_noted(compared):
    (note,) = compared().notes
    assert note.startswith("budget: its thresholds follow another rule than those of base")


def test_the_same_seed_gives_the_same_comparison_and_another_other_events(compared):
    one, same, other = compared(), compared(), compared(seed=4)
    assert json.dumps(asdict(one)) == json.dumps(asdict(same))
    assert one.replay["hash"] != other.replay["hash"]


def test_labels_are_no_part_of_the_ranking_and_stand_beside_it(compared):
    comparison = compared(labels=[(600, 610), (630, 640), (660, 670)])
    assert comparison.replay["n_labelled"] == 3
    counted = [row["n_counted"] for row in comparison.rows.values() if not row["over_budget"]]
    assert counted == sorted(counted, reverse=True)
    assert "of 117" not in comparison.best
    table, labels = comparison.blocks()[1], comparison.blocks()[-2]
    assert {"labelled found", "VUS-PR"} <= set(table[0])
    assert "By VUS-PR over 3 labelled events, " in labels
    assert labels.endswith("so few (below 5) check little.")


def test_without_labels_no_column_of_theirs_is_shown(compared):
    blocks = compared().blocks()
    assert blocks[1][0] == [
        "#",
        "candidate",
        "injected found",
        "false alarms",
        "promised",
        "in alarm",
        "seconds to train",
    ]
    assert blocks[-2:] == ["No labelled event in the test spans: nothing real checks this choice.", TRUST]


def test_tables_are_whole_and_the_kinds_stand_under_the_number_of_their_row(compared):
    comparison = compared()
    tables = [block for block in comparison.blocks() if not isinstance(block, str)]
    assert all({len(row) for row in table} == {len(table[0])} for table in tables)
    for number, name, *_ in tables[0][1:]:
        column = tables[1][0].index(number)
        assert sum(int(row[column]) for row in tables[1][1:]) == comparison.rows[name]["n_injected_found"]


def test_a_comparison_can_be_written_as_json(compared, tmp_path):
    comparison = compared()
    write_json(tmp_path / "comparison.json", asdict(comparison))
    assert json.loads((tmp_path / "comparison.json").read_text())["best"] == comparison.best


def test_readings_without_room_for_an_event_are_refused_with_the_remedy(folder_of, candidate_of):
    folder = folder_of([(start, start + 1) for start in range(570, N, 12)])
    folder = replace(folder, series=folder.series[:1])
    candidates = [candidate_of(name, folder) for name in "ab"]
    with pytest.raises(ReadingsError, match=r"one needs 8 normal rows in a row, with .* compare shorter windows"):
        compare(candidates, candidates[0].detector, PARAMS.evaluate, 3)
