"""Readings scored stretch by stretch, and readings that come in pieces, score as all at once: to the last bit."""

import warnings
from itertools import pairwise

import naive
import numpy as np
import pytest

from offbeat.detection import result as result_module
from offbeat.detection import streaming
from offbeat.detection.running import Rows, Running
from offbeat.detection.runtime import Runtime
from offbeat.detection.streaming import joined, stretches_of
from offbeat.errors import ModelError, ReadingsError
from offbeat.params import load_params

# stride, delay, smoothing; as in the tests of the detector
WAYS = [(1, 0, 1), (1, 0, 4), (1, 6, 4), (2, 1, 1), (3, 4, 5), (3, 7, 2), (4, 7, 3), (8, 7, 1)]
ways = pytest.mark.parametrize(("stride", "delay", "smoothing"), WAYS)
GAPS = [(40, 42), (70, 90), (96, 101), (150, 155)]  # a short one that is filled; a segment shorter than a window
PREPROCESSINGS = [
    {},
    {"difference": 1},
    {"transform": "log", "season": "week", "difference": 1, "scaling": "robust"},
    {"season": "day", "scaling": "min_max"},
]


@pytest.fixture
def alarming(make_detector, make_series):
    """A detector whose threshold a fifth of normal timesteps exceed."""

    def make(timed=True, **changes):
        detector = make_detector(make_series(timed=timed), **changes)
        return detector.calibrate(make_series(timed=timed), method="quantile", quantile=0.8)

    return make


@pytest.fixture
def short_stretches(monkeypatch):
    """Stretches of a few dozen timesteps, and results that keep nothing of the size of the readings."""
    monkeypatch.setattr(streaming, "STRETCH_READINGS", 60)
    monkeypatch.setattr(streaming, "FEWEST_REACHES", 1)
    monkeypatch.setattr(result_module, "MOST_SHARES", 0)


def cut(series, size, first=0):
    edges = [0, *range(first or size, series.n_timesteps, size), series.n_timesteps]
    return [series.rows(start, stop) for start, stop in pairwise(edges)]


def together(parts):
    return {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("stamps", "scores", "alarms", "settled", "channel_shares")
    }


