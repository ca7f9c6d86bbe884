"""A bearing that runs to failure: learnt from its healthy start, when does the alarm come to stay?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from examples import aligned, drawing, read_changes, read_options, start
from examples.public import read_public
from offbeat import ScoreResult, Series
from offbeat.detection.result import Event
from offbeat.params import load_params
from offbeat.readings.snapshots import SnapshotFolder
from offbeat.training import fit_fleet

ASSET, LASTING = "2nd_test", pd.Timedelta("1D")
SMALL = {"train": {"epochs": 4, "steps_per_epoch": 25, "units": 16}}
SAMPLING_HZ, BAND_HZ = 20_000.0, 100.0
BANDS = tuple((low, low + BAND_HZ) for low in np.arange(0.0, SAMPLING_HZ / 2, BAND_HZ).tolist())
PLACES = "A", "B", "C", "D"  # healthy, where the alarm that stays begins, a day and a half later, at the end


def lasting(result: ScoreResult, period: pd.Timedelta) -> list[Event]:
    """Return the alarms that last at least `LASTING`."""
    return [event for event in result.events if event.last - event.first + period >= LASTING]


def spectra(folder: Path) -> pd.DataFrame:
    """Return each snapshot's energy in each band of 100 Hz, in g squared, of the first sensor."""
    source = SnapshotFolder("raw", folder, "bearings", None, SAMPLING_HZ, BANDS)
    frame = pd.concat([batch.frame for batch in source.pull({}) if len(batch.frame)])
    energies = frame.filter(regex="^sensor-1_band_")
    return energies.set_axis([sum(band) / 2 for band in BANDS], axis=1).tz_localize("UTC")


def draw_spectra(over_time: Axes, at_places: Axes, energies: pd.DataFrame, moments: Sequence[pd.Timestamp]) -> None:
    """Draw all spectra over time, and those of the snapshots nearest to four moments."""
    khz = energies.columns / 1000
    over_time.pcolormesh(energies.index, khz, energies.to_numpy().T, norm=LogNorm(1e-6, 1e-2))
    over_time.set_title("Spectrum of bearing 1 over time", fontsize=10, loc="left")
    over_time.set_ylabel("kHz", fontsize=9)
    for place, moment in zip(PLACES, moments, strict=True):
        row = energies.index.get_indexer([moment], method="nearest")[0]
        at_places.plot(khz, energies.iloc[row], linewidth=0.8, label=f"{place}, {energies.index[row]:%d %b %H:%M}")
    at_places.set_yscale("log")
    at_places.set_xlabel("kHz", fontsize=9)
    at_places.set_ylabel("g² in 100 Hz", fontsize=9)
    at_places.legend(fontsize=7, frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    at_places.margins(x=0.01)


def draw(series: Series, result: ScoreResult, first: Event | None, test: int, raw: Path | None) -> drawing.Figure:
    """Draw readings, scores and alarms, and spectra where raw snapshots are given."""
    figure, axes = drawing.new_figure(2 if raw is None else 4, height=400 if raw is None else 800)
    drawing.draw_readings(axes[0], series.index, series.values, series.channels, title="Mean absolute vibration in g")
    drawing.draw_score(axes[1], series.index, result.scores, result.threshold, result.alarms)
    axes[1].set_title("Score; before the dotted line it learns and calibrates", fontsize=10, loc="left")
    alarm = first.first if first else series.index[test]
    moments = [series.index[test // 2], alarm, alarm + pd.Timedelta("36h"), series.index[-1]]
    if raw is not None:
        draw_spectra(axes[2], axes[3], spectra(raw), moments)
    for each in axes[:3]:
        each.axvline(series.index[test], color=drawing.MUTED, linestyle=":")
        each.set_xlim(series.index[0], series.index[-1])
    for place, moment in zip(PLACES, moments, strict=True):
        axes[0].axvline(moment, color=drawing.ALARM, linewidth=0.8)
        axes[0].annotate(f"{place} ", (moment, 0.3), fontsize=9, ha="right", color=drawing.ALARM)
    return figure


def print_alarms(result: ScoreResult) -> None:
    """Print each alarm: when, how long, how strong, which bearing."""
    rows = [
        [
            f"{event.first:%Y-%m-%d %H:%M}",
            f"{event.last:%Y-%m-%d %H:%M}",
            event.peak_score / result.threshold,
            ", ".join(name for name, _ in event.channels),
        ]
        for event in result.events
    ]
    print(aligned(["alarm from", "to", "peak / threshold", "leading"], rows))


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Run the example and return the lead in hours, and how many lasting alarms begin in the first half."""
    options = read_options(__file__, __doc__ or "", arguments, public=True, raw=True)
    params = load_params(changes=read_changes(__file__, SMALL if options.small else {}))
    fitted = fit_fleet(read_public("ims_bearing", ASSET, options.source), params)
    (one,) = fitted.fleet
    series, result = one.series, fitted.detector.score(one.series)
    print_alarms(result)
    stays, half, end = lasting(result, series.period), series.index[series.n_timesteps // 2], series.index[-1]
    first = next((event for event in stays if event.first >= half), None)
    lead = (end - first.first) / pd.Timedelta("1h") if first else float("nan")
    early = sum(event.first < half for event in stays)
    print(f"\nlasting alarms that begin in the first half: {early}")
    print(f"first one of the second half: {lead:.1f} hours before the readings end at {end:%Y-%m-%d %H:%M}")
    print(fitted.detector.assets[series.asset].threshold.warning)
    drawing.save(draw(series, result, first, one.split.test[0], options.raw), options.out)
    return {"lead_hours": lead, "lasting_in_first_half": early}


if __name__ == "__main__":
    start(main)
