"""SQLite for SQLAlchemy, with transactions that begin where they are said to.

The driver begins one only before a statement that writes, so that what was read before it may have changed since. A listener to the
engine's begin would do too, but an engine with any listener asks for more of them at every statement: requests took 4 to 7% longer.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

URL = "sqlite+begun://"


class Opened(sqlite3.Connection):
    writes = False
    """Whether its next transaction takes the write lock as it begins, so that what is read in it stays true."""


class BegunDialect(SQLiteDialect_pysqlite):
    supports_statement_cache = True

    def do_begin(self, dbapi_connection: DBAPIConnection) -> None:
        opened: Any = dbapi_connection
        opened.execute("BEGIN IMMEDIATE" if opened.writes else "BEGIN")


registry.register("sqlite.begun", __name__, BegunDialect.__name__)
