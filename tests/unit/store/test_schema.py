"""The migrations give the schema that the code declares."""

import re

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from mdm.store.engine import make_engine
from mdm.store.schema import create, require
from mdm.store.tables import metadata


def test_migrations_and_tables_do_not_differ(engine, tmp_path):
    settings = engine.settings(tmp_path)
    create(settings)
    engine = make_engine(settings)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_creating_twice_changes_nothing(engine, tmp_path):
    settings = engine.settings(tmp_path)
    assert create(settings) is True
    assert create(settings) is False
    require(settings)


def test_every_table_says_what_one_row_is():
    assert [table.name for table in metadata.tables.values() if not table.comment] == []


def test_names_are_plain_words(engine, tmp_path):
    settings = engine.settings(tmp_path)
    create(settings)
    engine = make_engine(settings)
    names = inspect(engine).get_table_names()
    engine.dispose()
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)
