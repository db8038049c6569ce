"""The working side of a run: a DuckDB connection filled from the store, and a folder for what can be resumed."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from matching.standardise.features import feature_columns, feature_schema
from mdm.duck import open_duckdb
from mdm.errors import ConfigurationError, InputError
from mdm.identity.events import canonical_json
from mdm.pipeline.housemates import HOUSEMATES, TOLD_BY, add_housemates
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from mdm.registries.attributes import Attributes
    from mdm.settings import Settings

_RECORDS_AT_ONCE = 500_000
# values that repeat within a slice are standardised once, so slices are large
_FEATURES_AT_ONCE = 3_000_000
_RECORDS = pa.schema(
    [
        ("record", pa.int64()),
        ("version", pa.int64()),
        ("registry", pa.string()),
        ("observed_on", pa.string()),
        ("issues", pa.string()),
        ("attributes", pa.string()),
    ]
)
_RENUMBERED = pa.schema([("new", pa.string()), ("old", pa.string())])
_MEMBERSHIPS = pa.schema([("entity", pa.int64()), ("record", pa.int64())])


class Workspace:
    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, settings: Settings) -> None:
        self.connection, self.folder, self.settings = connection, folder, settings
        self.landed: int | None = None
        """The last delivery of which the records here are, of every kind; later ones may have landed since."""

    def path(self, name: str) -> Path:
        return self.folder / name

    def has_table(self, name: str) -> bool:
        found = self.connection.execute(
            "SELECT COUNT(*) FROM duckdb_tables() WHERE table_name = ?", [name]
        ).fetchall()
        return bool(found[0][0])

    def put(self, name: str, rows: pa.Table) -> None:
        """Makes a table of rows."""
        self.connection.register("arriving", rows)
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM arriving")
        self.connection.unregister("arriving")

    def save(self, name: str, sql: str) -> None:
        """Writes a query's rows to a Parquet file of this run: the whole file or none."""
        target = self.path(f"{name}.parquet")
        partial = target.with_suffix(".partial")
        self.connection.execute(f"COPY ({sql}) TO '{partial}' (FORMAT parquet, COMPRESSION zstd)")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)

    def has_saved(self, name: str) -> bool:
        return self.path(f"{name}.parquet").exists()

    def load(self, name: str) -> None:
        """Reads a saved file back into a table of its name."""
        target = self.path(f"{name}.parquet")
        self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM read_parquet('{target}')")

    def require_people(self) -> None:
        """Raises InputError where the store never had a record of people; all that it had may have been withdrawn."""
        with bulk(self.settings) as store:
            if store.scalar("SELECT 1 FROM record WHERE kind = 'person' LIMIT 1") is None:
                raise InputError(
                    "the store holds no records of people", hint="Bring some in first: mdm ingest DIR."
                )

    def load_records(self, kind: str, attributes: Attributes) -> int:
        """Table `{kind}_record`: the version of every active record as of the last delivery, a column for each attribute."""
        structure, columns = json_columns(attributes, kind)
        self.connection.execute(
            f"CREATE OR REPLACE TABLE {kind}_record (record BIGINT, version INTEGER, registry VARCHAR,"
            f" observed_on DATE, issues VARCHAR, {columns})"
        )
        for rows in self._records(kind):
            self.connection.register("incoming", rows)
            self.connection.execute(
                f"""
                INSERT INTO {kind}_record BY NAME
                SELECT record, version, registry, CAST(observed_on AS DATE) AS observed_on, issues,
                    UNNEST(json_transform(attributes, '{structure}'))
                FROM incoming
                """
            )
            self.connection.unregister("incoming")
        return self._count(f"{kind}_record")

    def make_features(
        self, kind: str, wanted: Sequence[str], attributes: Attributes, *, records: str | None = None
    ) -> int:
        """Table `{kind}`: record_id, registry and the wanted comparison features of every row of `records`, by default `{kind}_record`.

        With HOUSEMATES come those from which it is made.
        """
        records = records or f"{kind}_record"
        beside = HOUSEMATES in wanted
        if beside:
            wanted = sorted({*wanted, *TOLD_BY} - {HOUSEMATES})
        declared = attributes.of(kind)  # type: ignore[arg-type]
        schema = feature_schema(kind, declaration=declared)
        if unknown := sorted(set(wanted) - set(schema.names)):
            raise ConfigurationError(
                f"the model compares columns that no attribute gives: {', '.join(unknown)}",
                where=str(self.settings.person_model_file),
                hint="docs/matching.md tells which columns each type of attribute gives.",
            )
        types = {name: schema.field(name).type for name in wanted}
        self.connection.execute(
            f"CREATE OR REPLACE TABLE {kind} (record_id BIGINT, registry VARCHAR, {_sql_columns(types)})"
        )
        replaced, formerly = self._former_numbers() if "former_personal_id" in declared else ("", "")
        last = self.connection.execute(f"SELECT COALESCE(MAX(record), 0) FROM {records}").fetchall()[0][0]
        for start in range(0, last + 1, _FEATURES_AT_ONCE):
            given = self.connection.sql(
                f"SELECT * EXCLUDE (version, observed_on, issues){replaced} FROM {records} AS p {formerly}"
                f" WHERE record >= {start} AND record < {start + _FEATURES_AT_ONCE}"
            ).to_arrow_table()
            made = feature_columns(kind, given, declaration=declared, wanted=wanted)
            made = made.append_column("record_id", given["record"]).append_column(
                "registry", given["registry"]
            )
            self.connection.register("made", made)
            self.connection.execute(f"INSERT INTO {kind} BY NAME SELECT * FROM made")
            self.connection.unregister("made")
        if beside:
            add_housemates(self.connection, features=kind, records=records)
        return self._count(kind)

    def _former_numbers(self) -> tuple[str, str]:
        """SQL that adds the numbers which an office told to be re-established as others, for comparison only."""
        with bulk(self.settings) as store:
            told = store.read("SELECT new, old FROM renumbering WHERE attribute = 'personal_id'", _RENUMBERED)
        self.connection.register("incoming", told)
        self.connection.execute(
            "CREATE OR REPLACE TABLE renumbered AS SELECT new, list(DISTINCT old ORDER BY old) AS numbers FROM incoming GROUP BY new"
        )
        self.connection.unregister("incoming")
        added = "CASE WHEN r.new IS NULL THEN p.former_personal_id ELSE list_concat(p.former_personal_id, r.numbers) END"
        return (
            f" REPLACE ({added} AS former_personal_id)",
            "LEFT JOIN renumbered AS r ON r.new = p.personal_id",
        )

    def load_memberships(self) -> None:
        """Table `membership`: entity and record, as they are now."""
        with bulk(self.settings) as store:
            rows = store.read(
                "SELECT entity_key, record_id FROM membership WHERE until_event IS NULL", _MEMBERSHIPS
            )
        self.connection.register("incoming", rows)
        self.connection.execute("CREATE OR REPLACE TABLE membership AS FROM incoming")
        self.connection.unregister("incoming")

    def _count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchall()[0][0])

    def _records(self, kind: str) -> Iterator[pa.Table]:
        """One range is read from the store while the caller works on the one before."""
        with bulk(self.settings) as store, ThreadPoolExecutor(1) as ahead:
            latest = store.scalar("SELECT COALESCE(MAX(batch_id), 0) FROM batch")
            if self.landed is None:
                self.landed = latest
            version = "r.version"
            if self.landed < latest:
                version = f"(SELECT MAX(w.version) FROM record_version AS w WHERE w.record_id = r.record_id AND w.batch_id <= {self.landed})"
            query = (
                "SELECT v.record_id, v.version, r.registry, v.observed_on, v.issues, v.attributes FROM record AS r"
                f" JOIN record_version AS v ON v.record_id = r.record_id AND v.version = {version}"
                f" WHERE v.status = 'active' AND r.kind = '{kind}'"
            )
            last = store.scalar("SELECT COALESCE(MAX(record_id), 0) FROM record")
            queries = [
                f"{query} AND r.record_id >= {start} AND r.record_id < {start + _RECORDS_AT_ONCE}"
                for start in range(0, last + 1, _RECORDS_AT_ONCE)
            ]
            reading = ahead.submit(store.read, queries[0], _RECORDS)
            for following in queries[1:]:
                rows, reading = reading.result(), ahead.submit(store.read, following, _RECORDS)
                yield rows
            yield reading.result()


@contextmanager
def workspace(settings: Settings, run_id: str) -> Iterator[Workspace]:
    """The folder stays after an error, so that the run can be resumed; `discard` removes it."""
    folder = settings.work_folder / run_id
    folder.mkdir(parents=True, exist_ok=True)
    connection = open_duckdb()
    # compressed, and above the limit on disk; what a run needs to go on is in Parquet beside it
    connection.execute("ATTACH ':memory:' AS work (COMPRESS); USE work")
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


def json_columns(attributes: Attributes, kind: str) -> tuple[str, str]:
    """The attributes of a kind as the structure argument of json_transform, and as SQL columns."""
    types = _attribute_types(attributes, kind)
    return _json_structure(types), _sql_columns(types)


def _attribute_types(attributes: Attributes, kind: str) -> dict[str, pa.DataType]:
    declared = attributes.of(kind)  # type: ignore[arg-type]
    return {
        name: pa.list_(pa.string()) if attribute.many else pa.string() for name, attribute in declared.items()
    }


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
