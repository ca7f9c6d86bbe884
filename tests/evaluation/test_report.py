"""The page says what metrics.json says, in few digits, and holds nothing that is markup from outside."""

import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from evaluated import evaluated_of, with_fault

from offbeat.evaluation.drawn import histogram, numbers, on_axis, significant
from offbeat.evaluation.places import Place, band_levels, places_of, worth_detail
from offbeat.evaluation.report import report, write_report
from offbeat.evaluation.words import about, verdict
from offbeat.readings.features import feature_names

N = 400
FAULT, MISSED, ALARM = (340, 352), (376, 380), (360, 366)
NAME = "</script><script>alert(1)</script> & 'é' \"漢字\" ${x} {{data}} %{y} " + "x" * 150


def head_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def block_of(page, k):
    packed = re.search(rf'id="asset-{k}">(.*?)</script>', page, re.DOTALL)[1]
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture
def fleet(make_series):
    """Two machines: one with a fault that is found, one that is missed and a false alarm; one without any label."""
    first = with_fault(with_fault(make_series(N), *FAULT), *ALARM)
    return [first, make_series(N, asset="pump-2", seed=2, missing=0.05)]


@pytest.fixture
def evaluated(graph, fleet):
    return evaluated_of(graph, fleet, labels=[("pump-1", *FAULT), ("pump-1", *MISSED)])


@pytest.fixture
def page(evaluated):
    return report(evaluated)


# --- figures ----------------------------------------------------------------------------------------------------------


def test_the_metrics_of_the_page_are_those_of_the_replays(page, evaluated):
    head = head_of(page)
    for asset in head["assets"]:
        replay = evaluated.own[asset["asset"]]
        assert asset["threshold"] == replay.threshold.value
        for key, value in replay.metrics.items():
            assert asset["metrics"][key] == (None if np.isnan(value) else value), key
    assert head["methods"][head["method"]]["n_events"] == 2
    assert set(head["methods"]) == {"lstm_autoencoder", "pca", "moving_average", "random"}


def test_the_listed_alarms_and_missed_events_are_those_that_the_metrics_count(page, evaluated):
    for k, asset in enumerate(head_of(page)["assets"]):
        metrics = evaluated.own[asset["asset"]].metrics
        verdicts = [place["verdict"] for place in block_of(page, k)["places"]]
        assert verdicts.count("false") == metrics["false_alarms"]
        assert verdicts.count("found") == metrics["n_alarms"] - metrics["false_alarms"]
        assert verdicts.count("missed") == metrics["n_events"] - metrics["n_events_found"]
        assert len(asset["wrong"]) == verdicts.count("false") + verdicts.count("missed")
    assert evaluated.own["pump-1"].metrics["n_events_found"] == 1


def test_alarms_before_the_test_span_and_in_excluded_readings_are_listed_and_not_judged(graph, make_series):
    faulty = with_fault(with_fault(make_series(N), 100, 110), *FAULT)
    evaluated = evaluated_of(graph, [faulty], exclude=[("pump-1", 330, 360)])
    [result] = evaluated.results
    places = places_of(result, evaluated.own["pump-1"].judged)
    assert evaluated.own["pump-1"].metrics["n_alarms"] == sum(place.verdict == "false" for place in places)
    outside = [place for place in places if place.verdict == "outside"]
    for rows in ((100, 110), FAULT):
        assert any(place.start < rows[1] and rows[0] < place.stop for place in outside)


def test_an_alarm_shows_what_was_read_and_what_the_model_expected(page, evaluated, fleet):
    [place] = [place for place in block_of(page, 0)["places"] if place["verdict"] == "found"]
    assert place["shares"][0]["channel"] == "flow"  # where the fault is
    assert sum(one["share"] for one in place["shares"]) == pytest.approx(1, abs=1e-3)
    shown = place["detail"]
    first = round((shown["first"] - on_axis(fleet[0].stamps[0], True)) / 600_000)
    rows = slice(first, first + len(shown["offsets"]))
    np.testing.assert_allclose(shown["readings"][0], fleet[0].values[rows, 0], atol=0.01)
    expected = evaluated.detector.estimates(fleet[0], evaluated.detector.assets["pump-1"].scaling)
    np.testing.assert_allclose(shown["estimates"][0], expected[rows, 0], atol=0.01)


