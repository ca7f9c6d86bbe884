"""What a training starts from is written whole, fits or says what does not, and stands in the lineage."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from offbeat.errors import StageError, StartError
from offbeat.params import load_params
from offbeat.registry import Registry
from offbeat.start_choice import choose_start
from offbeat.starting import Start, read_start, write_start

TRAIN = load_params().train
PREPARE = load_params().prepare.with_window(32)


def test_a_start_is_read_as_it_was_written(make_detector, tmp_path):
    start = Start(make_detector(), "3")
    for _ in range(2):  # also over one that is there
        write_start(tmp_path / "start", start)
    again = read_start(tmp_path / "start")
    assert again.lineage == start.lineage
    assert again.lineage == {
        "start_hash": hashlib.sha256(start.detector.runtime.graph).hexdigest(),
        "start_version": "3",
    }
    assert again.detector.assets == {}  # its machines have no part in it
    assert Start(make_detector()).lineage.keys() == {"start_hash"}


def test_new_weights_are_a_start_too(make_detector, tmp_path):
    assert read_start(tmp_path / "start") is None
    write_start(tmp_path / "start", Start(make_detector(), "3"))
    write_start(tmp_path / "start", None)
    assert read_start(tmp_path / "start") is None
    assert [path.name for path in (tmp_path / "start").iterdir()] == ["start.json"]


def test_a_damaged_start_is_told(make_detector, tmp_path):
    write_start(tmp_path / "start", Start(make_detector(), "3"))
    (tmp_path / "start" / "detector" / "model.onnx").write_bytes(b"half")
    with pytest.raises(StageError, match=r"its checksum is not that.*dvc checkout start.dvc.*--new-weights"):
        read_start(tmp_path / "start")
    (tmp_path / "start" / "start.json").write_text("{")
    with pytest.raises(StageError, match=r"start.json: missing or damaged .*dvc checkout start.dvc"):
        read_start(tmp_path / "start")


def test_a_start_that_fits_gives_its_network(make_detector, make_series):
    detector = make_detector()
    assert Start(detector).graph_for(make_series(seed=3), PREPARE) == detector.runtime.graph


@pytest.mark.parametrize(
    ("series", "prepare", "difference"),
    [
        ({"channels": ("flow", "temp", "speed")}, {}, "channels flow, speed, temp, this training flow, temp, speed"),
        ({"timed": False}, {}, "a period P0DT0H10M0S, this training 1"),
        ({}, {"scaling": "robust"}, "prepare.scaling standard, this training robust"),
        ({}, {"difference": 1}, "prepare.difference 0, this training 1"),
    ],
)
def test_a_start_that_does_not_fit_says_what_differs(make_detector, make_series, series, prepare, difference):
    with pytest.raises(StartError, match=difference):
        Start(make_detector()).graph_for(make_series(**series), PREPARE.model_copy(update=prepare))


# --- which one --------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


@pytest.fixture
def keep(registry, make_detector, tmp_path):
    """Register a model that was trained from new weights or, warm, from another; or recalibrated."""
    numbers = iter(range(100))
    detector = make_detector()

    def register(*, warm=False, parent=None):
        lineage = {"number": str(next(numbers)), **({"start_hash": "abc"} if warm else {})}
        replace(detector, lineage=lineage).save(tmp_path / "kept")
        return registry.register(tmp_path / "kept", {"lineage": lineage, "parent": parent}).version

    return register


def chosen(registry, new_weights="", **changes):
    start, line = choose_start(registry, TRAIN.model_copy(update={"warm_limit": 2, **changes}), new_weights)
    return start and start.version, line


def test_the_first_training_starts_from_new_weights(registry, keep):
    keep()
    assert chosen(registry) == (None, "training starts from new weights: there is no champion yet")


def test_later_ones_start_from_the_champion(registry, keep):
    keep()
    registry.promote("1", by="a test", why="first")
    keep()
    assert chosen(registry) == ("1", "training starts from the weights of model 1, the champion")


def test_after_so_many_that_started_from_another_one_starts_from_new_weights(registry, keep):
    keep()
    registry.promote("1", by="a test", why="first")
    keep(warm=True)
    assert chosen(registry)[0] == "1"
    keep(warm=True)
    keep(warm=True, parent="3")  # thresholds alone
    assert chosen(registry) == (None, "training starts from new weights: the last 2 did not (train.warm_limit)")
    assert chosen(registry, warm_limit=3)[0] == "1"
    keep()
    assert chosen(registry)[0] == "1"


def test_whoever_asks_for_new_weights_gets_them(registry, keep):
    keep()
    registry.promote("1", by="a test", why="first")
    assert chosen(registry, "they were asked for") == (None, "training starts from new weights: they were asked for")
    assert chosen(registry, warm_epochs=None)[1].endswith("train.warm_epochs is null")
    assert chosen(registry, model="mean")[1].endswith("train.model=mean is fitted at once")


def test_a_champion_that_cannot_be_read_is_no_start(registry, keep):
    keep()
    registry.promote("1", by="a test", why="first")
    card = registry.model("1").directory / "detector" / "detector.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "format": 1}))
    version, line = chosen(registry)
    assert version is None
    assert line.startswith("training starts from new weights: the champion cannot be read (")
