"""Records of a registry: brought, changed, withdrawn, one at a time or line by line; each is matched at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from api.conditions import Versions
from api.problems import status_of
from api.routers.writing import changed
from api.schemas.common import ALWAYS, problems
from api.schemas.records import LineAnswer, Record, RecordAnswer, RecordLine, given
from api.security import Asked, ByRegistry, WritingInTurn
from mdm.arrivals.service import Arrived
from mdm.errors import MdmError, RefusedError

routes = APIRouter(
    prefix="/registries/{registry}", tags=["records"], responses=problems(*ALWAYS, 404, 408, 412)
)
Registry = Annotated[
    str,
    Path(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Yours", openapi_examples={"tax": {"value": "tax"}}),
]
Local = Annotated[
    str,
    Path(
        min_length=1,
        max_length=256,
        description="Your own ID of the record",
        openapi_examples={"one": {"value": "8801"}},
    ),
]
NDJSON = "application/x-ndjson"


@routes.put(
    "/records/{local_id:path}",
    name="record_put",
    summary="Bring a record, or change it",
    responses={201: {"model": RecordAnswer, "description": "The record is new"}},
)
def put(
    registry: Registry,
    local_id: Local,
    body: Record,
    asked: ByRegistry,
    response: Response,
    match: Versions,
    _turn: WritingInTurn,
) -> RecordAnswer:
    """It becomes part of a person at once. The same record again changes nothing. With If-Match only if its person is still at that version."""
    _require_own(asked, registry)
    done = asked.serving.arrivals.upsert(
        registry,
        local_id,
        body.given(),
        actor=asked.actor,
        observed_on=body.observed_on,
        expected=match or None,
    )
    if done.created:
        response.status_code = 201
    return _answer(asked, done, "record.put")


@routes.delete("/records/{local_id:path}", name="record_withdraw", summary="Take a record back")
def withdraw(
    registry: Registry, local_id: Local, asked: ByRegistry, match: Versions, _turn: WritingInTurn
) -> RecordAnswer:
    """It no longer speaks for its person, and stays in history."""
    _require_own(asked, registry)
    done = asked.serving.arrivals.withdraw(registry, local_id, actor=asked.actor, expected=match or None)
    return _answer(asked, done, "record.withdraw")


@routes.post(
    "/records:batch",
    name="records_batch",
    summary="Many records, a result for each line",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A line for each line, in their order; a refused line stops no other",
            "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/LineAnswer"}}},
        }
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "Newline-delimited JSON: each line is a record",
            "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/RecordLine"}}},
        }
    },
)
async def batch(registry: Registry, request: Request, asked: ByRegistry) -> StreamingResponse:
    """Each line is carried out by itself: send those again that got 503."""
    _require_own(asked, registry)
    body = await request.body()
    lines = [line for line in body.split(b"\n") if line.strip()]
    answers = (
        _line(asked, registry, number, line).model_dump_json().encode() + b"\n"
        for number, line in enumerate(lines, start=1)
    )
    return StreamingResponse(answers, media_type=NDJSON)


def _line(asked: Asked, registry: str, number: int, line: bytes) -> LineAnswer:
    try:
        read = RecordLine.model_validate_json(line)
    except ValidationError as error:
        where = "/".join(
            str(step) for step in error.errors()[0]["loc"] if isinstance(step, int) or step in _FIELDS
        )
        return LineAnswer(
            line=number,
            status=422,
            code="request.invalid",
            detail=f"The line is not as described, at {where or 'its root'}.",
        )
    arrivals = asked.serving.arrivals
    try:
        if read.op == "withdraw":
            done = arrivals.withdraw(registry, read.local_id, actor=asked.actor)
        elif read.attributes is None:
            return LineAnswer(
                line=number,
                local_id=read.local_id,
                status=422,
                code="request.invalid",
                detail="It has no attributes.",
            )
        else:
            done = arrivals.upsert(
                registry,
                read.local_id,
                given(read.attributes),
                actor=asked.actor,
                observed_on=read.observed_on,
            )
        answer = _answer(asked, done, "records.batch")
    except MdmError as error:
        status = status_of(error)
        told = str(error) if status < 500 else "The store does not answer now: send the line again."
        return LineAnswer(line=number, local_id=read.local_id, status=status, code=error.code, detail=told)
    return LineAnswer(line=number, local_id=read.local_id, status=201 if done.created else 200, answer=answer)


_FIELDS = frozenset(RecordLine.model_fields)


def _answer(asked: Asked, done: Arrived, operation: str) -> RecordAnswer:
    people = (
        asked.serving.people.as_changed(done.entities, event=done.events[-1], viewer=asked.viewer)
        if done.events
        else []
    )
    read = {person.id: ["records"] for person in people} | ({done.entity: ["id"]} if done.entity else {})
    asked.note(operation, read)
    staff = asked.viewer.is_staff
    return RecordAnswer(
        id=done.entity,
        version=done.version,
        created=done.created,
        unchanged=done.unchanged,
        issues=dict(done.issues),
        changed=changed(people),
        events=done.events if staff else [],
        numbers=done.numbers if staff else [],
    )


def _require_own(asked: Asked, registry: str) -> None:
    if registry not in asked.principal.registries:
        raise RefusedError("A registry writes its own records only.", hint="Use the key of that registry.")
