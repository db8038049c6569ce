"""Social-security numbers by hand: issue, change, cancel, reserve."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.conditions import Key, Versions, require_versions
from api.routers.people import Id
from api.routers.writing import carry_out
from api.schemas import stewardship as given
from api.schemas.common import ALWAYS, ChangeAnswer, problems
from api.security import Asked, BySteward
from mdm.identity.commands import AssignNumber, ChangeNumber, ReserveNumbers
from mdm.identity.numbers import NumberState, Reason

routes = APIRouter(tags=["numbers"], responses=problems(*ALWAYS))
_OF_PERSON = problems(404, 409, 412, 428)


@routes.post("/persons/{id}/ssn:issue", name="ssn_issue", summary="Give a number", responses=_OF_PERSON)
def issue(
    id: Id,
    body: given.IssueNumber,
    asked: BySteward,
    response: Response,
    match: Versions,
    key: Key = None,
) -> ChangeAnswer:
    """To a person whom the population database knows and who has none."""
    command = AssignNumber(number=body.number, entity=id, expected=require_versions(match, {id}))
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="ssn.issue")


@routes.post(
    "/persons/{id}/ssn:change",
    name="ssn_change",
    summary="Suspend it, lift that, tell or revoke a death",
    responses=_OF_PERSON,
)
def change(
    id: Id,
    body: given.ChangeNumber,
    asked: BySteward,
    response: Response,
    match: Versions,
    key: Key = None,
) -> ChangeAnswer:
    """Which reason codes are allowed depends on the state; a refusal names them."""
    command = _change(asked, id, body.to, body.reason_code, require_versions(match, {id}))
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="ssn.change")


@routes.post(
    "/persons/{id}/ssn:cancel", name="ssn_cancel", summary="Cancel it for ever", responses=_OF_PERSON
)
def cancel(
    id: Id,
    body: given.CancelNumber,
    asked: BySteward,
    response: Response,
    match: Versions,
    key: Key = None,
) -> ChangeAnswer:
    expected = require_versions(match, {id})
    command = _change(asked, id, NumberState.CANCELLED, body.reason_code, expected)
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="ssn.cancel")


@routes.post("/numbers:reserve", name="numbers_reserve", summary="Set numbers aside", responses=problems(409))
def reserve(
    body: given.ReserveNumbers, asked: BySteward, response: Response, key: Key = None
) -> ChangeAnswer:
    """To be given to people later by `ssn:issue`."""
    command = ReserveNumbers(count=body.count)
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="numbers.reserve")


def _change(
    asked: Asked, entity_id: str, state: NumberState, reason: Reason, expected: dict[str, int]
) -> ChangeNumber:
    number = asked.serving.people.ssn_of(entity_id, viewer=asked.viewer)
    return ChangeNumber(number=number, state=state, reason=reason, expected=expected)
