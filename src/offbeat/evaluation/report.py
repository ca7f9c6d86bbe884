"""The page that people look at to decide whether to trust a model: `artifacts/report.html`, one file.

Every figure on it is one of metrics.json; what it adds is the words around them and the pictures. Of each asset the
page holds a packed block, opened when the asset is looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from offbeat.detection.detector import Detector
from offbeat.detection.result import ScoreResult
from offbeat.detection.storage import card_of
from offbeat.evaluation.areas import precision_recall_curve
from offbeat.evaluation.asset_block import asset_block
from offbeat.evaluation.drawn import on_axis
from offbeat.evaluation.places import Place, places_of, worth_detail
from offbeat.evaluation.replay import Replay, summarize
from offbeat.evaluation.words import about, rate_unit, verdict
from offbeat.files import new_file, without_nan
from offbeat.pages import one_file
from offbeat.params import TrainParams
from offbeat.preparation import Prepared
from offbeat.progress import Report, counted, silent

TEMPLATE, STYLE = "report.html", "style.css"
SCRIPTS = ("chart.js", "report_parts.js", "report_figures.js", "report.js")
MOST_DETAILS = 500_000  # numbers that the details of alarms hold together
CURVE_POINTS = 50
MOST_NAMED = 6


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What the page is about.

    Attributes
    ----------
    detector : Detector
    train : TrainParams
        Of its model.
    fleet : sequence of Prepared
    results : sequence of ScoreResult
        What the detector says of each asset's readings, as `score_fleet` returns it.
    replays : sequence of Replay
        Of every method, as `replay_fleet` returns them.
    epochs : sequence of (epoch, loss, held-out loss)
        None for a model that is fitted at once.
    explained_variance : float
        Of held-out normal readings, a fraction.
    doubts : sequence of str
        What a reader should doubt.
    """

    detector: Detector
    train: TrainParams
    fleet: Sequence[Prepared]
    results: Sequence[ScoreResult]
    replays: Sequence[Replay]
    epochs: Sequence[tuple[int, float, float]]
    explained_variance: float
    doubts: Sequence[str]

    @cached_property
    def own(self) -> dict[str, Replay]:
        """The detector's own replay of each asset."""
        return {replay.asset: replay for replay in self.replays if replay.method == self.detector.method}

    @cached_property
    def curves(self) -> dict[str, list[tuple[float, float, float]]]:
        """Precision–recall curve of each asset with an event in its test span: recall, precision, threshold."""
        curves = {}
        for prepared in self.fleet:
            scores, (start, stop) = self.own[prepared.series.asset].scores, prepared.split.test
            kept = np.flatnonzero(~np.isnan(scores[start:stop]) & ~prepared.excluded[start:stop]) + start
            if prepared.labelled[kept].any():
                points = precision_recall_curve(prepared.labelled[kept], scores[kept], CURVE_POINTS)
                precision, recall, threshold = (column.tolist() for column in points)
                curves[prepared.series.asset] = list(zip(recall, precision, threshold, strict=True))
        return curves


def write_report(path: Path, evaluated: Evaluated, progress: Report = silent) -> None:
    """Write the page of an evaluation, whole or not at all; `progress` takes each `Step`, in assets."""
    with new_file(path) as scratch:
        scratch.write_text(report(evaluated, progress), encoding="utf-8")


def report(evaluated: Evaluated, progress: Report = silent) -> str:
    """Return the page of an evaluation."""
    blocks, assets, fleet, results = {}, [], evaluated.fleet, evaluated.results
    all_places = [places_of(result, evaluated.own[result.asset].judged) for result in results]
    detailed = worth_detail(all_places, results, MOST_DETAILS)
    for k, prepared in enumerate(counted(fleet, progress, "writing the page", "assets")):
        result, places = results[k], all_places[k]
        assets.append(_asset_head(evaluated, prepared, result, places))
        curve = evaluated.curves.get(result.asset, [])
        blocks[f"asset-{k}"] = asset_block(evaluated.detector, prepared, result, places, curve, detailed[k], len(fleet))
    title = f"Evaluation of {evaluated.detector.method}"
    return one_file(TEMPLATE, STYLE, SCRIPTS, title, _head(evaluated, assets), blocks)


def lineage(detector: Detector) -> dict[str, str]:
    """Return where a detector comes from, and hashes of its model and of its thresholds."""
    thresholds = {
        name: [asset["threshold"], asset["method"], asset["promised_alarm_rate"]]
        for name, asset in card_of(detector)["assets"].items()
    }
    return {
        **detector.lineage,
        "model_hash": hashlib.sha256(detector.runtime.graph).hexdigest(),
        "thresholds_hash": hashlib.sha256(json.dumps(thresholds).encode()).hexdigest(),
    }


def _head(evaluated: Evaluated, assets: list[dict[str, Any]]) -> Any:
    """Return what the page shows at once."""
    detector, fleet = evaluated.detector, evaluated.fleet
    methods = summarize(evaluated.replays)
    own = methods[detector.method]
    first = fleet[0].series
    return without_nan(
        {
            "method": detector.method,
            "channels": list(detector.channels),
            "isTime": first.is_time,
            "step": on_axis(first.step, first.is_time),
            "unit": rate_unit(own),
            "about": about(evaluated.train, detector, fleet, own, evaluated.explained_variance),
            "doubts": [*evaluated.doubts, *_broken(assets)],
            "methods": methods,
            "epochs": [list(epoch) for epoch in evaluated.epochs],
            "assets": assets,
            "lineage": lineage(detector),
        }
    )


def _broken(assets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each asset with more false alarms than chance explains, the first few by name."""
    broken = [f"{asset['asset']}: {asset['verdict']['text']}" for asset in assets if asset["verdict"]["is"] == "broken"]
    more = len(broken) - MOST_NAMED
    return [*broken[:MOST_NAMED], f"the same of {more} more assets: see the table of assets"] if more > 0 else broken


def _asset_head(
    evaluated: Evaluated, prepared: Prepared, result: ScoreResult, places: Sequence[Place]
) -> dict[str, Any]:
    """Return what the page knows of an asset before it is looked at."""
    series, replay = prepared.series, evaluated.own[result.asset]
    return {
        "asset": series.asset,
        "first": on_axis(series.stamps[0], series.is_time),
        "last": on_axis(series.stamps[-1], series.is_time),
        "n_timesteps": series.n_timesteps,
        "n_missing": int(np.isnan(series.values).sum()),
        "n_unscored": int(np.isnan(result.scores).sum()),
        "n_excluded": int(prepared.excluded.sum()),
        "n_labelled": int(prepared.labelled.sum()),
        "n_gaps": len(series.segment_starts) - 1,
        "n_alarms": sum(place.is_alarm for place in places),
        "wrong": [
            {"place": k, "verdict": place.verdict, "first": on_axis(series.stamps[place.start], series.is_time)}
            for k, place in enumerate(places)
            if place.verdict in ("missed", "false")
        ],
        "threshold": replay.threshold.value,
        "threshold_method": replay.threshold.method,
        "warning": replay.threshold.warning,
        "verdict": verdict(replay.metrics),
        "metrics": replay.metrics,
        "notes": list(series.notes),
    }
