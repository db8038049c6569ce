"""The match index in the store: blocking keys and features of active records, by one trained model.

A key is an unsigned number of 64 bits; the store has it as a signed one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from sqlalchemy import bindparam, delete, insert, select, text

from matching.blocking import blocking_keys
from mdm.store.arrivals import ACTIVE
from mdm.store.statements import META
from mdm.store.tables import entity, match_feature, match_key, membership, record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import duckdb
    from sqlalchemy import Connection, TextClause

    from matching.levels import Record
    from matching.model import Model
    from mdm.store.engine import Bulk

INDEX = "match_index"
"""The row of `meta` that names the model by which the index is made; without it there is none."""
_SIGN = 1 << 63
_KEYS_AT_ONCE = 200
_FEATURES = (
    select(match_feature.c.record_id, match_feature.c.features)
    .join(membership, membership.c.record_id == match_feature.c.record_id)
    .where(
        match_feature.c.record_id.in_(bindparam("records", expanding=True)),
        membership.c.until_event.is_(None),
    )
)
_HOMES = (
    select(record.c.record_id, entity.c.entity_id, match_feature.c.features)
    .join(membership, (membership.c.record_id == record.c.record_id) & membership.c.until_event.is_(None))
    .join(entity, entity.c.entity_key == membership.c.entity_key)
    .join(match_feature, match_feature.c.record_id == record.c.record_id)
    .where(
        record.c.record_id.in_(bindparam("records", expanding=True)),
        record.c.registry.not_in(bindparam("hidden", expanding=True)),
        record.c.status == ACTIVE,
    )
)
_OWN = select(match_feature.c.features).where(match_feature.c.record_id == bindparam("record"))
_DROP_KEY = delete(match_key).where(
    match_key.c.key == bindparam("former"), match_key.c.record_id == bindparam("record")
)
_DROP_FEATURES = delete(match_feature).where(match_feature.c.record_id == bindparam("record"))
_ADD_KEYS, _ADD_FEATURES = insert(match_key), insert(match_feature)
_RECORDS = pa.schema([("record_id", pa.int64()), ("features", pa.string())])


class StoredIndex:
    """The index as one transaction sees it (`matching.online.Index`). Records without an entity, which no run has seen yet, are not told of."""

    def __init__(self, connection: Connection, model: Model, *, columns: Sequence[str]) -> None:
        """`columns`: the features that it keeps."""
        self._connection, self._model = connection, model
        self._empty: dict[str, Any] = dict.fromkeys(columns)

    def blocks(self, keys: Collection[int], *, most: int) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {key: [] for key in keys}
        wanted = [_signed(key) for key in keys]
        for start in range(0, len(wanted), _KEYS_AT_ONCE):
            some = wanted[start : start + _KEYS_AT_ONCE]
            given: dict[str, int] = {f"k{place}": key for place, key in enumerate(some)}
            rows = self._connection.execute(_blocks(len(some)), {**given, "most": most + 1}).all()
            for key, number in rows:
                found[_unsigned(key)].append(number)
        return found

    def features(self, records: Collection[int]) -> dict[int, Record]:
        if not records:
            return {}
        rows = self._connection.execute(_FEATURES, {"records": list(records)}).all()
        return {record: self._empty | orjson.loads(features) for record, features in rows}

    def homes(self, records: Collection[int], *, hidden: Collection[str]) -> dict[int, tuple[str, Record]]:
        """Record to the ID of the person it belongs to and its features, in the order of records, without those of `hidden` registries."""
        if not records:
            return {}
        rows = self._connection.execute(_HOMES, {"records": list(records), "hidden": list(hidden)}).all()
        return {
            number: (entity_id, self._empty | orjson.loads(features))
            for number, entity_id, features in sorted(rows)
        }

    def own(self, record: int) -> Record | None:
        """The features of a record as they stand, whether or not it has an entity."""
        said = self._connection.scalar(_OWN, {"record": record})
        return None if said is None else self._empty | orjson.loads(said)

    def restricted(self, features: Mapping[str, Any]) -> Record:
        """To those that the index keeps; missing ones are None."""
        return {name: features.get(name) for name in self._empty}

    def put(
        self, record: int, features: Record | None, *, keys: Collection[int], is_new: bool = False
    ) -> None:
        """Replaces what the index has of a record; None, without keys, takes it out. It has nothing of one that `is_new`."""
        former = None if is_new else self.own(record)
        before = set() if former is None else set(blocking_keys(self._model, former))
        now = set(keys)
        if gone := before - now:
            self._connection.execute(_DROP_KEY, [{"former": _signed(key), "record": record} for key in gone])
        if new := now - before:
            self._connection.execute(_ADD_KEYS, [{"key": _signed(key), "record_id": record} for key in new])
        if former is not None:
            self._connection.execute(_DROP_FEATURES, {"record": record})
        if features is not None:
            told = orjson.dumps(
                {name: value for name, value in features.items() if value is not None}
            ).decode()
            self._connection.execute(_ADD_FEATURES, {"record_id": record, "features": told})


def index_model(connection: Connection) -> str | None:
    """Hash of the model by which the index is made; None where there is no index."""
    found: str | None = connection.scalar(META, {"given": INDEX})
    return found


def write_index(
    store: Bulk,
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    hash_: str,
    *,
    columns: Sequence[str],
    features: str,
    keys: str,
    of: str | None,
) -> int:
    """Makes the index that of tables `features` (record_id, columns of the model) and `keys` (key, record_id).

    Args:
        store: the transaction.
        connection: where the tables are.
        model: its declaration.
        hash_: names the trained model.
        columns: the features to keep.
        features: active records and their features.
        keys: their blocking keys; a key may stand twice.
        of: table of records (record_id) that changed; None for all.

    Returns:
        How many records were written.
    """
    if of is None:
        store.execute("DELETE FROM match_key")
        store.execute("DELETE FROM match_feature")
        store.execute(f"DELETE FROM meta WHERE name = '{INDEX}'")
        store.append("meta", pa.table({"name": [INDEX], "value": [hash_]}))
        chosen = ""
    else:
        _take_out(store, connection, model, of=of)
        chosen = f" SEMI JOIN {of} USING (record_id)"
    told = connection.sql(f"{features_sql(columns, features)}{chosen} ORDER BY record_id").to_arrow_table()
    store.append("match_feature", told)
    store.append("match_key", connection.sql(f"{keys_sql(keys)}{chosen} ORDER BY 1, 2").to_arrow_table())
    return int(told.num_rows)


def features_sql(columns: Sequence[str], features: str) -> str:
    """DuckDB: the rows of `match_feature` for a table of features, as `StoredIndex.put` writes one."""
    packed = ", ".join(f'"{name}" := "{name}"' for name in columns)
    return (
        f"SELECT record_id, CAST(json_merge_patch('{{}}', to_json(struct_pack({packed}))) AS VARCHAR) AS features"
        f" FROM {features}"
    )


def keys_sql(keys: str) -> str:
    """DuckDB: the rows of `match_key` for a table of keys."""
    signed = f"CASE WHEN key >= {_SIGN} THEN CAST(key AS HUGEINT) - {2 * _SIGN} ELSE key END"
    return f"SELECT DISTINCT CAST({signed} AS BIGINT) AS key, record_id FROM {keys}"


def _take_out(store: Bulk, connection: duckdb.DuckDBPyConnection, model: Model, *, of: str) -> None:
    store.stage("unindexed", connection.sql(f"SELECT DISTINCT record_id FROM {of}").to_arrow_table())
    standing = store.read(
        "SELECT f.record_id, f.features FROM unindexed AS u JOIN match_feature AS f ON f.record_id = u.record_id",
        _RECORDS,
    )
    gone: dict[str, list[int]] = {"key": [], "record_id": []}
    for number, features in zip(
        standing["record_id"].to_pylist(), standing["features"].to_pylist(), strict=True
    ):
        for key in blocking_keys(model, orjson.loads(features)):
            gone["key"].append(_signed(key))
            gone["record_id"].append(number)
    store.stage(
        "unindexed_key", pa.table(gone, schema=pa.schema([("key", pa.int64()), ("record_id", pa.int64())]))
    )
    store.execute(
        "DELETE FROM match_key WHERE (key, record_id) IN (SELECT key, record_id FROM unindexed_key)"
    )
    store.execute("DELETE FROM match_feature WHERE record_id IN (SELECT record_id FROM unindexed)")


@lru_cache(maxsize=_KEYS_AT_ONCE)
def _blocks(count: int) -> TextClause:
    """Each block by itself, so that a large one is not read to its end."""
    each = (
        f"SELECT * FROM (SELECT key, record_id FROM match_key WHERE key = :k{place} LIMIT :most) AS b{place}"
        for place in range(count)
    )
    return text(" UNION ALL ".join(each))


def _signed(key: int) -> int:
    return key - 2 * _SIGN if key >= _SIGN else key


def _unsigned(key: int) -> int:
    return key + 2 * _SIGN if key < 0 else key
