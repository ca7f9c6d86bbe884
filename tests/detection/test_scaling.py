"""Scaling measures each channel by how much it moves, and leaves missing readings missing."""

import numpy as np
import pytest

from offbeat.detection.scaling import Scaling, fit_scaling


def test_scaled_training_readings_have_mean_0_and_standard_deviation_1():
    values = np.random.default_rng(0).normal([5, -300], [0.01, 40], (500, 2))
    scaled = fit_scaling(values, clip=100).apply(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)


def test_missing_readings_are_left_out_of_the_fit_and_stay_missing():
    values = np.array([[1.0], [np.nan], [3.0]])  # mean 2, standard deviation 1
    scaling = fit_scaling(values, clip=10)
    np.testing.assert_array_equal(scaling.apply(values), [[-1], [np.nan], [1]])


def test_scaled_readings_are_clipped():
    scaling = Scaling(np.array([10.0]), np.array([2.0]), clip=3)
    assert scaling.apply(np.array([[0.0], [12.0], [99.0]])).ravel().tolist() == [-3, 1, 3]


def test_a_channel_that_stands_still_takes_the_usual_scale_of_the_fleet():
    values = np.full((50, 3), [0.1, 7.0, -4.0])  # the mean of many 0.1 is not 0.1
    scaling = fit_scaling(values, clip=10, usual_scale=np.array([2.5, 0.0, 3.0]))
    assert scaling.scale.tolist() == [2.5, 1.0, 3.0]
    assert fit_scaling(values, clip=10).scale.tolist() == [1, 1, 1]


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_the_unit_of_a_channel_does_not_matter(unit):
    values = np.random.default_rng(2).normal(0, 1, (100, 1))
    np.testing.assert_allclose(
        fit_scaling(values * unit, clip=10).apply(values * unit), fit_scaling(values, clip=10).apply(values), rtol=1e-5
    )
