"""A bulk transaction is kept together or not at all, and reads come back in the types asked for."""

import adbc_driver_manager
import pyarrow as pa
import pytest

from mdm.errors import StoreError
from mdm.settings import Settings
from mdm.store.engine import bulk
from mdm.store.schema import create, require

RUN = pa.table({"run_id": ["a"], "started_at": ["2026"], "fingerprint": ["f"]})


@pytest.fixture
def settings(engine, tmp_path):
    made = engine.settings(tmp_path)
    create(made)
    return made


def runs(settings):
    with bulk(settings) as store:
        return store.scalar("SELECT COUNT(*) FROM run")


def test_what_was_appended_is_there_after_the_transaction(settings):
    with bulk(settings) as store:
        assert store.append("run", RUN) == 1
    assert runs(settings) == 1


def test_an_error_takes_everything_back(settings):
    with pytest.raises(ZeroDivisionError), bulk(settings) as store:
        store.append("run", RUN)
        store.append("meta", pa.table({"name": ["x"], "value": ["y"]}))
        raise ZeroDivisionError
    assert runs(settings) == 0
    with bulk(settings) as store:
        assert store.scalar("SELECT COUNT(*) FROM meta WHERE name = 'x'") == 0


def test_columns_that_begin_with_many_nulls_keep_their_type(settings):
    count = 3_000
    rows = pa.table(
        {
            "run_id": [f"{n:05d}" for n in range(count)],
            "started_at": ["2026"] * count,
            "fingerprint": ["f"] * count,
            "finished_at": pa.array([None] * (count - 1) + ["2027"], pa.string()),
        }
    )
    with bulk(settings) as store:
        store.append("run", rows)
    schema = pa.schema([("run_id", pa.string()), ("finished_at", pa.string())])
    with bulk(settings) as store:
        read = store.read("SELECT run_id, finished_at FROM run ORDER BY run_id", schema)
    assert read.schema == schema
    assert read["finished_at"].to_pylist() == rows["finished_at"].to_pylist()


def test_staged_rows_serve_an_update_and_are_gone_afterwards(settings):
    with bulk(settings) as store:
        store.append("run", RUN)
        store.stage("done", pa.table({"run_id": ["a"], "at": ["2028"]}))
        store.execute("UPDATE run SET finished_at = d.at FROM done AS d WHERE run.run_id = d.run_id")
    with bulk(settings) as store:
        assert store.scalar("SELECT finished_at FROM run") == "2028"
        with pytest.raises(adbc_driver_manager.Error, match="done"):
            store.scalar("SELECT COUNT(*) FROM done")


def test_a_store_that_was_not_created_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="mdm init"):
        require(Settings(store=str(tmp_path / "none.db")))


def test_a_file_that_is_no_store_is_refused(tmp_path):
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(StoreError, match="empty"):
        require(Settings(store=str(path)))
