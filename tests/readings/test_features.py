"""Features of a snapshot: sines by hand, a plain transform as twin, and what has no value."""

import math

import naive
import numpy as np
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.features import check_bands, feature_names, snapshot_features

RNG = np.random.default_rng(7)
MEAN_ABS, RMS, PEAK, CREST, KURTOSIS, FIRST_BAND = range(6)


def sine(hertz, amplitude=1.0, sampling_hz=1000, n=1000):
    return amplitude * np.sin(2 * math.pi * hertz * np.arange(n) / sampling_hz)


def test_names_stand_channel_by_channel():
    assert feature_names(["x", "y"], [(0, 1000), (2.5, 1e6)]) == [
        f"{channel}_{feature}"
        for channel in "xy"
        for feature in (
            "mean_abs",
            "rms",
            "peak",
            "crest_factor",
            "kurtosis",
            "band_0_1000_hz",
            "band_2.5_1000000_hz",
        )
    ]


def test_a_sine_has_the_features_of_the_book():
    (features,) = snapshot_features(sine(50, amplitude=3, n=100_000, sampling_hz=100_000)[:, None], 100_000, [])
    # 2A/π, A/√2, A, √2; fourth moment 3A⁴/8 over (A²/2)² is 3/2
    np.testing.assert_allclose(features, [6 / math.pi, 3 / math.sqrt(2), 3, math.sqrt(2), 1.5], rtol=1e-6)


def test_a_tone_lies_in_the_band_of_its_frequency():
    tones = sine(50, amplitude=3) + sine(200, amplitude=4) + 5
    (features,) = snapshot_features(tones[:, None], 1000, [(0, 50), (50, 100), (100, 200), (200, 500), (0, 500)])
    # a tone's mean square is A²/2; the offset's is 5² at 0 Hz; a band begins with its lower frequency
    np.testing.assert_allclose(features[FIRST_BAND:], [25, 4.5, 0, 8, 37.5], atol=1e-12)


def test_the_band_at_the_top_includes_half_the_sampling_rate():
    (features,) = snapshot_features(np.tile([2.0, -2.0], 50)[:, None], 100, [(0, 50), (0, 49), (49, 50)])
    np.testing.assert_allclose(features[FIRST_BAND:], [4, 0, 4], atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 30, 31])
def test_features_equal_their_twin(n):
    samples = RNG.standard_normal((n, 3)) * [1, 0.01, 50] + [0, 2, -7]
    bands = [(0, n / 2), (0, n / 4)]  # sampled at n Hz, so that the lines of the spectrum lie 1 Hz apart
    expected = [
        naive.sensor_features(sensor) + [naive.band_energy(sensor, n, *band) for band in bands] for sensor in samples.T
    ]
    np.testing.assert_allclose(snapshot_features(samples, n, bands), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n", [2, 7, 100, 101])
def test_bands_over_the_whole_spectrum_add_up_to_the_mean_square(n):
    samples = RNG.standard_normal((n, 2)) + 0.3
    features = snapshot_features(samples, n, [(0, 0.5), (0.5, n / 2)])
    np.testing.assert_allclose(features[:, FIRST_BAND:].sum(axis=1), features[:, RMS] ** 2, rtol=1e-12)


def test_kurtosis_is_pearsons():
    stats = pytest.importorskip("scipy.stats", reason="scipy is no dependency of offbeat")
    samples = RNG.standard_t(5, (5000, 3))
    expected = stats.kurtosis(samples, axis=0, fisher=False, bias=True)
    np.testing.assert_allclose(snapshot_features(samples, 1000, [])[:, KURTOSIS], expected, rtol=1e-12)


def test_each_sensor_stands_on_its_own():
    samples = RNG.standard_normal((64, 3))
    alone = [snapshot_features(samples[:, [k]], 64, [(0, 10)])[0] for k in range(3)]
    np.testing.assert_allclose(snapshot_features(samples, 64, [(0, 10)]), alone, rtol=1e-12)


def test_samples_are_left_as_they_are():
    samples = RNG.standard_normal((64, 2))
    samples[3, 1] = np.nan
    before = samples.copy()
    snapshot_features(samples, 64, [(0, 10)])
    snapshot_features(np.asfortranarray(samples), 64, [(0, 10)])
    np.testing.assert_array_equal(samples, before)


def test_a_silent_sensor_has_no_crest_factor_and_no_kurtosis():
    (features,) = snapshot_features(np.zeros((10, 1)), 10, [(0, 5)])
    np.testing.assert_array_equal(features, [0, 0, 0, np.nan, np.nan, 0])


@pytest.mark.parametrize("value", [0.1, -3.0, 1e-8])  # the mean of many 0.1 is not exactly 0.1
def test_a_constant_sensor_has_no_kurtosis(value):
    (features,) = snapshot_features(np.full((1001, 1), value), 1001, [(0, 1), (1, 500)])
    np.testing.assert_allclose(features, [abs(value)] * 3 + [1, np.nan, value**2, 0], rtol=1e-12, atol=1e-30)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_without_a_value_takes_all_features_of_its_sensor(bad):
    samples = RNG.standard_normal((50, 2))
    alone = snapshot_features(samples[:, :1], 50, [(0, 25)])
    samples[7, 1] = bad
    features = snapshot_features(samples, 50, [(0, 25)])
    np.testing.assert_allclose(features[:1], alone, rtol=1e-12)
    assert np.isnan(features[1]).all()


def test_a_band_between_two_lines_of_the_spectrum_is_refused():
    with pytest.raises(ReadingsError, match=r"band 2\.2 to 2\.8 Hz lies between .* 10 samples at 10 Hz put 1 Hz apart"):
        snapshot_features(np.ones((10, 1)), 10, [(2.2, 2.8)])


@pytest.mark.parametrize(
    ("bands", "sampling_hz", "message"),
    [
        ([(0, 100), (100, 501)], 1000, r"band 100 to 501 Hz: .* may reach 500 Hz, half of sampling_hz=1000: lower"),
        ([(100, 100)], 1000, "band 100 to 100 Hz: a band goes from a lower to a higher frequency"),
        ([(-1, 100)], 1000, "band -1 to 100 Hz: .* not below 0"),
        ([(0, math.nan)], 1000, "band 0 to nan Hz"),
        ([(0, math.inf)], 1000, "band 0 to inf Hz"),
        ([(0, 5), (0, 5.0)], 1000, "band 0 to 5 Hz stands in bands_hz more than once: drop one"),
        ([], 0, "sampling_hz must be .* above 0, got 0"),
        ([], math.inf, "sampling_hz must be .* got inf"),
    ],
)
def test_bands_that_cannot_be_are_refused(bands, sampling_hz, message):
    with pytest.raises(ReadingsError, match=message):
        check_bands(bands, sampling_hz)


def test_bands_up_to_half_the_sampling_rate_pass():
    check_bands([(0, 250), (250, 500), (0, 500)], 1000)
