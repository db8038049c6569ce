"""Four eyes: what waits for a second person."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from api.conditions import Key
from api.pages import Cursor, Limit, number_in, page
from api.routers.writing import answer, scoped
from api.schemas.common import ALWAYS, ChangeAnswer, problems
from api.schemas.stewardship import Reasoned, Request, Requests, masked
from api.security import ByApprover, ByStaff

Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the request", examples=[3])]

routes = APIRouter(prefix="/approvals", tags=["approvals"], responses=problems(*ALWAYS))


@routes.get("", name="approvals", summary="Requests that wait, the oldest first")
def listed(asked: ByStaff, cursor: Cursor = None, limit: Limit = 50) -> Requests:
    found = asked.serving.desk.requests(after=number_in(cursor, "approvals"), limit=limit + 1)
    shown, following = page(found, limit=limit, of="approvals", place=lambda request: request.approval)
    return Requests(
        approvals=[
            Request(
                approval=one.approval,
                requested_by=one.requested_by,
                asked_at=one.asked_at,
                reason=masked(one.reason),
                command={name: _masked(name, value) for name, value in one.command.items()},
            )
            for one in shown
        ],
        next=following,
    )


@routes.post(
    "/{number}/approve",
    name="approve",
    summary="Agree: it is carried out now",
    responses=problems(404, 409, 412),
)
def approve(number: Number, asked: ByApprover, response: Response, key: Key = None) -> ChangeAnswer:
    """Refused to the one who asked for it."""
    done = asked.serving.identity.approve(number, actor=asked.actor, key=scoped(asked, key))
    return answer(asked, done, response, operation="approval.approve")


@routes.post(
    "/{number}/refuse",
    name="refuse",
    summary="Disagree: nothing is done, the refusal is kept",
    responses=problems(404, 409),
)
def refuse(
    number: Number, body: Reasoned, asked: ByApprover, response: Response, key: Key = None
) -> ChangeAnswer:
    done = asked.serving.identity.refuse(
        number, actor=asked.actor, reason=body.reason, key=scoped(asked, key)
    )
    return answer(asked, done, response, operation="approval.refuse")


def _masked(name: str, value: Any) -> Any:
    return masked(value) if name == "number" and isinstance(value, str) else value
