"""Who read whom, what for: written before the answer goes out, or nothing is answered."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import uuid_utils

from mdm.errors import StoreBusyError, StoreError
from mdm.identity.clock import utc_now
from mdm.store.access import accesses, add_accesses, looking, with_merged, writing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Engine

_AT_ONCE = 500
_PATIENCE_SECONDS = 35.0


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
    """One thread writes for all: accesses that come at the same time share a commit."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[tuple[list[dict[str, Any]], Future[None]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._write, name="access-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def check(self) -> None:
        """Raises StoreError where nobody writes any more."""
        if not self._thread.is_alive():
            raise StoreError("The log of accesses is not written.", hint="Start the server again.")

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
        try:
            kept.result(_PATIENCE_SECONDS)
        except TimeoutError as error:
            raise StoreBusyError("The log of accesses cannot be written.", hint="Try again.") from error

    def of(self, entity_id: str, *, after: str = "", limit: int = 100) -> list[Access]:
        """Of an entity and of all that were merged into it, in the order of time."""
        with looking(self._engine) as connection:
            entities = with_merged(connection, entity_id.lower())
            rows = accesses(connection, entities, after=after, limit=limit)
        return [Access(**{**row, "fields": orjson.loads(row["fields"])}) for row in rows]

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, ended = [first], False
            while len(batch) < _AT_ONCE:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    ended = True
                    break
                batch.append(following)
            self._keep(batch)
            if ended:
                return

    def _keep(self, batch: list[tuple[list[dict[str, Any]], Future[None]]]) -> None:
        try:
            with writing(self._engine) as connection:
                add_accesses(connection, [row for rows, _ in batch for row in rows])
        except Exception as error:  # noqa: BLE001  whoever waits is told
            for _, kept in batch:
                kept.set_exception(error)
        else:
            for _, kept in batch:
                kept.set_result(None)
