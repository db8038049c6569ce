"""The two engines of the store, as tests see them: an empty store in a folder, a copy of a store in another folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url, text

from mdm.settings import Settings
from mdm.store.engine import make_engine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgresql import Server

SQLITE, POSTGRESQL = "sqlite", "postgresql"
ENGINES = (SQLITE, POSTGRESQL)
by_day_on_sqlite = pytest.mark.parametrize(
    "engine", [SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.nightly)], indirect=True
)
"""For a long test that says little more of the second engine than shorter ones do."""


@dataclass(frozen=True)
class Engine:
    """One engine. A PostgreSQL database has a home folder like an SQLite file, and its working files are there.

    A database whose home is a test's `tmp_path` ends with the test.
    """

    name: str
    server: Server | None

    def settings(self, folder: Path) -> Settings:
        """For a new store: nothing is created in it yet, not even the schema."""
        if self.server is None:
            return Settings(store=str(folder / "mdm.db"))
        return self._on(self.server.new_database(folder), folder)

    def copy(self, settings: Settings, folder: Path) -> Settings:
        """The same store in another folder, with its key. Nobody may be connected to it."""
        if self.server is None:
            source = settings.store_file
            for path in source.parent.glob(f"{source.name}*"):
                if path.is_file():
                    shutil.copy(path, folder / path.name)
            return Settings(store=str(folder / source.name))
        assert settings.work is not None
        shutil.copytree(settings.work, folder / settings.work.name)
        return self._on(self.server.new_database(folder, like=database_name(settings)), folder)

    def _on(self, database: str, folder: Path) -> Settings:
        assert self.server is not None
        return Settings(store=self.server.url(database), work=folder / "mdm.work")


def environment(settings: Settings) -> dict[str, str]:
    """What a command needs to find the store."""
    given = {"MDM_STORE": settings.store}
    return given if settings.work is None else {**given, "MDM_WORK": str(settings.work)}


def change(settings: Settings, sql: str, *values: object) -> int:
    """Changes rows behind the product's back; each `?` is a value in its turn. Returns how many rows it changed."""
    named = {f"value_{place}": value for place, value in enumerate(values)}
    first, *rest = sql.replace(":", r"\:").split("?")
    text_with_names = first + "".join(f":{name}{part}" for name, part in zip(named, rest, strict=True))
    engine = make_engine(settings)
    try:
        with engine.begin() as connection:
            return connection.execute(text(text_with_names), named).rowcount
    finally:
        engine.dispose()


def database_name(settings: Settings) -> str:
    name = make_url(settings.store).database
    assert name
    return name
