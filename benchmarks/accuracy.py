"""How well the networks find what is wrong in real labelled readings, beside simple methods, under one protocol.

    python benchmarks/accuracy.py --data ../shared/data --seeds 3 --jobs 2

Every set that `--data` holds is measured, or those named (`nab`, `ucr=FOLDER`). One settings file serves all readings
of one channel and one all of several; no threshold sees a test label. Each result is a file: what is there is not
done again, so a run that was stopped goes on; after a change of the code give another `--out`. At the end stand
`series.csv`, a row for each series, method and seed, and `summary.md`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy_judge import judge
from benchmarks.accuracy_methods import NETWORKS, SETTINGS, methods_of, score_networks, score_simple, settings_for
from benchmarks.accuracy_sets import SETS, Group, groups_of, places
from benchmarks.accuracy_summary import summary
from benchmarks.accuracy_table import read_results, write_series
from offbeat.errors import OffbeatError
from offbeat.files import new_file, write_json
from offbeat.lineage import git_commit
from offbeat.params import Params
from offbeat.readings.folder import read_folder

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class Job:
    """A network on a group with one seed, or its simple methods; brings several results."""

    group: Group
    source: str
    seed: int
    settings: Path
    results: Path

    @cached_property
    def params(self) -> Params:
        """What the settings say for the group's channels."""
        return settings_for(self.group.n_channels, self.settings, self.seed, NETWORKS.get(self.source, {}))

    @cached_property
    def digest(self) -> str:
        """A short hash of what shapes its results: settings and readings, but not the code."""
        sections = self.params.model_dump(exclude=None if self.source in NETWORKS else {"train"})
        text = json.dumps([sections, self.group.data_hash], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def file(self, method: str) -> Path:
        """Where the result of a method stands."""
        return self.results / self.group.set_name / self.group.name / f"{method}-{self.seed}-{self.digest}.json"

    @property
    def files(self) -> list[Path]:
        """Where its results stand, or will."""
        return [self.file(method) for method in methods_of(self.source)]

    @property
    def work(self) -> float:
        """How long it takes, more or less: the long ones go first, so that no processor waits for the last."""
        return (100_000 if self.source in NETWORKS else 1_000) + self.group.n_rows * self.group.n_channels**0.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is not done yet, and write the tables."""
    options = _options(arguments)
    begin = time.perf_counter()
    try:
        found = places(options.data, options.sets)
        groups = [group for name, place in found.items() for group in groups_of(name, place, options.out / "readings")]
        jobs = jobs_of(groups, range(options.first_seed, options.first_seed + options.seeds), options)
        failures = run(jobs, options.jobs)
    except OffbeatError as error:
        sys.exit(str(error))
    results = read_results([path for job in jobs for path in job.files])
    write_series(options.out / "series.csv", results)
    text = summary(results, failures)
    with new_file(options.out / "summary.md") as scratch:
        scratch.write_text(text, encoding="utf-8")
    print(text)
    print(f"{time.perf_counter() - begin:.0f} s; {options.out / 'summary.md'}, {options.out / 'series.csv'}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", help=f"of {', '.join(SETS)}, or NAME=FOLDER; all that --data holds")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with a folder for each set")
    parser.add_argument("--only", nargs="+", default=[], metavar="GROUP", help="only groups of these names")
    parser.add_argument("--methods", nargs="+", default=["fixed", "drawn", *NETWORKS], metavar="SOURCE")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--out", type=Path, default=Path("artifacts/accuracy"))
    options = parser.parse_args(arguments)
    for source in options.methods:
        if source not in ("fixed", "drawn", *NETWORKS):
            parser.error(f"--methods {source}: known are fixed, drawn, {', '.join(NETWORKS)}")
    for name in ("seeds", "jobs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    return options


def jobs_of(groups: Sequence[Group], seeds: Sequence[int], options: argparse.Namespace) -> list[Job]:
    """Return the jobs for groups and seeds; what no seed changes is done with the first alone."""
    groups = [group for group in groups if not options.only or group.name in options.only]
    return [
        Job(group, source, seed, options.settings, options.out / "results")
        for group in groups
        for source in options.methods
        for seed in (seeds[:1] if source == "fixed" else seeds)
    ]


def run(jobs: Sequence[Job], n_processes: int) -> list[str]:
    """Do the jobs that lack a result, the longest first; return what failed, in words."""
    open_jobs = sorted((job for job in jobs if not all(path.exists() for path in job.files)), key=lambda job: -job.work)
    print(f"{len(jobs) - len(open_jobs)} of {len(jobs)} jobs are done", file=sys.stderr, flush=True)
    for name in THREADS:
        os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // n_processes)))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    failures = []
    for done, (job, failure) in enumerate(_worked(open_jobs, n_processes), start=1):
        said = f"{job.group.set_name} {job.group.name} {job.source} {job.seed}"
        failures += [f"{said}: {failure}"] if failure else []
        print(f"{done}/{len(open_jobs)} {said} {failure}".rstrip(), file=sys.stderr, flush=True)
    return sorted(failures)


def _worked(jobs: Sequence[Job], n_processes: int) -> Iterator[tuple[Job, str]]:
    """Give each job with what `work` returned, as they end; one process is this one."""
    if n_processes == 1:
        yield from ((job, work(job)) for job in jobs)
        return
    # a fresh process in place of one that has trained many networks, for Keras keeps some of each
    with multiprocessing.get_context("spawn").Pool(n_processes, maxtasksperchild=20) as pool:
        yield from pool.imap_unordered(_worked_one, jobs)


def _worked_one(job: Job) -> tuple[Job, str]:
    return job, work(job)


def work(job: Job) -> str:
    """Do one job and write its results; return why it cannot be done, empty if it was."""
    params, to_failure = job.params, SETS[job.group.set_name].training_share is not None
    try:
        folder = read_folder(job.group.folder, period=params.prepare.period, max_gap=params.prepare.max_gap)
        if job.source in NETWORKS:
            fleet, scored = score_networks(job.source, folder, params)
        else:
            fleet, scored = score_simple(job.source, folder, params, job.seed)
        for one in scored:
            rule = (one.merge_gap, params.evaluate.max_buffer)
            judged = [
                {"asset": prepared.series.asset} | judge(one, which, prepared, *rule, to_failure=to_failure)
                for which, prepared in enumerate(fleet)
            ]
            write_json(job.file(one.method), _result(job, one.method, one.train_s, one.score_s, judged))
    except OffbeatError as error:
        return str(error)
    return ""


def _result(job: Job, method: str, train_s: float, score_s: float, judged: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "set": job.group.set_name,
        "group": job.group.name,
        "n_channels": job.group.n_channels,
        "method": method,
        "seed": job.seed,
        "git_commit": git_commit(Path(__file__).parent),
        "train_s": round(train_s, 3),
        "score_s": round(score_s, 3),
        "series": judged,
    }


if __name__ == "__main__":
    main()
