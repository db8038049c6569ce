"""A person's word on two records: one person, or never. It outlives every model."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.conditions import Key
from api.routers.writing import carry_out
from api.schemas.common import ALWAYS, ChangeAnswer, problems
from api.schemas.stewardship import Pair
from api.security import Asked, BySteward
from mdm.identity.commands import Decide, DecisionKind, Revoke

routes = APIRouter(tags=["decisions"], responses=problems(*ALWAYS, 404, 409))


@routes.post("/links", name="link", summary="Two records are one person")
def link(body: Pair, asked: BySteward, response: Response, key: Key = None) -> ChangeAnswer:
    """The next run follows it."""
    return _decide(body, asked, response, DecisionKind.MUST_LINK, key)


@routes.post("/links:revoke", name="link_revoke", summary="Withdraw the decision on two records")
def revoke_link(body: Pair, asked: BySteward, response: Response, key: Key = None) -> ChangeAnswer:
    """Whichever decision stands on them. It stays in the history."""
    left, right = _records(body, asked)
    command = Revoke(left=left, right=right)
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="decision.revoke")


@routes.post("/cannot-links", name="cannot_link", summary="Two records are never one person")
def cannot_link(body: Pair, asked: BySteward, response: Response, key: Key = None) -> ChangeAnswer:
    return _decide(body, asked, response, DecisionKind.CANNOT_LINK, key)


def _decide(
    body: Pair, asked: Asked, response: Response, kind: DecisionKind, key: str | None
) -> ChangeAnswer:
    left, right = _records(body, asked)
    command = Decide(decision=kind, left=left, right=right)
    return carry_out(asked, command, response, reason=body.reason, key=key, operation=f"decision.{kind}")


def _records(body: Pair, asked: Asked) -> tuple[int, int]:
    desk, viewer = asked.serving.desk, asked.viewer
    return (
        desk.record(body.left.registry, body.left.local_id, viewer),
        desk.record(body.right.registry, body.right.local_id, viewer),
    )
