"""However readings arrive, what is stored is what one look at all of them gives."""

from dataclasses import replace

import naive
import numpy as np
import pytest

from offbeat.detection.streaming import final_rows
from offbeat.errors import ModelError, ReadingsError
from offbeat.operation.scoring import score_folder, score_new
from offbeat.operation.store import Store
from offbeat.params import changed
from offbeat.readings.conversion import to_partitions
from offbeat.readings.series import Series

# stride, delay, smoothing; as in the tests of the detector
WAYS = [(1, 0, 1), (1, 0, 4), (1, 6, 4), (2, 1, 1), (3, 4, 5), (3, 7, 2), (4, 7, 3), (8, 7, 1)]
ways = pytest.mark.parametrize(("stride", "delay", "smoothing"), WAYS)
GAPS = [(40, 42), (70, 90), (96, 101), (150, 155)]  # a short one that is filled; a segment shorter than a window


@pytest.fixture
def alarming(make_detector, make_series):
    """A detector whose threshold a fifth of normal timesteps exceed."""

    def make(timed=True, quantile=0.8, **changes):
        detector = make_detector(make_series(timed=timed), **changes)
        return detector.calibrate(make_series(timed=timed), method="quantile", quantile=quantile)

    return make


def series_of(whole, arrived):
    """The series that a file gives once some rows (T,) of a whole one have arrived."""
    frame = whole.to_frame()[arrived].dropna(how="all")
    return Series.from_frame(frame, whole.asset, period=whole.period, max_gap=whole.max_gap)


def look(twin, detector, series, model="v1"):
    twin.take(series, detector.score(series), final_rows(detector, series), detector.params.merge_gap, model)


def step(detector, series, store, since, model="v1"):
    """Score what is new; return whether there was a window to score."""
    stored = store.last_stamps(series.asset, 5000)
    if max(stop - start for start, stop in series.segments) < detector.window_size:
        with pytest.raises(ReadingsError, match="a window takes"):
            score_new(detector, series, model, stored=stored, since=since)
        return False
    store.write(score_new(detector, series, model, stored=stored, since=since))
    return True


# --- finality ---------------------------------------------------------------------------------------------------------


@ways
def test_no_later_reading_changes_a_final_score(alarming, make_series, stride, delay, smoothing):
    detector, rng = alarming(stride=stride, delay=delay, smoothing=smoothing), np.random.default_rng(0)
    whole = make_series(52, seed=1, gaps=[(20, 25)], missing=0.1)
    for stop in range(8, whole.n_timesteps - 1):
        part, values = whole.rows(0, stop), whole.values.copy()
        values[stop:] = rng.normal(0, 1000, values[stop:].shape)
        later = replace(whole, values=values)
        final = np.flatnonzero(final_rows(detector, part))
        before = detector.score(part).scores[final]
        for end in range(stop + 1, whole.n_timesteps + 1, 3):
            np.testing.assert_allclose(detector.score(later.rows(0, end)).scores[final], before, rtol=1e-6)


@ways
def test_in_a_long_segment_a_score_is_final_once_its_delay_has_passed(alarming, make_series, stride, delay, smoothing):
    detector = alarming(stride=stride, delay=delay, smoothing=smoothing)
    assert final_rows(detector, make_series(60)).sum() == 60 - delay


def test_the_head_of_a_segment_waits_until_its_last_window_has_left_it(alarming, make_series):
    detector, series = alarming(delay=2, smoothing=2), make_series(40)
    # lead 1, overlap 1: rows 0 to 5 are in no window that ends by 1 later; row 5 is in the last window until row 13
    counts = [int(final_rows(detector, series.rows(0, stop)).sum()) for stop in (8, 9, 10, 13, 14, 15)]
    assert counts == [0, 0, 1, 4, 12, 13]


def test_all_of_a_segment_is_final_once_a_later_one_begins(alarming, make_series):
    detector, series = alarming(delay=6), make_series(60, gaps=[(30, 40)])
    assert final_rows(detector, series.rows(0, 30)).sum() == 24
    assert final_rows(detector, series.rows(0, 31)).sum() == 30


# --- pieces -----------------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize(("timed", "merge_gap"), [(True, 0), (True, 9), (False, 3)])
def test_pieces_store_the_rows_and_alarms_of_the_whole(
    alarming, make_series, sqlite_url, assert_same, stride, delay, smoothing, timed, merge_gap
):
    detector = alarming(timed, stride=stride, delay=delay, smoothing=smoothing, merge_gap=merge_gap)
    whole = make_series(220, seed=1, gaps=GAPS, missing=0.3, timed=timed)
    rng, since, stop = np.random.default_rng(stride + delay), int(whole.stamps[20]), 8
    with Store(sqlite_url) as store:
        while stop < whole.n_timesteps:
            stop = min(stop + int(rng.choice([1, 2, 7, 40])), whole.n_timesteps)
            series = series_of(whole, np.arange(whole.n_timesteps) < stop)
            step(detector, series, store, since)
        twin = naive.ScoredOnce(since)
        look(twin, detector, whole)  # once, at the end
        assert_same(store, twin)
        assert len(twin.rows) > 150
        assert len(twin.alarms()) > 2


