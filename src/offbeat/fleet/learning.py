"""Readings of a fleet to a model for each of its groups, shard by shard: the steps in order, and what joins them.

Only what a whole group must say at once is put together here: the usual scale of its channels, and thresholds, for
which an asset may borrow from its like. The rest is done where the engine has workers, and what a killed run has done
is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from offbeat.assembly import assemble, conclude
from offbeat.detection.calibration import CalibrationSpan
from offbeat.detection.detector import Detector
from offbeat.detection.fleet import Fleet, check_model_directory, model_checksum
from offbeat.detection.scaling import Measured, usual_scale_of
from offbeat.detection.storage import ASSETS, EVALUATION
from offbeat.detection.thresholds import Threshold
from offbeat.errors import OffbeatError, ReadingsError
from offbeat.evaluation.replay import group_metrics
from offbeat.files import write_csv, write_json
from offbeat.fleet.engine import Engine, Failure
from offbeat.fleet.loaded import loaded_detector
from offbeat.fleet.shards import Shard, shards_of
from offbeat.fleet.steps import (
    GRAPH,
    TRAINING,
    Common,
    Group,
    Like,
    calibrate_shard,
    judge_shard,
    look,
    prepare_shard,
    score_shard,
    train_group,
)
from offbeat.fleet.stored import read_light, read_parts
from offbeat.fleet.work import Work, absolute, cell, group_of, hash_of, tables_hash
from offbeat.lineage import data_hash, lineage_of
from offbeat.params import Params
from offbeat.progress import Report, Step, silent
from offbeat.readings.assets import AssetFiles

PREPARED, MODELS, EVIDENCE, SCORED, JUDGED = "prepared", "models", "evidence", "scored", "judged"  # folders of the work
FLEET = "fleet"
_Things = TypeVar("_Things", bound=Collection[object])
ALL = "all"  # the folder of a group without a name
ASSET_METRICS = ("vus_pr", "n_events", "n_events_found", "false_alarms", "normal_days")
ASSET_COLUMNS = ("asset", "group", "state", "reason", *ASSET_METRICS, "threshold")


@dataclass(frozen=True, eq=False)
class GroupLearnt:
    """One group's model: what it is like, how much it has learnt, and its metrics, by method and by asset."""

    like: Like
    training: Mapping[str, Any]
    methods: Mapping[str, Mapping[str, float]]
    assets: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Learnt:
    """A fleet's model, its groups, and why some assets or groups have none."""

    fleet: Fleet
    groups: Mapping[str, GroupLearnt]
    failures: Mapping[str, str]


def learn_fleet(
    root: Path,
    assets: Sequence[AssetFiles],
    params: Params,
    out: Path,
    engine: Engine,
    *,
    shard_size: int | None = None,
    report: Report = silent,
) -> Learnt:
    """Learn a model for each group of a fleet, calibrated for and evaluated on each of its assets, and save it.

    Parameters
    ----------
    root : Path
        Folder of readings, for its labels, exclusions, alarms and splits.
    assets : sequence of AssetFiles
        Its assets.
    params : Params
    out : Path
        Where the model goes; as `Fleet.save`. Beside it stands `.<name>.work` until that is done: a run after a killed
        one goes on from there.
    engine : Engine
    shard_size : int, optional
        Assets that are worked on in one go; as `shards_of` by default.
    report : callable, optional
        Takes each `Step`, in assets.

    Raises
    ------
    OffbeatError
        If no group has a model in the end, or the same is at work already.
    """
    out, root, assets = out.absolute(), root.absolute(), absolute(assets)
    check_model_directory(out)
    work = Work(out, engine, report)
    with work.alone():
        learnt = _learn(work, root, assets, params, shard_size)
        _save(learnt, assets, out)
        work.clear()
    return learnt


def _learn(work: Work, root: Path, assets: Sequence[AssetFiles], params: Params, shard_size: int | None) -> Learnt:
    """Do all the steps but the last."""
    likes = _likes(work, root, assets, params)
    shards = [shard for shard in shards_of(assets, shard_size) if group_of(shard) in likes]
    settings = hash_of(
        version("offbeat"), tables_hash(root), *(_words(name, like) for name, like in sorted(likes.items()))
    )
    everyone = frozenset(one.asset for one in assets)
    prepared = work.each(PREPARED, "preparing", partial(_prepare, root, likes, everyone), shards, settings)
    shards = [shard for shard in shards if shard.name in prepared]
    commons, hashes = _commons(work, likes, shards, prepared, settings)
    shards = _train(work, commons, shards, prepared)
    # a model's folder is named by all that was prepared
    models = hash_of(*(part for name in _groups(shards) for part in _model_parts(commons[name])))
    evidence = work.each(EVIDENCE, "calibrating", partial(_calibrate, commons, prepared), shards, models)
    fleet = _concluded(work, commons, hashes, shards, evidence)
    shards = [shard for shard in shards if group_of(shard) in fleet.groups and shard.name in evidence]
    groups = _judged(
        work, fleet, commons, shards, prepared, hash_of(models, *(evidence[one.name].name for one in shards))
    )
    return Learnt(fleet, groups, work.failures)


