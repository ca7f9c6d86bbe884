"""What `offbeat validate` prints: for each asset a table of its channels, then what to do, in order."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

import pandas as pd

from offbeat.readings.messages import count, duration_text
from offbeat.readings.quality import AssetQuality

REPORT_WIDTH = 108
_LEGEND = """Columns   missing, outliers: share of the rows; constant: longest stretch of equal readings, in timesteps.
          Labelled and excluded rows are left out of them. Grades: A good, B usable, C look at it, D poor,
          F mend or drop it."""


def render(qualities: Sequence[AssetQuality], errors: Sequence[str] = ()) -> str:
    """Write the report as plain text, at most 110 columns where names allow it."""
    parts = [_block(quality) for quality in qualities]
    if qualities:
        grades = "  ".join(f"{quality.asset}: {quality.grade}" for quality in qualities)
        parts += [_LEGEND, _wrap(grades, "Grades    ")]
    todo = [*errors, *_by_text(qualities)]
    lines = [_wrap(text, f"{k:>4}. ") for k, text in enumerate(todo, start=1)]
    parts.append("\n".join(["What to do", *lines]) if todo else "Nothing to mend: these readings can be trained on.")
    return "\n\n".join(parts) + "\n"


def _by_text(qualities: Iterable[AssetQuality]) -> list[str]:
    """Problems of all assets; one that several assets share stands there once, with their names."""
    assets: dict[str, list[str]] = {}
    for quality in qualities:
        for text in (*quality.problems, *(text for channel in quality.channels for text in channel.problems)):
            assets.setdefault(text, []).append(quality.asset)
    return [f"{', '.join(names)}: {text}" for text, names in assets.items()]


def _wrap(text: str, head: str) -> str:
    return textwrap.fill(
        text, REPORT_WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )


def _block(quality: AssetQuality) -> str:
    """Report of one asset: what it spans, then a line for each channel."""
    rows, segments = count(quality.n_timesteps, "row"), count(quality.n_segments, "segment")
    period = "step" if quality.period == 1 else duration_text(quality.period)
    lines = [
        f"{quality.asset}   grade {quality.grade}",
        f"  {rows} in {segments}, one every {period}, {_moment(quality.start)} to " + _moment(quality.end),
        f"  {_gap_line(quality)}; labelled {quality.labelled_share:.1%}, excluded {quality.excluded_share:.1%}",
        *(f"  note: {note}" for note in quality.notes),
    ]
    width = max([len("channel"), *(len(channel.channel) for channel in quality.channels)])
    head = ("missing", "constant", "min", "max", "mean", "std", "distinct", "outliers")
    lines.append(f"    {'channel':<{width}}  grade" + "".join(f"{title:>11}" for title in head))
    for one in quality.channels:
        numbers = "".join(f"{number:>11.4g}" for number in (one.minimum, one.maximum, one.mean, one.std))
        lines.append(
            f"    {one.channel:<{width}}    {one.grade}  {one.missing_share:>11.1%}{one.longest_constant:>11,}"
            f"{numbers}{one.n_distinct:>11,}{one.outlier_share:>11.2%}"
        )
    return "\n".join(lines)


def _gap_line(quality: AssetQuality) -> str:
    if not quality.n_gaps:
        return "no gaps"
    longest = quality.longest_gap * quality.period
    length = f"{count(quality.longest_gap, 'timestep')}"
    length += f" ({duration_text(longest)})" if isinstance(longest, pd.Timedelta) else ""
    return (
        f"{count(quality.n_gaps, 'gap')}, the longest {length}, {count(quality.n_missing_timesteps, 'timestep')} in all"
    )


def _moment(moment: pd.Timestamp | int) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") + " UTC" if isinstance(moment, pd.Timestamp) else f"{moment:,}"
