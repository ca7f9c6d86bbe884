"""A table or view of a SQL database as a source of readings, wide or long.

A pull asks for each asset's rows from its own newest timestamp taken, less an allowance for late ones; what comes
twice by that changes nothing. Rows are streamed, so that a table of any size can be taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from sqlalchemy import (
    CHAR,
    URL,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Enum,
    Integer,
    MetaData,
    NullPool,
    Numeric,
    String,
    Table,
    and_,
    cast,
    create_engine,
    inspect,
    make_url,
    or_,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchTableError, SQLAlchemyError

from offbeat.errors import ReadingsError, SourceError
from offbeat.readings.merging import merge
from offbeat.readings.pieces import Piece, checked
from offbeat.readings.sources import Batch
from offbeat.readings.sql_address import has_plain_login, shown, without_login
from offbeat.readings.sql_times import Newest, TimeColumn, from_json, to_json

_CONNECT_TIMEOUT_S = 10
_A_DAY = pd.Timedelta(days=1)
_ASSETS_A_QUERY = 200  # SQLite takes conditions of up to 1000 parts

_COLUMN_KEYS = ("timestamp_column", "asset_column", "channel_column", "value_column")


@dataclass(frozen=True)
class SqlTable:
    """Readings in a table: wide, a row for each asset and timestamp, or long, one for each reading.

    Attributes
    ----------
    name : str
        Under which the source's state is kept.
    url : URL
        Address of the database, as SQLAlchemy takes it.
    table : str
        Name of a table or view, after its schema and a dot if that is not the default one.
    layout : {"wide", "long"}
    timestamp_column, asset_column : str
        Timestamps are times (UTC unless they say otherwise), texts in ISO 8601, or numbers, which mean what they mean
        in files (`folder.read_readings`).
    channel_column, value_column : str
        Of a long table.
    channels : tuple of str, optional
        Columns of a wide table, by default all that hold numbers but for the primary key; channels of a long one, by
        default all that ever came.
    late : Timedelta, or int for an integer index
        How much older than the newest timestamp taken of its asset a row may be when it comes.
    chunk_rows : int
        How many rows are held in memory at once.
    """

    name: str
    url: URL = field(repr=False)
    table: str
    layout: Literal["wide", "long"] = "wide"
    timestamp_column: str = "timestamp"
    asset_column: str = "asset"
    channel_column: str = "channel"
    value_column: str = "value"
    channels: tuple[str, ...] | None = None
    late: pd.Timedelta | int = _A_DAY
    chunk_rows: int = 50_000

    @property
    def place(self) -> str:
        """The table in messages, without a secret."""
        return f"table {self.table!r} of {shown(self.url)}"

    def pull(self, state: Mapping[str, Any]) -> Iterator[Batch]:
        """Read each asset's rows from its newest timestamp taken, less `late`; all of an asset not taken before.

        Parameters
        ----------
        state : mapping
            ``newest``, for each asset the newest timestamp taken that was not in the future, and of a long table the
            ``channels``.

        Yields
        ------
        Batch
            Of one asset's readings in a chunk of rows; at the end one without readings, with the new state.

        Raises
        ------
        ReadingsError
            If the database cannot be reached or read, lacks the table or a column, or holds what is no reading.
        """
        engine = self._engine()
        try:
            with engine.connect() as connection:
                yield from self._batches(connection, self._reflected(connection), state)
        except SQLAlchemyError as error:
            # from None: what drivers say may hold the password
            raise SourceError(
                f"{self.place}: {self._reason(error)}: check the address and that you may read it"
            ) from None
        finally:
            engine.dispose()

    def _batches(self, connection: Connection, table: Table, state: Mapping[str, Any]) -> Iterator[Batch]:
        is_sqlite = connection.dialect.name == "sqlite"  # whose times are texts
        times = TimeColumn(table.c[self.timestamp_column], is_sqlite, self.late, self.place)
        newest, now = _newest_taken(state), pd.Timestamp.now(tz="UTC")
        groups = self._groups(connection, table, times, newest)
        columns, channels, chosen = self._readings(connection, table, groups, state)
        query = select(times.selected, table.c[self.asset_column], *columns).where(*chosen)
        for group in groups:
            with connection.execution_options(yield_per=self.chunk_rows).execute(query.where(group)) as result:
                for rows in result.partitions():
                    chunk = pd.DataFrame([tuple(row) for row in rows], dtype=object)
                    index = times.index(chunk[0])
                    for asset, places, frame in self._frames(chunk, index, channels):
                        found = times.newest(newest.get(asset), chunk[0].iloc[places], index[places], now)
                        if found is not None:
                            newest[asset] = found
                        yield Batch(asset, frame, self.place, {})
        mark: dict[str, Any] = {"newest": {asset: to_json(newest[asset]) for asset in sorted(newest)}}
        if self.layout == "long" and self.channels is None:
            mark["channels"] = channels
        yield Batch("", pd.DataFrame(), self.place, mark)

    def _groups(
        self, connection: Connection, table: Table, times: TimeColumn, newest: Mapping[str, Newest]
    ) -> list[ColumnElement[bool]]:
        """Conditions of the rows that may not have been taken, each of a group of assets.

        The assets are asked for first, so that none that is new is overlooked, however old its rows.
        """
        column = table.c[self.asset_column]
        key = _comparable(column)
        found = [(asset, text) for asset, text in connection.execute(select(column, key).distinct())]
        if any(asset is None for asset, _ in found):
            raise ReadingsError(f"{self.place}: {self.asset_column!r} is NULL in a row: fill it in or delete the row")
        found.sort(key=lambda one: _asset_name(one[0]))
        groups = []
        for start in range(0, len(found), _ASSETS_A_QUERY):
            alike: dict[Newest | None, list[Any]] = {}
            for asset, text in found[start : start + _ASSETS_A_QUERY]:
                alike.setdefault(newest.get(_asset_name(asset)), []).append(text)
            parts = [(key.in_(texts), [] if one is None else [times.since(one)]) for one, texts in alike.items()]
            groups.append(or_(*(and_(assets, *since) for assets, since in parts)))
        return groups

    def _readings(
        self, connection: Connection, table: Table, groups: Sequence[ColumnElement[bool]], state: Mapping[str, Any]
    ) -> tuple[list[ColumnElement[Any]], list[str], list[ColumnElement[bool]]]:
        """Columns of the readings, names of the channels, and the condition of a long table's rows."""
        if self.layout == "wide":
            others = {self.timestamp_column, self.asset_column, *table.primary_key.columns.keys()}
            numeric = [
                name
                for name, column in table.columns.items()
                if name not in others and isinstance(column.type, Integer | Numeric | Boolean)
            ]
            channels = list(self.channels or numeric)
            return [table.c[name] for name in channels], channels, []
        channel = cast(table.c[self.channel_column], String)
        found = set(self.channels or state.get("channels", ()))
        if self.channels is None:
            for group in groups:
                found |= set(connection.execute(select(channel).where(group).distinct()).scalars())
        if None in found:
            raise ReadingsError(f"{self.place}: {self.channel_column!r} is NULL in a row: fill it in or delete the row")
        channels = list(self.channels or sorted(found))
        return [channel, table.c[self.value_column]], channels, [channel.in_(channels)]

    def _frames(
        self, chunk: pd.DataFrame, index: pd.Index, channels: Sequence[str]
    ) -> Iterator[tuple[str, np.ndarray, pd.DataFrame]]:
        """Each asset's rows of a chunk and their readings: time, asset, then readings, or a channel and its reading."""
        assets = chunk[1].map(_asset_name).to_numpy()
        if self.layout == "wide":
            columns = {name: self._numbers(chunk[k], name, index) for k, name in enumerate(channels, start=2)}
            readings = pd.DataFrame(columns, index)
        else:
            # a row for each reading, which `merge` makes one for each timestamp
            place = pd.Index(channels).get_indexer(pd.Index(chunk[2]))
            values = np.full((len(chunk), len(channels)), np.nan)
            values[np.arange(len(chunk)), place] = self._numbers(chunk[3], self.value_column, index)
            readings = pd.DataFrame(values, index, list(channels))
        for asset, places in readings.groupby(assets).indices.items():
            frame = checked(readings.iloc[places], str(asset), self.place)
            yield str(asset), np.asarray(places), merge(None, [Piece(self.place, frame)])[0]

    def _numbers(self, column: pd.Series, name: str, index: pd.Index) -> np.ndarray:
        """Readings of a channel as numbers; NULL is a missing one."""
        column = column.infer_objects()
        if not pd.api.types.is_numeric_dtype(column.dtype):
            column = column.map(lambda value: float(value) if isinstance(value, Decimal | bool) else value)
        numbers = pd.to_numeric(column, errors="coerce")
        bad = (numbers.isna() & column.notna()).to_numpy()
        if bad.any():
            row = int(bad.argmax())
            raise ReadingsError(
                f"{self.place}: {name!r} must hold numbers, got {column.iloc[row]!r} at "
                f"{index[row]}: correct it, or name the channels to take without it"
            )
        return numbers.to_numpy()

    def _engine(self) -> Engine:
        backend, file = self.url.get_backend_name(), self.url.database
        if backend == "sqlite" and file and not Path(file).is_file():
            raise ReadingsError(f"{self.place}: there is no such file: correct the address")
        arguments = {"connect_timeout": _CONNECT_TIMEOUT_S} if backend == "postgresql" else {}
        try:
            return create_engine(self.url, poolclass=NullPool, connect_args=arguments)
        except ModuleNotFoundError as error:
            raise ReadingsError(
                f"{self.place}: the driver {error.name!r} is not installed: pip install 'offbeat[postgres]', or the "
                "driver of your database"
            ) from error
        except SQLAlchemyError as error:
            raise ReadingsError(f"{self.place}: {self._reason(error)}: correct the address") from None

    def _reflected(self, connection: Connection) -> Table:
        """The table as the database describes it, with the columns that are needed."""
        schema, _, name = self.table.rpartition(".")
        try:
            table = Table(name, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False)
        except NoSuchTableError as error:
            inspector = inspect(connection)
            known = sorted({*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)})
            raise ReadingsError(f"{self.place} is not there; there are {', '.join(known) or 'none'}") from error
        wanted = [self.timestamp_column, self.asset_column]
        wanted += [self.channel_column, self.value_column] if self.layout == "long" else self.channels or ()
        for column in wanted:
            if column not in table.columns:
                there = ", ".join(table.columns.keys())
                key = next((key for key in _COLUMN_KEYS if getattr(self, key) == column), "channels")
                raise ReadingsError(
                    f"{self.place} has no column {column!r}; there are {there}: set {key} in sources.yaml"
                )
        return table

    def _reason(self, error: SQLAlchemyError) -> str:
        """What went wrong in one line, without a secret."""
        return without_login(" ".join(str(getattr(error, "orig", None) or error).split()), self.url)


