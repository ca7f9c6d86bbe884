"""The steps of learning a group, each for one shard of its assets, or for the whole group where only that will do.

look (a group) ──► prepare ──► train (a group) ──► calibrate ──► score ──► judge

Each writes one file for the next. What is wrong with one asset is kept with its name, and stops no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from offbeat.assembly import Evidence, assemble, evidence_of, span_of
from offbeat.detection.calibration import Calibration, CalibrationSpan, longest_run
from offbeat.detection.detector import Detector
from offbeat.detection.thresholds import Threshold
from offbeat.errors import ReadingsError
from offbeat.evaluation.replay import (
    SIMPLE,
    UNTRAINED,
    Method,
    replay,
    seeded,
    simple_scores,
    stretch_of,
)
from offbeat.files import new_directory, write_json
from offbeat.fleet.shards import Shard
from offbeat.fleet.stored import read_parts, write_parts
from offbeat.fleet.work import each_asset
from offbeat.lineage import asset_hash
from offbeat.params import CalibrateParams, Params, PrepareParams, PrepareSection
from offbeat.preparation import Lesson, Prepared, Survey, laid_end_to_end, lesson_of, prepare_asset, survey
from offbeat.readings.asset_readings import read_readings
from offbeat.readings.assets import AssetFiles
from offbeat.readings.folder import alike, read_tables
from offbeat.readings.series import Series
from offbeat.training import load_trainer, native_chatter_muted
from offbeat.typing import FloatArray
from offbeat.window_choice import choose_window

GRAPH, UNTRAINED_GRAPH, TRAINING = "model.onnx", "untrained.onnx", "training.json"  # of a group's model
LOOKED_AT = 9  # assets of a group, evenly spread, of which most say what all must be like
SAMPLED = 100  # assets of a group, evenly spread, by whose rhythm a window is chosen
MOST_LEARNT = 1 << 28  # scaled readings of a group that a network learns from, 1 GiB; more assets are thinned evenly
_One = TypeVar("_One")
Failures = dict[str, str]  # asset to reason
Thresholds = Mapping[str, Mapping[str, Threshold]]  # method to asset to threshold


@dataclass(frozen=True)
class Group:
    """The assets of a group, and the folder of readings that they are in."""

    name: str
    root: Path
    assets: tuple[AssetFiles, ...]

    def __str__(self) -> str:
        return f"group '{self.name}'" if self.name else "the machines"


@dataclass(frozen=True, eq=False)
class Like:
    """What the assets of a group have in common.

    Attributes
    ----------
    kind : Series
        Of no rows: channels, period and longest gap.
    params : Params
        For its number of channels.
    prepare : PrepareParams
        With its window.
    calibrate : CalibrateParams
        In timesteps.
    notes : tuple of str
        Why that window.
    """

    kind: Series
    params: Params
    prepare: PrepareParams
    calibrate: CalibrateParams
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Common:
    """What the steps after preparation need of a group: what it is like, its usual scale (F,), its model's folder."""

    like: Like
    usual_scale: FloatArray
    model: Path

    def prepared(self, surveyed: Survey) -> Prepared:
        """Return an asset ready to learn from; errors as for `prepare_asset`."""
        return prepare_asset(surveyed, self.usual_scale, self.like.prepare)

    def around(self, graph: str) -> Detector:
        """Return a detector around a graph of the model; it knows no asset."""
        return assemble((self.model / graph).read_bytes(), self.like.kind, self.like.prepare, self.like.calibrate, {})


def look(params: Params, everyone: frozenset[str], group: Group) -> Like:
    """Look at some assets of a group: most of them say what all must be like.

    Raises
    ------
    ReadingsError, ParamsError
        If none can be read, or the parameters do not fit.
    """
    series, failures = each_asset(spread(group.assets, LOOKED_AT), lambda one: _read(params.prepare, one))
    if not series:
        raise ReadingsError(f"{group}: none of {len(failures)} machines can be read, such as: {min(failures.values())}")
    kinds = [_kind(one) for one in series.values()]
    usual = max(kinds, key=kinds.count)
    first = next(one for one in series.values() if _kind(one) == usual)
    params, sample = params.for_channels(first.n_channels), [first]
    if params.prepare.window_size is None:
        more, _ = each_asset(spread(group.assets, SAMPLED), lambda one: _read_like(params.prepare, first, one))
        sample = list(more.values())
    folder = read_tables(group.root, sample, others=everyone)
    window, notes = choose_window(folder, params.prepare)
    calibration = params.calibrate.for_model(params.train, first.n_channels).for_window(window.window_size)
    return Like(first.rows(0, 0), params, window, calibration, tuple(notes))


def prepare_shard(root: Path, like: Like, everyone: frozenset[str], shard: Shard, path: Path) -> None:
    """Read the assets of a shard and survey them: light, what their group is asked for; heavy, the surveys."""
    series, failures = each_asset(shard.assets, lambda one: _read_like(like.prepare, like.kind, one))
    folder = read_tables(root, list(series.values()), others=everyone)
    surveys, more = each_asset(series.values(), lambda one: survey(one, folder, like.prepare))
    light = {name: (asset_hash(one), one.measured) for name, one in surveys.items()}
    write_parts(path, (light, failures | more), list(surveys.values()))


