"""What one stage writes the next reads back exactly; what is damaged is named."""

import json

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import StageError
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder, Span
from offbeat.readings.moments import step_json
from offbeat.stages.artifacts import read_json, read_prepared, whole, write_prepared

ARRAYS = ("labelled", "excluded", "scaled", "starts", "held_out_starts")


def fleet_of(series, window_size=8):
    params = load_params(
        changes={"prepare": {"window_size": window_size, "max_gap": 2}, "calibrate": {"delay": 0}}
    ).prepare
    index = series[0].index
    labels, exclude = (Span(series[0].asset, index[a], index[b]) for a, b in ((50, 60), (350, 360)))
    fleet = prepare_fleet(Folder(tuple(series), (labels,), (exclude,)), params)
    return fleet, {
        "channels": list(series[0].channels),
        "period": step_json(series[0].step, series[0].is_time),
        "prepare": params.model_dump(),
        "data_hash": "abc",
    }


@pytest.fixture
def written(make_series, tmp_path):
    fleet, card = fleet_of([make_series(400), make_series(400, asset="pump-2", seed=1)])
    write_prepared(tmp_path / "prepared", fleet, card)
    return tmp_path / "prepared"


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("timed", [True, False])
def test_a_prepared_fleet_comes_back_exactly(make_series, tmp_path, timed):
    series = [
        make_series(450, gaps=[(20, 22), (100, 130)], missing=0.05, timed=timed),
        make_series(400, asset="pumpe 2/ä", seed=1, timed=timed),
    ]
    fleet, card = fleet_of(series)
    write_prepared(tmp_path / "prepared", fleet, card)
    back, card_back = read_prepared(tmp_path / "prepared")
    assert {key: card_back[key] for key in card} == card
    for new, old in zip(back, fleet, strict=True):
        assert all(same(getattr(new, name), getattr(old, name)) for name in ARRAYS)
        assert same(new.series.values, old.series.values)
        assert same(new.series.segment_starts, old.series.segment_starts)
        pd.testing.assert_index_equal(new.series.index, old.series.index, exact=True, check_names=False)
        for name in ("asset", "channels", "period", "notes", "max_gap"):
            assert getattr(new.series, name) == getattr(old.series, name)
        assert type(new.series.period) is type(old.series.period)
        assert new.split == old.split
        assert same(new.scaling.centre, old.scaling.centre)
        assert same(new.scaling.scale, old.scaling.scale)
        assert same(new.scaling.profile, old.scaling.profile)
        assert new.scaling.preprocessing == old.scaling.preprocessing
        assert same(new.scaling.apply(new.series), new.scaled)


def test_the_files_grow_with_the_readings_and_not_with_the_windows(make_series, tmp_path):
    n_timesteps, n_channels, sizes = 20_000, 3, []
    for window_size in (8, 400):
        fleet, card = fleet_of([make_series(n_timesteps)], window_size)
        write_prepared(tmp_path / "prepared", fleet, card)
        sizes.append(sum(path.stat().st_size for path in (tmp_path / "prepared").iterdir()))
    # values and scaled; index and at most as many starts, 8 bytes each; two masks
    assert max(sizes) < n_timesteps * (12 * n_channels + 16 + 2) + 10_000
    assert sizes[1] <= sizes[0] + 100


def test_what_is_written_holds_no_pickle(written):
    for path in written.glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays)


# --- damage -----------------------------------------------------------------------------------------------------------


def damage(path, how):
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "garbage": b"\xff\x00 garbage"}[how])


@pytest.mark.parametrize("name", ["prepared.json", "0001.npz"])
@pytest.mark.parametrize("how", ["missing", "cut", "empty", "garbage"])
def test_a_damaged_file_is_named_with_the_remedy(written, name, how):
    damage(written / name, how)
    with pytest.raises(StageError) as caught:
        read_prepared(written)
    message = str(caught.value)
    assert message.startswith(f"{written / name}: missing or damaged (")
    assert message.endswith("run the stages before this one again, `dvc repro`")
    assert "\n" not in message


def test_a_flipped_byte_is_found(written):
    content = bytearray((written / "0000.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (written / "0000.npz").write_bytes(content)
    with pytest.raises(StageError, match=r"0000\.npz: missing or damaged \(BadZipFile"):
        read_prepared(written)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("prepared.json", lambda card: [card]),
        ("prepared.json", lambda card: {key: value for key, value in card.items() if key != "assets"}),
        ("prepared.json", lambda card: {key: value for key, value in card.items() if key != "prepare"}),
        ("prepared.json", lambda card: card | {"prepare": {"window_size": 8}}),
        ("0000.npz", lambda card: card | {"assets": [{"asset": "pump-1"}]}),
    ],
)
def test_a_card_that_lacks_something_is_named(written, name, change):
    card = json.loads((written / "prepared.json").read_text())
    (written / "prepared.json").write_text(json.dumps(change(card)))
    with pytest.raises(StageError, match=f"{name}: missing or damaged"):
        read_prepared(written)


def test_json_that_is_no_object_is_named(tmp_path):
    (tmp_path / "metrics.json").write_text("[1]")
    with pytest.raises(StageError, match=r"metrics\.json: missing or damaged \(.*list"):
        read_json(tmp_path / "metrics.json")


def test_a_fault_of_offbeat_is_not_blamed_on_a_file(tmp_path):
    with pytest.raises(AssertionError), whole(tmp_path):
        raise AssertionError
