"""The store's people against the truth that a simulation left aside. Nothing else reads that truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from matching.evaluate import ClusterCounts, PairCounts, cluster_counts, pair_counts
from mdm.duck import open_duckdb
from mdm.errors import InputError
from mdm.simulation.truth import TRUTH_FOLDER
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings

_MEMBERS = pa.schema([("registry", pa.string()), ("local_id", pa.string()), ("entity", pa.int64())])
_QUARANTINED = pa.schema([("registry", pa.string()), ("file", pa.string()), ("row_number", pa.int64())])


@dataclass(frozen=True)
class RegistryRecall:
    """Records of people who are also in the anchor registry, and how many of them are in one entity with that record."""

    registry: str
    records: int
    found: int

    @property
    def recall(self) -> float:
        return self.found / self.records if self.records else 1.0


@dataclass(frozen=True)
class Evaluation:
    records: int
    without_truth: int
    pairs: PairCounts
    clusters: ClusterCounts
    registries: list[RegistryRecall]
    tags: dict[str, PairCounts] = field(default_factory=dict)
    rejects_expected: int = 0
    rejects_found: int = 0
    rejects_unexpected: int = 0

    def as_dict(self) -> dict[str, Any]:
        pairs = {
            "precision": self.pairs.precision,
            "recall": self.pairs.recall,
            "f1": self.pairs.f1,
            **asdict(self.pairs),
        }
        return {
            "records": self.records,
            "without_truth": self.without_truth,
            "pairs": pairs,
            "clusters": asdict(self.clusters),
            "registries": [{**asdict(r), "recall": r.recall} for r in self.registries],
            "rejects": {
                "expected": self.rejects_expected,
                "found": self.rejects_found,
                "unexpected": self.rejects_unexpected,
            },
        }


def anchor_of(registries: Mapping[str, RegistryDeclaration]) -> str | None:
    """Code of the population database; None where no registry is declared as the anchor."""
    return next((code for code, declared in registries.items() if declared.anchor), None)


def evaluate(settings: Settings, truth: Path, *, anchor: str | None) -> Evaluation:
    """`truth` is the truth folder of a simulation, or the simulation's folder; `anchor` the code of the population database, if there is one."""
    folder = truth if (truth / "records.parquet").exists() else truth / TRUTH_FOLDER
    if not (folder / "records.parquet").exists():
        raise InputError(
            "there is no truth here",
            where=str(truth),
            hint="Give the folder that `mdm simulate --out` wrote.",
        )
    with bulk(settings) as store:
        members = store.read(
            "SELECT r.registry, r.local_id, m.entity_key FROM record AS r JOIN membership AS m ON m.record_id = r.record_id"
            " AND m.until_event IS NULL WHERE r.kind = 'person' AND r.status = 'active'",
            _MEMBERS,
        )
        quarantined = store.read("SELECT registry, file, row_number FROM quarantine", _QUARANTINED)
    connection = open_duckdb()
    connection.register("member", members)
    connection.register("quarantined", quarantined)
    connection.execute(
        f"""
        CREATE TABLE judged AS
        SELECT m.registry, m.local_id, m.entity, t.person_id AS person
        FROM member AS m LEFT JOIN (
            SELECT DISTINCT registry, local_id, person_id FROM read_parquet('{folder / "records.parquet"}') WHERE kind = 'person'
        ) AS t USING (registry, local_id)
        """
    )
    labels = connection.execute("SELECT person, entity FROM judged WHERE person IS NOT NULL").fetchnumpy()
    missing = connection.execute("SELECT COUNT(*) FROM judged WHERE person IS NULL").fetchall()[0][0]
    if len(labels["person"]) == 0:
        raise InputError(
            "the truth knows none of the store's records",
            where=str(folder),
            hint="Is it the truth of another simulation?",
        )
    expected, found, unexpected = _rejects(connection, folder)
    return Evaluation(
        records=len(labels["person"]),
        without_truth=missing,
        pairs=pair_counts(labels["person"], labels["entity"]),
        clusters=cluster_counts(labels["person"], labels["entity"]),
        registries=_by_registry(connection, anchor) if anchor is not None else [],
        rejects_expected=expected,
        rejects_found=found,
        rejects_unexpected=unexpected,
    )


def _by_registry(connection: duckdb.DuckDBPyConnection, anchor: str) -> list[RegistryRecall]:
    rows = connection.execute(
        """
        WITH anchors AS (SELECT person, entity FROM judged WHERE registry = ?)
        SELECT j.registry, COUNT(*) AS records, COUNT(*) FILTER (EXISTS (FROM anchors AS b WHERE b.person = j.person AND b.entity = j.entity))
        FROM judged AS j
        WHERE j.registry <> ? AND j.person IN (SELECT person FROM anchors)
        GROUP BY j.registry ORDER BY j.registry
        """,
        [anchor, anchor],
    ).fetchall()
    return [RegistryRecall(registry, records, found) for registry, records, found in rows]


def _rejects(connection: duckdb.DuckDBPyConnection, folder: Path) -> tuple[int, int, int]:
    """Rows that must be rejected, those of them that were, and rejected rows that need not have been."""
    expected, found, unexpected = connection.execute(
        f"""
        WITH expected AS (SELECT DISTINCT registry, file, row_number FROM read_parquet('{folder / "rejects.parquet"}')),
        landed AS (SELECT DISTINCT registry, file, row_number FROM quarantined)
        SELECT
            (SELECT COUNT(*) FROM expected),
            (SELECT COUNT(*) FROM expected SEMI JOIN landed USING (registry, file, row_number)),
            (SELECT COUNT(*) FROM landed ANTI JOIN expected USING (registry, file, row_number))
        """
    ).fetchall()[0]
    return int(expected), int(found), int(unexpected)
