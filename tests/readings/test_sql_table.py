"""SQL tables: the same readings from SQLite and PostgreSQL, wide and long, once and again."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pandas as pd
import pytest
from sqlalchemy import (
    CHAR,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    MetaData,
    NullPool,
    Numeric,
    String,
    Table,
    Uuid,
    create_engine,
    make_url,
)

from offbeat.errors import ReadingsError
from offbeat.readings.asset_readings import read_frame
from offbeat.readings.assets import AssetFiles
from offbeat.readings.ingestion import ingest
from offbeat.readings.merging import Counts, merge
from offbeat.readings.pieces import Piece, checked
from offbeat.readings.sql_table import SqlTable, database_url

START = datetime(2026, 1, 5)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """Address of an empty database of each kind."""
    if request.param == "sqlite":
        yield make_url(f"sqlite:///{tmp_path / 'plant.db'}")
        return
    server = request.getfixturevalue("postgres")
    run(make_url(server).set(drivername="postgresql+psycopg"), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    yield make_url(server).set(drivername="postgresql+psycopg")


def run(url, *statements):
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def fill(url, name, columns, rows, *, make=True, schema=None):
    """Make a table and put rows into it."""
    engine = create_engine(url, poolclass=NullPool)
    table = Table(
        name, MetaData(), *(Column(*one) if isinstance(one, tuple) else one for one in columns), schema=schema
    )
    with engine.begin() as connection:
        if make:
            table.create(connection)
        if rows:
            connection.execute(table.insert(), [dict(zip(table.columns.keys(), row, strict=True)) for row in rows])
    engine.dispose()


WIDE = (("timestamp", DateTime), ("asset", String(20)), ("x", Float), ("y", Integer))
LONG = (("timestamp", DateTime), ("asset", String(20)), ("channel", String(20)), ("value", Float))


def wide_rows(n, start=0, asset="pump-1"):
    return [(START + timedelta(minutes=k), asset, k / 7, None if k % 3 else k) for k in range(start, start + n)]


def pull(source, state=None):
    """Readings of each asset that a pull gives; `state` is brought up to date."""
    pieces = {}
    for batch in source.pull(dict(state or {})):
        if len(batch.frame):
            pieces.setdefault(batch.asset, []).append(Piece("t", checked(batch.frame, batch.asset, "t")))
        if state is not None:
            state.update(batch.mark)
    return {asset: merge(None, one)[0] for asset, one in pieces.items()}


def expected(rows):
    values = [[float("nan") if value is None else value for value in row[2:]] for row in rows]
    return pd.DataFrame(values, pd.DatetimeIndex([row[0] for row in rows], tz="UTC").as_unit("ns"), ["x", "y"])


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_wide_table_gives_a_row_for_each_asset_and_timestamp(url):
    rows = [*wide_rows(10), *wide_rows(4, asset="pump-2")]
    fill(url, "readings", WIDE, rows[::-1])
    found = pull(SqlTable("s", url, "readings", chunk_rows=3))
    assert sorted(found) == ["pump-1", "pump-2"]
    pd.testing.assert_frame_equal(found["pump-1"], expected(rows[:10]), check_dtype=False, check_exact=True)
    pd.testing.assert_frame_equal(found["pump-2"], expected(rows[10:]), check_dtype=False, check_exact=True)


@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_a_long_table_gives_the_same_as_a_wide_one(url, chunk_rows):
    rows = wide_rows(10)
    long = [(row[0], row[1], name, value) for row in rows for name, value in zip("xy", row[2:], strict=True)]
    fill(url, "readings", LONG, long[::-1])
    found = pull(SqlTable("s", url, "readings", "long", chunk_rows=chunk_rows))
    pd.testing.assert_frame_equal(found["pump-1"], expected(rows), check_dtype=False, check_exact=True)


def test_channels_may_be_chosen(url):
    fill(url, "wide", (*WIDE, ("note", String(20))), [(*row, "ok") for row in wide_rows(2)])
    fill(url, "long", LONG, [(START, "a", name, 1.0) for name in ("x", "y", "z")])
    assert list(pull(SqlTable("s", url, "wide", channels=("y",)))["pump-1"]) == ["y"]
    assert list(pull(SqlTable("s", url, "long", "long", channels=("z", "x")))["a"]) == ["z", "x"]


def test_without_channels_all_columns_of_numbers_but_the_primary_key_are_read(url):
    columns = (
        Column("id", Integer, primary_key=True),
        *WIDE,
        ("note", String(20)),
        ("on", Boolean),
        ("n", Numeric(9, 3)),
    )
    fill(
        url, "readings", columns, [(1, *wide_rows(1)[0], "ok", True, 0.125), (2, *wide_rows(1, 1)[0], "ok", None, None)]
    )
    found = pull(SqlTable("s", url, "readings"))["pump-1"]
    assert list(found) == ["x", "y", "on", "n"]
    assert found[["on", "n"]].iloc[0].tolist() == [1.0, 0.125]
    assert found[["on", "n"]].iloc[1].isna().all()


def test_names_that_look_like_sql_are_names(url):
    names = ('time "of" reading', "asset; --", "sélect")
    columns = ((names[0], DateTime), (names[1], String(20)), (names[2], Float))
    fill(url, "my readings", columns, [(START, "a'); DROP TABLE x", 1.5)])
    found = pull(SqlTable("s", url, "my readings", timestamp_column=names[0], asset_column=names[1]))
    assert found["a'); DROP TABLE x"][names[2]].tolist() == [1.5]


def test_a_view_and_a_table_of_another_schema_can_be_read(postgres):
    address = make_url(postgres).set(drivername="postgresql+psycopg")
    run(address, "DROP SCHEMA IF EXISTS plant CASCADE", "CREATE SCHEMA plant")
    fill(address, "readings", WIDE, wide_rows(2), schema="plant")
    run(address, "CREATE VIEW plant.seen AS SELECT * FROM plant.readings")
    for name in ("plant.readings", "plant.seen"):
        assert len(pull(SqlTable("s", address, name))["pump-1"]) == 2


# --- timestamps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (DateTime, [START, START + timedelta(microseconds=1)]),
        (DateTime(timezone=True), [START.replace(tzinfo=UTC), START.replace(tzinfo=UTC) + timedelta(microseconds=1)]),
        (String(40), ["2026-01-05T00:00:00Z", "2026-01-05T00:00:00.000001Z"]),
        (String(40), ["2026-01-05 00:00", "2026-01-05 00:00:00.000001"]),
        (String(40), ["2026-01-05T01:00:00+01:00", "2026-01-05T01:00:00.000001+01:00"]),
        (BigInteger, [1767571200000000, 1767571200000001]),
        (BigInteger, [1767571200000000000, 1767571200000001000]),
        (Float(53), [1767571200.0, 1767571200.000001]),
        (Numeric(20, 6), ["1767571200", "1767571200.000001"]),
    ],
)
def test_times_of_every_kind_are_the_same_times(url, kind, values):
    fill(url, "readings", (("timestamp", kind), *WIDE[1:3]), [(value, "a", k) for k, value in enumerate(values)])
    source, state = SqlTable("s", url, "readings"), {}
    times = pd.DatetimeIndex(["2026-01-05T00:00:00Z", "2026-01-05T00:00:00.000001Z"])
    assert pull(source, state)["a"].index.tolist() == times.tolist()
    assert len(pull(source, state)["a"]) == 2  # within what may come late
    assert len(pull(SqlTable("s", url, "readings", late=pd.Timedelta(0)), state)["a"]) >= 1


def test_dates_are_midnights(url):
    fill(url, "readings", (("timestamp", Date), *WIDE[1:3]), [(date(2026, 1, 5), "a", 1), (date(2026, 1, 1), "a", 2)])
    source, state = SqlTable("s", url, "readings"), {}
    assert pull(source, state)["a"].index.tolist() == [pd.Timestamp("2026-01-01T00Z"), pd.Timestamp("2026-01-05T00Z")]
    assert pull(source, state)["a"].index[-1] == pd.Timestamp("2026-01-05T00Z")


def test_whole_numbers_are_an_integer_index_whose_late_is_a_number_of_steps(url):
    fill(url, "readings", (("cycle", Integer), *WIDE[1:3]), [(cycle, "a", cycle) for cycle in (7, 8, 10)])
    source, state = SqlTable("s", url, "readings", timestamp_column="cycle", late=2), {}
    assert pull(source, state)["a"].index.tolist() == [7, 8, 10]
    assert pull(source, state)["a"].index.tolist() == [8, 10]
    for known in ({}, state):
        with pytest.raises(ReadingsError, match="late is 1 d and must be a number of steps, like 'cycle'"):
            pull(SqlTable("s", url, "readings", timestamp_column="cycle"), known)


# --- once and again ---------------------------------------------------------------------------------------------------


def test_a_pull_goes_on_from_the_newest_timestamp_less_what_may_come_late(url):
    fill(url, "readings", WIDE, wide_rows(10))
    source, state = SqlTable("s", url, "readings", late=pd.Timedelta("3min")), {}
    pull(source, state)
    assert state == {"newest": {"pump-1": "2026-01-05T00:09:00+00:00"}}
    fill(url, "readings", WIDE, [*wide_rows(1, 20), *wide_rows(1, 7)], make=False)
    found = pull(source, state)["pump-1"]
    if url.get_backend_name() == "postgresql":  # SQLite keeps times as text, which are only compared by their dates
        assert found.index[0] == pd.Timestamp("2026-01-05T00:06Z")
    assert {pd.Timestamp("2026-01-05T00:07Z"), pd.Timestamp("2026-01-05T00:20Z")} <= set(found.index)
    assert state == {"newest": {"pump-1": "2026-01-05T00:20:00+00:00"}}


def test_texts_of_days_that_were_taken_are_not_read_again(tmp_path):
    address = make_url(f"sqlite:///{tmp_path / 'plant.db'}")
    rows = [(START + timedelta(days=k), "a", k, k) for k in range(30)]
    fill(address, "readings", WIDE, rows)
    source, state = SqlTable("s", address, "readings"), {}
    pull(source, state)
    assert len(pull(source, state)["a"]) == 3  # the newest day, the one that may be late, and one for offsets


def test_ingested_again_a_table_changes_nothing_but_for_late_rows(url, tmp_path):
    rows = wide_rows(10)
    fill(url, "readings", WIDE, rows[:4] + rows[6:])
    source = SqlTable("s", url, "readings")
    assert ingest(tmp_path / "data", [source]).assets == {"pump-1": Counts(new=8)}
    assert ingest(tmp_path / "data", [source]).changed is False
    fill(url, "readings", WIDE, rows[4:6], make=False)
    assert ingest(tmp_path / "data", [source]).assets == {"pump-1": Counts(new=2, unchanged=8)}
    found, _, _ = read_frame(AssetFiles.of(tmp_path / "data" / "readings" / "pump-1.csv"))
    pd.testing.assert_frame_equal(found, expected(rows), check_names=False, check_exact=True)


def test_a_pull_without_new_rows_leaves_the_state(url):
    fill(url, "readings", WIDE, wide_rows(3))
    source, state = SqlTable("s", url, "readings"), {}
    pull(source, state)
    before = dict(state)
    pull(source, state)
    assert state == before


def test_an_empty_table_gives_nothing_and_marks_nothing(url):
    for name, columns, layout in (("wide", WIDE, "wide"), ("long", LONG, "long")):
        fill(url, name, columns, [])
        state = {}
        assert pull(SqlTable("s", url, name, layout), state) == {}
        assert not state.get("newest")


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_the_backlog_of_one_machine_is_taken_however_far_the_others_have_gone_on(url, tmp_path, layout):
    columns = WIDE if layout == "wide" else LONG

    def days(asset, first, last):  # a row each hour
        hours = [START + timedelta(hours=k) for k in range(24 * first, 24 * last)]
        reading = (1.0, 2) if layout == "wide" else ("x", 1.0)
        return [(hour, asset, *reading) for hour in hours]

    source = SqlTable("s", url, "readings", layout)
    fill(url, "readings", columns, days("p1", 0, 10) + days("p2", 0, 3))
    assert ingest(tmp_path / "data", [source]).assets == {"p1": Counts(new=240), "p2": Counts(new=72)}
    # p2 comes back with what it kept, and p3 with days before any that was taken
    fill(url, "readings", columns, days("p1", 10, 11) + days("p2", 3, 10) + days("p3", -20, -10), make=False)
    counts = ingest(tmp_path / "data", [source]).assets
    assert {asset: one.new for asset, one in counts.items()} == {"p1": 24, "p2": 168, "p3": 240}


def test_each_machine_is_asked_for_from_its_own_newest_timestamp(url):
    rows = [(START + timedelta(days=k), asset, k, k) for asset, n in (("a", 90), ("b", 30)) for k in range(n)]
    fill(url, "readings", WIDE, rows)
    source, state = SqlTable("s", url, "readings"), {}
    pull(source, state)
    again = pull(source, state)
    assert [(again[asset].index[-1] - START.astimezone(UTC)).days for asset in "ab"] == [89, 29]
    assert max(map(len, again.values())) <= 3  # of texts, the newest day, the one that may be late, one for offsets


def test_many_machines_are_asked_for_in_groups(url, monkeypatch):
    monkeypatch.setattr("offbeat.readings.sql_table._ASSETS_A_QUERY", 3)
    rows = [(START + timedelta(days=10 * k), f"p{k}", k, k) for k in range(10)]
    for name, columns, kept in (
        ("wide", WIDE, rows),
        ("long", LONG, [(*row[:2], f"c{row[2] % 4}", 1) for row in rows]),
    ):
        fill(url, name, columns, kept)
        source, state = SqlTable("s", url, name, name), {}
        assert sorted(pull(source, state)) == sorted({row[1] for row in rows})
        found = pull(source, state)
        assert {asset: len(frame) for asset, frame in found.items()} == {row[1]: 1 for row in rows}
        assert all(
            list(frame) == (["x", "y"] if name == "wide" else ["c0", "c1", "c2", "c3"]) for frame in found.values()
        )


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Integer, [7, 12]),
        (BigInteger, [7, 2**40]),
        (Numeric(9, 2), ["7.25", "12"]),
        (Float(24), [0.1, 7.0]),
        (CHAR(20), ["a", "b"]),
        (String(20), [" a", "b "]),
        (Enum("a", "b", name="machine"), ["a", "b"]),
        (Uuid, [UUID(int=1), UUID(int=2)]),
    ],
)
def test_assets_of_every_kind_of_column_are_found_again(url, kind, values):
    columns, state = (WIDE[0], ("asset", kind), WIDE[2]), {}
    fill(url, "readings", columns, [(START + timedelta(days=k), value, k) for value in values for k in range(30)])
    source = SqlTable("s", url, "readings", channels=("x",))
    assert [len(frame) for frame in pull(source, state).values()] == [30, 30]
    fill(url, "readings", columns, [(START + timedelta(days=30), values[0], 30)], make=False)
    found = pull(source, state)
    assert sorted(frame["x"].max() for frame in found.values()) == [29, 30]
    assert max(map(len, found.values())) <= 4


def test_a_state_with_one_newest_timestamp_for_all_lets_everything_come_again(url):
    fill(url, "readings", WIDE, [*wide_rows(3), *wide_rows(2, asset="pump-2")])
    source, state = SqlTable("s", url, "readings"), {"newest": "2026-02-05T00:02:00+00:00"}
    assert {asset: len(frame) for asset, frame in pull(source, state).items()} == {"pump-1": 3, "pump-2": 2}
    assert sorted(state["newest"]) == ["pump-1", "pump-2"]


def test_a_row_without_an_asset_is_refused_in_every_pull(url):
    fill(url, "readings", WIDE, wide_rows(2))
    source, state = SqlTable("s", url, "readings"), {}
    pull(source, state)
    fill(url, "readings", WIDE, [(START, None, 1.0, 1)], make=False)
    with pytest.raises(ReadingsError, match="'asset' is NULL in a row"):
        pull(source, state)


def test_a_time_in_the_future_does_not_hide_the_rows_to_come(url):
    future = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=400)
    fill(url, "readings", WIDE, [*wide_rows(2), (future, "pump-1", 1.0, 1)])
    source, state = SqlTable("s", url, "readings"), {}
    assert len(pull(source, state)["pump-1"]) == 3
    assert state == {"newest": {"pump-1": "2026-01-05T00:01:00+00:00"}}
    fill(url, "readings", WIDE, wide_rows(1, 2), make=False)
    assert pd.Timestamp("2026-01-05T00:02Z") in pull(source, state)["pump-1"].index


def test_a_long_table_keeps_its_channels_when_one_is_silent(url):
    fill(url, "readings", LONG, [(START, "a", "x", 1.0), (START, "a", "y", 2.0)])
    source, state = SqlTable("s", url, "readings", "long"), {}
    pull(source, state)
    fill(url, "readings", LONG, [(START + timedelta(days=9), "a", "x", 3.0)], make=False)
    found = pull(source, state)["a"].iloc[-1]
    assert (list(found.index), found["x"], pd.isna(found["y"])) == (["x", "y"], 3.0, True)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (WIDE, [(None, "a", 1.0, 1)], "'timestamp' is NULL in a row: fill it in or delete the row"),
        (WIDE, [(START, None, 1.0, 1)], "'asset' is NULL in a row: fill it in or delete the row"),
        (WIDE[:1], [], "has no column 'asset'; there are timestamp"),
        (
            (("timestamp", String(30)), *WIDE[1:3]),
            [("05/01/2026", "a", 1.0)],
            "holds '05/01/2026'; as text, a time must be",
        ),
        (
            (("timestamp", Boolean), *WIDE[1:3]),
            [(True, "a", 1.0)],
            "'timestamp' holds numbers from|late is 1 d and must be a number of steps",
        ),
        ((*WIDE[:2], ("x", String(9))), [(START, "a", "on")], "'x' must hold numbers, got 'on' at 2026-01-05"),
    ],
)
def test_a_table_that_is_none_of_readings_is_refused(url, columns, rows, message):
    fill(url, "readings", columns, rows)
    channels = ("x",) if len(columns) == 3 else None
    with pytest.raises(ReadingsError, match=message):
        pull(SqlTable("s", url, "readings", channels=channels))


def test_rows_that_contradict_each_other_are_refused(url):
    fill(url, "readings", LONG, [(START, "a", "x", 1.0), (START, "a", "x", 2.0)])
    with pytest.raises(ReadingsError, match=r"timestamp 2026-01-05 00:00:00\+00:00 stands there twice with different"):
        pull(SqlTable("s", url, "readings", "long"))


def test_a_table_that_is_not_there_is_refused_with_those_that_are(url):
    fill(url, "readings", WIDE, [])
    with pytest.raises(ReadingsError, match=r"table 'reading' of .* is not there; there are readings"):
        pull(SqlTable("s", url, "reading"))


def test_no_message_shows_a_password(tmp_path):
    address = "postgresql+psycopg://reader:s3cret@127.0.0.1:1/plant?sslpassword=t0psecret"
    source = SqlTable("s", database_url(address, tmp_path), "readings")
    with pytest.raises(ReadingsError, match=r"127\.0\.0\.1") as failure:
        pull(source)
    for text in (str(failure.value), repr(failure.value), repr(source), str(failure.value.__cause__)):
        assert "s3cret" not in text
        assert "t0psecret" not in text
    with pytest.raises(ReadingsError, match="no address of a database") as failure:
        database_url("postgresql//reader:s3cret@host", tmp_path)
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://reader:pw@host:5432s3cret/plant", "no address of a database"),
        ("postgresql://reader:p@s3cret:w@host/plant", "no address of a database"),
        ("postgresql://reader:p@s3cret@host/plant", "in several ways: in user, password and options write @ as %40"),
        ("postgresql://reader:p@ss/s3cret@host/plant", "in several ways: .* and / as %2F, or take them from the env"),
        ("postgresql://plant/reader:s3cret@host/plant", "in several ways"),
        ("postgresql://reader:pw@host/plant?options=a@s3cret", "in several ways"),
    ],
)
def test_an_address_that_can_be_read_in_several_ways_is_refused_and_not_shown(tmp_path, address, words):
    with pytest.raises(ReadingsError, match=words) as failure:
        database_url(address, tmp_path)
    for secret in ("s3cret", "reader"):
        assert secret not in str(failure.value)


def test_messages_name_a_table_by_driver_host_port_and_database(tmp_path):
    for address, place in (
        ("postgresql://a%40corp:p%40ss@host/plant?options=-cx", "postgresql+psycopg://host/plant"),
        ("postgresql://a@corp:p@[::1]:5433/plant", "postgresql+psycopg://[::1]:5433/plant"),
        ("sqlite:////a@b/c:d@e.db", "sqlite:////a@b/c:d@e.db"),
    ):
        assert SqlTable("s", database_url(address, tmp_path), "readings").place == f"table 'readings' of {place}"


def test_a_missing_file_or_driver_is_refused(tmp_path):
    with pytest.raises(ReadingsError, match=r"plant\.db: there is no such file: correct the address"):
        pull(SqlTable("s", database_url("sqlite:///plant.db", tmp_path), "readings"))
    assert not (tmp_path / "plant.db").exists()
    with pytest.raises(ReadingsError, match=r"the driver 'pymssql' is not installed"):
        pull(SqlTable("s", make_url("mssql+pymssql://host/plant"), "readings"))
    with pytest.raises(ReadingsError, match="correct the address"):
        pull(SqlTable("s", make_url("nonsense://host/plant"), "readings"))
