"""The stewards' queue: questions with who is at work on them, and requests that wait for a second person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mdm.errors import ClaimedError, IdentityError, NotFoundError
from mdm.identity.answering import OPEN
from mdm.store.access import claim_of, claims_of, end_claim, put_claim
from mdm.store.engine import looking, writing
from mdm.store.questions import question, questions, requests
from mdm.store.references import find_record, record_refs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Engine, RowMapping

    from mdm.queries.viewer import Viewer
    from mdm.store.questions import Question, Request
    from mdm.store.references import RecordRef

_AT_ONCE = 200


@dataclass(frozen=True)
class Claim:
    by: str
    at: str
    until: str


@dataclass(frozen=True)
class Task:
    """A question, and the claim on it that has not expired."""

    question: Question
    claim: Claim | None


class Desk:
    def __init__(self, engine: Engine, *, claim_minutes: int) -> None:
        self._engine = engine
        self._lasts = timedelta(minutes=claim_minutes)

    def tasks(
        self, viewer: Viewer, *, state: str = OPEN, reason: str | None = None, after: int = 0, limit: int = 50
    ) -> list[Task]:
        """The first `limit` after question `after`, strongest evidence first.

        A question on a record of which the viewer may not know is left out.
        """
        found: list[Question] = []
        with looking(self._engine) as connection:
            while len(found) < limit:
                some, _ = questions(
                    connection, state=state, reason=reason, after=after, limit=_AT_ONCE, hidden=viewer.hidden
                )
                found += [one for one in some if not one.hidden_records]
                if len(some) < _AT_ONCE:
                    break
                after = some[-1].review
            found = found[:limit]
            held = claims_of(connection, [one.review for one in found])
        return [Task(one, _standing(held.get(one.review))) for one in found]

    def task(self, number: int, viewer: Viewer) -> Task:
        """Raises NotFoundError where there is none of which the viewer may know."""
        with looking(self._engine) as connection:
            found = question(connection, number, hidden=viewer.hidden)
            if found.hidden_records:
                raise NotFoundError(f"There is no question {number}.")
            return Task(found, _standing(claim_of(connection, number)))

    def claim(self, number: int, viewer: Viewer, *, actor: str) -> Task:
        """Takes an open question, or goes on with it.

        Raises:
            NotFoundError: there is none of which the viewer may know.
            IdentityError: it is answered already.
            ClaimedError: somebody else is at work on it.
        """
        task = self.task(number, viewer)
        if task.question.state != OPEN:
            raise IdentityError(f"Question {number} is answered already: {task.question.state}.")
        now = datetime.now(UTC)
        row = {
            "review_id": number,
            "claimed_by": actor,
            "claimed_at": _text(now),
            "expires_at": _text(now + self._lasts),
        }
        with writing(self._engine) as connection:
            if not put_claim(connection, row):
                raise claimed(number)
        return Task(task.question, Claim(actor, _text(now), _text(now + self._lasts)))

    def release(self, number: int, viewer: Viewer, *, actor: str) -> Task:
        """Gives the question back; nothing happens where the actor has not claimed it."""
        self.task(number, viewer)
        with writing(self._engine) as connection:
            end_claim(connection, number, actor=actor)
        return self.task(number, viewer)

    def requests(self, *, after: int = 0, limit: int = 50) -> list[Request]:
        """Open ones after request `after`, oldest first."""
        with looking(self._engine) as connection:
            return [one for one in requests(connection) if one.approval > after][:limit]

    def record(self, registry: str, local_id: str, viewer: Viewer) -> int:
        """The number of a person's record. Raises NotFoundError where there is none of which the viewer may know."""
        if not viewer.sees_record_of(registry):
            raise NotFoundError(
                f"Registry {registry} has no such record of a person.",
                hint="Check the registry and the local ID.",
            )
        with looking(self._engine) as connection:
            return find_record(connection, registry, local_id)

    def names(self, records: Iterable[int]) -> dict[int, RecordRef]:
        """What their registries call records, by number."""
        with looking(self._engine) as connection:
            return record_refs(connection, records)


def refuse_claimed(connection: Connection, number: int, *, actor: str) -> None:
    """Raises ClaimedError where somebody else is at work on the question."""
    claim = _standing(claim_of(connection, number))
    if claim is not None and claim.by != actor:
        raise claimed(number)


def claimed(number: int) -> ClaimedError:
    return ClaimedError(
        f"Somebody else is at work on question {number}.",
        hint="Wait until they release it or their claim expires.",
    )


def _standing(row: RowMapping | None) -> Claim | None:
    if row is None or row["expires_at"] <= _text(datetime.now(UTC)):
        return None
    return Claim(row["claimed_by"], row["claimed_at"], row["expires_at"])


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
