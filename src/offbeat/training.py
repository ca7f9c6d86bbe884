"""Readings to a calibrated detector: what the stages and the library share.

prepare_fleet ──► train_network ──► assemble ──► calibrate_fleet ──► Detector
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from offbeat.detection.calibration import Calibration
from offbeat.detection.detector import Detector
from offbeat.detection.runtime import Runtime
from offbeat.detection.scores import anomaly_scores, channel_scores, usual_errors
from offbeat.detection.windows import gather_windows, hold_missing, reach_mask
from offbeat.errors import OffbeatError
from offbeat.lineage import lineage_of
from offbeat.params import CalibrateParams, Params, PrepareParams, TrainParams, load_params
from offbeat.preparation import Prepared, prepare_fleet
from offbeat.readings.folder import Folder, alike
from offbeat.readings.series import Series
from offbeat.typing import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from offbeat.models.learning import Epoch

HELD_OUT_WINDOWS = 2000  # at most, over the fleet: enough to decide when to stop
POOR_EXPLAINED_VARIANCE = 0.3  # below it the network has learnt little more than the mean


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network and how it learnt.

    Attributes
    ----------
    keras_model : keras.Model
    graph, untrained_graph : bytes
        ONNX files of the network, and of the same network before training.
    epochs : list of Epoch
        The loss curve.
    explained_variance : ndarray of shape (F,)
        Of each channel on held-out normal windows: 1 - squared error / variance; NaN for a channel that stands still.
    """

    keras_model: Any
    graph: bytes
    untrained_graph: bytes
    epochs: list[Epoch]
    explained_variance: FloatArray

    @property
    def overall_explained_variance(self) -> float:
        """Mean of the explained variance over the channels that move; 0 if none does."""
        known = self.explained_variance[~np.isnan(self.explained_variance)]
        return float(known.mean()) if len(known) else 0.0

    @property
    def warning(self) -> str:
        """Empty, or what is poor and what to do."""
        if self.overall_explained_variance >= POOR_EXPLAINED_VARIANCE:
            return ""
        return (
            f"the network explains {self.overall_explained_variance:.0%} of the variance of held-out normal readings: "
            "it has learnt little; try more train.epochs, a larger train.latent_size or another prepare.window_size, "
            "and doubt its alarms (noise that nothing could predict also lowers this figure)"
        )


def fit(
    readings: Series | Sequence[Series] | Folder,
    params: Mapping[str, Mapping[str, Any]] | Params | None = None,
    *,
    report: Callable[[Epoch], None] | None = None,
) -> Detector:
    """Learn how machines normally behave, and return a detector calibrated for each.

    Parameters
    ----------
    readings : Series, sequence of Series or Folder
        Like machines with the same channels and period. A Folder brings labels and exclusions, which are kept out.
    params : mapping of section to mapping, or Params, optional
        Changes to the packaged params.yaml, such as ``{"train": {"epochs": 3}}``, or all of it.
    report : callable, optional
        Takes each finished epoch.

    Returns
    -------
    Detector
        Without its test span: the last part of the readings is left for an evaluation.

    Raises
    ------
    ReadingsError, ParamsError
        If the readings are too short or do not fit together, or a parameter is wrong.
    """
    params = params if isinstance(params, Params) else load_params(changes=params)
    folder = _as_folder(readings)
    fleet = prepare_fleet(folder, params.prepare)
    trained = train_network(fleet, params.prepare.window_size, params.train, report)
    lineage = lineage_of(fleet, params)
    detector = assemble(trained.graph, fleet, params.prepare, params.calibrate, lineage)
    calibrate_fleet(detector, fleet)
    return detector


def train_network(
    fleet: Sequence[Prepared], window_size: int, params: TrainParams, report: Callable[[Epoch], None] | None = None
) -> Trained:
    """Train one autoencoder on the windows of all assets."""
    try:
        from offbeat.models.export import export_autoencoder
        from offbeat.models.learning import learn, make_deterministic
        from offbeat.models.recurrent import build_autoencoder
    except ModuleNotFoundError as error:
        raise OffbeatError(f"training needs {error.name}: pip install 'offbeat[train]'") from error

    make_deterministic()
    values, starts, held_out_starts = laid_end_to_end(fleet)
    model = build_autoencoder(
        window_size,
        values.shape[1],
        units=params.units,
        latent_size=params.latent_size,
        position_size=params.position_size,
        seed=params.seed,
    )
    untrained_graph = export_autoencoder(model)
    epochs = learn(
        model,
        values,
        starts,
        held_out_starts,
        epochs=params.epochs,
        steps_per_epoch=params.steps_per_epoch,
        batch_size=params.batch_size,
        learning_rate=params.learning_rate,
        clip_norm=params.clip_norm,
        patience=params.patience,
        seed=params.seed,
        report=report or (lambda _: None),
    )
    graph = export_autoencoder(model)
    explained = explained_variance(Runtime(graph), gather_windows(values, held_out_starts, window_size))
    return Trained(model, graph, untrained_graph, epochs, explained)


