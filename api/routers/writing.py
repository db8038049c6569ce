"""What all routes that change something do: carry a command out, and tell what it changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from fastapi import Response

from api.schemas.common import ChangeAnswer, Changed, Record
from api.schemas.stewardship import PreviewAnswer
from api.security import Asked
from mdm.identity.commands import Command
from mdm.queries.people import Person
from mdm.stewardship.service import Answer

REPLAYED = "Idempotent-Replayed"


def carry_out(
    asked: Asked, command: Command, response: Response, *, reason: str, key: str | None, operation: str
) -> ChangeAnswer:
    done = asked.serving.identity.carry_out(command, actor=asked.actor, reason=reason, key=scoped(asked, key))
    return answer(asked, done, response, operation=operation)


def preview(asked: Asked, command: Command, *, operation: str) -> PreviewAnswer:
    found = asked.serving.identity.preview(command, hidden=asked.viewer.hidden)
    read = {entity: ["golden", "numbers", "records"] for entity in found.versions}
    asked.note(f"{operation}.preview", read)
    numbers = {number for records in found.records.values() for number in records}
    known = asked.serving.desk.names({*numbers, *found.joined_since, *found.left_since})

    def named(records: Iterable[int]) -> list[Record]:
        return [Record.model_validate(known[number]) for number in records]

    return PreviewAnswer(
        **{
            **asdict(found),
            "records": {entity: named(records) for entity, records in found.records.items()},
            "joined_since": named(found.joined_since),
            "left_since": named(found.left_since),
        }
    )


def answer(asked: Asked, done: Answer, response: Response, *, operation: str) -> ChangeAnswer:
    """The first answer to a request is given again, whatever has happened since."""
    if done.repeated:
        response.headers[REPLAYED] = "true"
    if done.approval is not None:
        response.status_code = 202
    people = asked.serving.people.as_changed(list(done.entities), event=done.events[-1], viewer=asked.viewer)
    asked.note(operation, {person.id: ["records"] for person in people})
    return ChangeAnswer(
        changed=changed(people),
        events=done.events,
        numbers=done.numbers,
        approval=done.approval,
    )


def changed(people: Iterable[Person]) -> list[Changed]:
    """People as a change left them, and as the asker may know them."""
    return [
        Changed(
            id=person.id,
            version=person.version,
            status=person.status,
            superseded_by=person.superseded_by,
            records=[Record.model_validate(member) for member in person.records],
        )
        for person in people
    ]


def scoped(asked: Asked, key: str | None) -> str | None:
    """Keys of two clients never meet."""
    return None if key is None else f"{asked.actor} {key}"
