"""prepare, train, calibrate, evaluate: files in, files out, whole or not at all."""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from offbeat.detection.detector import Detector
from offbeat.errors import ModelError, ReadingsError, StageError
from offbeat.models.learning import Epoch
from offbeat.params import load_params
from offbeat.readings.folder import read_folder
from offbeat.stages import calibrate, evaluate, prepare, train
from offbeat.stages.artifacts import DETECTOR, METRICS, MODEL, PREPARED, REPORT, SCORES
from offbeat.starting import START, Start, write_start

# Keras's own, while it saves
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CHANGES = {
    "prepare": {"window_size": 8},
    "train": {"units": 6, "latent_size": 3, "position_size": 4, "epochs": 2, "steps_per_epoch": 4},
    "calibrate": {"delay": 2, "smoothing": 2, "merge_gap": 2},
    "evaluate": {"max_buffer": 4},
}
PARAMS = load_params(changes=CHANGES)


def write_readings(path, seed):
    rng = np.random.default_rng(seed)
    values = np.sin(np.arange(400)[:, None] / [4.0, 7.0]) * [2, 30] + [50, 1400] + rng.normal(0, [0.1, 1], (400, 2))
    index = pd.date_range("2026-01-01", periods=400, freq="10min", tz="UTC", name="timestamp")
    frame = pd.DataFrame(values, index, ["flow", "speed"])
    if seed == 1:
        frame.iloc[360:380] += [5, 90]
    frame.drop(frame.index[100:130]).to_csv(path)


