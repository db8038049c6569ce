"""The store's schema: Alembic migrations, applied by `mdm init`."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text

from mdm.errors import StoreError
from mdm.identity.clock import utc_now
from mdm.identity.events import EventKind, Stamp, seal_one
from mdm.store.engine import looking, make_engine
from mdm.store.faults import faults_told, place
from mdm.store.tables import event, meta

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mdm.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
_NAME = "store_id"
_ONE_AT_A_TIME = 0x6D646D
"""PostgreSQL's advisory lock of those who create a store; on SQLite its write lock serves."""


def create(settings: Settings) -> bool:
    """Creates the store or brings its schema up to date; returns whether it was new."""
    settings.beside_store.mkdir(parents=True, exist_ok=True)
    engine = make_engine(settings)
    try:
        with faults_told(settings), engine.begin() as connection:
            if not settings.is_sqlite:
                _refuse_unfit(connection, settings)
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})"))
            new = _revision(connection) is None
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if connection.execute(select(meta.c.value).where(meta.c.name == _NAME)).first() is None:
                store_id = str(uuid.uuid4())
                connection.execute(insert(meta).values(name=_NAME, value=store_id))
                stamp = Stamp(at=utc_now(), actor="mdm")
                created = seal_one(EventKind.STORE_CREATED, None, {_NAME: store_id}, seq=1, stamp=stamp)
                connection.execute(insert(event), created)
    finally:
        engine.dispose()
    return new


def require(settings: Settings) -> None:
    """Refuses a store that was not created, or whose schema is not this version's."""
    if settings.is_sqlite and not settings.store_file.exists():
        raise StoreError("There is no store yet.", where=place(settings), hint="Create it first: mdm init.")
    engine = make_engine(settings)
    try:
        with looking(engine) as connection:
            require_on(connection, settings)
    finally:
        engine.dispose()


def require_on(connection: Connection, settings: Settings) -> None:
    """As `require`, on a connection that is open."""
    found = _revision(connection)
    if found is None:
        raise StoreError("The store is empty.", where=place(settings), hint="Create it first: mdm init.")
    if found != revisions()[0]:
        raise StoreError(
            "The store's schema is of another version.",
            where=place(settings),
            hint="Make a backup, then run mdm init.",
        )


def revisions() -> list[str]:
    """That the migrations know, the newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _refuse_unfit(connection: Connection, settings: Settings) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise StoreError(
            f"The database keeps text as {encoding}, which cannot hold every name.",
            where=place(settings),
            hint="Create one for the store: createdb --encoding=UTF8 --template=template0 NAME.",
        )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
