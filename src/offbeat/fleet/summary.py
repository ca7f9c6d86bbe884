"""What the terminal shows of a fleet that was learnt: a table and doubts for each group."""

from __future__ import annotations

from collections import Counter

from offbeat.fleet.learning import Learnt
from offbeat.readings.messages import count
from offbeat.summary import doubts, metrics_table


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
