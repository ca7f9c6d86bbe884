"""The readings on which several detectors can be judged: a challenger and a champion, or candidates among themselves.

None has learnt or calibrated from a row that counts; what could not be compared is noted, never passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offbeat.detection.detector import SCORE_KEYS, Detector
from offbeat.evaluation.judging import Stretch
from offbeat.evaluation.replay import stretch_of
from offbeat.params import EvaluateParams
from offbeat.preparation import Prepared
from offbeat.readings.messages import length_text
from offbeat.readings.moments import moment_json


@dataclass(frozen=True, eq=False)
class Champion:
    """The detector in service and, for each asset, the last reading it has seen, as `learnt_until` returns it."""

    detector: Detector
    learnt_until: Mapping[str, str | int]

    def knows(self, asset: str) -> bool:
        """Whether it can score an asset, and says what it has seen of it."""
        return asset in self.detector.assets and asset in self.learnt_until


@dataclass(frozen=True, eq=False)
class Ground:
    """What the methods are judged on.

    Attributes
    ----------
    stretches : list of Stretch
        One an asset; empty where nothing is left to compare on.
    champion : Champion or None
        None also where it cannot answer.
    window_size, context, delay : int
        The largest of all that are judged.
    notes : list of str
    """

    stretches: list[Stretch]
    champion: Champion | None
    window_size: int
    context: int
    delay: int
    notes: list[str]


def learnt_until(fleet: Sequence[Prepared]) -> dict[str, str | int]:
    """Return each asset's last reading before its test span: ISO time in UTC, or integer index.

    A model made from this fleet has seen none later; whoever keeps the model keeps this beside it.
    """
    last = {p.series.asset: p.series.index[p.split.test[0] - 1] for p in fleet}
    return {asset: moment_json(when) for asset, when in last.items()}


def common_ground(
    fleet: Sequence[Prepared], challenger: Detector, champion: Champion | None, params: EvaluateParams
) -> Ground:
    """Return the test spans as far as the champion has not learnt from them, of the assets that it knows.

    A champion with other channels or another period than the readings, or that knows none of the assets, cannot answer:
    then it is left out, and the whole test spans count.
    """
    unable = _unable(champion, fleet) if champion is not None else ""
    notes = [f"compared with PCA alone: {unable}"] if unable else []
    champion = None if unable else champion
    known = [p for p in fleet if champion is None or champion.knows(p.series.asset)]
    firsts = [p.split.test[0] for p in known]
    if champion is not None:
        new = [p.series.row_of(champion.learnt_until[p.series.asset]) + 1 for p in known]
        firsts = [max(first, row) for first, row in zip(firsts, new, strict=True)]
        notes += other_rule(challenger, champion.detector, "the challenger's", "the champion's")
        notes += _left_out(fleet, known, "the champion does not know them")
    detectors = [challenger] if champion is None else [challenger, champion.detector]
    return _ground(detectors, known, firsts, params, champion, notes)


def shared_ground(
    fleets: Sequence[Sequence[Prepared]], detectors: Sequence[Detector], params: EvaluateParams
) -> Ground:
    """Return the test spans as far as no detector has learnt from them.

    Parameters
    ----------
    fleets : sequence of sequence of Prepared
        The same readings for each detector, prepared in its own way.
    detectors : sequence of Detector
    params : EvaluateParams
    """
    firsts = [max(prepared.split.test[0] for prepared in own) for own in zip(*fleets, strict=True)]
    return _ground(detectors, fleets[0], firsts, params, None, [])


def other_rule(one: Detector, other: Detector, whose: str, than: str) -> list[str]:
    """Return in words how the thresholds of two detectors were chosen otherwise: that is no merit of the model."""
    own, theirs = (detector.params.model_dump(exclude=SCORE_KEYS) for detector in (one, other))
    differ = [f"{key} {own[key]} instead of {theirs[key]}" for key in own if own[key] != theirs[key]]
    note = f"{whose} thresholds follow another rule than {than}, which may be all the difference"
    return [f"{note}: {', '.join(differ)}"] if differ else []


def _ground(
    detectors: Sequence[Detector],
    fleet: Sequence[Prepared],
    firsts: Sequence[int],
    params: EvaluateParams,
    champion: Champion | None,
    notes: list[str],
) -> Ground:
    """Return each asset's rows from its `firsts` on, where they have scores."""
    window_size = max(one.window_size for one in detectors)
    context, delay = max(one.context for one in detectors), max(one.delay for one in detectors)
    stretches = [_stretch(p, first, params, context) for p, first in zip(fleet, firsts, strict=True)]
    stretches = [stretch for stretch in stretches if _scorable(stretch, window_size)]
    replayed = {stretch.series.asset for stretch in stretches}
    short = _left_out(fleet, [p for p in fleet if p.series.asset in replayed], "too few readings are new to all")
    return Ground(stretches, champion, window_size, context, delay, [*notes, *short])


def _unable(champion: Champion, fleet: Sequence[Prepared]) -> str:
    """Return why a champion cannot score these readings; empty if it can."""
    detector, series = champion.detector, fleet[0].series
    if set(detector.channels) != set(series.channels):
        return f"the champion knows other channels ({', '.join(detector.channels)})"
    if (detector.step, detector.is_time) != (series.step, series.is_time):
        every = [length_text(one.step, one.is_time) for one in (detector, series)]
        return f"the champion learnt from readings every {every[0]}, these come every {every[1]}"
    if not any(champion.knows(prepared.series.asset) for prepared in fleet):
        return "the champion knows none of these assets"
    return ""


def _stretch(prepared: Prepared, first: int, params: EvaluateParams, context: int) -> Stretch:
    """Return the rows from `first` on, and the `context` rows before them that their scores need."""
    whole = stretch_of(prepared, params)
    series = whole.series
    cut = min(max(0, first - context), series.n_timesteps)
    tail = series.rows(cut, series.n_timesteps)
    return Stretch(tail, whole.labelled[cut:], whole.excluded[cut:], first - cut, whole.max_buffer)


def _scorable(stretch: Stretch, window_size: int) -> bool:
    """Whether some row that counts lies in a segment as long as a window."""
    kept = stretch.kept
    return any(stop - start >= window_size and kept[start:stop].any() for start, stop in stretch.series.segments)


def _left_out(fleet: Sequence[Prepared], kept: Sequence[Prepared], why: str) -> list[str]:
    names = sorted({p.series.asset for p in fleet} - {p.series.asset for p in kept})
    return [f"not compared on {', '.join(names)}: {why}"] if names else []
