"""The stewards' desk: questions, requests for approval, answered requests, as the events tell."""

from __future__ import annotations

from itertools import groupby

import orjson

from mdm.identity.events import EventKind, canonical_json
from mdm.pipeline.checks.opened import Found, Opened, columns
from mdm.store.reviews import reviews_digest

_K = EventKind


def reviews(opened: Opened) -> Found:
    opened.read(
        "review",
        columns(
            whole=["review_id", "version", "raised_event", "decided_event"],
            texts=["reason", "state", "subject", "detail", "raised_run"],
        ),
    )
    told = {
        seq: (count, digest)
        for seq, count, digest in opened.rows(
            f"SELECT seq, CAST(data ->> '$.count' AS BIGINT), data ->> '$.digest' FROM told WHERE kind = '{_K.REVIEWS_RAISED}'"
        )
    }
    rows = opened.rows(
        "SELECT raised_event, reason, subject, detail FROM review ORDER BY raised_event, subject"
    )
    kept = {}
    for seq, group in groupby(rows, key=lambda row: int(row[0])):
        raised = [dict(zip(("reason", "subject", "detail"), row[1:], strict=True)) for row in group]
        kept[seq] = (len(raised), reviews_digest(raised))
    wrong = next((seq for seq in sorted(told.keys() | kept.keys()) if told.get(seq) != kept.get(seq)), None)
    if wrong is not None:
        return len(rows), f"questions raised by event {wrong} are not as told"
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE told_review AS
        SELECT r.review_id, COALESCE(d.state, 'open') AS state, 1 + COALESCE(d.times, 0) AS version, d.seq AS decided_event, e.run AS raised_run
        FROM review AS r JOIN event AS e ON e.seq = r.raised_event LEFT JOIN (
            SELECT CAST(data ->> '$.review' AS BIGINT) AS review_id, arg_max(data ->> '$.state', seq) AS state, max(seq) AS seq, COUNT(*) AS times
            FROM told WHERE kind = '{_K.REVIEW_DECIDED}' GROUP BY ALL
        ) AS d USING (review_id)
        """
    )
    return len(rows), opened.difference(
        "told_review",
        "review",
        key=["review_id"],
        values=["state", "version", "decided_event", "raised_run"],
        says="'question ' || review_id || ' is not as told'",
    )


def approvals(opened: Opened) -> Found:
    count = opened.read(
        "approval",
        columns(
            whole=["approval_id", "from_event", "until_event"], texts=["request", "requested_by", "state"]
        ),
    )
    told = {}
    for seq, kind, body in opened.rows(
        f"SELECT seq, kind, body FROM event WHERE kind IN ('{_K.APPROVAL_ASKED}', '{_K.APPROVAL_GIVEN}') ORDER BY seq"
    ):
        said = orjson.loads(body)
        data = said["data"]
        if kind == _K.APPROVAL_ASKED:
            told[data["approval"]] = [canonical_json(data["command"]), said["actor"], "open", seq, None]
        else:
            told[data["approval"]][2], told[data["approval"]][4] = data["state"], seq
    kept = {
        row[0]: list(row[1:])
        for row in opened.rows(
            "SELECT approval_id, request, requested_by, state, from_event, until_event FROM approval"
        )
    }
    wrong = next((n for n in sorted(told.keys() | kept.keys()) if told.get(n) != kept.get(n)), None)
    return count, None if wrong is None else f"request {wrong} is not as told"


def answers(opened: Opened) -> Found:
    """Idempotency keys stand in the first event of what they did."""
    count = opened.read("idempotency", columns(whole=["first_event", "last_event"], texts=["key", "request"]))
    opened.connection.execute(
        """
        CREATE OR REPLACE TABLE told_answer AS
        SELECT data ->> '$.request[0]' AS key, data ->> '$.request[1]' AS request, seq AS first_event
        FROM told WHERE json_exists(data, '$.request[1]')
        """
    )
    wrong = opened.difference(
        "told_answer",
        "idempotency",
        key=["key"],
        values=["request", "first_event"],
        says="'the answer to a request is not as told'",
    ) or opened.first(
        # a request's events carry one moment, and it is not the next one's
        """
        SELECT 'the answer to the request of event ' || i.first_event || ' is not as told' FROM idempotency AS i
        JOIN event AS a ON a.seq = i.first_event LEFT JOIN event AS z ON z.seq = i.last_event LEFT JOIN event AS n ON n.seq = i.last_event + 1
        WHERE z."at" IS DISTINCT FROM a."at" OR n."at" = a."at" ORDER BY i.first_event
        """
    )
    return count, wrong
