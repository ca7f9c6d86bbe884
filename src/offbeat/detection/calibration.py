"""What a detector knows of one asset, and how params.yaml's `calibrate` becomes its threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from offbeat.detection.events import events_of
from offbeat.detection.scaling import Scaling
from offbeat.detection.scores import Usual
from offbeat.detection.thresholds import (
    Threshold,
    block_maxima,
    conformal_threshold,
    quantile_threshold,
    sigma_threshold,
)
from offbeat.errors import ReadingsError
from offbeat.params import CalibrateParams
from offbeat.typing import BoolArray, FloatArray, IntArray

SECONDS_PER_WEEK = 7 * 86_400.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a detector knows of one asset."""

    scaling: Scaling
    usual: Usual  # errors, in scaled units or their square
    threshold: Threshold
    # where the threshold comes from if not from the fit: data_hash and the params changed
    origin: Mapping[str, str] = field(default_factory=dict)


def budget_rate(params: CalibrateParams, period_s: float | None) -> float:
    """Return the budget in false alarms per timestep, for readings every `period_s` seconds or without time."""
    if period_s is None:
        return params.false_alarms_per_10000_timesteps / 10_000
    return params.false_alarms_per_week * period_s / SECONDS_PER_WEEK


@dataclass(frozen=True, eq=False)
class CalibrationSpan:
    """Scores (T,) of one asset and which of its timesteps (T,) count as normal; blocks do not cross segments."""

    asset: str
    scores: FloatArray
    normal: BoolArray
    segment_starts: IntArray


def choose_thresholds(
    spans: Sequence[CalibrationSpan], *, params: CalibrateParams, reach: int, period_s: float | None
) -> list[Threshold]:
    """Return a threshold for each asset of a group.

    Parameters
    ----------
    spans : sequence of CalibrationSpan
        Of like assets. One whose own blocks are too few for the budget borrows those of the group; one without a
        whole block counts its highest score as one.
    params : CalibrateParams
    reach : int
        Timesteps whose readings shape one score: the length of a block, where any span has room for one; else
        blocks are as long as the shortest of the spans' longest normal runs.
    period_s : float or None
        Seconds between readings; None for data without time.

    Raises
    ------
    ReadingsError
        If a span has no normal timestep with a score.
    """
    longest = [_longest_run(span) for span in spans]
    for span, n_timesteps in zip(spans, longest, strict=True):
        if not n_timesteps:
            raise ReadingsError(
                f"asset '{span.asset}': no score in its calibration span rests on normal readings alone: "
                f"it takes {reach} normal timesteps in a row, so give a longer calibration span or train "
                "with a shorter prepare.window_size"
            )
    if params.method == "quantile":
        return [quantile_threshold(span.scores[span.normal], params.quantile) for span in spans]
    if params.method == "sigma":
        return [sigma_threshold(span.scores[span.normal], params.n_sigmas) for span in spans]
    block_size = reach if max(longest) >= reach else min(longest)
    maxima = [block_maxima(span.scores, span.normal, span.segment_starts, block_size) for span in spans]
    group, rate = np.concatenate(maxima), budget_rate(params, period_s)
    thresholds = [
        conformal_threshold(own if len(own) else _highest(span), group, block_size, rate)
        for own, span in zip(maxima, spans, strict=True)
    ]
    if block_size == reach:
        return thresholds
    short = (
        f"blocks of {block_size} timesteps, the longest normal run of an asset, are shorter than the {reach} that "
        "shape a score: neighbours share readings, and the promise is weaker than it says"
    )
    return [replace(t, warning=f"{t.warning}; {short}" if t.warning else short) for t in thresholds]


def _highest(span: CalibrationSpan) -> FloatArray:
    return np.array([np.nanmax(span.scores[span.normal])])


def _longest_run(span: CalibrationSpan) -> int:
    runs = events_of(span.normal & ~np.isnan(span.scores), span.segment_starts)
    return int((runs[:, 1] - runs[:, 0]).max(initial=0))
