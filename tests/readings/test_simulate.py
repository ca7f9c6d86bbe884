"""The bundled fleet and the events put into readings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings.injection import DEFAULT_STRENGTHS, EVENT_KINDS, inject
from offbeat.readings.simulate import CHANNELS, N_ROWS, TEST_START, pump_values, simulate_fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "data"
    simulate_fleet(folder, seed=7)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.csv"))}


def readings(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        path.stem: pd.read_csv(path, parse_dates=["timestamp"], index_col="timestamp")
        for path in sorted((folder / "readings").iterdir())
    }


def labels(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "labels.csv", parse_dates=["start", "end"])


def daily_rhythm() -> np.ndarray:
    t = np.arange(600)
    rng = np.random.default_rng(5)
    return np.column_stack([np.sin(t / 23), np.cos(t / 23)]) + 0.02 * rng.standard_normal((600, 2))


def test_same_seed_writes_the_same_bytes(fleet: Path, tmp_path: Path) -> None:
    simulate_fleet(tmp_path / "again", seed=7)
    assert contents(tmp_path / "again") == contents(fleet)


def test_other_seed_writes_other_readings(fleet: Path, tmp_path: Path) -> None:
    simulate_fleet(tmp_path / "other", seed=8)
    other = contents(tmp_path / "other")
    assert other.keys() == contents(fleet).keys()
    assert all(
        other[f"readings/pump-{pump}.csv"] != contents(fleet)[f"readings/pump-{pump}.csv"] for pump in range(1, 7)
    )


def test_fleet_fits_into_the_repository(fleet: Path) -> None:
    assert sum(map(len, contents(fleet).values())) < 3_300_000


def test_six_like_pumps_have_sixty_days_of_the_same_channels(fleet: Path) -> None:
    frames = readings(fleet)
    assert list(frames) == [f"pump-{pump}" for pump in range(1, 7)]
    assert all(list(frame.columns) == list(CHANNELS) for frame in frames.values())
    assert all(
        frame.index[-1] - frame.index[0] == pd.Timedelta("60D") - pd.Timedelta("10min") for frame in frames.values()
    )


def test_every_kind_stands_at_least_twice_in_the_test_span(fleet: Path) -> None:
    events = labels(fleet)
    test_start = readings(fleet)["pump-1"].index[TEST_START]
    counts = events[events["start"] >= test_start]["kind"].value_counts()
    assert all(counts[kind] >= 2 for kind in EVENT_KINDS)
    assert counts["degradation"] == 1


def test_training_span_has_labels_and_calibration_span_none(fleet: Path) -> None:
    events = labels(fleet)
    start, span = pd.Timestamp("2026-01-05", tz="UTC"), pd.Timedelta("60D")
    assert 2 <= (events["end"] < start + 0.6 * span).sum() <= 4
    assert not ((events["end"] >= start + 0.6 * span) & (events["start"] < start + 0.8 * span)).any()


def test_labels_start_and_end_on_readings_and_never_overlap(fleet: Path) -> None:
    frames = readings(fleet)
    for asset, events in labels(fleet).groupby("asset"):
        index = frames[str(asset)].index
        ordered = events.sort_values("start")
        assert ordered["start"].isin(index).all()
        assert ordered["end"].isin(index).all()
        assert (ordered["start"].iloc[1:].to_numpy() > ordered["end"].iloc[:-1].to_numpy()).all()


def test_maintenance_is_excluded_while_the_pump_stands(fleet: Path) -> None:
    row = pd.read_csv(fleet / "exclude.csv", parse_dates=["start", "end"]).iloc[0]
    stopped = readings(fleet)[row["asset"]].loc[row["start"] : row["end"]]
    assert (stopped["speed_rpm"] == 0).sum() > 100
    assert (readings(fleet)["pump-3"]["speed_rpm"] == 0).sum() == (stopped["speed_rpm"] == 0).sum()


def test_imperfections_are_some_empty_cells_and_two_gaps(fleet: Path) -> None:
    frames = readings(fleet)
    assert [N_ROWS - len(frame) for frame in frames.values()] == [0, 72, 0, 0, 4, 0]
    assert all(0 < frame.isna().to_numpy().mean() < 0.003 for frame in frames.values())


def test_events_are_stronger_than_the_noise(fleet: Path) -> None:
    frames = readings(fleet)
    for asset, events in labels(fleet).groupby("asset"):
        z = others_explain_badly(frames[str(asset)])
        for _, event in events.iterrows():
            assert z.loc[event["start"] : event["end"]].to_numpy().max() > 6, event.to_dict()


def others_explain_badly(frame: pd.DataFrame) -> pd.DataFrame:
    """Residual of each channel from the others and their past, by least squares, in robust standard deviations."""
    scaled = frame.interpolate().bfill()
    scaled = (scaled - scaled.mean()) / scaled.std()
    past = pd.concat([scaled, *(scaled.ewm(halflife=rows).mean() for rows in (6, 12, 24, 48))], axis=1)
    residuals = {}
    for name in frame.columns:
        inputs = np.column_stack([past.drop(columns=name).to_numpy(), np.ones(len(past))])
        weights = np.linalg.lstsq(inputs[: TEST_START - 80], scaled[name].to_numpy()[: TEST_START - 80], rcond=None)[0]
        residuals[name] = (scaled[name] - inputs @ weights).abs()
    return pd.DataFrame(residuals).apply(lambda column: column / (1.4826 * column.median()))


def test_flow_follows_speed_and_temperature_lags_behind_current() -> None:
    values = pd.DataFrame(pump_values(np.random.default_rng(3)), columns=list(CHANNELS))
    assert values["flow_m3h"].corr(values["speed_rpm"]) > 0.95
    current = values["motor_current_a"]
    assert values["motor_temp_c"].corr(current.shift(12)) > values["motor_temp_c"].corr(current) > 0.5


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_injection_changes_only_its_span_and_channel(kind: str) -> None:
    values = daily_rhythm()
    kept = values.copy()
    changed = inject(values, kind, 300, 400, 1, DEFAULT_STRENGTHS[kind], np.random.default_rng(0))
    np.testing.assert_array_equal(values, kept)
    inside = np.zeros(values.shape, dtype=bool)
    inside[300:400, 1] = True
    np.testing.assert_array_equal(changed[~inside], values[~inside])
    assert np.abs(changed - values)[inside].max() > 0.3


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_injection_leaves_missing_readings_missing(kind: str) -> None:
    values = daily_rhythm()
    values[310:315, 1] = np.nan
    changed = inject(values, kind, 300, 400, 1, DEFAULT_STRENGTHS[kind], np.random.default_rng(0))
    assert np.isnan(changed[310:315, 1]).all()


def test_stuck_sensor_repeats_its_first_reading() -> None:
    values = daily_rhythm()
    changed = inject(values, "stuck_sensor", 300, 340, 0, 1.0, np.random.default_rng(0))
    assert set(changed[300:340, 0]) == {values[300, 0]}


def test_phase_shift_repeats_the_course_later() -> None:
    values = daily_rhythm()
    changed = inject(values, "phase_shift", 300, 400, 0, 0.25, np.random.default_rng(0))
    np.testing.assert_array_equal(changed[300:400, 0], values[275:375, 0])


def test_broken_correlation_stays_inside_the_range_of_the_channel() -> None:
    values = daily_rhythm()
    changed = inject(values, "broken_correlation", 300, 400, 0, 3.0, np.random.default_rng(0))
    assert values[:, 0].min() <= changed[:, 0].min()
    assert changed[:, 0].max() <= values[:, 0].max()


@pytest.mark.parametrize(
    ("kind", "start", "stop", "words"),
    [
        ("wobble", 1, 5, "wobble"),
        ("spike", 5, 5, r"\[5, 5\)"),
        ("spike", 0, 9999, "600"),
        ("phase_shift", 0, 9, "before"),
    ],
)
def test_impossible_injection_names_what_is_wrong(kind: str, start: int, stop: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        inject(daily_rhythm(), kind, start, stop, 0, 1.0, np.random.default_rng(0))


def test_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ReadingsError, match=r"must be empty.*mine\.txt"):
        simulate_fleet(tmp_path, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_empty_folder_and_leftovers_of_a_killed_run_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / ".data.partial" / "readings").mkdir(parents=True)
    simulate_fleet(tmp_path / "data", seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadingsError, match="-1"):
        simulate_fleet(tmp_path / "data", seed=-1)
