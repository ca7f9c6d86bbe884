"""Later readings against what a detector was made from: a verdict for each machine, and one for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from offbeat.detection.detector import Detector
from offbeat.drift.figures import Compared, Limits, asset_drift
from offbeat.drift.moves import usual_moves
from offbeat.drift.period import Arrived, Period, period_of
from offbeat.drift.verdict import NONE, RECORDING, REGIME, REMEDIES, UNKNOWN, VERDICTS, AssetDrift
from offbeat.errors import ModelError
from offbeat.params import DriftParams
from offbeat.progress import Report, counted, silent
from offbeat.readings.messages import shortened
from offbeat.tables import text_table

NOBODY_KNOWN = (
    "the model carries no reference of these machines to compare with: it does not know them, or was made by "
    "an earlier version or from too few readings; train it again (make run, or offbeat train), with more"
)
MOST_ROWS = 100  # machines, on a terminal


@dataclass(frozen=True)
class Drift:
    """The verdict on all machines, the worst of theirs; each machine's own; and what was compared of each."""

    verdict: str
    assets: tuple[AssetDrift, ...]
    compared: Mapping[str, Compared]

    @property
    def retrain(self) -> bool:
        """Whether a new model is asked for."""
        return self.verdict == REGIME

    @property
    def reason(self) -> str:
        """One line for people and events."""
        if self.verdict == NONE:
            return VERDICTS[NONE]
        same = [one for one in self.assets if one.verdict == self.verdict]
        first, *others = same
        if not first.reasons:
            return f"{VERDICTS[self.verdict]}: {_listed(same)}"
        if not others:
            return f"{VERDICTS[self.verdict]}: {_line(first.asset, first.reasons[0])}"
        return f"{VERDICTS[self.verdict]}: {_listed(same)} ({_line(first.asset, first.reasons[0])})"


def _listed(assets: Sequence[AssetDrift]) -> str:
    """Return the names of machines, four at most."""
    names = ", ".join(shortened(one.asset) for one in assets[:4])
    return names + (f" and {len(assets) - 4} more" if len(assets) > 4 else "")


def _line(asset: str, reason: str) -> str:
    """Return a reason under its machine's name, which need not stand twice where a file of that name is told of."""
    return reason if reason.startswith(f"{asset}.") else f"{shortened(asset)}: {reason}"


def check(detector: Detector, arrived: Sequence[Arrived], params: DriftParams, report: Report = silent) -> Drift:
    """Compare later readings with those that a detector was made from.

    Parameters
    ----------
    detector : Detector
    arrived : sequence of Arrived
        One a machine. Only readings after those that the detector knows count, the last `params.days` of them, up to
        the newest reading of all machines.
    params : DriftParams
    report : callable, optional
        Takes how far it is.

    Raises
    ------
    ModelError
        If the detector carries no reference of any of the machines.
    """
    if not any(knows(detector, one.asset) for one in arrived):
        raise ModelError(NOBODY_KNOWN)
    now = newest(arrived)
    found = [compare(detector, one, now, params) for one in counted(arrived, report, "comparing", "machines")]
    return verdict_of(detector, found, params)


def knows(detector: Detector, asset: str) -> bool:
    """Whether a detector carries a reference of a machine."""
    known = detector.assets.get(asset)
    return known is not None and known.reference is not None


def newest(arrived: Iterable[Arrived]) -> int:
    """Return the stamp of the newest reading of all machines, 0 where there is none."""
    return max((int(one.series.stamps[-1]) for one in arrived if one.series is not None), default=0)


def compare(detector: Detector, arrived: Arrived, now: int, params: DriftParams) -> Period | AssetDrift:
    """Return the later readings of one machine in chunks, or what is to be said of it where they cannot be compared.

    `now` is as `newest` returns it. The readings themselves are not kept.
    """
    known = detector.assets.get(arrived.asset)
    reference = None if known is None else known.reference
    if reference is None:
        return AssetDrift(arrived.asset, UNKNOWN, (_unknown(detector, arrived.asset),))
    if arrived.series is None:
        return AssetDrift(arrived.asset, RECORDING, (arrived.problem,))
    period = period_of(detector, arrived, reference, now, params)
    if isinstance(period, str):
        return AssetDrift(arrived.asset, UNKNOWN, (period,))
    return replace(period, arrived=replace(arrived, series=None, known=None))


