"""Public sets become the data layout: hand-made files in each format, then the real ones where they are."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings import datasets
from offbeat.readings.datasets import DATASETS, fetch


def shared_data() -> Path:
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the public sets are not on this machine (shared/data beside the repository)")
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def rows_of(folder: Path, asset: str) -> int:
    return len(lines(folder / "readings" / f"{asset}.csv")) - 1


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "data"


def tiny_nab(folder: Path) -> Path:
    hours = "".join(f"2020-01-01 {hour:02d}:00:00,{hour}.5\n" for hour in range(9))
    write(folder / "real" / "oven.csv", f"timestamp,value\n{hours}")
    windows = {"real/oven.csv": [["2020-01-01 03:00:00.000000", "2020-01-01 05:00:00.000000"]]}
    write(folder / "combined_windows.json", json.dumps(windows))
    return folder


SKAB_HEADER = "datetime;Current;Pressure;anomaly;changepoint\n"


def skab_rows(count: int, anomalous: set[int]) -> str:
    times = pd.date_range("2020-03-09 10:00:00", periods=count, freq="s")
    return "".join(f"{time};1.5;{row};{float(row in anomalous)};0.0\n" for row, time in enumerate(times))


def tiny_servers(folder: Path) -> Path:
    write(folder / "web-1_train.csv", "m0,m1\n" + "0.1,0.2\n" * 5)
    write(folder / "web-1_test.csv", "m0,m1\n" + "0.3,0.4\n" * 4)
    write(folder / "web-1_test_label.csv", "label\n0\n1\n1\n0\n")
    return folder


def tiny_msl(folder: Path) -> Path:
    for part, count in (("train", 3), ("test", 6)):
        write(folder / part / "X-1.csv", "telemetry,cmd_1\n" + "0.25,1\n" * count)
    write(
        folder / "labeled_anomalies.csv",
        'chan_id,spacecraft,anomaly_sequences,class,num_values\nX-1,MSL,"[[4, 5], [1, 2]]","[point, contextual]",6\n',
    )
    return folder


def tiny_tep(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "d00.dat", np.ones((52, 500)))
    np.savetxt(folder / "d07_te.dat", np.full((170, 52), 2.0))
    return folder


def test_nab_windows_become_labels_and_the_first_quarter_is_for_training(tmp_path: Path, out: Path) -> None:
    fetch("nab", out, tiny_nab(tmp_path / "nab"))
    assert lines(out / "readings" / "oven.csv")[:2] == ["timestamp,value", "2020-01-01T00:00:00Z,0.5"]
    assert lines(out / "labels.csv") == [
        "asset,start,end,kind",
        "oven,2020-01-01T03:00:00Z,2020-01-01T05:00:00Z,anomaly",
    ]
    # (9 - 1) // 4 = 2
    assert lines(out / "splits.csv") == ["asset,test_start", "oven,2020-01-01T02:00:00Z"]
    assert lines(out / "exclude.csv") == ["asset,start,end,reason"]


def test_nab_takes_a_single_file_with_the_windows_above_it(tmp_path: Path, out: Path) -> None:
    fetch("nab", out, tiny_nab(tmp_path / "nab") / "real" / "oven.csv")
    assert [path.name for path in (out / "readings").iterdir()] == ["oven.csv"]


def test_nab_keeps_the_first_row_of_a_repeated_instant_and_says_so(tmp_path: Path, out: Path) -> None:
    source = tiny_nab(tmp_path / "nab")
    with (source / "real" / "oven.csv").open("a") as file:
        file.write("2020-01-01 08:00:00,99\n")
    notes = fetch("nab", out, source)
    assert lines(out / "readings" / "oven.csv")[-1] == "2020-01-01T08:00:00Z,8.5"
    assert "oven: 1 rows repeat an instant and are left out" in notes


def test_nab_file_without_an_entry_in_the_windows_is_named(tmp_path: Path, out: Path) -> None:
    source = tiny_nab(tmp_path / "nab")
    write(source / "combined_windows.json", "{}")
    with pytest.raises(ReadingsError, match=r"combined_windows\.json.*real/oven\.csv"):
        fetch("nab", out, source)
    assert not out.exists()


def test_nab_without_windows_says_where_they_belong(tmp_path: Path, out: Path) -> None:
    (tiny_nab(tmp_path / "nab") / "combined_windows.json").unlink()
    with pytest.raises(ReadingsError, match=r"needs combined_windows\.json"):
        fetch("nab", out, tmp_path / "nab")


def test_skab_runs_of_anomalous_rows_become_spans(tmp_path: Path, out: Path) -> None:
    write(tmp_path / "skab" / "valve9" / "3.csv", SKAB_HEADER + skab_rows(410, {402, 403, 404, 408}))
    fetch("skab", out, tmp_path / "skab")
    assert lines(out / "labels.csv")[1:] == [
        "valve9-3,2020-03-09T10:06:42Z,2020-03-09T10:06:44Z,anomaly",
        "valve9-3,2020-03-09T10:06:48Z,2020-03-09T10:06:48Z,anomaly",
    ]
    # row 400 is 6 minutes 40 seconds after the first
    assert lines(out / "splits.csv")[1:] == ["valve9-3,2020-03-09T10:06:40Z"]
    assert lines(out / "readings" / "valve9-3.csv")[0] == "timestamp,Current,Pressure"


def test_skab_run_spans_missing_seconds(tmp_path: Path, out: Path) -> None:
    text = "".join(f"2020-03-09 10:00:0{second};1;2;{flag};0\n" for second, flag in ((0, 0), (1, 1), (4, 1), (5, 0)))
    write(tmp_path / "rig" / "1.csv", SKAB_HEADER + text)
    fetch("skab", out, tmp_path / "rig")
    assert lines(out / "labels.csv")[1:] == ["rig-1,2020-03-09T10:00:01Z,2020-03-09T10:00:04Z,anomaly"]


def test_skab_file_without_labels_has_no_test_span(tmp_path: Path, out: Path) -> None:
    write(tmp_path / "skab" / "calm" / "calm.csv", "datetime;Current\n2020-03-09 10:00:00;1\n2020-03-09 10:00:01;2\n")
    fetch("skab", out, tmp_path / "skab")
    assert rows_of(out, "calm") == 2
    assert not (out / "splits.csv").exists()


def test_msl_parts_stand_a_day_apart_and_labels_count_from_the_test_part(tmp_path: Path, out: Path) -> None:
    fetch("msl", out, tiny_msl(tmp_path / "msl"))
    # training ends at 00:02 on the 1st; the midnight after is the 2nd, a day more the 3rd
    assert lines(out / "splits.csv")[1:] == ["X-1,2000-01-03T00:00:00Z"]
    assert lines(out / "labels.csv")[1:] == [
        "X-1,2000-01-03T00:01:00Z,2000-01-03T00:02:00Z,contextual",
        "X-1,2000-01-03T00:04:00Z,2000-01-03T00:05:00Z,point",
    ]
    assert lines(out / "readings" / "X-1.csv")[3:5] == ["2000-01-01T00:02:00Z,0.25,1", "2000-01-03T00:00:00Z,0.25,1"]


def test_msl_label_beyond_the_test_part_is_named(tmp_path: Path, out: Path) -> None:
    (tiny_msl(tmp_path / "msl") / "test" / "X-1.csv").write_text("telemetry,cmd_1\n1,1\n1,1\n1,1\n")
    with pytest.raises(ReadingsError, match=r"labeled_anomalies\.csv.*X-1.*4 to 5.*3 rows"):
        fetch("msl", out, tmp_path / "msl")


@pytest.mark.parametrize(
    ("name", "label"), [("smd", "00:01:00Z,2000-01-03T00:02:00Z"), ("asd", "00:05:00Z,2000-01-03T00:10:00Z")]
)
def test_server_metrics_use_the_true_period(name: str, label: str, tmp_path: Path, out: Path) -> None:
    notes = fetch(name, out, tiny_servers(tmp_path / "servers"))
    assert lines(out / "labels.csv")[1:] == [f"web-1,2000-01-03T{label},anomaly"]
    assert rows_of(out, "web-1") == 9
    assert any("2000-01-01" in note for note in notes)


def test_server_without_labels_or_training_part_is_told(tmp_path: Path, out: Path) -> None:
    source = tiny_servers(tmp_path / "servers")
    (source / "web-1_test_label.csv").unlink()
    write(source / "web-2_test.csv", "m0,m1\n0,0\n")
    notes = fetch("smd", out, source)
    assert any("web-2 has no training file" in note for note in notes)
    assert any("no web-1_test_label.csv" in note for note in notes)
    assert lines(out / "labels.csv") == ["asset,start,end,kind"]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("web-1_test_label.csv", "label\n0\n", r"web-1_test_label\.csv.*4 test rows, got 1"),
        ("web-1_test.csv", "m0,m9\n1,2\n", r"web-1_train\.csv.*same columns"),
        ("web-1_test.csv", "m0,m1\n1,2\n1,broken\n", r"web-1_test\.csv, line 3: column 'm1'.*broken"),
        ("web-1_train.csv", "", r"web-1_train\.csv.*cannot be read"),
        ("web-1_train.csv", "m0,m1\n", r"web-1_train\.csv has no rows"),
    ],
)
def test_malformed_server_file_is_named(file: str, text: str, words: str, tmp_path: Path, out: Path) -> None:
    write(tiny_servers(tmp_path / "servers") / file, text)
    with pytest.raises(ReadingsError, match=words):
        fetch("smd", out, tmp_path / "servers")


@pytest.mark.parametrize(
    ("ending", "text"), [("csv", "value\n" + "1\n" * 9), ("txt", "1\n" * 9), ("txt", " 1.0  1.0" + " 1" * 7)]
)
def test_ucr_file_name_gives_the_label_and_the_split(ending: str, text: str, tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / f"007_UCR_Anomaly_my_ECG_3_5_6.{ending}", text)
    fetch("ucr", out, source)
    # rows 5 and 6 counted from 1 are 4 and 5 counted from 0; rows 0, 1, 2 are for training
    assert lines(out / "labels.csv")[1:] == ["007-my_ECG,4,5,anomaly"]
    assert lines(out / "splits.csv")[1:] == ["007-my_ECG,3"]
    assert lines(out / "readings" / "007-my_ECG.csv")[0] == "index,value"
    assert rows_of(out, "007-my_ECG") == 9


def test_ucr_name_that_does_not_fit_its_rows_is_refused(tmp_path: Path, out: Path) -> None:
    source = write(tmp_path / "007_UCR_Anomaly_ECG_3_5_12.csv", "value\n" + "1\n" * 9)
    with pytest.raises(ReadingsError, match=r"007_UCR_Anomaly_ECG_3_5_12\.csv.*9 rows"):
        fetch("ucr", out, source)


def test_ims_dates_become_times_and_the_row_number_goes(tmp_path: Path, out: Path) -> None:
    write(tmp_path / "ims" / "5th_test_resmaple_10minutes.csv", ",Datetime,Bearing 1\n0,2004.02.12.10.32.39,0.5\n")
    fetch("ims_bearing", out, tmp_path / "ims")
    assert lines(out / "readings" / "5th_test.csv") == ["timestamp,Bearing 1", "2004-02-12T10:32:39Z,0.5"]


def test_unreadable_time_is_named_with_its_line(tmp_path: Path, out: Path) -> None:
    write(tmp_path / "ims" / "a.csv", ",Datetime,Bearing 1\n0,2004.02.12.10.32.39,0.5\n1,yesterday,0.5\n")
    with pytest.raises(ReadingsError, match=r"a\.csv, line 3: 'Datetime'.*yesterday"):
        fetch("ims_bearing", out, tmp_path / "ims")


def test_tep_normal_run_precedes_the_faulty_one_and_is_turned_upright(tmp_path: Path, out: Path) -> None:
    fetch("tep", out, tiny_tep(tmp_path / "tep"))
    assert rows_of(out, "d07_te") == 500 + 170
    # 500 rows of 3 minutes end at 00:57 on the 2nd; the midnight after is the 3rd, a day more the 4th
    assert lines(out / "splits.csv")[1:] == ["d07_te,2000-01-04T00:00:00Z"]
    # 160 rows of 3 minutes are 8 hours; the last of 170 rows is 507 minutes in
    assert lines(out / "labels.csv")[1:] == ["d07_te,2000-01-04T08:00:00Z,2000-01-04T08:27:00Z,fault_07"]


def test_tep_table_of_another_width_is_refused(tmp_path: Path, out: Path) -> None:
    np.savetxt(tiny_tep(tmp_path / "tep") / "d00.dat", np.ones((500, 51)))
    with pytest.raises(ReadingsError, match=r"d00\.dat must have 52 columns"):
        fetch("tep", out, tmp_path / "tep")


@pytest.mark.parametrize("name", list(DATASETS))
def test_empty_source_says_what_is_expected(name: str, tmp_path: Path, out: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadingsError, match="empty"):
        fetch(name, out, tmp_path / "empty")
    assert not out.exists()


def test_missing_source_and_unknown_set_are_refused(tmp_path: Path, out: Path) -> None:
    with pytest.raises(ReadingsError, match="nowhere does not exist"):
        fetch("nab", out, tmp_path / "nowhere")
    with pytest.raises(ReadingsError, match=r"must be one of nab, skab.*'yahoo'"):
        fetch("yahoo", out)


def test_full_target_is_refused_and_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "mine" / "notes.txt", "precious")
    with pytest.raises(ReadingsError, match="must be empty"):
        fetch("nab", tmp_path / "mine", tiny_nab(tmp_path / "nab"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if not dataset.pins])
def test_set_without_checksums_is_never_downloaded(name: str, out: Path) -> None:
    with pytest.raises(ReadingsError, match=rf"{DATASETS[name].commit}.*--from"):
        fetch(name, out)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def public_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in for the public address, on this machine; yields the folder it serves."""
    root = tmp_path / "public"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(datasets, "_RAW_ADDRESS", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield root
    server.shutdown()
    server.server_close()
    thread.join()


def publish(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve a tiny NAB where the real one would be, and pin its checksums."""
    top = root / DATASETS["nab"].repository / DATASETS["nab"].commit
    source = tiny_nab(top / "data")
    (top / "labels").mkdir()
    windows = (source / "combined_windows.json").rename(top / "labels" / "combined_windows.json")
    digest = hashlib.sha256((source / "real" / "oven.csv").read_bytes()).hexdigest()
    monkeypatch.setitem(DATASETS, "nab", replace(DATASETS["nab"], pins=f"\n{digest}  real/oven.csv\n"))
    text = json.dumps(json.loads(windows.read_text()), sort_keys=True)
    monkeypatch.setattr(datasets, "_NAB_WINDOWS_PIN", hashlib.sha256(text.encode()).hexdigest())
    return top


def test_download_with_the_right_checksum_is_used(
    public_server: Path, monkeypatch: pytest.MonkeyPatch, out: Path
) -> None:
    publish(public_server, monkeypatch)
    fetch("nab", out)
    assert rows_of(out, "oven") == 9
    assert len(lines(out / "labels.csv")) == 2


def test_download_with_another_checksum_is_refused(
    public_server: Path, monkeypatch: pytest.MonkeyPatch, out: Path
) -> None:
    top = publish(public_server, monkeypatch)
    write(top / "data" / "real" / "oven.csv", "timestamp,value\n2020-01-01 00:00:00,666\n")
    with pytest.raises(ReadingsError, match=r"(?s)nab could not be downloaded.*oven\.csv.*--from"):
        fetch("nab", out)
    assert not out.exists()


def test_download_with_other_windows_is_refused(
    public_server: Path, monkeypatch: pytest.MonkeyPatch, out: Path
) -> None:
    write(publish(public_server, monkeypatch) / "labels" / "combined_windows.json", '{"real/oven.csv": []}')
    with pytest.raises(ReadingsError, match="pinned windows"):
        fetch("nab", out)


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if dataset.pins])
def test_pins_are_the_checksums_of_the_original_files(name: str) -> None:
    local = shared_data() / name
    for line in DATASETS[name].pins.split("\n"):
        if line:
            digest, path = line.split(maxsplit=1)
            assert hashlib.sha256((local / path).read_bytes()).hexdigest() == digest, path


def test_real_nab_has_the_published_training_lengths(out: Path) -> None:
    fetch("nab", out, shared_data() / "nab" / "realKnownCause")
    splits = pd.read_csv(out / "splits.csv", index_col="asset")["test_start"]
    published = {
        "nyc_taxi": 2579,
        "ambient_temperature_system_failure": 1816,
        "ec2_request_latency_system_failure": 1007,
        "cpu_utilization_asg_misconfiguration": 4512,
    }
    for asset, rows in published.items():
        raw = pd.read_csv(shared_data() / "nab" / "realKnownCause" / f"{asset}.csv", parse_dates=["timestamp"])
        assert (raw["timestamp"].dt.tz_localize("UTC") < pd.Timestamp(splits[asset])).sum() == rows
    labels = pd.read_csv(out / "labels.csv")
    assert (labels["asset"] == "nyc_taxi").sum() == 5
    assert rows_of(out, "nyc_taxi") == 10320


def test_real_skab_has_one_event_per_file(out: Path) -> None:
    fetch("skab", out, shared_data() / "skab" / "valve1")
    labels = pd.read_csv(out / "labels.csv")
    assert sorted(labels["asset"]) == sorted(f"valve1-{number}" for number in range(16))
    assert rows_of(out, "valve1-0") == 1147


@pytest.mark.parametrize(
    ("name", "n_assets", "n_rows", "n_labels"),
    [
        # rows: msl 58,317 training and 73,729 test; asd 2 x (8,640 + 4,320); tep 5 x (500 + 960)
        ("msl", 27, 58317 + 73729, 36),
        ("asd", 2, 2 * 12960, 17),
        ("ims_bearing", 1, 984, 0),
        ("tep", 5, 5 * 1460, 4),
        ("ucr", 13, 201550, 13),
    ],
)
def test_real_set_keeps_every_row_and_label(name: str, n_assets: int, n_rows: int, n_labels: int, out: Path) -> None:
    notes = fetch(name, out, shared_data() / name)
    assert f"{n_assets} assets, {n_rows} rows, {n_labels} labelled events" in notes
    assert sum(rows_of(out, path.stem) for path in (out / "readings").iterdir()) == n_rows
    assert len(lines(out / "labels.csv")) - 1 == n_labels


def test_real_smd_keeps_every_labelled_row(out: Path) -> None:
    notes = fetch("smd", out, shared_data() / "smd")
    flags = pd.read_csv(shared_data() / "smd" / "machine-1-7_test_label.csv")["label"]
    labels = pd.read_csv(out / "labels.csv", parse_dates=["start", "end"])
    minutes = (labels["end"] - labels["start"]) / pd.Timedelta("1min") + 1
    assert minutes.sum() == flags.sum()
    assert any("machine-2-8 has no training file" in note for note in notes)


def test_only_the_assets_that_are_asked_for_are_written(tmp_path: Path, out: Path) -> None:
    source = tiny_nab(tmp_path / "nab")
    write(source / "real" / "mill.csv", (source / "real" / "oven.csv").read_text())
    windows = {"real/oven.csv": [], "real/mill.csv": []}
    write(source / "combined_windows.json", json.dumps(windows))
    fetch("nab", out, source, only=["mill"])
    assert [path.name for path in (out / "readings").iterdir()] == ["mill.csv"]


def test_an_asset_that_is_asked_for_and_not_there_is_refused(tmp_path: Path, out: Path) -> None:
    with pytest.raises(ReadingsError, match="asset 'mill' is not there"):
        fetch("nab", out, tiny_nab(tmp_path / "nab"), only=["oven", "mill"])
    assert not out.exists()
