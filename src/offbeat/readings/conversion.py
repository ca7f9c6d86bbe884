"""Readings from one layout into the other: a CSV file for each asset, or a partitioned data set.

No reading changes. The tables beside the readings go along; groups are folders in the one layout, groups.yaml in the
other.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from offbeat.errors import ReadingsError
from offbeat.progress import Report, counted, silent
from offbeat.readings.asset_readings import read_frame
from offbeat.readings.assets import AssetFiles, asset_files
from offbeat.readings.frames import readings_of_frame
from offbeat.readings.grid import check_order
from offbeat.readings.groups import GROUPS_FILE, check_group
from offbeat.readings.layout import new_folder, write_partitions, write_readings
from offbeat.readings.pieces import checked

ONE_GROUP = "all"  # of readings that are in no groups


def to_partitions(folder: Path, directory: Path, *, group: str | None = None, report: Report = silent) -> int:
    """Write the readings of a folder with a file for each asset as a partitioned data set.

    Parameters
    ----------
    folder : Path
        As for `read_folder`.
    directory : Path
        Missing or empty folder; written whole or not at all.
    group : str, optional
        The group of all assets, where there is no groups.yaml; `ONE_GROUP` by default.
    report : callable, optional
        Takes each `Step`, in machines.

    Returns
    -------
    int
        How many assets there are.

    Raises
    ------
    ReadingsError
        If the readings are partitioned already, are in groups and one is given, a file cannot be read, times go back,
        or the folder is not empty.
    """
    files = asset_files(folder)
    if files[0].is_partition:
        raise ReadingsError(f"{folder} is a partitioned data set already: the other way is --to csv")
    if group is not None and files[0].group:
        raise ReadingsError(f"{folder}: {GROUPS_FILE} names the groups already: leave out --group {group}")
    check_group(group := group or ONE_GROUP, "--group")
    with new_folder(directory) as partial:
        for one in counted(files, report, "converting", "machines"):
            write_partitions(partial, one.group or group, one.asset, _readings(one))
        _copy_tables(folder, files, partial)
    return len(files)


def to_csv(folder: Path, directory: Path, *, report: Report = silent) -> int:
    """Write a partitioned data set as a CSV file for each asset, and groups.yaml.

    Numbers of single precision are written with all digits of the double that is the same.

    Parameters
    ----------
    folder, directory, report
        As for `to_partitions`.

    Returns
    -------
    int
        How many assets there are.

    Raises
    ------
    ReadingsError
        If the readings are no partitioned data set, an asset's name cannot be a file's or a channel's not stand in a
        CSV file, a file cannot be read, times go back, or the folder is not empty.
    """
    files = asset_files(folder)
    if not files[0].is_partition:
        raise ReadingsError(f"{folder} holds a file for each asset already: leave out --to csv")
    with new_folder(directory) as partial:
        groups: dict[str, list[str]] = {}
        for one in counted(files, report, "converting", "machines"):
            write_readings(partial, one.asset, checked(_readings(one), one.asset, one.name))
            groups.setdefault(one.group, []).append(glob.escape(one.asset))
        _copy_tables(folder, files, partial)
        text = yaml.safe_dump({"groups": groups}, allow_unicode=True, sort_keys=False)
        (partial / GROUPS_FILE).write_text(text, encoding="utf-8")
    return len(files)


def _readings(one: AssetFiles) -> pd.DataFrame:
    """Read an asset's readings as they stand there, and refuse what a series would refuse."""
    frame, source, _ = read_frame(one)
    readings = readings_of_frame(frame, source)
    check_order(readings, int(readings.stamps.min()))
    return frame


def _copy_tables(folder: Path, files: Sequence[AssetFiles], target: Path) -> None:
    """Copy every file beside the readings, such as labels.csv, but for groups.yaml."""
    readings = {file for one in files for file in one.files}
    for path in Path(folder).iterdir():
        if path.is_file() and path not in readings and path.name != GROUPS_FILE and not path.name.startswith("."):
            shutil.copyfile(path, target / path.name)
