"""Taxis of a city: what is usual for the hour of the week is taken away, quantiles of the rest are forecast.

Scored by the interval between the 0.1 and the 0.9 quantile: by its width, by how far outside it a reading lies, and by
both, the interval score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.dates import ConciseDateFormatter

from examples import aligned, drawing, read_changes, read_options, start
from examples.public import judge, read_public
from offbeat.assembly import calibrate_fleet
from offbeat.detection.events import detection_delays, events_of
from offbeat.detection.windows import gather_windows, hold_missing
from offbeat.evaluation.replay import Replay
from offbeat.params import changed, load_params
from offbeat.preparation import Prepared
from offbeat.training import Fitted, fit_fleet
from offbeat.typing import FloatArray

ASSET = "nyc_taxi"
EVENTS = "New York marathon", "Thanksgiving", "Christmas", "New Year", "blizzard"
ERRORS = "interval_score", "interval_width", "interval_exceedance"
SMALL = {"train": {"epochs": 4, "steps_per_epoch": 25, "units": 16}}


def scored_by(fitted: Fitted, error: str) -> Fitted:
    """Return the same network with another error, calibrated for it."""
    detector = replace(fitted.detector, params=changed(fitted.detector.params, {"error": error}), assets={})
    calibrate_fleet(detector, fitted.fleet)
    return replace(fitted, detector=detector)


def forecast_bounds(fitted: Fitted) -> FloatArray:
    """Return the quantiles (T, 3), as numbers of passengers, that were forecast last for each timestep."""
    (one,), runtime = fitted.fleet, fitted.detector.runtime
    starts = np.arange(one.series.n_timesteps - runtime.window_size + 1)
    quantiles = runtime.estimate(hold_missing(gather_windows(one.scaled, starts, runtime.window_size)))  # (N, H, 1, 3)
    bounds = np.full((one.series.n_timesteps, 3), np.nan)
    bounds[starts + runtime.window_size - runtime.horizon] = quantiles[:, 0, 0]  # the step next to what it knows
    return np.hstack([one.scaling.invert(bounds[:, [column]], one.series) for column in range(3)])


def delays_h(one: Prepared, judged: Replay) -> FloatArray:
    """Return hours (n_events,) from the start of each labelled window to its first alarm; NaN if it is missed."""
    period_h = (one.series.period_s or 0) / 3600
    return detection_delays(events_of(one.labelled), judged.alarms) * period_h


def draw(fitted: Fitted, bounds: FloatArray, judged: Replay) -> drawing.Figure:
    """Draw all scores, and the readings around Christmas and New Year with what was forecast."""
    (one,) = fitted.fleet
    figure, (above, below) = drawing.new_figure(height=460)
    index = one.series.index
    drawing.draw_score(above, index, judged.scores, judged.threshold.value, judged.alarms)
    drawing.shade_events(above, index, one.labelled)
    above.axvline(index[one.split.test[0]], color=drawing.MUTED, linestyle=":")
    above.set_title("Interval score; the test span begins at the dotted line", fontsize=10, loc="left")
    events = events_of(one.labelled)
    rows = slice(int(events[-3, 0]) - 240, int(events[-2, 1]) + 96)  # the third and the fourth
    drawing.draw_readings(below, index[rows], one.series.values[rows], ["passengers"])
    below.fill_between(index[rows], bounds[rows, 0], bounds[rows, 2], color=drawing.READING, alpha=0.25, linewidth=0)
    drawing.shade_events(below, index[rows], one.labelled[rows])
    below.xaxis.set_major_formatter(ConciseDateFormatter(below.xaxis.get_major_locator()))
    below.set_title("Readings, and the interval forecast for each from before it", fontsize=10, loc="left")
    return figure


def main(arguments: Sequence[str] | None = None) -> dict[str, Replay]:
    """Run the example and return what each error comes to."""
    options = read_options(__file__, __doc__ or "", arguments, public=True)
    params = load_params(changes=read_changes(__file__, SMALL if options.small else {}))
    # the set gives its first quarter for learning, which is summer; autumn is another normal
    folder = replace(read_public("nab", ASSET, options.source), test_starts={})
    fitted = fit_fleet(folder, params)
    (one,), bounds = fitted.fleet, forecast_bounds(fitted)
    judged = {error: judge(scored_by(fitted, error), params) for error in ERRORS}

    normal = ~one.labelled & (np.arange(one.series.n_timesteps) >= one.split.test[0])
    inside = (one.series.values[:, 0] >= bounds[:, 0]) & (one.series.values[:, 0] <= bounds[:, 2])
    print(
        f"of normal readings of the test span {inside[normal].mean():.0%} lie in their interval, of labelled ones",
        end=" ",
    )
    print(f"{inside[one.labelled].mean():.0%}; 80% should\n")
    keys = ["n_events_found", "false_alarms", "false_alarm_rate", "vus_pr"]
    rows = [[error, *(each.metrics[key] for key in keys), *delays_h(one, each)] for error, each in judged.items()]
    print(aligned(["error", "found of 5", "false alarms", "share of normal", "VUS-PR", *EVENTS], rows))
    print("\nbelow each event: hours from the start of its labelled window to the first alarm")
    drawing.save(draw(fitted, bounds, judged["interval_score"]), options.out)
    return judged


if __name__ == "__main__":
    start(main)
