"""Pictures of readings, events, scores, thresholds and alarms, 900 pixels wide.

Figures are made without pyplot, which would keep them in a global state and pick a window system.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from offbeat.detection.events import events_of

READING, SCORE, EVENT, ALARM, MUTED = "#30638e", "#3d3d3d", "#f2b84b", "#c8323c", "#9a9a9a"
WIDTH_PIXELS, DPI = 900, 100


def new_figure(
    n_rows: int = 2, n_columns: int = 1, *, height: int = 420, **subplots: object
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of a height in pixels, and its axes row by row.

    `subplots` are what Figure.subplots takes, such as sharex or height_ratios.
    """
    figure = Figure(figsize=(WIDTH_PIXELS / DPI, height / DPI), dpi=DPI, layout="constrained")
    axes = np.atleast_1d(figure.subplots(n_rows, n_columns, **subplots)).ravel().tolist()
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(labelsize=8)
    return figure, axes


def draw_readings(axes: Axes, index: ArrayLike, values: ArrayLike, channels: Sequence[str], *, title: str = "") -> None:
    """Draw values (T, F), or (T,) for one channel, against an index (T,)."""
    columns = np.asarray(values).reshape(len(np.asarray(index)), -1).T
    for place, (column, channel) in enumerate(zip(columns, channels, strict=True)):
        colour = READING if len(columns) == 1 else f"C{place}"
        axes.plot(index, column, color=colour, linewidth=0.8, label=channel)
    if len(columns) == 1:
        axes.set_ylabel(channels[0], fontsize=9)
    else:
        draw_legend(axes)
    axes.margins(x=0.01)
    axes.set_title(title, fontsize=10, loc="left")


def shade_events(axes: Axes, index: ArrayLike, mask: ArrayLike, *, colour: str = EVENT, label: str = "event") -> None:
    """Shade each run of true timesteps of a mask (T,), half a timestep beyond its ends, so that one alone is seen."""
    places = np.asarray(index)
    half = (places[1] - places[0]) / 2
    for number, (start, stop) in enumerate(events_of(np.asarray(mask, dtype=bool))):
        # an event of a few timesteps among thousands is thinner than a pixel: its edge keeps it visible
        axes.axvspan(
            places[start] - half,
            places[stop - 1] + half,
            facecolor=colour,
            edgecolor=colour,
            linewidth=1,
            alpha=0.45,
            zorder=0,
            label=label if not number else None,
        )


def draw_score(
    axes: Axes, index: ArrayLike, scores: ArrayLike, threshold: float, alarms: ArrayLike, *, log: bool = True
) -> None:
    """Draw scores (T,), their threshold, and the timesteps in alarm (T,)."""
    places, heights, alarmed = np.asarray(index), np.asarray(scores), np.asarray(alarms, dtype=bool)
    axes.plot(places, heights, color=SCORE, linewidth=0.8, label="score")
    axes.axhline(threshold, color=ALARM, linewidth=1, linestyle="--", label="threshold")
    axes.plot(places[alarmed], heights[alarmed], ".", color=ALARM, markersize=4, label="alarm")
    if log:
        axes.set_yscale("log")
    axes.margins(x=0.01)
    axes.set_ylabel("score", fontsize=9)
    draw_legend(axes)


def draw_legend(axes: Axes) -> None:
    """Draw the legend in one row above the axes at the right, where it hides nothing."""
    axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, ncols=5, frameon=False)


def draw_histogram(axes: Axes, normal: ArrayLike, anomalous: ArrayLike, threshold: float, *, bins: int = 40) -> None:
    """Draw how normal and anomalous scores are spread, on a logarithmic scale, and the threshold."""
    both = np.concatenate([np.asarray(normal), np.asarray(anomalous)])
    edges = np.geomspace(both[both > 0].min(), both.max(), bins + 1)
    axes.hist(np.asarray(normal), edges, color=READING, label="normal")
    axes.hist(np.asarray(anomalous), edges, color=EVENT, alpha=0.8, label="anomalous")
    axes.axvline(threshold, color=ALARM, linewidth=1, linestyle="--", label="threshold")
    axes.set_xscale("log")
    axes.set_xlabel("score", fontsize=9)
    axes.legend(fontsize=7, frameon=False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of 128 colours, which takes a third of the space of a full one."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
