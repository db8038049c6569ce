"""The change feed."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from api.schemas.common import ALWAYS, problems
from api.schemas.feed import Events, Position
from api.security import ByReader
from mdm.feed.events import MOST_EVENTS
from mdm.identity.events import EventKind

LONGEST_WAIT = 30
_LOOKS_EVERY = 0.5

routes = APIRouter(prefix="/events", tags=["events"], responses=problems(*ALWAYS))


@routes.get("", name="events", summary="What has changed, in order")
async def events(
    asked: ByReader,
    request: Request,
    after: Annotated[Position, Query()] = "0",
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS, description="At most so many")] = 100,
    kinds: Annotated[list[EventKind] | None, Query(description="Only of these kinds; repeat it")] = None,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for an event, if there is none")
    ] = 0,
) -> Events:
    """Each event names every entity that it affects, and how that stood afterwards. Go on with `next`, also where an answer has no
    event. 400 `input.log_replaced`: the store was restored, read again from before that.

    A registry is told of people with a record of its own.
    """
    ends = time.monotonic() + wait
    while True:
        page = await run_in_threadpool(
            asked.serving.feed.page, asked.viewer, after=after, limit=limit, kinds=kinds
        )
        left = ends - time.monotonic()
        if page.events or (left <= 0 and not page.more) or await request.is_disconnected():
            break
        after = page.next
        if not page.more:
            await asyncio.sleep(min(_LOOKS_EVERY, left))
        elif left <= 0:
            break
    told = {entity.id: ["status"] for event in page.events for entity in event.entities}
    await run_in_threadpool(asked.note, "events", told)
    return Events.model_validate(page)
