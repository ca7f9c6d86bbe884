"""From readings to calibrated alarms, against Orion's LSTM autoencoder in an environment of its own.

Orion is not installed beside offbeat, for it wants other versions of nearly everything; `--orion` names the Python of
an environment that has it, and `orion_alarms.py` is what runs there. It is timed without its imports, as offbeat is.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.speed_alarms import mean_vus_pr, own_alarms, public_readings
from benchmarks.speed_goals import Outcome
from benchmarks.speed_measure import Plan, in_turn, median, ratios, seconds
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.series import Series
from offbeat.typing import FloatArray
from offbeat.window_choice import choose_window

CHILD = Path(__file__).with_name("orion_alarms.py")


def alarms_orion(plan: Plan) -> dict[str, Outcome]:
    """Return how many times sooner the alarms of nyc_taxi are there than with Orion, and both VUS-PR."""
    return {"alarms_orion": _alarms(plan)}


def _alarms(plan: Plan) -> Outcome:
    if plan.orion is None:
        return Outcome((), "skipped: --orion names the Python of an environment that has Orion (docs/speed.md)")
    folder = public_readings(plan, "nab", "nyc_taxi", "nyc_taxi")
    if folder is None:
        return Outcome((), "skipped: nab is not in the folder of --data")
    params = load_params()
    prepare, _ = choose_window(folder, params.prepare)
    fleet = prepare_fleet(folder, prepare)
    areas: dict[str, list[float]] = {"own": [], "other": []}

    def own() -> float:
        scores: list[FloatArray] = []
        took = seconds(lambda: scores.extend(own_alarms(folder, params)))
        areas["own"].append(mean_vus_pr(fleet, scores))
        return took

    def other() -> float:
        took, scores = orion_scores(plan.orion, fleet[0].series, plan.scratch, epochs=1 if plan.short else None)
        areas["other"].append(mean_vus_pr(fleet, [scores]))
        return took

    ours, theirs = in_turn(plan.rounds, own, other)
    times = f"{median(ours):.3g} s against {median(theirs):.3g} s"
    vus = f"VUS-PR {median(areas['own']):.3f} against {median(areas['other']):.3f}"
    return Outcome(ratios(theirs, ours), f"{times}; {vus}", holds=median(areas["own"]) > median(areas["other"]))


def orion_scores(python: Path | None, series: Series, scratch: Path, *, epochs: int | None) -> tuple[float, FloatArray]:
    """Return how long Orion takes from readings to alarms, in seconds, and its errors as scores (T,)."""
    given, found = scratch / "orion.csv", scratch / "orion.json"
    seconds_since_1970 = series.stamps // 1_000_000_000
    pd.DataFrame({"timestamp": seconds_since_1970, "value": series.values[:, 0]}).to_csv(given, index=False)
    command = [str(python), "-W", "ignore", str(CHILD), str(given), str(found), *([str(epochs)] if epochs else [])]
    plain = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, env=plain, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    since = np.searchsorted(answer["stamps"], seconds_since_1970, side="right")  # 0: before the first error
    return float(answer["seconds"]), np.array([np.nan, *answer["errors"]])[since]
