"""Readings that came in: what no longer fits the model is told, never raised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.detection.detector import Detector
from offbeat.drift.arrival import read_arrived
from offbeat.drift.check import check
from offbeat.errors import ModelError, ReadingsError
from offbeat.params import DriftParams
from offbeat.readings.conversion import to_partitions
from offbeat.readings.series import Series


@pytest.fixture
def folder(fleet: list[Series], tmp_path: Path) -> Path:
    (tmp_path / "readings").mkdir()
    for one in fleet:
        one.to_frame().rename_axis("timestamp").to_csv(tmp_path / "readings" / f"{one.asset}.csv")
    return tmp_path


def rewrite(folder: Path, change: object) -> None:
    path = folder / "readings" / "m-0.csv"
    change(pd.read_csv(path, index_col=0, parse_dates=True)).to_csv(path, index_label="timestamp")  # type: ignore[operator]


def first(detector: Detector, folder: Path, params: DriftParams) -> tuple[str, str]:
    """Return the verdict on the first machine and its first reason."""
    one = check(detector, read_arrived(detector, [folder]), params).assets[0]
    return one.verdict, (*one.reasons, "")[0]


def test_a_folder_of_normal_readings_is_left_in_peace(detector: Detector, folder: Path, params: DriftParams) -> None:
    assert first(detector, folder, params) == ("none", "")


def test_only_later_readings_are_put_on_the_grid(detector: Detector, folder: Path, fleet: list[Series]) -> None:
    [one, *_] = read_arrived(detector, [folder])
    reference = detector.assets["m-0"].reference
    assert reference is not None
    assert one.series is not None
    assert one.step == detector.step
    assert one.series.stamps[0] > reference.until - 3 * 86_400_000_000_000
    assert one.series.stamps[-1] == fleet[0].stamps[-1]


def test_a_channel_that_is_gone_is_a_broken_sensor(detector: Detector, folder: Path, params: DriftParams) -> None:
    rewrite(folder, lambda frame: frame.drop(columns="speed"))
    said = "speed: 100% of its readings are missing (before: 0% at most)"
    assert first(detector, folder, params) == ("sensor", said)


def test_a_channel_that_is_empty_is_a_broken_sensor(detector: Detector, folder: Path, params: DriftParams) -> None:
    rewrite(folder, lambda frame: frame.assign(speed=np.nan))
    assert first(detector, folder, params)[0] == "sensor"


def test_a_channel_that_is_new_is_named_and_left_out(detector: Detector, folder: Path, params: DriftParams) -> None:
    rewrite(folder, lambda frame: frame.assign(oil=1.0))
    assert first(detector, folder, params) == ("none", "columns that the model does not know are left out: oil")


@pytest.mark.parametrize(("rate", "said"), [(2, "every 1 h"), (0.5, "every 15 min")])
def test_readings_that_come_at_another_rate_are_told(
    detector: Detector, folder: Path, params: DriftParams, rate: float, said: str
) -> None:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        later = frame.index >= frame.index[-9 * 48]
        other = frame[later].iloc[::2] if rate == 2 else frame[later].resample("15min").interpolate()
        return pd.concat([frame[~later], other])

    rewrite(folder, change)
    verdict, _ = first(detector, folder, params)
    reasons = check(detector, read_arrived(detector, [folder]), params).assets[0].reasons
    assert verdict == "recording"
    assert any(f"readings come {said}, the model learnt every 30 min" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timestamp,flow,speed,temp\n2026-03-05T00:00:00Z,on,1,2\n", "must hold numbers"),
        ("timestamp,flow,speed,temp\n", "holds no readings"),
        ("timestamp,a,b\n2026-03-05T00:00:00Z,1,2\n", "none of the model's channels flow, speed, temp is there"),
        ("row,flow,speed,temp\n0,1,2,3\n1,1,2,3\n", "indexed by whole numbers, the model learnt from times"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_verdict(
    detector: Detector, folder: Path, params: DriftParams, text: str, said: str
) -> None:
    (folder / "readings" / "m-0.csv").write_text(text)
    verdict, reason = first(detector, folder, params)
    assert verdict == "recording"
    assert said in reason


def test_a_file_of_one_later_row_is_silence(detector: Detector, folder: Path, params: DriftParams) -> None:
    rewrite(folder, lambda frame: frame.iloc[: 50 * 48])
    verdict, reason = first(detector, folder, params)
    assert verdict == "recording"
    assert reason.startswith("100% of the readings never came")


def test_a_machine_whose_file_is_gone_is_told_and_its_labels_are_no_error(
    detector: Detector, folder: Path, params: DriftParams
) -> None:
    (folder / "readings" / "m-1.csv").unlink()
    (folder / "labels.csv").write_text("asset,start,end,kind\nm-1,2026-01-06T00:00:00Z,2026-01-07T00:00:00Z,level\n")
    drift = check(detector, read_arrived(detector, [folder]), params)
    assert [(one.asset, one.verdict) for one in drift.assets] == [
        ("m-0", "none"),
        ("m-2", "none"),
        ("m-1", "recording"),
    ]
    assert drift.assets[2].reasons == (f"there is no file of it in {folder.name} any more",)
    assert [one.asset for one in read_arrived(detector, [folder / "readings" / "m-0.csv"])] == ["m-0"]


def test_a_folder_of_other_machines_is_told_as_such(detector: Detector, folder: Path, params: DriftParams) -> None:
    for k in range(3):
        (folder / "readings" / f"m-{k}.csv").rename(folder / "readings" / f"other-{k}.csv")
    with pytest.raises(ModelError, match="carries no reference of these machines"):
        check(detector, read_arrived(detector, [folder]), params)


def test_labelled_events_are_no_drift_and_alarms_that_nobody_judged_are(
    detector: Detector, folder: Path, params: DriftParams
) -> None:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.iloc[-160:, :] += [4.0, 60.0, 2.0]
        return frame

    rewrite(folder, change)
    assert first(detector, folder, params)[0] == "regime"
    start = pd.read_csv(folder / "readings" / "m-0.csv")["timestamp"].iloc[-160]
    span = f"asset,start,end,kind\nm-0,{start},2026-04-01T00:00:00Z,"
    (folder / "alarms.csv").write_text(span.replace("kind", "verdict") + "\n")
    assert first(detector, folder, params)[0] == "regime"
    (folder / "labels.csv").write_text(span + "level\n")
    assert first(detector, folder, params)[0] in ("none", "unknown")


def test_single_files_are_read_without_labels(detector: Detector, folder: Path) -> None:
    assert [one.asset for one in read_arrived(detector, [folder / "readings" / "m-1.csv"])] == ["m-1"]
    with pytest.raises(ReadingsError, match="does not exist"):
        read_arrived(detector, [folder / "nothing"])
    with pytest.raises(ReadingsError, match="is given twice"):
        read_arrived(detector, [folder / "readings" / "m-1.csv"] * 2)


def test_a_partitioned_data_set_holds_the_same_readings(detector: Detector, folder: Path, tmp_path: Path) -> None:
    to_partitions(folder, tmp_path / "out" / "months")
    found = read_arrived(detector, [tmp_path / "out" / "months"])
    for one, other in zip(found, read_arrived(detector, [folder]), strict=True):
        assert (one.asset, one.problem, one.step) == (other.asset, other.problem, other.step)
        assert one.series is not None
        assert other.series is not None
        np.testing.assert_array_equal(one.series.values, other.series.values)
