"""The store's schema: Alembic migrations, applied by `mdm init`."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import adbc_driver_manager
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError

from mdm.errors import StoreError
from mdm.identity.clock import utc_now
from mdm.identity.events import EventKind, Stamp, seal_one
from mdm.store.engine import make_engine
from mdm.store.tables import event, meta

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mdm.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
_NAME = "store_id"


def create(settings: Settings) -> bool:
    """Creates the store or brings its schema up to date; returns whether it was new."""
    if settings.is_sqlite:
        settings.store_file.parent.mkdir(parents=True, exist_ok=True)
    engine = make_engine(settings)
    try:
        new = _revision(engine) is None
        with engine.begin() as connection:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if connection.execute(select(meta.c.value).where(meta.c.name == _NAME)).first() is None:
                store_id = str(uuid.uuid4())
                connection.execute(insert(meta).values(name=_NAME, value=store_id))
                stamp = Stamp(at=utc_now(), actor="mdm")
                created = seal_one(EventKind.STORE_CREATED, None, {_NAME: store_id}, seq=1, stamp=stamp)
                connection.execute(insert(event), created)
    except OperationalError as error:
        raise StoreError(
            "The store cannot be opened.",
            where=_where(settings),
            hint="Check --store or MDM_STORE, and that the server runs.",
        ) from error
    finally:
        engine.dispose()
    return new


def require(settings: Settings) -> None:
    """Refuses a store that was not created, or whose schema is not this version's."""
    if settings.is_sqlite and not settings.store_file.exists():
        raise StoreError("There is no store yet.", where=_where(settings), hint="Create it first: mdm init.")
    engine = make_engine(settings)
    try:
        found = _revision(engine)
    except (OperationalError, adbc_driver_manager.Error) as error:
        raise StoreError(
            "The store cannot be opened.", where=_where(settings), hint="Check --store or MDM_STORE."
        ) from error
    finally:
        engine.dispose()
    if found is None:
        raise StoreError("The store is empty.", where=_where(settings), hint="Create it first: mdm init.")
    if found != revisions()[0]:
        raise StoreError(
            "The store's schema is of another version.",
            where=_where(settings),
            hint="Make a backup, then run mdm init.",
        )


def revisions() -> list[str]:
    """That the migrations know, the newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _where(settings: Settings) -> str:
    return str(settings.store_file) if settings.is_sqlite else "PostgreSQL"
