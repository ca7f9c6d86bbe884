"""Read public benchmark sets in the files they come in.

One generator per format, each yielding one `PublicSeries` per asset; where a set comes as a training and a test part,
both stand in one series with at least a day between them, so that no window crosses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from offbeat.errors import ReadingsError
from offbeat.readings.public_tables import (
    PublicSeries,
    asset_name,
    files_of,
    in_order,
    label_spans,
    table_of,
    times_of,
    two_parts,
)
from offbeat.typing import FloatArray

_NO_LABELS = "no labels; check that the rig runs as in the labelled files, or leave this run out"


def read_nab(source: Path) -> Iterator[PublicSeries]:
    """NAB: `timestamp,value` files, one asset each, and combined_windows.json. The first quarter is for training.

    Notes
    -----
    A quarter is (rows - 1) // 4, counted before repeated instants are left out: the length TSB-AD trains on.
    """
    windows_path, windows = _nab_windows(source)
    for path in files_of(source, "*.csv", "a NAB csv file or a folder of them"):
        table = table_of(path, ["timestamp", "value"])
        times = times_of(table["timestamp"], path)
        frame, notes = in_order(table[["value"]].set_index(times))
        labels = []
        for start, end in _windows_of(path, windows_path, windows):
            first, last = pd.to_datetime(pd.Series([start, end]), errors="coerce")
            if not first <= last:
                raise ReadingsError(
                    f"{windows_path}: a window must be [start, end] in time order, got {[start, end]} for {path.name}"
                )
            labels.append((first, last, "anomaly"))
        quarter = (len(times) - 1) // 4
        test_start = times.sort_values()[quarter] if quarter else None
        yield PublicSeries(asset_name(path.stem), frame, tuple(labels), test_start, notes)


def read_skab(source: Path) -> Iterator[PublicSeries]:
    """SKAB: semicolon files with `datetime`; with an `anomaly` column the first 400 rows are for training."""
    for path in files_of(source, "*.csv", "a SKAB csv file or a folder of them"):
        table = table_of(path, ["datetime"], sep=";")
        table = table.set_index(times_of(table.pop("datetime"), path))
        frame, notes = in_order(table)
        name = asset_name(path.stem if path.parent.name == path.stem else f"{path.resolve().parent.name}-{path.stem}")
        if "anomaly" not in frame.columns:
            yield PublicSeries(name, frame, notes=(*notes, _NO_LABELS))
            continue
        labels = label_spans(frame["anomaly"].to_numpy() == 1, frame.index)
        frame = frame.drop(columns=["anomaly", "changepoint"], errors="ignore")
        yield PublicSeries(name, frame, labels, frame.index[400] if len(frame) > 400 else None, notes)


def read_msl(source: Path) -> Iterator[PublicSeries]:
    """MSL: `train/` and `test/` with one csv file per channel set, and labeled_anomalies.csv; one reading a minute."""
    labels_path = source / "labeled_anomalies.csv"
    labelled = table_of(labels_path, ["chan_id", "anomaly_sequences", "class"], numeric=False).set_index("chan_id")
    for train in files_of(source / "train", "*.csv", "a folder with train/, test/ and labeled_anomalies.csv"):
        first, second = table_of(train), table_of(source / "test" / train.name)
        frame, test_index = two_parts(first, second, train, "1min")
        if train.stem not in labelled.index:
            yield PublicSeries(train.stem, frame, (), test_index[0], ("no labels: its channel has no line there",))
            continue
        labels = []
        for (start, end), kind in _msl_sequences(labelled, labels_path, train.stem):
            if not 0 <= start <= end < len(test_index):
                raise ReadingsError(
                    f"{labels_path}: {train.stem} has rows {start} to {end}, its test part has {len(test_index)} rows"
                )
            labels.append((test_index[start], test_index[end], kind))
        yield PublicSeries(train.stem, frame, tuple(sorted(labels)), test_index[0])


def read_server_metrics(source: Path, period: str) -> Iterator[PublicSeries]:
    """SMD and ASD: `<asset>_train.csv`, `<asset>_test.csv` and, where known, `<asset>_test_label.csv`."""
    parts = files_of(source, "*_train.csv", "a folder with <asset>_train.csv and <asset>_test.csv", deep=False)
    notes = _without_training(source, parts)
    for train in parts:
        asset = train.stem.removesuffix("_train")
        frame, test_index = two_parts(table_of(train), table_of(train.with_name(f"{asset}_test.csv")), train, period)
        labels_path = train.with_name(f"{asset}_test_label.csv")
        if labels_path.exists():
            flags = table_of(labels_path, ["label"])["label"].to_numpy() == 1
        else:
            flags, notes = np.zeros(len(test_index), dtype=bool), (*notes, f"no labels: no {labels_path.name}")
        if len(flags) != len(test_index):
            raise ReadingsError(
                f"{labels_path} must have a row for each of the {len(test_index)} test rows, got {len(flags)}"
            )
        yield PublicSeries(asset_name(asset), frame, label_spans(flags, test_index), test_index[0], notes)
        notes = ()


def read_ucr(source: Path) -> Iterator[PublicSeries]:
    """UCR: one value a row; the file name ends in `_<trainEnd>_<begin>_<end>`, counted from 1, inclusive."""
    paths = [
        path
        for ending in ("*_UCR_Anomaly_*.csv", "*_UCR_Anomaly_*.txt")
        for path in files_of(source, ending, "a UCR file or a folder of them", needed=False)
    ]
    if not paths:
        raise ReadingsError(f"{source} must be or hold <NNN>_UCR_Anomaly_<name>_<trainEnd>_<begin>_<end>.csv (or .txt)")
    for path in paths:
        values = _ucr_values(path)
        found = re.fullmatch(r"(\d+)_UCR_Anomaly_(.+)_(\d+)_(\d+)_(\d+)", path.stem)
        train_end, begin, end = (int(found[at]) for at in (3, 4, 5)) if found else (0, 0, 0)
        if found is None or not 1 <= train_end < begin <= end <= len(values):
            raise ReadingsError(
                f"{path} must be named <NNN>_UCR_Anomaly_<name>_<trainEnd>_<begin>_<end> with "
                f"1 <= trainEnd < begin <= end <= its {len(values)} rows"
            )
        frame = pd.DataFrame({"value": values})
        yield PublicSeries(asset_name(f"{found[1]}-{found[2]}"), frame, ((begin - 1, end - 1, "anomaly"),), train_end)


def read_ims_bearing(source: Path) -> Iterator[PublicSeries]:
    """IMS bearings: `Datetime` and mean absolute acceleration per bearing, every 10 minutes until failure."""
    ending = "*_10minutes.csv" if source.is_dir() and list(source.glob("*_10minutes.csv")) else "*.csv"
    for path in files_of(source, ending, "a csv file with a Datetime column or a folder of them"):
        table = table_of(path, ["Datetime"])
        table = table.drop(columns=[name for name in table.columns if str(name).startswith("Unnamed")])
        times = times_of(table.pop("Datetime"), path, "%Y.%m.%d.%H.%M.%S")
        frame, notes = in_order(table.set_index(times))
        yield PublicSeries(asset_name(path.stem.removesuffix("_resmaple_10minutes")), frame, notes=notes)


def read_tep(source: Path) -> Iterator[PublicSeries]:
    """TEP: normal operation from d00.dat, then dNN_te.dat, whose fault begins at row 161; one reading in 3 minutes."""
    folder = source if source.is_dir() else source.parent
    normal = _tep_table(folder / "d00.dat")
    for path in files_of(source, "d[0-9][0-9]_te.dat", "a folder with d00.dat and dNN_te.dat files", deep=False):
        frame, test_index = two_parts(normal, _tep_table(path), path, "3min")
        fault = path.stem[1:3]
        if fault == "00":
            yield PublicSeries(path.stem, frame, (), test_index[0])
            continue
        if len(test_index) <= 160:
            raise ReadingsError(
                f"{path} must have more than 160 rows, for its fault begins at row 161: {len(test_index)}"
            )
        yield PublicSeries(path.stem, frame, ((test_index[160], test_index[-1], f"fault_{fault}"),), test_index[0])


def _without_training(source: Path, parts: list[Path]) -> tuple[str, ...]:
    """Tell of test files in a folder that have no training file beside them."""
    tests = [path.name.removesuffix("_test.csv") for path in sorted(source.glob("*_test.csv"))]
    trained = {path.name.removesuffix("_train.csv") for path in parts}
    return tuple(f"beside it, {asset} has no training file and is left out" for asset in tests if asset not in trained)


def _nab_windows(source: Path) -> tuple[Path, dict[str, list[list[str]]]]:
    folder = (source if source.is_dir() else source.parent).resolve()
    places = [up / part for up in [folder, *folder.parents][:3] for part in ("", "labels")]
    for path in (place / "combined_windows.json" for place in places):
        if path.is_file():
            try:
                windows: dict[str, list[list[str]]] = json.loads(path.read_text(encoding="utf-8"))
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ReadingsError(f"{path} must be JSON, file to windows: {error}") from error
            return path, windows
    raise ReadingsError(
        f"{source} needs combined_windows.json in its folder, a folder above, or labels/ there: copy it"
    )


def _windows_of(path: Path, windows_path: Path, windows: dict[str, list[list[str]]]) -> list[list[str]]:
    own = f"{path.resolve().parent.name}/{path.name}"
    keys = [key for key in windows if key == own] or [key for key in windows if key.split("/")[-1] == path.name]
    if len(keys) != 1:
        raise ReadingsError(
            f"{windows_path} must have one entry for {own}, got {len(keys)}: add it, with [] where nothing is anomalous"
        )
    found = windows[keys[0]]
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in found):
        raise ReadingsError(f"{windows_path}: the windows of {keys[0]} must be a list of [start, end], got {found}")
    return found


def _msl_sequences(labelled: pd.DataFrame, path: Path, channel: str) -> list[tuple[tuple[int, int], str]]:
    """List the labelled row spans of a channel with their kinds; a channel may have several lines."""
    found: list[tuple[tuple[int, int], str]] = []
    for row in labelled[labelled.index == channel].to_dict("records"):
        text = row["anomaly_sequences"]
        try:
            spans = [(int(start), int(end)) for start, end in json.loads(text)]
        except (TypeError, ValueError) as error:
            raise ReadingsError(
                f"{path}: anomaly_sequences of {channel} must read [[start, end], ...], got {text!r}"
            ) from error
        kinds = str(row["class"]).strip("[]").split(", ")
        found += zip(spans, kinds if len(kinds) == len(spans) else ["anomaly"] * len(spans), strict=True)
    return found


def _ucr_values(path: Path) -> FloatArray:
    if path.suffix == ".csv":
        return table_of(path, ["value"])["value"].to_numpy(dtype=np.float64)
    try:
        return np.array(path.read_text(encoding="ascii").split(), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise ReadingsError(f"{path} must hold numbers separated by blanks or line ends: {error}") from error


def _tep_table(path: Path) -> pd.DataFrame:
    names = [f"xmeas_{at}" for at in range(1, 42)] + [f"xmv_{at}" for at in range(1, 12)]
    try:
        values = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise ReadingsError(f"{path} must be a table of numbers separated by blanks: {error}") from error
    # d00.dat comes with a row per channel
    if values.shape[1] != len(names):
        values = values.T
    if values.shape[1] != len(names):
        raise ReadingsError(f"{path} must have {len(names)} columns (or rows, transposed), got {values.T.shape}")
    return pd.DataFrame(values, columns=names)
