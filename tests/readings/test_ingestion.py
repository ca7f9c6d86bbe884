"""Ingestion into data/: what new, late, repeated and corrected readings do, what stops it, and what a kill leaves."""

import json
import os
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError, StageError
from offbeat.readings import spool
from offbeat.readings.asset_readings import read_frame
from offbeat.readings.assets import AssetFiles
from offbeat.readings.conversion import to_partitions
from offbeat.readings.drop_folder import DropFolder
from offbeat.readings.ingestion import ingest
from offbeat.readings.merging import Counts
from offbeat.readings.sources import Batch
from offbeat.readings.spool import Spool

HEAD = "timestamp,x,y\n"


class Given:
    """A source that gives the same batches whenever it is asked."""

    def __init__(self, *batches, name="given"):
        self.name, self._batches = name, batches

    def pull(self, state):
        self.state = state
        return iter(self._batches)


def batch(asset, index, origin="table", mark=None, **columns):
    index = pd.Index(index) if isinstance(index[0], int) else pd.DatetimeIndex(index, tz="UTC")
    return Batch(asset, pd.DataFrame(columns, index), origin, mark or {})


def day(day, **columns):
    return batch("pump-1", [f"2026-01-{day:02d}"], f"day {day}", **columns)


def tree(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def data(write, tmp_path):
    """A data folder of one pump, with what else may stand there."""
    write("data/readings/pump-1.csv", f"{HEAD}2026-01-02T00:00:00Z,1,10.5\n2026-01-03T00:00:00Z,2,\n")
    write("data/labels.csv", "asset,start,end\n")
    write("data/maps/plant/floor.txt", "here")
    return tmp_path / "data"


def readings(data, asset="pump-1"):
    return (data / "readings" / f"{asset}.csv").read_text().splitlines()[1:]


# --- what is merged ---------------------------------------------------------------------------------------------------


def test_new_rows_stand_in_order_and_missing_readings_are_filled(data):
    done = ingest(data, [Given(day(4, x=[4], y=[0.1]), day(3, x=[2], y=[7.0]), day(1, x=[0], y=[np.nan]))])
    assert readings(data) == [
        "2026-01-01T00:00:00Z,0,",
        "2026-01-02T00:00:00Z,1,10.5",
        "2026-01-03T00:00:00Z,2,7.0",
        "2026-01-04T00:00:00Z,4,0.1",
    ]
    assert (done.assets, done.changed) == ({"pump-1": Counts(new=2, filled=1)}, True)


def test_a_reading_that_differs_replaces_the_known_one(data):
    done = ingest(data, [Given(day(2, x=[5], y=[np.nan]))])
    assert readings(data)[0] == "2026-01-02T00:00:00Z,5,10.5"
    assert done.assets == {"pump-1": Counts(corrected=1)}
    assert str(done) == "pump-1: 1 reading corrected"


def test_what_is_known_changes_nothing_and_is_not_written(data):
    before, inode = tree(data), data.stat().st_ino
    done = ingest(data, [Given(day(2, x=[1], y=[10.5]), day(3, x=[2], y=[np.nan]))])
    assert (tree(data), data.stat().st_ino) == (before, inode)
    assert (done.changed, done.assets) == (False, {"pump-1": Counts(unchanged=2)})
    assert str(done) == "pump-1: 2 rows known already\nno new readings from 1 source"


def test_what_else_is_in_data_stays(data):
    before = tree(data)
    ingest(data, [Given(day(4, x=[4], y=[0]))])
    after = tree(data)
    assert {name: after[name] for name in ("labels.csv", "maps/plant/floor.txt")} == {
        name: before[name] for name in ("labels.csv", "maps/plant/floor.txt")
    }


def test_the_first_readings_make_the_folder(tmp_path):
    ingest(tmp_path / "deep" / "data", [Given(day(1, x=[1], y=[2]))])
    assert readings(tmp_path / "deep" / "data") == ["2026-01-01T00:00:00Z,1,2"]
    assert ingest(tmp_path / "other", []).changed is False
    assert not (tmp_path / "other").exists()


def test_numbers_and_times_survive_exactly(tmp_path):
    index = pd.DatetimeIndex(["2026-01-05T00:00:00.000000001Z", "2026-01-05T00:00:00.1Z"])
    columns = {"a": [0.1 + 0.2, 5e-324], "b": [2**60 + 1, -3], "c": [1 / 3, None], "big": [1e100, -1e-300]}
    frame = pd.DataFrame(columns, index)
    for name in ("one", "two"):
        ingest(tmp_path / "data", [Given(Batch("p", frame, "f", {}), name=name)])
    found, _, _ = read_frame(AssetFiles.of(tmp_path / "data" / "readings" / "p.csv"))
    pd.testing.assert_frame_equal(found, frame, check_names=False, check_exact=True)


def test_the_same_readings_are_the_same_bytes_however_they_came(tmp_path):
    whole = [batch("p", [1, 2, 3], x=[7.0, 8.0, np.nan], y=[0.5, 2.0, 3.0])]
    parts = [batch("p", [3], "a", x=[np.nan], y=[3]), batch("p", [2], "b", x=[8], y=[np.nan])]
    parts += [batch("p", [1, 2], "c", x=[7.0, np.nan], y=[0.5, 2.0])]
    ingest(tmp_path / "whole", [Given(*whole)])
    for part in parts:
        ingest(tmp_path / "parts", [Given(part)])
    assert tree(tmp_path / "whole") == tree(tmp_path / "parts")
    assert readings(tmp_path / "whole", "p") == ["1,7,0.5", "2,8,2.0", "3,,3.0"]


@pytest.mark.parametrize("index", [[3, 4], ["2026-01-05T00:00:00.5", "2026-01-06"]])
def test_a_parquet_file_stays_one(tmp_path, index):
    first = batch("p", index[:1], x=[1.5])
    (tmp_path / "data" / "readings").mkdir(parents=True)
    file = tmp_path / "data" / "readings" / "p.parquet"
    first.frame.to_parquet(file)
    ingest(tmp_path / "data", [Given(batch("p", index, x=[1.5, 2.5]))])
    pd.testing.assert_frame_equal(
        read_frame(AssetFiles.of(file))[0],
        batch("p", index, x=[1.5, 2.5]).frame,
        check_names=False,
        check_index_type=False,
    )
    assert [path.name for path in file.parent.iterdir()] == ["p.parquet"]


def test_channels_keep_the_order_they_have(data):
    ingest(data, [Given(day(4, y=[0.5], x=[9]))])
    assert readings(data)[-1] == "2026-01-04T00:00:00Z,9,0.5"


def test_readings_spooled_to_files_merge_as_those_in_memory(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    stamps = [sorted(rng.permutation(50)[:10].tolist()) for _ in range(12)]
    batches = [batch(f"p-{k % 2}", one, f"f{k // 3}", x=[s / 3 for s in one], y=one) for k, one in enumerate(stamps)]
    ingest(tmp_path / "memory", [Given(*batches)])
    monkeypatch.setattr(spool.Spool.__init__, "__defaults__", (30,))
    ingest(tmp_path / "files", [Given(*batches)])
    assert tree(tmp_path / "files") == tree(tmp_path / "memory")
    assert not list(tmp_path.glob(".*.ingest"))


def test_the_spool_holds_no_more_than_it_may(tmp_path):
    held = Spool(tmp_path / "spool", cells_in_memory=10)
    frames = [pd.DataFrame({"x": [k, k], "y": [0.5, None]}, pd.Index([k, k + 1])) for k in range(7)]
    for k, frame in enumerate(frames):
        held.add("a", f"f{k // 2}", frame)
    assert len(list((tmp_path / "spool").iterdir())) == 4  # parts of two pulls of three frames each
    pieces = held.pieces("a")
    assert [piece.origin for piece in pieces] == ["f0", "f1", "f1", "f2", "f3"]
    pd.testing.assert_frame_equal(pd.concat([piece.frame for piece in pieces]), pd.concat(frames))


# --- state ------------------------------------------------------------------------------------------------------------


def test_the_state_of_each_source_is_kept_beside_the_readings(data):
    one, other = Given(day(4, x=[4], y=[0]), day(5, x=[5], y=[0]), name="one"), Given(name="other")
    one._batches[0].mark["a"] = [1]
    one._batches[1].mark["b"] = {"c": 2}
    ingest(data, [one, other])
    assert json.loads((data / "ingested.json").read_text()) == {"one": {"a": [1], "b": {"c": 2}}}
    ingest(data, [one, other])
    assert (one.state, other.state) == ({"a": [1], "b": {"c": 2}}, {})


def test_a_mark_without_readings_is_kept_too(data):
    refused = Batch("pump-1", pd.DataFrame(), "bad.csv", {"bad.csv": 1}, "bad.csv, line 2: no number: correct it")
    done = ingest(data, [Given(refused)])
    assert (done.changed, done.refused[0].origin) == (True, "bad.csv")
    assert str(done) == "left out, given: bad.csv, line 2: no number: correct it\nno new readings from 1 source"
    assert ingest(data, [Given(refused)]).changed is False


def test_a_damaged_state_is_an_error_with_a_remedy(data, write):
    for text in ("{", "[1]", '{"given": 3}'):
        write("data/ingested.json", text)
        with pytest.raises(ReadingsError, match=r"ingested\.json is damaged: restore it .* or remove it"):
            ingest(data, [Given()])


# --- what stops it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (day(5, x=[1]), "source 'given', day 5: the readings of 'pump-1' lack 'y', unlike pump-1.csv"),
        (day(5, x=[1], y=[1], z=[1]), "source 'given', day 5: .* have in addition 'z'"),
        (batch("pump-1", [5], x=[1], y=[1]), "source 'given', table: .* have an integer index, and no timestamps"),
        (batch("pump-2", ["2026-01-05"], x=[1]), "source 'given', table: .*'pump-2' lack 'y', unlike pump-1.csv"),
        (batch("../evil", ["2026-01-05"], x=[1], y=[1]), "source 'given', table: the asset's name"),
        (batch("pump-1", ["2026-01-05"], x=[1], y=[np.inf]), "source 'given', table: channel 'y' is inf"),
        (batch("pump-1", ["2026-01-05"] * 2, x=[1, 2], y=[1, 1]), "source 'given', table: .* stands there twice"),
    ],
)
def test_what_does_not_fit_stops_it_and_leaves_data_as_it_was(data, wrong, message):
    before = tree(data.parent)
    with pytest.raises(ReadingsError, match=message):
        ingest(data, [Given(day(4, x=[4], y=[4]), wrong)])
    assert tree(data.parent) | {".data.lock": b""} == before | {".data.lock": b""}