@pytest.mark.parametrize("seed", range(12))
def test_late_readings_store_the_rows_and_alarms_that_the_whole_history_gives(
    alarming, make_series, sqlite_url, assert_same, seed
):
    rng = np.random.default_rng(seed)
    stride, delay, smoothing = WAYS[seed % len(WAYS)]
    detector = alarming(stride=stride, delay=delay, smoothing=smoothing, merge_gap=int(rng.choice([0, 3, 9])))
    whole = make_series(220, seed=seed, gaps=GAPS, missing=0.2)
    n, since = whole.n_timesteps, int(whole.stamps[10])
    arrival = np.arange(n) // 9
    for start in rng.integers(12, n - 12, 6):  # stretches that come up to ten calls late
        arrival[start : start + int(rng.integers(1, 12))] += int(rng.integers(1, 10))
    twin = naive.ScoredOnce(since)
    with Store(sqlite_url) as store:
        for call in range(int(arrival.max()) + 1):
            series = series_of(whole, arrival <= call)
            if step(detector, series, store, since):
                look(twin, detector, series)
                assert_same(store, twin)
    assert len(twin.rows) > 150


@pytest.mark.parametrize("seed", range(6))
def test_rows_name_the_model_that_scored_them_and_an_alarm_runs_on_through_a_promotion(
    alarming, make_series, sqlite_url, assert_same, seed
):
    rng = np.random.default_rng(seed)
    ours = [
        alarming(quantile=quantile, stride=stride, delay=delay, smoothing=smoothing)
        for (stride, delay, smoothing), quantile in zip([(1, 6, 4), (2, 1, 1), (4, 7, 3)], (0.5, 0.8, 0.3), strict=True)
    ]
    whole = make_series(200, seed=seed, gaps=GAPS, missing=0.05)
    since = int(whole.stamps[15])
    twin = naive.ScoredOnce(since)
    with Store(sqlite_url) as store:
        for stop in [*range(12, whole.n_timesteps, 5), whole.n_timesteps]:
            which = int(rng.integers(3))
            series = whole.rows(0, stop)
            step(ours[which], series, store, since, f"v{which}")
            look(twin, ours[which], series, f"v{which}")
        assert_same(store, twin)
        assert len({row[2] for row in twin.rows.values()}) == 3


def test_a_segment_that_late_readings_join_to_another_joins_their_alarms(alarming, make_series, sqlite_url):
    detector = alarming(quantile=1e-6, merge_gap=3)  # everything scored is in alarm
    whole = make_series(60)
    arrived = np.ones(60, dtype=bool)
    arrived[30:33] = False  # one more than max_gap
    with Store(sqlite_url) as store:
        step(detector, series_of(whole, arrived), store, None)
        first, second = store.alarms()[::-1]
        arrived[31] = True
        step(detector, series_of(whole, arrived), store, None)
        [joined] = store.alarms()
        assert (joined.id, joined.first, joined.last) == (first.id, first.first, second.last)
        assert store.mark(second.id, "true").id == first.id