def run(stage, root):
    module = {"prepare": prepare, "train": train, "calibrate": calibrate, "evaluate": evaluate}[stage]
    return module.run(getattr(PARAMS, stage), root=root)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A root folder with two assets, one event in the test span of the second, and all stages run."""
    root = tmp_path_factory.mktemp("root")
    (root / "data" / "readings").mkdir(parents=True)
    for seed in (0, 1):
        write_readings(root / "data" / "readings" / f"pump-{seed}.csv", seed)
    (root / "data" / "labels.csv").write_text(
        "asset,start,end,kind\npump-1,2026-01-03T12:00:00Z,2026-01-03T15:10:00Z,shift\n"
    )
    (root / "said.json").write_text(
        json.dumps({stage: run(stage, root) for stage in ("prepare", "train", "calibrate", "evaluate")})
    )
    return root


@pytest.fixture
def root(done, tmp_path):
    return shutil.copytree(done, tmp_path / "root")


def tree(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_window_that_is_chosen_is_told_and_handed_on(done, tmp_path):
    (tmp_path / "data").symlink_to(done / "data")
    params = load_params(
        changes={
            "prepare": {"window_size": None},
            "train": {"units": 4, "latent_size": 2, "position_size": 4, "epochs": 1, "steps_per_epoch": 1},
            "calibrate": {"smoothing": "1 window", "delay": "0.75 windows", "merge_gap": "1 window"},
        }
    )
    said = prepare.run(params.prepare, root=tmp_path)
    chosen = json.loads((tmp_path / "artifacts/prepared/prepared.json").read_text())["prepare"]["window_size"]
    assert chosen == 33  # the sines take 2 pi x 4 and 2 pi x 7 timesteps; the held-out span has 33
    assert said[1].startswith(f"window of {chosen} timesteps, chosen because")
    for module, section in ((train, params.train), (calibrate, params.calibrate), (evaluate, params.evaluate)):
        module.run(section, root=tmp_path)
    detector = Detector.load(tmp_path / DETECTOR)
    assert detector.params.smoothing == detector.params.merge_gap == detector.window_size == chosen


# --- what stands where ------------------------------------------------------------------------------------------------


def test_each_file_stands_where_it_should_and_nothing_else(done):
    assert set(tree(done / "artifacts")) == {
        *(f"prepared/{name}" for name in ("0000.npz", "0001.npz", "prepared.json")),
        *(f"model/{name}" for name in ("model.keras", "model.onnx", "untrained.onnx", "train.json")),
        *(f"model/{name}" for name in ("training.json", "loss.csv")),
        *(
            f"detector/{name}"
            for name in ("model.onnx", "detector.json", "profiles.npy", "lent.npy", "reference.npz", "checksums.json")
        ),
        *(f"scores/pump-{k}.parquet" for k in (0, 1)),
        *("metrics.json", "precision_recall.csv", "report.html"),
    }


def test_each_stage_tells_what_it_did(done):
    said = json.loads((done / "said.json").read_text())
    assert said["prepare"][0].startswith("2 assets, 2 channels, ")
    assert said["prepare"][0].endswith(" windows to learn from")
    assert said["train"][0].startswith("2 epochs; the network explains ")
    assert said["calibrate"][0].startswith("pump-0: threshold ")
    assert " of 1 events found, " in said["evaluate"][0]


def test_the_training_metrics_are_those_of_the_best_epoch(done):
    training = json.loads((done / MODEL / "training.json").read_text())
    loss = pd.read_csv(done / MODEL / "loss.csv")
    assert list(loss.columns) == ["epoch", "loss", "held_out_loss", "learning_rate"]
    assert training["epochs"] == len(loss) == 2
    assert training["held_out_loss"] == pytest.approx(loss["held_out_loss"].min())
    by_channel = training["explained_variance_by_channel"]
    assert list(by_channel) == ["flow", "speed"]
    assert training["explained_variance"] == pytest.approx(np.mean(list(by_channel.values())))


def test_the_onnx_file_is_the_keras_file(done):
    from offbeat.detection.runtime import Runtime

    windows = np.random.default_rng(0).standard_normal((5, 8, 2)).astype(np.float32)
    expected = np.asarray(keras.models.load_model(done / MODEL / "model.keras")(windows))
    runtime = Runtime((done / MODEL / "model.onnx").read_bytes())
    np.testing.assert_allclose(runtime.estimate(windows), expected, rtol=0, atol=1e-5)


def test_the_page_shows_the_metrics_and_the_loss_curve(done):
    metrics = json.loads((done / METRICS).read_text())
    page = (done / REPORT).read_text(encoding="utf-8")
    shown = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    assert shown["methods"] == {metrics["method"]: metrics["fleet"], **metrics["baselines"]}
    assert {asset["asset"]: asset["metrics"] for asset in shown["assets"]} == metrics["assets"]
    loss = pd.read_csv(done / MODEL / "loss.csv")
    assert shown["epochs"] == loss[["epoch", "loss", "held_out_loss"]].to_numpy().tolist()


def test_the_metrics_name_the_fleet_the_simple_methods_and_the_assets(done):
    metrics = json.loads((done / METRICS).read_text())
    assert list(metrics) == ["training", "method", "fleet", "baselines", "assets"]
    assert metrics["method"] == "lstm_autoencoder"
    assert list(metrics["baselines"]) == ["untrained_network", "pca", "moving_average", "random"]
    assert list(metrics["assets"]) == ["pump-0", "pump-1"]
    assert metrics["fleet"]["n_events"] == 1
    assert metrics["assets"]["pump-0"]["vus_pr"] is None  # no event, and JSON has no NaN


def test_the_scores_are_those_of_the_saved_detector(done):
    detector = Detector.load(done / DETECTOR)
    for series in read_folder(done / "data", max_gap=detector.max_gap).series:
        table = pd.read_parquet(done / SCORES / f"{series.asset}.parquet")
        result = detector.score(series)
        assert np.array_equal(table["score"], result.scores, equal_nan=True)
        assert np.array_equal(table["alarm"], result.alarms)
        assert table["labelled"].sum() == (20 if series.asset == "pump-1" else 0)
        assert table["test"].tolist() == sorted(table["test"])
        assert 0 < table["test"].mean() < 0.25


def test_only_assets_with_an_event_have_a_precision_recall_curve(done):
    curve = pd.read_csv(done / "artifacts" / "precision_recall.csv")
    assert set(curve["asset"]) == {"pump-1"}
    assert curve[["recall", "precision"]].min().min() >= 0
    assert curve["recall"].max() == 1


def test_the_detector_knows_where_it_comes_from(done):
    card = json.loads((done / PREPARED / "prepared.json").read_text())
    assert Detector.load(done / DETECTOR).lineage["data_hash"] == card["data_hash"]


def test_a_stage_run_again_writes_the_same(root):
    before = tree(root / "artifacts")
    for stage in ("prepare", "calibrate", "evaluate"):
        run(stage, root)
    after = tree(root / "artifacts")
    assert after.keys() == before.keys()
    # the archive of arrays holds the time of writing, the detector the commit
    fixed = [name for name in before if name.endswith((".csv", ".json", ".parquet")) and "detector/" not in name]
    assert {name: after[name] for name in fixed} == {name: before[name] for name in fixed}


# --- a model that is fitted at once -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(done, tmp_path_factory):
    """The same readings through the stages with principal components of windows instead of a network."""
    root = tmp_path_factory.mktemp("fitted")
    (root / "data").symlink_to(done / "data")
    params = load_params(changes={**CHANGES, "train": {"model": "sub_pca", "latent_size": 3}})
    stages = {"prepare": prepare, "train": train, "calibrate": calibrate, "evaluate": evaluate}
    said = {name: module.run(getattr(params, name), root=root) for name, module in stages.items()}
    (root / "said.json").write_text(json.dumps(said))
    return root


def test_without_a_network_there_is_no_keras_file_and_nothing_untrained(fitted):
    names = {path.name for path in (fitted / MODEL).iterdir()}
    assert names == {"model.onnx", "train.json", "training.json", "loss.csv"}
    assert len((fitted / MODEL / "loss.csv").read_text().splitlines()) == 1  # its heading
    training = json.loads((fitted / MODEL / "training.json").read_text())
    assert (training["epochs"], training["loss"], training["held_out_loss"]) == (0, None, None)
    assert training["explained_variance"] > 0.5
    assert Detector.load(fitted / DETECTOR).method == "sub_pca"


def test_without_a_network_the_metrics_have_no_untrained_row(fitted):
    metrics = json.loads((fitted / METRICS).read_text())
    assert metrics["method"] == "sub_pca"
    assert list(metrics["baselines"]) == ["pca", "moving_average", "random"]
    assert list(metrics["assets"]) == ["pump-0", "pump-1"]
    assert metrics["fleet"]["n_events"] == 1


def test_without_a_network_the_stages_say_so(fitted):
    said = json.loads((fitted / "said.json").read_text())
    assert said["train"][0].startswith("sub_pca, fitted at once, explains ")
    assert "untrained" not in said["evaluate"][0]


def test_trimming_is_told(root, at_once):
    at_once.n_trimmed = 12
    assert "the worst-reconstructed 12 windows were left out of a second training" in run("train", root)


# --- a start ----------------------------------------------------------------------------------------------------------


def test_what_went_on_from_a_model_says_so_and_names_it(root):
    start = Start(Detector.load(root / DETECTOR), "3")
    write_start(root / START, start)
    said = run("train", root)
    assert re.match(r"went on from the weights of model 3, held-out loss \d", said[0])
    assert said[1].startswith("1 epochs; the network explains ")
    training = json.loads((root / MODEL / "training.json").read_text())
    assert training["start"] == start.lineage
    assert training["held_out_loss"] <= training["start_loss"]
    run("calibrate", root)
    lineage = Detector.load(root / DETECTOR).lineage
    assert lineage == {**lineage, **start.lineage}


def test_the_same_start_gives_the_same_network(root):
    write_start(root / START, Start(Detector.load(root / DETECTOR), "3"))
    graphs = []
    for _ in range(2):
        run("train", root)
        graphs.append((root / MODEL / "model.onnx").read_bytes())
    assert graphs[0] == graphs[1]


def test_a_start_that_does_not_fit_is_left_with_a_word(root):
    detector = Detector.load(root / DETECTOR)
    before = (root / MODEL / "model.onnx").read_bytes()
    write_start(root / START, Start(replace(detector, channels=("flow", "load")), "3"))
    said = run("train", root)
    assert said[0].startswith("training from new weights: the start has channels flow, load, this training flow, speed")
    assert (root / MODEL / "model.onnx").read_bytes() == before
    assert "start" not in json.loads((root / MODEL / "training.json").read_text())


def test_that_the_weights_of_a_start_stayed_is_told(root, at_once):
    write_start(root / START, Start(Detector.load(root / DETECTOR), "3"))
    at_once.start_loss = at_once.held_out_loss = 0.3
    said = run("train", root)[0]
    assert said == "went on from the weights of model 3, held-out loss 0.3000, and none were better: they stay"


# --- readings that cannot be used -------------------------------------------------------------------------------------


def test_readings_that_cannot_be_used_leave_what_was_there(root):
    before = tree(root / "artifacts")
    path = root / "data" / "readings" / "pump-1.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:30]))
    with pytest.raises(ReadingsError, match="pump-1"):
        run("prepare", root)
    assert tree(root / "artifacts") == before


def test_a_channel_that_stands_still_is_warned_of(root):
    path = root / "data" / "readings" / "pump-1.csv"
    frame = pd.read_csv(path)
    frame.loc[:300, "speed"] = 1400.0
    frame.to_csv(path, index=False)
    assert any("pump-1: warning: channel 'speed' stands still" in line for line in run("prepare", root))


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["missing", "cut", "empty"])
@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("train", PREPARED / "prepared.json"),
        ("calibrate", PREPARED / "0001.npz"),
        ("calibrate", MODEL / "train.json"),
        ("calibrate", MODEL / "model.onnx"),
        ("evaluate", MODEL / "untrained.onnx"),
    ],
)
def test_a_damaged_input_is_named_with_the_remedy_and_nothing_is_written(root, stage, name, how):
    if how == "missing":
        (root / name).unlink()
    else:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: len(content) // 2] if how == "cut" else b"")
    before = tree(root / "artifacts")
    with pytest.raises(StageError) as caught:
        run(stage, root)
    assert str(caught.value).startswith(f"{root / name}: missing or damaged (")
    assert str(caught.value).endswith("run the stages before this one again, `dvc repro`")
    assert tree(root / "artifacts") == before


def test_train_params_of_another_version_are_named(root):
    (root / MODEL / "train.json").write_text('{"epochs": 3}')
    with pytest.raises(StageError, match=r"train\.json: missing or damaged \(ValidationError"):
        run("calibrate", root)


def test_a_damaged_detector_is_named(root):
    (root / DETECTOR / "detector.json").write_text("{}")
    with pytest.raises(ModelError, match="detector"):
        run("evaluate", root)


# --- a full disk, a killed run ----------------------------------------------------------------------------------------


def full(*_args, **_kwargs):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("stage", "owner", "writer"),
    [
        ("prepare", "numpy", "savez"),
        ("calibrate", "pathlib.Path", "write_bytes"),
        ("evaluate", "pandas.DataFrame", "to_parquet"),
    ],
)
@pytest.mark.parametrize("n_written", [0, 1])
def test_a_full_disk_leaves_what_was_there_and_the_next_run_recovers(
    root, monkeypatch, stage, owner, writer, n_written
):
    before, left = tree(root / "artifacts"), [n_written]
    module, _, name = owner.partition(".")
    holder = getattr(__import__(module), name) if name else __import__(module)
    real = getattr(holder, writer)

    def until_full(*args, **kwargs):
        if not left[0]:
            full()
        left[0] -= 1
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(holder, writer, until_full)
        with pytest.raises(OSError, match="No space left"):
            run(stage, root)
    assert tree(root / "artifacts") == before
    assert [path.name for path in (root / "artifacts").iterdir() if path.name.startswith(".")] == []
    run(stage, root)
    assert tree(root / "artifacts").keys() == before.keys()


@pytest.fixture
def at_once(monkeypatch, done):
    """Let the train stage have its network without training."""
    graph = (done / MODEL / "model.onnx").read_bytes()
    model = SimpleNamespace(save=lambda path: path.write_bytes(b"keras"))
    trained = SimpleNamespace(
        keras_model=model,
        graph=graph,
        untrained_graph=graph,
        epochs=[Epoch(1, 0.5, 0.4, 0.01), Epoch(2, 0.4, 0.6, 0.001)],
        explained_variance=np.array([0.5, np.nan]),
        overall_explained_variance=0.5,
        held_out_loss=0.4,
        start_loss=None,
        n_trimmed=0,
    )
    monkeypatch.setattr(train, "train_model", lambda *_: trained)
    return trained


def test_a_full_disk_while_the_network_is_written_leaves_the_old_one(root, at_once):
    before = tree(root / "artifacts")
    save = at_once.keras_model.save
    at_once.keras_model.save = full
    with pytest.raises(OSError, match="No space left"):
        run("train", root)
    assert tree(root / "artifacts") == before
    at_once.keras_model.save = save
    run("train", root)
    after = tree(root / "artifacts")
    assert after.keys() == before.keys()
    assert after["model/model.keras"] == b"keras"


def test_a_channel_that_explains_nothing_is_null_and_the_best_epoch_counts(root, at_once):
    assert "warning" not in " ".join(run("train", root))
    training = json.loads((root / MODEL / "training.json").read_text())
    assert training["explained_variance_by_channel"] == {"flow": 0.5, "speed": None}
    assert (training["epochs"], training["loss"], training["held_out_loss"]) == (2, 0.5, 0.4)
    at_once.overall_explained_variance = 0.2
    assert run("train", root)[-1].startswith("warning: the model explains 20% of the variance")


@pytest.mark.parametrize(
    ("stage", "name"), [("prepare", "prepared"), ("train", "model"), ("calibrate", "detector"), ("evaluate", "scores")]
)
@pytest.mark.usefixtures("at_once")
def test_what_a_killed_run_left_behind_is_cleared(root, stage, name):
    before = tree(root / "artifacts")
    for litter in (f".{name}.partial", f".{name}-old"):
        shutil.copytree(root / "artifacts" / name, root / "artifacts" / litter)
        (root / "artifacts" / litter / "half").write_text("half")
    run(stage, root)
    assert tree(root / "artifacts").keys() == before.keys()
