"""A run over shards, for the tests that kill it: `python fleet_driver.py ENGINE FOLDER`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import fleet_works as works

from offbeat.fleet.engine import engine_of
from offbeat.fleet.shards import Results, each_shard, shards_of
from offbeat.readings.assets import AssetFiles


def run(name: str, folder: Path) -> None:
    """Note ten shards of one asset each, a third of a second each, two at a time."""
    assets = [AssetFiles(f"pump-{k}", (folder / "readings.csv",), "pumps") for k in range(10)]
    work = partial(works.note, folder / "log.txt", 0.3)
    with engine_of(name, workers=2) as engine:
        for shard, made in each_shard(engine, work, shards_of(assets, 1), Results(folder / "results", "txt"), "note"):
            print(shard, made, flush=True)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
