"""What an estimate says of windows, models and disk is what the run then leaves; time goes with what there is to do."""

import os
import shutil

import pandas as pd
import pytest
from fleet.fleets import PARAMS, SMALL, write_fleet
from typer.testing import CliRunner

from offbeat.cli import app
from offbeat.errors import ReadingsError
from offbeat.fleet import learning
from offbeat.fleet.engine import engine_of
from offbeat.fleet.estimate import estimate_fleet
from offbeat.fleet.learning import learn_fleet
from offbeat.fleet.sample import MOST_TIMESTEPS, few_files, sample_of, sizes_of
from offbeat.fleet.scoring import score_into
from offbeat.fleet.summary import estimate_summary
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.assets import asset_files
from offbeat.readings.conversion import to_partitions
from offbeat.readings.folder import read_folder

GROUPS = "groups:\n  fans: ['fan-*']\n  pumps: ['*']\n"


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(make_series, tmp_path):
    pumps = [make_series(400 + 40 * k, asset=f"pump-{k}", seed=k) for k in range(6)]
    fans = [make_series(500, asset=f"fan-{k}", seed=k, channels=("flow", "temp")) for k in range(5)]
    labels = [("pump-0", 300, 310), ("pump-1", 300, 310)]
    return write_fleet(tmp_path / "data", [*pumps, *fans], groups=GROUPS, labels=labels)


@pytest.mark.slow
def test_windows_timesteps_disk_and_models_are_those_of_the_run(folder, tmp_path, monkeypatch):
    assets = asset_files(folder)
    found = estimate_fleet(folder, assets, PARAMS, 2)
    works = []
    real = learning._save
    monkeypatch.setattr(learning, "_save", lambda *given: (works.append(size(tmp_path / ".model.work")), real(*given)))
    with engine_of(workers=1) as engine:
        learnt = learn_fleet(folder, assets, PARAMS, tmp_path / "model", engine)
        counts = score_into(tmp_path / "scores", tmp_path / "model", assets, engine)
    prepared = [
        one
        for name, group in learnt.groups.items()
        for one in prepare_fleet(read_folder(folder, group=name), group.like.prepare)
    ]
    assert (found.n_assets, found.n_groups) == (11, len(learnt.groups))
    assert found.n_timesteps == pytest.approx(counts.n_timesteps, rel=0.02)
    assert found.n_windows == pytest.approx(sum(len(one.starts) for one in prepared), rel=0.02)
    for said, taken in (
        (found.work_bytes, works[0]),
        (found.model_bytes, size(tmp_path / "model")),
        (found.scores_bytes, size(tmp_path / "scores")),
    ):
        assert 0.5 < said / taken < 2
    assert found.failures == {}
    assert "11 machines in 2 groups" in estimate_summary(found)[0]


@pytest.mark.slow
@pytest.mark.long
def test_more_machines_and_longer_training_take_longer_and_as_few_are_tried(folder):
    network = {"model": "dense_autoencoder", "units": 4, "latent_size": 2, "steps_per_epoch": 10}
    short, long = (load_params(changes={**SMALL, "train": {**network, "epochs": n}}) for n in (4, 4000))
    few = estimate_fleet(folder, asset_files(folder), short, 1)
    for k in range(200):
        shutil.copy(folder / "readings" / "fan-0.csv", folder / "readings" / f"fan-{k + 9}.csv")
    many = estimate_fleet(folder, asset_files(folder), long, 1)
    assert few.probed == many.probed == 6
    assert many.train["train"].cpu_s > 2 * few.train["train"].cpu_s  # a thousand times the steps
    assert many.train["evaluate"].cpu_s > 3 * few.train["evaluate"].cpu_s
    assert many.work_bytes > 10 * few.work_bytes


def test_a_long_machine_is_cut_and_its_timesteps_are_still_told(make_series, tmp_path):
    long = [make_series(MOST_TIMESTEPS + 2_000, asset=f"pump-{k}", seed=k) for k in range(2)]
    folder = write_fleet(tmp_path / "data", [*long, make_series(300, asset="short")])
    to_partitions(folder, tmp_path / "months")
    for root in (folder, tmp_path / "months"):
        assets = asset_files(root)
        sample = sample_of(root, assets, tmp_path / f"sample-{root.name}")
        assert sample.cut == {"pump-0", "pump-1"}
        read = read_folder(tmp_path / f"sample-{root.name}").series
        assert [one.n_timesteps for one in read] == [MOST_TIMESTEPS] * 2
        whole, _ = sizes_of(assets, opened=few_files(assets))
        part, _ = sizes_of(sample.assets, opened=few_files(assets))
        assert MOST_TIMESTEPS * whole["pump-0"] / part["pump-0"] == pytest.approx(MOST_TIMESTEPS + 2_000, rel=0.05)


def test_the_tables_of_a_sample_name_its_machines_alone(folder, tmp_path):
    fans = [one for one in asset_files(folder) if one.group == "fans" or one.asset == "pump-1"]
    sample_of(folder, fans, tmp_path / "sample")
    assert pd.read_csv(tmp_path / "sample" / "labels.csv")["asset"].tolist() == ["pump-1"]


def test_a_file_that_is_no_parquet_is_told_of_before_anything_is_read(make_series, tmp_path):
    folder = tmp_path / "readings"
    folder.mkdir()
    make_series(asset="good").to_frame().rename_axis("timestamp").to_parquet(folder / "good.parquet")
    (folder / "bad.parquet").write_bytes(b"no")
    sizes, failures = sizes_of(asset_files(tmp_path), opened=True)
    assert list(sizes) == ["good"]
    assert "cannot be read as Parquet" in failures["bad"]


def test_of_readings_that_nothing_can_be_learnt_from_the_error_names_a_machine(make_series, tmp_path):
    folder = write_fleet(tmp_path / "data", [make_series(30, asset=f"pump-{k}") for k in range(3)])
    with pytest.raises(ReadingsError, match="none of the machines can be learnt from, such as pump-0"):
        estimate_fleet(folder, asset_files(folder), PARAMS, 1)


@pytest.mark.parametrize(("given", "words"), [("nowhere", "does not exist"), ("readings/pump-1.csv", "give a folder")])
def test_what_is_no_folder_of_readings_is_refused(folder, given, words):
    result = CliRunner().invoke(app, ["estimate", str(folder / given)])
    assert isinstance(result.exception, ReadingsError)
    assert words in str(result.exception)


@pytest.mark.slow
def test_a_machine_that_cannot_be_learnt_from_is_named_and_nothing_is_left_behind(folder, tmp_path, monkeypatch):
    (folder / "readings" / "pump-0.csv").write_text("timestamp,flow\n2026-01-01,much\n")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    settings = [f"{section}.{key}={value}" for section, keys in SMALL.items() for key, value in keys.items()]
    changes = [part for one in settings for part in ("-S", one)]
    result = CliRunner().invoke(app, ["estimate", str(folder), "--workers", "1", *changes])
    assert result.exit_code == 1
    assert "From a probe of 5 machines" in result.stdout
    assert "pump-0: " in result.stderr
    assert os.listdir(folder.parent) == ["data", "scratch"]  # noqa: PTH208
