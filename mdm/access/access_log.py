"""Who read whom, what for: written before the answer goes out, or nothing is answered."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import uuid_utils

from mdm.errors import StoreBusyError
from mdm.identity.clock import utc_now
from mdm.store.access import accesses, add_accesses, with_merged
from mdm.store.engine import looking, writing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Engine

_AT_ONCE = 500
_PATIENCE_SECONDS = 35.0
_Noted = tuple[list[dict[str, Any]], Future[None]]
"""Rows, and when they are kept."""


@dataclass(frozen=True)
class Access:
    access_id: str
    at: str
    actor: str
    purpose: str
    operation: str
    entity_id: str
    fields: list[str]
    request_id: str


class AccessLog:
    """Who comes while another writes leaves its accesses to the next one who does: they share a commit."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[_Noted] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._fails = False

    def check(self) -> None:
        """Raises StoreError where accesses could not be kept lately, and cannot now."""
        if self._fails:
            with writing(self._engine) as connection:
                accesses(connection, (), after="", limit=1)
            self._fails = False

    def note(
        self,
        read: Mapping[str, Collection[str]],
        *,
        actor: str,
        purpose: str,
        operation: str,
        request_id: str,
    ) -> None:
        """Returns when it is kept.

        Args:
            read: entity to the names of what was read of it.
            actor: who.
            purpose: the code of what for.
            operation: what was asked, by its name.
            request_id: of the request.

        Raises:
            StoreError: it cannot be kept; then nothing may be answered.
        """
        if not read:
            return
        at = utc_now()
        rows = [
            {
                "access_id": str(uuid_utils.uuid7()),
                "at": at,
                "actor": actor,
                "purpose": purpose,
                "operation": operation,
                "entity_id": entity_id,
                "fields": orjson.dumps(sorted(fields)).decode(),
                "request_id": request_id,
            }
            for entity_id, fields in read.items()
        ]
        kept: Future[None] = Future()
        self._waiting.put((rows, kept))
        if not self._turn.acquire(timeout=_PATIENCE_SECONDS):
            raise StoreBusyError("The log of accesses cannot be written.", hint="Try again.")
        try:
            while not kept.done():
                self._keep()
        finally:
            self._turn.release()
        kept.result()

    def of(self, entity_id: str, *, after: str = "", limit: int = 100) -> list[Access]:
        """Of an entity and of all that were merged into it, in the order of time."""
        with looking(self._engine) as connection:
            entities = with_merged(connection, entity_id.lower())
            rows = accesses(connection, entities, after=after, limit=limit)
        return [Access(**{**row, "fields": orjson.loads(row["fields"])}) for row in rows]

    def _keep(self) -> None:
        """All that wait, as many as a commit takes."""
        batch: list[_Noted] = []
        with suppress(queue.Empty):
            while len(batch) < _AT_ONCE:
                batch.append(self._waiting.get_nowait())
        try:
            with writing(self._engine) as connection:
                add_accesses(connection, [row for rows, _ in batch for row in rows])
        except Exception as error:  # noqa: BLE001  whoever waits is told
            self._fails = True
            for _, kept in batch:
                kept.set_exception(error)
        else:
            self._fails = False
            for _, kept in batch:
                kept.set_result(None)
