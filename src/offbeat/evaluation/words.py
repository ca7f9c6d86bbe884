"""What the evaluation page says in words: what was trained on what, how good it is, whether the promise was kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from offbeat.detection.detector import Detector
from offbeat.params import TrainParams
from offbeat.preparation import Prepared
from offbeat.readings.messages import count, length_text, stamp_text

Metrics = Mapping[str, float]
UNITS = ("day", "10000_timesteps")  # ends of a metric's key
MODELS = {
    "recurrent_autoencoder": "a recurrent autoencoder, which reconstructs windows of readings through a narrow code",
    "recurrent_forecaster": "a recurrent forecaster, which foretells the last readings of each window",
    "dense_autoencoder": "a dense autoencoder, which reconstructs windows of readings through a narrow code",
    "dense_forecaster": "a dense forecaster, which foretells the last readings of each window",
}


def rate_unit(metrics: Metrics) -> str:
    """Return in which unit the false alarms of metrics are counted, a key of `UNITS`."""
    return next((unit for unit in UNITS if f"false_alarms_per_{unit}" in metrics), "day")


def about(
    train: TrainParams, detector: Detector, fleet: Sequence[Prepared], metrics: Metrics, explained_variance: float
) -> dict[str, str]:
    """Return the sentences at the top of the page: how good, trained on what, judged on what."""
    return {
        "result": _result(metrics),
        "trained": _trained(train, detector, fleet, explained_variance),
        "judged": _judged(detector, fleet, metrics),
    }


def verdict(metrics: Metrics) -> dict[str, Any]:
    """Return whether an asset kept its promise of few false alarms: a word for its colour, and a sentence.

    kept, broken, or unknown where nothing was promised, the test span is too short to tell, or it may be chance.
    """
    unit = rate_unit(metrics)
    promised, came = metrics[f"promised_false_alarms_per_{unit}"], int(metrics["false_alarms"])
    text = count(came, "false alarm")
    if math.isnan(promised):
        return {"is": "unknown", "text": f"{text}, nothing promised"}
    expected = promised * _length(metrics)
    text = f"{text}, at most {expected:.1f} promised for this span"
    if came <= expected and expected >= 1:
        return {"is": "kept", "text": text}
    if came > _surprising(expected):
        return {"is": "broken", "text": f"{text}: more than chance explains"}
    return {"is": "unknown", "text": f"{text}: {'within chance' if expected >= 1 else 'too few to tell'}"}


def _surprising(expected: float) -> int:
    """Return the most false alarms that come in 95 % of spans in which so many are expected (Poisson)."""
    chance, total, most = math.exp(-expected), 0.0, 0
    while (total := total + chance) < 0.95:
        most += 1
        chance *= expected / most
    return most


def _length(metrics: Metrics) -> float:
    """Return how much normal time was judged, in the unit of the rates."""
    if "normal_days" in metrics:
        return metrics["normal_days"]
    return (metrics["n_timesteps"] - metrics["n_labelled"]) / 10_000


def _result(metrics: Metrics) -> str:
    false = count(int(metrics["false_alarms"]), "false alarm")
    over = (
        f"{metrics['normal_days']:,.1f} days of normal readings"
        if "normal_days" in metrics
        else f"{metrics['n_timesteps'] - metrics['n_labelled']:,} normal timesteps"
    )
    if not metrics["n_events"]:
        return f"No event is labelled in the test spans, so nobody can say what it finds. {false} in {over}.".replace(
            "0 false alarms", "No false alarm"
        )
    found = f"{metrics['n_events_found']} of {count(int(metrics['n_events']), 'labelled event')} found"
    return f"{found}, with {false} in {over}, at the threshold in use."


def _trained(train: TrainParams, detector: Detector, fleet: Sequence[Prepared], explained_variance: float) -> str:
    first = fleet[0].series
    spans = [(prepared.series, *prepared.split.train) for prepared in fleet]
    start = min(int(series.stamps[begin]) for series, begin, _ in spans)
    end = max(int(series.stamps[stop - 1]) for series, _, stop in spans)
    learnt = sum(int(prepared.normal[slice(*prepared.split.train)].sum()) for prepared in fleet)
    is_each = not first.is_time and first.step == 1
    pace = "one a step" if is_each else f"one every {length_text(first.step, first.is_time)}"
    kind = MODELS.get(train.model, f"{train.model}, which is fitted at once")
    return (
        f"The model is {kind}; it sees {count(detector.window_size, 'timestep')} at a time. It learnt from "
        f"{count(learnt, 'normal timestep')} of {count(len(fleet), 'asset')} with "
        f"{count(first.n_channels, 'channel')}, {pace}, from "
        f"{_moment(start, first.is_time)} to {_moment(end, first.is_time)}, and explains {explained_variance:.1%} of "
        "the variance of normal readings that it did not learn from."
    )


def _judged(detector: Detector, fleet: Sequence[Prepared], metrics: Metrics) -> str:
    n_calibration = sum(stop - start for start, stop in (prepared.split.calibration for prepared in fleet))
    excluded = sum(int(p.excluded[p.split.test[0] :].sum()) for p in fleet)
    left_out = f", {count(excluded, 'excluded timestep')} left out" if excluded else ""
    return (
        f"Each asset's threshold ({detector.params.method}) comes from about {n_calibration // len(fleet):,} timesteps "
        f"after those. All figures here are of the {metrics['n_timesteps']:,} timesteps after these"
        f"{left_out}: neither model nor threshold has seen them, nor any label of theirs."
    )


def _moment(stamp: int, is_time: bool) -> str:
    return stamp_text(stamp, is_time)[:10] if is_time else f"step {stamp:,}"
