"""Exports for registries and analysts: crosswalk, golden records, households, quarantine; Parquet or CSV; now or as of a past moment.

The store is read range by range of a key and joined and sorted in DuckDB, which spills to disk, so that memory does not grow
with the country.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.duck import open_duckdb
from mdm.errors import InputError
from mdm.identity.numbers import NumberKind
from mdm.registries.declaration import sealed_codes
from mdm.store.engine import bulk, reading
from mdm.store.moments import Moment, read_moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import duckdb

    from mdm.pipeline import Export
    from mdm.registries.attributes import Attribute, Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.engine import Bulk

_ROWS_AT_ONCE = 200_000
_TYPES = {pa.string(): "VARCHAR", pa.int64(): "BIGINT"}


def export(
    settings: Settings,
    what: Export,
    path: Path,
    *,
    attributes: Attributes,
    registries: Mapping[str, RegistryDeclaration],
    include_sealed: bool = False,
    as_of: str | None = None,
) -> int:
    """Writes a file by its ending (.parquet or .csv, UTF-8) and returns its number of rows.

    Records of sealed registries are left out unless asked for: who is in them is itself a secret. With `as_of` (an event's
    number, a day, a time: see `read_moment`) the rows are those that the same export would have had then.
    """
    if path.suffix not in {".parquet", ".csv"}:
        raise InputError("the file's ending must be .parquet or .csv", where=str(path))
    if not path.parent.is_dir():
        raise InputError("there is no such folder", where=str(path.parent))
    if as_of is not None and what == "quarantine":
        raise InputError(
            "the quarantine is exported as it is now", where="--as-of", hint="Leave --as-of out."
        )
    sealed = [] if include_sealed else sorted(sealed_codes(registries))
    moment = None
    if as_of is not None:
        with reading(settings) as connection:
            moment = read_moment(connection, as_of)
    with _scratch(settings, path.parent) as connection:
        with bulk(settings) as store:
            source = _Reading(connection, store, moment, sealed)
            if what == "crosswalk":
                query = _crosswalk(source)
            elif what == "golden":
                query = _golden(source, attributes)
            elif what == "households":
                query = _households(source, attributes)
            else:
                query = _quarantine(source)
        options = "FORMAT parquet, COMPRESSION zstd" if path.suffix == ".parquet" else "FORMAT csv, HEADER"
        partial = path.with_name(path.name + ".partial")
        # by way of Arrow, which knows no statistics: whether a column may be null must not depend on what is in it
        with connection.cursor() as writing:
            writing.register("exported", connection.sql(query).to_arrow_reader(_ROWS_AT_ONCE))
            written = writing.execute(f"COPY exported TO '{_escaped(partial)}' ({options})").fetchall()
    partial.replace(path)
    return int(written[0][0])


@contextmanager
def _scratch(settings: Settings, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Compressed in memory, and above the limit on disk beside the file that is written."""
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as spill:
        connection = open_duckdb()
        try:
            connection.execute("ATTACH ':memory:' AS work (COMPRESS); USE work")
            connection.execute(f"SET memory_limit = '{settings.memory_limit}'")
            connection.execute(f"SET temp_directory = '{_escaped(spill)}'")
            yield connection
        finally:
            connection.close()


def _escaped(path: Path | str) -> str:
    return str(path).replace("'", "''")


@dataclass(frozen=True)
class _Reading:
    """From the store into DuckDB, as of a moment; None is the present, by the indices of what stands."""

    connection: duckdb.DuckDBPyConnection
    store: Bulk
    moment: Moment | None
    sealed: list[str]

    def load(self, name: str, select: str, *, key: str, last: str, schema: pa.Schema) -> None:
        """Adds rows to table `name`. `select` ends in a condition, `key` is a whole number of its rows, `last` a query for the highest."""
        columns = ", ".join(f'"{field.name}" {_TYPES[field.type]}' for field in schema)
        self.connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        highest = self.store.scalar(last)
        for start in range(0, 0 if highest is None else int(highest) + 1, _ROWS_AT_ONCE):
            rows = self.store.read(
                f"{select} AND {key} >= {start} AND {key} < {start + _ROWS_AT_ONCE}", schema
            )
            self.connection.register("incoming", rows)
            self.connection.execute(f"INSERT INTO {name} FROM incoming")
            self.connection.unregister("incoming")

    def stands(self, of: str) -> str:
        if self.moment is None:
            return f"{of}.until_event IS NULL"
        seq = self.moment.seq
        return f"{of}.from_event <= {seq} AND ({of}.until_event IS NULL OR {of}.until_event > {seq})"

    def version(self) -> str:
        """Joins the version `v` of record `r`."""
        version = (
            "r.version"
            if self.moment is None
            else f"(SELECT MAX(w.version) FROM record_version AS w WHERE w.record_id = r.record_id AND w.batch_id <= {self.moment.batch})"
        )
        return f"JOIN record_version AS v ON v.record_id = r.record_id AND v.version = {version}"

    def open(self, column: str) -> str:
        """Without sealed registries."""
        listed = ", ".join(f"'{code}'" for code in self.sealed)
        return f"{column} NOT IN ({listed})" if listed else "1 = 1"

    def load_live_numbers(self) -> None:
        """Table `live_number`: the number by which an entity is known, the SSN, else the temporary number."""
        live = "state NOT IN ('superseded', 'cancelled')"
        schema = _schema("entity_key:int", "number", "kind", "state", "sequence:int")
        for kind in NumberKind:
            last = f"SELECT MAX(sequence) FROM ssn WHERE kind = '{kind}'"
            columns = "s.number, s.kind, {0}.state, s.sequence FROM ssn AS s"
            present = "" if self.moment is None else f" AND s.changed_event <= {self.moment.seq}"
            self.load(
                "number",
                f"SELECT s.entity_key, {columns.format('s')} WHERE s.kind = '{kind}' AND s.{live}{present}",
                key="s.sequence",
                last=last,
                schema=schema,
            )
            if self.moment is not None:
                self.load(
                    "number",
                    f"SELECT p.entity_key, {columns.format('p')} JOIN ssn_past AS p ON p.number = s.number"
                    f" WHERE s.kind = '{kind}' AND p.{live} AND {self.stands('p')}",
                    key="s.sequence",
                    last=last,
                    schema=schema,
                )
        self.connection.execute(
            "CREATE VIEW live_number AS FROM number QUALIFY ROW_NUMBER() OVER (PARTITION BY entity_key ORDER BY kind, sequence DESC) = 1"
        )


