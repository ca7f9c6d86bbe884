"""Shards: whose they are, when their results are made again, and what a killed run leaves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import fleet_driver as driver
import fleet_works as works
import pytest

from offbeat.errors import OffbeatError
from offbeat.fleet.engine import Failure, Local
from offbeat.fleet.shards import KEY_LENGTH, Results, Shard, data_hash, each_shard, shards_of
from offbeat.readings.assets import AssetFiles

KEY = "0" * KEY_LENGTH


def fleet(n: int, group: str = "pumps", folder: Path = Path()) -> list[AssetFiles]:
    return [AssetFiles(f"{group}-{k}", (folder / f"{group}-{k}.csv",), group) for k in range(n)]


def written(folder: Path, n: int = 3) -> list[AssetFiles]:
    """Return assets whose files are there."""
    assets = fleet(n, folder=folder)
    for asset in assets:
        asset.files[0].write_text(f"{asset.asset}\n")
    return assets


def test_a_shard_holds_assets_of_one_group_in_order() -> None:
    shards = shards_of([*fleet(5), *fleet(2, "fans"), *fleet(1, "")], 2)
    names = ["pumps-0001", "pumps-0002", "pumps-0003", "fans-0001", "0001"]
    assert [shard.name for shard in shards] == names
    assert [len(shard.assets) for shard in shards] == [2, 2, 1, 2, 1]
    assert [asset for shard in shards[:3] for asset in shard.assets] == fleet(5)


def test_an_asset_that_is_appended_changes_the_last_shard_of_its_group_alone() -> None:
    before, after = shards_of(fleet(5), 2), shards_of([*fleet(6), *fleet(1, "fans")], 2)
    assert after[:2] == before[:2]
    assert after[2].name == before[2].name


@pytest.mark.parametrize("change", ["content", "name", "file", "gone"])
def test_the_data_hash_changes_with_names_and_contents(tmp_path: Path, change: str) -> None:
    assets = written(tmp_path)
    before = data_hash(Shard("pumps-0001", tuple(assets)))
    first = assets[0]
    if change == "content":
        first.files[0].write_text("other\n")
    elif change == "name":
        assets[0] = AssetFiles("other", first.files, first.group)
    elif change == "file":
        assets[0] = AssetFiles(first.asset, (first.files[0].rename(tmp_path / "other.csv"),), first.group)
    else:
        first.files[0].unlink()
    assert data_hash(Shard("pumps-0001", tuple(assets))) != before


def test_the_data_hash_is_the_same_wherever_the_files_lie(tmp_path: Path) -> None:
    hashes = set()
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        hashes.add(data_hash(Shard(place, tuple(written(tmp_path / place)))))
    assert len(hashes) == 1


def test_a_result_is_whole_or_not_there(tmp_path: Path) -> None:
    results, shard = Results(tmp_path, "txt"), Shard("pumps-0001", ())

    def write(text: str) -> None:
        with results.write(shard, KEY) as scratch:
            scratch.write_text(text)
            assert results.find(shard, KEY) is None
            if text == "half":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write("half")
    assert list(tmp_path.iterdir()) == []
    write("whole")
    assert results.find(shard, KEY) == tmp_path / f"pumps-0001-{KEY}.txt"


def test_a_rerun_makes_what_changed_and_forgets_what_it_was(tmp_path: Path) -> None:
    assets, results = written(tmp_path), Results(tmp_path / "results", "txt")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / f"fans-0001-{KEY}.txt").write_text("of a group that is no more")
    (tmp_path / "results" / "notes.txt").write_text("a person's")
    log = tmp_path / "log.txt"

    def made(settings: str) -> list[str]:
        log.write_text("")
        done = dict(each_shard(Local(1), partial(works.note, log, 0.0), shards_of(assets, 1), results, settings))
        assert {path.read_text() for path in done.values() if isinstance(path, Path)} == {one.asset for one in assets}
        assert {*done.values(), results.directory / "notes.txt"} == set(results.directory.glob("*.txt"))
        return [line.split()[1] for line in log.read_text().splitlines()]

    assert made("a") == ["pumps-0001", "pumps-0002", "pumps-0003"]
    assert made("a") == []
    assets[1].files[0].write_text("more\n")
    assert made("a") == ["pumps-0002"]
    assert made("b") == ["pumps-0001", "pumps-0002", "pumps-0003"]


def test_a_shard_that_fails_stands_in_no_ones_way(tmp_path: Path) -> None:
    results = Results(tmp_path / "results", "txt")
    outcomes = dict(each_shard(Local(1), works.refuse_second, shards_of(written(tmp_path), 1), results, "a"))
    reasons = {shard.name: made.reason for shard, made in outcomes.items() if isinstance(made, Failure)}
    assert reasons == {"pumps-0002": "pumps-1.csv: rule"}
    assert sum(isinstance(made, Path) for made in outcomes.values()) == 2


def test_a_second_run_at_once_is_refused(tmp_path: Path) -> None:
    results = Results(tmp_path, "txt")
    with (
        results.alone(),
        pytest.raises(OffbeatError, match=r"held by process \d+"),
        results.alone(say=lambda _: None),
    ):
        pass


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    results, shard = Results(tmp_path, "txt"), Shard("pumps-0001", ())
    (tmp_path / ".notes.partial").write_text("a person's own")
    block = results.write(shard, KEY)
    block.__enter__().write_text("half")  # and no end
    with results.alone():
        assert {path.name for path in tmp_path.iterdir()} == {".lock", ".notes.partial"}


def test_a_killed_run_leaves_no_process_and_is_taken_up_where_it_stood(tmp_path: Path) -> None:
    driver.check_killed_driver("local", tmp_path, within_s=30)
