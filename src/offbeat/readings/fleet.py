"""A made-up fleet of any size, in groups of like machines, each made from its number alone.

Where `simulate` makes six pumps to look at, this makes thousands to measure with: the readings of one machine take a
millisecond, and one in ten has a fault in its last fifth.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from offbeat.errors import ReadingsError
from offbeat.progress import Report, counted, silent
from offbeat.readings.groups import GROUPS_FILE
from offbeat.readings.layout import new_folder, write_partitions, write_readings, write_spans
from offbeat.typing import FloatArray

GROUPS: Mapping[str, tuple[str, ...]] = {  # name: channels
    "pumps": ("speed", "flow", "pressure", "current", "power", "bearing_temp", "motor_temp", "vibration"),
    "fans": ("speed", "airflow", "current", "bearing_temp", "vibration"),
}
START = pd.Timestamp("2026-01-05", tz="UTC")
_PERIOD = "10min"
_ROWS_PER_DAY = 144
_FAULT_EVERY = 10  # machines


def simulate_machines(
    directory: Path, n_assets: int, n_timesteps: int, seed: int, *, partitioned: bool = False, report: Report = silent
) -> None:
    """Write a made-up fleet: half of it pumps, half of it fans, with the faults as labels.

    Parameters
    ----------
    directory : Path
        Missing or empty folder; written whole or not at all.
    n_assets, n_timesteps : int
        At least 1 machine, at least 10 readings of each.
    seed : int
        Not negative.
    partitioned : bool
        Whether readings are a partitioned data set; else a CSV file for each asset, and groups.yaml.
    report : callable, optional
        Takes each `Step`, in machines.

    Raises
    ------
    ReadingsError
        If a number is out of range or the folder is not empty.
    """
    if n_assets < 1 or n_timesteps < 10 or seed < 0:
        raise ReadingsError(
            f"a fleet needs at least 1 machine, 10 timesteps and a seed from 0 on, got {n_assets}, {n_timesteps} and "
            f"{seed}: give more"
        )
    labels: list[tuple[object, ...]] = []
    with new_folder(directory) as folder:
        for number in counted(range(n_assets), report, "simulating", "machines"):
            group = list(GROUPS)[number * len(GROUPS) // n_assets]
            asset = f"{group[:-1]}-{number}"
            frame = fleet_readings(number, n_timesteps, group=group, seed=seed)
            if partitioned:
                write_partitions(folder, group, asset, frame)
            else:
                write_readings(folder, asset, frame)
            if fault := fleet_fault(number, n_timesteps):
                labels.append((asset, frame.index[fault[0]], frame.index[fault[1] - 1], "level_shift"))
        write_spans(folder, "labels", labels)
        if not partitioned:
            patterns = {group: [f"{group[:-1]}-*"] for group in GROUPS}
            (folder / GROUPS_FILE).write_text(yaml.safe_dump({"groups": patterns}, sort_keys=False), encoding="utf-8")


def fleet_readings(number: int, n_timesteps: int, *, group: str = "pumps", seed: int = 7) -> pd.DataFrame:
    """Make the readings of one machine, always the same for the same arguments.

    Parameters
    ----------
    number : int
        Which machine; its own level, noise and gain of each channel come of it and the seed.
    n_timesteps : int
    group : str
        One of `GROUPS`, which names the channels: 8 of pumps, 5 of fans.
    seed : int

    Returns
    -------
    DataFrame
        Channels of three decimals over times in UTC, 10 minutes apart from `START` on.

    Notes
    -----
    A load with a daily rhythm and slow noise drives every channel, each by its gain and behind it by its lag; where
    `fleet_fault` says so, one channel in the middle of them leaves the load by several of its own deviations.
    """
    channels = GROUPS[group]
    n_channels = len(channels)
    of_group = np.random.default_rng([seed, list(GROUPS).index(group)])
    level, gain = of_group.uniform(20, 80, n_channels), of_group.uniform(4, 16, n_channels)
    lag = of_group.integers(0, 12, n_channels)
    rng = np.random.default_rng([seed, len(GROUPS), number])
    level, gain = level * rng.uniform(0.9, 1.1, n_channels), gain * rng.uniform(0.9, 1.1, n_channels)
    load = _load(rng, n_timesteps + int(lag.max()))
    rows = np.arange(n_timesteps)[:, None] + lag.max() - lag  # (T, F)
    values = level + gain * (load[rows] + 0.05 * rng.standard_normal((n_timesteps, n_channels)))
    if fault := fleet_fault(number, n_timesteps):
        channel = n_channels // 2
        values[slice(*fault), channel] += 3 * gain[channel]
    index = pd.date_range(START, periods=n_timesteps, freq=_PERIOD)
    return pd.DataFrame(np.round(values, 3), index, list(channels))


def fleet_fault(number: int, n_timesteps: int) -> tuple[int, int] | None:
    """Return the first row of a machine's fault and the first after it; None for nine machines of ten."""
    if number % _FAULT_EVERY != _FAULT_EVERY - 1:
        return None
    start = n_timesteps * 9 // 10
    return start, min(start + max(n_timesteps // 50, 1), n_timesteps)


def _load(rng: np.random.Generator, n: int) -> FloatArray:
    """Load (n,) around 0: a daily rhythm of this machine's strength, and noise whose memory is some hours."""
    memory = np.exp(-np.arange(48) / 12.0)
    slow = np.convolve(rng.standard_normal(n + len(memory) - 1), memory / np.sqrt((memory**2).sum()), mode="valid")
    rhythm = np.sin(2 * np.pi * np.arange(n) / _ROWS_PER_DAY - 1.5)
    load: FloatArray = rng.uniform(0.8, 1.2) * rhythm + 0.4 * slow
    return load
