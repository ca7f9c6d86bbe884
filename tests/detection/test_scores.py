"""Errors become one score per timestep; what was not read neither raises nor lowers it."""

from itertools import product

import naive
import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from offbeat.detection.scores import (
    LEAST_USUAL_ERROR,
    REST,
    Usual,
    anomaly_scores,
    channel_scores,
    channel_shares,
    errors_of,
    moving_mean,
    usual_errors,
)


def errors_with_missing(n, n_channels, missing, seed):
    rng = np.random.default_rng(seed)
    errors = rng.random((n, n_channels))
    errors[rng.random((n, n_channels)) < missing] = np.nan
    return errors


# --- errors of readings -----------------------------------------------------------------------------------------------

READINGS = np.array([[[5.0, 1.0]], [[2.0, np.nan]], [[-4.0, 3.0]]])  # (3, 1, 2)
BOUNDS = np.array([[1.0, 2.0, 4.0], [0.0, 1.0, 2.0]])  # below, middle and above of the two channels


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("signed", [[3, 0], [0, np.nan], [-6, 2]]),  # reading less the middle, 2 and 1
        ("squared", [[9, 0], [0, np.nan], [36, 4]]),
        ("absolute", [[3, 0], [0, np.nan], [6, 2]]),
        ("interval_width", [[3, 2], [3, np.nan], [3, 2]]),  # 4 - 1 and 2 - 0
        ("interval_exceedance", [[1, 0], [0, np.nan], [5, 1]]),  # 5 - 4, 1 - (-4), 3 - 2
        ("interval_score", [[13, 2], [3, np.nan], [53, 12]]),  # width + 2 / 0.2 x exceedance
    ],
)
def test_the_errors_of_estimates_with_bounds_are_those_worked_out_by_hand(kind, expected):
    estimates = np.broadcast_to(BOUNDS, (3, 1, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(errors_of(READINGS, estimates, kind)[:, 0], expected)
    if not kind.startswith("interval"):
        np.testing.assert_allclose(errors_of(READINGS, estimates[..., 1], kind)[:, 0], expected)


KINDS = ["signed", "squared", "absolute", "interval_width", "interval_exceedance", "interval_score"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_errors_of_estimates_are_those_of_the_plain_loops(kind):
    rng = np.random.default_rng(0)
    readings = errors_with_missing(60, 3, 0.3, seed=1).reshape(5, 12, 3).astype(np.float32)
    estimates = np.sort(rng.random((5, 12, 3, 3)), axis=-1).astype(np.float32)
    expected = naive.errors_of(readings, *np.moveaxis(estimates, -1, 0), kind)
    np.testing.assert_allclose(errors_of(readings, estimates, kind), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("missing", [0.0, 0.4, 1.0])
def test_the_error_of_a_window_is_that_of_the_plain_loops(missing):
    readings = errors_with_missing(60, 3, missing, seed=1).reshape(5, 12, 3)
    estimates = np.random.default_rng(0).random((5, 12, 3))
    errors = errors_of(readings, estimates, "window")
    for window, guess, error in zip(readings, estimates, errors, strict=True):
        np.testing.assert_allclose(error, naive.window_errors(window.tolist(), guess.tolist(), REST), rtol=1e-9)


def test_the_error_of_a_window_worked_out_by_hand():
    readings, estimates = np.array([[[1.0], [3.0], [np.nan]]]), np.array([[[1.0], [1.0], [9.0]]])
    # root of the mean of 0 and 2 to the fourth, over a standard deviation of 1 and the rest
    expected = np.sqrt(8) / (1 + REST)
    np.testing.assert_allclose(errors_of(readings, estimates, "window")[0, :, 0], [expected, expected, np.nan])


def test_on_average_the_true_deciles_have_the_lowest_interval_score():
    readings = np.random.default_rng(0).standard_normal((20_000, 1, 1))
    means = [
        errors_of(readings, np.broadcast_to([-half, 0, half], (20_000, 1, 1, 3)), "interval_score").mean()
        for half in (0.8, 1.1, 1.28155, 1.5, 2.0)
    ]
    assert int(np.argmin(means)) == 2


# --- smoothing --------------------------------------------------------------------------------------------------------


def test_the_moving_mean_is_that_of_the_plain_loops():
    for n, width, missing in product(range(1, 8), range(1, 10), (0.0, 0.5, 1.0)):
        values = errors_with_missing(n, 2, missing, seed=n)
        for cut, lead in product(range(1, n + 1), {0, width // 2, width - 1}):
            segments = [(0, cut), (cut, n)] if cut < n else [(0, n)]
            expected = naive.moving_mean(values.tolist(), segments, width, lead)
            np.testing.assert_allclose(moving_mean(values, segments, width, lead), expected, rtol=1e-12)


def test_an_error_leaves_no_trace_once_the_moving_mean_is_past_it():
    values = np.full((30, 1), 1e-9)
    values[3] = 1e12
    assert (moving_mean(values, [(0, 30)], 4)[7:] == moving_mean(values[7:], [(0, 23)], 4)).all()


# --- usual errors -----------------------------------------------------------------------------------------------------


def test_usual_errors_are_those_of_the_plain_loop():
    for pattern in product([False, True], repeat=6):
        errors = np.arange(6.0).reshape(3, 2) / 7
        errors[np.array(pattern).reshape(3, 2)] = np.nan
        np.testing.assert_allclose(usual_errors(errors).error, naive.usual_errors(errors.tolist(), LEAST_USUAL_ERROR))


def test_a_usual_error_is_never_too_small_to_divide_by():
    assert usual_errors(np.zeros((5, 2))).error.tolist() == [LEAST_USUAL_ERROR] * 2
    whitened = usual_errors(np.zeros((5, 2)), whitened=True)
    np.testing.assert_allclose(whitened.precision, np.eye(2) / LEAST_USUAL_ERROR)


def test_the_floor_is_added_to_every_usual_error():
    errors = errors_with_missing(50, 3, 0.3, seed=1)
    errors[:, 2] = 0
    plain, raised = usual_errors(errors).error, usual_errors(errors, floor=0.5).error
    np.testing.assert_allclose(raised, [plain[0] + 0.5, plain[1] + 0.5, 0.5])


def test_the_floor_counts_where_errors_are_whitened_too():
    errors = signed_errors(5000) / 100
    plain, raised = (usual_errors(errors, floor=floor, whitened=True) for floor in (0.0, 1e6))
    off = errors[:5] - plain.centre
    np.testing.assert_allclose(raised.relative(errors[:5]), off**2 / 1e6, rtol=0.01)  # no tie is left beside it
    assert (plain.relative(errors[:5]).sum(axis=1) > raised.relative(errors[:5]).sum(axis=1)).all()


def test_an_error_counts_in_units_of_the_channels_usual_error():
    assert Usual(np.array([0.1, 10.0])).relative(np.array([[0.2, 20.0]])).tolist() == [[2.0, 2.0]]


# --- whitening --------------------------------------------------------------------------------------------------------


def signed_errors(n=200, n_channels=4, seed=0, missing=0.0):
    """Errors that go together, of unlike size, around means that are not 0."""
    rng = np.random.default_rng(seed)
    errors = rng.standard_normal((n, n_channels)) @ rng.standard_normal((n_channels, n_channels))
    errors = errors * np.logspace(-1, 2, n_channels) + np.arange(n_channels)
    errors[rng.random(errors.shape) < missing] = np.nan
    return errors


@pytest.mark.parametrize(("n", "n_channels"), [(200, 4), (12, 4), (5, 6), (50, 1)])
def test_the_covariance_is_shrunk_as_ledoit_and_wolf_say(n, n_channels):
    errors = signed_errors(n, n_channels)
    usual = usual_errors(errors, whitened=True)
    spread = errors.std(axis=0)
    expected, _ = ledoit_wolf((errors - errors.mean(axis=0)) / spread, assume_centered=True)
    np.testing.assert_allclose(usual.centre, errors.mean(axis=0))
    covariance = np.linalg.inv(usual.precision) / np.outer(spread, spread)
    np.testing.assert_allclose(covariance, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_the_parts_of_the_channels_add_up_to_the_squared_mahalanobis_distance(n_channels):
    usual, errors = usual_errors(signed_errors(300, n_channels), whitened=True), signed_errors(40, n_channels, seed=1)
    parts = usual.relative(errors)
    assert parts.shape == errors.shape
    for row, part in zip(errors, parts, strict=True):
        off = row - usual.centre
        assert part.sum() == pytest.approx(
            sum(off[i] * usual.precision[i, j] * off[j] for i, j in np.ndindex(*usual.precision.shape))
        )


@pytest.mark.parametrize("missing", [0.0, 0.5, 0.95])
def test_whitened_errors_of_normal_readings_are_about_1_however_many_are_missing(missing):
    errors = signed_errors(5000, missing=missing)
    relative = usual_errors(errors, whitened=True).relative(errors)
    assert np.nanmean(relative) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("errors", [[[1.0, 1.0], [-1.0, -1.0]], [[3.0, 1.0]], [[2.0, 0.0], [2.0, 1.0], [2.0, 5.0]]])
def test_few_or_tied_errors_can_be_whitened(errors):
    usual = usual_errors(np.array(errors), whitened=True)
    assert (np.linalg.eigvalsh(usual.precision) > 0).all()
    assert np.isfinite(usual.relative(np.array(errors))).all()


def test_a_channel_that_never_errs_is_trusted_no_further_than_the_least_usual_error():
    errors = signed_errors(5000)
    errors[:, 1] = 0
    off = usual_errors(errors, whitened=True).centre.copy()
    off[1] = 0.01
    parts = usual_errors(errors, whitened=True).relative(off[None])
    assert parts.sum() == pytest.approx(0.01**2 / LEAST_USUAL_ERROR, rel=1e-6)


def test_a_missing_reading_has_no_part_and_counts_as_usual_in_those_of_the_others():
    usual, errors = usual_errors(signed_errors(), whitened=True), signed_errors(5, seed=1)
    filled = errors.copy()
    errors[2, 1], filled[2, 1] = np.nan, usual.centre[1]
    parts = usual.relative(errors)
    assert np.argwhere(np.isnan(parts)).tolist() == [[2, 1]]
    np.testing.assert_allclose(np.nan_to_num(parts), usual.relative(filled), atol=1e-9)
    assert np.nansum(parts, axis=1).min() >= 0


def test_missing_errors_leave_usual_ones_that_are_known():
    errors = signed_errors(missing=0.3)
    usual = usual_errors(errors, whitened=True)
    np.testing.assert_allclose(usual.centre, np.nanmean(errors, axis=0))
    np.testing.assert_allclose(usual.error, np.nanmean(errors**2, axis=0))
    assert (np.linalg.eigvalsh(usual.precision) > 0).all()
    errors[:, 2] = np.nan  # a channel that was never read
    assert np.isfinite(usual_errors(errors, whitened=True).precision).all()


def test_a_broken_tie_between_channels_stands_out_once_they_are_whitened():
    rng = np.random.default_rng(0)
    both = rng.standard_normal(500)
    errors = np.column_stack([both, both]) + rng.normal(0, 0.05, (500, 2))
    usual, broken = np.array([[1.0, 1.0]]), np.array([[1.0, -1.0]])
    plain, whitened = usual_errors(errors**2), usual_errors(errors, whitened=True)
    assert plain.relative(usual**2).sum() == pytest.approx(plain.relative(broken**2).sum())
    assert whitened.relative(broken).sum() > 100 * whitened.relative(usual).sum()


# --- scores and shares ------------------------------------------------------------------------------------------------


def test_shares_are_those_of_the_plain_loop():
    for seed, missing in product(range(5), (0.0, 0.5, 1.0)):
        by_channel = errors_with_missing(12, 3, missing, seed)
        for values in (by_channel, by_channel - 0.3):  # whitened parts may be below 0
            np.testing.assert_allclose(channel_shares(values), naive.channel_shares(values.tolist()))


def test_a_part_below_0_has_no_share():
    np.testing.assert_allclose(
        channel_shares(np.array([[3.0, -2.0, 1.0], [-1.0, -2.0, -3.0]])), [[0.75, 0, 0.25], [0] * 3]
    )


def test_shares_sum_to_1_where_there_is_a_score_and_to_0_where_there_is_none():
    by_channel = errors_with_missing(200, 3, 0.6, seed=3)
    scored = ~np.isnan(anomaly_scores(by_channel, "mean"))
    assert 0 < scored.sum() < 200
    np.testing.assert_allclose(channel_shares(by_channel).sum(axis=1), scored, atol=1e-12)


def test_the_score_is_the_mean_over_the_channels_that_have_one():
    by_channel = np.array([[1.0, 3.0, 8.0], [1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    for combine in ("mean", "whitened"):
        np.testing.assert_array_equal(anomaly_scores(by_channel, combine), [4.0, 2.0, np.nan])


def test_the_score_is_the_highest_of_the_channels_that_have_one():
    by_channel = np.array([[1.0, 3.0, 8.0], [1.0, np.nan, 3.0], [np.nan, np.nan, np.nan], [-3.0, -2.0, np.nan]])
    np.testing.assert_array_equal(anomaly_scores(by_channel, "max"), [8.0, 3.0, np.nan, -2.0])


@pytest.mark.parametrize("combine", ["mean", "max", "whitened"])
def test_the_score_does_not_change_with_channel_order(combine):
    normal, errors = signed_errors(), signed_errors(50, seed=1, missing=0.2)
    order = [2, 0, 3, 1]

    def scores(columns):
        usual = usual_errors(normal[:, columns], whitened=combine == "whitened")
        return anomaly_scores(channel_scores(usual.relative(errors[:, columns]), [(0, 50)], 5, 2), combine)

    np.testing.assert_allclose(scores([0, 1, 2, 3]), scores(order), rtol=1e-9)


@pytest.mark.parametrize("combine", ["mean", "max"])
def test_a_missing_reading_does_not_change_the_score_through_its_own_error(combine):
    errors = np.full((10, 2), 2.0)
    errors[5, 0] = np.nan
    for smoothing, lead in ((1, 0), (4, 1)):
        by_channel = channel_scores(Usual(np.ones(2)).relative(errors), [(0, 10)], smoothing, lead)
        assert anomaly_scores(by_channel, combine).tolist() == [2.0] * 10
