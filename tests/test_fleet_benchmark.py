"""The benchmark of fleets runs, accounts for every machine, and does nothing twice."""

import json

import pytest

from benchmarks import fleet
from benchmarks.fleet_table import page


@pytest.mark.slow
def test_small_fleets_go_through_every_step_and_a_run_goes_on_where_it_was_stopped(tmp_path):
    sizes = ["--assets", "10", "20", "--trained", "10", "--learn-up-to", "20", "--convert-up-to", "10"]
    given = [*sizes, "--workers", "1", "-S", "train.model=row_pca", "--out", str(tmp_path / "out")]
    given += ["--scratch", str(tmp_path / "scratch"), "--keep"]
    fleet.main(given)
    steps = {one["name"]: one for one in json.loads((tmp_path / "out" / "results.json").read_text())["steps"]}
    for n in (10, 20):
        assert steps[f"{n}-score"]["n_lines"] == steps[f"{n}-score"]["n_done"] == steps[f"{n}-drift"]["n_done"] == n
        assert steps[f"{n}-score"]["n_timesteps"] == 1000 * n
    assert steps["20-learn"]["n_done"] == 20
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "steps").iterdir()}
    fleet.main(given)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "steps").iterdir()}


def took(n_assets, seconds, cpu_seconds):
    one = {"step": "score", "seconds": seconds, "cpu_seconds": cpu_seconds, "main_bytes": 2e8, "worker_bytes": 0}
    return {"name": f"{n_assets}-score", "n_assets": n_assets, "took": [one], "n_done": n_assets, "bytes_scores": 5e6}


def test_growth_is_seconds_a_machine_against_those_of_a_hundred():
    text = page([took(100, 20.0, 30.0), took(10_000, 2_400.0, 2_700.0)], 2)
    assert "| score | 10,000 | 1.20 | 0.90 | at most 1.3 |" in text
    assert "| score | 10,000 | 2,400.0 | 240.0 | 270.0 | 200 | - |" in text
    assert "| scores | 10,000 | 500 |" in text
