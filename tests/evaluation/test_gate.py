"""The gate replays every method on the same readings and events, and its verdict can be kept."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from offbeat.assembly import assemble, calibrate_fleet
from offbeat.detection.runtime import Runtime
from offbeat.evaluation.gate import gate
from offbeat.evaluation.ground import Champion, learnt_until
from offbeat.evaluation.replay import replay_fleet, score_fleet, summarize
from offbeat.files import write_json
from offbeat.models.export import export_network
from offbeat.models.recurrent import build_autoencoder
from offbeat.params import load_params
from offbeat.preparation import prepare_fleet
from offbeat.readings.folder import Folder, Span

N = 700
PARAMS = load_params(
    changes={
        "prepare": {"window_size": 8, "held_out_share": 0.25},
        "calibrate": {"delay": 3, "smoothing": 4, "merge_gap": 2, "false_alarms_per_week": 20},
        "evaluate": {"max_buffer": 4, "n_components": 2},
    }
)


class Knowing(Runtime):
    """A network that knows the machine: its reconstruction misses by the sensors' noise alone."""

    def __init__(self, graph, fleet):
        super().__init__(graph)
        self.fleet = fleet

    def estimate(self, windows):
        """Return what the machine does without noise, at the time that fits best."""
        t = np.arange(N)[:, None]
        clean = np.sin(t / np.array([5.0, 9.0, 14.0])) * [2, 30, 1] + [50, 1400, 40]
        scaled = self.fleet[0].scaling.apply(replace(self.fleet[0].series, values=clean))
        times = np.lib.stride_tricks.sliding_window_view(scaled, self.window_size, axis=0).transpose(0, 2, 1)
        flat = times.reshape(len(times), -1)
        distances = np.square(flat).sum(axis=1) - 2 * windows.reshape(len(windows), -1) @ flat.T
        return times[distances.argmin(axis=1)]


@pytest.fixture(scope="module")
def other_graph():
    sizes = {"units": 4, "latent_size": 2, "position_size": 4, "linear_size": 0, "seed": 2}
    return export_network(build_autoencoder(8, 3, load_params(changes={"train": sizes}).train))


@pytest.fixture
def fleet_of(make_series):
    """Two like machines; `labels` are rows of the first, in which all channels are out of their range."""

    def make(labels=(), timed=True):
        series = [make_series(N, asset=asset, seed=k, timed=timed) for k, asset in enumerate(("pump-1", "pump-2"))]
        values = series[0].values.copy()
        for start, stop in labels:
            values[start:stop] += [8, 100, 5]
        series[0] = replace(series[0], values=values)
        spans = tuple(Span("pump-1", series[0].index[start], series[0].index[stop - 1]) for start, stop in labels)
        return prepare_fleet(Folder(tuple(series), spans), PARAMS.prepare)

    return make


@pytest.fixture
def detector_of(graph, other_graph):
    def make(fleet, *, other=False, runtime=None, **changes):
        section = load_params(changes={"calibrate": PARAMS.calibrate.model_dump() | changes}).calibrate.for_window(8)
        detector = assemble(other_graph if other else graph, fleet[0].series, PARAMS.prepare, section, {})
        if runtime is not None:
            detector = replace(detector, runtime=runtime)
        calibrate_fleet(detector, fleet)
        return detector

    return make


def judge(fleet, challenger, champion=None, seed=3):
    kept = None if champion is None else Champion(champion, learnt_until(fleet))
    return gate(fleet, challenger, kept, PARAMS.evaluate, seed)


# --- what is decided --------------------------------------------------------------------------------------------------


def test_a_network_that_knows_the_machine_is_promoted_over_pca_and_an_untrained_champion(fleet_of, detector_of, graph):
    fleet = fleet_of(labels=[(620, 630)])
    challenger = detector_of(fleet, runtime=Knowing(graph, fleet))
    for champion in (None, detector_of(fleet)):
        verdict = judge(fleet, challenger, champion)
        assert verdict.promote, verdict.reason
        assert verdict.reason.startswith("promoted: finds ")


def test_an_untrained_network_is_kept_out(fleet_of, detector_of):
    fleet = fleet_of()
    verdict = judge(fleet, detector_of(fleet))
    assert not verdict.promote
    assert verdict.reason.startswith("kept out: ")
    assert "PCA" in verdict.reason


def test_a_challenger_that_is_the_champion_is_not_promoted(fleet_of, detector_of):
    fleet = fleet_of()
    verdict = judge(fleet, detector_of(fleet), detector_of(fleet))
    assert not verdict.promote
    assert verdict.reason == "champion kept: the challenger gives the same scores and thresholds"


