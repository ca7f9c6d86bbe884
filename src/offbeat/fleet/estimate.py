"""What learning and scoring a fleet will take, from a probe: a run of few machines with few steps of training.

Work on a machine goes with its timesteps, training with its steps; what comes once for each process is added to that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from offbeat.detection.runtime import n_processors
from offbeat.errors import ReadingsError
from offbeat.fleet.learning import Learnt, learn_fleet
from offbeat.fleet.probe import NONE, Done, Probe, Steps, Time, few_steps, now, peak_bytes, probing, since
from offbeat.fleet.processes import gpus
from offbeat.fleet.sample import Sample, few_files, sample_of, sizes_of
from offbeat.fleet.scoring import score_into
from offbeat.fleet.shards import shards_of
from offbeat.fleet.steps import LOOKED_AT, MOST_LEARNT, SAMPLED
from offbeat.params import Params, TrainParams
from offbeat.preparation import HELD_OUT_WINDOWS, Lesson, lesson_of_all, prepare_fleet
from offbeat.progress import Report, silent
from offbeat.readings.asset_readings import read_readings
from offbeat.readings.assets import AssetFiles
from offbeat.readings.folder import alike, read_tables
from offbeat.training import check_trainer

LOOKING, PREPARING, TRAINING = "looking at the readings", "preparing", "training"  # what a run reports
CALIBRATING, SCORING, EVALUATING = "calibrating", "scoring", "evaluating"
FLOAT32 = 4  # bytes


@dataclass(frozen=True, eq=False)
class Estimate:
    """What `offbeat train` and then `offbeat score` of some readings will take.

    Attributes
    ----------
    n_assets, n_groups, n_timesteps, n_windows : int
        Machines that may be read, their groups, of each of which there is a model, their timesteps, and windows to
        learn from.
    workers : int
    train : mapping of str to Time
        By phase: start, prepare, train, calibrate, evaluate.
    score : Time
    main_bytes, worker_bytes, training_bytes : int
        The most memory of the process that is called, of each worker, and of each that trains.
    work_bytes, model_bytes, scores_bytes : int
        On the disk: the folder of the work until the model stands, the model, and the scores.
    probed, cut : int
        Machines that were learnt from and scored, and those of them of which only the first timesteps were.
    failures : mapping of str to str
        Why machines could not be read or learnt from, as far as the probe has seen them.
    """

    n_assets: int
    n_groups: int
    n_timesteps: int
    n_windows: int
    workers: int
    train: Mapping[str, Time]
    score: Time
    main_bytes: int
    worker_bytes: int
    training_bytes: int
    work_bytes: int
    model_bytes: int
    scores_bytes: int
    probed: int
    cut: int
    failures: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Ran:
    """What a command did: its items by step, what it took to start a process, and the most bytes that it held."""

    done: Mapping[str, Sequence[Done]]
    start: Time
    peak: int


@dataclass(frozen=True, eq=False)
class _Probed:
    """What a probe found: of learning and of scoring, and by group what there is to learn."""

    learning: _Ran
    scoring: _Ran
    load: Time
    steps: Steps | None
    timesteps: Mapping[str, int]  # of assets
    lessons: Mapping[str, Lesson]  # of groups
    lesson: Time  # to make that of one asset
    group_of: Mapping[str, str]
    model: Mapping[str, int]  # bytes by the ending of the files
    tables: int  # bytes of the tables beside the scores
    failures: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Fleet:
    """All machines: how many each group has and their timesteps together."""

    n_assets: Mapping[str, int]
    timesteps: Mapping[str, float]


def estimate_fleet(
    root: Path, assets: Sequence[AssetFiles], params: Params, workers: int, *, report: Report = silent
) -> Estimate:
    """Say what learning from the readings of a fleet and scoring them will take, after a short probe.

    Parameters
    ----------
    root : Path
        Folder of readings, for its labels, exclusions, alarms and splits.
    assets : sequence of AssetFiles
        Its assets.
    params : Params
        Of the training to come.
    workers : int
        Processes at once.
    report : callable, optional
        Takes each `Step` of the probe.

    Raises
    ------
    ReadingsError
        If none of the machines of the probe can be learnt from.
    OffbeatError
        If what training needs is not installed, or a table of the readings cannot be used.
    """
    check_trainer()
    main_bytes, opened = peak_bytes(), few_files(assets)
    sizes, failures = sizes_of(assets, opened=opened)
    readable = [one for one in assets if one.asset in sizes]
    if not readable:
        asset, reason = next(iter(failures.items()))
        raise ReadingsError(f"none of the machines can be read, such as {asset}: {reason}")
    with tempfile.TemporaryDirectory(prefix="offbeat-estimate-") as scratch, probing(workers, report) as probe:
        sample = sample_of(root, readable, Path(scratch) / "sample")
        found = _probed(probe, sample, params, Path(scratch))
        probe_sizes, _ = sizes_of(sample.assets, opened=opened)
    fleet = _fleet(readable, sizes, probe_sizes, found)
    ahead = _Ahead(found, fleet, params, workers)
    work, model = ahead.bytes_of_work(), ahead.bytes_of_model()
    per_asset = ahead.bytes_of(PREPARING, SCORING) / len(readable)
    shard = max(len(one.assets) for one in shards_of(readable))
    return Estimate(
        n_assets=len(readable),
        n_groups=len(fleet.n_assets),
        n_timesteps=round(sum(fleet.timesteps.values())),
        n_windows=round(sum(ahead.windows(name) for name in fleet.n_assets)),
        workers=workers,
        train=ahead.learning(),
        score=ahead.scoring(),
        main_bytes=(found.learning.peak if workers == 1 else main_bytes) + ahead.bytes_kept(),
        worker_bytes=found.learning.peak + round((shard - 1) * per_asset),
        training_bytes=probe.training_peak + ahead.bytes_of_lessons(),
        work_bytes=work + model,
        model_bytes=model,
        scores_bytes=ahead.bytes_of_scores(),
        probed=len(found.timesteps),
        cut=len(sample.cut & found.timesteps.keys()),
        failures={**failures, **found.failures},
    )


def _probed(probe: Probe, sample: Sample, params: Params, scratch: Path) -> _Probed:
    """Learn from a sample and score it."""
    model, scores = scratch / "model", scratch / "scores"
    few = params.model_copy(update={"train": few_steps(params.train)})
    learnt = learn_fleet(sample.root, sample.assets, few, model, probe, shard_size=1, report=probe.report)
    learning, begin = _Ran(probe.done, probe.start, probe.peak), now()
    lessons, timesteps = _lessons(sample, learnt)
    lesson, steps = since(begin).times(1 / len(timesteps)), None
    largest = max(lessons, key=lambda name: len(lessons[name].values))
    like = learnt.groups[largest].like
    if params.train.is_trained:
        steps = probe.steps(lessons[largest], like.prepare.window_size, like.params.train)
    probe.renew()
    score_into(scores, model, sample.assets, probe, shard_size=1, report=probe.report)
    sizes: dict[str, int] = {}
    for path in model.rglob("*.*"):
        sizes[path.suffix] = sizes.get(path.suffix, 0) + path.stat().st_size
    return _Probed(
        learning,
        _Ran(probe.done, probe.start, probe.peak),
        probe.load,
        steps,
        timesteps,
        lessons,
        lesson,
        {one.asset: one.group for one in sample.assets},
        sizes,
        sum(path.stat().st_size for path in scores.glob("*.csv")),
        learnt.failures,
    )


def _lessons(sample: Sample, learnt: Learnt) -> tuple[dict[str, Lesson], dict[str, int]]:
    """Return by group what its sampled assets teach, and by asset how many timesteps it has."""
    lessons: dict[str, Lesson] = {}
    timesteps: dict[str, int] = {}
    everyone = [one.asset for one in sample.assets]
    for name, group in learnt.groups.items():
        like, known = group.like, learnt.fleet.groups[name].assets
        own = [one for one in sample.assets if one.asset in known]
        read = [read_readings(one, period=like.prepare.period, max_gap=like.prepare.max_gap) for one in own]
        folder = read_tables(sample.root, alike([like.kind, *read])[1:], others=everyone)
        lessons[name] = lesson_of_all(prepare_fleet(folder, like.prepare), like.params.train.calendar)
        timesteps |= {one.asset: one.n_timesteps for one in folder.series}
    return lessons, timesteps


def _fleet(
    assets: Iterable[AssetFiles], sizes: Mapping[str, int], probe_sizes: Mapping[str, int], found: _Probed
) -> _Fleet:
    """Return all machines, with as many timesteps for each byte or row as those of the probe have."""
    n_assets: dict[str, int] = {}
    held: dict[str, float] = {}
    for one in assets:
        n_assets[one.group] = n_assets.get(one.group, 0) + 1
        held[one.group] = held.get(one.group, 0) + sizes[one.asset]

    def dense(name: str) -> float:
        probed = [asset for asset in found.timesteps if name not in found.lessons or found.group_of[asset] == name]
        return sum(found.timesteps[asset] for asset in probed) / sum(probe_sizes[asset] for asset in probed)

    return _Fleet(n_assets, {name: size * dense(name) for name, size in held.items()})


class _Ahead:
    """The arithmetic: what all machines will take, given what those of the probe took."""

    def __init__(self, found: _Probed, fleet: _Fleet, params: Params, workers: int) -> None:
        self._found, self._fleet, self._params, self._workers = found, fleet, params, workers

    def windows(self, group: str) -> float:
        """Return how many windows there are to learn from in a group."""
        return self._of_group(group, lambda lesson: len(lesson.starts))

    def learning(self) -> dict[str, Time]:
        """Return what each phase of learning will take."""
        looks = {
            name: min(1.0, (SAMPLED if self._params.prepare.window_size is None else LOOKED_AT) / n)
            for name, n in self._fleet.n_assets.items()
        }
        return {
            "start": self._found.learning.start,
            "prepare": self._step(LOOKING, looks).plus(self._step(PREPARING)),
            "train": self._training(),
            "calibrate": self._step(CALIBRATING),
            "evaluate": self._step(SCORING).plus(self._step(EVALUATING)),
        }

    def scoring(self) -> Time:
        """Return what scoring all readings will take."""
        ran = self._found.scoring
        return ran.start.plus(self._work(ran, SCORING))

    def bytes_of(self, *steps: str) -> float:
        """Return the bytes that steps of learning leave for the next."""
        return sum(self._scaled(self._found.learning.done[step], lambda one: one.size) for step in steps)

    def bytes_of_work(self) -> int:
        """Return the bytes of the work folder, without the model that it becomes."""
        graphs = self._graph_bytes() * (2 if self._params.train.is_trained else 1)
        return round(self.bytes_of(PREPARING, CALIBRATING, SCORING, EVALUATING) + graphs)

    def bytes_of_model(self) -> int:
        """Return the bytes of the model: graphs, references, and a few numbers for each asset."""
        known, model = self._found.timesteps, self._found.model
        others = sum(size for suffix, size in model.items() if suffix not in (".onnx", ".npz"))
        references = model.get(".npz", 0) * sum(self._fleet.timesteps.values()) / sum(known.values())
        return round(self._graph_bytes() + references + others * self._n_assets / len(known))

    def bytes_of_scores(self) -> int:
        """Return the bytes of the scores and the tables beside them."""
        tables = self._found.tables * self._n_assets / len(self._found.timesteps)
        return round(self._scaled(self._found.scoring.done[SCORING], lambda one: one.size) + tables)

    def bytes_kept(self) -> int:
        """Return what the process that joins the shards keeps of them."""
        scored = self._scaled(self._found.learning.done[SCORING], lambda one: one.light)
        return round(self.bytes_of(CALIBRATING) + scored)

    def bytes_of_lessons(self) -> int:
        """Return what the largest group teaches, and once more as it is laid end to end."""
        largest = max(self._of_group(name, lambda one: one.values.nbytes) for name in self._fleet.n_assets)
        return round(largest + min(largest, MOST_LEARNT * FLOAT32))

    @property
    def _n_assets(self) -> int:
        return sum(self._fleet.n_assets.values())

    def _graph_bytes(self) -> float:
        return self._found.model[".onnx"] * len(self._fleet.n_assets) / len(self._found.lessons)

    def _of_group(self, group: str, figure: Callable[[Lesson], int]) -> float:
        """Return a figure of what all assets of a group teach; that of one not probed is as of those that were."""
        names = [group] if group in self._found.lessons else list(self._found.lessons)
        probed = [asset for asset in self._found.timesteps if self._found.group_of[asset] in names]
        figures = sum(figure(self._found.lessons[name]) for name in names)
        return figures * self._fleet.timesteps[group] / sum(self._found.timesteps[asset] for asset in probed)

    def _step(self, step: str, share: Mapping[str, float] | None = None) -> Time:
        return self._work(self._found.learning, step, share)

    def _work(self, ran: _Ran, step: str, share: Mapping[str, float] | None = None) -> Time:
        """Return what a step takes on a share of each group, all of it by default, with what comes once a process."""
        done = ran.done[step]
        first, rest = done[0], [one for one in done[1:] if one.group == done[0].group]
        timed = done[1:] if rest else done  # the first item loads what the others find loaded
        cpu_s = self._scaled(timed, lambda one: one.took.cpu_s, share)
        clock_s = self._scaled(timed, lambda one: one.took.clock_s, share)
        once = NONE
        if rest:
            usual = Time(*(sum(one) / len(rest) for one in zip(*(one.took for one in rest), strict=True)))
            once = Time(*(max(value, 0.0) for value in first.took.plus(usual, -1)))
        if self._workers == 1:
            return Time(clock_s, cpu_s).plus(once)
        n = min(self._workers, self._n_assets)
        lanes = min(n, n_processors())
        once = once.plus(ran.start)
        return Time(clock_s / lanes + once.clock_s * n / lanes, cpu_s + n * once.cpu_s)

    def _scaled(
        self, done: Iterable[Done], value: Callable[[Done], float], share: Mapping[str, float] | None = None
    ) -> float:
        """Return a value for all machines, by their timesteps."""
        values: dict[str, float] = {}
        timesteps: dict[str, int] = {}
        for one in done:
            known = sum(self._found.timesteps.get(asset, 0) for asset in one.assets)
            if known:
                values[one.group] = values.get(one.group, 0.0) + value(one)
                timesteps[one.group] = timesteps.get(one.group, 0) + known
        mean = sum(values.values()) / sum(timesteps.values())
        return sum(
            (values[name] / timesteps[name] if name in values else mean) * total * (1 if share is None else share[name])
            for name, total in self._fleet.timesteps.items()
        )

    def _training(self) -> Time:
        """Return what the training of all groups takes, if no patience ends it early."""
        found, sums = self._found, NONE
        probed = {one.group: one.took for one in found.learning.done[TRAINING]}
        mean = Time(*(sum(one) / len(probed) for one in zip(*probed.values(), strict=True)))
        for name, n in self._fleet.n_assets.items():
            once = found.learning.start.plus(found.load).plus(probed.get(name, mean))
            sums = sums.plus(once).plus(found.lesson, n).plus(self._steps(name))
        lanes = min(len(gpus()) or n_processors(), self._workers, len(self._fleet.n_assets))
        return Time(sums.clock_s / lanes, sums.cpu_s)

    def _steps(self, group: str) -> Time:
        """Return what the steps take that the probe did not do."""
        if self._found.steps is None:
            return NONE
        train: TrainParams = self._params.train
        times = 2 if train.trim_share else 1
        n_steps = times * train.epochs * train.steps_per_epoch - few_steps(train).steps_per_epoch
        step, held_out = self._found.steps
        probed = max(len(one.held_out_starts) for one in self._found.lessons.values())
        all_of_them = min(HELD_OUT_WINDOWS, self._of_group(group, lambda one: len(one.held_out_starts)))
        looks = (times * train.epochs - 1) * max(all_of_them / probed, 1)
        return step.times(max(n_steps, 0)).plus(held_out, looks)