def _schema(*names: str) -> pa.Schema:
    """Texts; `name:int` for a whole number."""
    return pa.schema(
        [(n.removesuffix(":int"), pa.int64() if n.endswith(":int") else pa.string()) for n in names]
    )


_LAST_MEMBERSHIP = "SELECT MAX(membership_id) FROM membership"
_LAST_RECORD = "SELECT MAX(record_id) FROM record"


def _crosswalk(source: _Reading) -> str:
    source.load(
        "member",
        f"""
        SELECT r.registry, r.local_id, e.entity_id, e.entity_key
        FROM membership AS m
        JOIN record AS r ON r.record_id = m.record_id
        {source.version()}
        JOIN entity AS e ON e.entity_key = m.entity_key
        WHERE r.kind = 'person' AND v.status = 'active' AND {source.stands("m")} AND {source.open("r.registry")}
        """,
        key="m.membership_id",
        last=_LAST_MEMBERSHIP,
        schema=_schema("registry", "local_id", "entity_id", "entity_key:int"),
    )
    source.load_live_numbers()
    return (
        "SELECT registry, local_id, entity_id, number AS ssn FROM member LEFT JOIN live_number USING (entity_key)"
        " ORDER BY registry, local_id"
    )


def _golden(source: _Reading, attributes: Attributes) -> str:
    source.load(
        "golden",
        f"""
        SELECT e.entity_id, g.entity_key, g."values", g.provenance
        FROM golden AS g JOIN entity AS e ON e.entity_key = g.entity_key
        WHERE {source.stands("g")} AND e.kind = 'person'
        """,
        key="g.golden_id",
        last="SELECT MAX(golden_id) FROM golden",
        schema=_schema("entity_id", "entity_key:int", "values", "provenance"),
    )
    source.load_live_numbers()
    columns = _attribute_columns(attributes.of("person"), '"values"')
    return f"""
        SELECT entity_id, number AS ssn, kind AS number_kind, state AS number_state, {columns}, provenance
        FROM golden LEFT JOIN live_number USING (entity_key) ORDER BY entity_id
    """


def _households(source: _Reading, attributes: Attributes) -> str:
    """One row per household record, with the entities of the records that name it as their household."""
    source.load(
        "household",
        f"""
        SELECT r.registry, r.local_id, v.attributes FROM record AS r {source.version()}
        WHERE r.kind = 'household' AND v.status = 'active' AND {source.open("r.registry")}
        """,
        key="r.record_id",
        last=_LAST_RECORD,
        schema=_schema("registry", "local_id", "attributes"),
    )
    source.load(
        "person",
        f"""
        SELECT r.registry, v.attributes, e.entity_id
        FROM membership AS m
        JOIN record AS r ON r.record_id = m.record_id
        {source.version()}
        JOIN entity AS e ON e.entity_key = m.entity_key
        WHERE r.kind = 'person' AND v.status = 'active' AND v.attributes LIKE '%"household_ref"%'
            AND {source.stands("m")} AND {source.open("r.registry")}
        """,
        key="m.membership_id",
        last=_LAST_MEMBERSHIP,
        schema=_schema("registry", "attributes", "entity_id"),
    )
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


def _quarantine(source: _Reading) -> str:
    names = [
        "quarantine_id:int",
        "registry",
        "source",
        "file",
        "row_number:int",
        "local_id",
        "reason",
        "detail",
        "raw",
        "status",
    ]
    schema = _schema(*names)
    source.load(
        "quarantined",
        f"SELECT {', '.join(schema.names)} FROM quarantine WHERE {source.open('registry')}",
        key="quarantine_id",
        last="SELECT MAX(quarantine_id) FROM quarantine",
        schema=schema,
    )
    return "FROM quarantined ORDER BY quarantine_id"
