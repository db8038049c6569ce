"""The store's households against the truth that a simulation left aside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from matching.evaluate import ClusterCounts, PairCounts, cluster_counts, pair_counts
from mdm.duck import open_duckdb
from mdm.errors import InputError
from mdm.simulation.truth import HOUSEHOLDS, RECORDS, TRUTH_FOLDER
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from mdm.settings import Settings

_LISTS = pa.schema(
    [
        ("registry", pa.string()),
        ("local_id", pa.string()),
        ("entity", pa.int64()),
        ("attributes", pa.string()),
    ]
)
_LISTED = pa.schema(
    [
        ("registry", pa.string()),
        ("local_id", pa.string()),
        ("version", pa.int64()),
        ("attributes", pa.string()),
    ]
)


@dataclass(frozen=True)
class HouseholdEvaluation:
    """`lists`: two kinds of list (or one twice: two years of it) to the pairs of records of which each has one."""

    records: int
    without_truth: int
    pairs: PairCounts
    clusters: ClusterCounts
    lists: dict[tuple[str, str], PairCounts] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "without_truth": self.without_truth,
            "pairs": _told(self.pairs),
            "clusters": {
                "households": self.clusters.people,
                "entities": self.clusters.clusters,
                "exact": self.clusters.exact,
                "exact_share": self.clusters.exact_share,
                "false_merges": self.clusters.false_merges,
                "split_households": self.clusters.split_people,
                "split_rate": self.clusters.split_rate,
            },
            "lists": {" - ".join(kinds): _told(pairs) for kinds, pairs in self.lists.items()},
        }


def _told(pairs: PairCounts) -> dict[str, float | int]:
    return {
        "precision": pairs.precision,
        "recall": pairs.recall,
        "f1": pairs.f1,
        "true": pairs.true,
        "predicted": pairs.predicted,
        "both": pairs.both,
    }


def evaluate_households(settings: Settings, truth: Path) -> HouseholdEvaluation:
    """`truth` is the truth folder of a simulation, or the simulation's folder.

    The truth names the household of each record that describes one. A residence has no record of its own in the deliveries: it is
    the household in which most of its people were registered at the delivery of which their record is.

    Raises:
        InputError: there is no truth, or it knows none of the store's households.
    """
    folder = truth if (truth / RECORDS).exists() else truth / TRUTH_FOLDER
    if not (folder / RECORDS).exists():
        raise InputError(
            "there is no truth here",
            where=str(truth),
            hint="Give the folder that `mdm simulate --out` wrote.",
        )
    with bulk(settings) as store, open_duckdb() as connection:
        version = "JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version"
        lists = store.read(
            f"SELECT r.registry, r.local_id, m.entity_key AS entity, v.attributes FROM record AS r {version}"
            " JOIN membership AS m ON m.record_id = r.record_id AND m.until_event IS NULL"
            " WHERE r.kind = 'household' AND r.status = 'active'",
            _LISTS,
        )
        listed = store.read(
            f"SELECT r.registry, r.local_id, r.version, v.attributes FROM record AS r {version}"
            """ WHERE r.kind = 'person' AND r.status = 'active' AND v.attributes LIKE '%"household_ref"%'""",
            _LISTED,
        )
        connection.register("list", lists)
        connection.register("listed", listed)
        connection.execute(
            f"""
            CREATE TABLE truth AS FROM read_parquet('{folder / RECORDS}') WHERE household_id >= 0;
            CREATE TABLE judged AS
            WITH told AS (
                SELECT registry, local_id, min(household_id) AS household FROM truth WHERE kind = 'household' GROUP BY ALL
            ),
            registered AS (
                SELECT delivery, household_id, UNNEST(registered_members) AS person_id FROM read_parquet('{folder / HOUSEHOLDS}')
            ),
            lived AS (
                SELECT p.registry, p.attributes ->> '$.household_ref' AS local_id, COALESCE(h.household_id, t.household_id) AS household_id,
                    COUNT(*) AS people
                FROM listed AS p JOIN truth AS t ON t.registry = p.registry AND t.local_id = p.local_id AND t.kind = 'person'
                LEFT JOIN registered AS h ON h.person_id = t.person_id
                    AND h.delivery = CASE WHEN p.version = 1 THEN t.delivery ELSE (SELECT max(delivery) FROM registered) END
                GROUP BY ALL
            ),
            mostly AS (SELECT registry, local_id, arg_max(household_id, (people, -household_id)) AS household FROM lived GROUP BY ALL)
            SELECT COALESCE(t.household, m.household) AS household, l.entity, l.attributes ->> '$.household_kind' AS list
            FROM list AS l LEFT JOIN told AS t USING (registry, local_id) LEFT JOIN mostly AS m USING (registry, local_id)
            """
        )
        labels = connection.execute(
            "SELECT household, entity FROM judged WHERE household IS NOT NULL"
        ).fetchnumpy()
        if len(labels["household"]) == 0:
            raise InputError(
                "the truth knows none of the store's households",
                where=str(folder),
                hint="Is it the truth of another simulation?",
            )
        return HouseholdEvaluation(
            records=len(labels["household"]),
            without_truth=lists.num_rows - len(labels["household"]),
            pairs=pair_counts(labels["household"], labels["entity"]),
            clusters=cluster_counts(labels["household"], labels["entity"]),
            lists=_by_lists(connection),
        )


def _by_lists(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], PairCounts]:
    """Pairs between the kinds of lists, counted by the groups in which they are together."""

    def counted(by: str) -> dict[tuple[str, str], int]:
        rows = connection.execute(
            f"""
            WITH size AS (SELECT {by}, list, COUNT(*) AS n FROM judged WHERE household IS NOT NULL AND list IS NOT NULL GROUP BY ALL)
            SELECT a.list, b.list, SUM(CASE WHEN a.list = b.list THEN a.n * (a.n - 1) // 2 ELSE a.n * b.n END)
            FROM size AS a JOIN size AS b USING ({by}) WHERE a.list <= b.list GROUP BY ALL ORDER BY ALL
            """
        ).fetchall()
        return {(one, two): int(pairs) for one, two, pairs in rows}

    true, predicted, both = counted("household"), counted("entity"), counted("household, entity")
    found = {
        kinds: PairCounts(true.get(kinds, 0), predicted.get(kinds, 0), both.get(kinds, 0))
        for kinds in sorted(true.keys() | predicted.keys())
    }
    return {kinds: counts for kinds, counts in found.items() if counts.true or counts.predicted}
