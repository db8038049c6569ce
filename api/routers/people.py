"""People and households: as they are or were, what happened to them, where everything comes from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from api.conditions import etag
from api.pages import Cursor, Limit, number_in, page
from api.schemas.common import ALWAYS, EXAMPLE_ID, ID_PATTERN, Record, problems
from api.schemas.people import Event, Happening, History, Lineage, Member, Members, Person, Words, told
from api.security import ByReader, ByStaff, LookingInTurn
from mdm.registries.attributes import RecordKind

Id = Annotated[
    str,
    Path(
        pattern=ID_PATTERN,
        description="Canonical ID",
        openapi_examples={"one": {"value": EXAMPLE_ID}},
    ),
]
AsOf = Annotated[
    str | None,
    Query(
        max_length=40,
        description="As it was: a day (until its end in Vietnam), a time with its zone, or an event's number",
        openapi_examples={"a day": {"value": "2026-03-01"}, "now": {"value": None}},
    ),
]
_MISSING = problems(*ALWAYS, 404)


def router(path: str, kind: RecordKind) -> APIRouter:
    """The same routes for either kind of entity."""
    routes = APIRouter(prefix=f"/{path}", tags=[path], responses=_MISSING)

    @routes.get("/{id}", name=f"{kind}_read", summary=f"A {kind}: golden record, numbers, records")
    def read(id: Id, asked: ByReader, response: Response, _turn: LookingInTurn, as_of: AsOf = None) -> Person:
        found = asked.serving.people.one(id, kind=kind, viewer=asked.viewer, as_of=as_of)
        asked.note(f"{kind}.read", {found.id: found.fields})
        if found.version is not None:
            response.headers["ETag"] = etag(found.id, found.version)
        return told(found)

    @routes.get("/{id}/history", name=f"{kind}_history", summary="What happened to it, by whom and why")
    def history(
        id: Id,
        asked: ByStaff,
        as_of: AsOf = None,
        cursor: Cursor = None,
        limit: Limit = 100,
    ) -> History:
        after = number_in(cursor, "history")
        happened = asked.serving.people.history(id, kind=kind, viewer=asked.viewer, as_of=as_of)
        rest = [one for one in happened if one.event.seq > after]
        shown, following = page(rest, limit=limit, of="history", place=lambda one: one.event.seq)
        asked.note(f"{kind}.history", {id: ["history"]})
        return History(
            id=id,
            events=[
                Happening(
                    event=Event.model_validate(one.event),
                    words=Words.model_validate(one.words),
                    approved_by=one.approved_by,
                    records=[Record.model_validate(ref) for ref in one.records],
                )
                for one in shown
            ],
            next=following,
        )

    @routes.get("/{id}/members", name=f"{kind}_members", summary="Its records")
    def members(id: Id, asked: ByStaff, as_of: AsOf = None) -> Members:
        found = asked.serving.people.one(id, kind=kind, viewer=asked.viewer, as_of=as_of)
        asked.note(f"{kind}.members", {found.id: ["records"]})
        return Members(id=found.id, members=[Member.model_validate(member) for member in found.records])

    @routes.get("/{id}/lineage", name=f"{kind}_lineage", summary="Where its values and its records come from")
    def lineage(
        id: Id,
        asked: ByStaff,
        field: Annotated[
            str | None, Query(max_length=60, description="Only of this golden attribute, or group")
        ] = None,
        as_of: AsOf = None,
    ) -> Lineage:
        found = asked.serving.people.lineage(id, kind=kind, viewer=asked.viewer, field=field, as_of=as_of)
        asked.note(f"{kind}.lineage", {found.id: [value.attribute for value in found.values] or ["records"]})
        return Lineage(
            id=found.id,
            values=[asdict(value) for value in found.values],
            members=[asdict(member) for member in found.members],
        )

    @routes.get("/{id}/prov", name=f"{kind}_prov", summary="Its provenance as W3C PROV-JSON, without values")
    def prov(id: Id, asked: ByStaff, as_of: AsOf = None) -> dict[str, Any]:
        document = asked.serving.people.prov(id, kind=kind, viewer=asked.viewer, as_of=as_of)
        asked.note(f"{kind}.prov", {id: ["provenance"]})
        return document

    return routes
