"""Exports for registries and analysts: crosswalk, golden records, households, quarantine; Parquet or CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.duck import open_duckdb
from mdm.errors import InputError
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from mdm.pipeline import Export
    from mdm.registries.attributes import Attribute, Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.engine import Bulk

# the number by which a person is known now: the SSN, else the temporary number
_LIVE_NUMBER = """
    SELECT entity_key, number, kind, state FROM (
        SELECT s.*, ROW_NUMBER() OVER (PARTITION BY entity_key ORDER BY kind, sequence DESC) AS place
        FROM ssn AS s WHERE state NOT IN ('superseded', 'cancelled')
    ) AS ranked WHERE place = 1
"""


def export(
    settings: Settings,
    what: Export,
    path: Path,
    *,
    attributes: Attributes,
    registries: Mapping[str, RegistryDeclaration],
    include_sealed: bool = False,
) -> int:
    """Writes a file by its ending (.parquet or .csv, UTF-8) and returns its number of rows.

    Records of sealed registries are left out unless asked for: who is in them is itself a secret.
    """
    if path.suffix not in {".parquet", ".csv"}:
        raise InputError("the file's ending must be .parquet or .csv", where=str(path))
    sealed = (
        []
        if include_sealed
        else [code for code, declared in registries.items() if declared.sensitivity == "sealed"]
    )
    connection = open_duckdb()
    with bulk(settings) as store:
        if what == "crosswalk":
            query = _crosswalk(connection, store, sealed)
        elif what == "golden":
            query = _golden(connection, store, attributes)
        elif what == "households":
            query = _households(connection, store, sealed, attributes)
        else:
            query = _quarantine(connection, store, sealed)
    options = "FORMAT parquet, COMPRESSION zstd" if path.suffix == ".parquet" else "FORMAT csv, HEADER"
    partial = path.with_name(path.name + ".partial")
    connection.execute(f"COPY ({query}) TO '{str(partial).replace(chr(39), chr(39) * 2)}' ({options})")
    partial.replace(path)
    return int(connection.execute(f"SELECT COUNT(*) FROM ({query})").fetchall()[0][0])


def _strings(*names: str) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def _not_in(column: str, codes: list[str]) -> str:
    listed = ", ".join(f"'{code}'" for code in codes)
    return f"{column} NOT IN ({listed})" if codes else "1 = 1"


def _crosswalk(connection: duckdb.DuckDBPyConnection, store: Bulk, sealed: list[str]) -> str:
    rows = store.read(
        f"""
        SELECT r.registry, r.local_id, e.entity_id, n.number
        FROM record AS r
        JOIN membership AS m ON m.record_id = r.record_id AND m.until_event IS NULL
        JOIN entity AS e ON e.entity_key = m.entity_key
        LEFT JOIN ({_LIVE_NUMBER}) AS n ON n.entity_key = e.entity_key
        WHERE r.kind = 'person' AND r.status = 'active' AND {_not_in("r.registry", sealed)}
        """,
        _strings("registry", "local_id", "entity_id", "ssn"),
    )
    connection.register("crosswalk", rows)
    return "SELECT * FROM crosswalk ORDER BY registry, local_id"


def _golden(connection: duckdb.DuckDBPyConnection, store: Bulk, attributes: Attributes) -> str:
    rows = store.read(
        f"""
        SELECT e.entity_id, n.number, n.kind, n.state, g."values", g.provenance
        FROM golden AS g
        JOIN entity AS e ON e.entity_key = g.entity_key
        LEFT JOIN ({_LIVE_NUMBER}) AS n ON n.entity_key = e.entity_key
        WHERE g.until_event IS NULL AND e.kind = 'person'
        """,
        _strings("entity_id", "ssn", "number_kind", "number_state", "values", "provenance"),
    )
    connection.register("golden", rows)
    columns = _attribute_columns(attributes.of("person"), '"values"')
    return f"SELECT entity_id, ssn, number_kind, number_state, {columns}, provenance FROM golden ORDER BY entity_id"


def _households(
    connection: duckdb.DuckDBPyConnection, store: Bulk, sealed: list[str], attributes: Attributes
) -> str:
    """One row per household record, with the entities of the records that name it as their household."""
    households = store.read(
        f"""
        SELECT r.registry, r.local_id, v.attributes FROM record AS r
        JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version
        WHERE r.kind = 'household' AND r.status = 'active' AND {_not_in("r.registry", sealed)}
        """,
        _strings("registry", "local_id", "attributes"),
    )
    members = store.read(
        f"""
        SELECT r.registry, v.attributes, e.entity_id FROM record AS r
        JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version
        JOIN membership AS m ON m.record_id = r.record_id AND m.until_event IS NULL
        JOIN entity AS e ON e.entity_key = m.entity_key
        WHERE r.kind = 'person' AND r.status = 'active' AND v.attributes LIKE '%"household_ref"%' AND {_not_in("r.registry", sealed)}
        """,
        _strings("registry", "attributes", "entity_id"),
    )
    connection.register("household", households)
    connection.register("person", members)
    columns = _attribute_columns(attributes.of("household"), "h.attributes")
    return f"""
        WITH member AS (
            SELECT registry, json_extract_string(attributes, '$.household_ref') AS household,
                list(entity_id ORDER BY entity_id) AS entities
            FROM person GROUP BY ALL
        )
        SELECT h.registry, h.local_id, {columns}, COALESCE(len(m.entities), 0) AS member_records, array_to_string(m.entities, ';') AS member_entities
        FROM household AS h LEFT JOIN member AS m ON m.registry = h.registry AND m.household = h.local_id
        ORDER BY h.registry, h.local_id
    """


def _attribute_columns(declared: Mapping[str, Attribute], document: str) -> str:
    """Lists stay JSON, so that CSV can hold them."""
    texts = []
    for name, attribute in declared.items():
        extract = "json_extract" if attribute.many else "json_extract_string"
        texts.append(f"CAST({extract}({document}, '$.{name}') AS VARCHAR) AS \"{name}\"")
    return ", ".join(texts)


def _quarantine(connection: duckdb.DuckDBPyConnection, store: Bulk, sealed: list[str]) -> str:
    rows = store.read(
        f"""
        SELECT CAST(quarantine_id AS TEXT), registry, source, file, CAST(row_number AS TEXT), local_id, reason, detail, raw, status
        FROM quarantine WHERE {_not_in("registry", sealed)}
        """,
        _strings(
            "quarantine_id",
            "registry",
            "source",
            "file",
            "row_number",
            "local_id",
            "reason",
            "detail",
            "raw",
            "status",
        ),
    )
    connection.register("quarantined", rows)
    return (
        "SELECT * REPLACE (CAST(quarantine_id AS BIGINT) AS quarantine_id, CAST(row_number AS BIGINT) AS row_number)"
        " FROM quarantined ORDER BY 1"
    )
