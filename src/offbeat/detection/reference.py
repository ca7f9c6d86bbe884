"""Reference: what a detector keeps of the readings it was made from, so that later ones can be compared with them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

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


def references_to_bytes(references: Mapping[str, Reference]) -> bytes:
    """Return the references of assets as the bytes of an .npz file, the same for the same numbers."""
    arrays: dict[str, np.ndarray] = {"assets": np.array(json.dumps(list(references)))}
    for place, reference in enumerate(references.values()):
        parts = {**asdict(reference.measure), **vars(reference.chunks)}
        parts |= {"trained": reference.trained, "until": reference.until}
        arrays |= {f"{place}.{name}": _small(np.asarray(part)) for name, part in parts.items()}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def references_from_bytes(content: bytes) -> dict[str, Reference]:
    """Return what `references_to_bytes` wrote.

    Raises
    ------
    ValueError, KeyError
        If it is something else.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return {
            asset: _reference_from({name: arrays[f"{place}.{name}"] for name in _NAMES})
            for place, asset in enumerate(json.loads(str(arrays["assets"])))
        }


_NAMES = (*Measure.__dataclass_fields__, *Chunks.__dataclass_fields__, "trained", "until")


def _small(part: np.ndarray) -> np.ndarray:
    """Return statistics in single precision, which is more than they have; what is compared with readings stays."""
    return part.astype(np.float32) if part.dtype == np.float64 and part.ndim > 1 else part


def _reference_from(parts: Mapping[str, Any]) -> Reference:
    wide: dict[str, Any] = {
        name: part.astype(np.float64) if part.dtype == np.float32 else part for name, part in parts.items()
    }
    measure = Measure(int(wide["length"]), **{name: wide[name] for name in list(Measure.__dataclass_fields__)[1:]})
    chunks = Chunks(**{name: wide[name] for name in Chunks.__dataclass_fields__})
    return Reference(measure, chunks, wide["trained"], int(wide["until"]))
