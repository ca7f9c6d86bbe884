"""What Prometheus is told: scored timesteps, alarms and the last score of each asset, refusals, latency, the model.

The library must not be loaded before BentoML has set up its folder for several workers, which it does after it has
imported the service; so it is loaded when the first figure comes.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from offbeat.detection.result import ScoreResult

MOST_LABELS = 1_000  # assets of a model that each have figures of their own, which stay in memory
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Measures:
    """The metrics of one process. Labels are names of assets, of models that have few, and of pages: they stay few."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self._scored = Counter("offbeat_scored_timesteps", "Timesteps scored", ["asset"])
        self._alarms = Counter("offbeat_alarm_timesteps", "Timesteps in alarm", ["asset"])
        self._last = Gauge(
            "offbeat_last_score", "Latest score, in units of its threshold", ["asset"], multiprocess_mode="mostrecent"
        )
        self._refused = Counter("offbeat_refused_requests", "Requests without an answer, by cause", ["code"])
        self._seconds = Histogram(
            "offbeat_request_seconds", "Seconds from the request to its answer", ["path"], buckets=SECONDS
        )
        self._model = Gauge("offbeat_model", "1 for the model that is served", ["version"], multiprocess_mode="livemax")
        self._refused_models = Counter("offbeat_refused_models", "Champions that could not be loaded")

    def scored(self, result: ScoreResult, n_assets: int) -> None:
        """Count what was scored by a model of so many assets; of many there is a sum alone, without a label."""
        named = n_assets <= MOST_LABELS
        label, last = result.asset if named else "", float(result.scores[-1])
        self._scored.labels(label).inc(int(np.isfinite(result.scores).sum()))
        self._alarms.labels(label).inc(int(result.alarms.sum()))
        if named and math.isfinite(last) and result.threshold > 0:
            self._last.labels(result.asset).set(last / result.threshold)

    def refused(self, code: str) -> None:
        """Count a request that was refused."""
        self._refused.labels(code).inc()

    def took(self, path: str, seconds: float) -> None:
        """Count a request and how long it took."""
        self._seconds.labels(path).observe(seconds)

    def serves(self, version: str, before: str | None) -> None:
        """Say which model is served."""
        if before is not None:
            self._model.labels(before).set(0)
        self._model.labels(version).set(1)

    def refused_model(self) -> None:
        """Count a champion that could not be loaded."""
        self._refused_models.inc()


@cache
def measures() -> Measures:
    """Return the metrics of this process."""
    return Measures()
