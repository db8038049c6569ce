"""The canonical ID of a registry's own ID or of a number, and back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ValidationError

from api.problems import ProblemError
from api.schemas.common import ALWAYS, problems
from api.schemas.people import Found, FoundAll, FoundEach, Name, Names, told
from api.security import Asked, ByReader, LookingInTurn
from mdm.errors import NotFoundError
from mdm.queries.people import Person

Given = Annotated[str | None, Query(max_length=256)]

routes = APIRouter(tags=["crosswalk"], responses=problems(*ALWAYS))


@routes.get("/xref", name="xref", summary="Who goes by one name", responses=problems(404))
def one(
    asked: ByReader,
    _turn: LookingInTurn,
    registry: Given = None,
    local_id: Given = None,
    ssn: Given = None,
    personal_id: Given = None,
    id: Given = None,
) -> Found:
    """Give `registry` with `local_id`, or `ssn`, or `personal_id`, or `id`.

    A query can end up in the log of a proxy: where there is one, ask by `POST /v1/xref:batch`.
    """
    try:
        name = Name(registry=registry, local_id=local_id, ssn=ssn, personal_id=personal_id, id=id)
    except ValidationError as error:
        raise ProblemError(
            422,
            "request.invalid",
            "The query does not name one person.",
            hint="Give registry with local_id, or ssn, or personal_id, or id.",
        ) from error
    found = _found(asked, name)
    asked.note("xref", {person.id: person.fields for person in found})
    return Found(matches=[told(person) for person in found])


@routes.post("/xref:batch", name="xref_batch", summary="Who goes by each of up to 1,000 names")
def many(names: Names, asked: ByReader) -> FoundAll:
    results = []
    read: dict[str, set[str]] = {}
    for name in names.names:
        try:
            found = _found(asked, name)
        except NotFoundError:
            results.append(FoundEach(matches=[], code="identity.not_found"))
            continue
        for person in found:
            read.setdefault(person.id, set()).update(person.fields)
        results.append(FoundEach(matches=[told(person) for person in found]))
    asked.note("xref", read)
    return FoundAll(results=results)


def _found(asked: Asked, name: Name) -> list[Person]:
    return asked.serving.people.by_number(
        viewer=asked.viewer,
        registry=name.registry,
        local_id=name.local_id,
        ssn=name.ssn,
        personal_id=name.personal_id,
        entity_id=name.id,
    )
