"""Which drifts `offbeat drift` finds, and how often it says drift where nothing changed.

    python benchmarks/drift.py                                   # simulated fleets, with the network of artifacts/
    python benchmarks/drift.py --fleets 40 --data ../shared/data # and two public runs of normal readings

Each simulated fleet has a seed of its own and six normal pumps over sixty days: forty-eight make the reference, then
every whole week is checked. Drifts are put into the last week of one pump, in one channel or in all of them.
Prints Markdown tables and writes the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.detector import Detector
from offbeat.drift.check import Drift, check
from offbeat.drift.period import Arrived
from offbeat.params import CalibrateParams, Params, load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.datasets import fetch
from offbeat.readings.folder import Folder, read_folder
from offbeat.readings.series import Series
from offbeat.readings.simulate import CHANNELS, N_PUMPS, N_ROWS, ROWS_PER_DAY, START, pump_values
from offbeat.tables import markdown_table
from offbeat.training import fit_fleet
from offbeat.typing import FloatArray

WEEK = 7 * ROWS_PER_DAY
FIRST_SEED = 5000  # of normal fleets; the check was built while looking at others, 1000 to 1039 and 2000 to 2059
ONE, ALL = "one channel", "all channels"
LAST_DAY = 6.0
DAYS = {  # of the checked week, whose later half are the days from 3 on
    2.0: "the third of seven",
    3.0: "the fourth",
    4.5: "noon of the fifth to noon of the sixth",
    5.0: "the sixth",
    5.5: "noon of the sixth to noon of the last",
    LAST_DAY: "the last, still there",
}
Change = Callable[[FloatArray, FloatArray, np.random.Generator], FloatArray]


@dataclass(frozen=True)
class Trial:
    """A drift: its kind and strength, whether in one channel or all, the verdicts that are right, how it is made.

    `change` takes the readings (n, F) of the channels that drift, and their standard deviations (F,).
    """

    kind: str
    strength: str
    where: str
    right: tuple[str, ...]
    change: Change


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fleets", type=int, default=40, help="simulated fleets without drift")
    parser.add_argument("--drifted", type=int, default=10, help="of those, how many get each drift")
    parser.add_argument("--kind", help="of drift, such as anomaly: only those, and no normal weeks")
    parser.add_argument("--model", type=Path, default=Path("artifacts/detector"), help="whose network scores")
    parser.add_argument("--data", type=Path, help="a local copy of the public sets")
    parser.add_argument("--out", type=Path, default=Path("artifacts/drift.json"))
    arguments = parser.parse_args()
    params, network = load_params(), Detector.load(arguments.model)
    normal: Counter[str] = Counter()
    machines: Counter[str] = Counter()
    found: dict[tuple[str, str, str], Counter[str]] = {}
    for number in range(arguments.fleets):
        fleet = simulated(FIRST_SEED + number)
        detector = calibrated(network, fleet, params)
        for drift in weeks(detector, fleet, params) if arguments.kind is None else ():
            normal[drift.verdict] += 1
            machines.update(one.verdict for one in drift.assets)
        if number < arguments.drifted:
            for trial in (one for one in trials() if arguments.kind in (None, one.kind)):
                verdict = with_drift(detector, fleet, trial, params, number).assets[number % N_PUMPS].verdict
                found.setdefault((trial.kind, trial.strength, trial.where), Counter())[verdict] += 1
        print(f"fleet {number + 1}: normal weeks {dict(normal)}", flush=True)
    rows = {"normal fleets": dict(normal), "normal machines": dict(machines)}
    print(*([] if arguments.kind else [false_table(rows)]), found_table(found), sep="\n\n", flush=True)
    public = {name: on_public(name, arguments.data, params) for name in ("skab", "ims_bearing") if arguments.data}
    for name, drift in public.items():
        print(name, *drift, sep="\n", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    drifts = [{"drift": key, "verdicts": dict(verdicts)} for key, verdicts in found.items()]
    arguments.out.write_text(json.dumps({**rows, "found": drifts, "public": public}, indent=2) + "\n")


def simulated(seed: int) -> list[Series]:
    """Return a fleet of pumps as recorded, without any event."""
    index = pd.date_range(START, periods=N_ROWS, freq="10min")
    fleet = []
    for pump in range(1, N_PUMPS + 1):
        values = pump_values(np.random.default_rng([seed, pump]))
        rounded = np.column_stack([np.round(v, d) for v, d in zip(values.T, CHANNELS.values(), strict=True)])
        frame = pd.DataFrame(rounded, index, list(CHANNELS))
        fleet.append(Series.from_frame(frame, f"pump-{pump}", period="10min"))
    return fleet


def calibrated(network: Detector, fleet: list[Series], params: Params) -> Detector:
    """Return a detector with the network of another, made from the first four fifths of a fleet."""
    prepare = params.prepare.with_window(network.window_size)
    prepared = prepare_fleet(Folder(tuple(fleet)), prepare)
    rule = CalibrateParams.model_validate(network.params.model_dump())
    detector = assemble(network.runtime.graph, prepared[0].series, prepare, rule, network.lineage)
    calibrate_fleet(detector, prepared)
    return detector


def weeks(detector: Detector, fleet: list[Series], params: Params) -> Iterator[Drift]:
    """Yield the checks at the end of each whole week after the reference, the last at the last reading."""
    reference = next(iter(detector.assets.values())).reference
    assert reference is not None
    for stop in range(N_ROWS, int(np.searchsorted(fleet[0].stamps, reference.until)) + WEEK // 2, -WEEK):
        yield check(detector, [Arrived(one.asset, one.rows(0, stop)) for one in fleet], params.drift)


def trials() -> list[Trial]:
    """Return every drift at every strength."""
    made = []
    for where in (ONE, ALL):
        right = ("regime",) if where == ALL else ("sensor",)
        made += [Trial("mean", f"{s:g} sd", where, right, mean_by(s)) for s in (0.5, 1.0, 2.0)]
        made += [Trial("variance", f"sd x {s:g}", where, right, spread_by(s)) for s in (1.5, 2.0, 0.5)]
        right = ("recording",) if where == ALL else ("sensor",)
        made += [Trial("missing", f"{s:.0%}", where, right, missing(s)) for s in (0.1, 0.3)]
        made += [Trial("stuck", f"last {h} h", where, right, stuck(h)) for h in (12, 48)]
    made += [
        Trial("correlation", f"{s:.0%} of the course from another week", ONE, ("sensor",), other(s)) for s in (0.5, 1)
    ]
    made += [Trial("correlation", "every channel from another week", ALL, ("regime",), scattered)]
    made += [Trial("sampling", "every second reading", ALL, ("recording",), every_second)]
    for where in (ONE, ALL):
        for day, said in DAYS.items():
            right = ("sensor",) if where == ONE and day == LAST_DAY else ("anomaly",)
            made += [Trial("anomaly", f"4 sd for a day: {said}", where, right, day_of(4.0, day))]
    return made


def mean_by(strength: float) -> Change:
    """Return what moves the mean by so many standard deviations."""
    return lambda values, unit, _: values + strength * unit


def spread_by(factor: float) -> Change:
    """Return what moves the readings away from their mean by a factor."""
    return lambda values, _, __: values.mean(axis=0) + factor * (values - values.mean(axis=0))


def missing(share: float) -> Change:
    """Return what loses single readings."""
    return lambda values, _, rng: np.where(rng.random(values.shape) < share, np.nan, values)


def stuck(hours: int) -> Change:
    """Return what repeats one reading from then on."""

    def change(values: FloatArray, _unit: FloatArray, _rng: np.random.Generator) -> FloatArray:
        held = values.copy()
        held[-6 * hours :] = held[-6 * hours - 1]
        return held

    return change


def other(share: float) -> Change:
    """Return what mixes a channel with its own course of three and a half days before: the same mean and spread."""

    def change(values: FloatArray, _unit: FloatArray, _rng: np.random.Generator) -> FloatArray:
        mixed: FloatArray = (1 - share) * values + share * np.roll(values, WEEK // 2 + 37, axis=0)
        return mixed

    return change


def scattered(values: FloatArray, _unit: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Shift each channel in time by days of its own."""
    return np.column_stack([np.roll(column, int(rng.integers(100, 900))) for column in values.T])


