"""What a detector knows of one asset, and how params.yaml's `calibrate` becomes its threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from offbeat.detection.events import events_of
from offbeat.detection.extremes import pot_threshold
from offbeat.detection.labelled_thresholds import gaussian_epsilon_threshold, labelled_threshold
from offbeat.detection.reference import Reference
from offbeat.detection.scaling import Scaling
from offbeat.detection.scores import Usual
from offbeat.detection.thresholds import (
    Maxima,
    Threshold,
    block_maxima,
    conformal_threshold,
    dynamic_threshold,
    quantile_threshold,
    sigma_threshold,
)
from offbeat.errors import ReadingsError
from offbeat.params import CalibrateParams
from offbeat.typing import BoolArray, FloatArray, IntArray

SECONDS_PER_WEEK = 7 * 86_400.0
MOST_LENT = 100_000  # block maxima of a group that are kept


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a detector knows of one asset."""

    scaling: Scaling
    usual: Usual  # errors, in scaled units or their square
    threshold: Threshold
    # where the threshold comes from if not from the fit: data_hash and the params changed
    origin: Mapping[str, str] = field(default_factory=dict)
    # what later readings are compared with to tell drift; None where there were too few
    reference: Reference | None = None


def budget_rate(params: CalibrateParams, period_s: float | None) -> float:
    """Return the budget in false alarms per timestep, for readings every `period_s` seconds or without time."""
    if period_s is None:
        return params.false_alarms_per_10000_timesteps / 10_000
    return params.false_alarms_per_week * period_s / SECONDS_PER_WEEK


@dataclass(frozen=True, eq=False)
class CalibrationSpan:
    """Scores of one asset, and which of them count as what.

    Attributes
    ----------
    asset : str
    scores : ndarray of shape (T,)
        NaN where there is none.
    normal : ndarray of shape (T,), bool
        Timesteps whose scores rest on normal readings alone.
    segment_starts : ndarray of int
        Blocks and runs do not cross segments.
    labelled : ndarray of shape (T,), bool, optional
        Timesteps in a labelled event whose scores rest on normal readings and events alone; none by default.
    """

    asset: str
    scores: FloatArray
    normal: BoolArray
    segment_starts: IntArray
    labelled: BoolArray | None = None

    @property
    def normal_scores(self) -> FloatArray:
        """Those of normal timesteps, NaN among them."""
        return self.scores[self.normal]

    @property
    def labelled_scores(self) -> FloatArray:
        """Those of labelled events that are known."""
        chosen = self.scores[:0] if self.labelled is None else self.scores[self.labelled]
        return chosen[~np.isnan(chosen)]


@dataclass(frozen=True, eq=False)
class GroupMaxima:
    """What a group lends to an asset that comes to it later.

    Attributes
    ----------
    values : ndarray of shape (n,), ascending
        Block maxima of its assets; of many, so many evenly spread.
    block_size : int
        In timesteps.
    assets : frozenset of str
        Whose they are; these borrow nothing of them.
    """

    values: FloatArray
    block_size: int
    assets: frozenset[str] = frozenset()


def group_maxima(spans: Sequence[CalibrationSpan], reach: int) -> GroupMaxima:
    """Return what a group of assets lends; parameters and errors as for `choose_thresholds`."""
    block_size = _block_size([longest_run(span, reach) for span in spans], reach)
    values = np.sort(np.concatenate([_maxima(span, block_size) for span in spans]))
    kept = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_LENT)).round().astype(int))
    return GroupMaxima(values[kept], block_size, frozenset(span.asset for span in spans))


def choose_thresholds(
    spans: Sequence[CalibrationSpan],
    *,
    params: CalibrateParams,
    reach: int,
    period_s: float | None,
    lent: GroupMaxima | None = None,
) -> list[Threshold]:
    """Return a threshold for each asset of a group, `params.margin` times what its method says.

    Parameters
    ----------
    spans : sequence of CalibrationSpan
        Of like assets: scores are in units of usual error, so that one can borrow another's. A method that keeps a
        budget borrows blocks, one that asks for labelled events borrows the group's scores.
    params : CalibrateParams
    reach : int
        Timesteps whose readings shape one score.
    period_s : float or None
        Seconds between readings; None for data without time.
    lent : GroupMaxima, optional
        Of like assets that are not among these: they are borrowed from as well, in blocks of their length, unless that
        is shorter than these have room for.

    Raises
    ------
    ReadingsError
        If a span has no normal timestep with a score, or the method asks for labelled events and there is none.
    """
    longest = [longest_run(span, reach) for span in spans]
    chosen = _chosen(spans, params, reach, period_s, longest, lent)
    return [replace(threshold, value=threshold.value * params.margin) for threshold in chosen]


