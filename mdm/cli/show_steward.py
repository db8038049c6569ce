"""What the commands of stewards show to a person."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from mdm.cli.terminal import number, out, print_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdm.stewardship.service import Answer, Preview
    from mdm.store.questions import Question, Request


def answer(done: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(done))
        return
    if done.approval is not None:
        out.print(
            f"Two social-security numbers: a second person must agree. Kept as request {done.approval}:"
            f" `mdm approval approve {done.approval} --actor NAME`."
        )
        return
    first, last = done.events[0], done.events[-1]
    told = f"event {first}" if first == last else f"events {first} to {last}"
    out.print(f"{'Done before, with' if done.repeated else 'Done:'} {told}.")
    for entity, version in done.entities.items():
        out.print(f"  {entity} is at version {version} now", highlight=False)
    for issued in done.numbers:
        out.print(f"  {issued}", highlight=False)


def preview(found: Preview, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
        return
    shown = table("What it would do", "Entity", "Version now", "Records then", right=(1,))
    for entity, records in found.records.items():
        version = found.versions.get(entity)
        shown.add_row(
            entity, "new" if version is None else str(version), ", ".join(map(str, records)) or "none"
        )
    out.print(shown)
    for entity, values in found.golden.items():
        _golden(entity, found.golden_before.get(entity), values)
    if found.numbers:
        numbers = table("Numbers", "Number", "Now", "Then")
        for change in found.numbers:
            numbers.add_row(change["number"], *(_standing(change[side]) for side in ("before", "after")))
        out.print(numbers)
    if found.joined_since:
        out.print(f"Joined since the merge, and stay: records {', '.join(map(str, found.joined_since))}.")
    if found.left_since:
        out.print(f"Gone elsewhere since, and do not come back: {', '.join(map(str, found.left_since))}.")
    if found.notified:
        out.print(f"Told of it: {', '.join(found.notified)}.")
    if found.needs_approval:
        out.print("A second person must approve it.")
    out.print("Nothing is done yet.")


def _golden(entity: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    old, new = before or {}, after or {}
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if not changed:
        return
    shown = table(f"Golden record of {entity}", "Attribute", "Now", "Then")
    for name in changed:
        shown.add_row(name, Text(_text(old.get(name))), Text(_text(new.get(name))))
    out.print(shown)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _standing(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    heir = f" by {found['superseded_by']}" if found.get("superseded_by") else ""
    return f"{found['state']}{heir} ({found['holder'] or 'nobody'})"


def requests(found: list[Request]) -> None:
    shown = table(
        "Requests that wait for a second person", "Request", "What", "Asked by", "At", "Reason", right=(0,)
    )
    for one in found:
        asked = ", ".join(
            f"{name} {value}"
            for name, value in one.command.items()
            if value is not None and name not in {"type", "expected"}
        )
        shown.add_row(
            str(one.approval),
            f"{one.command['type']}: {asked}",
            Text(one.requested_by),
            one.asked_at[:19],
            Text(one.reason),
        )
    out.print(shown)


def questions(found: list[Question], total: int) -> None:
    shown = table("Open questions", "Question", "Reason", "Bits", "Records", right=(0, 2))
    for one in found:
        shown.add_row(str(one.review), one.reason, _bits(one.weight), Text(_records(one)))
    out.print(shown)
    if total > len(found):
        out.print(f"{number(len(found))} of {number(total)}; --limit shows more.")


def question(found: Question, sentence: str | None = None) -> None:
    out.print(
        f"Question {found.review}: {found.reason}, {found.state}, version {found.version},"
        f" raised by event {found.raised.seq} at {found.raised.at[:19]}",
        highlight=False,
    )
    if found.decided is not None:
        out.print(
            Text(f"Answered by {found.decided.actor} in event {found.decided.seq}: {found.decided.reason}")
        )
    if found.weight is not None:
        out.print(f"Evidence for a match: {_bits(found.weight)} bits")
    if sentence is not None:
        out.print(Text(sentence), soft_wrap=True)
    shown = table("Records", "Registry", "Local ID", "Entity")
    for held in found.records:
        shown.add_row(held.record.registry, Text(held.record.local_id), held.entity_id or "withdrawn")
    out.print(shown)
    if found.hidden_records:
        out.print(f"And {found.hidden_records} of sealed registries.")


def _bits(weight: float | None) -> str:
    return "" if weight is None else f"{weight:.1f}"


def _records(found: Question) -> str:
    named = [f"{held.record.registry}/{held.record.local_id}" for held in found.records]
    return ", ".join([*named, *(["sealed"] * found.hidden_records)])