def database_url(text: str, folder: Path) -> URL:
    """Read the address of a database; a relative path to an SQLite file counts from `folder`.

    Raises
    ------
    ReadingsError
        If it is none, without saying what it is, since it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ReadingsError(
            "url is no address of a database: write it as postgresql://user:${PASSWORD}@host/database or sqlite:///file"
        ) from None
    if not has_plain_login(text):
        raise ReadingsError(
            "url can be read in several ways: in user, password and options write @ as %40 and / as %2F, or take them "
            "from the environment as ${PASSWORD}"
        )
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        return url.set(database=str(folder / url.database))
    return url


def _newest_taken(state: Mapping[str, Any]) -> dict[str, Newest]:
    """Newest timestamp taken of each asset; a state that has one for all says nothing of any."""
    newest = state.get("newest")
    return {asset: from_json(one) for asset, one in newest.items()} if isinstance(newest, dict) else {}


def _asset_name(value: Any) -> str:
    return str(value).strip()


def _comparable(column: Column[Any]) -> ColumnElement[Any]:
    """What an asset is compared by: the column, which may have an index, where its values come back as they are."""
    is_text = isinstance(column.type, String) and not isinstance(column.type, CHAR | Enum)
    return column if is_text or isinstance(column.type, Integer) else cast(column, String)
