"""sources.yaml: what it may hold, what is refused, and that no secret shows."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from offbeat.errors import ParamsError
from offbeat.readings.drop_folder import DropFolder
from offbeat.readings.snapshots import SnapshotFolder
from offbeat.readings.sources import FolderEntry, SnapshotsEntry, SqlEntry, load_sources
from offbeat.readings.sql_table import SqlTable

FOLDER = "sources:\n- {kind: folder, name: loggers, path: drop}\n"
SQL = "sources:\n- {kind: sql, name: plant, table: readings, url: '%s'}\n"


def load(write, text, **environment):
    return load_sources(write("sources.yaml", text), environment)


def test_no_file_and_an_empty_one_are_no_sources(write, tmp_path):
    assert load_sources(tmp_path / "nowhere.yaml", {}) == []
    for text in ("", "sources:\n", "sources: []\n", "# later\n"):
        assert load(write, text) == []


def test_every_kind_is_made_with_its_keys(write, tmp_path):
    text = """
        sources:
          - kind: folder
            name: loggers
            path: drop
            asset_column: machine
            settle_s: 1
          - kind: sql
            name: plant
            url: sqlite:///plant.db
            table: readings
            layout: long
            late: 12h
          - kind: snapshots
            name: vibration
            path: /mnt/ims
            asset: rig-1
            channels: [b1, b2]
            sampling_hz: 20000
            bands_hz: [[0, 500], [500, 5000]]
    """
    folder, table, snapshots = load(write, text)
    assert folder == DropFolder("loggers", tmp_path / "drop", "machine", 1.0)
    assert isinstance(table, SqlTable)
    assert (table.url.database, table.layout, table.late) == (str(tmp_path / "plant.db"), "long", pd.Timedelta("12h"))
    bands = ((0.0, 500.0), (500.0, 5000.0))
    assert snapshots == SnapshotFolder("vibration", Path("/mnt/ims"), "rig-1", ("b1", "b2"), 20_000, bands)


@pytest.mark.parametrize(
    ("entry", "source"), [(FolderEntry, DropFolder), (SqlEntry, SqlTable), (SnapshotsEntry, SnapshotFolder)]
)
def test_keys_are_fields_of_the_source_with_the_same_defaults(entry, source):
    fields = {field.name: field for field in dataclasses.fields(source)}
    assert set(entry.model_fields) - {"kind"} <= set(fields)
    for name, key in entry.model_fields.items():
        default = fields[name].default if name in fields else dataclasses.MISSING
        if default is not dataclasses.MISSING:
            assert default == (pd.Timedelta(key.default) if name == "late" else key.default), name


def test_late_may_be_a_number_of_steps(write):
    assert load(write, "sources: [{kind: sql, name: a, url: 'sqlite:///x', table: t, late: 500}]")[0].late == 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources:\n- [", r"sources\.yaml, line 2: not YAML: expected the node content"),
        ("source: []", r"sources\.yaml must hold one key, sources"),
        ("- a", r"sources\.yaml must hold one key, sources"),
        ("sources: {kind: folder}", r"sources\.yaml: sources must be a list"),
        ("sources: [drop]", r"sources\.yaml, entry 1: kind must be one of folder, sql, snapshots, got no mapping"),
        ("sources: [{kind: files}]", r"entry 1: kind must be one of folder, sql, snapshots, got 'files'"),
        ("sources: [{kind: [a]}]", r"entry 1: kind must be one of folder, sql, snapshots, got \['a'\]"),
        ("sources: [{kind: folder, name: a}]", r"entry 1 \('a'\): key 'path' is missing"),
        ("sources: [{kind: folder, path: a}]", r"entry 1: key 'name' is missing"),
        (
            "sources: [{kind: folder, name: a, path: b, asset_colunm: c}]",
            r"entry 1 \('a'\): unknown key 'asset_colunm': did you mean 'asset_column'\?",
        ),
        ("sources: [{kind: folder, name: a, path: b, settle_s: -1}]", r"\('a'\): settle_s=-1: input should be greater"),
        ("sources: [{kind: folder, name: a, path: b, settle_s: yes}]", r"settle_s=True: must not be true or false"),
        (
            f"{FOLDER}- {{kind: folder, name: loggers, path: c}}",
            r"entry 2 \('loggers'\): another entry has the same name",
        ),
        (
            "sources: [{kind: sql, name: a, url: 'sqlite:///x', table: t, late: soon}]",
            r"\('a'\): late='soon' is not a length",
        ),
        (
            "sources: [{kind: sql, name: a, url: 'sqlite:///x', table: t, late: -1d}]",
            r"late='-1d' must not be negative",
        ),
        (
            "sources: [{kind: sql, name: a, url: 'sqlite:///x', table: t, layout: tall}]",
            r"layout='tall': input should be",
        ),
        ("sources: [{kind: sql, name: a, url: 'sqlite:///x', table: t, channels: []}]", r"channels=\[\]: "),
        (
            "sources: [{kind: snapshots, name: a, path: b, asset: c, sampling_hz: 10, bands_hz: [[1, 9]]}]",
            r"sources\.yaml, entry 1 \('a'\): .*9",
        ),
    ],
)
def test_what_is_wrong_is_named_by_file_entry_and_key(write, text, message):
    with pytest.raises(ParamsError, match=message):
        load(write, text)


# --- addresses --------------------------------------------------------------------------------------------------------


def test_the_environment_fills_in_the_url(write):
    text = SQL % "postgresql://reader:${PASSWORD}@${HOST}:5433/plant"
    url = load(write, text, PASSWORD="p@ss/w:rd%", HOST="db.example")[0].url
    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg", "reader", "p@ss/w:rd%")
    assert (url.host, url.port, url.database) == ("db.example", 5433, "plant")
    assert load(write, SQL % "${PLACE}", PLACE="postgresql://a:b%40c@d/e")[0].url.password == "b@c"


def test_a_variable_that_is_not_set_is_named(write):
    with pytest.raises(
        ParamsError, match=r"sources\.yaml, entry 1 \('plant'\): url: the environment has no variable DB_PASSWORD"
    ):
        load(write, SQL % "postgresql://reader:${DB_PASSWORD}@db/plant")


@pytest.mark.parametrize(
    "text",
    [
        SQL % "postgresql//reader:s3cret@db",
        "sources: [{kind: sql, url: 'postgresql://reader:s3cret@db",
        "sources: [{kind: sql, name: plant, url: ['postgresql://reader:s3cret@db'], table: t}]",
        "sources: [{kind: sql, name: plant, url: 'postgresql://reader:s3cret@db'}]",
        "sources: [{kind: sql, name: plant, url: 'postgresql://reader:s3cret@db:port/x', table: t}]",
        "sources: [{kind: sql, name: plant, url: 'postgresql://reader:s3cret@db', table: t, late: soon}]",
    ],
)
def test_no_error_shows_a_password(write, text):
    with pytest.raises(ParamsError) as failure:
        load(write, text)
    error = failure.value
    while error is not None:
        assert "s3cret" not in f"{error} {error!r}"
        error = error.__cause__


def test_no_source_shows_a_password(write):
    (source,) = load(write, SQL % "postgresql://reader:s3cret@db/plant?password=t0psecret")
    assert "s3cret" not in f"{source} {source!r} {source.place}"
    assert "t0psecret" not in f"{source} {source!r} {source.place}"


def test_only_the_kinds_that_are_listed_are_imported(write):
    path = write("sources.yaml", FOLDER)
    code = (
        "import sys; from pathlib import Path; from offbeat.readings.sources import load_sources\n"
        f"load_sources(Path({str(path)!r}), {{}}); print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
