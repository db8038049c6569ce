"""The clusters of a run as `mdm.pipeline.cluster_questions` asks about them: over all records, in DuckDB."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.pipeline.cluster_questions import Doubtful, Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matching.cluster import Clusters
    from matching.clustering.inputs import Ids
    from mdm.pipeline.steps import Context


@contextmanager
def standing(context: Context, clusters: Clusters) -> Iterator[ClustersOfRun]:
    _put_clusters(context, clusters)
    try:
        yield ClustersOfRun(context)
    finally:
        context.workspace.connection.execute("DROP TABLE cluster_now; DROP TABLE cluster_size")


def _put_clusters(context: Context, clusters: Clusters) -> None:
    """Tables cluster_now (record_id, cluster, here, stake) and cluster_size (cluster, size, stake).

    In a delta the records that it does not concern stay where they are, not `here`.
    """
    connection = context.workspace.connection
    connection.register(
        "clustered_now", pa.table({"record_id": clusters.record, "cluster": clusters.cluster})
    )
    others = (
        ""
        if context.delta is None
        else " UNION ALL SELECT record, -entity, false FROM membership ANTI JOIN clustered_now AS c ON c.record_id = record"
    )
    cases = "".join(
        f" WHEN '{code}' THEN {weight}" for code, weight in context.model.clustering.worth.items()
    )
    stake = f"CASE registry{cases} ELSE 1 END" if cases else "1"
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE cluster_now AS
        SELECT c.*, CAST({stake} AS DOUBLE) AS stake
        FROM (SELECT record_id, cluster, true AS here FROM clustered_now{others}) AS c JOIN {context.person_table()} USING (record_id);
        CREATE OR REPLACE TABLE cluster_size AS
        SELECT cluster, COUNT(*) AS size, MAX(stake) AS stake FROM cluster_now GROUP BY cluster
        """
    )
    connection.unregister("clustered_now")


class ClustersOfRun:
    def __init__(self, context: Context) -> None:
        self._context = context

    def sides(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[Side, Side]]:
        connection = self._context.workspace.connection
        ends = sorted({record for pair in pairs for record in pair})
        connection.register("end_record", pa.table({"record_id": pa.array(ends, pa.int64())}))
        rows = connection.execute(
            """
            SELECT e.record_id, list(m.record_id ORDER BY m.record_id), COUNT(*), MAX(m.stake)
            FROM end_record AS e JOIN cluster_now AS c USING (record_id) JOIN cluster_now AS m ON m.cluster = c.cluster
            GROUP BY e.record_id
            """
        ).fetchall()
        connection.unregister("end_record")
        side = {record: Side(records, size, stake) for record, records, size, stake in rows}
        return [(side[left], side[right]) for left, right in pairs]

    def doubtful(self, asked: Ids) -> list[Doubtful]:
        connection, thresholds = self._context.workspace.connection, self._context.model.thresholds
        connection.register("asked_pair", pa.table({"record_l": asked[:, 0], "record_r": asked[:, 1]}))
        rows = connection.execute(
            f"""
            WITH asked AS (
                SELECT least(a.cluster, b.cluster) AS one, greatest(a.cluster, b.cluster) AS two
                FROM asked_pair AS p JOIN cluster_now AS a ON a.record_id = p.record_l JOIN cluster_now AS b ON b.record_id = p.record_r
            ),
            best AS (
                SELECT least(a.cluster, b.cluster) AS one, greatest(a.cluster, b.cluster) AS two,
                    arg_max(edge.record_l, (weight, -edge.record_l, -edge.record_r)) AS record_l,
                    arg_max(edge.record_r, (weight, -edge.record_l, -edge.record_r)) AS record_r,
                    arg_max(conflict, (weight, -edge.record_l, -edge.record_r)) AS conflict, max(weight) AS weight
                FROM edge
                JOIN cluster_now AS a ON a.record_id = edge.record_l
                JOIN cluster_now AS b ON b.record_id = edge.record_r
                WHERE a.cluster <> b.cluster AND (a.here OR b.here)
                    AND (weight >= {thresholds.review} AND weight < {thresholds.link} OR conflict IS NOT NULL)
                GROUP BY ALL
            )
            SELECT record_l, record_r, conflict, weight, x.size + y.size, greatest(x.stake, y.stake)
            FROM best ANTI JOIN asked USING (one, two)
            JOIN cluster_size AS x ON x.cluster = one JOIN cluster_size AS y ON y.cluster = two
            """
        ).fetchall()
        connection.unregister("asked_pair")
        return [Doubtful(*row) for row in rows]
