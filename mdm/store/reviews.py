"""Questions for stewards. Each is named by its subject, so the same question is asked once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.identity.events import EventKind, Stamp, canonical_json
from mdm.store.log import append_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdm.identity.reconcile import Question
    from mdm.store.engine import Bulk

RAISED = "raised_review"
"""The temporary table of all that is asked, known or not."""
_RAISED = pa.schema([("reason", pa.string()), ("subject", pa.string()), ("detail", pa.string())])


def raise_reviews(bulk: Bulk, questions: Sequence[Question], *, stamp: Stamp) -> int:
    """New questions only: one that is open or decided already is not asked twice."""
    if not questions:
        return 0
    unique = {question.subject: question for question in questions}
    rows = [
        {"reason": question.reason, "subject": subject, "detail": canonical_json(question.detail)}
        for subject, question in unique.items()
    ]
    bulk.stage(RAISED, pa.Table.from_pylist(rows, schema=_RAISED))
    fresh = bulk.read(
        f"SELECT r.reason, r.subject, r.detail FROM {RAISED} AS r"
        " WHERE NOT EXISTS (SELECT 1 FROM review AS q WHERE q.subject = r.subject)",
        _RAISED,
    ).to_pylist()
    if not fresh:
        return 0
    fresh.sort(key=lambda row: str(row["subject"]))
    data = {"count": len(fresh), "digest": reviews_digest(fresh)}
    seq = append_event(bulk, EventKind.REVIEWS_RAISED, data, stamp=stamp)
    first = bulk.next_id("review", "review_id")
    bulk.append(
        "review",
        pa.Table.from_pylist(
            [
                {
                    "review_id": first + place,
                    "state": "open",
                    "version": 1,
                    "raised_run": stamp.run,
                    "raised_event": seq,
                    **row,
                }
                for place, row in enumerate(fresh)
            ]
        ),
    )
    return len(fresh)


def reviews_digest(rows: Sequence[dict[str, str]]) -> str:
    """Over reason, subject and detail of the questions of one event, by subject."""
    lines = (f"{row['reason']}\x1f{row['subject']}\x1f{row['detail']}\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
