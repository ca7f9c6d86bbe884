import csv
import json
from datetime import datetime
from pathlib import Path

import naive
import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.metrics import precision_recall_curve as sklearn_curve

from offbeat.detection.periods import dominant_period
from offbeat.evaluation.areas import average_precision, best_f1, precision_recall_curve, vus_pr


def shared_data() -> Path:
    return Path(__file__).resolve().parents[2].parent / "shared" / "data"


def nab(name):
    """Values and labels of a public series without its first row, as the leaderboard has it."""
    folder = shared_data() / "nab"
    if not folder.is_dir():
        pytest.skip(f"the public readings are not at {folder}")
    with (folder / f"realKnownCause/{name}.csv").open() as file:
        rows = list(csv.DictReader(file))[1:]
    times = [datetime.fromisoformat(row["timestamp"]) for row in rows]
    windows = json.loads((folder / "combined_windows.json").read_text())[f"realKnownCause/{name}.csv"]
    bounds = [[datetime.fromisoformat(end) for end in window] for window in windows]
    labels = np.array([any(start <= time <= stop for start, stop in bounds) for time in times])
    return np.array([float(row["value"]) for row in rows]), labels


def random_case(rng, n_timesteps, rounded):
    labels = np.zeros(n_timesteps, dtype=bool)
    while labels.all() or not labels.any():
        labels[:] = False
        for start in rng.integers(0, n_timesteps, 3):
            labels[start : start + rng.integers(1, 2 + n_timesteps // 6)] = True
    scores = rng.normal(size=n_timesteps) + labels
    return labels, np.round(scores, 1) if rounded else scores


CASES = [random_case(np.random.default_rng(seed), 5 + 3 * seed, seed % 2) for seed in range(30)]


def fixed_case(events):
    """2,000 timesteps that no random generator has a part in."""
    t = np.arange(2000)
    labels = np.zeros(2000, dtype=bool)
    for start, stop in events:
        labels[start:stop] = True
    noise = ((t * 7919 + t * t * 104_729) % 10_007) / 10_007
    return labels, np.round(noise + np.convolve(labels, np.ones(31) / 31, "same"), 3)


FAR_APART = [(300, 340), (900, 1000), (1600, 1601)]
CLOSE_TOGETHER = [(500, 520), (530, 560), (600, 610), (1500, 1540)]
AT_BOTH_ENDS = [(0, 25), (990, 1010), (1970, 2000)]


@pytest.mark.parametrize(
    ("events", "max_buffer", "expected"),
    [
        (FAR_APART, 0, 0.72271575),
        (FAR_APART, 1, 0.72271575),
        (FAR_APART, 20, 0.89042926),
        (FAR_APART, 100, 0.95084038),
        (CLOSE_TOGETHER, 0, 0.69067689),
        (CLOSE_TOGETHER, 20, 0.80413654),
        (CLOSE_TOGETHER, 100, 0.90157185),
        (AT_BOTH_ENDS, 0, 0.70068067),
        (AT_BOTH_ENDS, 20, 0.77367857),
        (AT_BOTH_ENDS, 100, 0.84544074),
    ],
)
def test_vus_pr_is_what_the_published_packages_give(events, max_buffer, expected):
    # TSB-AD 1.5 (evaluation.basic_metrics, RangeAUC_volume_opt, 250 thresholds) and VUS 0.0.6 (utils.metrics, the same)
    # installed for the check and run on these arrays; both gave the same eight digits.
    assert vus_pr(*fixed_case(events), max_buffer) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "period", "volume", "area"),
    [
        ("ambient_temperature_system_failure", 23, 0.10927358, 0.10690259),
        ("ec2_request_latency_system_failure", 6, 0.13650153, 0.14412936),
        ("nyc_taxi", 125, 0.10410225, 0.08801494),
    ],
)
def test_real_readings_give_the_published_packages_figures(name, period, volume, area):
    # TSB-AD 1.5 on the absolute first difference: find_length_rank (statsmodels 0.14), VUS-PR at that length, AUC-PR
    values, labels = nab(name)
    scores = np.abs(np.diff(values, prepend=values[0]))
    assert dominant_period(values) == period
    assert vus_pr(labels, scores, period) == pytest.approx(volume, abs=1e-8)
    assert average_precision(labels, scores) == pytest.approx(area, abs=1e-8)


def test_the_daily_rhythm_of_taxi_demand_is_48_half_hours():
    assert dominant_period(nab("nyc_taxi")[0], longest_lag=300) == 48


@pytest.mark.parametrize("n_thresholds", [2, 7, 250])
def test_vus_pr_agrees_with_plain_loops(n_thresholds):
    for max_buffer, (labels, scores) in enumerate(CASES[:12]):
        expected = naive.vus_pr(labels.tolist(), scores.tolist(), max_buffer, n_thresholds)
        assert vus_pr(labels, scores, max_buffer, n_thresholds) == pytest.approx(expected, abs=1e-12)


