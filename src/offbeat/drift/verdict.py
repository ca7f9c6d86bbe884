"""What moved, to one verdict in words: is a sensor broken, did the regime change, or is the process anomalous now?

Only another regime asks for a new model. A broken sensor must be mended first, or the model would learn it; and a part
that wears or an anomaly is what the model is there to find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from offbeat.readings.messages import count

# worst first
REGIME, RECORDING, PART, SENSOR, ANOMALY = "regime", "recording", "part", "sensor", "anomaly"
NONE, UNKNOWN = "none", "unknown"
VERDICTS = {
    REGIME: "the regime changed",
    RECORDING: "readings are recorded otherwise",
    PART: "a part of the machine changed",
    SENSOR: "a sensor is broken",
    ANOMALY: "the process is anomalous",
    NONE: "no drift",
    UNKNOWN: "too few readings to tell",
}
REMEDIES = {
    REGIME: "retrain, once enough of the new regime has been read",
    RECORDING: "look at the recorder and the network; do not retrain",
    PART: "look at these sensors and at what they measure, such as a bearing that wears; do not retrain before",
    SENSOR: "look at the sensor and mend it, or exclude its readings; do not retrain before",
    ANOMALY: "look at the machine and its alarms (offbeat alarms); do not retrain",
    NONE: "nothing",
    UNKNOWN: "check again when there are more readings",
}
OWN = ("mean", "spread")  # statistics of a channel alone
TIES = ("offset", "scatter")  # of its distance from where its partner says it should be
WITH_OTHERS = 0.6  # of what it takes alone, where another channel has moved as far as it takes


@dataclass(frozen=True)
class Figure:
    """One statistic of one channel: before, now, and how far it moved in shares of what it takes to count (1)."""

    before: float
    now: float
    move: float  # NaN where nothing can be told
    stayed: bool = False  # it is not on its way back
    held: bool = False  # most chunks did, not a few days alone

    def counts(self, at: float = 1.0) -> bool:
        """Whether it moved and stayed."""
        return self.stayed and abs(self.move) >= at


@dataclass(frozen=True)
class ChannelDrift:
    """One channel: its figures by statistic, the channel that it goes with, and shares of faulty readings before/now.

    `fault` names the fault that counts, empty if none does; `fault_held` says that most chunks show it,
    and `ended` names one that is over.
    """

    channel: str
    partner: str | None
    figures: dict[str, Figure]
    shares: dict[str, tuple[float, float]]
    fault: str = ""
    fault_held: bool = False
    ended: str = ""

    @property
    def lost(self) -> bool:
        """Whether it tells nothing any more: missing, or stuck."""
        return self.fault in ("missing", "stuck")

    def shifted(self, at: float = 1.0) -> bool:
        """Whether its readings moved and stayed: in mean or in spread, or out of their range."""
        return not self.lost and (self.fault == "outside" or any(self.figures[name].counts(at) for name in OWN))

    @property
    def untied(self) -> bool:
        """Whether it no longer stands where its partner says; one that came closer broke no tie."""
        offset, scatter = self.figures["offset"], self.figures["scatter"]
        return not self.lost and (offset.counts() or (scatter.counts() and scatter.move > 0))

    @property
    def held(self) -> bool:
        """Whether anything that moved and stayed in it did so in most chunks: it is no event of a day."""
        moved = (figure.held and figure.counts(WITH_OTHERS) for figure in self.figures.values())
        return (self.fault == "outside" and self.fault_held) or any(moved)

    @property
    def told(self) -> bool:
        """Whether anything can be told of it."""
        return any(figure.move == figure.move for figure in self.figures.values())

    @property
    def move(self) -> float:
        """The largest of its moves, 0 where nothing can be told."""
        return max((abs(f.move) for f in self.figures.values() if f.move == f.move), default=0.0)


@dataclass(frozen=True)
class AssetDrift:
    """One machine: the verdict, why, and the figures behind it.

    `score` is the highest quarter of the period, which has `stayed` if the last quarter is high too.
    """

    asset: str
    verdict: str
    reasons: tuple[str, ...]
    period: tuple[str | int, str | int] | None = None
    n_chunks: int = 0
    chunk: str = ""
    channels: tuple[ChannelDrift, ...] = ()
    score: Figure | None = None
    sampling: dict[str, float] = field(default_factory=dict)

    @property
    def largest(self) -> tuple[float, str]:
        """The largest move of all and where it is; 0 and nothing where nothing was compared."""
        moves = [(abs(f.move), f"{c.channel}: {name}") for c in self.channels for name, f in c.figures.items()]
        moves += [(abs(self.score.move), "anomaly score")] if self.score is not None else []
        return max((one for one in moves if one[0] == one[0]), default=(0.0, ""))


def judge(
    channels: Sequence[ChannelDrift], score: Figure | None, recording: Sequence[str], regime_share: float
) -> tuple[str, list[str]]:
    """Return the verdict on a machine and its reasons.

    Parameters
    ----------
    channels : sequence of ChannelDrift
    score : Figure, optional
        Of the anomaly score; `stayed` if it is still up.
    recording : sequence of str
        What is wrong with the recording as a whole, in words.
    regime_share : float
    """
    n, lost = len(channels), [one for one in channels if one.lost]
    many = max(min(2, n), ceil(regime_share * n))
    untied = broken_ties(channels)
    gone = [one for one in channels if one.shifted() or one.channel in untied]
    if gone:  # once one has moved beyond chance, those that moved with it need not pass for the first time
        gone = [one for one in channels if one in gone or one.shifted(WITH_OTHERS)]
    # all of whose ties broke, though nothing else says so of them
    doubtful = {one.channel for one in channels if all(broke for broke, tie in ties_of(channels) if one.channel in tie)}
    doubtful -= {one.channel for one in gone if one.shifted()}
    reasons = [*recording, *map(_fault_words, lost), *(_move_words(one, doubtful) for one in gone)]
    up = score is not None and score.move >= 1
    if up:
        reasons.append("the anomaly score was up" + (" and still is" if score is not None and score.stayed else ""))
    if recording or len(lost) >= max(2, many):
        together = f"{len(lost)} of {count(n, 'channel')} are lost together, which points to the recorder"
        return RECORDING, reasons if recording else [together, *reasons]
    if len(gone) >= many:
        together = f"{len(gone)} of {count(n, 'channel')} moved together"
        if sum(one.held for one in gone) >= many:
            return REGIME, [f"{together} and stayed", *reasons]
        return ANOMALY, [
            f"{together}, but only for a while: an anomaly, or a regime that the next checks will tell",
            *reasons,
        ]
    if lost or gone:
        others = f"{len(gone)} of {count(n, 'channel')} moved and stayed, the others did not"
        return (SENSOR, reasons) if len(gone) < 2 else (PART, [others, *reasons])
    over = _ended_words(channels)
    if up:
        return ANOMALY, [*reasons, "the readings themselves are back to what they were, or never left it", *over]
    back = [one.channel for one in channels if one.move >= 1 and not one.ended]
    return NONE, [*over, *([f"{', '.join(back)} moved for a while and came back"] if back else [])]


def ties_of(channels: Sequence[ChannelDrift]) -> list[tuple[bool, set[str]]]:
    """Return each tie between two channels, and whether it broke."""
    return [(one.untied, {one.channel, one.partner}) for one in channels if one.partner is not None]


def broken_ties(channels: Sequence[ChannelDrift]) -> set[str]:
    """Return the fewest channels, found greedily, that explain every tie that broke.

    A tie has two ends. One whose own readings shifted explains its ties already, and so does one that is lost; of the
    others the one most of whose ties broke is to blame.
    """
    explained = {one.channel for one in channels if one.shifted() or one.lost}
    ties = ties_of(channels)
    broken = [tie for untied, tie in ties if untied and not tie & explained]
    found: set[str] = set()
    while broken:
        ends = {one.channel: sum(one.channel in tie for tie in broken) for one in channels}
        of = {name: max(1, sum(name in tie for _, tie in ties)) for name in ends}
        worst = max(ends, key=lambda name: (ends[name] / of[name], ends[name]))
        found.add(worst)
        broken = [tie for tie in broken if worst not in tie]
    return found


FAULT_WORDS = {"missing": "missing", "stuck": "stuck at one value", "outside": "outside the range they ever had"}


def _fault_words(channel: ChannelDrift) -> str:
    before, now = channel.shares[channel.fault]
    return (
        f"{channel.channel}: {now:.0%} of its readings are {FAULT_WORDS[channel.fault]} (before: {before:.0%} at most)"
    )


def _ended_words(channels: Sequence[ChannelDrift]) -> list[str]:
    """Return a line for each fault that is over, with the channels that had it."""
    lines = []
    for fault, words in FAULT_WORDS.items():
        had = {one.channel: one.shares[fault][1] for one in channels if one.ended == fault}
        if had:
            share = f"{'up to ' if len(had) > 1 else ''}{max(had.values()):.0%}"
            lines.append(f"{', '.join(had)}: {share} of the readings were {words}, for a while that is over")
    return lines


def _move_words(channel: ChannelDrift, doubtful: set[str]) -> str:
    """Return what moved in a channel; a partner of it in `doubtful` may be to blame instead."""
    words = [_fault_words(channel).removeprefix(f"{channel.channel}: ")] if channel.fault else []
    words += [
        f"{name} {figure.before:.4g}, now {figure.now:.4g}"
        for name, figure in channel.figures.items()
        if name in OWN and figure.counts(WITH_OTHERS)
    ]
    if channel.untied:
        offset, scatter = channel.figures["offset"], channel.figures["scatter"]
        away = f"{offset.now:+.2g} (before {offset.before:+.2g}) from where {channel.partner} says it should be"
        either = f", or {channel.partner} itself is off" if channel.partner in doubtful else ""
        words.append(f"{away}, scattered by {scatter.now:.2g} (before {scatter.before:.2g}){either}")
    return f"{channel.channel}: {'; '.join(words) or 'the channels that went with it no longer do'}"
