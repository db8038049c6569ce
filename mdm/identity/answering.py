"""A steward's answer to a question: what it changes, and that the question is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.errors import IdentityError, StaleVersionError
from mdm.identity.commands import Decide, DecisionKind, Merge, Verdict
from mdm.identity.deciding import plan_decide
from mdm.identity.decisions import Decision, ordered
from mdm.identity.events import EventKind
from mdm.identity.merging import plan_merge
from mdm.identity.plans import Event, Facts, Plan

if TYPE_CHECKING:
    from mdm.identity.commands import DecideReview
    from mdm.identity.plans import OpenQuestion
    from mdm.identity.state import State

OPEN = "open"


def plan_answer(state: State, command: DecideReview, facts: Facts) -> Plan:
    question = facts.question
    assert question is not None, "an answer needs its question"
    if question.state != OPEN:
        raise IdentityError(f"Question {question.number} is answered already: {question.state}.")
    if command.version not in {None, question.version}:
        raise StaleVersionError(
            f"Question {question.number} is at version {question.version}, not {command.version}.",
            hint="Look at it again and decide on what it is now.",
        )
    match command.verdict:
        case Verdict.SAME:
            done = _same(state, command, question, facts)
        case Verdict.DIFFERENT:
            done = _different(state, question)
        case Verdict.DISMISSED:
            done = Plan([], [])
    closed: Event = (
        EventKind.REVIEW_DECIDED,
        None,
        {"review": question.number, "state": command.verdict.value},
    )
    return Plan([*done.events, closed], done.entities)


def _same(state: State, command: DecideReview, question: OpenQuestion, facts: Facts) -> Plan:
    sides = _sides(state, question)
    if len(sides) == 2:
        left, right = sorted(sides)
        return plan_merge(state, Merge(left=left, right=right, survivor=command.survivor), facts)
    if len(sides) == 1 and len(question.records) == 2:
        return _decided(state, DecisionKind.MUST_LINK, *question.records)
    raise _not_about_two(sides)


def _different(state: State, question: OpenQuestion) -> Plan:
    sides = _sides(state, question)
    if len(sides) != 2:
        raise _not_about_two(sides)
    return _decided(state, DecisionKind.CANNOT_LINK, *(min(records) for records in sides.values()))


def _decided(state: State, kind: DecisionKind, left: int, right: int) -> Plan:
    """Nothing is to do where the decision stands already."""
    pair = ordered(left, right)
    if state.decisions.get(pair) == Decision(kind, *pair):
        return Plan([], [])
    return plan_decide(state, Decide(decision=kind, left=left, right=right))


def _sides(state: State, question: OpenQuestion) -> dict[str, list[int]]:
    """Entity to those of the question's records that belong to it now."""
    sides: dict[str, list[int]] = {}
    for record in question.records:
        if (entity := state.entity_of.get(record)) is not None:
            sides.setdefault(entity, []).append(record)
    return sides


def _not_about_two(sides: dict[str, list[int]]) -> IdentityError:
    if len(sides) == 1:
        return IdentityError(
            f"All records of this question are one entity now: {next(iter(sides))}.",
            hint="Split it where it holds two people, and dismiss the question.",
        )
    return IdentityError(
        f"The records of this question belong to {len(sides)} entities now, not to two.",
        hint="Merge or decide two at a time, then dismiss the question.",
    )
