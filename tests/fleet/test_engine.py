"""Engines: each item once with its result, wherever it is worked on, whoever is killed."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fleet_works as works
import pytest

from offbeat.errors import OffbeatError, ParamsError
from offbeat.fleet.engine import Engine, Failure, engine_of


@pytest.fixture(params=[1, 3], ids=["here", "processes"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engine_of("local", workers=request.param) as made:
        yield made


def in_several(workers: int = 2) -> Engine:
    with engine_of("local", workers=workers) as made:
        return made


def test_each_item_comes_back_once_with_its_result(engine: Engine) -> None:
    outcomes = sorted(engine.run(works.square, range(13)))
    assert outcomes == [(number, number**2) for number in range(13)]


def test_what_a_person_can_mend_is_the_failure_of_one_item(engine: Engine) -> None:
    outcomes = dict(engine.run(works.square, [12, 13, 14]))
    assert outcomes == {12: 144, 13: Failure("13 is an unlucky number: leave it out"), 14: 196}


def test_a_fault_of_the_work_ends_the_run(engine: Engine) -> None:
    with pytest.raises((ZeroDivisionError, RuntimeError), match="division by zero"):
        list(engine.run(works.faulty, [1, 0, 2]))


def test_items_are_taken_as_they_are_needed(engine: Engine) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    for done, _ in enumerate(engine.run(works.square, items()), start=1):
        assert len(taken) <= done + 2 * 3


def test_a_worker_keeps_what_its_work_has_loaded() -> None:
    outcomes = list(in_several().run(works.load, range(20)))
    assert len({loaded for _, loaded in outcomes}) == 2


def test_one_worker_is_this_process_but_for_training() -> None:
    engine = in_several(1)
    assert [who for _, who in engine.run(works.process_id, [1, 2])] == [os.getpid()] * 2
    assert len({who for _, who in engine.learn(works.process_id, [1, 2])} | {os.getpid()}) == 3


def test_training_gets_a_gpu_each_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    seen = {gpu for _, gpu in in_several(3).learn(works.environment, ["CUDA_VISIBLE_DEVICES"] * 6)}
    assert seen == {"4", "7"}


def test_workers_share_the_processors() -> None:
    assert [int(n) for _, n in in_several(64).run(works.environment, ["OMP_NUM_THREADS"])] == [1]


def test_an_item_whose_worker_is_killed_is_done_again_and_given_up_at_the_third(tmp_path: Path) -> None:
    outcomes = list(in_several().run(partial(works.killed_once, tmp_path), range(8)))
    assert sorted(number for number, _ in outcomes) == list(range(8))
    results = dict(outcomes)
    lost = results.pop(5)
    assert results == {number: number**2 for number in results}
    assert isinstance(lost, Failure)
    assert lost.reason.startswith("5: the process that worked on it was killed 3 times (SIGKILL)")


def test_what_cannot_be_sent_to_a_worker_is_said_at_once() -> None:
    with pytest.raises(AttributeError, match="lambda"):
        list(in_several().run(lambda number: number, [1]))


def test_the_results_do_not_pile_up() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in in_several().run(works.large, range(200)):
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB, of 200 MB that were sent


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "offbeat.fleet.ray_engine", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OffbeatError, match=r"pip install 'offbeat\[ray\]'"), engine_of("ray"):
        pass


@pytest.mark.parametrize(("name", "workers", "message"), [("spark", None, "local and ray"), ("local", 0, "at least 1")])
def test_an_engine_that_is_not_there_is_refused(name: str, workers: int | None, message: str) -> None:
    with pytest.raises(ParamsError, match=message), engine_of(name, workers=workers):
        pass
