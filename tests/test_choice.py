"""Candidates are named, checked before any is trained, trained on the same readings, and compared."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from offbeat import Series, choice
from offbeat.choice import check_settings, compare_settings, settings_of
from offbeat.errors import ParamsError, ReadingsError
from offbeat.params import default_params_path, load_params
from offbeat.readings.folder import Folder

TINY = (
    *("prepare.window_size=8", "train.units=6", "train.latent_size=3", "train.position_size=4", "train.epochs=1"),
    *("train.steps_per_epoch=4", "train.batch_size=16", "calibrate.delay=2", "calibrate.smoothing=2"),
    "calibrate.false_alarms_per_week=20",
)


def series_of(asset="pump-1", n=600, seed=0):
    rng = np.random.default_rng(seed)
    values = np.sin(np.arange(n)[:, None] / [4.0, 7.0]) * [2, 30] + [50, 1400] + rng.normal(0, [0.1, 1], (n, 2))
    index = pd.date_range("2026-01-01", periods=n, freq="10min")
    return Series.from_frame(pd.DataFrame(values, index, ["flow", "speed"]), asset)


# --- what they are called, and what they change -----------------------------------------------------------------------


def test_the_base_comes_first_and_changes_stand_on_it():
    settings = settings_of(None, ["train.latent_size=4 train.epochs=20", "train.units=8"], ["train.epochs=3"])
    assert list(settings) == ["params.yaml", "train.latent_size=4 train.epochs=20", "train.units=8"]
    base = load_params(changes={"train": {"epochs": 3}})
    assert settings["params.yaml"] == base
    assert settings["train.units=8"].train == base.train.model_copy(update={"units": 8})
    assert settings["train.latent_size=4 train.epochs=20"].train == base.train.model_copy(
        update={"latent_size": 4, "epochs": 20}
    )


def test_a_params_file_is_a_candidate_of_its_own_and_takes_what_all_take(tmp_path):
    path, other = tmp_path / "mine.yaml", tmp_path / "other.yml"
    path.write_text(default_params_path().read_text().replace("units: 64", "units: 16"))
    other.write_text(default_params_path().read_text().replace("units: 64", "units: 32"))
    settings = settings_of(path, [str(other), "train.seed=8"], ["train.epochs=3"])
    assert list(settings) == [str(path), str(other), "train.seed=8"]
    assert [one.train.units for one in settings.values()] == [16, 32, 16]
    assert [one.train.epochs for one in settings.values()] == [3, 3, 3]


def test_quotes_keep_a_value_with_spaces_together():
    (_, one) = settings_of(None, ["prepare.period='10 min' train.units=8"]).values()
    assert (one.prepare.period, one.train.units) == ("10 min", 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train.latent=4", "candidate 'train.latent=4': .*unknown key 'train.latent': did you mean 'latent_size'"),
        ("train.units=0", "candidate 'train.units=0': .*train.units=0"),
        ("units", "candidate 'units': .*section.key=value"),
        ("train.units='8", "candidate .*: not readable: No closing quotation"),
        ("", "nothing is changed: give section.key=value"),
        ("nowhere.yaml", "candidate 'nowhere.yaml': nowhere.yaml: not a readable YAML file"),
    ],
)
def test_a_wrong_candidate_is_named(text, words):
    with pytest.raises(ParamsError, match=words):
        settings_of(None, [text])


def test_a_params_file_that_lacks_a_key_is_named(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text(default_params_path().read_text().replace("  units: 64", "  # units: 64"))
    with pytest.raises(ParamsError, match=r"candidate '.*old.yaml': .*old.yaml: key 'train.units' is missing"):
        settings_of(None, [str(path)])


def test_the_same_name_twice_is_refused():
    with pytest.raises(ParamsError, match=r"candidate 'train.units=8' is given twice"):
        settings_of(None, ["train.units=8", "train.units=8"])


# --- what can be compared ---------------------------------------------------------------------------------------------


def test_one_candidate_alone_is_no_comparison():
    with pytest.raises(ParamsError, match=r"only 'params.yaml' to compare: give another candidate with --with"):
        check_settings(settings_of(None, []))


@pytest.mark.parametrize("text", ["train.units=64", "train.units=8 train.units=64"])
def test_two_names_for_the_same_parameters_are_refused(text):
    with pytest.raises(ParamsError, match=f"'params.yaml' and '{text}' have the same parameters"):
        check_settings(settings_of(None, [text]))


@pytest.mark.parametrize("text", ["prepare.max_gap=3", "prepare.period=1min", "evaluate.n_components=2"])
def test_candidates_that_read_or_judge_otherwise_are_refused(text):
    name = text.partition("=")[0]
    with pytest.raises(ParamsError, match=rf"candidate '{text}': {name}=\S+ where 'params.yaml' has .* \(-S\)"):
        check_settings(settings_of(None, [text]))


def test_a_candidate_that_does_not_fit_the_readings_is_named_before_any_is_trained(monkeypatch):
    monkeypatch.setattr(choice, "fit_fleet", None)  # calling it would raise TypeError
    settings = settings_of(None, ["prepare.window_size=200 calibrate.delay=2"], TINY)
    with pytest.raises(ReadingsError, match=r"candidate 'prepare.window_size=200 .*': asset 'pump-1': its "):
        compare_settings(Folder((series_of(),)), settings, 7)


# --- the whole of it --------------------------------------------------------------------------------------------------


def test_candidates_are_trained_and_ranked_beside_pca_and_the_untrained_network():
    folder = Folder((series_of(), series_of("pump-2", seed=1)))
    steps = []
    settings = settings_of(None, ["train.units=3 prepare.window_size=null"], TINY)
    comparison = compare_settings(folder, settings, 7, report=steps.append)
    work = [f"candidate {k} of 2: {what}" for k in (1, 2) for what in ("training", "calibrating")]
    assert list(dict.fromkeys(step.work for step in steps)) == [*work, "comparing"]
    assert set(comparison.rows) == {*settings, "pca", "untrained_network"}
    assert comparison.replay["n_injected"] == 114
    chosen = [note for note in comparison.notes if "chosen because" in note]
    assert [note.partition(" of ")[0] for note in chosen] == ["train.units=3 prepare.window_size=null: window"]
    assert all(comparison.rows[name]["seconds"] > 0 for name in settings)


def test_readings_that_stand_still_take_no_event():
    still = series_of()
    values = still.values.copy()
    values[:, :] = 5.0
    with pytest.raises(ReadingsError, match=r"no room for injected events: .* in which some channel moves"):
        compare_settings(Folder((replace(still, values=values),)), settings_of(None, ["train.units=3"], TINY), 7)
