"""Questions that the clustering leaves to stewards, ordered by what a decision is worth.

worth = what is lost, on average, if nobody asks (in missed links) x records on both sides x the weight of the most important registry
concerned, as the model declares it. What is apart and is one person is one missed link. What is together and is two counts as many missed
links as the link threshold takes chances: that threshold says how much worse a wrong link is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from matching.artefact import probability
from matching.cluster import AMBIGUOUS, CONTRADICTED, TOO_LARGE, WEAK
from matching.clustering.bridges import weak_bridges
from matching.clustering.constraints import DECISION
from mdm.identity.reconcile import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matching.cluster import Clusters, Refused
    from matching.clustering.inputs import Decided, Edges
    from mdm.pipeline.steps import Context

_AT_MOST = 100_000
_RECORDS_TOLD = 50
_EVEN = 0.5
_ABOUT_EVIDENCE = {AMBIGUOUS, CONTRADICTED, WEAK, TOO_LARGE}


def questions(context: Context, clusters: Clusters, edges: Edges, decided: Decided) -> list[Question]:
    """On links that were refused, pairs between the thresholds, and weak bridges; the most valuable first.

    In a delta `clusters` holds the records that it concerns, and the questions are about these.
    """
    _put_clusters(context, clusters)
    try:
        found = [
            *_refused(
                context, [r for r in clusters.refused if r.reason != DECISION]
            ),  # that was answered already
            *_doubtful(context, clusters.refused, decided),
            *_bridges(context, clusters, edges, decided),
        ]
    finally:
        context.workspace.connection.execute("DROP TABLE cluster_now; DROP TABLE cluster_size")
    return sorted(found, key=lambda q: (-q.detail["worth"], q.subject))[:_AT_MOST]


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


def _refused(context: Context, refused: Sequence[Refused]) -> list[Question]:
    sides = _sides(context, [(r.left, r.right) for r in refused])
    return [
        Question(
            reason=_reason(r.reason),
            subject=f"pair:{r.left},{r.right}",
            detail={
                "records": [r.left, r.right],
                "weight": round(r.weight, 3),
                "evidence": round(r.evidence, 3),
                "sides": [left.records[:_RECORDS_TOLD], right.records[:_RECORDS_TOLD]],
                "worth": _worth(_missed(r), left.size + right.size, max(left.stake, right.stake)),
            },
        )
        for r, (left, right) in zip(refused, sides, strict=True)
    ]


def _reason(name: str) -> str:
    if name in _ABOUT_EVIDENCE:
        return f"cluster.{name}"
    return name if name.startswith("conflict.") else f"constraint.{name}"


@dataclass(frozen=True)
class _Side:
    records: list[int]
    size: int
    stake: float


def _sides(context: Context, pairs: Sequence[tuple[int, int]]) -> list[tuple[_Side, _Side]]:
    """The clusters of both records of each pair."""
    connection = context.workspace.connection
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
    side = {record: _Side(records, size, stake) for record, records, size, stake in rows}
    return [(side[left], side[right]) for left, right in pairs]


def _missed(refused: Refused) -> float:
    """The chance that a refused link is right. Where a constraint stands against the evidence, one of two facts is wrong."""
    chance = probability(refused.evidence)
    return chance if refused.reason in _ABOUT_EVIDENCE else min(_EVEN, chance)


def _wrong(context: Context, weight: float) -> float:
    return (1 - probability(weight)) * 2**context.model.thresholds.link


def _worth(loss: float, records: int, stake: float) -> float:
    return round(float(loss * records * stake), 6)


def _doubtful(context: Context, refused: Sequence[Refused], decided: Decided) -> list[Question]:
    """Pairs between the thresholds, and conflicts above them, whose records are not together.

    One question for two clusters, on the strongest pair between them, and none where a refused link asks or a person answered.
    """
    connection, thresholds = context.workspace.connection, context.model.thresholds
    links = np.array([(r.left, r.right) for r in refused], dtype=np.int64).reshape(-1, 2)
    asked = np.concatenate([links, decided.cannot])
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
    return [
        Question(
            reason=f"conflict.{conflict}" if conflict else "match.possible",
            subject=f"pair:{left},{right}",
            detail={
                "records": [left, right],
                "weight": round(weight, 3),
                "worth": _worth(_EVEN if conflict else probability(weight), size, stake),
            },
        )
        for left, right, conflict, weight, size, stake in rows
    ]


def _bridges(context: Context, clusters: Clusters, edges: Edges, decided: Decided) -> list[Question]:
    """Clusters that hold together by one weak pair: asked about, not taken apart."""
    found = weak_bridges(
        clusters.record,
        clusters.cluster,
        edges.of(edges.weight >= context.model.thresholds.review),
        must=decided.must,
        below=context.model.clustering.bridge,
    )
    sides = _sides(context, [(bridge.left, bridge.right) for bridge in found])
    return [
        Question(
            reason="cluster.weak_bridge",
            subject=f"bridge:{bridge.left},{bridge.right}",
            detail={
                "records": [bridge.left, bridge.right],
                "weight": round(bridge.weight, 3),
                "sides": [list(side[:_RECORDS_TOLD]) for side in bridge.sides],
                "worth": _worth(_wrong(context, bridge.weight), whole.size, whole.stake),
            },
        )
        for bridge, (whole, _) in zip(found, sides, strict=True)
    ]


def counts(questions: Sequence[Question]) -> dict[str, Any]:
    """How many there are of each reason."""
    reasons, numbers = np.unique([question.reason for question in questions], return_counts=True)
    return dict(zip(reasons.tolist(), numbers.tolist(), strict=True))
