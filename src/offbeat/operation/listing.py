"""Alarms as a table for people: which machine, when, how strong, which channels, and what was said of each."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from offbeat.operation.alarms import Alarm
from offbeat.readings.messages import count
from offbeat.readings.moments import Moment
from offbeat.tables import text_table


def alarms_table(alarms: Sequence[Alarm]) -> str:
    """Return a row an alarm, in the order given, and what to do about those that nobody has judged."""
    if not alarms:
        return "No alarms."
    timed = isinstance(alarms[0].first, pd.Timestamp)
    heading = ["alarm", "asset", "from (UTC)" if timed else "from", "to", "peak / threshold", "leading channels"]
    rows = [[*heading, "model", "verdict"], *(_row(alarm) for alarm in alarms)]
    lines = [text_table(rows, right_from=len(rows[0]))]
    open_ones = sum(alarm.verdict is None for alarm in alarms)
    lines.append(f"{count(len(alarms), 'alarm')}, {open_ones} without a verdict")
    if open_ones:
        lines.append("Say what one was: offbeat feedback ALARM true|false|expected")
    return "\n".join(lines)


def _row(alarm: Alarm) -> list[str]:
    channels = ", ".join(f"{name} {share:.0%}" for name, share in alarm.channels)
    verdict = " ".join(word for word in (alarm.verdict or "-", f"({alarm.note})" if alarm.note else "") if word)
    when = [_text(alarm.first), _text(alarm.last)]
    return [str(alarm.id), alarm.asset, *when, f"{alarm.peak_ratio:.1f}", channels, alarm.model, verdict]


def _text(moment: Moment) -> str:
    return str(moment.tz_localize(None)) if isinstance(moment, pd.Timestamp) else str(moment)
