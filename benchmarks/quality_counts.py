"""What `benchmarks.quality` counts against the truth, and how it prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matching.evaluate import ClusterCounts, PairCounts, cluster_counts, pair_counts

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    import pyarrow as pa

_GROUPS = {
    "registry": "j.registry",
    "sex": "p.sex",
    "age": "CASE WHEN year(p.birth_date) >= 2010 THEN 'child' WHEN year(p.birth_date) >= 1965 THEN 'adult' ELSE 'elder' END",
    "ethnic group": "CASE WHEN p.ethnicity = '01' THEN 'majority' ELSE 'minority' END",
    "region": "left(p.birth_commune, 2)",
}
# below this many true pairs a share says little
_LEAST_PAIRS = 1000


@dataclass(frozen=True)
class Counts:
    """`twins`, `strangers`: pairs of twins, and of people with one name and birthday, as (all, merged)."""

    pairs: PairCounts
    clusters: ClusterCounts
    twins: tuple[int, int]
    strangers: tuple[int, int]
    groups: list[tuple[str, str, int, float]]
    """Kind, group, true pairs, recall; the worst first."""


class Judged:
    """Table `judged` (record_id, registry, person) of the records that the truth knows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, records: pa.Table, files: Path) -> None:
        self._connection = connection
        connection.register("landed", records)
        connection.execute(
            f"""
            CREATE OR REPLACE TABLE truth_person AS
            SELECT person_id, full_name, sex, birth_date, twin_of, ethnicity, birth_commune FROM read_parquet('{files / "truth" / "persons.parquet"}');
            CREATE OR REPLACE TABLE judged AS
            SELECT l.record_id, l.registry, t.person FROM landed AS l JOIN (
                SELECT registry, local_id, any_value(person_id) AS person
                FROM read_parquet('{files / "truth" / "records.parquet"}') WHERE kind = 'person' GROUP BY ALL
            ) AS t USING (registry, local_id)
            """
        )
        connection.unregister("landed")

    def counts(self, clusters: pa.Table) -> Counts:
        connection = self._connection
        connection.register("clustered", clusters)
        connection.execute(
            "CREATE OR REPLACE TABLE placed AS SELECT j.*, c.cluster FROM judged AS j JOIN clustered AS c USING (record_id)"
        )
        connection.unregister("clustered")
        labels = connection.execute("SELECT person, cluster FROM placed").fetchnumpy()
        twins = "SELECT person_id AS a, twin_of AS b FROM truth_person WHERE twin_of >= 0"
        strangers = (
            "SELECT a.person_id AS a, b.person_id AS b FROM truth_person AS a JOIN truth_person AS b"
            " ON a.full_name = b.full_name AND a.birth_date = b.birth_date AND a.person_id < b.person_id"
        )
        groups = [(kind, *row) for kind, expression in _GROUPS.items() for row in self._recall_by(expression)]
        return Counts(
            pairs=pair_counts(labels["person"], labels["cluster"]),
            clusters=cluster_counts(labels["person"], labels["cluster"]),
            twins=self._merged(twins),
            strangers=self._merged(strangers),
            groups=sorted(groups, key=lambda group: group[-1]),
        )

    def _recall_by(self, expression: str) -> list[tuple[str, int, float]]:
        return self._connection.execute(
            f"""
            WITH j AS (SELECT j.*, {expression} AS grouped FROM placed AS j JOIN truth_person AS p ON p.person_id = j.person)
            SELECT a.grouped, COUNT(*), AVG(CAST(a.cluster = b.cluster AS INTEGER))
            FROM j AS a JOIN j AS b ON a.person = b.person AND a.record_id <> b.record_id
            GROUP BY 1 HAVING COUNT(*) >= {_LEAST_PAIRS}
            """
        ).fetchall()

    def _merged(self, people: str) -> tuple[int, int]:
        """Pairs of people of whom both have records, and those of whom a cluster holds records of both."""
        rows = self._connection.execute(
            f"""
            WITH lived AS (SELECT DISTINCT person, cluster FROM placed), pair AS ({people}),
            seen AS (FROM pair SEMI JOIN lived AS l ON l.person = a), both_seen AS (FROM seen SEMI JOIN lived AS l ON l.person = b)
            SELECT (SELECT COUNT(*) FROM both_seen), (
                SELECT COUNT(DISTINCT (a, b)) FROM both_seen JOIN lived AS x ON x.person = a JOIN lived AS y ON y.person = b
                WHERE x.cluster = y.cluster
            )
            """
        ).fetchall()
        return rows[0]


