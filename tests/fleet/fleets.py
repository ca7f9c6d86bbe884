"""Small fleets in folders, and an engine that works in this process alone."""

import pandas as pd
from evaluated import CHANGES

from offbeat.fleet.engine import attempt
from offbeat.params import load_params
from offbeat.readings.layout import write_readings

SMALL = {**CHANGES, "train": {"model": "row_pca", "linear_size": 1}}
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
