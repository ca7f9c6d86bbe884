"""What the terminal shows of a fleet: a table and doubts for each group that was learnt; what a run will take."""

from __future__ import annotations

from collections import Counter

from offbeat.fleet.estimate import Estimate
from offbeat.fleet.learning import Learnt
from offbeat.fleet.probe import Time
from offbeat.readings.messages import count
from offbeat.summary import doubts, metrics_table
from offbeat.tables import text_table


def fleet_summary(learnt: Learnt) -> list[str]:
    """Return the lines that `offbeat train` ends with for a fleet."""
    lines: list[str] = []
    for name, group in learnt.groups.items():
        detector = learnt.fleet.groups[name]
        baselines = dict(group.methods)
        own = baselines.pop(detector.method)
        explained = group.training["explained_variance"]
        states = Counter(known.threshold.maturity for known in detector.assets.values())
        how_many = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
        about = f"{f'Group {name}: ' if name else ''}{count(len(detector.assets), 'machine')}, {how_many}"
        n_events = f"{count(int(own['n_events']), 'labelled event')} in their test spans"
        variance = f"The model explains {explained:.1%} of the variance of held-out normal readings."
        lines += [
            f"{about}; {n_events}. {variance}",
            *group.like.notes,
            "",
            metrics_table({detector.method: own, **baselines}),
            "",
        ]
        doubted = [f"Doubt: {doubt}" for doubt in doubts(own, baselines, explained)]
        lines += [*doubted, ""] if doubted else []
    return lines


def estimate_summary(found: Estimate) -> list[str]:
    """Return the lines that `offbeat estimate` prints."""
    with_workers = f"--workers {found.workers}"
    phases = [[f"offbeat train {with_workers}", "seconds", "of processors"]]
    phases += [[f"  {name}", *_seconds(took)] for name, took in found.train.items()]
    total = Time(*(sum(one) for one in zip(*found.train.values(), strict=True)))
    phases += [["  together", *_seconds(total)], [f"offbeat score {with_workers}", *_seconds(found.score)]]
    worker = "this process is it" if found.workers == 1 else _bytes(found.worker_bytes)
    sizes = [
        ["memory and disk", "at most"],
        ["  memory of the main process", _bytes(found.main_bytes)],
        ["  memory of each worker", worker],
        ["  memory of a process that trains", _bytes(found.training_bytes)],
        ["  disk: work folder, until the model stands", _bytes(found.work_bytes)],
        ["  disk: model", _bytes(found.model_bytes)],
        ["  disk: scores", _bytes(found.scores_bytes)],
    ]
    cut = f", of {found.cut} of them the first timesteps" if found.cut else ""
    about = (
        f"{count(found.n_assets, 'machine')} in {count(found.n_groups, 'group')}: about "
        f"{count(found.n_timesteps, 'timestep')}, {count(found.n_windows, 'window')} to learn from; "
        f"{count(found.n_groups, 'model')}"
    )
    rests_on = (
        f"From a probe of {count(found.probed, 'machine')}{cut}, on this machine as busy as it is now. Expect up to "
        "twice or half of it; training that stops early takes less."
    )
    return [about, "", text_table(phases), "", text_table(sizes), "", rests_on]


def _seconds(took: Time) -> list[str]:
    return [f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in took]


def _bytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
