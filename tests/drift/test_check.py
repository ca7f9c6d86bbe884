"""Each kind of drift gets its own verdict; a normal fleet stays silent; odd input is told, not raised."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from offbeat.detection.detector import Detector
from offbeat.drift.check import Drift, check, report, to_json
from offbeat.drift.period import Arrived
from offbeat.drift.verdict import AssetDrift, Figure
from offbeat.errors import ModelError
from offbeat.params import DriftParams
from offbeat.readings.series import Series

Verdict = Callable[..., Drift]


def unchanged(_values: np.ndarray) -> None:
    """Leave the readings as they are."""


def test_a_normal_fleet_is_left_in_peace(verdict_on: Verdict) -> None:
    drift = verdict_on(unchanged)
    assert [one.verdict for one in drift.assets] == ["none"] * 3
    assert (drift.verdict, drift.retrain, drift.reason) == ("none", False, "no drift")
    assert all(one.n_chunks == 7 and one.chunk == "1 d" for one in drift.assets)


def test_many_channels_that_moved_and_stayed_are_another_regime_and_ask_for_retraining(verdict_on: Verdict) -> None:
    def change(values: np.ndarray) -> None:
        values += [2.0, 30.0, 1.0]

    drift = verdict_on(change)
    assert (drift.verdict, drift.retrain) == ("regime", True)
    assert [one.verdict for one in drift.assets] == ["regime", "none", "none"]
    assert drift.reason == "the regime changed: m-0: 3 of 3 channels moved together and stayed"
    figure = drift.assets[0].channels[0].figures["mean"]
    assert figure.before == pytest.approx(50, abs=0.1)
    assert figure.now == pytest.approx(52, abs=0.1)


def shifted(values: np.ndarray) -> None:
    values[:, 2] += 0.8


def noisy(values: np.ndarray) -> None:
    values[:, 0] += np.random.default_rng(1).standard_normal(len(values))


def loose(values: np.ndarray) -> None:
    values[:, 2] = np.roll(values[:, 2], 12)


def holed(values: np.ndarray) -> None:
    values[np.random.default_rng(1).random(len(values)) < 0.2, 1] = np.nan


def frozen(values: np.ndarray) -> None:
    values[-24:, 1] = values[-25, 1]


def dead(values: np.ndarray) -> None:
    values[:, 0] = np.nan


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shifted, "temp: mean 40"),
        (noisy, "flow: spread 1."),
        (loose, "from where temp says it should be, scattered by 2.2 (before 0.27), or temp itself is off"),
        (holed, "speed: 2"),
        (frozen, "speed: 13% of its readings are stuck at one value (before: 0% at most)"),
        (dead, "flow: 100% of its readings are missing (before: 0% at most)"),
    ],
)
def test_one_channel_alone_is_a_broken_sensor_and_no_reason_to_retrain(
    verdict_on: Verdict, change: Callable[..., None], said: str
) -> None:
    drift = verdict_on(change)
    assert (drift.verdict, drift.retrain) == ("sensor", False)
    assert said in drift.assets[0].reasons[0]
    assert [one.verdict for one in drift.assets[1:]] == ["none", "none"]


def test_a_score_that_was_up_while_the_readings_came_back_is_an_anomaly(verdict_on: Verdict) -> None:
    def change(values: np.ndarray) -> None:
        values[48:96] += [6.0, -90.0, -3.0]

    drift = verdict_on(change)
    assert (drift.verdict, drift.retrain) == ("anomaly", False)
    assert drift.assets[0].reasons[0] == "the anomaly score was up"
    assert drift.assets[0].reasons[1].startswith("the readings themselves are back")


@pytest.mark.parametrize("start", [3 * 48, 3 * 48 + 24, 4 * 48, 4 * 48 + 24, 5 * 48, 5 * 48 + 24, 6 * 48])
@pytest.mark.parametrize("hours", [12, 24])
def test_an_excursion_of_all_channels_anywhere_in_the_later_half_is_no_other_regime(
    verdict_on: Verdict, start: int, hours: int
) -> None:
    def change(values: np.ndarray) -> None:
        values[start : start + 2 * hours] += np.array([1.5, 22.0, 0.75]) * (6 if hours == 24 else 9)

    drift = verdict_on(change)
    assert (drift.verdict, drift.retrain) == ("anomaly", False)


@pytest.mark.parametrize("day", [3, 4, 5])
def test_what_one_channel_did_and_does_no_longer_is_no_broken_sensor(verdict_on: Verdict, day: int) -> None:
    def out(values: np.ndarray) -> None:
        values[48 * day : 48 * day + 24, 1] += 400

    def stuck(values: np.ndarray) -> None:
        values[48 * day : 48 * day + 24, 1] = values[48 * day, 1]

    def missing(values: np.ndarray) -> None:
        values[48 * day : 48 * day + 24, 1] = np.nan

    assert verdict_on(out).assets[0].verdict == "anomaly"
    for change, words in ((stuck, "stuck at one value"), (missing, "missing")):
        one = verdict_on(change).assets[0]
        assert one.verdict in ("none", "anomaly")
        assert any(f"speed: 12% of the readings were {words}, for a while that is over" in why for why in one.reasons)


def test_a_regime_that_lasts_since_the_first_half_of_what_is_compared_stays_one(verdict_on: Verdict) -> None:
    def change(values: np.ndarray) -> None:
        values[3 * 48 + 24 :] += [6.0, 90.0, 3.0]

    assert verdict_on(change).verdict == "regime"


def test_channels_that_are_lost_together_point_to_the_recorder(verdict_on: Verdict) -> None:
    def change(values: np.ndarray) -> None:
        values[-48:, :2] = values[-49, :2]

    drift = verdict_on(change)
    assert drift.verdict == "recording"
    assert drift.assets[0].reasons[0] == "2 of 3 channels are lost together, which points to the recorder"


def test_readings_that_never_come_are_told(verdict_on: Verdict) -> None:
    def change(values: np.ndarray) -> None:
        values[1::2] = np.nan

    [reason, *_] = verdict_on(change).assets[0].reasons
    assert reason == "50% of the readings never came (before: 0% at most)"


def test_what_people_have_named_is_neither_read_nor_lost(
    detector: Detector, fleet: list[Series], params: DriftParams
) -> None:
    values, known = fleet[0].values.copy(), np.zeros(fleet[0].n_timesteps, dtype=bool)
    values[-7 * 48 :][1::2] = np.nan
    known[-60:-20] = True
    [one] = check(detector, [Arrived(fleet[0].asset, replace(fleet[0], values=values), known=known)], params).assets
    assert one.reasons[0] == "50% of the readings never came (before: 0% at most)"


def test_another_step_between_readings_is_told(verdict_on: Verdict, detector: Detector) -> None:
    drift = verdict_on(unchanged, step=detector.step // 3)
    assert drift.verdict == "recording"
    assert drift.assets[0].reasons[0] == "readings come every 10 min, the model learnt every 30 min"


def test_a_machine_that_fell_silent_is_told_by_the_others(
    detector: Detector, fleet: list[Series], params: DriftParams
) -> None:
    silent = Arrived(fleet[0].asset, fleet[0].rows(0, fleet[0].n_timesteps - 4 * 48))
    drift = check(detector, [silent, *(Arrived(one.asset, one) for one in fleet[1:])], params)
    assert drift.assets[0].verdict == "recording"
    assert drift.assets[0].reasons[0].startswith("100% of the readings never came")


def test_what_people_have_named_does_not_count(detector: Detector, fleet: list[Series], params: DriftParams) -> None:
    values, known = fleet[0].values.copy(), np.zeros(fleet[0].n_timesteps, dtype=bool)
    values[-200:-150] += 50.0
    known[-200:-150] = True
    first = Arrived(fleet[0].asset, replace(fleet[0], values=values), known=known)
    assert check(detector, [first], params).verdict == "none"
    everything = replace(first, known=np.ones_like(known))
    [one] = check(detector, [everything], params).assets
    assert (one.verdict, one.reasons[0][:16]) == ("unknown", "the later half o")


def test_too_few_later_readings_are_no_verdict(verdict_on: Verdict) -> None:
    drift = verdict_on(unchanged, stop=51 * 48)
    assert drift.verdict == "unknown"
    assert drift.assets[0].reasons == ("2 d of readings after those that the model knows, it takes 4 d",)


def test_a_machine_without_usable_readings_is_no_error(
    detector: Detector, fleet: list[Series], params: DriftParams
) -> None:
    arrived = [Arrived("m-0", None, problem="m-0.csv: column 'flow' must hold numbers"), Arrived("new", fleet[1])]
    drift = check(detector, arrived, params)
    assert [one.verdict for one in drift.assets] == ["recording", "unknown"]
    assert report(drift).startswith("readings are recorded otherwise: m-0.csv: column 'flow' must hold numbers\n")
    assert "new: the model does not know it: calibrate" in report(drift)


def test_machines_of_which_the_same_is_said_share_a_line_and_long_names_are_shortened() -> None:
    assets = tuple(AssetDrift(f"{'a' * 100}-{k}", "unknown", ("nothing came",)) for k in range(6))
    text = report(Drift("unknown", assets, {}))
    assert text.count(": nothing came") == 2  # in the verdict and below the table
    assert " and 2 more: nothing came" in text
    assert all(len(line) < 120 for line in text.splitlines() if line.startswith("aaaa") and "nothing" not in line)


def test_the_largest_move_has_no_sign() -> None:
    lower = AssetDrift("m", "none", (), score=Figure(1.0, 0.5, -0.7))
    assert lower.largest == (0.7, "anomaly score")


def test_a_model_without_a_reference_says_how_to_get_one(
    detector: Detector, fleet: list[Series], params: DriftParams
) -> None:
    bare = {name: replace(one, reference=None) for name, one in detector.assets.items()}
    with pytest.raises(ModelError, match=r"carries no reference.*train it again"):
        check(replace(detector, assets=bare), [Arrived(fleet[0].asset, fleet[0])], params)


def test_a_check_does_not_depend_on_what_lies_before_the_period(
    detector: Detector, fleet: list[Series], params: DriftParams
) -> None:
    whole = check(detector, [Arrived(one.asset, one) for one in fleet], params)
    later = check(detector, [Arrived(one.asset, one.rows(49 * 48, one.n_timesteps)) for one in fleet], params)
    for one, other in zip(whole.assets, later.assets, strict=True):
        assert repr(one) == repr(other)  # with NaN, which equals nothing


def test_of_many_timesteps_only_every_so_manieth_chunk_is_scored(
    detector: Detector, fleet: list[Series], params: DriftParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = params.model_copy(update={"days": 12.0})
    all_of_them = check(detector, [Arrived(one.asset, one) for one in fleet], longer)
    monkeypatch.setattr("offbeat.drift.period.MOST_SCORED", 200)
    some = check(detector, [Arrived(one.asset, one) for one in fleet], longer)
    for one, other in zip(all_of_them.assets, some.assets, strict=True):
        assert one.score is not None
        assert other.score is not None
        assert other.score.now == pytest.approx(one.score.now, rel=0.2)
        assert repr(one.channels) == repr(other.channels)  # with NaN, which equals nothing


def test_the_report_shows_each_machine_and_json_can_hold_it(verdict_on: Verdict) -> None:
    drift = verdict_on(shifted)
    text = report(drift)
    assert text.startswith("a sensor is broken: m-0: temp: mean 40")
    assert "What to do: look at the sensor and mend it" in text
    content = json.loads(json.dumps(to_json(drift, {"version": "1"})))
    assert content["verdict"] == "sensor"
    assert content["assets"][0]["channels"][2]["figures"]["mean"]["move"] > 1


def test_readings_without_time_are_compared_by_timesteps(
    make_detector: Callable[..., Detector], make_series: Callable[..., Series], params: DriftParams
) -> None:
    detector = make_detector(make_series(4000, timed=False))
    later = make_series(6000, timed=False)
    normal = check(detector, [Arrived("pump-1", later)], params)
    assert normal.verdict == "none"
    # of 4,000 rows a forty-eighth, and a quarter of those forty-nine at most
    assert (normal.assets[0].chunk, normal.assets[0].n_chunks) == ("83 steps", 12)
    moved = replace(later, values=later.values + np.array([3.0, 45.0, 1.5]) * (np.arange(6000) > 5000)[:, None])
    assert check(detector, [Arrived("pump-1", moved)], params).verdict == "regime"


def test_of_many_machines_the_worst_are_shown_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offbeat.drift.check.MOST_ROWS", 2)
    assets = [AssetDrift(f"m-{k}", verdict, ("why",)) for k, verdict in enumerate(["none", "none", "regime", "sensor"])]
    told = report(Drift("regime", tuple(assets), {}))
    rows = [line.split()[0] for line in told.splitlines() if line.startswith("m-")]
    assert rows[:2] == ["m-2", "m-3"]
    assert "m-0" not in told
    assert "and 2 machines more, no worse" in told