def test_a_first_reading_that_comes_late_and_shifts_the_grid_doubles_no_row(
    alarming, make_series, sqlite_url, stored_rows
):
    detector, whole = alarming(), make_series(60, seed=2)
    frame = whole.to_frame()
    with Store(sqlite_url) as store:
        step(detector, whole, store, None)
        early = frame.iloc[:1].set_axis(frame.index[:1] - whole.period * 1.4)
        shifted = Series.from_frame(frame._append(early).sort_index(), "pump-1", period="10min", max_gap=2)
        assert abs(shifted.stamps[1:] - whole.stamps[: len(shifted.stamps) - 1]).min() > 0
        before = len(stored_rows(store))
        step(detector, shifted, store, int(whole.stamps[0]) - whole.period.value // 2)
        assert len(stored_rows(store)) == before


def test_only_a_tail_is_scored(alarming, make_series, monkeypatch):
    detector, whole = alarming(delay=6), make_series(3000)
    scored = []
    score = type(detector).score
    monkeypatch.setattr(
        type(detector), "score", lambda self, part: scored.append(part.n_timesteps) or score(self, part)
    )
    new = score_new(detector, whole, "v1", stored=whole.stamps[:2990], since=0)
    assert new.stamps.tolist() == whole.stamps[2990:2994].tolist()
    assert scored[0] <= 10 + detector.context + 2 * detector.window_size


def test_late_readings_before_the_lookback_are_not_scored(alarming, make_series):
    detector, whole = alarming(), make_series(100)
    stored = np.delete(whole.stamps[:100], [50, 80])
    new = score_new(detector, whole, "v1", stored=stored[-40:], since=0, lookback=40)
    assert new.stamps.tolist() == [whole.stamps[80]]


def test_an_asset_begins_at_since_and_readings_that_come_late_do_not_go_before_it(alarming, make_series):
    detector, whole = alarming(), make_series(100)
    since = int(whole.stamps[30])
    assert score_new(detector, whole, "v1", since=since).stamps[0] == since
    new = score_new(detector, whole, "v1", stored=whole.stamps[40:100], since=since)
    assert new.stamps.tolist() == whole.stamps[30:40].tolist()
    moved_on = int(whole.stamps[60])  # a later model learnt from more
    assert not len(score_new(detector, whole, "v2", stored=whole.stamps[40:100], since=moved_on).stamps)


def test_readings_of_another_period_are_refused(alarming, make_series):
    with pytest.raises(ModelError, match="every 1 step"):
        score_new(alarming(), make_series(timed=False), "v1")


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A folder to which readings are written; returns its path."""

    def write(**assets):
        (tmp_path / "data" / "readings").mkdir(parents=True, exist_ok=True)
        for asset, frame in assets.items():
            frame.rename_axis("timestamp").to_csv(tmp_path / "data" / "readings" / f"{asset.replace('_', '-')}.csv")
        return tmp_path / "data"

    return write


def test_an_asset_with_a_problem_stops_no_other(alarming, make_series, folder, sqlite_url):
    frame = make_series(100).to_frame()
    path = folder(
        pump_0=frame.iloc[:5],
        pump_1=frame,
        pump_2=frame,
        pump_3=frame.astype(str).replace("1", "x", regex=True),
        pump_4=frame.rename(columns={"flow": "flux"}),
        pump_5=frame.resample("1h").mean(),
    )
    detector = alarming()
    for asset in ("pump-0", "pump-4", "pump-5"):
        detector.assets[asset] = detector.assets["pump-1"]
    with Store(sqlite_url) as store:
        scored = score_folder(detector, path, store, "v1", {"pump-1": int(make_series().stamps[50])})
        assert scored.rows == {"pump-1": 50}
        assert [alarm.id for alarm in store.alarms()[::-1]] == list(scored.alarms["pump-1"])
        assert list(scored.problems) == ["pump-0", "pump-2", "pump-3", "pump-4", "pump-5"]
        for asset, words in {
            "pump-0": "a window takes 8 timesteps",
            "pump-2": "was never calibrated",
            "pump-3": "pump-3.csv, line",
            "pump-4": "missing here: flow; unknown to it: flux",
            "pump-5": "readings every 1 h",
        }.items():
            assert words in scored.problems[asset]
        again = score_folder(detector, path, store, "v1", {})
        assert again.rows == {"pump-1": 0}


def test_irregular_readings_are_put_on_the_period_of_the_detector(alarming, make_series, folder, sqlite_url):
    whole = make_series(100)
    frame = whole.to_frame()
    frame.index = frame.index + np.random.default_rng(0).integers(-60, 60, 100).astype("m8[s]")
    with Store(sqlite_url) as store:
        assert score_folder(alarming(), folder(pump_1=frame), store, "v1", {}).rows == {"pump-1": 100}
        assert score_folder(alarming(), folder(pump_1=frame), store, "v1", {}).rows == {"pump-1": 0}


def test_a_smaller_delay_scores_at_once_what_the_model_before_waited_for(alarming, make_series):
    slow, series = alarming(delay=6), make_series(100)
    held = score_new(slow, series, "v1").stamps
    quick = replace(slow, params=changed(slow.params, {"delay": 0}))
    assert score_new(quick, series, "v2", stored=held).stamps.tolist() == series.stamps[94:].tolist()


def test_a_partitioned_data_set_is_scored_as_a_file_for_each_machine(alarming, make_series, tmp_path):
    (tmp_path / "data").mkdir()
    for asset, seed in (("pump-1", 1), ("pump-2", 2)):
        make_series(3000, asset=asset, seed=seed, gaps=GAPS).to_frame().rename_axis("timestamp").to_csv(
            tmp_path / "data" / f"{asset}.csv"
        )
    to_partitions(tmp_path / "data", tmp_path / "months")
    detector, scored = alarming(), []
    for place in ("data", "months"):
        with Store(f"sqlite:///{tmp_path / place}.db") as store:
            scored.append(score_folder(detector, tmp_path / place, store, "v1", {}))
            alarms = [(one.asset, one.first, one.last, one.peak_score) for one in store.alarms()]
            scored.append((alarms, [store.last_stamps(asset, 5000).tolist() for asset in ("pump-1", "pump-2")]))
    assert scored[:2] == scored[2:]
    assert scored[0].rows["pump-1"] > 2000
