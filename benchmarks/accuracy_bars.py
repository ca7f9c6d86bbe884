"""What the network must reach on the public sets, and whether it does.

A bar is named by its set and series, so other readings of the same formats are measured and not held to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.accuracy_methods import CAUSAL, LSTM, PCA, UNTRAINED
from benchmarks.accuracy_table import (
    Row,
    chosen,
    mean_of,
    over_seeds,
    pooled,
    ratio,
    sets_of,
    shown,
    trained_beats_untrained,
)

SERIES_BARS = {  # VUS-PR: must reach, aim
    "nyc_taxi": (0.55, 0.75),
    "ec2_request_latency_system_failure": (0.32, 0.50),
    "ambient_temperature_system_failure": (0.30, 0.40),
    "cpu_utilization_asg_misconfiguration": (0.60, 0.70),
}


@dataclass(frozen=True)
class Bar:
    """One line: what is asked, what came, and whether bar and aim are reached; `aim` is None where there is none."""

    what: str
    bar: str
    came: str
    reached: bool
    aim: str = ""
    aim_reached: bool | None = None


def bars_of(rows: Sequence[Row]) -> list[Bar]:
    """Return every bar that the results can be held to."""
    trained = chosen(rows, method=LSTM)
    bars: list[Bar] = []
    for name in sets_of(trained):
        own = chosen(trained, set=name)
        if name == "skab":
            bars.append(_skab(own))
        elif name == "msl":
            bars.append(
                _at_least("msl, event F1 (events and false alarms counted once each)", own, "overlap_f1", 0.55, 0.66)
            )
        elif name == "nab":
            for asset, (bar, aim) in SERIES_BARS.items():
                if series := chosen(own, asset=asset):
                    bars.append(_at_least(f"nab {asset}, VUS-PR", series, "vus_pr", bar, aim))
        elif name == "ucr":
            n_series = len({row["asset"] for row in own})
            causal = chosen(rows, set=name, method=CAUSAL)
            bars.append(
                _at_least(f"ucr, mean VUS-PR of {n_series} series ({_waits(own, causal)})", own, "vus_pr", 0.50, 0.65)
            )
        elif name in ("smd", "asd", "tep") and (pca := chosen(rows, set=name, method=PCA)):
            bars.append(_above_pca(name, own, pca))
        elif name == "ims_bearing":
            bars.append(_lasting(own))
    return [*bars, *_promises(trained), *_untrained(rows)]


def _at_least(what: str, rows: Sequence[Row], key: str, bar: float, aim: float) -> Bar:
    mean, spread = over_seeds(rows, key)
    return Bar(what, f"≥ {bar:.2f}", shown(mean, spread), mean >= bar, f"≥ {aim:.2f}", mean >= aim)


def _waits(rows: Sequence[Row], causal: Sequence[Row]) -> str:
    """Return how long scores wait for later readings, and what they reach without."""
    delays = [int(row["delay"]) for row in rows]
    at_once = f"; at once: {shown(over_seeds(causal, 'vus_pr')[0])}" if causal else ""
    return f"scores wait {min(delays)} to {max(delays)} timesteps{at_once}"


def _skab(rows: Sequence[Row]) -> Bar:
    f1, f1_spread = over_seeds(rows, "point_f1")
    far, far_spread = over_seeds(rows, "false_alarm_rate")
    return Bar(
        "skab, point F1 pooled over the rows after the first 400 of each file, with FAR",
        "≥ 0.76 at FAR ≤ 24 %",
        f"{shown(f1, f1_spread)} at {shown(100 * far, 100 * far_spread, '.1f')} %",
        f1 >= 0.76 and far <= 0.24,
        "≥ 0.80 at FAR ≤ 13 %",
        f1 >= 0.80 and far <= 0.13,
    )


def _above_pca(name: str, rows: Sequence[Row], pca: Sequence[Row]) -> Bar:
    own, spread = over_seeds(rows, "vus_pr")
    theirs = pooled(pca)["vus_pr"]
    came = f"{shown(own, spread)} against {theirs:.3f}"
    return Bar(f"{name}, mean VUS-PR", "≥ PCA", came, own >= theirs, "≥ PCA + 0.05", own >= theirs + 0.05)


def _lasting(rows: Sequence[Row]) -> Bar:
    leads = [0.0 if math.isnan(row["lasting_lead_days"]) else row["lasting_lead_days"] for row in rows]
    early = sum(row["lasting_in_first_half"] for row in rows)
    came = f"{min(leads):.1f} to {max(leads):.1f} days before, {early:.0f} in the first half"
    what = "ims_bearing, first alarm of at least a day: before the end"
    return Bar(what, "≥ 2 days, none in the first half", came, min(leads) >= 2 and not early)


def _promises(trained: Sequence[Row]) -> list[Bar]:
    """Return how often the promised false-alarm rate came true: in alarms, and in blocks of readings with one."""
    bars = []
    for kind, unit in (("verdict", "alarms"), ("block_verdict", "blocks with an alarm: one that never ends fills all")):
        said = [row[f"promise_{kind}"] for row in trained if row.get(f"promise_{kind}")]
        if said:
            within, above = ratio(said.count("within"), len(said)), ratio(said.count("above"), len(said))
            came = f"{within:.0%} within, {above:.0%} above, of {len(said)} series and seeds"
            what = f"promised false-alarm rate, within 2× on held-out normal readings ({unit})"
            bars.append(Bar(what, "≥ 80 %", came, within >= 0.8, "≥ 95 %", within >= 0.95))
    return bars


def _untrained(rows: Sequence[Row]) -> list[Bar]:
    bars = []
    for name in sets_of(chosen(rows, method=UNTRAINED)):
        means = [mean_of(chosen(rows, set=name, method=method), "vus_pr") for method in (LSTM, UNTRAINED)]
        if not math.isnan(sum(means)):
            came = f"{means[0]:.3f} against {means[1]:.3f}"
            bars.append(Bar(f"{name}, mean VUS-PR: trained against untrained", "more", came, means[0] > means[1]))
    share, n_series = trained_beats_untrained(rows)
    if n_series:
        what = f"trained above untrained in VUS-PR, of {n_series} series and seeds"
        bars.append(Bar(what, "≥ 80 %", f"{share:.0%}", share >= 0.8))
    return bars
