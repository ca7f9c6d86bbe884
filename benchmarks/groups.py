"""One model for many like machines, beside one for each and beside machines that are added by calibration alone.

    python benchmarks/groups.py --data ../shared/data --seeds 3

The files of skab that have a training part are the machines; read, split, trained and judged as `accuracy.py` does,
with the same settings. Each model is a file of results: what is there is not done again, so a run that was stopped goes
on; after a change of the code give another `--out`. At the end stand `series.csv`, a row for each file, way and seed,
and `summary.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy_judge import judge
from benchmarks.accuracy_methods import SETTINGS, network_scored, settings_for
from benchmarks.accuracy_sets import Group, groups_of, places
from benchmarks.accuracy_table import read_results, write_series
from benchmarks.groups_summary import ADDED, GROUP, OWN, READDED, summary
from offbeat.detection.detector import Detector
from offbeat.errors import OffbeatError
from offbeat.files import new_file, write_json
from offbeat.lineage import git_commit
from offbeat.params import Params
from offbeat.preparation import Prepared, prepare_fleet
from offbeat.readings.folder import Folder, read_folder
from offbeat.training import fit_fleet

SET = "skab"


@dataclass(frozen=True, eq=False)
class Job:
    """One model to train.

    Attributes
    ----------
    way : str
        `GROUP`, `OWN` or `ADDED`.
    name : str
        Of the model.
    readings : Folder
        Of all files.
    trained, judged : frozenset of str
        Assets that the model learns from, and those that it is judged on.
    params : Params
    file : Path
        Where its results stand, or will.
    """

    way: str
    name: str
    readings: Folder
    trained: frozenset[str]
    judged: frozenset[str]
    params: Params
    file: Path


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is not done yet, and write the tables."""
    options = _options(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("offbeat").setLevel(logging.ERROR)  # short spans warn of their promise, file by file
    try:
        [group] = groups_of(SET, places(options.data, [SET])[SET], options.out / "readings")
        jobs = jobs_of(group, options)
        for job in jobs:
            _do(job)
    except OffbeatError as error:
        sys.exit(str(error))
    results = read_results([job.file for job in jobs])
    write_series(options.out / "series.csv", results)
    text = summary(results)
    with new_file(options.out / "summary.md") as scratch:
        scratch.write_text(text, encoding="utf-8")
    print(text)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds skab")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=7)
    parser.add_argument("--folds", type=int, default=4, help="parts of the files, each left out of one training")
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--out", type=Path, default=Path("artifacts/groups"))
    options = parser.parse_args(arguments)
    for name, least in (("seeds", 1), ("folds", 2)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}, got {getattr(options, name)}")
    return options


def jobs_of(group: Group, options: argparse.Namespace) -> list[Job]:
    """Return the models of every seed: of all files, of each alone, and of all but every k-th."""
    jobs = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        params = settings_for(group.n_channels, options.settings, seed, {})
        text = json.dumps([params.model_dump(), group.data_hash], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        readings = read_folder(group.folder, period=params.prepare.period, max_gap=params.prepare.max_gap)
        for way, name, trained, judged in models_of([one.asset for one in readings.series], options.folds):
            file = options.out / "results" / f"{name}-{seed}-{digest}.json"
            jobs.append(Job(way, name, readings, trained, judged, params, file))
    return jobs


def models_of(assets: Sequence[str], n_folds: int) -> list[tuple[str, str, frozenset[str], frozenset[str]]]:
    """Return way, name, assets to train on and assets to judge of each model; every asset is left out of one.

    A fold is every `n_folds`-th asset, so that each has its part of every valve.
    """
    everyone = frozenset(assets)
    models = [(GROUP, "group", everyone, everyone)]
    models += [(OWN, f"own-{asset}", frozenset([asset]), frozenset([asset])) for asset in assets]
    for fold in range(n_folds):
        left_out = frozenset(assets[fold::n_folds])
        if left_out and left_out != everyone:
            models.append((ADDED, f"without-{fold + 1}-of-{n_folds}", everyone - left_out, left_out))
    return models


def _do(job: Job) -> None:
    """Do a job that lacks its results, and say so."""
    if job.file.exists():
        return
    begin = time.perf_counter()
    write_json(job.file, results_of(job))
    print(f"{job.file.stem}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)


def results_of(job: Job) -> dict[str, Any]:
    """Train the model of a job and judge it; return what `read_results` reads."""
    begin = time.process_time()
    fitted = fit_fleet(_only(job.readings, job.trained), job.params)
    train_s, detector, fleet = time.process_time() - begin, fitted.detector, fitted.fleet
    if job.way == ADDED:
        fleet = prepare_fleet(_only(job.readings, job.judged), job.params.prepare.with_window(detector.window_size))
        judged = _judged_added(ADDED, detector, fleet, job.params)
    else:
        judged = _judged(job.way, detector, fleet, job.params)
    if job.way == GROUP:  # what of a difference is due to calibration, not to training
        judged += _judged_added(READDED, detector, fleet, job.params)
    return {
        "set": SET,
        "group": job.name,
        "n_channels": len(detector.channels),
        "seed": job.params.train.seed,
        "git_commit": git_commit(Path(__file__).parent),
        "train_s": round(train_s, 3),
        "series": judged,
    }


def added(detector: Detector, fleet: Sequence[Prepared]) -> Detector:
    """Return the detector with nothing known of the fleet's assets but their normal readings before the test span.

    Each is calibrated as one that is new to the detector, beside all others.
    """
    known = {}
    for one in fleet:
        asset, stop = one.series.asset, one.split.test[0]
        before = replace(detector, assets={name: known for name, known in detector.assets.items() if name != asset})
        before.calibrate(one.series.rows(0, stop), normal=one.normal[:stop], labelled=one.labelled[:stop])
        known[asset] = before.assets[asset]
    return replace(detector, assets=known)


def _judged_added(way: str, detector: Detector, fleet: Sequence[Prepared], params: Params) -> list[dict[str, Any]]:
    begin = time.process_time()
    calibrated = added(detector, fleet)
    return _judged(way, calibrated, fleet, params, (time.process_time() - begin) / len(fleet))


def _judged(
    way: str, detector: Detector, fleet: Sequence[Prepared], params: Params, added_s: float = math.nan
) -> list[dict[str, Any]]:
    """Return the figures of each asset of a fleet; `added_s` is what the calibration of one took."""
    scored = network_scored(way, detector, fleet, 0.0)
    return [
        {"asset": one.series.asset, "method": way, "added_s": added_s, "score_s": scored.score_s / len(fleet)}
        | judge(scored, which, one, scored.merge_gap, params.evaluate.max_buffer)
        for which, one in enumerate(fleet)
    ]


def _only(readings: Folder, assets: frozenset[str]) -> Folder:
    return replace(readings, series=tuple(one for one in readings.series if one.asset in assets))


if __name__ == "__main__":
    main()
