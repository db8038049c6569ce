"""Columns of the store's tables, on SQLite and PostgreSQL alike.

Whole numbers are BIGINT and moments are RFC 3339 text in UTC, so that bulk loading by Arrow is the same on both engines
and a canonical hash does not depend on the engine.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite makes only INTEGER PRIMARY KEY an alias of the rowid, which is what bulk loading wants
Key = BigInteger().with_variant(Integer(), "sqlite")


def key(name: str) -> Column[int]:
    return Column(name, Key, primary_key=True, autoincrement=False)


def whole(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def words(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)
