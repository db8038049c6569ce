"""The truth that a simulation left aside, beside the store's records. Nothing else reads that truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from matching.standardise.reference import reference_folder
from mdm.errors import InputError
from mdm.simulation.truth import PERSONS, RECORDS, REJECTS, TRUTH_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    from numpy.typing import NDArray

    from mdm.store.engine import Bulk

    Labels = NDArray[np.int64]

_MEMBERS = pa.schema(
    [("record_id", pa.int64()), ("registry", pa.string()), ("local_id", pa.string()), ("entity", pa.int64())]
)
_QUARANTINED = pa.schema([("registry", pa.string()), ("file", pa.string()), ("row_number", pa.int64())])
_EDGES = pa.schema(
    [("record_l", pa.int64()), ("record_r", pa.int64()), ("weight", pa.float64()), ("conflict", pa.string())]
)
_AGES = (6, 18, 35, 60, 80)
_KNOWN = "person IS NOT NULL"
_ASKED = {
    "truth_record": (
        RECORDS,
        "registry VARCHAR, local_id VARCHAR, kind VARCHAR, person_id BIGINT, tags VARCHAR[]",
    ),
    "truth_person": (
        PERSONS,
        (
            "person_id BIGINT, full_name VARCHAR, sex VARCHAR, birth_date DATE, death_date DATE, ethnicity VARCHAR,"
            " is_foreign BOOLEAN, birth_commune VARCHAR, twin_of BIGINT"
        ),
    ),
    "truth_reject": (REJECTS, "registry VARCHAR, file VARCHAR, row_number BIGINT"),
}
"""Of each table its file and what is asked of it; what a truth of other data does not tell is unknown."""


@dataclass(frozen=True)
class Truth:
    """DuckDB tables: judged (record_id, registry, local_id, entity, person; person null where the truth does not know the
    record), edge (as in the store), quarantined, and of the truth truth_person, truth_record, truth_reject.
    """

    connection: duckdb.DuckDBPyConnection
    folder: Path

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection, store: Bulk, given: Path) -> Truth:
        """`given` is the truth folder of a simulation, or the simulation's folder; of other data records.parquet will do."""
        folder = given if (given / RECORDS).exists() else given / TRUTH_FOLDER
        if not (folder / RECORDS).exists():
            raise InputError(
                "there is no truth here",
                where=str(given),
                hint="Give the folder that `mdm simulate --out` wrote.",
            )
        truth = cls(connection, folder)
        for name, (file, asked) in _ASKED.items():
            connection.execute(f"CREATE TABLE {name}_asked ({asked})")
            path = str(folder / file).replace("'", "''")
            told = f" UNION ALL BY NAME FROM read_parquet('{path}')" if (folder / file).exists() else ""
            connection.execute(f"CREATE VIEW {name} AS FROM {name}_asked{told}")
        truth._take(store)
        if connection.execute(f"SELECT COUNT(*) FROM judged WHERE {_KNOWN}").fetchall()[0][0] == 0:
            raise InputError(
                "the truth knows none of the store's records",
                where=str(folder),
                hint="Is it the truth of another simulation?",
            )
        return truth

    def _take(self, store: Bulk) -> None:
        """What the store says, as of now."""
        members = (
            "SELECT r.record_id, r.registry, r.local_id, m.entity_key FROM record AS r JOIN membership AS m"
            " ON m.record_id = r.record_id AND m.until_event IS NULL WHERE r.kind = 'person' AND r.status = 'active'"
        )
        self._put("member", store.read(members, _MEMBERS))
        self._put("edge", store.read("SELECT record_l, record_r, weight, conflict FROM edge", _EDGES))
        refused = store.read("SELECT registry, file, row_number FROM quarantine", _QUARANTINED)
        self._put("quarantined", refused)
        latest = store.scalar("SELECT MAX(delivered_on) FROM batch")
        self.connection.execute("SET VARIABLE today = COALESCE(CAST(? AS DATE), current_date)", [latest])
        self.connection.execute(
            """
            CREATE TABLE judged AS
            SELECT m.*, t.person_id AS person FROM member AS m LEFT JOIN (
                SELECT DISTINCT registry, local_id, person_id FROM truth_record WHERE kind = 'person'
            ) AS t USING (registry, local_id)
            """
        )

    def _put(self, name: str, rows: pa.Table) -> None:
        self.connection.register("arriving", rows)
        self.connection.execute(f"CREATE TABLE {name} AS FROM arriving")
        self.connection.unregister("arriving")

    def labels(self) -> tuple[Labels, Labels]:
        """True person and entity of every record that the truth knows, by record."""
        rows = self.connection.execute(
            f"SELECT person, entity FROM judged WHERE {_KNOWN} ORDER BY record_id"
        ).fetchnumpy()
        return rows["person"], rows["entity"]

    def without(self) -> int:
        """Records that the truth does not know."""
        return int(
            self.connection.execute(f"SELECT COUNT(*) FROM judged WHERE NOT {_KNOWN}").fetchall()[0][0]
        )

    def groups(self, dimension: str) -> tuple[list[str], Labels]:
        """Names of the groups, in the order to show them, and for each record (as in `labels`) the place of its name, -1 for none."""
        rows = self.connection.sql(
            f"{DIMENSIONS[dimension]} WHERE j.{_KNOWN} ORDER BY j.record_id".replace(
                "$reference", _reference()
            )
        ).to_arrow_table()
        encoded = rows["name"].combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        code = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        sizes = np.bincount(code[code >= 0], minlength=len(names))
        order = sorted(range(len(names)), key=lambda n: names[n] if dimension == "age" else -sizes[n])
        place = np.empty(len(names) + 1, dtype=np.int64)
        place[order] = np.arange(len(names))
        place[-1] = -1
        return [names[n] for n in order], place[code]

    def circumstances(self) -> tuple[list[str], list[Labels]]:
        """The truth's tags, and of each the places of its records (as in `labels`)."""
        rows = self.connection.execute(
            f"""
            WITH placed AS (
                SELECT registry, local_id, row_number() OVER (ORDER BY record_id) - 1 AS place FROM judged WHERE {_KNOWN}
            ),
            tagged AS (SELECT DISTINCT registry, local_id, unnest(tags) AS tag FROM truth_record WHERE kind = 'person')
            SELECT tag, list(place ORDER BY place) FROM tagged JOIN placed USING (registry, local_id) GROUP BY tag ORDER BY tag
            """
        ).fetchall()
        return [tag for tag, _ in rows], [np.array(places, dtype=np.int64) for _, places in rows]

    def anchored(self, anchor: str) -> tuple[list[str], Labels, NDArray[np.bool_]]:
        """The registries by name, the place of each record's registry among them, and which records are of the anchor."""
        rows = self.connection.sql(
            f"SELECT registry FROM judged WHERE {_KNOWN} ORDER BY record_id"
        ).to_arrow_table()
        encoded = rows["registry"].combine_chunks().dictionary_encode()
        names, code = encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)
        return names, code, code == (names.index(anchor) if anchor in names else -1)

    def confused(self) -> dict[str, tuple[Labels, Labels]]:
        """Pairs of people: twins; strangers who share name and birthday."""
        queries = {
            "twins": "SELECT person_id AS one, twin_of AS other FROM truth_person WHERE twin_of > person_id",
            "same_name_and_birthday": """
                SELECT a.person_id AS one, b.person_id AS other
                FROM truth_person AS a JOIN truth_person AS b
                ON a.full_name = b.full_name AND a.birth_date = b.birth_date AND a.person_id < b.person_id
                WHERE a.twin_of <> b.person_id""",
        }
        found = {name: self.connection.execute(sql).fetchnumpy() for name, sql in queries.items()}
        return {name: (rows["one"], rows["other"]) for name, rows in found.items()}

    def rejects(self) -> tuple[int, int, int]:
        """Rows that must be rejected, those of them that were, and rejected rows that need not have been."""
        expected, found, unexpected = self.connection.execute(
            """
            WITH expected AS (SELECT DISTINCT registry, file, row_number FROM truth_reject),
            landed AS (SELECT DISTINCT registry, file, row_number FROM quarantined)
            SELECT
                (SELECT COUNT(*) FROM expected),
                (SELECT COUNT(*) FROM expected SEMI JOIN landed USING (registry, file, row_number)),
                (SELECT COUNT(*) FROM landed ANTI JOIN expected USING (registry, file, row_number))
            """
        ).fetchall()[0]
        return int(expected), int(found), int(unexpected)


