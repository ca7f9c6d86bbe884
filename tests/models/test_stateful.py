"""A stateful forecaster carries its state from chunk to chunk, and a forecast knows all of the past and no future."""

import numpy as np
import pytest

from offbeat.errors import ParamsError, ReadingsError
from offbeat.models.stateful import build_stateful, chunk_starts, future_readings, train_stateful
from offbeat.params import load_params

CHUNK = 8
TINY = {"units": 12, "horizon": 3, "epochs": 2, "steps_per_epoch": 10, "batch_size": 4}


def params(**changes):
    return load_params(changes={"train": {**TINY, **changes}}).train


def hum(n=320):
    """A sine of two channels, scaled."""
    return np.sin(np.arange(n)[:, None] / np.array([2.0, 3.0])).astype(np.float32)


@pytest.fixture(scope="module")
def trained():
    return train_stateful(hum(), 40, CHUNK, params())


@pytest.mark.parametrize(("n", "horizon", "n_channels"), [(1, 1, 1), (5, 2, 3), (4, 6, 2)])
def test_future_readings_are_those_of_the_loops(n, horizon, n_channels):
    readings = np.random.default_rng(0).standard_normal((n, n_channels))
    future = future_readings(readings, horizon)
    assert future.shape == (n, horizon, n_channels)
    for t in range(n):
        for step in range(horizon):
            later = t + 1 + step
            expected = readings[later] if later < n else np.full(n_channels, np.nan)
            np.testing.assert_array_equal(future[t, step], expected)


@pytest.mark.parametrize("n_streams", [1, 2, 3])
@pytest.mark.parametrize("first", [0, 1, 4])
def test_a_streams_next_chunk_begins_where_its_last_ended(n_streams, first):
    for n_timesteps in range(n_streams * 5 + first, 60):
        starts = chunk_starts(n_timesteps, n_streams, 5, first)
        read = [[t for start in stream for t in range(start, start + 5)] for stream in starts.T]
        together = [t for stream in read for t in stream]
        assert together == list(range(first, first + len(together)))  # each timestep once, streams one after another
        assert len({len(stream) for stream in read}) == 1
        assert n_timesteps - 5 * n_streams < first + len(together) <= n_timesteps  # no further chunk for all fits


def test_chunks_with_their_state_carried_forecast_as_the_whole_series_does():
    whole = build_stateful(2, params())
    chunked = build_stateful(2, params(), (1, CHUNK))
    readings = hum(4 * CHUNK)[None]
    parts = [np.asarray(chunked(readings[:, start : start + CHUNK])) for start in range(0, 4 * CHUNK, CHUNK)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), np.asarray(whole(readings)), rtol=0, atol=1e-5)
    again = np.asarray(chunked(readings[:, :CHUNK]))
    assert np.abs(again - parts[0]).max() > 1e-4  # from the state at the end, not from zeros


def test_a_forecast_stands_at_each_timestep(trained):
    assert trained.forecast(hum()).shape == (320, 3, 2)


def test_a_forecast_does_not_change_with_later_readings(trained):
    changed = hum()
    changed[200:] = 5
    before, after = trained.forecast(hum()), trained.forecast(changed)
    np.testing.assert_allclose(before[:200], after[:200], rtol=0, atol=1e-6)
    assert np.abs(before[200:] - after[200:]).max() > 0.01


def test_a_missing_reading_is_held():
    one = train_stateful(hum(), 40, CHUNK, params(epochs=1))
    holes, held = hum(), hum()
    holes[100, 1], held[100, 1] = np.nan, held[99, 1]
    np.testing.assert_array_equal(one.forecast(holes), one.forecast(held))


def test_the_same_seed_gives_the_same_weights(trained):
    again = train_stateful(hum(), 40, CHUNK, params())
    for one, other in zip(trained.keras_model.get_weights(), again.keras_model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_held_out_readings_are_not_learnt_from():
    other = hum()
    other[-40:] = 3
    once = {"epochs": 1, "steps_per_epoch": 3}  # fewer steps than a pass has: there is one pass to choose from
    one, two = (train_stateful(readings, 40, CHUNK, params(**once)) for readings in (hum(), other))
    assert len(one.held_out_losses) == 1
    for weights, others in zip(one.keras_model.get_weights(), two.keras_model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, others)


@pytest.mark.slow
def test_it_forecasts_a_pulse_whose_cycle_is_longer_than_a_chunk():
    pulses = np.zeros((1500, 1), dtype=np.float32)
    pulses[::12] = 1
    learning = params(units=16, horizon=1, epochs=10, steps_per_epoch=90, learning_rate=0.01)
    off = train_stateful(pulses, 100, CHUNK, learning).forecast(pulses)[:, 0] - future_readings(pulses, 1)[:, 0]
    # no chunk of 8 holds the pulse before the next one: who forgets is off by the variance, 1/12 · 11/12 = 0.076
    assert np.nanmean(np.square(off[-200:])) < 0.03


def test_too_few_readings_are_refused():
    with pytest.raises(ReadingsError, match="two chunks of 8 timesteps to learn from, got 15"):
        train_stateful(hum(20), 5, CHUNK, params())


@pytest.mark.parametrize(("key", "value"), [("cell", "gru"), ("direction", "both"), ("output", "quantiles")])
def test_another_kind_of_network_is_refused(key, value):
    with pytest.raises(ParamsError, match=f"train.{key}="):
        train_stateful(hum(), 40, CHUNK, params(**{key: value}))
