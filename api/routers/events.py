"""The change feed."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from api.schemas.feed import Events, Position
from mdm.feed.events import MOST_EVENTS, Feed
from mdm.feed.viewer import Viewer
from mdm.identity.events import EventKind

LONGEST_WAIT = 30
_LOOKS_EVERY = 0.5


@dataclass(frozen=True)
class Reader:
    """Who asks, and what keeps that they were told: entity to what of it, before the answer."""

    viewer: Viewer
    note: Callable[[Mapping[str, list[str]]], None]


def router(
    *,
    feed: Callable[..., Feed],
    reader: Callable[..., Reader],
    responses: dict[int | str, dict[str, Any]] | None = None,
) -> APIRouter:
    """`feed` and `reader` are dependencies; the second one refuses who may not read events."""
    routes = APIRouter(prefix="/events", tags=["events"], responses=responses)

    @routes.get("", name="events", summary="What has changed, in order")
    async def events(
        request: Request,
        log: Annotated[Feed, Depends(feed)],
        asker: Annotated[Reader, Depends(reader)],
        after: Annotated[Position, Query()] = "0",
        limit: Annotated[int, Query(ge=1, le=MOST_EVENTS, description="At most so many")] = 100,
        kinds: Annotated[list[EventKind] | None, Query(description="Only of these kinds; repeat it")] = None,
        wait: Annotated[
            float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for an event, if there is none")
        ] = 0,
    ) -> Events:
        """Each event names every entity that it affects, and how that stood afterwards. Go on with `next`, also where an answer has
        no event. 400 `input.log_replaced`: the store was restored, read again from before that.
        """
        ends = time.monotonic() + wait
        while True:
            page = await run_in_threadpool(log.page, asker.viewer, after=after, limit=limit, kinds=kinds)
            left = ends - time.monotonic()
            if page.events or (left <= 0 and not page.more) or await request.is_disconnected():
                break
            after = page.next
            if not page.more:
                await asyncio.sleep(min(_LOOKS_EVERY, left))
            elif left <= 0:
                break
        told = {entity.id: ["status"] for event in page.events for entity in event.entities}
        await run_in_threadpool(asker.note, told)
        return Events.model_validate(page)

    return routes