def compare_pieces(detector, series, sizes=(1, 7, 50)):
    whole = detector.score(series)
    assert whole.alarms.any()
    assert not whole.alarms.all()
    for size in sizes:
        parts = list(detector.score_pieces(series.asset, cut(series, size, first=size // 2)))
        assert len(parts) > 3
        for name, values in together(parts).items():
            np.testing.assert_array_equal(values, getattr(whole, name), err_msg=name)
        assert tuple(event for part in parts for event in part.events) == whole.events
        assert {part.threshold for part in parts} == {whole.threshold}


# --- stretches --------------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("prepare", PREPROCESSINGS)
def test_stretches_score_as_the_whole(alarming, make_series, monkeypatch, stride, delay, smoothing, prepare):
    detector = alarming(prepare=prepare, stride=stride, delay=delay, smoothing=smoothing)
    series = make_series(300, seed=1, gaps=GAPS, missing=0.05)
    whole = detector.score(series)
    for fewest in (1, 2):
        monkeypatch.setattr(streaming, "STRETCH_READINGS", 0)
        monkeypatch.setattr(streaming, "FEWEST_REACHES", fewest)
        stretched = detector.score(series)
        np.testing.assert_allclose(stretched.scores, whole.scores, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(stretched.channel_shares, whole.channel_shares, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(stretched.settled, whole.settled)
        assert [(event.start, event.stop) for event in stretched.events] == [(e.start, e.stop) for e in whole.events]


@pytest.mark.usefixtures("short_stretches")
def test_every_row_is_in_one_stretch_in_order(alarming, make_series):
    detector, series = alarming(), make_series(500, seed=1, gaps=GAPS)
    for size in (1, 13, 500):
        stretches = list(stretches_of(detector, cut(series, size)))
        assert len(stretches) > 3
        stamps = np.concatenate([stretch.series.stamps[stretch.rows] for stretch in stretches])
        np.testing.assert_array_equal(stamps, series.stamps)
        begins = np.concatenate([stretch.begins for stretch in stretches])
        np.testing.assert_array_equal(np.flatnonzero(begins), series.segment_starts)
        assert [stretch.is_last for stretch in stretches] == [False] * (len(stretches) - 1) + [True]


@pytest.mark.usefixtures("short_stretches")
def test_a_stretch_does_not_grow_with_the_readings(alarming, make_series):
    detector = alarming()
    longest = [
        max(one.series.n_timesteps for one in stretches_of(detector, cut(make_series(n, seed=1), 20)))
        for n in (400, 4000)
    ]
    assert longest[0] == longest[1] < 200


def test_pieces_laid_together_are_the_series(make_series):
    series = make_series(200, seed=1, gaps=GAPS)
    for size in (1, 7, 50):
        one = joined(cut(series, size))
        for name in ("values", "stamps", "segment_starts"):
            np.testing.assert_array_equal(getattr(one, name), getattr(series, name))


# --- pieces -----------------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.usefixtures("short_stretches")
def test_pieces_give_exactly_the_result_of_the_whole(alarming, make_series, stride, delay, smoothing, timed):
    detector = alarming(timed=timed, stride=stride, delay=delay, smoothing=smoothing)
    compare_pieces(detector, make_series(300, seed=1, gaps=GAPS, missing=0.05, timed=timed))


@pytest.mark.parametrize("prepare", PREPROCESSINGS)
@pytest.mark.usefixtures("short_stretches")
def test_pieces_of_preprocessed_readings_give_exactly_the_result_of_the_whole(alarming, make_series, prepare):
    detector = alarming(prepare=prepare, stride=3, delay=4, smoothing=5)
    compare_pieces(detector, make_series(300, seed=1, gaps=GAPS, missing=0.05))


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("recurrent_forecaster", {"error": "window", "delay": 4}),
        ("dense_autoencoder", {"combine": "whitened", "delay": 5}),
        ("dense_autoencoder", {"combine": "max", "merge_gap": 40}),
    ],
)
@pytest.mark.usefixtures("short_stretches")
def test_pieces_give_exactly_the_result_of_the_whole_whatever_the_model(alarming, make_series, model, changes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what TensorFlow says at import is not ours
        from offbeat.models.export import export_network
        from offbeat.models.network import BUILDERS

        sizes = {"model": model, "units": 6, "latent_size": 3, "position_size": 4, "horizon": 3}
        sections = {"train": sizes, "prepare": {"window_size": 8}, "calibrate": {"delay": 0, "smoothing": 1}}
        graph = export_network(BUILDERS[model](8, 3, load_params(changes=sections).train, 0))
    compare_pieces(alarming(runtime=Runtime(graph), **changes), make_series(300, seed=1, gaps=GAPS, missing=0.05))


@pytest.mark.usefixtures("short_stretches")
def test_shares_of_a_long_series_are_made_anew_when_asked_for(alarming, make_series):
    detector, series = alarming(), make_series(300, seed=1)
    result = detector.score(series)
    kept = detector.score_pieces("pump-1", [series])
    np.testing.assert_array_equal(result.channel_shares, together(list(kept))["channel_shares"])
    assert result.channel_shares is result.channel_shares


@pytest.mark.usefixtures("short_stretches")
def test_what_is_wrong_with_a_piece_shows_at_its_place(alarming, make_series):
    detector, series = alarming(), make_series(400, seed=1)
    wrong = make_series(100, seed=1, channels=("flow", "temp"))
    given = []
    with pytest.raises(ModelError, match="missing here: speed"):
        given += detector.score_pieces("pump-1", [*cut(series, 50), wrong])
    with pytest.raises(ModelError, match="'pump-9' was never calibrated"):
        next(detector.score_pieces("pump-9", [series]))


@pytest.mark.usefixtures("short_stretches")
def test_pieces_without_a_window_are_refused_at_the_end_as_the_whole_is(alarming, make_series):
    detector = alarming()
    series = make_series(300, seed=1, gaps=[(k, k + 5) for k in range(6, 300, 11)])
    with pytest.raises(ReadingsError) as whole:
        detector.score(series)
    with pytest.raises(ReadingsError) as pieces:
        list(detector.score_pieces("pump-1", cut(series, 20)))
    assert str(pieces.value) == str(whole.value)


# --- alarms of scores that come part by part --------------------------------------------------------------------------


def rows_of(scores, begins, rng):
    n = len(scores)
    return Rows(np.arange(n) * 10, scores, rng.random((n, 2)), np.ones(n, dtype=bool), begins)


def test_alarms_of_parts_are_those_of_the_plain_loops():
    rng = np.random.default_rng(0)
    for trial in range(300):
        n, merge_gap, size = int(rng.integers(1, 30)), int(rng.integers(0, 5)), int(rng.integers(1, 8))
        scores = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
        begins = rng.random(n) < 0.1
        begins[0] = True
        rows, running = rows_of(scores, begins, rng), Running(0.7, merge_gap)
        found, spells = [], []
        for start in range(0, n, size):
            known, alarms, ended = running.take(rows.cut(start, start + size), is_last=start + size >= n)
            assert len(known.scores) == len(alarms)
            found += alarms.tolist()
            spells += ended
        starts = np.flatnonzero(begins).tolist()
        events = naive.merge_events(naive.events_of((scores > 0.7).tolist(), starts), merge_gap, starts)
        assert np.flatnonzero(found).tolist() == [t for start, stop in events for t in range(start, stop)], trial
        assert [[one.start, one.stop] for one in spells] == events
        for one in spells:
            inside = slice(one.start, one.stop)
            weights = np.where(scores[inside] > 0.7, scores[inside], 0.0)
            assert one.peak == np.nanmax(scores[inside])
            assert (one.first_stamp, one.last_stamp) == (10 * one.start, 10 * (one.stop - 1))
            np.testing.assert_allclose(one.shares, weights @ rows.shares[inside])


def test_a_row_is_held_back_only_while_a_pause_may_belong_to_an_alarm():
    rng, running = np.random.default_rng(0), Running(0.5, 2)
    begins = np.zeros(1, dtype=bool)
    n_known = [
        len(running.take(rows_of(np.array([score]), begins, rng))[0].scores) for score in (0, 1, 0, 0, 0, 1, 0, 1)
    ]
    assert n_known == [1, 1, 0, 0, 3, 1, 0, 2]
