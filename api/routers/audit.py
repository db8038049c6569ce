"""For auditors: the signed log, its proofs, and who read whom."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.pages import Cursor, Limit, page, place_of
from api.problems import ProblemError
from api.schemas.audit import Access, Accesses, Checkpoint, Proof
from api.schemas.common import ALWAYS, EXAMPLE_ID, ID_PATTERN, problems
from api.security import Asked, ByAuditor, ByAuditorOrAdmin
from mdm.queries.audit import SignedCheckpoint

routes = APIRouter(prefix="/audit", tags=["audit"], responses=problems(*ALWAYS))
Size = Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Events of a checkpoint; else the latest")]


@routes.get("/checkpoint", name="checkpoint", summary="The latest signed checkpoint", responses=problems(404))
def checkpoint(asked: ByAuditorOrAdmin) -> Checkpoint:
    return _told(asked, asked.serving.audit.checkpoint())


@routes.post("/checkpoint", name="checkpoint_sign", summary="Sign all events so far", responses=problems(404))
def sign(asked: ByAuditorOrAdmin) -> Checkpoint:
    """Signing again without new events gives the same one."""
    return _told(asked, asked.serving.audit.sign())


@routes.get(
    "/proof", name="proof", summary="A proof that an event is in the signed log, or that the log only grew"
)
def proof(
    asked: ByAuditor,
    event: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="The event to prove")] = None,
    old: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="Events of the older checkpoint")
    ] = None,
    size: Size = None,
) -> Proof:
    """Give `event` for an inclusion proof, `old` for a consistency proof. The first holds the event, with what is in it."""
    audit = asked.serving.audit
    if (event is None) == (old is None):
        raise ProblemError(
            422,
            "request.invalid",
            "Give `event` or `old`, not both.",
            hint="`event` for an event, `old` for growth.",
        )
    found = audit.inclusion(event, size=size) if event is not None else audit.consistency(old or 0, size)
    return Proof(proof=found)


@routes.get("/access", name="accesses", summary="Who read a person, when, what for")
def accesses(
    asked: ByAuditor,
    subject: Annotated[
        str,
        Query(
            pattern=ID_PATTERN,
            description="Canonical ID; whoever was merged into it counts too",
            openapi_examples={"one": {"value": EXAMPLE_ID}},
        ),
    ],
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Accesses:
    """In the order of time. This question is itself noted."""
    found = asked.serving.access_log.of(subject, after=place_of(cursor, "access"), limit=limit + 1)
    shown, following = page(found, limit=limit, of="access", place=lambda one: one.access_id)
    asked.note("access.list", {subject: ["accesses"]})
    return Accesses(
        accesses=[
            Access(
                at=one.at,
                actor=one.actor,
                purpose=one.purpose,
                operation=one.operation,
                id=one.entity_id,
                fields=one.fields,
                request_id=one.request_id,
            )
            for one in shown
        ],
        next=following,
    )


def _told(asked: Asked, signed: SignedCheckpoint) -> Checkpoint:
    return Checkpoint(**signed._asdict(), public_key=asked.serving.audit.public_key())
