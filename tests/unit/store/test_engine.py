"""A bulk transaction is kept together or not at all, one writes after the other, and reads come back in the types asked for."""

import threading

import adbc_driver_manager
import pyarrow as pa
import pytest

from mdm.errors import StoreBusyError, StoreError
from mdm.settings import Settings
from mdm.store.engine import bulk
from mdm.store.schema import create, require

COUNT = "SELECT COUNT(*) FROM renumbering"


def renumbered(*ids, changed_on=None):
    count = len(ids)
    return pa.table(
        {
            "renumbering_id": pa.array(ids, pa.int64()),
            **{name: [1] * count for name in ("batch_id", "row_number")},
            **{name: ["x"] * count for name in ("attribute", "old", "new")},
            "changed_on": pa.array(changed_on or [None] * count, pa.string()),
        }
    )


@pytest.fixture
def settings(engine, tmp_path):
    made = engine.settings(tmp_path)
    create(made)
    return made


def scalar(settings, sql):
    with bulk(settings) as store:
        return store.scalar(sql)


def test_what_was_appended_is_there_after_the_transaction(settings):
    with bulk(settings) as store:
        assert store.append("renumbering", renumbered(1, 2)) == 2
    assert scalar(settings, COUNT) == 2


def test_an_error_takes_everything_back(settings):
    with pytest.raises(ZeroDivisionError), bulk(settings) as store:
        store.append("renumbering", renumbered(1))
        store.append("meta", pa.table({"name": ["x"], "value": ["y"]}))
        raise ZeroDivisionError
    assert scalar(settings, COUNT) == 0
    assert scalar(settings, "SELECT COUNT(*) FROM meta WHERE name = 'x'") == 0


def test_a_row_that_the_schema_refuses_takes_everything_back(settings):
    with pytest.raises(adbc_driver_manager.Error), bulk(settings) as store:
        store.append("renumbering", renumbered(1))
        store.append("renumbering", renumbered(1))
    assert scalar(settings, COUNT) == 0


def test_columns_that_begin_with_many_nulls_keep_their_type(settings):
    count = 3_000
    rows = renumbered(*range(count), changed_on=[None] * (count - 1) + ["2027"])
    with bulk(settings) as store:
        store.append("renumbering", rows)
    schema = pa.schema([("renumbering_id", pa.int64()), ("changed_on", pa.string())])
    with bulk(settings) as store:
        read = store.read("SELECT renumbering_id, changed_on FROM renumbering ORDER BY 1", schema)
    assert read == rows.select(schema.names)


def test_narrow_numbers_dictionaries_and_columns_of_nothing_are_taken(settings):
    rows = renumbered(1, 2)
    narrow = {
        "row_number": rows["row_number"].cast(pa.int16()),
        "batch_id": rows["batch_id"].cast(pa.uint32()),
        "attribute": rows["attribute"].dictionary_encode(),
        "old": rows["old"].cast(pa.large_string()),
        "new": rows["new"].cast(pa.string_view()),
        "changed_on": pa.nulls(2),
    }
    given = pa.table({**dict(zip(rows.column_names, rows.columns, strict=True)), **narrow})
    with bulk(settings) as store:
        store.append("renumbering", given)
        edge = {"record_l": [1], "record_r": [2], "model": ["m"], "from_event": [1]}
        store.append("edge", pa.table({**edge, "weight": pa.array([0.5], pa.float32())}))
    with bulk(settings) as store:
        assert store.read("SELECT * FROM renumbering ORDER BY 1", rows.schema) == rows
        store.stage("given", given)
        assert store.read("SELECT * FROM given ORDER BY 1", rows.schema) == rows
        assert store.scalar("SELECT weight FROM edge") == 0.5


def test_staged_rows_serve_an_update_and_are_gone_afterwards(settings):
    with bulk(settings) as store:
        store.append("renumbering", renumbered(1))
        store.stage("done", pa.table({"id": [1], "on_day": ["2028"]}))
        store.execute(
            "UPDATE renumbering SET changed_on = d.on_day FROM done AS d WHERE renumbering_id = d.id"
        )
    assert scalar(settings, "SELECT changed_on FROM renumbering") == "2028"
    with pytest.raises(adbc_driver_manager.Error, match="done"):
        scalar(settings, "SELECT COUNT(*) FROM done")


def test_a_transaction_reads_the_store_as_it_was_when_it_was_opened(settings):
    with bulk(settings) as reading:
        with bulk(settings) as other:
            other.append("renumbering", renumbered(1))
        assert reading.scalar(COUNT) == 0
    assert scalar(settings, COUNT) == 1


def test_who_comes_to_write_after_another_has_written_is_refused(settings):
    with pytest.raises(StoreBusyError, match="Give the same command again"), bulk(settings) as late:
        number = late.next_id("renumbering", "renumbering_id")
        with bulk(settings) as other:
            other.append("renumbering", renumbered(number))
        late.append("renumbering", renumbered(number))
    assert scalar(settings, COUNT) == 1


def test_who_says_so_first_waits_for_its_turn_and_reads_then(settings):
    waiting = threading.Event()

    def second():
        waiting.set()
        with bulk(settings, writes=True) as store:
            store.append("renumbering", renumbered(store.next_id("renumbering", "renumbering_id")))

    thread = threading.Thread(target=second)
    with bulk(settings, writes=True) as first:
        thread.start()
        waiting.wait()
        first.append("renumbering", renumbered(first.next_id("renumbering", "renumbering_id")))
    thread.join()
    assert scalar(settings, COUNT) == 2


def test_a_store_that_was_not_created_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="mdm init"):
        require(Settings(store=str(tmp_path / "none.db")))


def test_an_empty_one_is_refused(engine, tmp_path):
    settings = engine.settings(tmp_path)
    if engine.name == "sqlite":
        settings.store_file.touch()
    with pytest.raises(StoreError, match=r"empty.*mdm init"):
        require(settings)
