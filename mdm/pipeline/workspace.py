"""The working side of a run: a DuckDB connection filled from the store, and a folder for what can be resumed."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from matching.standardise.features import feature_schema
from mdm.identity.events import canonical_json
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mdm.registries.attributes import Attributes
    from mdm.settings import Settings

_RECORDS_AT_ONCE = 500_000
_FEATURES = pa.schema([("record_id", pa.int64()), ("registry", pa.string()), ("features", pa.string())])
_CONTRIBUTIONS = pa.schema(
    [
        ("entity", pa.int64()),
        ("record", pa.int64()),
        ("version", pa.int64()),
        ("registry", pa.string()),
        ("observed_on", pa.string()),
        ("issues", pa.string()),
        ("attributes", pa.string()),
    ]
)


class Workspace:
    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, settings: Settings) -> None:
        self.connection, self.folder, self.settings = connection, folder, settings

    def path(self, name: str) -> Path:
        return self.folder / name

    def has_table(self, name: str) -> bool:
        found = self.connection.execute(
            "SELECT COUNT(*) FROM duckdb_tables() WHERE table_name = ?", [name]
        ).fetchall()
        return bool(found[0][0])

    def save(self, name: str, sql: str) -> None:
        """Writes a query's rows to a Parquet file of this run: the whole file or none."""
        target = self.path(f"{name}.parquet")
        partial = target.with_suffix(".partial")
        self.connection.execute(f"COPY ({sql}) TO '{partial}' (FORMAT parquet, COMPRESSION zstd)")
        partial.replace(target)

    def load(self, name: str) -> bool:
        """Reads a saved file back into a table of its name, if there is one."""
        target = self.path(f"{name}.parquet")
        if not target.exists():
            return False
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM read_parquet('{target}')")
        return True

    def load_features(self, kind: str, columns: list[str], attributes: Attributes) -> int:
        """Table `{kind}`: record_id, registry and the feature columns of every active record."""
        schema = feature_schema(kind, declaration=attributes.of(kind))  # type: ignore[arg-type]
        fields = {name: schema.field(name).type for name in columns}
        structure, declared = _json_structure(fields), _sql_columns(fields)
        self.connection.execute(
            f"CREATE OR REPLACE TABLE {kind} (record_id BIGINT, registry VARCHAR, {declared})"
        )
        query = (
            "SELECT r.record_id, r.registry, v.features FROM record AS r"
            " JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version"
            f" WHERE r.status = 'active' AND r.kind = '{kind}'"
        )
        for rows in self._in_ranges(query, "r.record_id", _FEATURES):
            self.connection.register("incoming", rows)
            self.connection.execute(
                f"INSERT INTO {kind} BY NAME SELECT record_id, registry, UNNEST(json_transform(features, '{structure}')) FROM incoming"
            )
            self.connection.unregister("incoming")
        return int(self.connection.execute(f"SELECT COUNT(*) FROM {kind}").fetchall()[0][0])

    def load_contributions(self, kind: str, attributes: Attributes, *, into: str) -> int:
        """Table `into`: the current version of every active member record, one column per attribute."""
        declared = attributes.of(kind)  # type: ignore[arg-type]
        types = {
            name: pa.list_(pa.string()) if attribute.many else pa.string()
            for name, attribute in declared.items()
        }
        structure, columns = _json_structure(types), _sql_columns(types)
        self.connection.execute(
            f"CREATE OR REPLACE TABLE {into} (entity BIGINT, record BIGINT, version INTEGER, registry VARCHAR,"
            f" observed_on DATE, issues VARCHAR, {columns})"
        )
        query = (
            "SELECT m.entity_key, v.record_id, v.version, r.registry, v.observed_on, v.issues, v.attributes FROM record AS r"
            " JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version"
            " JOIN membership AS m ON m.record_id = r.record_id AND m.until_event IS NULL"
            f" WHERE r.status = 'active' AND r.kind = '{kind}'"
        )
        for rows in self._in_ranges(query, "r.record_id", _CONTRIBUTIONS):
            self.connection.register("incoming", rows)
            self.connection.execute(
                f"""
                INSERT INTO {into} BY NAME
                SELECT entity, record, version, registry, CAST(observed_on AS DATE) AS observed_on, issues, UNNEST(json_transform(attributes, '{structure}'))
                FROM incoming
                """
            )
            self.connection.unregister("incoming")
        return int(self.connection.execute(f"SELECT COUNT(*) FROM {into}").fetchall()[0][0])

    def _in_ranges(self, query: str, key: str, schema: pa.Schema) -> Iterator[pa.Table]:
        with bulk(self.settings) as store:
            last = store.scalar("SELECT COALESCE(MAX(record_id), 0) FROM record")
            for start in range(0, last + 1, _RECORDS_AT_ONCE):
                yield store.read(
                    f"{query} AND {key} >= {start} AND {key} < {start + _RECORDS_AT_ONCE}", schema
                )


@contextmanager
def workspace(settings: Settings, run_id: str) -> Iterator[Workspace]:
    """The folder stays after an error, so that the run can be resumed; `discard` removes it."""
    folder = settings.work_folder / run_id
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{settings.memory_limit}'")
    connection.execute(f"SET threads = {settings.threads or os.cpu_count() or 1}")
    connection.execute(f"SET temp_directory = '{folder / 'spill'}'")
    connection.execute("SET preserve_insertion_order = false")
    try:
        yield Workspace(connection, folder, settings)
    finally:
        connection.close()


def discard(settings: Settings, run_id: str) -> None:
    shutil.rmtree(settings.work_folder / run_id, ignore_errors=True)


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    return "INTEGER" if pa.types.is_integer(kind) else "VARCHAR"


def _sql_columns(types: Mapping[str, pa.DataType]) -> str:
    return ", ".join(f'"{name}" {_sql_type(kind)}' for name, kind in types.items())


def _json_structure(types: Mapping[str, pa.DataType]) -> str:
    """The structure argument of json_transform."""
    return canonical_json(
        {
            name: [_sql_type(kind.value_type)] if pa.types.is_list(kind) else _sql_type(kind)
            for name, kind in types.items()
        }
    )
