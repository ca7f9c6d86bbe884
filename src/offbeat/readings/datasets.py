"""Fetch public benchmark sets into the layout of the data folder.

A set is read from a local copy, or downloaded from its public repository at a pinned commit; what is downloaded must
have the SHA-256 that stands in `catalogue.py`, and a file without one is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path

from offbeat.errors import ReadingsError
from offbeat.readings.catalogue import DATASETS, Dataset
from offbeat.readings.layout import new_folder, write_readings, write_spans
from offbeat.readings.public_tables import PublicSeries

_INVENTED = (
    "the clock is invented: it starts on 2000-01-01, {} apart, the test part at least a day after the training part"
)
# SHA-256 of the windows of the NAB files above, as JSON with sorted keys: the rest of that file is not looked at
_NAB_WINDOWS_PIN = "bd4cfef2ad2b43b00a1f9a5a458f16d4e43d34892b481c0fe47b7299075b0d0f"
_RAW_ADDRESS = "https://raw.githubusercontent.com"


def fetch(name: str, directory: Path, source: Path | None = None, *, only: Collection[str] | None = None) -> list[str]:
    """Write a public set in the layout of the data folder.

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    directory : Path
        Missing or empty folder; written whole or not at all.
    source : Path, optional
        Local copy in the set's own files, whichever of them are there: a folder, or one file where a file is an asset.
        Without it the files named in the set's pins are downloaded and kept in the user's cache.
    only : collection of str, optional
        Assets to write; all by default.

    Returns
    -------
    list of str
        What was written and what to know about it, one line each.

    Raises
    ------
    ReadingsError
        If the set is unknown, a file is not as expected, a download fails or does not have its checksum, the set has
        no checksums to download with, the folder is not empty, or an asset of `only` is not there.
    """
    if name not in DATASETS:
        raise ReadingsError(f"the set must be one of {', '.join(DATASETS)}, got {name!r}")
    dataset = DATASETS[name]
    with new_folder(directory) as folder:
        if source is not None and not Path(source).exists():
            raise ReadingsError(f"{source} does not exist: give the folder that holds {dataset.expected}")
        found = dataset.read(Path(source) if source is not None else _download(name))
        notes = [
            f"{dataset.title}: {dataset.what}",
            f"licence: {dataset.licence}",
            *_write(folder, dataset, found, only),
        ]
        if source is None:
            notes.append("only files with a checksum here were downloaded: for others get a copy and use --from")
    return notes


def _write(folder: Path, dataset: Dataset, found: Iterator[PublicSeries], only: Collection[str] | None) -> list[str]:
    """Write the series as they are read, so that only one is in memory; return the notes."""
    labels: list[tuple[object, ...]] = []
    splits: list[tuple[object, ...]] = []
    assets: dict[str, int] = {}
    notes: list[str] = []
    for series in found:
        if only is not None and series.asset not in only:
            continue
        if series.asset in assets:
            raise ReadingsError(f"two files would become asset {series.asset!r}: fetch them into folders of their own")
        assets[series.asset] = len(series.frame)
        write_readings(folder, series.asset, series.frame)
        labels += [(series.asset, start, end, kind) for start, end, kind in series.labels]
        if series.test_start is not None:
            splits.append((series.asset, series.test_start))
        notes += [f"{series.asset}: {note}" for note in series.notes]
    if missing := sorted(set(only or ()) - set(assets)):
        raise ReadingsError(f"asset {missing[0]!r} is not there: add its file, one of {dataset.expected}")
    if not assets:
        raise ReadingsError(f"no file of the set is there; expected {dataset.expected}")
    write_spans(folder, "labels", labels)
    write_spans(folder, "exclude", [])
    write_spans(folder, "splits", splits)
    summary = f"{len(assets)} assets, {sum(assets.values())} rows, {len(labels)} labelled events"
    if dataset.clock:
        notes.append(_INVENTED.format(dataset.clock))
    if not dataset.like_machines and len(assets) > 1:
        notes.append("these assets are not like machines: train each alone (fetch one file into a folder of its own)")
    return [summary, *notes]


def _download(name: str) -> Path:
    """Download the pinned files of a set into the user's cache, or find them there; return their folder.

    Notes
    -----
    Written where the public addresses could not be reached and never tried against them. The checksums were taken from
    copies of the files at the pinned commits, so anything else that an address answers is refused. NAB's file of
    windows holds more than the pinned files need; of it only the windows of those are checked.
    """
    import pooch

    dataset = DATASETS[name]
    address = f"https://github.com/{dataset.repository}/tree/{dataset.commit}/{dataset.folder}"
    if not dataset.pins:
        raise ReadingsError(
            f"{name} can only be read from a local copy, for its files come in a form that has no checksum here: "
            f"get it from {address}, lay it out as {dataset.expected}, and give that folder with --from"
        )
    pins = {
        path: f"sha256:{digest}"
        for digest, path in (line.split(maxsplit=1) for line in dataset.pins.split("\n") if line)
    }
    root = f"{_RAW_ADDRESS}/{dataset.repository}/{dataset.commit}/"
    cache = Path(pooch.os_cache("offbeat")) / name / dataset.commit
    files = pooch.create(path=cache, base_url=root + dataset.folder, registry=pins, retry_if_failed=2)
    try:
        for path in pins:
            files.fetch(path)
        if name == "nab":
            windows = f"{root}labels/combined_windows.json"
            pooch.retrieve(windows, known_hash=None, fname="combined_windows.json", path=cache)
    except (OSError, ValueError) as error:
        raise ReadingsError(
            f"{name} could not be downloaded as it was pinned: {error}; "
            f"get it from {address} and give its folder with --from"
        ) from error
    if name == "nab":
        _check_nab_windows(cache / "combined_windows.json", list(pins))
    return cache


def _check_nab_windows(path: Path, files: list[str]) -> None:
    try:
        windows = json.loads(path.read_text(encoding="utf-8"))
        text = json.dumps({file: windows[file] for file in files}, sort_keys=True)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        text = ""
    if hashlib.sha256(text.encode()).hexdigest() != _NAB_WINDOWS_PIN:
        path.unlink()
        raise ReadingsError(
            f"{path.name} of nab does not have the pinned windows: try again, or give a folder with --from"
        )
