"""A folder of snapshots: what is taken, what is left out and why, and what is read again."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offbeat.errors import ReadingsError
from offbeat.readings import snapshots
from offbeat.readings.features import snapshot_features
from offbeat.readings.snapshots import SnapshotFolder
from offbeat.readings.sources import ReadingsSource

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
BANDS = ((0.0, 10.0), (10.0, 50.0))
START = pd.Timestamp("2004-02-12 10:32:39")


def samples_of(k, n=100, n_sensors=2):
    return np.random.default_rng(k).standard_normal((n, n_sensors)).round(3)


def text_of(samples):
    return "".join("\t".join(map(str, row)) + "\r\n" for row in samples.tolist())


def name_of(k):
    return (START + pd.Timedelta(minutes=10 * k)).strftime("%Y.%m.%d.%H.%M.%S")


@pytest.fixture
def drop(tmp_path):
    """Write a file into the folder as if some seconds ago; a number stands for its time and usual content."""

    def drop(name, content=None, *, age_s=60.0):
        path = tmp_path / "raw" / (name_of(name) if isinstance(name, int) else name)
        path.parent.mkdir(exist_ok=True)
        content = text_of(samples_of(name if isinstance(name, int) else 0)) if content is None else content
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, (time.time() - age_s,) * 2)
        return path

    return drop


@pytest.fixture
def folder(tmp_path):
    def folder(channels=("x", "y"), **changes):
        (tmp_path / "raw").mkdir(exist_ok=True)
        settings = {"sampling_hz": 100.0, "bands_hz": BANDS, **changes}
        return SnapshotFolder("rig", tmp_path / "raw", "rig-1", channels, **settings)

    return folder


def pulled(source, state=None):
    """All readings as one frame, the reasons of refusals, and the state afterwards, which goes through JSON."""
    batches = list(source.pull(state or {}))
    after = {**(state or {})}
    for batch in batches:
        assert batch.frame.empty == bool(batch.refused)
        after |= json.loads(json.dumps(batch.mark))
    frames = [batch.frame for batch in batches if not batch.refused]
    return pd.concat(frames) if frames else None, [batch.refused for batch in batches if batch.refused], after


def test_a_snapshot_becomes_a_row_of_features(folder, drop):
    for k in (2, 0, 1):
        drop(k)
    source: ReadingsSource = folder()
    (batch,) = source.pull({})
    assert (batch.asset, batch.origin, batch.refused) == ("rig-1", f"{name_of(0)} to {name_of(2)}", "")
    assert batch.frame.index.equals(pd.DatetimeIndex([START + pd.Timedelta(minutes=10 * k) for k in range(3)]))
    assert list(batch.frame.columns[[0, 5, 6, 13]]) == [
        "x_mean_abs",
        "x_band_0_10_hz",
        "x_band_10_50_hz",
        "y_band_10_50_hz",
    ]
    expected = [snapshot_features(samples_of(k), 100, BANDS).ravel() for k in range(3)]
    np.testing.assert_array_equal(batch.frame.to_numpy(), expected)


def test_sensors_are_numbered_where_they_have_no_names(folder, drop):
    drop(0, text_of(samples_of(0, n_sensors=3)))
    frame, _, _ = pulled(folder(None, bands_hz=()))
    assert [name for name in frame.columns if name.endswith("rms")] == ["sensor-1_rms", "sensor-2_rms", "sensor-3_rms"]


def test_only_new_and_changed_files_are_read_again(folder, drop):
    drop(0), drop(1)
    _, _, state = pulled(folder())
    assert pulled(folder(), state) == (None, [], state)
    drop(2), drop(1, text_of(samples_of(7)))
    frame, refused, state = pulled(folder(), state)
    assert (list(frame.index.minute), refused) == ([42, 52], [])
    np.testing.assert_array_equal(frame["x_rms"].iloc[0], snapshot_features(samples_of(7), 100, BANDS)[0, 1])
    assert pulled(folder(), state)[0] is None


def test_a_snapshot_that_arrives_late_is_taken(folder, drop):
    drop(5)
    _, _, state = pulled(folder())
    drop(1)
    assert pulled(folder(), state)[0].index.tolist() == [START + pd.Timedelta(minutes=10)]


@pytest.mark.parametrize("n", [1, 99, 100, 101, 250])
def test_batches_are_bounded_and_in_time_order(folder, drop, n):
    for k in range(n):
        drop(k, "1 2\n" * 9 + "0 1\n")
    sizes = [len(batch.frame) for batch in folder(bands_hz=()).pull({})]
    assert sizes == [100] * (n // 100) + [n % 100] * (n % 100 > 0)
    assert pulled(folder(bands_hz=()))[0].index.tolist() == [START + pd.Timedelta(minutes=10 * k) for k in range(n)]


def test_an_empty_folder_gives_nothing(folder):
    assert pulled(folder()) == (None, [], {})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is empty"),
        (text_of(samples_of(1))[:-8], "line 100, the last, has"),
        (text_of(samples_of(1)).replace("\r\n", "\toff\r\n", 1), "line 1 has 3 columns where 2 must be"),
        ("1\t2\r\n" * 50 + "1\toff\r\n" + "1\t2\r\n" * 49, "line 51 holds 'off', which is no number"),
        ("1\t2\r\n" * 50 + "1\tnan\r\n" + "1\t2\r\n" * 49, "line 51, column 2 is nan"),
        (text_of(samples_of(1, n=89)), "it is cut off after 89 samples, the others have 100"),
        (text_of(samples_of(1))[:-3], "line 100, the last, is cut off: it has no line end, as the others do"),
        (text_of(samples_of(1, n_sensors=3)), "line 1 has 3 columns where 2 must be"),
        (b"\x1f\x8b\x08\x00", "line 1 has 1 column"),
    ],
)
def test_a_damaged_file_is_left_out_and_the_others_go_on(folder, drop, content, reason):
    for k in range(4):
        drop(k, content if k == 1 else None)
    frame, (refused,), state = pulled(folder())
    assert refused.startswith(f"{name_of(1)}: {reason}")
    assert list(frame.index.minute) == [32, 52, 2]
    assert pulled(folder(), state) == (None, [], state)


def test_a_refused_file_is_read_again_when_it_changes(folder, drop):
    drop(0), drop(1, "1 2\n3\n")
    _, _, state = pulled(folder())
    drop(1)
    frame, refused, _ = pulled(folder(), state)
    assert (list(frame.index.minute), refused) == ([42], [])


def test_a_refused_file_is_read_again_when_the_source_is_set_up_differently(folder, drop):
    drop(0), drop(1)
    frame, refused, state = pulled(folder(("x", "y", "z")))
    assert (frame, len(refused)) == (None, 2)
    frame, refused, state = pulled(folder(), state)
    assert (len(frame), refused) == (2, [])
    assert pulled(folder(bands_hz=()), state)[0] is None  # what was taken is not


def test_a_snapshot_of_nearly_as_many_samples_is_taken(folder, drop):
    drop(0), drop(1, text_of(samples_of(1, n=90)))
    frame, refused, _ = pulled(folder())
    assert (len(frame), refused) == (2, [])


def test_the_last_line_needs_no_end_where_none_has_one(folder, drop):
    drop(0, text_of(samples_of(0)).rstrip()), drop(1, text_of(samples_of(1)).rstrip())
    frame, refused, state = pulled(folder())
    assert (len(frame), refused) == (2, [])
    drop(2, text_of(samples_of(2))), drop(3, text_of(samples_of(3)).rstrip())
    frame, refused, _ = pulled(folder(), state)
    assert (len(frame), refused) == (2, [])


def test_earlier_pulls_tell_what_is_too_short(folder, drop):
    drop(0), drop(1)
    _, _, state = pulled(folder())
    drop(2, text_of(samples_of(2, n=50)))
    assert pulled(folder(), state)[1][0].startswith(
        f"{name_of(2)}: it is cut off after 50 samples, the others have 100"
    )


def test_files_must_agree_on_their_columns(folder, drop):
    for k in range(4):
        drop(k, text_of(samples_of(k, n_sensors=3 if k == 0 else 2)))
    frame, refused, state = pulled(folder(None))
    assert (len(frame), frame.shape[1]) == (3, 14)
    assert refused == [f"{name_of(0)}: it has 3 columns, the others 2: deliver it again, or remove it"]
    drop(4, text_of(samples_of(4, n_sensors=1)))
    assert "it has 1 column, the others 2" in pulled(folder(None), state)[1][0]


def test_a_name_that_is_no_time_is_refused_once(folder, drop):
    drop(0), drop("SOURCE.txt"), drop("0001.01.01.00.00.00")
    frame, refused, state = pulled(folder())
    assert len(frame) == 1
    assert refused[0].startswith(
        "0001.01.01.00.00.00: its name is no time in the form %Y.%m.%d.%H.%M.%S: rename it, or"
    )
    assert refused[1].startswith("SOURCE.txt: its name is no time")
    assert pulled(folder(), state)[1] == []


def test_names_may_have_another_form_and_an_offset_from_utc(folder, drop):
    drop("20040212T103239+0200.csv", text_of(samples_of(0)))
    frame, _, _ = pulled(folder(time_format="%Y%m%dT%H%M%S%z.csv"))
    assert frame.index.tolist() == [pd.Timestamp("2004-02-12 08:32:39")]


def test_of_two_files_of_one_instant_the_second_is_refused(folder, drop):
    twin = "2004.2.12.10.32.39"  # sorts after 2004.02.12.10.32.39
    drop(0), drop(twin, text_of(samples_of(1)))
    frame, refused, state = pulled(folder())
    reason = f"it has the time of {name_of(0)}, which was taken: correct its name, or remove it"
    assert refused == [f"{twin}: {reason}"]
    assert frame["x_rms"].tolist() == [snapshot_features(samples_of(0), 100, BANDS)[0, 1]]
    drop(twin, text_of(samples_of(1)), age_s=30)
    frame, refused, _ = pulled(folder(), state)  # nor does a later pull take it
    assert (frame, refused) == (None, [f"{twin}: {reason}"])


def test_a_damaged_file_does_not_keep_out_another_of_its_instant(folder, drop):
    drop(0, "1 2\n3\n"), drop("2004.2.12.10.32.39", text_of(samples_of(1)))
    frame, refused, _ = pulled(folder())
    assert (len(frame), len(refused)) == (1, 1)


def test_a_file_that_may_still_be_written_waits(folder, drop):
    drop(0, age_s=1), drop(1), drop(2, age_s=-3600)  # written under a clock that is an hour fast
    frame, refused, state = pulled(folder())
    assert (list(frame.index.minute), refused, name_of(0) in state) == ([42, 52], [], False)
    assert len(pulled(folder(settle_s=0.0), state)[0]) == 1


def test_a_file_that_changes_while_it_is_read_waits(folder, drop, monkeypatch):
    drop(0), drop(1)
    read = Path.read_bytes

    def read_and_grow(path):
        text = read(path)
        if path.name == name_of(0):
            path.write_bytes(text * 2)
        return text

    monkeypatch.setattr(Path, "read_bytes", read_and_grow)
    frame, refused, state = pulled(folder())
    assert (list(frame.index.minute), refused, list(state)) == ([42], [], [name_of(1)])


def test_a_file_that_cannot_be_opened_is_reported_and_tried_again(folder, drop, monkeypatch):
    drop(0), drop(1)
    read = Path.read_bytes

    def refuse(path):
        if path.name == name_of(0):
            raise PermissionError(13, "Permission denied")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        frame, refused, state = pulled(folder())
    assert (len(frame), refused) == (
        1,
        [f"{name_of(0)}: it cannot be read: Permission denied: check that you may read it"],
    )
    assert len(pulled(folder(), state)[0]) == 1


def test_a_file_too_large_for_a_snapshot_is_not_read(folder, drop, monkeypatch):
    monkeypatch.setattr(snapshots, "_LARGEST_FILE", 2000)
    drop(0), drop(1, "1 2\n" * 501)
    assert pulled(folder())[1] == [f"{name_of(1)}: it has 2,004 bytes, a snapshot at most 2,000: cut it up"]


def test_hidden_and_unfinished_files_folders_and_dead_links_are_passed_over(folder, drop, tmp_path):
    drop(0), drop(".2004.02.12.10.42.39.Xy12"), drop("2004.02.12.10.42.39.part")
    (tmp_path / "raw" / name_of(1)).mkdir()
    (tmp_path / "raw" / name_of(2)).symlink_to(tmp_path / "nothing")
    frame, refused, _ = pulled(folder())
    assert (len(frame), refused) == (1, [])


def test_no_more_files_are_read_ahead_than_the_threads_need(folder, drop, monkeypatch):
    for k in range(250):
        drop(k, "1 2\n" * 9 + "0 1\n")
    asked = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (asked.append(path.name), read(path))[1])
    batches = folder(bands_hz=(), n_threads=2).pull({})
    next(batches)
    time.sleep(0.1)
    assert 100 <= len(asked) <= 105
    batches.close()
    assert len(asked) <= 105
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rig")]


def test_a_failure_in_a_thread_ends_the_pull(folder, drop, monkeypatch):
    def fail(*_):
        raise MemoryError

    for k in range(20):
        drop(k)
    monkeypatch.setattr(snapshots, "snapshot_features", fail)
    with pytest.raises(MemoryError):
        pulled(folder())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rig")]


def test_the_number_of_threads_changes_nothing(folder, drop):
    for k in range(30):
        drop(k, "1 2\n3\n" if k % 7 == 3 else None)
    one, many = pulled(folder(n_threads=1)), pulled(folder(n_threads=5))
    pd.testing.assert_frame_equal(one[0], many[0], check_exact=True)
    assert one[1:] == many[1:]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(ReadingsError, match=r"source 'rig': .*nowhere is not a folder: make it, or correct its path"):
        list(SnapshotFolder("rig", tmp_path / "nowhere", "rig-1", None, 100.0, ()).pull({}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands_hz": ((0, 10), (10, 51))}, "band 10 to 51 Hz: a band may reach 50 Hz, half of sampling_hz=100"),
        ({"channels": ("x", "x")}, r"channels must give each sensor a name of its own, got \['x', 'x'\]"),
        ({"channels": ()}, r"channels must give .* got \[\]"),
        ({"n_threads": 0}, "n_threads must be at least 1, got 0"),
        ({"time_format": "%H.%M.%S"}, "time_format='%H.%M.%S' must hold year, month and day"),
        ({"time_format": "%Q"}, "time_format='%Q' must hold"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder, changes, message):
    with pytest.raises(ReadingsError, match=f"source 'rig': {message}"):
        folder(**changes)


def test_the_ims_snapshots_agree_with_the_published_mean_absolute_values():
    raw, published = DATA / "ims_raw", DATA / "ims_bearing" / "2nd_test_resmaple_10minutes.csv"
    if not (raw.is_dir() and published.is_file()):
        pytest.skip("needs the folders ims_raw and ims_bearing of public data beside the repository")
    bearings = ("bearing-1", "bearing-2", "bearing-3", "bearing-4")
    source = SnapshotFolder("ims", raw, "test-2", bearings, 20_000.0, ((0, 1000), (1000, 5000), (5000, 10_000)))
    frame, refused, _ = pulled(source)
    assert (len(frame), [reason.split(":")[0] for reason in refused]) == (40, ["SOURCE.txt"])
    table = pd.read_csv(published, index_col="Datetime")
    table.index = pd.to_datetime(table.index, format="%Y.%m.%d.%H.%M.%S")
    expected = table.loc[frame.index, [f"Bearing {k}" for k in (1, 2, 3, 4)]].to_numpy()
    mean_abs = frame[[f"{name}_mean_abs" for name in bearings]].to_numpy()
    np.testing.assert_allclose(mean_abs, expected, rtol=2e-4)
    # the published means leave out each file's first sample, which was taken for a header
    files = [raw / time.strftime(source.time_format) for time in frame.index]
    first = np.abs([np.loadtxt(file, max_rows=1) for file in files])
    np.testing.assert_allclose((20_480 * mean_abs - first) / 20_479, expected, rtol=1e-12)
    for name in bearings:
        bands = frame.filter(regex=f"{name}_band").sum(axis=1)
        np.testing.assert_allclose(bands, frame[f"{name}_rms"] ** 2, rtol=1e-12)
