"""A detector on disk is whole or absent, and any damage is named."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offbeat.detection.detector import Detector
from offbeat.errors import ModelError

FILES = ("model.onnx", "reference.npz", "profiles.npy", "detector.json", "checksums.json")


@pytest.fixture
def saved(make_detector, tmp_path):
    make_detector().save(tmp_path / "model")
    return tmp_path / "model"


def content_of(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def rewrite_card(directory, **changes):
    """Change the card and its checksum, as another version of offbeat could have written them."""
    card = {**json.loads((directory / "detector.json").read_text()), **changes}
    (directory / "detector.json").write_text(json.dumps(card))
    sums = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in FILES[:4]}
    (directory / "checksums.json").write_text(json.dumps(sums))


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timed", [True, False])
def test_save_and_load_give_equal_scores(make_detector, make_series, tmp_path, timed):
    detector = make_detector(make_series(timed=timed), stride=2, delay=3).calibrate(
        make_series(300, asset="pump 2/ä", seed=2, timed=timed), method="sigma"
    )
    detector.lineage = {"git_commit": "abc"}
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    for asset in detector.assets:
        series = make_series(100, asset=asset, seed=3, missing=0.1, gaps=[(40, 60)], timed=timed)
        one, other = detector.score(series), loaded.score(series)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.channel_shares, other.channel_shares)
        assert (one.threshold, one.events) == (other.threshold, other.events)
    assert (loaded.period, loaded.max_gap, loaded.params) == (detector.period, detector.max_gap, detector.params)
    assert loaded.lineage == {"git_commit": "abc"}
    for asset, calibration in detector.assets.items():
        assert loaded.assets[asset].origin == calibration.origin
    assert loaded.assets["pump 2/ä"].origin["method"] == "sigma"


@pytest.mark.parametrize("season", ["none", "day", "week"])
def test_preprocessing_comes_back_with_the_detector(make_detector, make_series, tmp_path, season):
    prepare = {"transform": "log", "season": season, "difference": 1, "scaling": "robust"}
    detector, series = make_detector(prepare=prepare), make_series(100, seed=3, missing=0.1, gaps=[(40, 60)])
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    assert (loaded.preprocessing, loaded.context) == (detector.preprocessing, detector.context)
    np.testing.assert_array_equal(loaded.score(series).scores, detector.score(series).scores)


def test_a_profile_of_another_season_is_no_detector(saved):
    card = json.loads((saved / "detector.json").read_text())
    rewrite_card(saved, preprocessing={**card["preprocessing"], "season": "day"})
    with pytest.raises(ModelError, match=r"not a detector \(ValueError: an asset's profile is \(1, 3\), not a number"):
        Detector.load(saved)


def test_a_whitened_detector_comes_back_with_the_ties_between_its_channels(make_detector, make_series, tmp_path):
    detector = make_detector(combine="whitened", delay=3)
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    one, other = detector.assets["pump-1"].usual, loaded.assets["pump-1"].usual
    for name in ("error", "centre", "precision"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    series = make_series(100, seed=3, missing=0.1)
    np.testing.assert_array_equal(detector.score(series).scores, loaded.score(series).scores)
    plain = make_detector(delay=3).score(series)
    assert not np.allclose(plain.scores, detector.score(series).scores)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"error_precision": None}, "whitening"),
        ({"error_centre": None}, "whitening"),
        ({"error_precision": [[1.0, 0.0], [0.0, 1.0]]}, "whitening"),
        ({"usual_error": [1.0, 1.0]}, "not one for each channel"),
    ],
)
def test_numbers_that_do_not_fit_the_channels_are_refused(make_detector, tmp_path, changes, said):
    make_detector(combine="whitened").save(tmp_path / "model")
    asset = json.loads((tmp_path / "model" / "detector.json").read_text())["assets"]["pump-1"]
    rewrite_card(tmp_path / "model", assets={"pump-1": asset | changes})
    with pytest.raises(ModelError, match=rf"detector.json: not a detector .*{said}.*restore it, or train again"):
        Detector.load(tmp_path / "model")


def test_a_saved_detector_is_onnx_json_and_arrays_and_nothing_else(saved):
    assert sorted(path.name for path in saved.iterdir()) == sorted(FILES)
    for name in FILES[3:]:
        json.loads((saved / name).read_text())
    assert sorted(path.name for path in saved.parent.iterdir()) == ["model"]


def test_a_detector_of_an_earlier_version_has_no_reference_and_scores_all_the_same(
    make_detector, make_series, tmp_path
):
    detector = make_detector()
    detector.assets = {name: replace(one, reference=None) for name, one in detector.assets.items()}
    detector.save(tmp_path / "model")
    assert not (tmp_path / "model" / "reference.npz").exists()
    series = make_series(100, seed=3)
    np.testing.assert_array_equal(Detector.load(tmp_path / "model").score(series).scores, detector.score(series).scores)


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_noticed_and_the_file_named(saved, name):
    whole = (saved / name).read_bytes()
    for place in range(0, len(whole), max(len(whole) // 25, 1)):
        (saved / name).write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        with pytest.raises(ModelError, match=f"{name}.*restore it, or train again"):
            Detector.load(saved)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_noticed_and_named(saved, name):
    (saved / name).write_bytes((saved / name).read_bytes()[:-5])
    with pytest.raises(ModelError, match=f"{name}.*restore it, or train again"):
        Detector.load(saved)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(ModelError, match=f"not a whole detector folder.*{name}.*restore it, or train again"):
        Detector.load(saved)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere: there is no such folder: give one that"):
        Detector.load(tmp_path / "nowhere")


def test_another_format_is_refused_with_both_versions(saved):
    rewrite_card(saved, format=1)
    with pytest.raises(ModelError, match="model: written in format 1, this version reads format 3: train it anew"):
        Detector.load(saved)


@pytest.mark.parametrize("changes", [{"params": {}}, {"assets": {"pump-1": {}}}, {"assets": 3}, {"period": "often"}])
def test_a_card_that_is_no_detector_is_named(saved, changes):
    rewrite_card(saved, **changes)
    with pytest.raises(ModelError, match=r"detector.json: not a detector .*restore it, or train again"):
        Detector.load(saved)


# --- writing over -----------------------------------------------------------------------------------------------------


def test_saving_over_a_detector_replaces_it_whole(saved, make_detector, make_series):
    before = content_of(saved)
    make_detector(smoothing=2).calibrate(make_series(300, asset="pump-2")).save(saved)
    after = content_of(saved)
    assert sorted(after) == sorted(FILES)
    assert after["detector.json"] != before["detector.json"]
    assert set(Detector.load(saved).assets) == {"pump-1", "pump-2"}
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_an_empty_folder_is_taken_and_parents_are_made(make_detector, tmp_path):
    (tmp_path / "empty").mkdir()
    for directory in (tmp_path / "empty", tmp_path / "a" / "b"):
        make_detector().save(str(directory))
        assert sorted(content_of(directory)) == sorted(FILES)


def test_a_folder_with_other_files_is_refused_and_left_alone(saved, make_detector, tmp_path):
    readings = tmp_path / "readings"
    readings.mkdir()
    for directory in (readings, saved):  # also beside a detector
        (directory / "notes.txt").write_text("mine")
        before = content_of(directory)
        with pytest.raises(ModelError, match=rf"{directory.name}: holds other files \(notes.txt\); give a new folder"):
            make_detector().save(directory)
        assert content_of(directory) == before


def test_a_file_in_the_place_of_the_folder_is_refused(make_detector, tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(ModelError, match="model: is a file"):
        make_detector().save(tmp_path / "model")


def test_a_link_to_a_detector_stays_a_link(saved, make_detector):
    link = saved.with_name("current")
    link.symlink_to(saved)
    make_detector(smoothing=2).save(link)
    assert link.is_symlink()
    assert Detector.load(saved).params.smoothing == 2
    assert sorted(path.name for path in saved.parent.iterdir()) == ["current", "model"]


def fail_at(monkeypatch, method, when):
    """Let the `Path` method run out of disk space where `when` says so of its arguments."""
    real = getattr(Path, method)

    def failing(path, *arguments):
        if when(path, *arguments):
            raise OSError(28, "No space left on device")
        return real(path, *arguments)

    monkeypatch.setattr(Path, method, failing)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("there_was_one", [True, False])
def test_a_full_disk_leaves_what_was_there_and_no_litter(make_detector, tmp_path, monkeypatch, name, there_was_one):
    directory, detector = tmp_path / "model", make_detector()
    if there_was_one:
        detector.save(directory)
    before = content_of(directory) if there_was_one else None
    fail_at(monkeypatch, "write_bytes", lambda path, _: path.name == name)
    with pytest.raises(OSError, match="No space left"):
        make_detector(smoothing=2).save(directory)
    assert [path.name for path in tmp_path.iterdir()] == (["model"] if there_was_one else [])
    assert before is None or content_of(directory) == before


def test_a_move_that_fails_puts_the_old_detector_back(saved, make_detector, monkeypatch):
    before = content_of(saved)
    # the move of the new folder into place, after the old one has stepped aside
    fail_at(monkeypatch, "replace", lambda path, target: target.name == "model" and not path.name.endswith("-old"))
    with pytest.raises(OSError, match="No space left"):
        make_detector(smoothing=2).save(saved)
    assert content_of(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_save_after_a_killed_one_recovers(saved, make_detector):
    saved.rename(saved.with_name(".model-old"))  # killed between the two moves
    make_detector(smoothing=2).save(saved)
    assert Detector.load(saved).params.smoothing == 2
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
