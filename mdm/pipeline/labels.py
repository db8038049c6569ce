"""Labels for the training: what stewards answered to the questions on pairs of a middling weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from matching.labels import Label, correct

if TYPE_CHECKING:
    from matching.artefact import LabelReport, TrainedModel
    from mdm.pipeline.workspace import Workspace
    from mdm.store.engine import Bulk

ASKED = "match.possible"
"""The reason of a question that a pair's own weight raised, and nothing else."""
_QUESTIONS = pa.schema([("subject", pa.string()), ("answer", pa.string()), ("made", pa.int64())])
_DECISIONS = pa.schema(
    [("record_l", pa.int64()), ("record_r", pa.int64()), ("kind", pa.string()), ("from_event", pa.int64())]
)


def correct_by_decisions(
    work: Workspace, store: Bulk, trained: TrainedModel, *, records: str
) -> tuple[TrainedModel, LabelReport]:
    """`records` is the table of features of the active records of people."""
    labels = _labels(work, store, records=records)
    work.connection.register(
        "labelled",
        pa.table({"record_id": pa.array(sorted({r for x in labels for r in (x.left, x.right)}), pa.int64())}),
    )
    columns = ", ".join(f'"{column}"' for column in trained.declaration.feature_columns)
    rows = work.connection.sql(
        f"SELECT record_id, {columns} FROM {records} SEMI JOIN labelled USING (record_id)"
    )
    features = {row["record_id"]: row for row in rows.to_arrow_table().to_pylist()}
    work.connection.unregister("labelled")
    return correct(trained, labels, features)


def _labels(work: Workspace, store: Bulk, *, records: str) -> list[Label]:
    """Pairs about which was asked and of which a standing decision speaks: on the pair itself, else as the answer.

    An answer `same` merges two entities and ties records that need not be those of the question; its decision is the event before the
    one that closes the question. Decisions on pairs about which nobody asked were made because somebody knew: they
    would teach that whatever was mended is always wrong.
    """
    asked = store.read(
        "SELECT subject, state AS answer, COALESCE(decided_event - 1, -1) AS made FROM review"
        f" WHERE reason = '{ASKED}' AND subject LIKE 'pair:%'",
        _QUESTIONS,
    )
    standing = store.read(
        "SELECT record_l, record_r, kind, from_event FROM decision WHERE until_event IS NULL", _DECISIONS
    )
    connection = work.connection
    connection.register("asked_question", asked)
    connection.register("standing_decision", standing)
    rows = connection.execute(
        f"""
        WITH asked AS (
            SELECT CAST(split_part(substr(subject, 6), ',', 1) AS BIGINT) AS record_l,
                CAST(split_part(subject, ',', 2) AS BIGINT) AS record_r, made,
                CASE answer WHEN 'same' THEN 'must_link' WHEN 'different' THEN 'cannot_link' END AS kind
            FROM asked_question
        )
        SELECT least(a.record_l, a.record_r), greatest(a.record_l, a.record_r), COALESCE(itself.kind, answer.kind) = 'must_link'
        FROM asked AS a
        LEFT JOIN standing_decision AS itself
            ON itself.record_l = least(a.record_l, a.record_r) AND itself.record_r = greatest(a.record_l, a.record_r)
        LEFT JOIN (SELECT DISTINCT from_event, kind FROM standing_decision) AS answer
            ON answer.from_event = a.made AND answer.kind = a.kind
        SEMI JOIN {records} AS l ON l.record_id = a.record_l
        SEMI JOIN {records} AS r ON r.record_id = a.record_r
        WHERE COALESCE(itself.kind, answer.kind) IS NOT NULL
        """
    ).fetchall()
    connection.unregister("asked_question")
    connection.unregister("standing_decision")
    return [Label(left, right, same) for left, right, same in rows]
