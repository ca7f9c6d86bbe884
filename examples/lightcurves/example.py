"""Thousands of short unlabelled light curves, some with periodic transits: each point becomes background or signal.

A curve is a segment of one series, so that no window has points of two stars.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from examples import read_changes, read_options
from offbeat import Series, fit
from offbeat.evaluation.areas import average_precision
from offbeat.evaluation.metrics import event_scores

N_CURVES, N_POINTS, SHARE_WITH_PLANET = 2000, 256, 0.3
PAUSE = 10  # timesteps between two curves, more than prepare.max_gap


def main(arguments=None):
    options = read_options(__file__, __doc__ or "", arguments)
    series, signal = simulate(300 if options.small else N_CURVES)
    detector = fit(series, read_changes(__file__))
    import time

    t0 = time.time()
    result = detector.score(series)
    print("score", time.time() - t0)
    print(detector.assets["survey"].threshold)
    test = slice(int(0.8 * len(signal)), None)
    print(average_precision(signal[test], result.scores[test]))
    for m in ["dynamic", "sigma", "quantile", "pot", "conformal"]:
        n = len(signal)
        detector.calibrate(
            series.rows(int(0.6 * n) // 256 * 256 + 256, int(0.8 * n) // 256 * 256),
            method=m,
            n_sigmas=3.0,
            quantile=0.99,
        )
        thr = detector.assets["survey"].threshold
        a = result.scores > thr.value
        e = event_scores(signal[test], a[test])
        print(
            m,
            thr,
            {
                k: round(e[k], 3)
                for k in (
                    "point_precision",
                    "point_recall",
                    "event_precision",
                    "event_recall",
                    "n_events",
                    "false_alarms",
                )
            },
        )
    np.savez("/tmp/w/a_lc.npz", s=result.scores, y=signal, v=series.values)


def simulate(n_curves: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    t = np.arange(N_POINTS)
    period, phase = rng.uniform(40, 200, (n_curves, 2)), rng.uniform(0, 2 * np.pi, (n_curves, 2))
    height = rng.uniform(0, 1, (n_curves, 2))
    waves = height[..., None] * np.sin(2 * np.pi * t / period[..., None] + phase[..., None])  # (n, 2, T)
    flux = waves.sum(axis=1) + rng.normal(0, 0.3, (n_curves, N_POINTS))
    signal = np.zeros((n_curves, N_POINTS), dtype=bool)
    for curve in np.flatnonzero(rng.random(n_curves) < SHARE_WITH_PLANET):
        period, length = rng.integers(60, 120), rng.integers(4, 9)
        signal[curve] = (t - rng.integers(period)) % period < length
        flux[curve] -= rng.uniform(1, 3) * signal[curve]
    index = (np.arange(n_curves)[:, None] * (N_POINTS + PAUSE) + t).ravel()
    return Series.from_frame(pd.DataFrame({"flux": flux.ravel()}, index=index), asset="survey"), signal.ravel()


if __name__ == "__main__":
    main()