def verdict_of(detector: Detector, compared: Sequence[Period | AssetDrift], params: DriftParams) -> Drift:
    """Return the verdict on all machines of a detector, from what `compare` says of each."""
    periods = [one for one in compared if isinstance(one, Period)]
    judged = _judged(detector, periods, params)
    verdicts = {one.asset: one for one, _ in judged}
    assets = tuple(verdicts[one.arrived.asset] if isinstance(one, Period) else one for one in compared)
    worst = min((one.verdict for one in assets), key=list(VERDICTS).index)
    return Drift(worst, assets, {one.asset: compared for one, compared in judged})


def _unknown(detector: Detector, asset: str) -> str:
    """Return why the detector has no reference of a machine."""
    if asset not in detector.assets:
        return "the model does not know it: calibrate the model for it (offbeat calibrate)"
    return (
        "the model carries no reference of it, as it was made from too few readings of it or by an earlier version: "
        "calibrate it again (offbeat calibrate), with more"
    )


def _judged(detector: Detector, periods: Sequence[Period], params: DriftParams) -> list[tuple[AssetDrift, Compared]]:
    """Return the verdicts, machines with equally many chunks of equal length sharing what moves by chance."""
    n_tests = sum(one.values.shape[1] - 1 + 4 for one in periods)  # each column once, the score in four quarters
    judged = []
    for kind in dict.fromkeys(one.kind for one in periods):
        alike = [one for one in periods if one.kind == kind]
        columns, moves = [one.columns for one in alike], zip(*(one.usual_moves for one in alike), strict=True)
        late, quarter = (
            usual_moves(columns, own, size).limits(params.false_share, n_tests, params.least_change)
            for own, size in zip(moves, (alike[0].n_late, alike[0].n_quarter), strict=True)
        )
        for number, one in enumerate(alike):
            judged.append(asset_drift(detector, one, Limits(late[number], quarter[number]), params))
    return judged


def to_json(drift: Drift, model: Mapping[str, str]) -> dict[str, object]:
    """Return a check as JSON holds it; moves are in shares of what it takes to count."""
    head = {"verdict": drift.verdict, "words": drift.reason, "retrain": drift.retrain, "model": dict(model)}
    return head | {"assets": [asdict(one) for one in drift.assets]}


def report(drift: Drift) -> str:
    """Return a check for the terminal: the verdict, a row a machine, the worst of many, and why."""
    rows = [["machine", "verdict", "compared", "largest move", "in"]]
    order = list(VERDICTS)
    shown = drift.assets
    if len(shown) > MOST_ROWS:
        shown = tuple(sorted(shown, key=lambda one: (order.index(one.verdict), -one.largest[0]))[:MOST_ROWS])
    for one in shown:
        most, where = one.largest
        period = f"{one.n_chunks} x {one.chunk}" if one.n_chunks else "-"
        move, where = (f"{most:.2f}", shortened(where)) if where else ("-", "-")
        rows.append([shortened(one.asset), VERDICTS[one.verdict], period, move, where])
    foot = "largest move: 1 is what it takes to count"
    if len(drift.assets) > len(shown):
        foot = f"and {len(drift.assets) - len(shown):,} machines more, no worse; {foot}"
    parts = [drift.reason, text_table(rows, right_from=len(rows[0])), "\n".join(_reasons(shown)), foot]
    return "\n\n".join(part for part in [*parts, f"What to do: {REMEDIES[drift.verdict]}."] if part)


def _reasons(assets: Sequence[AssetDrift]) -> list[str]:
    """Return the reasons of each machine line by line; machines of which the same is said share their lines."""
    alike: dict[tuple[str, ...], list[AssetDrift]] = {}
    for one in assets:
        alike.setdefault(one.reasons, []).append(one)
    return [
        _line(same[0].asset, reason) if len(same) == 1 else f"{_listed(same)}: {reason}"
        for reasons, same in alike.items()
        for reason in reasons
    ]