def bands(connection: duckdb.DuckDBPyConnection) -> list[tuple[float, int, float, float]]:
    """Of the scored pairs without a conflict, by bands of two bits: from, pairs, predicted and true share of matches."""
    return connection.execute(
        """
        SELECT least(24, floor(weight / 2) * 2) AS band, COUNT(*), AVG(1 / (1 + pow(2, -weight))), AVG(CAST(a.person = b.person AS INTEGER))
        FROM edge JOIN judged AS a ON a.record_id = record_l JOIN judged AS b ON b.record_id = record_r
        WHERE conflict IS NULL GROUP BY 1 ORDER BY 1
        """
    ).fetchall()


def blocking_recall(connection: duckdb.DuckDBPyConnection) -> float:
    """The share of true pairs that are in table `pair`."""
    rows = connection.execute(
        """
        SELECT AVG(CAST(p.join_key_l IS NOT NULL AS INTEGER))
        FROM judged AS a JOIN judged AS b ON a.person = b.person AND a.record_id < b.record_id
        LEFT JOIN pair AS p ON p.join_key_l = a.record_id AND p.join_key_r = b.record_id
        """
    ).fetchall()
    return float(rows[0][0])


def show(
    results: dict[str, Counts], calibration: list[tuple[float, int, float, float]], rules: list[str]
) -> None:
    lines: dict[str, list[str]] = {
        "precision": [f"{c.pairs.precision:.5f}" for c in results.values()],
        "recall": [f"{c.pairs.recall:.5f}" for c in results.values()],
        "F1": [f"{c.pairs.f1:.5f}" for c in results.values()],
        "false pairs": [f"{c.pairs.predicted - c.pairs.both:,}" for c in results.values()],
        "clusters of several people": [f"{c.clusters.false_merges:,}" for c in results.values()],
        "people in several clusters": [f"{c.clusters.split_people:,}" for c in results.values()],
        "twins merged": [_share(c.twins) for c in results.values()],
        "strangers of one name and day": [_share(c.strangers) for c in results.values()],
        "worst groups' recall": ["" for _ in results],
    }
    for place in range(4):
        lines[f"  {place + 1}"] = [
            f"{kind} {name} {recall:.4f}"
            for c in results.values()
            for kind, name, _, recall in [c.groups[place]]
        ]
    print(f"{'':<32}" + "".join(f"{name:>34}" for name in results))
    for name, cells in lines.items():
        print(f"{name:<32}" + "".join(f"{cell:>34}" for cell in cells))
    print("\nour scored pairs: weight from, pairs, predicted and true share of matches")
    for band, pairs, predicted, true in calibration:
        print(f"{band:>6.0f}{pairs:>12,}{predicted:>12.5f}{true:>12.5f}")
    print("\nblocking")
    print("\n".join(rules))


def show_thresholds(found: dict[str, list[tuple[float, Counts]]]) -> None:
    for name, counted in found.items():
        print(f"\n{name}: link threshold (bits), recall, precision, false pairs, clusters of several people")
        for bits, c in counted:
            print(
                f"{bits:>6.0f}{c.pairs.recall:>12.5f}{c.pairs.precision:>12.5f}{c.pairs.predicted - c.pairs.both:>12,}"
                f"{c.clusters.false_merges:>12,}"
            )


def _share(pair: tuple[int, int]) -> str:
    every, merged = pair
    return f"{merged} of {every} ({merged / every:.1%})" if every else "none"
