"""The gate for single changes of identity: every steward, program and API call comes through here.

A change is planned on the state as it is, carried out in one transaction with golden records, aliases and the questions
it raises, or refused. Nothing is done twice: a request with the same idempotency key gets the first answer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import TypeAdapter

from mdm.errors import ApprovalNeededError, IdentityError
from mdm.identity.changes import plan
from mdm.identity.clock import Source
from mdm.identity.commands import Command, DecideReview, Unmerge
from mdm.identity.events import EventKind, Stamp, canonical_json
from mdm.identity.numbers import NumberKind
from mdm.identity.reconcile import Question
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries, sealed_codes
from mdm.stewardship.desk import refuse_claimed
from mdm.store import desk
from mdm.store.access import drop_claim
from mdm.store.engine import make_engine
from mdm.store.facts import load_for, standing_golden
from mdm.store.golden import contributions_of, goldens_of, last_as_of, load_rules, renew_golden
from mdm.store.keys import SSN_KEY_FINGERPRINT, number_plan_of
from mdm.store.sequences import set_aside
from mdm.store.unit_of_work import UnitOfWork, unit_of_work

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date

    from mdm.identity.plans import Plan
    from mdm.settings import Settings

COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)


@dataclass(frozen=True)
class Answer:
    """What a request did. `approval` is set, and nothing else done, where a second person must agree first."""

    events: list[int] = field(default_factory=list)
    entities: dict[str, int] = field(default_factory=dict)
    """Entities that it changed, with their versions now."""
    numbers: list[str] = field(default_factory=list)
    """Numbers that it issued."""
    approval: int | None = None
    repeated: bool = False
    """The same request was carried out before; this is what it did then."""


@dataclass(frozen=True)
class Preview:
    """What a command would do."""

    golden: Mapping[str, Mapping[str, Any] | None]
    """Entity to its golden values afterwards; None for one that would have none."""
    golden_before: Mapping[str, Mapping[str, Any] | None]
    numbers: list[dict[str, Any]]
    """Each number that would change: before and after."""
    records: dict[str, list[int]]
    """Entity to its records afterwards."""
    versions: dict[str, int]
    """Entity to its version now, to be given with the command as `expected`."""
    notified: list[str]
    """Registries that hold a record of an entity that would change."""
    joined_since: list[int]
    left_since: list[int]
    needs_approval: bool


class Identity:
    """Commands on one store. Safe to share between threads; each command is a transaction of its own."""

    def __init__(self, settings: Settings, *, source: Source | None = None, keep_open: bool = False) -> None:
        """`keep_open` is for a process that makes many changes and opens the store in no other way meanwhile."""
        attributes = load_attributes(settings.attributes_file)
        registries = load_registries(settings.registries_folder, attributes=attributes)
        self.source = source or Source()
        self.engine = make_engine(settings, keep_open=keep_open)
        self.anchors = sorted(code for code, declared in registries.items() if declared.anchor)
        self.sealed = sealed_codes(registries)
        self.settings = settings
        self.rules = load_rules(settings, registries, attributes)

    def close(self) -> None:
        self.engine.dispose()

    def carry_out(self, command: Command, *, actor: str, reason: str, key: str | None = None) -> Answer:
        """Does what is asked.

        Args:
            command: what to do.
            actor: who asks.
            reason: why, in the asker's words; it stands in the log.
            key: idempotency key of the request.

        Raises:
            IdentityError: the rules refuse it.
            StaleVersionError: an entity has changed since the asker looked at it.
            RepeatedKeyError: the key was used for another request.
        """
        with unit_of_work(self.engine) as work:
            request = _hash(command, actor, reason)
            if key is not None and (done := desk.answered(work, key, request)) is not None:
                return self._answer(work, done, repeated=True)
            try:
                events = self._perform(
                    work, command, actor=actor, reason=reason, request=None if key is None else [key, request]
                )
            except ApprovalNeededError:
                return self._ask(work, command, actor=actor, reason=reason, key=key)
            if key is not None:
                desk.keep_answer(work, key, request, events)
            return self._answer(work, events)

    def approve(self, approval: int, *, actor: str, key: str | None = None) -> Answer:
        """Carries out what another person asked for; `key` as in `carry_out`."""
        request = _hash_of({"actor": actor, "approve": approval})
        with unit_of_work(self.engine) as work:
            if key is not None and (done := desk.answered(work, key, request)) is not None:
                return self._answer(work, done, repeated=True)
            asked = desk.open_approval(work, approval)
            if asked.requested_by == actor:
                raise IdentityError(
                    "The second person must be another than the one who asked.", hint="Ask a colleague."
                )
            command = COMMANDS.validate_python(asked.command)
            events = self._perform(
                work,
                command,
                actor=asked.requested_by,
                reason=asked.reason,
                approved_by=actor,
                request=None if key is None else [key, request],
                at=(at := self.source.now()),
            )
            stamp = Stamp(at=at, actor=actor, reason=asked.reason)
            events += desk.close_approval(work, approval, state="approved", stamp=stamp)
            if key is not None:
                desk.keep_answer(work, key, request, events)
            return self._answer(work, events)

    def refuse(self, approval: int, *, actor: str, reason: str, key: str | None = None) -> Answer:
        """`key` as in `carry_out`."""
        request = _hash_of({"actor": actor, "reason": reason, "refuse": approval})
        with unit_of_work(self.engine) as work:
            if key is not None and (done := desk.answered(work, key, request)) is not None:
                return self._answer(work, done, repeated=True)
            desk.open_approval(work, approval)
            stamp = self._stamp(actor, reason)
            events = desk.close_approval(
                work, approval, state="refused", stamp=stamp, request=None if key is None else [key, request]
            )
            if key is not None:
                desk.keep_answer(work, key, request, events)
            return self._answer(work, events)

    def preview(self, command: Command, *, hidden: Collection[str] = ()) -> Preview:
        """What the command would do, with nothing done. Raises what carrying it out would, except ApprovalNeededError.

        Records of `hidden` registries are as if they were not there.
        """
        with unit_of_work(self.engine) as work:
            try:
                return self._preview(work, command, approved_by=None, hidden=hidden)
            except ApprovalNeededError:
                return self._preview(work, command, approved_by="a second person", hidden=hidden)
            finally:
                work.forget()

    def concerned(self, command: Command) -> list[str]:
        """Entities that there are and that the command would change. Raises what carrying it out would."""
        with unit_of_work(self.engine) as work:
            try:
                planned = self._plan(work, command, approved_by="a second person")
            finally:
                work.forget()
            return [entity for entity in planned.entities if entity in work.state.entities]

    def _perform(
        self,
        work: UnitOfWork,
        command: Command,
        *,
        actor: str,
        reason: str,
        approved_by: str | None = None,
        request: list[str] | None = None,
        at: str | None = None,
    ) -> list[int]:
        """`request` is the idempotency key and the hash of what was asked: they stand in the first event.

        All events of a request carry one moment, `at` or now.
        """
        if isinstance(command, DecideReview):
            refuse_claimed(work.connection, command.review, actor=actor)
        first = work.last_event() + 1
        planned = self._plan(work, command, approved_by=approved_by)
        if request is not None:
            planned.events[0][2]["request"] = request
        stamp = Stamp(at=at or self.source.now(), actor=actor, reason=reason)
        events = work.append(planned.events, stamp=stamp)
        if isinstance(command, DecideReview):
            desk.close_question(work, command.review, state=command.verdict, event=events[-1])
            drop_claim(work.connection, command.review)
        if planned.entities:
            renew_golden(work, planned.entities, self.rules, stamp=stamp)
        questions = self._questions(work, command, planned)
        desk.raise_questions(work, questions, stamp=stamp)
        return list(range(first, work.last_event() + 1))

    def _plan(self, work: UnitOfWork, command: Command, *, approved_by: str | None) -> Plan:
        facts = load_for(
            work,
            command,
            anchors=self.anchors,
            source=self.source,
            by_hand=True,
            approved_by=approved_by,
            numbers=partial(self._fresh, work),
        )
        return plan(work.state, command, facts)

    def fresh_numbers(
        self, work: UnitOfWork, wanted: Mapping[NumberKind, int]
    ) -> dict[NumberKind, list[tuple[int, str]]]:
        """So many new numbers of each kind, with their places in the sequence; for a transaction that has issued none yet.

        Those that an earlier request or run set aside are noted as issued, where they are in the store.
        """
        fingerprint = work.meta(SSN_KEY_FINGERPRINT)
        if fingerprint is None:
            raise IdentityError("No number was given out yet.", hint="Run `mdm run` first.")
        plan = number_plan_of(self.settings, fingerprint=fingerprint)
        found: dict[NumberKind, list[tuple[int, str]]] = {}
        for kind, count in wanted.items():
            start = set_aside(
                self.settings, work.scalar, kind, count=count, key=fingerprint, settles=not found
            )
            found[kind] = list(enumerate(plan.numbers(kind, start=start, count=count), start=start))
        return found

    def _fresh(self, work: UnitOfWork, count: int) -> list[tuple[int, str]]:
        return self.fresh_numbers(work, {NumberKind.SSN: count})[NumberKind.SSN]

    def _questions(self, work: UnitOfWork, command: Command, planned: Plan) -> list[Question]:
        """Records that joined after a merge now undone stay with the survivor; a person looks at those that may not belong there."""
        if not isinstance(command, Unmerge) or not planned.joined_since:
            return []
        survivor, restored = planned.entities
        either = desk.resembling(work, planned.joined_since, work.state.members[restored])
        return [
            Question(
                reason="unmerge.joined_since",
                subject=f"unmerge.joined_since:{command.event}:{record}",
                detail={"entities": [work.key(survivor), work.key(restored)], "records": [record]},
            )
            for record in either
        ]

    def _preview(
        self, work: UnitOfWork, command: Command, *, approved_by: str | None, hidden: Collection[str]
    ) -> Preview:
        planned = self._plan(work, command, approved_by=approved_by)
        state = work.state
        numbers = {number: found.standing() for number, found in state.numbers.items()}
        known = [entity for entity in planned.entities if entity in state.entities]
        as_of = last_as_of(work)
        before = self._golden_now(work, known, as_of=as_of, hidden=hidden)
        versions = {entity: state.entities[entity].version for entity in known}
        for event in planned.events:
            state.apply(0, *event)
        golden = self._golden_made(work, planned.entities, as_of=as_of, hidden=hidden)
        registries = desk.registries_of(work, {r for e in planned.entities for r in state.members[e]})
        return Preview(
            golden=golden,
            golden_before=before,
            numbers=[
                {"number": number, "before": numbers[number], "after": found.standing()}
                for number, found in sorted(state.numbers.items())
                if numbers.get(number) != found.standing()
            ],
            records={
                entity: desk.visible(work, state.members[entity], hidden=hidden)
                for entity in planned.entities
            },
            versions=versions,
            notified=sorted(registries - self.sealed),
            joined_since=desk.visible(work, planned.joined_since, hidden=hidden),
            left_since=desk.visible(work, planned.left_since, hidden=hidden),
            needs_approval=approved_by is not None,
        )

    def _golden_now(
        self, work: UnitOfWork, entities: Collection[str], *, as_of: date, hidden: Collection[str]
    ) -> dict[str, Mapping[str, Any] | None]:
        """What stands; made anew without the records of hidden registries where there are any."""
        standing = {
            entity: None if row is None else orjson.loads(row["values"])
            for entity, row in standing_golden(work, entities).items()
        }
        touched = [
            entity
            for entity in entities
            if len(desk.visible(work, work.state.members[entity], hidden=hidden))
            != len(work.state.members[entity])
        ]
        return {**standing, **self._golden_made(work, touched, as_of=as_of, hidden=hidden)}

    def _golden_made(
        self, work: UnitOfWork, entities: Collection[str], *, as_of: date, hidden: Collection[str]
    ) -> dict[str, Mapping[str, Any] | None]:
        contributions = contributions_of(work, entities, self.rules, hidden=hidden)
        made = goldens_of(work, contributions, self.rules, as_of=as_of)
        return {entity: None if found is None else dict(found.values) for entity, found in made.items()}

    def _ask(self, work: UnitOfWork, command: Command, *, actor: str, reason: str, key: str | None) -> Answer:
        request = None if key is None else [key, _hash(command, actor, reason)]
        asked = COMMANDS.dump_python(command, mode="json")
        events, approval = desk.ask_approval(work, asked, request=request, stamp=self._stamp(actor, reason))
        if request is not None:
            desk.keep_answer(work, request[0], request[1], events)
        return Answer(events=events, approval=approval)

    def _answer(self, work: UnitOfWork, events: list[int], *, repeated: bool = False) -> Answer:
        bodies = [work.event(seq) for seq in events]
        asked = next((b["data"]["approval"] for b in bodies if b["kind"] == EventKind.APPROVAL_ASKED), None)
        issued = [b["data"]["number"] for b in bodies if b["kind"] == EventKind.NUMBER_ISSUED]
        names = desk.affected(work, events)
        work.load(names)
        versions = {name: work.state.entities[name].version for name in names}
        return Answer(events=events, entities=versions, numbers=issued, approval=asked, repeated=repeated)

    def _stamp(self, actor: str, reason: str) -> Stamp:
        return Stamp(at=self.source.now(), actor=actor, reason=reason)


def _hash(command: Command, actor: str, reason: str) -> str:
    return _hash_of({"actor": actor, "command": COMMANDS.dump_python(command, mode="json"), "reason": reason})


def _hash_of(asked: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(asked).encode()).hexdigest()
