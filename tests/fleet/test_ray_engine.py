"""The engine on Ray: the same results as here, whoever is killed, and nobody beyond this machine is let in.

One Ray of two processors serves all tests; it takes a while to start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fleet_works as works
import psutil
import pytest
from fleet_driver import check_killed_driver

from offbeat.fleet import engine as engines
from offbeat.fleet.engine import Engine, Failure, Local

pytest.importorskip("ray", reason="no Ray: pip install 'offbeat[ray]'")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Ray says of itself is not ours
        from ray.data import DataContext

        DataContext.get_current()
        with engines.engine_of("ray", workers=2) as made:
            yield made


@pytest.mark.slow
def test_ray_gives_what_this_process_gives_though_a_worker_is_killed(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offbeat.fleet.ray_engine.AT_ONCE", 16)
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in (0, 1, 2, 3, *range(6, 18)):
            taken.append(number)
            yield number

    outcomes = []
    for outcome in engine.run(partial(works.killed_once, tmp_path), items()):
        assert len(taken) <= len(outcomes) + 16
        outcomes.append(outcome)
    assert (tmp_path / "3.txt").read_text() == "tried\ntried\n"
    assert isinstance(dict(outcomes)[13], Failure)
    assert sorted(outcomes) == list(Local(1).run(partial(works.killed_once, tmp_path), taken))


@pytest.mark.slow
def test_training_on_ray_gets_a_fresh_process_each_and_tells_faults(engine: Engine) -> None:
    assert len({process for _, process in engine.learn(works.process_id, range(3))}) == 3
    with pytest.raises(RuntimeError, match=r"the work failed on 0:\n(.*\n)*ZeroDivisionError"):
        list(engine.learn(works.faulty, [0]))


@pytest.mark.slow
def test_ray_listens_on_this_machine_alone_and_asks_for_its_secret(engine: Engine) -> None:  # noqa: ARG001
    mine = psutil.Process()
    sockets = [one for process in (mine, *mine.children(recursive=True)) for one in process.net_connections("inet")]
    hosts = {one.laddr.ip.removeprefix("::ffff:") for one in sockets if one.status == psutil.CONN_LISTEN}
    assert hosts == {"127.0.0.1"}
    assert not (Path.home() / ".ray" / "auth_token").exists()


def test_a_cluster_that_does_not_answer_is_said_at_once() -> None:
    code = "from offbeat.fleet.engine import engine_of\nwith engine_of('ray'): pass"
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "OffbeatError: RAY_ADDRESS=127.0.0.1:1: nothing answers there" in done.stderr


@pytest.mark.long
def test_an_item_that_kills_every_worker_on_ray_is_given_up(engine: Engine, tmp_path: Path) -> None:
    for name in ("run", "learn"):
        notes = tmp_path / name
        notes.mkdir()
        outcomes = list(getattr(engine, name)(partial(works.killed_once, notes), range(8)))
        assert sorted(number for number, _ in outcomes) == list(range(8))
        assert {number for number, outcome in outcomes if isinstance(outcome, Failure)} == {5}
        assert (notes / "5.txt").read_text() == "tried\n" * 3


@pytest.mark.long
def test_a_killed_run_on_ray_leaves_no_process_and_is_taken_up_where_it_stood(tmp_path: Path) -> None:
    check_killed_driver("ray", tmp_path, within_s=120)  # Ray's agents, which do no work, stay a minute longer
