"""What stands in the table: networks that are trained, and simple methods that are not.

A network is a mapping of changes to the params, a simple method a function from an asset to raw scores. All share the
detector's smoothing and threshold rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks import window_baselines
from offbeat.assembly import calibrate_fleet, fleet_thresholds
from offbeat.detection.detector import Detector
from offbeat.detection.scores import anomaly_scores, moving_mean
from offbeat.detection.thresholds import Threshold
from offbeat.detection.windows import timestep_errors
from offbeat.errors import ParamsError
from offbeat.models import baselines
from offbeat.params import CalibrateParams, EvaluateParams, Params, changed, load_params
from offbeat.preparation import Prepared, prepare_fleet
from offbeat.readings.folder import Folder
from offbeat.training import fit_fleet
from offbeat.typing import FloatArray
from offbeat.window_choice import choose_window

LSTM, CAUSAL, UNTRAINED, RANDOM, PCA = (
    "lstm_autoencoder",
    "lstm_autoencoder_causal",
    "untrained_network",
    "random",
    "pca",
)
# another network is another line: its name in the table, and what it changes in the settings
NETWORKS: dict[str, Mapping[str, Mapping[str, Any]]] = {
    LSTM: {},
    "dense_autoencoder": {"train": {"model": "dense_autoencoder"}},
    "lstm_forecaster": {
        "train": {"model": "recurrent_forecaster"},
        "calibrate": {"error": "squared", "stride": 1},
    },
}
SETTINGS = Path(__file__).with_name("settings")


@dataclass(frozen=True, eq=False)
class Scored:
    """A method on all assets of a group: scores (T,) and threshold of each, and how much processor time it took.

    `train_s` and `score_s` are seconds of one processor, calibration apart; training is part of scoring for simple
    methods. `delay` is how many timesteps after t shape the score at t, `context` how many before.
    """

    method: str
    scores: list[FloatArray]
    thresholds: list[Threshold]
    train_s: float
    score_s: float
    context: int
    delay: int
    merge_gap: int


class _WindowSize(NamedTuple):
    """Stands where a detector has its network: simple methods need its rule for thresholds alone."""

    window_size: int


def settings_for(n_channels: int, settings: Path, seed: int, changes: Mapping[str, Mapping[str, Any]]) -> Params:
    """Return params.yaml with the settings file for so many channels, if there is one, then `changes` on top.

    Raises
    ------
    ParamsError
        If the file cannot be read, or holds a key that does not exist.
    """
    path = settings / ("single_channel.yaml" if n_channels == 1 else "multichannel.yaml")
    try:
        if not settings.is_dir():
            raise NotADirectoryError(f"{settings} is no folder")
        content = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}
    except (OSError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: not a readable YAML file: {error}") from error
    merged = {section: {**content.get(section, {}), **changes.get(section, {})} for section in {*content, *changes}}
    merged["train"] = {**merged.get("train", {}), "seed": seed}
    return load_params(changes=merged).for_channels(n_channels)


def methods_of(source: str) -> tuple[str, ...]:
    """Return the methods that one job brings: the names of `DRAWN` or `FIXED`, or a network and its relatives."""
    groups = {"drawn": tuple(DRAWN), "fixed": tuple(FIXED), LSTM: (LSTM, CAUSAL, UNTRAINED)}
    return groups.get(source, (source,))


def score_networks(name: str, folder: Folder, params: Params) -> tuple[list[Prepared], list[Scored]]:
    """Train a network; return the prepared assets, and it, without delay and before training where asked for."""
    begin = time.process_time()
    fitted = fit_fleet(folder, params)
    train_s = time.process_time() - begin
    scored = [network_scored(name, fitted.detector, fitted.fleet, train_s)]
    if name == LSTM:
        causal = replace(fitted.detector, params=_without_delay(fitted.detector.params), assets={})
        calibrate_fleet(causal, fitted.fleet)
        assert fitted.untrained is not None, "it is a network"
        scored += [
            network_scored(CAUSAL, causal, fitted.fleet, train_s),
            network_scored(UNTRAINED, fitted.untrained, fitted.fleet, 0.0),
        ]
    return fitted.fleet, scored


def score_simple(source: str, folder: Folder, params: Params, seed: int) -> tuple[list[Prepared], list[Scored]]:
    """Return the prepared assets, and the simple methods of `FIXED` or `DRAWN` on them."""
    prepare, _ = choose_window(folder, params.prepare)
    fleet = prepare_fleet(folder, prepare)
    first = fleet[0].series
    detector = Detector(
        runtime=_WindowSize(prepare.window_size),  # type: ignore[arg-type]
        channels=first.channels,
        step=first.step,
        is_time=first.is_time,
        max_gap=first.max_gap,
        preprocessing=prepare.preprocessing,
        params=params.calibrate.for_window(prepare.window_size),
    )
    raws = FIXED if source == "fixed" else {name: partial(raw, seed=seed) for name, raw in DRAWN.items()}
    return fleet, [_simple(name, raw, detector, fleet, params.evaluate) for name, raw in raws.items()]


def network_scored(name: str, detector: Detector, fleet: Sequence[Prepared], train_s: float) -> Scored:
    """Return a detector on assets that it is calibrated for."""
    begin = time.process_time()
    scores = [detector.scores(one.series, detector.assets[one.series.asset]) for one in fleet]
    score_s = time.process_time() - begin
    thresholds = [detector.assets[one.series.asset].threshold for one in fleet]
    return Scored(name, scores, thresholds, train_s, score_s, *_reach(detector))


def _reach(detector: Detector) -> tuple[int, int, int]:
    return detector.context, detector.delay, detector.params.merge_gap


def _without_delay(params: CalibrateParams) -> CalibrateParams:
    """Return how to score at once: a window ends at every timestep, and nothing after it has a say."""
    return changed(params, {"stride": 1, "delay": 0})


def _simple(name: str, raw: Raw, detector: Detector, fleet: Sequence[Prepared], params: EvaluateParams) -> Scored:
    begin, rule = time.process_time(), detector.params
    scores = [
        moving_mean(raw(one, detector, params)[:, None], one.series.segments, rule.smoothing, rule.lead)[:, 0]
        for one in fleet
    ]
    thresholds = fleet_thresholds(detector, fleet, scores)
    if name == "all_ones":  # it flags everything; by the rule it would flag nothing
        thresholds = [Threshold(0.0, "none", None) for _ in fleet]
    return Scored(name, scores, thresholds, 0.0, time.process_time() - begin, *_reach(detector))


Raw = Callable[[Prepared, Detector, EvaluateParams], FloatArray]


def _training(one: Prepared) -> FloatArray:
    """Return the scaled normal rows (n, F) of the training span."""
    start, stop = one.split.train
    return one.scaled[start:stop][one.normal[start:stop]]


def _windows(
    learn: Callable[..., window_baselines.ErrorsOf], one: Prepared, detector: Detector, _: EvaluateParams
) -> FloatArray:
    """Return the errors of windows on the timesteps, as a detector spreads those of a network."""
    errors = timestep_errors(
        learn(one.scaled, one.starts, detector.window_size),
        one.series.segments,
        one.series.positions,
        one.series.n_channels if learn is window_baselines.window_pca else 1,
        window_size=detector.window_size,
        horizon=detector.window_size,
        stride=detector.params.stride,
        delay=detector.params.overlap,
    )
    return anomaly_scores(errors, "mean")


FIXED: dict[str, Raw] = {
    "all_ones": lambda one, *_: baselines.constant_scores(one.series.n_timesteps),
    "position_only": lambda one, *_: baselines.position_scores(one.series.n_timesteps),
    "abs_difference": lambda one, *_: baselines.difference_scores(one.scaled, one.series.segments),
    "moving_average": lambda one, detector, _: baselines.moving_average_scores(
        one.scaled, one.series.segments, detector.window_size
    ),
    "l2_norm": lambda one, *_: baselines.norm_scores(one.scaled, _training(one)),
    "gaussian_channels": lambda one, *_: baselines.gaussian_scores(one.scaled),
    "gaussian_joint": lambda one, *_: baselines.mahalanobis_scores(one.scaled, _training(one)),
    PCA: lambda one, _, params: baselines.pca_scores(one.scaled, _training(one), params.n_components),
    "sub_pca": partial(_windows, window_baselines.window_pca),
    "nearest_windows": partial(_windows, window_baselines.nearest_windows),
}
DRAWN: dict[str, Callable[..., FloatArray]] = {
    RANDOM: lambda one, *_, seed: baselines.random_scores(one.series.n_timesteps, seed),
    "isolation_forest": lambda one, *_, seed: baselines.isolation_forest_scores(one.scaled, _training(one), seed),
}