def train_group(common: Common, prepared: Sequence[Path]) -> None:
    """Train the model of a group into its folder.

    Raises
    ------
    ReadingsError
        If no asset has a window to learn from.
    """
    lessons, failures = _lessons(common, prepared)
    if not lessons:
        raise ReadingsError(f"no machine of the group has windows to learn from: {min(failures.values(), default='')}")
    like = common.like
    with native_chatter_muted():
        trained = load_trainer()(laid_end_to_end(lessons), like.prepare.window_size, like.params.train)
    with new_directory(common.model) as scratch:
        (scratch / GRAPH).write_bytes(trained.graph)
        if trained.untrained_graph is not None:
            (scratch / UNTRAINED_GRAPH).write_bytes(trained.untrained_graph)
        facts = {
            "learnt_from": len(lessons),
            "epochs": len(trained.epochs),
            "held_out_loss": trained.held_out_loss,
            "explained_variance": trained.overall_explained_variance,
        }
        write_json(scratch / TRAINING, facts)


def calibrate_shard(common: Common, prepared: Path, path: Path) -> None:
    """Score the calibration spans of a shard: light, why some assets have no evidence; heavy, the evidence."""
    detector = common.around(GRAPH)
    found, failures = each_asset(read_parts(prepared)[1], lambda one: _evidence(detector, common.prepared(one)))
    write_parts(path, failures, list(found.values()))


def score_shard(common: Common, detector: Detector, prepared: Path, path: Path) -> None:
    """Score all readings of a shard by every method: light, the calibration spans of each; heavy, the scores.

    Both are mappings of method to asset. The detector's own spans are left out, for its thresholds are chosen.
    """
    spans: dict[str, dict[str, CalibrationSpan]] = {}
    scores: dict[str, dict[str, FloatArray]] = {}
    untrained = common.around(UNTRAINED_GRAPH) if (common.model / UNTRAINED_GRAPH).exists() else None
    places = {asset: place for place, asset in enumerate(detector.assets)}
    for one in read_parts(prepared)[1]:
        asset = one.series.asset
        if asset not in places:
            continue
        ready, params = common.prepared(one), seeded(common.like.params.evaluate, places[asset])
        found = {name: simple_scores(name, detector, ready, one.series, params) for name in SIMPLE}
        for name, values in found.items():
            spans.setdefault(name, {})[asset] = span_of(detector, ready, values)
        found[detector.method] = detector.scores(one.series, detector.assets[asset])
        if untrained is not None:
            evidence = _evidence(untrained, ready)
            spans.setdefault(UNTRAINED, {})[asset] = evidence.span
            unlimited = Calibration(ready.scaling, evidence.usual, Threshold(np.inf, "none", None))
            found[UNTRAINED] = untrained.scores(one.series, unlimited)
        for name, values in found.items():
            scores.setdefault(name, {})[asset] = values
    write_parts(path, spans, scores)


def judge_shard(common: Common, thresholds: Thresholds, prepared: Path, scored: Path, path: Path) -> None:
    """Judge every method on the test spans of a shard: light, mapping of method to asset to metrics."""
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    scores, like = read_parts(scored)[1], common.like
    surveys = {one.series.asset: one for one in read_parts(prepared)[1]}
    for name, of_assets in scores.items():
        method = Method(name, partial(_known, of_assets), thresholds[name], like.calibrate)
        for asset in of_assets:
            stretch = stretch_of(common.prepared(surveys[asset]), like.params.evaluate)
            metrics.setdefault(name, {})[asset] = replay(method, stretch).metrics
    write_parts(path, metrics)


def _known(scores: Mapping[str, FloatArray], series: Series) -> FloatArray:
    return scores[series.asset]


def _lessons(common: Common, prepared: Sequence[Path]) -> tuple[list[Lesson], dict[str, str]]:
    """Return the lessons of all assets, of every second, fourth and so on where that is too much; why some have none.

    No more than what is learnt from is in memory at once, and one shard.
    """
    lessons: list[Lesson] = []
    failures: dict[str, str] = {}
    every, n_found, n_readings = 1, 0, 0
    for path in prepared:
        ready, failed = each_asset(read_parts(path)[1], common.prepared)
        failures |= failed
        for one in ready.values():
            if n_found % every == 0:
                lesson = lesson_of(one, common.like.params.train.calendar)
                lessons.append(replace(lesson, values=lesson.values.copy()))  # without what the view would keep
                n_readings += lesson.values.size
            n_found += 1
            if n_readings > MOST_LEARNT and len(lessons) > 1:
                lessons, every = lessons[::2], 2 * every
                n_readings = sum(lesson.values.size for lesson in lessons)
    return lessons, failures


def _evidence(detector: Detector, prepared: Prepared) -> Evidence:
    """Return the evidence of an asset; ReadingsError if no threshold can rest on it."""
    found = evidence_of(detector, prepared)
    longest_run(found.span, detector.reach)
    return found


def _read(params: PrepareSection | PrepareParams, files: AssetFiles) -> Series:
    return read_readings(files, period=params.period, max_gap=params.max_gap)


def _read_like(params: PrepareSection | PrepareParams, kind: Series, files: AssetFiles) -> Series:
    return alike([kind, _read(params, files)])[1]


def _kind(series: Series) -> tuple[frozenset[str], int, bool]:
    return frozenset(series.channels), series.step, series.is_time


def spread(things: Sequence[_One], n: int) -> list[_One]:
    """Return at most `n` things, evenly spread, the first among them."""
    return [things[place] for place in np.unique(np.linspace(0, len(things) - 1, n).astype(int)).tolist()]