def _age_sql() -> str:
    born = "date_diff('year', p.birth_date, getvariable('today'))"
    names = [f"{low:02d} to {high - 1:02d}" for low, high in zip((0, *_AGES), _AGES, strict=False)]
    cases = [f"WHEN {born} < {limit} THEN '{name}'" for limit, name in zip(_AGES, names, strict=True)]
    return f"CASE WHEN p.death_date <= getvariable('today') THEN 'dead' {' '.join(cases)} ELSE '{_AGES[-1]} and over' END"


_OF_PERSON = "FROM judged AS j LEFT JOIN truth_person AS p ON p.person_id = j.person"
DIMENSIONS = {
    "registry": "SELECT j.registry AS name FROM judged AS j",
    "age": f"SELECT {_age_sql()} AS name {_OF_PERSON}",
    "sex": f"SELECT p.sex AS name {_OF_PERSON}",
    "ethnicity": f"""
        SELECT CASE WHEN p.is_foreign THEN 'foreign' ELSE COALESCE(e.name, p.ethnicity) END AS name {_OF_PERSON}
        LEFT JOIN read_csv('$reference/ethnic_groups.csv', all_varchar = true, header = true) AS e ON e.code = p.ethnicity""",
    "region": f"""
        SELECT r.region AS name {_OF_PERSON}
        LEFT JOIN read_csv('$reference/units.csv', all_varchar = true, header = true) AS u ON u.code = p.birth_commune
        LEFT JOIN read_csv('$reference/provinces_63_to_34.csv', all_varchar = true, header = true) AS former
            ON u.province_code = 'L' || right(former.id_prefix_3digit, 2)
        LEFT JOIN read_csv('$reference/regions.csv', all_varchar = true, header = true) AS r
            ON r.province_code = COALESCE('N' || former.new_code_2digit, u.province_code)""",
}
"""SQL for the name of each record's group; the region is that of birth. Facts of people are the true ones."""


def _reference() -> str:
    return str(reference_folder()).replace("'", "''")
