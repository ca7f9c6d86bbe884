"""What the tests of operation share: stores in SQLite and PostgreSQL, and rows to write into them."""

import numpy as np
import pytest

from offbeat.operation.alarms import NewScores
from offbeat.operation.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Address of an empty database, in SQLite and then in PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def postgres_url(postgres):
    import psycopg

    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return postgres


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(url):
    with Store(url) as store:
        yield store


MINUTES_10 = 600_000_000_000
BEGIN = 1_767_571_200_000_000_000  # 2026-01-05 00:00 UTC


@pytest.fixture
def new_scores():
    """Scores of rows on a grid of 10 minutes, counted from `BEGIN`, at a threshold of 1; channels lead as 3 to 1."""

    def make(rows, scores, *, segment=(0, 10_000), asset="pump-1", model="v1", threshold=1.0, merge_gap=2, timed=True):
        step, begin = (MINUTES_10, BEGIN) if timed else (1, 0)
        return NewScores(
            asset=asset,
            model=model,
            is_time=timed,
            period=step,
            merge_gap=merge_gap,
            threshold=threshold,
            channels=("flow", "temp"),
            stamps=begin + np.array(rows) * step,
            scores=np.array(scores, dtype=float),
            shares=np.tile([0.75, 0.25], (len(scores), 1)),
            segments=np.tile(begin + np.array(segment) * step, (len(scores), 1)),
        )

    return make


@pytest.fixture
def stored_rows():
    """Read all rows of a store: score, threshold and model of each stamp."""

    def read(store):
        with store.database.reading() as connection:
            rows = connection.exec_driver_sql("SELECT stamp, score, threshold, model FROM scores ORDER BY stamp").all()
        return {stamp: (np.nan if score is None else score, *others) for stamp, score, *others in rows}

    return read


@pytest.fixture
def assert_same(stored_rows):
    """Check the rows and alarms of a store against those of `naive.ScoredOnce`."""

    def check(store, twin):
        rows = stored_rows(store)
        assert list(rows) == sorted(twin.rows)
        for column in (0, 1):
            theirs, ours = ([of[stamp][column] for stamp in rows] for of in (twin.rows, rows))
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
        assert [row[2] for row in rows.values()] == [twin.rows[stamp][2] for stamp in rows]
        alarms, expected = store.alarms()[::-1], twin.alarms()
        spans = [(*(m if isinstance(m, int) else m.value for m in (a.first, a.last)), a.n_timesteps) for a in alarms]
        assert spans == [alarm[:3] for alarm in expected]
        for alarm, (*_, peak, ratio, weights) in zip(alarms, expected, strict=True):
            assert (alarm.peak_score, alarm.peak_ratio) == pytest.approx((peak, ratio), rel=1e-9)
            np.testing.assert_allclose(list(alarm.weights.values()), weights, rtol=1e-9)

    return check
