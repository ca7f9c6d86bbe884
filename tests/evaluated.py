"""What an evaluation page is made of, from readings and an untrained network: no training, no stages."""

from dataclasses import replace

import numpy as np
import pandas as pd

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.evaluation.replay import replay_fleet, score_fleet
from offbeat.evaluation.report import Evaluated
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder
from offbeat.readings.series import Series
from offbeat.readings.spans import Span

CHANGES = {
    "prepare": {"window_size": 8, "held_out_share": 0.25},
    "calibrate": {
        "delay": 3,
        "smoothing": 4,
        "merge_gap": 2,
        "false_alarms_per_week": 30,
        "false_alarms_per_10000_timesteps": 300,
    },
    "evaluate": {"max_buffer": 4, "n_components": 2},
}
PARAMS = load_params(changes=CHANGES)
EPOCHS = [(1, 0.9, 0.8), (2, 0.6, 0.7)]


def evaluated_of(graph, series, *, labels=(), exclude=(), epochs=EPOCHS, doubts=("random comes close",)):
    """Return the evaluation of some series; `labels` and `exclude` are (asset, start row, stop row)."""
    by_asset = {one.asset: one for one in series}

    def spans(rows):
        return tuple(Span(a, by_asset[a].index[start], by_asset[a].index[stop - 1]) for a, start, stop in rows)

    fleet = prepare_fleet(Folder(tuple(series), spans(labels), spans(exclude)), PARAMS.prepare)
    lineage = {"method": PARAMS.train.method, "data_hash": "1a" * 32, "git_commit": "unknown"}
    calibrate = PARAMS.calibrate.for_window(PARAMS.prepare.window_size)
    detector = assemble(graph, fleet[0].series, PARAMS.prepare, calibrate, lineage)
    calibrate_fleet(detector, fleet)
    results = score_fleet(detector, fleet)
    replays = replay_fleet(detector, None, fleet, results, PARAMS.evaluate)
    return Evaluated(detector, PARAMS.train, fleet, results, replays, list(epochs), 0.9, list(doubts))


def humming(asset, seed, n=400, *, channels=("flow", "speed", "temp"), timed=True, missing=0.0, gaps=()):
    """Return readings of a machine that hums, ten minutes apart or numbered from 7."""
    rng, n_channels = np.random.default_rng(seed), len(channels)
    values = (
        50 + np.sin(np.arange(n)[:, None] / np.linspace(5, 14, n_channels)) + 0.1 * rng.standard_normal((n, n_channels))
    )
    values[rng.random((n, n_channels)) < missing] = np.nan
    index = pd.date_range("2026-01-05 00:10", periods=n, freq="10min") if timed else pd.RangeIndex(7, 7 + n)
    kept = np.ones(n, dtype=bool)
    for start, stop in gaps:
        kept[start:stop] = False
    return Series.from_frame(pd.DataFrame(values, index, list(channels))[kept], asset, period="10min" if timed else 1)


def with_fault(series, start, stop, by=8.0):
    """Return a series whose first channel is off by so much in rows [start, stop)."""
    values = series.values.copy()
    values[start:stop, 0] += by
    return replace(series, values=values)