def test_vus_pr_of_five_timesteps_by_hand():
    # Events {2}; scores fall 1, 3, 2, 0, 4 in timesteps. Buffer 2 gives timesteps 1 and 3 the weight sqrt(1/2) = .7071.
    # Thresholds at all five ranks. Buffer 2, flagged so far: {1}: TP .7071, P' 1 + .7071 / 2 = 1.3536, recall .5224,
    # precision .7071; {1, 3}: TP 1.4142, P' 1.7071, recall .8284, precision .7071; then 2: TP 2.4142, recall 1, .8047.
    # Area .8284 x .7071 + .1716 x .8047 = .7239. Buffers 0 and 1 reach no neighbour: recall 1 at precision 1/3.
    area = vus_pr([0, 0, 1, 0, 0], [0.4, 0.9, 0.7, 0.8, 0.1], max_buffer=2, n_thresholds=5)
    assert area == pytest.approx((1 / 3 + 1 / 3 + 0.7239) / 3, abs=1e-4)


def test_average_precision_agrees_with_plain_loops_and_scikit_learn():
    for labels, scores in CASES:
        area = average_precision(labels, scores)
        assert area == pytest.approx(naive.average_precision(labels.tolist(), scores.tolist()), abs=1e-12)
        assert area == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def test_the_curve_is_that_of_scikit_learn_from_the_highest_score_down():
    for labels, scores in CASES:
        precision, recall, thresholds = sklearn_curve(labels, scores)
        ours = precision_recall_curve(labels, scores)
        for mine, theirs in zip(ours, (precision[:-1], recall[:-1], thresholds), strict=True):
            np.testing.assert_allclose(mine[::-1], theirs)


def test_a_thinned_curve_keeps_its_ends():
    labels, scores = fixed_case(FAR_APART)
    full, thin = precision_recall_curve(labels, scores), precision_recall_curve(labels, scores, max_points=50)
    for all_points, kept in zip(full, thin, strict=True):
        assert len(kept) == 50
        assert (kept[0], kept[-1]) == (all_points[0], all_points[-1])


def test_the_oracle_is_the_best_f1_over_all_thresholds():
    for labels, scores in CASES:
        f1, threshold = best_f1(labels, scores.astype(np.float32))
        assert f1 == pytest.approx(naive.best_f1(labels.tolist(), scores.astype(np.float32).tolist()), abs=1e-12)
        alarms = scores.astype(np.float32) > threshold
        assert 2 * (labels & alarms).sum() / (labels.sum() + alarms.sum()) == pytest.approx(f1, abs=1e-12)


@pytest.mark.parametrize("transform", [lambda x: 3 * x - 7, np.exp, lambda x: x**3])
def test_only_the_order_of_the_scores_matters(transform):
    labels, scores = fixed_case(CLOSE_TOGETHER)
    for metric in (average_precision, lambda y, s: vus_pr(y, s, 30), lambda y, s: best_f1(y, s)[0]):
        assert metric(labels, transform(scores)) == pytest.approx(metric(labels, scores), abs=1e-12)


def test_a_perfect_score_gives_one():
    for labels, _ in CASES:
        assert average_precision(labels, labels.astype(float)) == pytest.approx(1)
        assert vus_pr(labels, labels.astype(float), 25) == pytest.approx(1)
        assert best_f1(labels, labels.astype(float))[0] == pytest.approx(1)


def test_a_random_score_gives_the_share_of_labelled_timesteps():
    rng = np.random.default_rng(1)
    labels = np.zeros(20_000, dtype=bool)
    labels[5000:7000] = True
    areas = [average_precision(labels, rng.random(20_000)) for _ in range(10)]
    assert np.mean(areas) == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("labels", [np.zeros(50), np.ones(50)])
def test_areas_are_nan_where_there_is_nothing_to_rank(labels):
    scores = np.arange(50.0)
    assert np.isnan(average_precision(labels, scores))
    assert np.isnan(vus_pr(labels, scores, 5))


def test_integer_labels_and_scores_are_taken():
    assert average_precision([0, 1, 0], [1, 3, 2]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_precision([0, 1, 0], [1, np.nan, 2]), "NaN at 1 of 3, first at timestep 1: leave"),
        (lambda: vus_pr([0, 1], [1, 2, 3], 5), r"got \(2,\) and \(3,\)"),
        (lambda: vus_pr([], [], 5), "T > 0"),
        (lambda: vus_pr([0, 1], [1, 2], -1), "got -1 and 250"),
        (lambda: vus_pr([0, 1], [1, 2], 3, 1), "got 3 and 1"),
        (lambda: precision_recall_curve([0, 1, 0], [1, 2, 3], 1), "at least 2, got 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
