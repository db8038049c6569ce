"""The stewards' queue: what the matching leaves to a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from api.conditions import Key, Versions, etag, require_versions
from api.pages import Cursor, Limit, number_in, page
from api.routers.writing import carry_out, preview
from api.schemas import stewardship as given
from api.schemas.common import ALWAYS, ChangeAnswer, problems
from api.schemas.stewardship import Claim, PreviewAnswer, Task, TaskRecord, Tasks, masked
from api.security import Asked, ByStaff, BySteward
from mdm.identity.commands import DecideReview
from mdm.stewardship.desk import Task as Known

Number = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the question", examples=[17])]

routes = APIRouter(prefix="/reviews", tags=["reviews"], responses=problems(*ALWAYS))


@routes.get("", name="reviews", summary="Questions, the strongest evidence first")
def listed(
    asked: ByStaff,
    state: Annotated[Literal["open", "same", "different", "dismissed"], Query()] = "open",
    reason: Annotated[str | None, Query(max_length=60, description="Only with this reason")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Tasks:
    """Local IDs have their digits masked; `GET /v1/reviews/{number}` shows them whole."""
    found = asked.serving.desk.tasks(
        asked.viewer, state=state, reason=reason, after=number_in(cursor, "reviews"), limit=limit + 1
    )
    shown, following = page(found, limit=limit, of="reviews", place=lambda task: task.question.review)
    _note(asked, "reviews", shown)
    return Tasks(reviews=[_told(task, mask=True) for task in shown], next=following)


@routes.get("/{number}", name="review", summary="A question with its records", responses=problems(404))
def one(number: Number, asked: ByStaff, response: Response) -> Task:
    return _answer(asked, "review", asked.serving.desk.task(number, asked.viewer), response)


@routes.post("/{number}/claim", name="review_claim", summary="Take a question", responses=problems(404, 409))
def claim(number: Number, asked: BySteward, response: Response) -> Task:
    """Yours until `claim.until`, until you release it or decide it. Claiming again prolongs it."""
    task = asked.serving.desk.claim(number, asked.viewer, actor=asked.actor)
    return _answer(asked, "review.claim", task, response)


@routes.post("/{number}/release", name="review_release", summary="Give it back", responses=problems(404))
def release(number: Number, asked: BySteward, response: Response) -> Task:
    """Only your own claim; another's stays as it is."""
    task = asked.serving.desk.release(number, asked.viewer, actor=asked.actor)
    return _answer(asked, "review.release", task, response)


@routes.post(
    "/{number}/decision",
    name="review_decide",
    summary="Answer it",
    responses={
        **problems(404, 409, 412, 428),
        202: {"model": ChangeAnswer, "description": "Kept: a second person must agree (`/v1/approvals`)"},
    },
)
def decide(
    number: Number,
    body: given.Decision,
    asked: BySteward,
    response: Response,
    match: Versions,
    key: Key = None,
) -> ChangeAnswer | PreviewAnswer:
    """If-Match names the question and its version: `"17:1"`."""
    asked.serving.desk.task(number, asked.viewer)
    command = DecideReview(review=number, verdict=body.verdict, survivor=body.survivor)
    if body.preview:
        return preview(asked, command, operation="review.decide")
    version = require_versions(match, {str(number)})[str(number)]
    command = command.model_copy(update={"version": version})
    return carry_out(asked, command, response, reason=body.reason, key=key, operation="review.decide")


def _answer(asked: Asked, operation: str, task: Known, response: Response) -> Task:
    _note(asked, operation, [task])
    response.headers["ETag"] = etag(task.question.review, task.question.version)
    return _told(task, mask=False)


def _note(asked: Asked, operation: str, tasks: Sequence[Known]) -> None:
    read = {
        held.entity_id: ["records"]
        for task in tasks
        for held in task.question.records
        if held.entity_id is not None
    }
    asked.note(operation, read)


def _told(task: Known, *, mask: bool) -> Task:
    question = task.question
    return Task(
        review=question.review,
        reason=question.reason,
        state=question.state,
        version=question.version,
        weight=question.weight,
        records=[
            TaskRecord(
                registry=held.record.registry,
                local_id=masked(held.record.local_id) if mask else held.record.local_id,
                entity=held.entity_id,
            )
            for held in question.records
        ],
        raised=question.raised.seq,
        decided=None if question.decided is None else question.decided.seq,
        claim=None if task.claim is None else Claim.model_validate(task.claim),
    )
