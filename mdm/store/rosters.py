"""Who stands on which household list: what a household's golden record says that its own row does not.

One SQL serves the batch, over all households, and single changes, over those at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from sqlalchemy import BigInteger, and_, bindparam, select

from mdm.duck import open_duckdb
from mdm.store.tables import entity, golden, membership, record, record_version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import duckdb

    from mdm.store.unit_of_work import UnitOfWork

HOUSEHOLD = "household"
DEAD = """"values" LIKE '%"death_date":%'"""
"""SQL over golden records: of a person known to be dead."""
_AT_ONCE = 10_000
LISTS = pa.schema(
    [("record", pa.int64())]
    + [(name, pa.string()) for name in ("registry", "local_id", "head_name", "head_personal_id")]
    + [("poverty_class", pa.string()), ("reference_year", pa.string())]
)
"""Of `make_rosters`: household records."""
LISTED = pa.schema(
    [
        (name, pa.string())
        for name in ("registry", "household_ref", "head_relation", "full_name", "personal_id", "entity")
    ]
    + [("dead", pa.bool_())]
)
"""Of `make_rosters`: person records that name a household, the ID of the entity they belong to, whether that person is dead."""


def make_rosters(connection: duckdb.DuckDBPyConnection, *, lists: str, listed: str, into: str) -> None:
    """Table `into`, a row for each of `lists` (LISTS): record; everyone, head and head_name as `listed` (LISTED) tells; members,
    head_person and poverty_years for the golden record.

    The head is who the list relates the others to, else the member with the head's number, else with the head's name.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE {into} AS
        WITH named AS (
            SELECT l.record, p.entity, p.dead, p.full_name, CASE WHEN p.head_relation = 'head' THEN 0
                WHEN p.personal_id = l.head_personal_id THEN 1 WHEN lower(p.full_name) = lower(l.head_name) THEN 2 END AS place
            FROM {lists} AS l JOIN {listed} AS p ON p.registry = l.registry AND p.household_ref = l.local_id
        ),
        roster AS (
            SELECT record, list(DISTINCT entity ORDER BY entity) AS everyone,
                list(DISTINCT entity ORDER BY entity) FILTER (NOT dead) AS members,
                arg_min(entity, (place, entity, full_name)) FILTER (place IS NOT NULL) AS head,
                arg_min(full_name, (place, entity, full_name)) FILTER (place IS NOT NULL) AS head_name,
                arg_min(entity, (place, entity, full_name)) FILTER (place IS NOT NULL AND NOT dead) AS head_person
            FROM named GROUP BY record
        )
        SELECT l.record, r.everyone, r.head, COALESCE(l.head_name, r.head_name) AS head_name, r.members, r.head_person,
            CASE WHEN l.poverty_class IS NOT NULL AND l.reference_year IS NOT NULL
                THEN [l.reference_year || ' ' || l.poverty_class] END AS poverty_years
        FROM {lists} AS l LEFT JOIN roster AS r USING (record)
        """
    )


def rosters_of(work: UnitOfWork, records: Collection[int]) -> dict[int, dict[str, Any]]:
    """What `make_rosters` gives the golden records of some household records."""
    lists = [
        {**orjson.loads(attributes), "record": record_id, "registry": registry, "local_id": local_id}
        for some in _some(records)
        for record_id, registry, local_id, attributes in work.connection.execute(_LISTS, {"records": some})
    ]
    if not lists:
        return {}
    listed = [
        {**orjson.loads(attributes), "registry": registry, "entity": entity_id, "key": entity_key}
        for some in _some(records)
        for registry, attributes, entity_id, entity_key in work.connection.execute(_LISTED, {"records": some})
    ]
    died = _dead(work, {row["key"] for row in listed})
    for row in listed:
        row["dead"] = row["key"] in died
    with open_duckdb() as connection:
        connection.register("list_given", _table(lists, LISTS))
        connection.register("listed_given", _table(listed, LISTED))
        make_rosters(connection, lists="list_given", listed="listed_given", into="roster")
        found = connection.sql(
            "SELECT record, members, head_person, poverty_years FROM roster"
        ).to_arrow_table()
    return {
        row.pop("record"): {name: value for name, value in row.items() if value} for row in found.to_pylist()
    }


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.table(
        [pa.array([row.get(field.name) for row in rows], field.type) for field in schema], schema=schema
    )


def _dead(work: UnitOfWork, keys: set[int]) -> set[int]:
    rows = (row for some in _some(keys) for row in work.connection.execute(_GOLDEN, {"keys": some}))
    return {key for key, values in rows if "death_date" in orjson.loads(values)}


def _some(numbers: Collection[int]) -> Iterator[list[int]]:
    """So many as a statement may name."""
    ordered = sorted(numbers)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))


_VERSION = and_(
    record_version.c.record_id == record.c.record_id, record_version.c.version == record.c.version
)
_LISTS = (
    select(record.c.record_id, record.c.registry, record.c.local_id, record_version.c.attributes)
    .join(record_version, _VERSION)
    .where(
        record.c.record_id.in_(bindparam("records", type_=BigInteger, expanding=True)),
        record.c.kind == HOUSEHOLD,
        record.c.status == "active",
    )
    .order_by(record.c.record_id)
)
_LIST = record.alias("list")
_LISTED = (
    select(record.c.registry, record_version.c.attributes, entity.c.entity_id, entity.c.entity_key)
    .join(_LIST, and_(_LIST.c.registry == record.c.registry, _LIST.c.local_id == record.c.household_ref))
    .join(record_version, _VERSION)
    .join(membership, and_(membership.c.record_id == record.c.record_id, membership.c.until_event.is_(None)))
    .join(entity, entity.c.entity_key == membership.c.entity_key)
    .where(
        _LIST.c.record_id.in_(bindparam("records", type_=BigInteger, expanding=True)),
        _LIST.c.kind == HOUSEHOLD,
        _LIST.c.status == "active",
        record.c.kind == "person",
        record.c.status == "active",
    )
)
_GOLDEN = select(golden.c.entity_key, golden.c["values"]).where(
    golden.c.entity_key.in_(bindparam("keys", type_=BigInteger, expanding=True)),
    golden.c.until_event.is_(None),
    golden.c["values"].like('%"death_date"%'),
)
