"""Reference: what a detector keeps of the readings it was made from, so that later ones can be compared with them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from offbeat.detection.chunks import Chunks, Measure, chunk_length, chunks_of, measure_of
from offbeat.detection.events import events_of
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray

FEWEST_TRAINED = 8  # chunks: half of them make a centre, and blocks of two the rest


@dataclass(frozen=True, eq=False)
class Reference:
    """Statistics of an asset's training and calibration spans, chunk by chunk.

    Attributes
    ----------
    measure : Measure
    chunks : Chunks
        Of the normal rows; those without any are left out. Scores only where the network had not seen the readings.
    trained : ndarray of shape (n,), bool
        Chunks of the training span; the others are of the calibration span.
    until : int
        Stamp of the last row that was learnt from or calibrated with.
    """

    measure: Measure
    chunks: Chunks
    trained: BoolArray
    until: int


def reference_of(
    series: Series, normal: BoolArray, scores: FloatArray, n_trained: int, n_learnt: int | None = None
) -> Reference | None:
    """Return the reference of the readings that a detector learns from; None if they are too few.

    Parameters
    ----------
    series : Series
        Training and calibration spans, T rows.
    normal : ndarray of shape (T,), bool
    scores : ndarray of shape (T,)
        Those of the first `n_learnt` rows do not count.
    n_trained : int
        Rows of the training span, its held-out part among them.
    n_learnt : int, optional
        Rows that the network has seen; all of the training span by default.
    """
    rows = np.flatnonzero(normal)
    n_training = int(normal[:n_trained].sum())
    missing = (np.isnan(column[:n_trained])[normal[:n_trained]].all() for column in series.values.T)
    if not n_training or any(missing):
        return None
    runs = np.searchsorted(rows, events_of(normal, series.segment_starts)[:, 0])
    length = chunk_length(series.n_timesteps, series.step, series.is_time)
    measure = measure_of(series.values, rows, n_training, length, runs)
    unseen = np.where(np.arange(series.n_timesteps) >= (n_trained if n_learnt is None else n_learnt), scores, np.nan)
    chunks = chunks_of(
        series.values,
        series.stamps,
        normal,
        series.step,
        measure,
        scores=unseen,
        segment_starts=series.segment_starts,
    )
    kept = ~np.isnan(chunks.statistics[:, :, 0]).all(axis=1)
    chunks = Chunks(**{name: values[kept] for name, values in vars(chunks).items()})
    trained = chunks.numbers < series.stamps[n_trained - 1] // length
    if trained.sum() < FEWEST_TRAINED:
        return None
    return Reference(measure, chunks, trained, int(series.stamps[-1]))


class StoredReference(Reference):
    """A reference that is read where somebody looks at it: to score takes none.

    Parameters
    ----------
    read : callable
        Returns the reference itself; asked once.
    """

    def __init__(self, read: Callable[[], Reference]) -> None:
        vars(self)["_read"] = read

    def __getattr__(self, name: str) -> Any:
        """Return a part that was not read yet."""
        if name not in Reference.__dataclass_fields__:
            raise AttributeError(name)
        vars(self).update(vars(vars(self)["_read"]()))
        return vars(self)[name]

    def __reduce__(self) -> tuple[type[Reference], tuple[Any, ...]]:
        """Pickle this reference alone, not all of the file that it is read from."""
        return Reference, tuple(getattr(self, name) for name in Reference.__dataclass_fields__)


def references_to_bytes(references: Mapping[str, Reference]) -> bytes:
    """Return the references of assets of one detector as the bytes of an .npz file, the same for the same numbers.

    It holds one array of each kind, of all assets one after the other, so that many cost no more than their numbers.
    """
    measures, chunks = ([getattr(one, part) for one in references.values()] for part in ("measure", "chunks"))
    trained = [one.trained for one in references.values()]
    arrays: dict[str, np.ndarray] = {
        _ASSETS: np.array(json.dumps(list(references))),
        "n_chunks": np.array([len(one) for one in trained], dtype=np.int64),
        "until": np.array([one.until for one in references.values()], dtype=np.int64),
        "trained": np.concatenate(trained),
        **{name: np.stack([np.asarray(getattr(one, name)) for one in measures]) for name in _MEASURE},
        **{name: _small(np.concatenate([getattr(one, name) for one in chunks])) for name in _CHUNKS},
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def referenced_assets(file: IO[bytes]) -> list[str]:
    """Return the assets whose references a file holds that `references_to_bytes` gave; the rest is not read.

    Raises
    ------
    ValueError, KeyError, OSError
        If it is something else.
    """
    with np.load(file, allow_pickle=False) as arrays:
        assets: list[str] = json.loads(str(arrays[_ASSETS]))
    return assets


def references_from_bytes(content: bytes) -> Mapping[str, Reference]:
    """Return what `references_to_bytes` wrote; each is made as it is asked for, and not kept.

    Raises
    ------
    ValueError, KeyError
        If it is something else.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return _References(arrays)


_ASSETS = "assets"
_MEASURE, _CHUNKS = tuple(Measure.__dataclass_fields__), tuple(Chunks.__dataclass_fields__)


def _small(part: np.ndarray) -> np.ndarray:
    """Return statistics in single precision, which is more than they have; what is compared with readings stays."""
    return part.astype(np.float32) if part.dtype == np.float64 and part.ndim > 1 else part


class _References(Mapping[str, Reference]):
    """References by asset, in arrays of all of them; a worker that looks at a few makes no more than those."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = arrays
        self._places = {asset: place for place, asset in enumerate(json.loads(str(arrays[_ASSETS])))}
        self._stops = np.cumsum(arrays["n_chunks"])

    def __getitem__(self, asset: str) -> Reference:
        place = self._places[asset]
        stop = int(self._stops[place])
        return _reference_from(self._arrays, place, slice(stop - int(self._arrays["n_chunks"][place]), stop))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _reference_from(arrays: Mapping[str, np.ndarray], place: int, rows: slice) -> Reference:
    """Return the reference at a place among the assets, whose chunks are those rows."""
    measure: dict[str, Any] = {name: arrays[name][place] for name in _MEASURE}
    chunks = {name: _wide(arrays[name][rows]) for name in _CHUNKS}
    return Reference(
        Measure(**{**measure, "length": int(measure["length"])}),
        Chunks(**chunks),
        arrays["trained"][rows],
        int(arrays["until"][place]),
    )


def _wide(part: np.ndarray) -> np.ndarray:
    return part.astype(np.float64) if part.dtype == np.float32 else part