def _chosen(
    spans: Sequence[CalibrationSpan],
    params: CalibrateParams,
    reach: int,
    period_s: float | None,
    longest: list[int],
    lent: GroupMaxima | None,
) -> list[Threshold]:
    """Return the thresholds without their margin."""
    if params.method in ("conformal", "pot"):
        block_size = _block_size(longest, reach)
        if lent is None or lent.block_size < block_size:  # maxima of shorter blocks are lower
            lent = GroupMaxima(np.empty(0), block_size)
        return _from_budget(spans, params, lent, reach, budget_rate(params, period_s))
    if params.method in ("labelled", "gaussian_epsilon"):
        return _from_labels(spans, params.method)
    return [_from_scores(span, params, reach) for span in spans]


def _from_scores(span: CalibrationSpan, params: CalibrateParams, reach: int) -> Threshold:
    """Return a threshold that rests on the asset's own normal scores alone."""
    if params.method == "quantile":
        return quantile_threshold(span.normal_scores, params.quantile)
    if params.method == "sigma":
        return sigma_threshold(span.normal_scores, params.n_sigmas)
    # scores less than a reach apart share readings, and are of one event
    return dynamic_threshold(span.scores, span.normal, span.segment_starts, max_gap=reach - 1)


def _from_labels(spans: Sequence[CalibrationSpan], method: str) -> list[Threshold]:
    """Return thresholds with the best F1 on each asset's labelled events, or on the group's where it has none."""
    rule = labelled_threshold if method == "labelled" else gaussian_epsilon_threshold
    normal, labelled = (
        np.concatenate(parts)
        for parts in ([span.normal_scores for span in spans], [span.labelled_scores for span in spans])
    )
    if not len(labelled):
        more = f" and {len(spans) - 3} more" if len(spans) > 3 else ""
        names = ", ".join(f"'{span.asset}'" for span in spans[:3]) + more
        raise ReadingsError(
            f"calibrate.method '{method}' takes labelled events, and no score in the calibration span of {names} lies "
            "in one: name events that lie there in labels.csv, raise prepare.calibration_share so that some do, or "
            "take another method, such as conformal"
        )
    of_group = rule(normal, labelled)
    lent = "no labelled event in its own calibration span: chosen by those of its group"
    borrowed = replace(of_group, warning=f"{lent}; {of_group.warning}" if of_group.warning else lent)
    return [rule(span.normal_scores, span.labelled_scores) if len(span.labelled_scores) else borrowed for span in spans]


def _from_budget(
    spans: Sequence[CalibrationSpan], params: CalibrateParams, lent: GroupMaxima, reach: int, rate: float
) -> list[Threshold]:
    """Return thresholds that keep the budget; one without a whole block counts its highest score as one."""
    block_size = lent.block_size
    maxima = [_maxima(span, block_size) for span in spans]
    group = Maxima(np.concatenate([*maxima, lent.values]))
    owns = [Maxima(own if len(own) else _highest(span)) for own, span in zip(maxima, spans, strict=True)]
    if params.method == "pot":
        thresholds = [pot_threshold(own, group, block_size, rate, params.pot_quantile) for own in owns]
    else:
        thresholds = [conformal_threshold(own, group, block_size, rate) for own in owns]
    if block_size == reach:
        return thresholds
    short = (
        f"blocks of {block_size} timesteps, the longest normal run of an asset, are shorter than the {reach} that "
        "shape a score: neighbours share readings, and the promise is weaker than it says"
    )
    return [replace(t, warning=f"{t.warning}; {short}" if t.warning else short) for t in thresholds]


def _block_size(longest: list[int], reach: int) -> int:
    """Return how long blocks are: as a score's reach, where any span has room for one."""
    return reach if max(longest) >= reach else min(longest)


def _maxima(span: CalibrationSpan, block_size: int) -> FloatArray:
    return block_maxima(span.scores, span.normal, span.segment_starts, block_size)


def _highest(span: CalibrationSpan) -> FloatArray:
    return np.array([np.nanmax(span.normal_scores)])


def longest_run(span: CalibrationSpan, reach: int) -> int:
    """Return the length of the longest run of normal timesteps with a score; `reach` as for `choose_thresholds`.

    Raises
    ------
    ReadingsError
        If there is none.
    """
    runs = events_of(span.normal & ~np.isnan(span.scores), span.segment_starts)
    if not len(runs):
        raise ReadingsError(
            f"asset '{span.asset}': no score in its calibration span rests on normal readings alone: "
            f"it takes {reach} normal timesteps in a row, so give a longer calibration span or train "
            "with a shorter prepare.window_size"
        )
    return int((runs[:, 1] - runs[:, 0]).max())