def test_details_go_to_the_test_spans_first_then_to_the_strongest_of_the_fleet_while_there_is_room(evaluated):
    results = [
        replace(result, threshold=threshold) for result, threshold in zip(evaluated.results, (2.0, 20.0), strict=True)
    ]
    scores = np.zeros(N)
    scores[[100, 200, 300]] = 9.0, 4.0, np.nan
    results = [replace(result, scores=scores) for result in results]
    short, long = Place(200, 201, "false"), Place(98, 102, "missed")  # 97 and 100 rows, of 3 channels, twice
    places = [[Place(100, 101, "outside"), short], [long, Place(300, 301, "found")]]
    needs = [6 * n for n in (97, 100, 97, 97)]  # in thresholds: 4 / 2, 9 / 20, none, and last what is not judged
    for n, kept in enumerate([[set(), set()], [{1}, set()], [{1}, {0}], [{1}, {0, 1}], [{0, 1}, {0, 1}]]):
        assert worth_detail(places, results, sum(needs[:n])) == kept
        assert worth_detail(places, results, sum(needs[: n + 1]) - 1) == kept or n == 4


def test_the_details_hold_as_many_numbers_as_they_were_given_room_for(evaluated, page):
    places = [places_of(result, evaluated.own[result.asset].judged) for result in evaluated.results]
    [place, *_] = [place for place in block_of(page, 0)["places"] if place["verdict"] == "found"]
    numbers_of = sum(len(column) for key in ("readings", "estimates") for column in place["detail"][key])
    [k] = [k for k, one in enumerate(places[0]) if one.verdict == "found"]
    assert worth_detail([[places[0][k]]], evaluated.results[:1], numbers_of) == [{0}]
    assert worth_detail([[places[0][k]]], evaluated.results[:1], numbers_of - 1) == [set()]


def test_writing_the_page_tells_how_far_it_is(evaluated):
    steps = []
    report(evaluated, steps.append)
    assert [(step.work, step.done, step.total) for step in steps] == [("writing the page", n, 2) for n in range(3)]


def test_the_histogram_and_the_curve_are_of_the_scores(page, evaluated):
    block, replay = block_of(page, 0), evaluated.own["pump-1"]
    calibration, normal, labelled = block["histogram"]["groups"]
    assert labelled["n"] == replay.metrics["n_labelled"] == 16
    assert normal["n"] == replay.metrics["n_timesteps"] - 16
    assert calibration["n"] > 0
    for group in (calibration, normal, labelled):
        assert sum(group["shares"]) == pytest.approx(1, abs=0.01)
    assert block["curve"] == [list(point) for point in evaluated.curves["pump-1"]]
    assert block_of(page, 1)["curve"] == []


def test_the_same_evaluation_gives_the_same_page(evaluated, page, tmp_path):
    write_report(tmp_path / "report.html", evaluated)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_lineage_tells_readings_params_model_and_thresholds_apart(page, evaluated):
    lineage = head_of(page)["lineage"]
    assert lineage["data_hash"] == "1a" * 32
    before = lineage["thresholds_hash"]
    evaluated.detector.calibrate(evaluated.fleet[0].series, false_alarms_per_week=60.0)
    after = head_of(report(evaluated))["lineage"]
    assert after["thresholds_hash"] != before
    assert after["model_hash"] == lineage["model_hash"]


# --- what is missing --------------------------------------------------------------------------------------------------


def test_without_labels_without_time_and_without_epochs_there_is_a_page(graph, make_series):
    page = report(evaluated_of(graph, [make_series(N, timed=False, missing=0.1, gaps=[(50, 80)])], epochs=[]))
    head = head_of(page)
    assert not head["isTime"]
    assert (head["epochs"], head["unit"]) == ([], "10000_timesteps")
    assert "No event is labelled" in head["about"]["result"]
    assert "3 channels, one a step, from" in head["about"]["trained"]
    assert head["assets"][0]["first"] == 7
    assert None in block_of(page, 0)["readings"][0]


def test_stretches_too_short_for_a_window_are_told(graph, make_series):
    series = make_series(N, gaps=[(10, 20), (25, 40)])
    page = report(evaluated_of(graph, [series]))
    assert head_of(page)["assets"][0]["n_unscored"] == 5
    assert None in block_of(page, 0)["scores"]


