"""From readings to calibrated alarms, on public sets: offbeat's defaults against the recipe of the tutorials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.accuracy_sets import groups_of
from benchmarks.speed_goals import Outcome
from benchmarks.speed_measure import Plan, in_turn, median, ratios, seconds
from offbeat.detection.events import events_of
from offbeat.detection.periods import dominant_period
from offbeat.detection.windows import gather_windows, window_starts
from offbeat.evaluation.areas import vus_pr
from offbeat.params import Params, load_params
from offbeat.preparation import Prepared, prepare_fleet
from offbeat.readings.folder import Folder, read_folder
from offbeat.training import fit_fleet
from offbeat.typing import BoolArray, FloatArray
from offbeat.window_choice import choose_window

# set, group of its readings, and how the names of the assets begin
SETS = {"alarms_taxi": ("nab", "nyc_taxi", "nyc_taxi"), "alarms_skab": ("skab", "skab", "valve1")}
Scores = list[FloatArray]


@dataclass(frozen=True)
class Recipe:
    """What the tutorials do: windows one timestep apart, an LSTM autoencoder with a repeated code, `fit`, `predict`."""

    window_size: int
    units: tuple[int, int] = (64, 32)
    epochs: int = 20
    batch_size: int = 32


def alarms(plan: Plan) -> dict[str, Outcome]:
    """Return how many times sooner the alarms are there than by the recipe, and both VUS-PR."""
    return {name: _alarms(plan, *names) for name, names in SETS.items()}


def _alarms(plan: Plan, set_name: str, group: str, assets: str) -> Outcome:
    folder = public_readings(plan, set_name, group, assets)
    if folder is None:
        return Outcome((), f"skipped: {set_name} is not in the folder of --data")
    changes = {"train": {"epochs": 1, "steps_per_epoch": 2, "units": 4}} if plan.short else {}
    params = load_params(changes=changes)
    prepare, _ = choose_window(folder, params.prepare)
    recipe = Recipe(prepare.window_size, (4, 2), 1) if plan.short else Recipe(prepare.window_size)
    fleet = prepare_fleet(folder, prepare)
    areas: dict[str, list[float]] = {"own": [], "other": []}

    def timed(name: str, work: Callable[[], Scores]) -> float:
        scores: Scores = []
        took = seconds(lambda: scores.extend(work()))
        areas[name].append(mean_vus_pr(fleet, scores))
        return took

    own, other = in_turn(
        plan.rounds,
        lambda: timed("own", lambda: own_alarms(folder, params)),
        lambda: timed("other", lambda: recipe_alarms(fleet, recipe)[0]),
    )
    times = f"{median(own):.3g} s against {median(other):.3g} s"
    vus = f"VUS-PR {median(areas['own']):.3f} against {median(areas['other']):.3f}"
    return Outcome(ratios(other, own), f"{times}; {vus}", holds=median(areas["own"]) >= median(areas["other"]))


def own_alarms(folder: Folder, params: Params) -> Scores:
    """Return scores (T,) of each asset: `fit` and `score`, calibrated alarms among it."""
    detector = fit_fleet(folder, params).detector
    return [detector.score(series).scores for series in folder.series]


def public_readings(plan: Plan, set_name: str, group: str, assets: str) -> Folder | None:
    """Return the assets of a group whose names begin so; None where the set is not there."""
    place = plan.data / set_name
    if not place.is_dir():
        return None
    found = {one.name: one for one in groups_of(set_name, place, plan.scratch / "readings")}
    folder = read_folder(found[group].folder)
    kept = tuple(one for one in folder.series if one.asset.startswith(assets))[: 2 if plan.short else None]
    names = {one.asset for one in kept}
    starts = {asset: start for asset, start in folder.test_starts.items() if asset in names}
    labels = tuple(span for span in folder.labels if span.asset in names)
    return replace(folder, series=kept, labels=labels, test_starts=starts)


def recipe_alarms(fleet: Sequence[Prepared], recipe: Recipe) -> tuple[Scores, list[BoolArray]]:
    """Return scores (T,) and alarms (T,) of each asset, by the recipe.

    Readings are standardised by what precedes the test span, a missing one is 0. A window's mean absolute error stands
    at its last timestep; an alarm is what exceeds the largest error of a window to learn from.
    """
    keras.utils.set_random_seed(7)
    scaled = [_standardised(one) for one in fleet]
    learnt = np.concatenate([_windows_to_learn(one, rows, recipe) for one, rows in zip(fleet, scaled, strict=True)])
    model = tutorial_network(recipe, learnt.shape[2])
    model.compile(optimizer="adam", loss="mse")
    size = recipe.batch_size
    model.fit(learnt, learnt, epochs=recipe.epochs, batch_size=size, validation_split=0.1, verbose=0)
    threshold = float(_errors(model, learnt).max())
    scores = [_scores(model, one, rows, recipe) for one, rows in zip(fleet, scaled, strict=True)]
    return scores, [values > threshold for values in scores]


def tutorial_network(recipe: Recipe, n_channels: int) -> keras.Model:
    """Return LSTM 64, LSTM 32, the code repeated, LSTM 32, LSTM 64, a dense layer at each timestep."""
    wide, narrow = recipe.units
    return keras.Sequential(
        [
            layers.Input((recipe.window_size, n_channels)),
            layers.LSTM(wide, return_sequences=True),
            layers.LSTM(narrow),
            layers.RepeatVector(recipe.window_size),
            layers.LSTM(narrow, return_sequences=True),
            layers.LSTM(wide, return_sequences=True),
            layers.TimeDistributed(layers.Dense(n_channels)),
        ]
    )


def _standardised(one: Prepared) -> FloatArray:
    values, before = one.series.values, one.series.values[: one.split.test[0]]
    spread = np.nanstd(before, axis=0)
    scaled = (values - np.nanmean(before, axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.nan_to_num(scaled, nan=0.0).astype(np.float32)


def _windows_to_learn(one: Prepared, rows: FloatArray, recipe: Recipe) -> FloatArray:
    """Return all windows of normal rows before the test span."""
    usable = one.normal.copy()
    usable[one.split.test[0] :] = False
    runs = [(start, stop) for start, stop in events_of(usable, one.series.segment_starts).tolist()]
    return gather_windows(rows, window_starts(runs, one.series.positions, recipe.window_size, 1), recipe.window_size)


def _errors(model: keras.Model, windows: FloatArray) -> FloatArray:
    errors: Any = np.abs(model.predict(windows, verbose=0) - windows).mean(axis=(1, 2))
    return np.asarray(errors)


def _scores(model: keras.Model, one: Prepared, rows: FloatArray, recipe: Recipe) -> FloatArray:
    starts = window_starts(one.series.segments, one.series.positions, recipe.window_size, 1)
    scores = np.full(len(rows), np.nan)
    scores[starts + recipe.window_size - 1] = _errors(model, gather_windows(rows, starts, recipe.window_size))
    return scores


def mean_vus_pr(fleet: Sequence[Prepared], scores: Scores) -> float:
    """Return the mean VUS-PR of whole series, those without a label left out; what has no score ranks lowest."""
    areas = []
    for one, values in zip(fleet, scores, strict=True):
        filled = np.where(np.isnan(values), np.nanmin(values), values)
        channel = one.series.values[:, 0]
        buffer = dominant_period(np.where(np.isnan(channel), np.nanmean(channel), channel))
        areas.append(vus_pr(one.labelled, filled, buffer))
    return float(np.nanmean(areas))