def test_the_same_network_with_another_budget_is_not_called_the_same(fleet_of, detector_of):
    fleet = fleet_of()
    verdict = judge(fleet, detector_of(fleet), detector_of(fleet, method="sigma"))
    assert "same scores" not in verdict.reason
    assert any("method conformal instead of sigma" in note for note in verdict.notes)


def test_a_champion_that_cannot_answer_is_left_out_and_stays_unless_pca_is_beaten(fleet_of, detector_of):
    fleet = fleet_of()
    verdict = judge(fleet, detector_of(fleet), replace(detector_of(fleet), channels=("flow", "speed", "noise")))
    assert list(verdict.rows) == ["challenger", "pca"]
    assert verdict.reason.startswith("champion kept: ")
    assert verdict.notes[0].startswith("compared with PCA alone")


def test_where_the_champion_has_seen_all_readings_it_stays(fleet_of, detector_of):
    fleet = fleet_of()
    seen = dict.fromkeys(("pump-1", "pump-2"), "2030-01-01")
    verdict = gate(fleet, detector_of(fleet), Champion(detector_of(fleet), seen), PARAMS.evaluate, 3)
    assert (verdict.promote, verdict.rows) == (False, {})
    assert verdict.reason == "champion kept: no readings are left to compare on"


# --- what it rests on -------------------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_evaluation(fleet_of, detector_of):
    fleet = fleet_of(labels=[(590, 600), (620, 630)])
    detector, other = detector_of(fleet), detector_of(fleet, other=True)
    evaluated = summarize(replay_fleet(detector, other, fleet, score_fleet(detector, fleet), PARAMS.evaluate))
    rows = judge(fleet, detector, other).rows
    for name, method in (("challenger", detector.method), ("champion", "untrained_network"), ("pca", "pca")):
        assert {key: rows[name][key] for key in evaluated[method]} == pytest.approx(evaluated[method], rel=1e-6)


def test_the_counts_of_kinds_and_of_methods_agree(fleet_of, detector_of):
    fleet = fleet_of(labels=[(620, 630)])
    verdict = judge(fleet, detector_of(fleet), detector_of(fleet, other=True))
    for name, row in verdict.rows.items():
        assert row["n_injected_found"] == sum(kind[name] for kind in verdict.injected)
        assert row["n_injected"] == sum(kind["n"] for kind in verdict.injected) == verdict.replay["n_injected"]
    assert verdict.replay["n_labelled"] == verdict.rows["pca"]["n_events"] == 1
    assert "1 labelled event and 114 injected ones" in verdict.replay["words"]


def test_false_alarms_are_held_against_the_promise_over_the_normal_time(fleet_of, detector_of):
    fleet = fleet_of()
    row = judge(fleet, detector_of(fleet)).rows["challenger"]
    assert row["allowed_false_alarms"] == pytest.approx(row["promised_false_alarms_per_day"] * row["normal_days"])
    row = judge(fleet, detector_of(fleet, method="sigma")).rows["challenger"]
    assert row["allowed_false_alarms"] == pytest.approx(20 / 7 * row["normal_days"])


def test_without_time_false_alarms_are_held_against_the_promise_per_timestep(fleet_of, detector_of):
    fleet = fleet_of(timed=False)
    row = judge(fleet, detector_of(fleet)).rows["challenger"]
    assert row["allowed_false_alarms"] == pytest.approx(
        row["promised_false_alarms_per_10000_timesteps"] * row["n_timesteps"] / 10_000
    )


def test_the_same_replay_has_the_same_hash_and_other_readings_or_events_another(fleet_of, detector_of):
    fleet, labelled = fleet_of(), fleet_of(labels=[(620, 630)])
    detector = detector_of(fleet)
    one, same, other = (judge(fleet, detector, seed=seed) for seed in (3, 3, 4))
    assert asdict(one)["replay"] == asdict(same)["replay"]
    assert len({verdict.replay["hash"] for verdict in (one, other, judge(labelled, detector))}) == 3


def test_a_verdict_can_be_written_as_json_and_shown_as_a_table(fleet_of, detector_of, tmp_path):
    fleet = fleet_of()
    verdict = judge(fleet, detector_of(fleet), detector_of(fleet, other=True))
    write_json(tmp_path / "verdict.json", asdict(verdict))
    assert json.loads((tmp_path / "verdict.json").read_text())["reason"] == verdict.reason
    cells = verdict.cells()
    assert [row[0] for row in cells] == ["", "challenger", "pca", "champion"]
    assert {len(row) for row in cells} == {7}
    assert cells[1][1] == "0 of 0"
    assert cells[1][-1] == "-"
