"""What is written is there once: rows, alarms, verdicts; and what a database cannot do is said without its password."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pandas as pd
import pytest
from sqlalchemy import create_engine, text

from offbeat.errors import StoreError
from offbeat.operation import database
from offbeat.operation.store import Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def all_rows(store):
    with store.database.reading() as connection:
        return connection.execute(text("SELECT asset, stamp, score, exceeds, model FROM scores ORDER BY stamp")).all()


def spans(store, **which):
    begin = pd.Timestamp("2026-01-05", tz="UTC")
    return [tuple((when - begin) // pd.Timedelta("10min") for when in (a.first, a.last)) for a in store.alarms(**which)]


# --- rows -------------------------------------------------------------------------------------------------------------


def test_a_row_says_when_how_much_and_which_model(store, new_scores):
    assert store.write(new_scores([0, 1, 2], [0.5, float("nan"), 1.5])).n_rows == 3
    with store.database.reading() as connection:
        rows = connection.execute(text("SELECT stamp, time, score, threshold, exceeds, model FROM scores")).all()
    stamps = [1_767_571_200_000_000_000 + k * 600_000_000_000 for k in range(3)]
    assert [row.stamp for row in rows] == stamps
    assert [pd.Timestamp(row.time).tz_localize(None).minute for row in rows] == [0, 10, 20]
    assert [(r.score, r.threshold, bool(r.exceeds), r.model) for r in rows] == [
        (0.5, 1.0, False, "v1"),
        (None, 1.0, False, "v1"),
        (1.5, 1.0, True, "v1"),
    ]


def test_an_integer_index_has_no_time(store, new_scores):
    store.write(new_scores([5, 6], [2, 2], timed=False))
    [alarm] = store.alarms()
    assert (alarm.first, alarm.last) == (5, 6)
    with store.database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM scores WHERE time IS NULL")).scalar() == 2


def test_a_timestep_that_is_stored_stays_as_it_is(store, new_scores):
    store.write(new_scores([0, 1, 2], [0.5, 2, 0.5]))
    before, [alarm] = all_rows(store), store.alarms()
    assert store.write(new_scores([0, 1, 2], [9, 9, 9], model="v2")).n_rows == 0
    assert (all_rows(store), store.alarms()) == (before, [alarm])
    assert store.write(new_scores([1, 2, 3], [9, 9, 0.5], model="v2")).n_rows == 1
    assert (all_rows(store)[:3], store.alarms()) == (before, [alarm])


def test_the_last_stamps_are_those_of_the_asset_in_order(store, new_scores):
    store.write(new_scores([0, 1, 5], [0, 0, 0], timed=False))
    store.write(new_scores([2], [0], timed=False))
    store.write(new_scores([9], [0], timed=False, asset="pump-2"))
    assert store.last_stamps("pump-1", 3).tolist() == [1, 2, 5]
    assert store.last_stamps("pump-3", 3).tolist() == []


def test_a_write_that_fails_leaves_nothing(store, new_scores, monkeypatch):
    def fail(*_):
        raise RuntimeError("power cut")

    monkeypatch.setattr("offbeat.operation.store._raise", fail)
    with pytest.raises(RuntimeError):
        store.write(new_scores([0, 1], [0, 2]))
    assert all_rows(store) == []


# --- alarms -----------------------------------------------------------------------------------------------------------


def test_what_exceeds_within_merge_gap_is_the_same_alarm(store, new_scores):
    assert len(store.write(new_scores([0, 1, 2, 3], [2, 0, 0, 3])).alarms) == 1
    assert store.write(new_scores([4, 5, 6], [0, 0, 4])).alarms == ()
    [alarm] = store.alarms()
    assert spans(store) == [(0, 6)]
    assert (alarm.n_timesteps, alarm.peak_score, alarm.peak_ratio) == (7, 4, 4)
    assert alarm.weights == pytest.approx({"flow": 0.75 * 9, "temp": 0.25 * 9})  # 2 + 3 + 4 above the threshold
    assert len(store.write(new_scores([7, 8, 9, 10], [0, 0, 0, 2])).alarms) == 1
    assert spans(store) == [(10, 10), (0, 6)]


def test_an_alarm_does_not_go_from_one_segment_to_the_next(store, new_scores):
    store.write(new_scores([0, 1], [2, 2], segment=(0, 1)))
    store.write(new_scores([3, 4], [2, 2], segment=(3, 4)))
    assert spans(store) == [(3, 4), (0, 1)]


def test_an_alarm_is_that_of_its_asset(store, new_scores):
    store.write(new_scores([0], [2]))
    store.write(new_scores([1], [2], asset="pump-2"))
    assert [alarm.asset for alarm in store.alarms()] == ["pump-2", "pump-1"]
    assert [alarm.asset for alarm in store.alarms("pump-1")] == ["pump-1"]


def test_an_alarm_keeps_the_model_that_raised_it_and_counts_in_each_ones_threshold(store, new_scores):
    store.write(new_scores([0], [2]))
    store.write(new_scores([1], [6], model="v2", threshold=4.0))
    [alarm] = store.alarms()
    assert (alarm.model, alarm.peak_score, alarm.peak_ratio) == ("v1", 6, 2)


def test_what_follows_a_judged_alarm_is_an_alarm_of_its_own(store, new_scores):
    [judged] = store.write(new_scores([0, 1], [2, 2])).alarms
    store.mark(judged, "false", note="a cold start", by="Ada")
    [raised] = store.write(new_scores([2, 3], [50, 50])).alarms
    assert [(alarm.id, alarm.verdict) for alarm in store.alarms()] == [(raised, None), (judged, "false")]
    assert spans(store) == [(2, 3), (0, 1)]


def test_a_row_between_two_alarms_makes_them_one(store, new_scores):
    first, second = store.write(new_scores([0, 1, 2, 4, 5, 6], [2, 0, 0, 0, 0, 2])).alarms
    assert store.write(new_scores([3], [5])).alarms == ()
    [alarm] = store.alarms()
    assert alarm.id == first
    assert spans(store) == [(0, 6)]
    assert sum(alarm.weights.values()) == pytest.approx(9)
    assert store.mark(second, "true").id == first


def test_leading_channels_are_the_fewest_that_make_half(store, new_scores):
    store.write(new_scores([0], [2]))
    [alarm] = store.alarms()
    assert alarm.channels == (("flow", 0.75),)


def test_alarms_are_chosen_by_verdict_and_number(store, new_scores):
    ids = [store.write(new_scores([row], [2], timed=False)).alarms[0] for row in (0, 10, 20)]
    store.mark(ids[1], "true")
    assert [a.id for a in store.alarms(limit=2)] == [ids[2], ids[1]]
    assert [a.id for a in store.alarms(verdict="true")] == [ids[1]]
    assert [a.id for a in store.alarms(verdict="unmarked")] == [ids[2], ids[0]]
    with pytest.raises(StoreError, match="verdict 'wrong': must be true, false, expected or unmarked"):
        store.alarms(verdict="wrong")


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_marking_again_replaces_the_verdict_and_gives_the_one_before(store, new_scores):
    [alarm_id] = store.write(new_scores([0], [2]), NOW).alarms
    assert store.mark(alarm_id, "true", note="bearing", by="Ada", now=NOW).verdict is None
    before = store.mark(alarm_id, "false", by="Bob", now=NOW)
    assert (before.verdict, before.note, before.marked_by, before.marked_at) == ("true", "bearing", "Ada", NOW)
    [alarm] = store.alarms()
    assert (alarm.verdict, alarm.note, alarm.marked_by, alarm.raised_at) == ("false", "", "Bob", NOW)


def test_a_mark_names_an_alarm_that_is_not_there_and_a_verdict_that_is_none(store, new_scores):
    with pytest.raises(StoreError, match=r"no alarm 7 \(none was raised yet\): offbeat alarms lists them"):
        store.mark(7, "true")
    store.write(new_scores([0], [2]))
    with pytest.raises(StoreError, match=r"no alarm 7 \(they go up to 1\)"):
        store.mark(7, "true")
    with pytest.raises(StoreError, match="verdict 'maybe': must be true, false or expected"):
        store.mark(1, "maybe")


def test_only_alarms_marked_false_are_not_doubtful(store, new_scores):
    ids = [store.write(new_scores([row, row + 1], [2, 2], timed=False)).alarms[0] for row in (0, 10, 20, 30)]
    for alarm_id, verdict in zip(ids, ("false", "true", "expected"), strict=False):
        store.mark(alarm_id, verdict)
    assert [(span.asset, span.start, span.end) for span in store.doubtful_spans()] == [
        ("pump-1", 10, 11),
        ("pump-1", 20, 21),
        ("pump-1", 30, 31),
    ]
    assert [span.note for span in store.doubtful_spans()][::2] == ["alarm 2: true", "alarm 4: unmarked"]


# --- databases --------------------------------------------------------------------------------------------------------


def test_a_store_is_there_again_when_it_is_opened_again(url, new_scores):
    with Store(url) as store:
        store.write(new_scores([0], [2]))
    with Store(url) as store:
        assert len(store.alarms()) == 1


def test_a_database_with_other_tables_of_these_names_is_refused(url):
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alarms (id INTEGER PRIMARY KEY, bell TEXT)"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"table 'alarms' lacks column '\w+', so it is not offbeat's: give a database"):
        Store(url)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, only words " * 50)
    with pytest.raises(StoreError, match=r"notes.txt: file is not a database: check that"):
        Store(f"sqlite:///{tmp_path}/notes.txt")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/store.db: its folder cannot be made"):
        Store(f"sqlite:///{tmp_path}/file/store.db")


def test_a_database_that_another_holds_for_long_is_said_to_be_locked(tmp_path, new_scores):
    with Store(f"sqlite:///{tmp_path}/store.db", busy_s=0.1) as store:
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE").close()
        with pytest.raises(StoreError, match=r"store.db: database is locked: another process holds it"):
            store.write(new_scores([0], [2]))
        assert store.alarms() == []  # who reads does not wait
        other.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ada:hush@127.0.0.1:9/plant?application_name=hush", "store postgresql"),
        ("mysql://ada:hush@host/plant", "in SQLite files and in PostgreSQL: give sqlite:///FILE"),
        ("sqlite://", "in SQLite files and in PostgreSQL: give sqlite:///FILE"),
        ("hush", "cannot be read .it is not shown here.: give sqlite:///FILE or postgresql://USER"),
        ("postgresql://ada:pw@host:5432hush/plant", "cannot be read .it is not shown here.: give sqlite:///FILE"),
        ("postgresql://ada:p@hush:word@host/plant", "cannot be read .it is not shown here.: give sqlite:///FILE"),
        ("postgresql://ada:p@hush@host/plant", "can be read in several ways: in user, password and options write @"),
        ("postgresql://ada:p@ss/hush@host/plant", "can be read in several ways: .* write @ as %40 and / as %2F"),
        ("postgresql://plant/ada:hush@host/plant", "can be read in several ways"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_its_password(url, words):
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match=words) as refused:
        Store(url)
    for secret in ("hush", "ada", "ss/"):
        assert secret not in str(refused.value)


def test_who_reads_waits_for_no_writer_and_who_writes_not_for_ever(postgres_url, new_scores):
    psycopg = pytest.importorskip("psycopg")
    Store(postgres_url).close()
    with psycopg.connect(postgres_url) as other, Store(postgres_url, busy_s=0.2) as store:
        other.execute(f"SELECT pg_advisory_xact_lock({database._LOCK})")
        assert store.alarms() == []
        with pytest.raises(StoreError, match=r"lock timeout: another process holds it for long"):
            store.write(new_scores([0], [2]))


def test_no_message_shows_who_logs_in(postgres):
    stranger = postgres.replace("offbeat:hush", "stranger:hush")
    with pytest.raises(StoreError, match=r'role "\*\*\*" does not exist'):
        Store(stranger)


def test_all_that_open_a_new_file_at_once_wait_for_each_other(tmp_path):
    together = threading.Barrier(6)

    def opened(engine):
        together.wait()
        with engine.connect():
            pass
        engine.dispose()

    with ThreadPoolExecutor(6) as pool:
        for name in range(60):  # SQLite refuses one in about every tenth round
            list(pool.map(opened, [database._engine(f"sqlite:///{tmp_path}/{name}.db", 30.0)[0] for _ in range(6)]))
