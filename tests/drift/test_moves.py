"""How far chunks moved and how far they move by chance: hand-computed values, and plain loops."""

import naive
import numpy as np
import pytest
from scipy.stats import t as student

from offbeat.drift.moves import Columns, Usual, centres, moved, stretch_moves, usual_moves, worst_shares

NAN = np.nan


@pytest.fixture
def columns():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((12, 3))
    values[rng.random(values.shape) < 0.15] = NAN
    base = np.ones((12, 3), dtype=bool)
    base[9:, :2] = False
    return Columns(values, np.arange(12) % 2, base)


def test_a_centre_is_the_mean_of_each_part_of_the_day_in_the_base():
    values = np.array([[1.0], [10.0], [3.0], [20.0], [NAN], [99.0]])
    base = np.array([[True]] * 5 + [[False]])
    assert centres(Columns(values, np.array([0, 1] * 3), base)).tolist() == [[2.0], [15.0]]


def test_a_move_is_the_mean_distance_from_the_centre_of_the_same_part():
    centre = np.array([[2.0], [15.0]])
    assert moved(np.array([[3.0], [17.0]]), np.array([0, 1]), centre).tolist() == [1.5]


def test_of_fewer_than_half_of_the_chunks_no_move_is_told():
    centre = np.zeros((1, 1))
    phase = np.zeros(4, dtype=int)
    assert moved(np.array([[1.0], [3.0], [NAN], [NAN]]), phase, centre).tolist() == [2.0]
    assert np.isnan(moved(np.array([[1.0], [NAN], [NAN], [NAN]]), phase, centre)).all()


def test_a_part_of_the_day_that_the_reference_does_not_know_is_left_out():
    assert moved(np.array([[1.0], [50.0]]), np.array([0, 7]), np.zeros((1, 1))).tolist() == [1.0]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_stretches_are_compared_with_all_the_other_chunks(columns, size):
    np.testing.assert_allclose(stretch_moves(columns, size), naive.stretch_moves(columns, size))


def test_a_machine_moves_by_chance_as_its_group_does_or_more():
    # moves of single chunks against the others: 1.5, 0, -1.5 for 0, 1, 2 (scaled by 3/2 of the deviation from the mean)
    calm = Columns(np.array([[1.0], [0.0], [-1.0]]), np.zeros(3, dtype=int), np.ones((3, 1), dtype=bool))
    wild = Columns(np.array([[4.0], [0.0], [-4.0]]), np.zeros(3, dtype=int), np.ones((3, 1), dtype=bool))
    usual = usual_moves([calm, wild], [stretch_moves(one, 1) for one in (calm, wild)], 1)
    pooled = np.sqrt((2 * 1.5**2 + 2 * 6.0**2) / 6)
    np.testing.assert_allclose(usual.scale[:, 0], [pooled, np.sqrt(2 * 6.0**2 / 3)])
    assert usual.largest.tolist() == [6.0]
    assert usual.freedom.tolist() == [1.0]  # 3/2 - 1 of each


def test_a_limit_is_what_chance_allows_in_all_tests_together_but_never_less_than_was_seen_or_matters():
    usual = Usual(np.array([[1.0, 1.0, 0.01]]), np.array([0.5, 9.0, 0.02]), np.array([20.0, 20.0, 20.0]))
    wanted = student.ppf(1 - 0.05 / 2 / 10, 20)  # 3.15
    np.testing.assert_allclose(usual.limits(0.05, 10, 0.25), [[wanted, 9.0, 0.25]])


def test_the_worst_share_is_that_of_successive_chunks():
    assert worst_shares(np.array([0.0, 0.3, 0.1, NAN, 0.0]), 2) == pytest.approx(0.2)
    assert worst_shares(np.array([0.4]), 3) == pytest.approx(0.4)