def laid_end_to_end(fleet: Sequence[Prepared]) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the scaled readings of all assets (sum of T, F), and the starts of training and held-out windows in them.

    The held-out windows are thinned evenly to at most `HELD_OUT_WINDOWS`.
    """
    offsets = np.cumsum([0] + [prepared.series.n_timesteps for prepared in fleet[:-1]])
    values = np.concatenate([prepared.scaled for prepared in fleet])
    starts = np.concatenate([p.starts + offset for p, offset in zip(fleet, offsets, strict=True)])
    held_out = np.concatenate([p.held_out_starts + offset for p, offset in zip(fleet, offsets, strict=True)])
    kept = np.unique(np.linspace(0, len(held_out) - 1, min(len(held_out), HELD_OUT_WINDOWS)).astype(np.int64))
    return values, starts, held_out[kept]


def explained_variance(runtime: Runtime, windows: FloatArray) -> FloatArray:
    """Return 1 - squared error / variance of each channel (F,) over windows (N, W, F), missing readings left out."""
    inputs = hold_missing(windows)
    errors = np.concatenate(
        [
            np.square(windows[i : i + 256] - runtime.reconstruct(inputs[i : i + 256]))
            for i in range(0, len(windows), 256)
        ]
    )
    flat = windows.reshape(-1, windows.shape[2]).astype(np.float64)
    read = ~np.isnan(flat).all(axis=0)
    result = np.full(windows.shape[2], np.nan)
    variance = np.nanvar(flat[:, read], axis=0)
    error = np.nanmean(errors.reshape(flat.shape)[:, read], axis=0)
    result[read] = np.divide(error, variance, out=np.full(read.sum(), np.nan), where=variance > 0)
    return 1 - result


def assemble(
    graph: bytes,
    fleet: Sequence[Prepared],
    prepare: PrepareParams,
    calibrate: CalibrateParams,
    lineage: Mapping[str, str],
) -> Detector:
    """Return a detector around a network, for the fleet's channels and period; no asset is calibrated yet."""
    first = fleet[0].series
    return Detector(
        runtime=Runtime(graph),
        channels=first.channels,
        period=first.period,
        max_gap=prepare.max_gap,
        clip=prepare.clip,
        params=calibrate,
        lineage=dict(lineage),
    )


def calibrate_fleet(detector: Detector, fleet: Sequence[Prepared]) -> None:
    """Give the detector usual errors and a threshold for every asset, in place.

    Usual errors come from the held-out part of the training span, the threshold from the calibration span. A score
    counts only if every reading that shapes it is normal and lies after the training span.
    """
    for prepared in fleet:
        series = prepared.series.rows(0, prepared.split.calibration[1])
        errors = detector.errors(series, prepared.scaling)
        usual = usual_errors(errors[held_out_rows(prepared, detector.window_size)])
        scores = anomaly_scores(channel_scores(errors, usual, series.segments, detector.params.smoothing))
        threshold = detector.choose_threshold(series, scores, calibration_rows(prepared, detector))
        detector.assets[series.asset] = Calibration(prepared.scaling, usual, threshold)


def calibration_rows(prepared: Prepared, detector: Detector) -> BoolArray:
    """Return the timesteps (T,), up to the end of the calibration span, whose scores count for the threshold.

    All the readings that shape such a score are normal and lie after the training span.
    """
    start, stop = prepared.split.calibration
    usable = prepared.normal[:stop].copy()
    usable[: prepared.split.held_out[1]] = False
    segment_starts = prepared.series.rows(0, stop).segment_starts
    counts = reach_mask(usable, segment_starts, detector.context, detector.delay)
    counts[:start] = False
    return counts


def held_out_rows(prepared: Prepared, window_size: int) -> BoolArray:
    """Return the timesteps (T,), up to the end of the calibration span, at which a normal held-out window ends."""
    (start, stop), end = prepared.split.held_out, prepared.split.calibration[1]
    usable = prepared.normal[:end].copy()
    usable[:start] = False
    usable[stop:] = False
    return reach_mask(usable, prepared.series.rows(0, end).segment_starts, window_size - 1, 0)


def _as_folder(readings: Series | Sequence[Series] | Folder) -> Folder:
    if isinstance(readings, Folder):
        return readings
    series = [readings] if isinstance(readings, Series) else list(readings)
    return Folder(series=tuple(alike(series)))
