"""Steps of long work, and what is told of them."""

from __future__ import annotations

import pytest

from offbeat import progress
from offbeat.progress import Lines, Pace, Step, counted, parts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still; its only entry is the time in seconds."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_things_are_counted_before_the_first_and_after_each() -> None:
    steps: list[Step] = []
    seen = [(thing, len(steps)) for thing in counted(["a", "b"], steps.append, "reading", "files")]
    assert seen == [("a", 1), ("b", 2)]
    assert steps == [Step("reading", done, 2, "files") for done in (0, 1, 2)]


def test_things_without_a_length_have_no_total() -> None:
    steps: list[Step] = []
    assert list(counted(iter("ab"), steps.append, "reading", "files")) == ["a", "b"]
    assert {step.total for step in steps} == {None}


def test_parts_go_on_where_the_one_before_ended() -> None:
    steps: list[Step] = []
    one, other = parts(steps.append, "scoring", [30, 12])
    for report in (one, other):
        report(Step("anything", 0, 99, "timesteps"))
        report(Step("anything", 12, 99, "timesteps"))
    assert [(step.work, step.done, step.total) for step in steps] == [("scoring", done, 42) for done in (0, 12, 30, 42)]


def test_rate_and_time_left_leave_out_what_comes_once(clock: list[float]) -> None:
    pace = Pace()
    assert pace.begins(Step("training", 0, 1_000, "batches"))
    assert pace.words() == "0/1,000 batches"
    clock[0] += 60  # the first batch compiles
    assert not pace.begins(Step("training", 10, 1_000, "batches"))
    assert pace.words() == "10/1,000 batches"
    clock[0] += 9
    pace.begins(Step("training", 100, 1_000, "batches"))
    assert pace.words() == "100/1,000 batches, 10/s, 1 min 30 s left"  # 90 in 9 s, 900 left


@pytest.mark.parametrize(
    ("done", "told"), [(3, "3/s"), (25_000, "25,000/s"), (0.1, "6/min")], ids=["few", "many", "slow"]
)
def test_a_rate_is_short(clock: list[float], done: float, told: str) -> None:
    pace = Pace()
    pace.begins(Step("reading", 1, None, "rows"))
    clock[0] += 10
    pace.begins(Step("reading", 1 + int(10 * done), None, "rows"))
    assert pace.words().endswith(f" rows, {told}")


def test_the_same_work_anew_starts_the_clock_anew(clock: list[float]) -> None:
    pace = Pace()
    pace.begins(Step("training", 0, 100, "batches"))
    pace.begins(Step("training", 100, 100, "batches"))
    clock[0] += 50
    assert pace.begins(Step("training", 0, 100, "batches"))
    pace.begins(Step("training", 1, 100, "batches"))
    clock[0] += 1
    pace.begins(Step("training", 2, 100, "batches"))
    assert pace.words() == "2/100 batches, 1/s, 1 min 38 s left"


def test_a_log_gets_a_line_now_and_then_and_each_new_note_at_once(clock: list[float]) -> None:
    lines: list[str] = []
    report = Lines(lines.append, every_s=10)
    for done, note, passed in [(0, "", 0), (1, "", 5), (2, "", 6), (3, "", 1), (4, "loss 1", 0), (5, "loss 1", 9)]:
        clock[0] += passed
        report(Step("training", done, 9, "batches", note))
    assert lines == ["training: 2/9 batches, 10/min, 42 s left", "training: 4/9 batches, 26/min, 12 s left; loss 1"]


def test_work_that_cannot_be_counted_is_told_without_figures(clock: list[float]) -> None:
    pace, lines = Pace(), list[str]()
    assert pace.begins(Step("loading"))
    assert pace.words() == ""
    report = Lines(lines.append, every_s=10)
    report(Step("loading"))
    clock[0] += 10
    report(Step("loading"))
    report(Step("loading", note="the second part"))
    assert lines == ["loading", "loading: the second part"]
