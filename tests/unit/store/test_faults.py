"""What goes wrong with the database is told with what to do, and without a password or a part of one."""

import threading

import pyarrow as pa
import pytest

from mdm.errors import StoreBusyError, StoreError
from mdm.settings import Settings
from mdm.store.engine import bulk, make_engine
from mdm.store.schema import create, require
from mdm.store.unit_of_work import unit_of_work
from tests.engines import Engine, change, database_name
from tests.postgresql import GUARDED_ROLE

SECRET = "Matkhau-77"


@pytest.fixture
def database(postgresql, tmp_path):
    """Settings of a store on PostgreSQL."""
    made = Engine("postgresql", postgresql).settings(tmp_path)
    create(made)
    return made


@pytest.fixture(scope="module")
def guarded(postgresql):
    """A role that has a password."""
    postgresql.execute(f"CREATE ROLE {GUARDED_ROLE} LOGIN PASSWORD '{SECRET}'")
    yield GUARDED_ROLE
    postgresql.execute(f"DROP ROLE {GUARDED_ROLE}")


def told(settings):
    """What every way to the store says, when none gets there."""
    messages = set()
    for way in (create, require, read, write_one):
        with pytest.raises(StoreError) as caught:
            way(settings)
        assert caught.value.__suppress_context__
        assert caught.value.__cause__ is None
        messages.add(str(caught.value))
    (message,) = messages
    return message


def read(settings):
    with bulk(settings) as store:
        store.scalar("SELECT 1")


def write_one(settings):
    engine = make_engine(settings)
    try:
        with unit_of_work(engine):
            pass
    finally:
        engine.dispose()


def address(settings, old, new):
    assert old in settings.store
    return settings.model_copy(update={"store": settings.store.replace(old, new)})


def test_no_server(tmp_path):
    at = f"postgresql://clerk:{SECRET}@localhost:1/mdm"
    message = told(Settings(store=at, work=tmp_path))
    assert message.startswith("PostgreSQL database mdm on localhost:1: No server answers. Start it")


def test_no_such_database(database):
    message = told(address(database, "postgresql:///store", "postgresql:///no_store"))
    assert "There is no such database." in message
    assert "createdb" in message


def test_no_such_user(database):
    message = told(address(database, "user=postgres", "user=nobody_known"))
    assert "refuses this user or password" in message
    assert "nobody_known" not in message


@pytest.mark.parametrize("given", ["", "&password=wrong-42"])
def test_a_wrong_password_or_none(database, guarded, given):
    message = told(address(database, "user=postgres", f"user={guarded}{given}"))
    assert "refuses this user or password" in message
    assert "PGPASSWORD" in message
    assert "wrong-42" not in message


def test_the_right_password(database, guarded, postgresql):
    name = database_name(database)
    postgresql.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {guarded}", database=name)
    settings = address(database, "user=postgres", f"user={guarded}&password={SECRET}")
    require(settings)
    read(settings)
    postgresql.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {guarded}", database=name)


@pytest.mark.parametrize(
    "store",
    [
        f"postgresql://clerk:{SECRET}@{SECRET}@localhost:1/mdm",
        f"postgresql://clerk:{SECRET}/{SECRET}@localhost:1/mdm",
        f"postgresql://clerk:{SECRET}?{SECRET}@localhost:1/mdm",
        f"postgresql://clerk:{SECRET}%{SECRET}@localhost:1/mdm",
        f"postgresql://localhost:1/mdm?pass={SECRET}",
        "postgresql://localhost:port/mdm",
    ],
)
def test_an_address_that_cannot_be_read(store, tmp_path):
    message = told(Settings(store=store, work=tmp_path))
    assert "PostgreSQL" in message
    assert not any(part in message for part in ("Matkhau", "77", "clerk"))


def test_a_user_without_rights(postgresql, tmp_path):
    postgresql.execute("DROP ROLE IF EXISTS guest")
    postgresql.execute("CREATE ROLE guest LOGIN")
    settings = address(Engine("postgresql", postgresql).settings(tmp_path), "user=postgres", "user=guest")
    postgresql.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=database_name(settings))
    with pytest.raises(StoreError, match="ALTER DATABASE name OWNER TO user"):
        create(settings)
    postgresql.execute("DROP ROLE guest")


def test_a_database_that_cannot_hold_every_name(postgresql, tmp_path):
    name = postgresql.new_database(tmp_path, like="template0 ENCODING 'LATIN1' LOCALE 'C'")
    settings = Settings(store=postgresql.url(name), work=tmp_path / "work")
    with pytest.raises(StoreError, match=r"LATIN1.*--encoding=UTF8"):
        create(settings)


def test_a_store_without_a_folder_for_its_files_is_not_begun(postgresql, tmp_path):
    settings = Settings(store=postgresql.url(postgresql.new_database(tmp_path)))
    with pytest.raises(StoreError, match="empty"):
        require(settings)


def test_a_connection_that_breaks(database, postgresql):
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with (
        pytest.raises(StoreError, match=r"broke it off.*give the same command again"),
        bulk(database) as store,
    ):
        name = store.scalar("SELECT current_database()")
        postgresql.execute(ended, database=name)
        store.scalar("SELECT 1")
    read(database)


def test_a_writer_that_is_asleep_is_not_waited_for_for_ever(database, monkeypatch):
    monkeypatch.setattr("mdm.store.engine.PATIENCE", "SET LOCAL lock_timeout = '50ms'")
    with bulk(database, writes=True):
        with pytest.raises(StoreBusyError, match="Somebody else is writing"), bulk(database, writes=True):
            pass
        with pytest.raises(StoreBusyError, match="Somebody else is writing"):
            write_one(database)


def test_a_single_change_between_reading_and_writing_is_noticed(database):
    with pytest.raises(StoreBusyError, match="Somebody else changed"), bulk(database) as store:
        write_one(database)
        store.append("meta", pa.table({"name": ["x"], "value": ["y"]}))


def test_a_single_change_waits_for_a_bulk_one(database):
    seen = []
    engine = make_engine(database)

    def change_one():
        with unit_of_work(engine) as work:
            seen.append(work.last_event())

    thread = threading.Thread(target=change_one)
    with bulk(database, writes=True) as store:
        thread.start()
        store.execute("INSERT INTO event (seq, at, kind, body, leaf) VALUES (99, 'now', 'k', '{}', 'l')")
    thread.join()
    engine.dispose()
    assert seen == [99]


def test_a_file_that_is_something_else(tmp_path):
    path = tmp_path / "mdm.db"
    path.write_bytes(b"something else, and long enough to be read as a page of a database" * 100)
    message = told(Settings(store=str(path)))
    assert message.startswith(f"{path}: This file is no store")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="cannot be opened"):
        read(Settings(store=str(tmp_path / "none" / "mdm.db")))


def test_a_locked_file(tmp_path):
    settings = Settings(store=str(tmp_path / "mdm.db"))
    create(settings)
    refused = pytest.raises(StoreBusyError, match="Somebody else is writing")
    with bulk(settings, writes=True), refused, bulk(settings) as late:
        late.scalar("PRAGMA busy_timeout = 10")
        late.take_turn()


def test_parameters_of_a_statement_are_not_told(engine, tmp_path):
    settings = engine.settings(tmp_path)
    create(settings)
    with pytest.raises(Exception, match="hidden") as caught:
        change(settings, "INSERT INTO meta (name, value) VALUES (?, ?)", "store_id", SECRET)
    assert SECRET not in str(caught.value)
