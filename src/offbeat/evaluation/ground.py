"""The readings on which a challenger and a champion can both be judged.

Neither has learnt or calibrated from a row that counts; what could not be compared is noted, never passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offbeat.detection.detector import SCORE_KEYS, Detector
from offbeat.evaluation.replay import Stretch, stretch_of
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
        The larger of challenger and champion.
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
    detectors = [challenger] if champion is None else [challenger, champion.detector]
    window_size = max(one.window_size for one in detectors)
    context, delay = max(one.context for one in detectors), max(one.delay for one in detectors)
    known = [p for p in fleet if champion is None or champion.knows(p.series.asset)]
    stretches = [_stretch(prepared, champion, params, context) for prepared in known]
    stretches = [stretch for stretch in stretches if _scorable(stretch, window_size)]
    if champion is not None:
        notes += _other_rule(challenger, champion.detector)
        notes += _left_out(fleet, known, "the champion does not know them")
    replayed = {stretch.series.asset for stretch in stretches}
    notes += _left_out(known, [p for p in known if p.series.asset in replayed], "too few readings are new to all")
    return Ground(stretches, champion, window_size, context, delay, notes)


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


def _stretch(prepared: Prepared, champion: Champion | None, params: EvaluateParams, context: int) -> Stretch:
    """Return the rows after all that was learnt from, and the `context` rows before them that their scores need."""
    whole = stretch_of(prepared, params)
    series, first = whole.series, whole.first
    if champion is not None:
        first = max(first, series.row_of(champion.learnt_until[series.asset]) + 1)
    cut = min(max(0, first - context), series.n_timesteps)
    tail = series.rows(cut, series.n_timesteps)
    return Stretch(tail, whole.labelled[cut:], whole.excluded[cut:], first - cut, whole.max_buffer)


def _scorable(stretch: Stretch, window_size: int) -> bool:
    """Whether some row that counts lies in a segment as long as a window."""
    kept = stretch.kept
    return any(stop - start >= window_size and kept[start:stop].any() for start, stop in stretch.series.segments)


def _other_rule(challenger: Detector, champion: Detector) -> list[str]:
    """Return in words how the thresholds of two detectors were chosen otherwise: that is no merit of the model."""
    own, theirs = (one.params.model_dump(exclude=SCORE_KEYS) for one in (challenger, champion))
    differ = [f"{key} {own[key]} instead of {theirs[key]}" for key in own if own[key] != theirs[key]]
    note = "the challenger's thresholds follow another rule than the champion's, which may be all the difference"
    return [f"{note}: {', '.join(differ)}"] if differ else []


def _left_out(fleet: Sequence[Prepared], kept: Sequence[Prepared], why: str) -> list[str]:
    names = sorted({p.series.asset for p in fleet} - {p.series.asset for p in kept})
    return [f"not compared on {', '.join(names)}: {why}"] if names else []
