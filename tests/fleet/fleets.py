"""Small fleets in folders, and an engine that works in this process alone."""

import pandas as pd

from offbeat.fleet.engine import attempt
from offbeat.params import load_params
from offbeat.readings.layout import write_readings

SMALL = {
    "prepare": {"window_size": 8, "held_out_share": 0.25},
    "train": {"model": "row_pca", "linear_size": 1},
    "calibrate": {
        "delay": 3,
        "smoothing": 4,
        "merge_gap": 2,
        "false_alarms_per_week": 30,
        "false_alarms_per_10000_timesteps": 300,
    },
    "evaluate": {"max_buffer": 4, "n_components": 2},
}
PARAMS = load_params(changes=SMALL)


class Inline:
    """An engine that works on one item after another here, also where another would start a process."""

    def run(self, work, items):
        for item in items:
            yield item, attempt(work, item)

    learn = run


def write_fleet(folder, fleet, *, groups="", labels=()):
    """Write series to a folder of readings; `groups` is the text of groups.yaml."""
    (folder / "readings").mkdir(parents=True)
    for one in fleet:
        write_readings(folder, one.asset, one.to_frame())
    if groups:
        (folder / "groups.yaml").write_text(groups)
    if labels:
        by_asset = {one.asset: one for one in fleet}
        rows = [(a, by_asset[a].index[start], by_asset[a].index[stop - 1]) for a, start, stop in labels]
        pd.DataFrame(rows, columns=["asset", "start", "end"]).to_csv(folder / "labels.csv", index=False)
    return folder
