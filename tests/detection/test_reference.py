"""What a detector keeps of its readings: which rows count for what, and that it comes back as it was."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from offbeat.detection import storage
from offbeat.detection.chunks import MINUTE
from offbeat.detection.detector import Detector
from offbeat.detection.reference import reference_of, references_from_bytes, references_to_bytes
from offbeat.errors import ModelError


def reference(series, normal=None, n_trained=1000, n_learnt=800):
    scores = np.linspace(1, 2, series.n_timesteps)
    normal = np.ones(series.n_timesteps, dtype=bool) if normal is None else normal
    return reference_of(series, normal, scores, n_trained, n_learnt)


def test_training_chunks_are_those_before_the_end_of_the_training_span(make_series):
    series = make_series(1400)  # 9.7 days from 00:10, in chunks of 6 hours
    kept = reference(series)
    assert kept.measure.length == 360 * MINUTE
    assert len(kept.trained) == 39
    assert kept.trained.sum() == 27  # row 1000 lies in chunk 27, which is of both spans
    assert kept.until == series.stamps[-1]


def test_scores_count_where_the_network_had_not_seen_the_readings(make_series):
    kept = reference(make_series(1400))
    known = ~np.isnan(kept.chunks.scores)
    assert known.tolist() == [False] * 22 + [True] * 17  # from row 800, in chunk 22: more than half of it


def test_rows_that_are_not_normal_leave_no_trace(make_series):
    series = make_series(1400)
    normal = np.ones(1400, dtype=bool)
    normal[100:400] = False
    spoilt = series.values.copy()
    spoilt[100:400] = 1e6
    one, other = reference(series, normal), reference(replace(series, values=spoilt), normal)
    np.testing.assert_array_equal(one.chunks.statistics, other.chunks.statistics)
    np.testing.assert_array_equal(one.measure.high, other.measure.high)
    assert len(one.trained) == 39 - 8  # chunks without a normal row, or with fewer than half, are left out


def test_too_few_readings_or_none_of_a_channel_make_no_reference(make_series):
    assert reference(make_series(1400), np.zeros(1400, dtype=bool)) is None
    assert reference(make_series(80), n_trained=60, n_learnt=50) is None
    series = make_series(1400)
    values = series.values.copy()
    values[:1000, 1] = np.nan
    assert reference(replace(series, values=values)) is None


def test_a_reference_comes_back_as_it_was_and_as_the_same_bytes(make_series):
    kept = {"pump 1/ж": reference(make_series(1400)), "b": reference(make_series(1400, seed=2, timed=False))}
    content = references_to_bytes(kept)
    assert content == references_to_bytes(kept)
    back = references_from_bytes(content)
    assert list(back) == list(kept)
    for asset, one in kept.items():
        other = back[asset]
        assert (one.until, one.measure.length) == (other.until, other.measure.length)
        for part in ("measure", "chunks"):
            for name, values in vars(getattr(one, part)).items():
                np.testing.assert_allclose(getattr(getattr(other, part), name), values, rtol=1e-6)
        np.testing.assert_array_equal(one.trained, other.trained)


def test_a_machine_that_is_calibrated_later_gets_a_reference(make_detector, make_series):
    detector = make_detector(make_series(1400))
    reference = detector.assets["pump-1"].reference
    assert reference.trained.sum() == 19  # of the first half of the span: 700 rows
    before = reference
    detector.calibrate(make_series(1400, seed=5))
    assert detector.assets["pump-1"].reference is before  # a new threshold is no new normal


def test_a_saved_reference_is_read_where_somebody_looks_at_it(make_detector, make_series, tmp_path, monkeypatch):
    detector = make_detector(make_series(1400)).calibrate(make_series(1400, asset="pump-2", seed=2))
    detector.save(tmp_path / "model")
    read = []
    real = storage.references_from_bytes
    monkeypatch.setattr(storage, "references_from_bytes", lambda content: read.append(content) or real(content))
    loaded = Detector.load(tmp_path / "model")
    loaded.score(make_series(100))
    assert read == []
    for asset, known in detector.assets.items():
        np.testing.assert_allclose(
            loaded.assets[asset].reference.chunks.statistics, known.reference.chunks.statistics, rtol=1e-6
        )
    assert len(read) == 1


def test_a_pickled_reference_takes_no_other_along(make_detector, make_series, tmp_path):
    sizes = []
    detector = make_detector(make_series(1400))
    for number in range(2, 5):
        detector.calibrate(make_series(1400, asset=f"pump-{number}", seed=number)).save(tmp_path / "model")
        one = Detector.load(tmp_path / "model").assets["pump-1"].reference
        assert one.until  # looked at
        content = pickle.dumps(one)
        np.testing.assert_array_equal(pickle.loads(content).chunks.statistics, one.chunks.statistics)
        sizes.append(len(content))
    assert len(set(sizes)) == 1


def test_a_reference_of_another_detector_is_not_taken_for_it(make_detector, make_series, tmp_path):
    make_detector(make_series(1400)).save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    make_detector(make_series(1400, seed=3)).save(tmp_path / "model")
    with pytest.raises(ModelError, match=r"reference\.npz: another one since the detector was loaded: load it again"):
        _ = loaded.assets["pump-1"].reference.until
    (tmp_path / "model" / "reference.npz").unlink()
    with pytest.raises(ModelError, match=r"reference\.npz: gone since the detector was loaded"):
        _ = loaded.assets["pump-1"].reference.until


def test_a_detector_may_be_saved_where_it_was_loaded(make_detector, make_series, tmp_path):
    make_detector(make_series(1400)).save(tmp_path / "model")
    before = (tmp_path / "model" / "reference.npz").read_bytes()
    Detector.load(tmp_path / "model").save(tmp_path / "model")
    assert (tmp_path / "model" / "reference.npz").read_bytes() == before
