"""The linear part starts as the principal components, and is added to what the network says."""

import numpy as np
import pytest

from offbeat.models.dense import build_dense
from offbeat.models.linear import components, linear_inputs, start_linear_part
from offbeat.models.recurrent import build_autoencoder
from offbeat.params import load_params

DEFAULTS = load_params().train
builders = pytest.mark.parametrize("build", [build_autoencoder, build_dense])


def small(build=build_autoencoder, n_channels=3, **changes):
    sizes = {"units": 5, "latent_size": 2, "position_size": 4, "linear_size": 0, "seed": 1}
    return build(8, n_channels, DEFAULTS.model_copy(update=sizes | changes))


def windows_of(n, window_size, n_channels, seed=0):
    return np.random.default_rng(seed).standard_normal((n, window_size, n_channels)).astype(np.float32)


def tied_rows(n_channels):
    rng = np.random.default_rng(0)
    return (rng.standard_normal((80, n_channels)) @ rng.standard_normal((n_channels, n_channels))).astype(np.float32)


def linear_alone(rows, linear_size, build=build_autoencoder):
    """An autoencoder whose other part says 0, its linear part started from rows."""
    return silenced(small(build, n_channels=rows.shape[1], linear_size=linear_size), rows)


def silenced(model, rows):
    """The same model, its linear part started from rows, the other saying 0."""
    start_linear_part(model, rows)
    other = model.get_layer("estimates")
    other.set_weights([np.zeros_like(weight) for weight in other.get_weights()])
    return model


@builders
@pytest.mark.parametrize(("n_channels", "linear_size"), [(2, 1), (5, 1), (5, 2), (8, 4)])
def test_the_linear_part_starts_as_the_projection_on_the_principal_components(build, n_channels, linear_size):
    rows, windows = tied_rows(n_channels), windows_of(4, 8, n_channels)
    axes = np.linalg.svd(rows)[2][:linear_size]  # (K, F)
    estimates = np.asarray(linear_alone(rows, linear_size, build)(windows))
    np.testing.assert_allclose(estimates, windows @ axes.T @ axes, rtol=0, atol=1e-5)


def test_of_two_channels_that_rise_together_the_linear_part_keeps_what_they_share():
    rows = np.array([[1, 1], [-2, -2], [0.1, -0.1]], dtype=np.float32)
    windows = np.tile(np.array([3, 1], dtype=np.float32), (1, 8, 1))
    np.testing.assert_allclose(np.asarray(linear_alone(rows, 1)(windows)), np.full((1, 8, 2), 2.0), atol=1e-6)


def test_a_missing_reading_counts_as_the_mean_where_the_linear_part_starts():
    rows = np.array([[np.nan, 2], [1, np.nan], [np.nan, np.nan]], dtype=np.float32)
    windows = np.tile(np.array([3, 1], dtype=np.float32), (1, 8, 1))
    np.testing.assert_allclose(np.asarray(linear_alone(rows, 1)(windows))[0, 0], [0, 1], atol=1e-6)


@builders
def test_of_whole_windows_it_starts_as_the_projection_on_their_principal_components(build):
    known, windows = windows_of(60, 8, 3) @ tied_rows(3)[:3], windows_of(4, 8, 3, seed=1)
    flat = known.reshape(60, 24)
    axes = np.linalg.svd(flat)[2][:5]  # (K, W F)
    model = silenced(small(build, linear_size=5, linear_scope="window"), flat)
    expected = (windows.reshape(4, 24) @ axes.T @ axes).reshape(4, 8, 3)
    np.testing.assert_allclose(np.asarray(model(windows)), expected, rtol=0, atol=1e-5)


@builders
@pytest.mark.parametrize("scope", ["timestep", "window"])
def test_the_linear_part_says_nothing_before_it_is_started(build, scope):
    windows = windows_of(4, 8, 3)
    started = small(build, linear_size=2, linear_scope=scope)
    assert np.array_equal(np.asarray(started(windows)), np.asarray(small(build)(windows)))


@builders
@pytest.mark.parametrize("output", ["mean", "quantiles", "dropout"])
def test_the_estimates_are_the_sum_of_both_parts_and_all_bounds_move_alike(build, output):
    model, windows = small(build, n_channels=4, linear_size=2, output=output), windows_of(4, 8, 4)
    code, part = model.get_layer("linear_code").get_weights()[0], windows_of(1, 2, 4)[0]
    model.get_layer("linear_part").set_weights([part])
    linear = windows @ code @ part
    expected = np.asarray(small(build, n_channels=4, output=output)(windows)) + (
        linear if output == "mean" else linear[..., None]
    )
    np.testing.assert_allclose(np.asarray(model(windows)), expected, rtol=0, atol=1e-5)


@builders
def test_a_network_without_a_linear_part_has_nothing_of_it(build):
    assert not linear_inputs(small(build))
    assert linear_inputs(small(build, linear_size=1)) == 3
    assert linear_inputs(small(build, linear_size=1, linear_scope="window")) == 24
    assert not any("linear" in layer.name for layer in small(build).layers)


@builders
@pytest.mark.parametrize(
    ("n_channels", "linear_size", "expected"), [(1, 1, 0), (2, 9, 1), (3, 50, 1), (8, 50, 4), (8, 3, 3)]
)
def test_the_linear_part_is_at_most_as_wide_as_half_of_the_channels(build, n_channels, linear_size, expected):
    model = small(build, n_channels=n_channels, linear_size=linear_size)
    codes = [layer.units for layer in model.layers if layer.name == "linear_code"]
    assert codes == ([expected] if expected else [])


@builders
@pytest.mark.parametrize(
    ("n_channels", "linear_size", "expected"), [(1, 9, 0), (2, 9, 4), (3, 50, 6), (8, 50, 16), (8, 3, 3)]
)
def test_of_whole_windows_it_is_at_most_as_wide_as_a_quarter_of_their_readings(
    build, n_channels, linear_size, expected
):
    model = small(build, n_channels=n_channels, linear_size=linear_size, linear_scope="window")
    codes = [layer.units for layer in model.layers if layer.name == "linear_code"]
    assert codes == ([expected] if expected else [])


def test_fewer_rows_than_numbers_have_the_same_components_and_none_beyond_their_number():
    rows = windows_of(1, 5, 12)[0]
    axes = components(rows, 8)
    assert not axes[:, 5:].any()
    expected = np.linalg.svd(rows, full_matrices=False)[2].T
    np.testing.assert_allclose(np.abs(axes[:, :5]), np.abs(expected), rtol=0, atol=1e-5)


def test_rows_of_which_one_repeats_another_have_one_component_less():
    rows = windows_of(1, 3, 12)[0]
    assert not components(np.concatenate([rows, rows]), 6)[:, 3:].any()


def test_components_are_orthogonal_and_the_strongest_come_first():
    rows = tied_rows(6)
    axes = components(rows, 4)
    np.testing.assert_allclose(axes.T @ axes, np.eye(4), atol=1e-12)
    strengths = np.square(rows @ axes).sum(axis=0)
    assert (np.diff(strengths) < 0).all()
    np.testing.assert_allclose(strengths, np.square(np.linalg.svd(rows)[1][:4]), rtol=1e-4)