def _likes(work: Work, root: Path, assets: Sequence[AssetFiles], params: Params) -> dict[str, Like]:
    """Return what the assets of each group have in common."""
    members: dict[str, list[AssetFiles]] = {}
    for one in assets:
        members.setdefault(one.group, []).append(one)
    likes: dict[str, Like] = {}
    groups = [Group(name, root, tuple(of_group)) for name, of_group in members.items()]
    work.report(Step("looking at the readings"))
    for group, like in work.engine.run(partial(look, params, frozenset(one.asset for one in assets)), groups):
        if isinstance(like, Failure):
            work.fail(group.assets, like.reason)
        else:
            likes[group.name] = like
    return _any_left(likes, work)


def _commons(
    work: Work, likes: Mapping[str, Like], shards: Sequence[Shard], prepared: Mapping[str, Path], settings: str
) -> tuple[dict[str, Common], dict[str, str]]:
    """Return what each group's assets share from here on, and the hash of its readings."""
    commons, hashes = {}, {}
    for name in _groups(shards):
        known: dict[str, tuple[str, Measured]] = {}
        paths = [prepared[shard.name] for shard in _of(name, shards)]
        for path in paths:
            found, failures = read_light(path)
            known |= found
            work.failures |= failures
        if known:
            place = work.directory / MODELS / f"{name or ALL}-{hash_of(settings, *(path.name for path in paths))[:16]}"
            usual_scale = usual_scale_of([measured for _, measured in known.values()])
            commons[name] = Common(likes[name], usual_scale, place)
            hashes[name] = data_hash(one for one, _ in known.values())
    return _any_left(commons, work), hashes


def _train(
    work: Work, commons: Mapping[str, Common], shards: Sequence[Shard], prepared: Mapping[str, Path]
) -> list[Shard]:
    """Train the models that are not there yet; return the shards whose group has one."""
    names = [name for name, common in commons.items() if not (common.model / TRAINING).exists()]
    paths = {name: [prepared[shard.name] for shard in _of(name, shards)] for name in names}
    work.report(Step("training", 0, len(names), "groups"))
    trained = set(commons) - set(names)
    for done, (name, result) in enumerate(work.engine.learn(partial(_train_one, commons, paths), names), start=1):
        if isinstance(result, Failure):
            work.fail([one for shard in _of(name, shards) for one in shard.assets], result.reason)
        else:
            trained.add(name)
        work.report(Step("training", done, len(names), "groups"))
    return _any_left([shard for shard in shards if group_of(shard) in trained], work)


def _concluded(
    work: Work,
    commons: Mapping[str, Common],
    hashes: Mapping[str, str],
    shards: Sequence[Shard],
    evidence: Mapping[str, Path],
) -> Fleet:
    """Return the detectors, with a calibration for each asset that has evidence."""
    detectors: dict[str, Detector] = {}
    for name in _groups(shards):
        common, found = commons[name], []
        for shard in _of(name, shards):
            if shard.name in evidence:
                failures, parts = read_parts(evidence[shard.name])
                work.failures |= failures
                found += parts
        like = common.like
        lineage = lineage_of(hashes[name], like.prepare, like.params.train, like.calibrate, {})
        detector = assemble((common.model / GRAPH).read_bytes(), like.kind, like.prepare, like.calibrate, lineage)
        try:
            if found:
                conclude(detector, found)
                detectors[name] = detector
        except OffbeatError as error:
            work.fail([one for shard in _of(name, shards) for one in shard.assets], str(error))
    return Fleet(_any_left(detectors, work))


def _thresholds(
    fleet: Fleet, shards: Sequence[Shard], scored: Mapping[str, Path]
) -> dict[str, dict[str, dict[str, Threshold]]]:
    """Return group to method to asset to threshold, for the detectors and the methods beside them."""
    chosen: dict[str, dict[str, dict[str, Threshold]]] = {}
    for name, detector in fleet.groups.items():
        own = {asset: known.threshold for asset, known in detector.assets.items()}
        spans: dict[str, dict[str, CalibrationSpan]] = {}
        for shard in _of(name, shards):
            for method, found in read_light(scored[shard.name]).items():
                spans.setdefault(method, {}).update(found)
        others = {method: detector.choose_thresholds(list(of_assets.values())) for method, of_assets in spans.items()}
        chosen[name] = {method: dict(zip(spans[method], found, strict=True)) for method, found in others.items()}
        chosen[name][detector.method] = own
    return chosen


