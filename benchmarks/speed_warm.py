"""A week more of readings: a training that starts from the model of the weeks before, against one from new weights.

The simulated fleet of pumps, each round with another seed for weights and batches. Both train on the same weeks and are
judged on the same test spans, for a start is worth something only where the model is as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.speed_goals import Outcome
from benchmarks.speed_measure import Moment, Plan, in_turn, median, now, ratios
from offbeat.assembly import assemble, calibrate_fleet
from offbeat.evaluation.replay import network_method, replay, stretch_of, summarize
from offbeat.models.network import train_model
from offbeat.params import Params, PrepareParams, load_params
from offbeat.preparation import Prepared, lesson_of_all, prepare_fleet
from offbeat.readings.folder import Folder, read_folder
from offbeat.readings.simulate import ROWS_PER_DAY, simulate_fleet

WEEK = 7 * ROWS_PER_DAY
# key of the metrics, name, and whether more is better
JUDGED = (("vus_pr", "VUS-PR", 1), ("auc_pr", "AUC-PR", 1), ("event_f1", "event F1", 1), ("false_alarms", "false", -1))


@dataclass(frozen=True)
class Run:
    """One training: seconds to a trained network, and to a detector, and how good that is."""

    clock: float
    processor: float
    to_detector: float
    metrics: dict[str, float]


def warm_start(plan: Plan) -> dict[str, Outcome]:
    """Return how many times sooner a training is done from a start than from new weights, and both models' metrics."""
    simulate_fleet(plan.scratch / "fleet", 7)
    folder = read_folder(plan.scratch / "fleet")
    short = {"epochs": 1, "steps_per_epoch": 2, "units": 4}
    params = load_params(changes={"train": short} if plan.short else {})
    if plan.short:
        folder = replace(folder, series=folder.series[:1])
    shorter = replace(folder, series=tuple(one.rows(0, one.n_timesteps - WEEK) for one in folder.series))
    network(shorter, _seeded(params, 0, epochs=1, steps_per_epoch=1))  # what TensorFlow does once
    seeds = iter(range(params.train.seed, params.train.seed + plan.rounds))
    known: list[tuple[Params, bytes]] = []

    def from_new_weights() -> Run:
        seeded = _seeded(params, next(seeds))
        known.append((seeded, network(shorter, seeded)[1]))
        return trained(folder, seeded)

    def from_start() -> Run:
        return trained(folder, *known[-1])

    new, warm = in_turn(plan.rounds, from_new_weights, from_start)
    clock = ratios([one.clock for one in new], [one.clock for one in warm])
    return {"warm_start": Outcome(clock, _words(new, warm), holds=as_good(warm, new))}


def network(folder: Folder, params: Params, start: bytes | None = None) -> tuple[list[Prepared], bytes]:
    """Return prepared readings and the ONNX file of what is trained on them."""
    prepare = prepare_of(params)
    fleet = prepare_fleet(folder, prepare)
    lesson = lesson_of_all(fleet, params.train.calendar)
    return fleet, train_model(lesson, prepare.window_size, params.train, start=start).graph


def prepare_of(params: Params) -> PrepareParams:
    """Return the section with its window, which the packaged file names."""
    assert params.prepare.window_size is not None, "the fleet is trained with the window of params.yaml"
    return params.prepare.with_window(params.prepare.window_size)


def trained(folder: Folder, params: Params, start: bytes | None = None) -> Run:
    """Train, calibrate, and judge on the test spans."""
    begin, prepare = now(), prepare_of(params)
    fleet, graph = network(folder, params, start)
    end = now()
    detector = assemble(graph, fleet[0].series, prepare, params.calibrate.for_window(prepare.window_size), {})
    calibrate_fleet(detector, fleet)
    clock, processor = _between(begin, end)
    to_detector, _ = _between(begin, now())
    method = network_method("own", detector)
    metrics = summarize([replay(method, stretch_of(one, params.evaluate)) for one in fleet])["own"]
    return Run(clock, processor, to_detector, metrics)


def as_good(runs: Sequence[Run], others: Sequence[Run]) -> bool:
    """Whether the mean of each metric falls short of the others' by no more than what the seeds of either differ by."""
    for key, _, sign in JUDGED:
        own, theirs = ([sign * one.metrics[key] for one in each] for each in (runs, others))
        if np.mean(own) < np.mean(theirs) - max(np.ptp(own), np.ptp(theirs)):
            return False
    return True


def _seeded(params: Params, seed: int, **changes: int) -> Params:
    return params.model_copy(update={"train": params.train.model_copy(update={"seed": seed, **changes})})


def _between(begin: Moment, end: Moment) -> Moment:
    return end[0] - begin[0], end[1] - begin[1]


def _words(new: Sequence[Run], warm: Sequence[Run]) -> str:
    processor = ratios([one.processor for one in new], [one.processor for one in warm])
    to_detector = ratios([one.to_detector for one in new], [one.to_detector for one in warm])
    parts = [
        f"{median([one.clock for one in warm]):.3g} s against {median([one.clock for one in new]):.3g} s",
        f"in processor time {median(processor):.3g} ×, to a detector {median(to_detector):.3g} ×",
    ]
    for key, name, _ in JUDGED:
        own, theirs = (_spread([one.metrics[key] for one in each]) for each in (warm, new))
        parts.append(f"{name} {own} against {theirs}")
    return "; ".join(parts)


def _spread(figures: Sequence[float]) -> str:
    return f"{np.mean(figures):.3f} ({min(figures):.3f} to {max(figures):.3f})"