# --- markup -----------------------------------------------------------------------------------------------------------


def test_a_name_with_markup_is_data_and_never_markup(graph, make_series):
    page = report(evaluated_of(graph, [make_series(N, asset=NAME)], doubts=["</script><b>doubt</b>"]))
    assert NAME not in page
    assert "<b>doubt" not in page
    assert head_of(page)["assets"][0]["asset"] == NAME
    assert head_of(page)["doubts"] == ["</script><b>doubt</b>"]


def test_the_page_names_no_address_that_would_be_loaded(page):
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "default-src 'none'" in page


# --- small figures ----------------------------------------------------------------------------------------------------


def test_numbers_keep_a_ten_thousandth_of_their_range():
    values = np.array([101_325.123456, np.nan, 101_335.0])  # range 9.9, so 4 digits at least
    assert numbers(values) == [101_325.1235, None, 101_335.0]
    assert numbers(np.array([5.0, 5.0])) == [5.0, 5.0]
    assert numbers(np.array([np.nan])) == [None]
    assert numbers(np.array([0.0, 3e6])) == [0.0, 3e6]


def test_significant_digits_are_kept_at_any_size():
    assert significant(np.array([1234.56, 0.000123456, -7.0, 0.0, np.nan])) == [1235.0, 0.0001235, -7.0, 0.0, None]


def test_a_histogram_counts_every_score_once_the_highest_and_the_lowest_too():
    scores = np.array([0.0, 0.5, 1.0, 1.0, 4000.0, np.nan])
    found = histogram({"a": scores, "b": np.array([])}, threshold=2.0)
    [a, b] = found["groups"]
    assert found["log"]
    assert (a["n"], b["n"]) == (5, 0)
    assert sum(a["shares"]) == pytest.approx(1)
    assert found["edges"][0] == 0.5
    assert a["shares"][0] == pytest.approx(0.4)  # 0, which has no power of ten, stands with 0.5
    assert not histogram({"a": np.array([1.0, 2.0])}, threshold=1.5)["log"]
    assert histogram({"a": np.array([np.nan])}, threshold=np.inf)["edges"] == []


def test_the_bands_of_raw_snapshots_are_read_off_the_channel_names():
    channels = feature_names(["drive end", "fan_band"], [(0, 1000), (1000, 2500.5)])
    values = np.tile(np.arange(len(channels), dtype=float), (3, 1))
    levels = band_levels(channels, values)
    assert list(levels) == ["drive end", "fan_band"]
    assert levels["drive end"] == [
        {"low": 0.0, "high": 1000.0, "energy": 5.0},  # after the five other features
        {"low": 1000.0, "high": 2500.5, "energy": 6.0},
    ]
    assert band_levels(["flow", "speed"], values[:, :2]) == {}


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("false", "promised", "days", "word", "told"),
    [
        (1, 0.2, 10.0, "kept", "1 false alarm, at most 2.0 promised for this span"),  # 2 expected
        (
            5,
            0.2,
            10.0,
            "unknown",
            "within chance",
        ),  # of a mean of 2, more than 4 come in 5.3 %, 5 in 1.7 %
        (6, 0.2, 10.0, "broken", "more than chance explains"),
        (0, 0.05, 10.0, "unknown", "too few to tell"),  # half a false alarm expected: none proves nothing
        (9, float("nan"), 10.0, "unknown", "9 false alarms, nothing promised"),
    ],
)
def test_whether_a_promise_was_kept_takes_chance_into_account(false, promised, days, word, told):
    metrics = {"false_alarms": false, "normal_days": days, "false_alarms_per_day": false / days}
    metrics |= {"promised_false_alarms_per_day": promised, "budget_false_alarms_per_day": 0.2}
    assert verdict(metrics)["is"] == word
    assert verdict(metrics)["text"].endswith(told)


def test_the_first_words_say_how_many_events_were_found(evaluated):
    head = head_of(report(evaluated))
    assert head["about"]["result"].startswith("1 of 2 labelled events found, with ")
    assert "2 assets with 3 channels, one every 10 min" in head["about"]["trained"]
    assert (
        "(conformal)"
        in about(evaluated.train, evaluated.detector, evaluated.fleet, head["methods"]["random"], 0.9)["judged"]
    )
