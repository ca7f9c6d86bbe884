"""Figures of channels to one verdict, by hand."""

from __future__ import annotations

import pytest

from offbeat.drift.verdict import (
    ANOMALY,
    NONE,
    PART,
    RECORDING,
    REGIME,
    REMEDIES,
    SENSOR,
    VERDICTS,
    ChannelDrift,
    Figure,
    broken_ties,
    judge,
)

NAN = float("nan")
UP, STILL_UP, LOW = Figure(1.0, 9.0, 3.0), Figure(1.0, 9.0, 3.0, stayed=True), Figure(1.0, 1.1, 0.2)


def channel(
    name: str,
    mean: float = 0.0,
    *,
    scatter: float = NAN,
    partner: str | None = None,
    fault: str = "",
    stayed: bool = True,
    held: bool = True,
    ended: str = "",
) -> ChannelDrift:
    """Return a channel whose mean and whose scatter around its partner moved so far."""
    figures = {of: Figure(0.0, 1.0, 0.0, stayed=True) for of in ("mean", "spread", "offset", "scatter")}
    figures |= {"mean": Figure(0.0, 1.0, mean, stayed, held), "scatter": Figure(0.0, 1.0, scatter, stayed=True)}
    shares = dict.fromkeys(("missing", "stuck", "outside"), (0.0, 0.5))
    return ChannelDrift(name, partner, figures, shares, fault, held, ended)


def verdict(*moves: float, **of_first: object) -> str:
    """Return the verdict on ten channels, the first of which moved so far."""
    padded = [*moves, *[0.0] * (10 - len(moves))]
    channels = [channel(f"c{k}", move, **(of_first if k == 0 else {})) for k, move in enumerate(padded)]
    return judge(channels, LOW, (), 0.3)[0]


@pytest.mark.parametrize(
    ("moves", "said"),
    [
        ((0.99,), NONE),
        ((1.0,), SENSOR),
        ((-1.0,), SENSOR),
        ((1.0, 1.2), PART),
        ((1.0, -1.2, 1.1), REGIME),  # three of ten
        ((1.0, 0.6, 0.7), REGIME),  # once one has moved beyond chance, others that moved with it count sooner
        ((0.9, 0.9, 0.9, 0.9), NONE),
        ((1.0, 0.5, 0.5), SENSOR),
    ],
)
def test_how_many_moved_decides_between_sensor_part_and_regime(moves: tuple[float, ...], said: str) -> None:
    assert verdict(*moves) == said


def test_what_came_back_has_not_moved() -> None:
    assert verdict(5.0, stayed=False) == NONE
    words = judge([channel("flow", 5.0, stayed=False)], LOW, (), 0.3)[1]
    assert words == ["flow moved for a while and came back"]


def test_what_many_channels_did_for_a_while_alone_is_an_anomaly_and_asks_for_no_retraining() -> None:
    lately = [channel(f"c{k}", 5.0, held=False) for k in range(3)]
    found, words = judge(lately, LOW, (), 0.3)
    assert (found, words[0][:39]) == (ANOMALY, "3 of 3 channels moved together, but onl")
    assert judge([*lately[:2], channel("c2", 5.0)], LOW, (), 0.3)[0] == ANOMALY
    assert judge([*lately[:1], channel("c1", 5.0), channel("c2", 5.0)], LOW, (), 0.3)[0] == REGIME


def test_a_fault_that_is_over_is_told_and_is_no_broken_sensor() -> None:
    channels = [channel("flow", 5.0, stayed=False, ended="outside"), channel("temp")]
    said = "flow: 50% of the readings were outside the range they ever had, for a while that is over"
    assert judge(channels, LOW, (), 0.3) == (NONE, [said])
    found, words = judge(channels, UP, (), 0.3)
    assert (found, words[-1]) == (ANOMALY, said)


def test_a_single_channel_that_moves_is_the_whole_machine() -> None:
    assert judge([channel("flow", 2.0)], LOW, (), 0.3)[0] == REGIME
    assert judge([channel("flow", 2.0), channel("temp", 0.0)], LOW, (), 0.3)[0] == SENSOR


@pytest.mark.parametrize(("fault", "said"), [("missing", SENSOR), ("stuck", SENSOR), ("outside", SENSOR)])
def test_a_faulty_channel_is_a_broken_sensor(fault: str, said: str) -> None:
    assert verdict(fault=fault) == said


def test_many_lost_channels_are_the_recorder_but_many_outside_their_range_another_regime() -> None:
    lost, outside = ([channel(f"c{k}", fault=fault) for k in range(4)] for fault in ("missing", "outside"))
    assert judge(lost, LOW, (), 0.3)[0] == RECORDING
    assert judge(outside, LOW, (), 0.3)[0] == REGIME


def test_a_broken_sensor_does_not_hide_another_regime() -> None:
    channels = [channel("dead", fault="missing"), *(channel(f"c{k}", 2.0) for k in range(3))]
    found, words = judge(channels, LOW, (), 0.3)
    assert found == REGIME
    assert any("missing" in word for word in words)


def test_a_high_score_alone_is_an_anomaly_and_says_whether_it_lasts() -> None:
    channels = [channel("flow"), channel("temp")]
    assert judge(channels, UP, (), 0.3) == (
        ANOMALY,
        ["the anomaly score was up", "the readings themselves are back to what they were, or never left it"],
    )
    assert judge(channels, STILL_UP, (), 0.3)[1][0] == "the anomaly score was up and still is"
    assert judge(channels, None, (), 0.3)[0] == NONE


def test_readings_that_come_otherwise_are_told_before_all_else() -> None:
    channels = [channel("flow", 5.0), channel("temp", 5.0)]
    found, words = judge(channels, UP, ("readings come every 20 min",), 0.3)
    assert (found, words[0]) == (RECORDING, "readings come every 20 min")


def test_a_tie_that_broke_is_laid_to_the_end_most_of_whose_ties_broke() -> None:
    # temp goes with flow, flow and current with speed: only temp's tie broke
    ties = [("speed", "flow", 0.0), ("flow", "speed", 0.0), ("current", "speed", 0.0), ("temp", "flow", 4.0)]
    assert broken_ties([channel(name, partner=p, scatter=s) for name, p, s in ties]) == {"temp"}
    # all that go with speed left it
    ties = [("speed", "flow", 4.0), ("flow", "speed", 4.0), ("current", "speed", 4.0), ("temp", "flow", 0.0)]
    assert broken_ties([channel(name, partner=p, scatter=s) for name, p, s in ties]) == {"speed"}


def test_a_tie_that_became_closer_is_none_that_broke() -> None:
    assert not broken_ties([channel("flow", partner="speed", scatter=-5.0), channel("speed")])


def test_a_channel_that_shifted_or_is_lost_explains_its_ties() -> None:
    for culprit in (channel("speed", 3.0), channel("speed", fault="stuck")):
        assert not broken_ties([culprit, channel("flow", partner="speed", scatter=4.0)])


def test_every_verdict_says_what_to_do() -> None:
    assert REMEDIES.keys() == VERDICTS.keys()
    assert [name for name, remedy in REMEDIES.items() if remedy.startswith("retrain")] == [REGIME]
