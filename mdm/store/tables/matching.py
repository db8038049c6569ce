"""Tables by which one record finds those that may be of the same person. They follow from record versions and a model."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table

from mdm.store.tables.columns import key, metadata, words

match_key = Table(
    "match_key",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("record_id", BigInteger, primary_key=True, autoincrement=False),
    comment="a blocking key of an active record, by the model that meta `match_index` names",
    sqlite_with_rowid=False,
)

match_feature = Table(
    "match_feature",
    metadata,
    key("record_id"),
    words("features"),
    comment="the comparison features of an active record (JSON), by the model that meta `match_index` names",
)