def _judged(
    work: Work,
    fleet: Fleet,
    commons: Mapping[str, Common],
    shards: Sequence[Shard],
    prepared: Mapping[str, Path],
    settings: str,
) -> dict[str, GroupLearnt]:
    """Return how good each group's detector is, beside the simple methods and the untrained network."""
    place = work.directory / FLEET
    fleet.save(place)
    scoring = partial(_score, commons, prepared, place, model_checksum(place))
    scored = work.each(SCORED, "scoring", scoring, shards, settings)
    shards = [shard for shard in shards if shard.name in scored]
    judging = partial(_judge, commons, _thresholds(fleet, shards, scored), prepared, scored)
    judged = work.each(JUDGED, "evaluating", judging, shards, settings)
    return {
        name: _learnt(
            commons[name],
            detector,
            [judged[one.name] for one in _of(name, shards) if one.name in judged],
        )
        for name, detector in fleet.groups.items()
    }


def _learnt(common: Common, detector: Detector, judged: Iterable[Path]) -> GroupLearnt:
    metrics: dict[str, dict[str, Mapping[str, float]]] = {}
    for path in judged:
        for method, of_assets in read_light(path).items():
            metrics.setdefault(method, {}).update(of_assets)
    own = metrics.get(detector.method, {})
    together = {method: group_metrics(list(of_assets.values())) for method, of_assets in metrics.items() if of_assets}
    training = json.loads((common.model / TRAINING).read_text(encoding="utf-8"))
    return GroupLearnt(common.like, training, together, own)


def _prepare(root: Path, likes: Mapping[str, Like], everyone: frozenset[str], shard: Shard, path: Path) -> None:
    prepare_shard(root, likes[group_of(shard)], everyone, shard, path)


def _train_one(commons: Mapping[str, Common], prepared: Mapping[str, Sequence[Path]], name: str) -> None:
    train_group(commons[name], prepared[name])


def _calibrate(commons: Mapping[str, Common], prepared: Mapping[str, Path], shard: Shard, path: Path) -> None:
    calibrate_shard(commons[group_of(shard)], prepared[shard.name], path)


def _score(
    commons: Mapping[str, Common], prepared: Mapping[str, Path], model: Path, checksum: str, shard: Shard, path: Path
) -> None:
    group = group_of(shard)
    score_shard(commons[group], loaded_detector(model, group, checksum), prepared[shard.name], path)


def _judge(
    commons: Mapping[str, Common],
    chosen: Mapping[str, Mapping[str, Mapping[str, Threshold]]],
    prepared: Mapping[str, Path],
    scored: Mapping[str, Path],
    shard: Shard,
    path: Path,
) -> None:
    group = group_of(shard)
    judge_shard(commons[group], chosen[group], prepared[shard.name], scored[shard.name], path)


def _save(learnt: Learnt, assets: Sequence[AssetFiles], out: Path) -> None:
    """Save the model, with the metrics of its groups and a line on every asset, in one step."""
    groups = {
        name: {"method": learnt.fleet.groups[name].method, "training": one.training, "metrics": one.methods}
        for name, one in learnt.groups.items()
    }
    with learnt.fleet.saving(out) as scratch:
        write_json(scratch / EVALUATION, {"groups": groups})
        write_csv(scratch / ASSETS, ASSET_COLUMNS, (_asset_row(learnt, one) for one in assets))


def _asset_row(learnt: Learnt, files: AssetFiles) -> list[object]:
    detector = learnt.fleet.groups.get(files.group)
    known = None if detector is None else detector.assets.get(files.asset)
    if known is None:
        return [
            files.asset,
            files.group,
            "failed",
            learnt.failures.get(files.asset, ""),
            *[""] * len(ASSET_METRICS),
            "",
        ]
    threshold, metrics = known.threshold, learnt.groups[files.group].assets.get(files.asset, {})
    found = [cell(metrics.get(key)) for key in ASSET_METRICS]
    return [files.asset, files.group, threshold.maturity, threshold.warning, *found, cell(threshold.value)]


def _any_left(things: _Things, work: Work) -> _Things:
    """Return things that are left to work on.

    Raises
    ------
    ReadingsError
        If there are none.
    """
    if not things:
        asset, reason = next(iter(work.failures.items()), ("", "there are none"))
        raise ReadingsError(f"none of the machines can be learnt from, such as {asset}: {reason}")
    return things


def _groups(shards: Iterable[Shard]) -> list[str]:
    return list(dict.fromkeys(map(group_of, shards)))


def _model_parts(common: Common) -> tuple[str, bytes]:
    return common.model.name, (common.model / GRAPH).read_bytes()


def _of(name: str, shards: Iterable[Shard]) -> list[Shard]:
    """Return the shards of a group."""
    return [shard for shard in shards if group_of(shard) == name]


def _words(name: str, like: Like) -> str:
    kind = like.kind
    sections = [like.params.model_dump(), like.prepare.model_dump(), like.calibrate.model_dump()]
    return json.dumps([name, kind.channels, kind.step, kind.is_time, sections], sort_keys=True)