def test_new_assets_must_be_like_each_other(tmp_path):
    given = Given(batch("a", ["2026-01-05"], x=[1]), batch("b", ["2026-01-05"], y=[1]))
    with pytest.raises(ReadingsError, match="'b' lack 'x' and have in addition 'y', unlike source 'given', table"):
        ingest(tmp_path / "data", [given])
    assert not (tmp_path / "data").exists()


def test_readings_that_cannot_be_merged_safely_are_refused(data, write):
    write("data/readings/pump-1.csv", f"{HEAD}2026-01-03,1,1\n2026-01-02,1,1\n")
    with pytest.raises(ReadingsError, match=r"pump-1\.csv, line 3: timestamps must not go back: sort"):
        ingest(data, [Given(day(4, x=[4], y=[4]))])
    write("flat/pump-1.csv", f"{HEAD}2026-01-03,1,1\n")
    with pytest.raises(ReadingsError, match=r"pump-1\.csv stands beside readings/"):
        ingest(data.parent / "flat", [Given(day(4, x=[4], y=[4]))])
    assert ingest(data.parent / "flat", []).changed is False
    with pytest.raises(ReadingsError, match="is a file, and readings are kept in a folder"):
        ingest(data / "labels.csv", [])


def test_two_at_once_are_kept_apart(data):
    script = f"""
        from pathlib import Path
        from offbeat.readings.ingestion import _alone
        with _alone(Path({str(data)!r})):
            print("locked", flush=True)
            input()
    """
    arguments = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(StageError, match="another ingestion into data is at work"):
            ingest(data, [])
        other.kill()  # the lock goes with it
    ingest(data, [])