def every_second(values: FloatArray, _unit: FloatArray, _rng: np.random.Generator) -> FloatArray:
    """Lose every second row."""
    kept = values.copy()
    kept[1::2] = np.nan
    return kept


def day_of(strength: float, day: float) -> Change:
    """Return what moves the readings for a day and no longer, that many days after the week began."""

    def change(values: FloatArray, unit: FloatArray, _rng: np.random.Generator) -> FloatArray:
        moved = values.copy()
        start = round(day * ROWS_PER_DAY)
        moved[start : start + ROWS_PER_DAY] += strength * unit
        return moved

    return change


def with_drift(detector: Detector, fleet: list[Series], trial: Trial, params: Params, seed: int) -> Drift:
    """Return the check of the last week with a drift in one pump, in flow or in all channels."""
    rng = np.random.default_rng([seed, 99])
    at = seed % N_PUMPS
    values = fleet[at].values.copy()
    chosen = [1] if trial.where == ONE else list(range(values.shape[1]))
    last = slice(N_ROWS - WEEK, N_ROWS)
    values[last, chosen] = trial.change(values[last][:, chosen], values[: N_ROWS // 2, chosen].std(axis=0), rng)
    fleet = [replace(one, values=values) if k == at else one for k, one in enumerate(fleet)]
    return check(detector, [Arrived(one.asset, one) for one in fleet], params.drift)


def on_public(name: str, data: Path, params: Params) -> list[str]:
    """Return the verdicts on the later part of public readings in which nothing is known to be wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / name
        fetch(name, place, data / name)
        folder = read_folder(place, max_gap=params.prepare.max_gap)
    series = normal_part(name, folder)
    fitted = fit_fleet(Folder((series,)), params)
    words = []
    reference = fitted.detector.assets[series.asset].reference
    assert reference is not None
    length = reference.measure.length
    first = int(np.searchsorted(series.stamps, reference.until)) + 1
    step = max(1, 4 * length // series.step)
    for stop in range(series.n_timesteps, first + step // 2, -step):
        [one] = check(fitted.detector, [Arrived(series.asset, series.rows(0, stop))], params.drift).assets
        words.append(f"{one.verdict} ({one.n_chunks} chunks of {one.chunk}): {'; '.join(one.reasons)}")
    return words


def normal_part(name: str, folder: Folder) -> Series:
    """Return skab's run without anomalies, or the first half of the bearings' run to failure."""
    if name == "skab":
        return next(one for one in folder.series if "free" in one.asset)
    [series] = folder.series
    return series.rows(0, series.n_timesteps // 2)


def false_table(rows: dict[str, dict[str, int]]) -> str:
    """Return how often normal readings were called drift."""
    table = [["checks", "number", "drift", "share", "verdicts"]]
    for name, verdicts in rows.items():
        total, wrong = sum(verdicts.values()), sum(n for verdict, n in verdicts.items() if verdict != "none")
        others = ", ".join(f"{verdict} {n}" for verdict, n in verdicts.items() if verdict != "none") or "-"
        table.append([name, str(total), str(wrong), f"{wrong / total:.1%}", others])
    return markdown_table(table)


def found_table(found: dict[tuple[str, str, str], Counter[str]]) -> str:
    """Return of each drift how often it was found, and how often under the right name."""
    table = [["drift", "strength", "in", "found", "rightly named", "verdicts"]]
    right = {(one.kind, one.strength, one.where): one.right for one in trials()}
    for key, verdicts in found.items():
        total = sum(verdicts.values())
        named = sum(verdicts[verdict] for verdict in right[key])
        said: list[Any] = [f"{verdict} {n}" for verdict, n in verdicts.most_common()]
        table.append([*key, f"{total - verdicts['none']}/{total}", f"{named}/{total}", ", ".join(said)])
    return markdown_table(table)


if __name__ == "__main__":
    main()
