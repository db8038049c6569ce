"""Merging, undoing a merge, splitting."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response

from api.conditions import Key, Versions, require_versions
from api.routers.writing import carry_out, preview
from api.schemas import stewardship as given
from api.schemas.common import ALWAYS, ChangeAnswer, problems
from api.schemas.stewardship import PreviewAnswer
from api.security import BySteward
from mdm.identity.commands import Merge, Split, Unmerge

routes = APIRouter(tags=["merges"], responses=problems(*ALWAYS, 404, 409, 412, 428))
_WAITS: dict[int | str, dict[str, Any]] = {
    202: {"model": ChangeAnswer, "description": "Kept: a second person must agree (`/v1/approvals`)"}
}


@routes.post("/merges", name="merge", summary="Make two people one", responses=_WAITS)
def merge(
    body: given.Merge, asked: BySteward, response: Response, match: Versions, key: Key = None
) -> ChangeAnswer | PreviewAnswer:
    """If-Match names both. Two social-security numbers need a second person: the answer is then 202 with `approval`."""
    command = Merge(left=body.left, right=body.right, survivor=body.survivor)
    if body.preview:
        return preview(asked, command, operation="merge")
    expected = require_versions(match, {body.left, body.right})
    command = command.model_copy(update={"expected": expected})
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="merge")


@routes.post("/merges/{event}/unmerge", name="unmerge", summary="Undo a merge", responses=_WAITS)
def unmerge(
    event: Annotated[int, Path(ge=1, le=2**63 - 1, description="The merge's event", examples=[5120])],
    body: given.Unmerge,
    asked: BySteward,
    response: Response,
    match: Versions,
    key: Key = None,
) -> ChangeAnswer | PreviewAnswer:
    """Same IDs, same numbers. What joined since stays with the survivor. If-Match names both, as the preview tells them."""
    command = Unmerge(event=event)
    if body.preview:
        return preview(asked, command, operation="unmerge")
    expected = require_versions(match, asked.serving.identity.concerned(command))
    command = command.model_copy(update={"expected": expected})
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="unmerge")


@routes.post("/splits", name="split", summary="Take records out of a person into a new one")
def split(
    body: given.Split, asked: BySteward, response: Response, match: Versions, key: Key = None
) -> ChangeAnswer | PreviewAnswer:
    """If-Match names the person."""
    records = tuple(
        asked.serving.desk.record(name.registry, name.local_id, asked.viewer) for name in body.records
    )
    command = Split(entity=body.id, records=records)
    if body.preview:
        return preview(asked, command, operation="split")
    expected = require_versions(match, {body.id})
    command = command.model_copy(update={"expected": expected})
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="split")
