"""The database behind the store: its tables, how it is opened, and transactions that come one after another.

SQLite is told to begin as a writer and PostgreSQL asked for a lock, so that no writer ever decides on what another is
just changing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from offbeat.errors import StoreError
from offbeat.readings.sql_address import has_plain_login, shown, without_login

BUSY_S = 60.0  # how long a writer waits for others
_LOCK = 0x0FFBEA7  # of PostgreSQL's advisory locks, the one that writers hold


class _Utc(sa.TypeDecorator[datetime]):
    """A time with its zone, also where the database keeps none."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


TABLES = sa.MetaData()
scores = sa.Table(
    "scores",
    TABLES,
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("stamp", sa.BigInteger, primary_key=True),  # nanoseconds since 1970 UTC, or the integer index
    sa.Column("time", _Utc),  # NULL for an integer index
    sa.Column("score", sa.Double),  # NULL where there is none
    sa.Column("threshold", sa.Double, nullable=False),
    sa.Column("exceeds", sa.Boolean, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
)
alarms = sa.Table(
    "alarms",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("asset", sa.Text, nullable=False, index=True),
    sa.Column("first_stamp", sa.BigInteger, nullable=False),
    sa.Column("last_stamp", sa.BigInteger, nullable=False),  # of the alarm still
    sa.Column("first_time", _Utc),
    sa.Column("last_time", _Utc),
    sa.Column("n_timesteps", sa.Integer, nullable=False),
    sa.Column("peak_score", sa.Double, nullable=False),
    sa.Column("peak_ratio", sa.Double, nullable=False),
    sa.Column("weights", sa.JSON, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("raised_at", _Utc, nullable=False),
    sa.Column("verdict", sa.Text),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("marked_by", sa.Text, nullable=False, default=""),
    sa.Column("marked_at", _Utc),
    sa.Column("part_of", sa.ForeignKey("alarms.id")),  # the alarm that late readings made this one a part of
)
notices = sa.Table(
    "notices",
    TABLES,
    sa.Column("alarm_id", sa.ForeignKey("alarms.id"), primary_key=True),
    sa.Column("key", sa.Text),  # of the message that it goes with; set when that is first sent
    sa.Column("sent_at", _Utc),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("next_attempt_at", _Utc),
    sa.Column("claimed_until", _Utc),
    sa.Column("last_error", sa.Text),
)


class Database:
    """Scores, alarms and notices in SQLite or PostgreSQL; their tables are made where they are missing.

    Parameters
    ----------
    url : str
        `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`, as SQLAlchemy writes them.
    busy_s : float
        How long a writer waits for others.

    Raises
    ------
    StoreError
        If the database cannot be opened, or holds other tables of these names. No message holds user or password.
    """

    def __init__(self, url: str, busy_s: float = BUSY_S) -> None:
        self._engine, self.place = _engine(url, busy_s)
        self._busy_s = busy_s
        try:
            with self.reading() as connection:
                missing = set(TABLES.tables) - set(sa.inspect(connection).get_table_names())
            if missing:  # else whoever only reads waits for no writer
                with self.writing() as connection:
                    TABLES.create_all(connection)
            with self.reading() as connection:
                self._check_tables(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a transaction that only reads."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._explained(error) from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a transaction that begins when no other writer is in one."""
        try:
            with self._engine.execution_options(writes=True).begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(1000 * self._busy_s)}")
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                yield connection
        except SQLAlchemyError as error:
            raise self._explained(error) from error

    def _explained(self, error: SQLAlchemyError) -> StoreError:
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = without_login(str(cause).strip().split("\n")[0], self._engine.url)
        remedy = "check that it is there, that it is a database of offbeat's and that you may write to it"
        if "locked" in reason or "lock timeout" in reason:
            remedy = "another process holds it for long: end that one, or try again"
        return StoreError(f"store {self.place}: {reason}: {remedy}")

    def _check_tables(self, connection: sa.Connection) -> None:
        inspector = sa.inspect(connection)
        for table in TABLES.sorted_tables:
            lacking = set(table.columns.keys()) - {column["name"] for column in inspector.get_columns(table.name)}
            if lacking:
                raise StoreError(
                    f"store {self.place}: its table '{table.name}' lacks column '{min(lacking)}', so it is not "
                    "offbeat's: give a database of its own"
                )


def _engine(url: str, busy_s: float) -> tuple[sa.Engine, str]:
    """Return an engine, and what messages call the place that it leads to."""
    known = "give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
    parsed = _parsed(url, known)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    place = shown(parsed)
    if parsed.drivername == "postgresql+psycopg":
        try:
            return sa.create_engine(parsed, connect_args={"connect_timeout": 10}, pool_pre_ping=True), place
        except ModuleNotFoundError as error:
            raise StoreError(f"store {place}: needs {error.name}: pip install 'offbeat[postgres]'") from error
    if parsed.drivername != "sqlite" or not parsed.database:
        raise StoreError(f"store {place}: there are stores in SQLite files and in PostgreSQL: {known}")
    try:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store {place}: its folder cannot be made ({error.strerror}): give another place") from error
    engine = sa.create_engine(parsed, connect_args={"timeout": busy_s})
    sa.event.listen(engine, "connect", lambda connection, _: _set_up_sqlite(connection, busy_s))
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine, place


def _parsed(url: str, known: str) -> sa.URL:
    """Read an address; no error shows any of it, since a part of the password may stand anywhere."""
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError):  # the latter of a port that is no number
        raise StoreError(f"the store's address cannot be read (it is not shown here): {known}") from None
    if not has_plain_login(url):
        raise StoreError(
            "the store's address (it is not shown here) can be read in several ways: in user, password and options "
            "write @ as %40 and / as %2F"
        )
    return parsed


def _set_up_sqlite(connection: sqlite3.Connection, busy_s: float) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    connection.execute("PRAGMA foreign_keys = ON").close()
    deadline = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            # of two that open a new file at once, SQLite refuses one without letting it wait
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    # a writer that began as a reader would fail, rather than wait, where another has written since
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
