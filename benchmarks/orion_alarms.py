"""Orion's LSTM autoencoder on a file of readings, as its documentation shows; runs where Orion is installed.

    python benchmarks/orion_alarms.py readings.csv found.json [EPOCHS]

`found.json` gets the seconds from readings to alarms, the alarms, and the errors that they come from, each with the
stamp from which on it holds: the pipeline first averages the readings over six hours.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pandas as pd
from orion import Orion  # type: ignore[import-not-found]

ERRORS = "orion.primitives.timeseries_errors.reconstruction_errors#1"
NETWORK = "keras.Sequential.LSTMSeq2Seq#1"


def main() -> None:
    """Fit and detect on the readings of the first argument, and write to the second."""
    given, found, *epochs = sys.argv[1:]
    frame = pd.read_csv(given)
    orion = Orion(
        pipeline="lstm_autoencoder", hyperparameters={NETWORK: {"epochs": int(epochs[0])}} if epochs else None
    )
    begin = time.perf_counter()
    orion.fit(frame)
    alarms = orion.detect(frame)
    took = time.perf_counter() - begin
    context = orion._mlpipeline.predict(frame, output_=ERRORS)  # not among what Orion gives
    errors = context["errors"].tolist()
    answer = {
        "seconds": took,
        "alarms": alarms[["start", "end"]].to_numpy().tolist(),
        "stamps": context["index"][: len(errors)].tolist(),
        "errors": errors,
    }
    Path(found).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