# --- links ------------------------------------------------------------------------------------------------------------


def test_nothing_is_written_through_a_link(data, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    for name, link in (("readings/pump-1.csv", os.link), ("labels.csv", os.symlink)):
        (data / name).rename(cache / Path(name).name)
        link(cache / Path(name).name, data / name)
    before = tree(cache)
    ingest(data, [Given(day(4, x=[4], y=[4]))])
    assert tree(cache) == before
    assert (data / "labels.csv").read_text() == "asset,start,end\n"
    assert len(readings(data)) == 3


def test_files_that_cannot_be_linked_are_copied(data, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    before = tree(data)
    monkeypatch.setattr(os, "link", refuse)
    ingest(data, [Given(day(4, x=[4], y=[4]))])
    assert tree(data)["maps/plant/floor.txt"] == before["maps/plant/floor.txt"]


def test_data_may_be_a_link_itself(data, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "data").symlink_to(data)
    ingest(tmp_path / "project" / "data", [Given(day(4, x=[4], y=[4]))])
    assert (tmp_path / "project" / "data").is_symlink()
    assert len(readings(data)) == 3


# --- kills ------------------------------------------------------------------------------------------------------------

KILLED = """
    import os, random, shutil, signal, sys, time
    from pathlib import Path
    from offbeat.files import restore_directory
    from offbeat.readings.drop_folder import DropFolder
    from offbeat.readings.ingestion import ingest

    root = Path(sys.argv[1])
    sources = [DropFolder("d", root / "drop", settle_s=0)]

    def tree(directory):
        return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}

    def killed(data, kill):
        '''Ingest in a child that `kill` ends; whether it was killed.'''
        child = os.fork()
        if not child:
            kill(0)
            ingest(data, sources)
            os._exit(0)
        kill(child)
        return os.waitpid(child, 0)[1] != 0

    def at_write(n):
        '''Kill before the n-th time that something in a folder changes.'''
        def kill(child):
            left = [n]
            def hook(event, arguments):
                writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
                if writes or event in ("os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir"):
                    left[0] -= 1
                    if left[0] < 0:
                        os.kill(os.getpid(), signal.SIGKILL)
            if not child:
                sys.addaudithook(hook)
        return kill

    def at_time(seconds):
        def kill(child):
            if child:
                time.sleep(seconds)
                os.kill(child, signal.SIGKILL)
        return kill

    def proven(kill):
        data = root / "killed" / "data"
        shutil.rmtree(root / "killed", ignore_errors=True)
        shutil.copytree(root / "data", data)
        was_killed = killed(data, kill)
        restore_directory(data)
        assert tree(data) in (before, after), "half an ingestion"
        ingest(data, sources)
        assert tree(data) == after, "rows lost or doubled"
        assert sorted(path.name for path in data.parent.iterdir()) == [".data.lock", "data"]
        return was_killed

    before = tree(root / "data")
    shutil.copytree(root / "data", root / "twin" / "data")
    start = time.perf_counter()
    ingest(root / "twin" / "data", sources)
    length, after = time.perf_counter() - start, tree(root / "twin" / "data")
    n = 0
    while proven(at_write(n)):
        n += 1
    moments = random.Random(3)
    print(n, sum(proven(at_time(moments.uniform(0, length))) for _ in range(12)))
"""


def test_a_kill_at_any_moment_loses_and_doubles_no_row(data, write, tmp_path):
    write("drop/pump-1__1.csv", f"{HEAD}2026-01-04,4,4\n2026-01-01,0,0\n")
    ingest(data, [DropFolder("d", tmp_path / "drop", settle_s=0)])
    write("drop/pump-1__2.csv", f"{HEAD}2026-01-04,4,5\n2026-01-03,2,3\n2026-01-06,6,6\n")
    write("drop/pump-1__3.csv", "no table\n1,2\n")
    write("drop/pump-2.csv", f"{HEAD}2026-01-04,4,4\n")
    for name in ("twin", "killed"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    at_writes, at_times = map(int, done.stdout.split())
    assert at_writes > 20
    assert at_times > 0


# --- the drop folder, with public readings ----------------------------------------------------------------------------


def shared_data():
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public readings in shared/data are not there")
    return folder


@pytest.mark.parametrize("seed", range(3))
def test_files_in_pieces_out_of_order_and_twice_give_the_whole_files(tmp_path, seed):
    rng = np.random.default_rng(seed)
    whole = sorted((shared_data() / "skab" / "valve1").glob("*.csv"))[:2]
    pieces = []
    for file in whole:
        head, *rows = file.read_text().splitlines(keepends=True)
        cuts = [0, *sorted(rng.permutation(np.arange(1, len(rows)))[:4].tolist()), len(rows)]
        for start, stop in pairwise(cuts):
            rows_of_piece = "".join(rows[max(0, start - 30) : stop])
            pieces.append((f"valve-{file.stem}__{start}.csv", head + rows_of_piece))
    pieces += [(name.replace("__", "__again-"), text) for name, text in pieces[::3]]
    source = DropFolder("skab", tmp_path / "drop", settle_s=0)
    source.path.mkdir()
    for k in rng.permutation(len(pieces)):
        (source.path / pieces[k][0]).write_text(pieces[k][1])
        ingest(tmp_path / "data", [source])
    for file in whole:
        expected = read_frame(AssetFiles.of(file))[0].tz_localize("UTC")
        found = read_frame(AssetFiles.of(tmp_path / "data" / "readings" / f"valve-{file.stem}.csv"))[0]
        pd.testing.assert_frame_equal(found, expected, check_names=False, check_dtype=False, check_exact=True)
    assert ingest(tmp_path / "data", [source]).changed is False


def test_new_readings_are_not_merged_into_a_partitioned_data_set(data, tmp_path):
    to_partitions(data, tmp_path / "months")
    before = tree(tmp_path / "months")
    with pytest.raises(ReadingsError, match=r"months is a partitioned data set.*offbeat convert --to csv"):
        ingest(tmp_path / "months", [Given(day(4, x=[1.0], y=[2.0]))])
    assert tree(tmp_path / "months") == before
