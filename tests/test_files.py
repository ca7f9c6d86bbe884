"""What is written is whole or not there, whatever stops the writer."""

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest

from offbeat.files import (
    file_stem,
    new_directory,
    new_file,
    restore_directory,
    write_csv,
    write_json,
)


def tree(directory):
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


class StoppedError(Exception):
    """What ends a writer in the middle."""


def stop_after(path, error):
    path.write_text("half")
    raise error


# --- directories ------------------------------------------------------------------------------------------------------


def test_a_new_directory_takes_the_place_of_the_old_one_whole(tmp_path):
    for content in ("one", "two"):
        with new_directory(tmp_path / "deep" / "model") as scratch:
            (scratch / content).write_text(content)
            (scratch / "inner").mkdir()
            (scratch / "inner" / "x").write_text(content)
    assert tree(tmp_path) == {"deep/model/two": "two", "deep/model/inner/x": "two"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]


@pytest.mark.parametrize("error", [StoppedError, KeyboardInterrupt, OSError])
def test_a_directory_whose_writer_fails_stays_as_it_was(tmp_path, error):
    with new_directory(tmp_path / "model") as scratch:
        (scratch / "old").write_text("old")
    with pytest.raises(error), new_directory(tmp_path / "model") as scratch:
        stop_after(scratch / "new", error)
    assert tree(tmp_path) == {"model/old": "old"}
    with pytest.raises(error), new_directory(tmp_path / "other"):
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_directory_that_cannot_be_moved_stays_as_it_was(tmp_path, monkeypatch):
    with new_directory(tmp_path / "model") as scratch:
        (scratch / "old").write_text("old")
    move = type(tmp_path).replace

    def refuse(path, target):
        if path.name == ".model.partial":
            raise OSError(28, "No space left on device")
        return move(path, target)

    monkeypatch.setattr(type(tmp_path), "replace", refuse)
    with pytest.raises(OSError, match="No space left"), new_directory(tmp_path / "model") as scratch:
        (scratch / "new").write_text("new")
    assert tree(tmp_path) == {"model/old": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_a_killed_run_left_is_cleared_and_does_not_reach_the_new_directory(tmp_path):
    for name in (".model.partial", ".model-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    with new_directory(tmp_path / "model") as scratch:
        assert list(scratch.iterdir()) == []
        (scratch / "new").write_text("new")
    assert tree(tmp_path) == {"model/new": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_relative_directory_is_one_of_the_folder_where_the_writing_began(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with new_directory(type(tmp_path)("model")) as scratch:
        (scratch / "new").write_text("new")
        monkeypatch.chdir(tmp_path / "elsewhere")
    assert tree(tmp_path) == {"model/new": "new"}


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_whose_writer_fails_stays_as_it_was(tmp_path):
    with new_file(tmp_path / "deep" / "scores.csv") as scratch:
        scratch.write_text("old")
    for error in (StoppedError, KeyboardInterrupt, OSError):
        with pytest.raises(error), new_file(tmp_path / "deep" / "scores.csv") as scratch:
            stop_after(scratch, error)
    assert tree(tmp_path) == {"deep/scores.csv": "old"}


def test_what_a_killed_run_left_of_a_file_is_overwritten(tmp_path):
    (tmp_path / ".scores.csv.partial").write_text("half of a much longer file")
    write_csv(tmp_path / "scores.csv", ("a",), [(1,)])
    assert tree(tmp_path) == {"scores.csv": "a\n1\n"}


def test_nan_and_infinities_become_null_at_any_depth(tmp_path):
    content = {
        "a": math.nan,
        "b": [1.5, math.inf, {"c": -math.inf, "d": "NaN"}],
        "e": (1, np.float64("nan")),
        "f": None,
    }
    write_json(tmp_path / "metrics.json", content)
    text = (tmp_path / "metrics.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None,
        "b": [1.5, None, {"c": None, "d": "NaN"}],
        "e": [1, None],
        "f": None,
    }
    assert text.endswith("}\n")


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "metrics.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "metrics.json", {"a": object()})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"a": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_cell_with_a_comma_is_quoted(tmp_path):
    write_csv(tmp_path / "t.csv", ("asset", "score"), [("pump, old", 0.1), ('"x"', None)])
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["asset"].tolist() == ["pump, old", '"x"']
    assert table["score"].tolist()[0] == 0.1


# --- recovery ---------------------------------------------------------------------------------------------------------


def test_a_directory_that_was_moved_aside_comes_back(tmp_path):
    (tmp_path / ".data-old").mkdir()
    (tmp_path / ".data-old" / "x").write_text("x")
    restore_directory(tmp_path / "data")
    assert tree(tmp_path) == {"data/x": "x"}


def test_a_directory_that_stands_stays_as_it_is(tmp_path):
    restore_directory(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []
    for name in ("data", ".data-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    restore_directory(tmp_path / "data")
    assert tree(tmp_path) == {"data/x": "data", ".data-old/x": ".data-old"}


def test_a_writer_that_fails_after_a_killed_one_leaves_what_was_moved_aside(tmp_path):
    (tmp_path / ".data-old").mkdir()
    (tmp_path / ".data-old" / "x").write_text("x")
    with pytest.raises(StoppedError), new_directory(tmp_path / "data"):
        raise StoppedError
    assert tree(tmp_path) == {"data/x": "x"}


def test_no_folder_is_removed_under_the_name_of_the_old_one(tmp_path, monkeypatch):
    removed, remove = [], shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **options: [removed.append(path.name), remove(path, **options)])
    for name in ("data", ".data-old"):
        (tmp_path / name).mkdir()
    with new_directory(tmp_path / "data") as scratch:
        (scratch / "x").write_text("x")
    assert set(removed) == {".data.partial"}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_name_with_a_slash_leads_into_no_other_folder():
    assert [file_stem(name) for name in ("pump 1", "50%", "../a", "a%2F/b")] == [
        "pump 1",
        "50%",
        "..%2Fa",
        "a%252F%2Fb",
    ]
