"""A result of channel scores that a test makes up."""

from collections.abc import Mapping

import numpy as np

from offbeat.detection.result import Results, ScoreResult
from offbeat.detection.running import Rows
from offbeat.detection.scores import anomaly_scores, channel_shares
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray


def score_result(
    series: Series,
    channels: tuple[str, ...],
    by_channel: FloatArray,
    combine: str,
    threshold: float,
    merge_gap: int,
    settled: BoolArray,
    lineage: Mapping[str, str],
) -> ScoreResult:
    """Return the result of channel scores (T, F), combined as `combine` says, at a threshold."""
    begins = np.zeros(series.n_timesteps, dtype=bool)
    begins[series.segment_starts] = True
    rows = Rows(series.stamps, anomaly_scores(by_channel, combine), channel_shares(by_channel), settled, begins)
    results = Results(series.asset, channels, series.is_time, series.step, threshold, merge_gap, lineage)
    return results.take(rows, is_last=True)
