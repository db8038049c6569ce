"""What an event did to one entity, in a sentence of Vietnamese and one of English.

Names entities and attributes, no values and no numbers, so that it may be shown where personal data is masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdm.identity.commands import DecisionKind
from mdm.identity.events import EventKind
from mdm.identity.numbers import NumberKind, NumberState
from mdm.identity.ssn import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Words:
    vi: str
    en: str


@dataclass(frozen=True)
class Told:
    """An event as seen from one entity."""

    kind: str
    entity: str | None
    """Whom the event names."""
    data: Mapping[str, Any]
    seen_from: str
    records: int = 0
    """Of the records it moves, those that may be shown."""
    golden: Words | None = None
    """What became of the entity's golden record."""
    attributes: tuple[Words, ...] = ()
    """Whose golden values it changed."""
    known: int = 0
    """Numbers by which the entity is known since."""
    unknown: int = 0
    """Numbers by which it is known no more."""


GOLDEN_BEGUN = Words("Lập bản ghi chuẩn", "The golden record was made")
GOLDEN_CHANGED = Words("Bản ghi chuẩn thay đổi", "The golden record changed")
GOLDEN_SOURCES = Words(
    "Nguồn của bản ghi chuẩn thay đổi, giá trị giữ nguyên",
    "The golden record's sources changed, its values did not",
)
GOLDEN_ENDED = Words("Bản ghi chuẩn chấm dứt", "The golden record ended")

_NUMBERS = {
    NumberKind.SSN: Words("số an sinh xã hội", "social-security number"),
    NumberKind.TEMPORARY: Words("số tạm", "temporary number"),
}
_STATES = {
    NumberState.RESERVED: Words("được để dành", "is reserved"),
    NumberState.ACTIVE: Words("có hiệu lực", "is active"),
    NumberState.SUSPENDED: Words("bị tạm dừng", "is suspended"),
    NumberState.SUPERSEDED: Words("được thay bằng số khác", "is superseded by another"),
    NumberState.DECEASED: Words("là của người đã mất", "is of a person who has died"),
    NumberState.CANCELLED: Words("bị hủy", "is cancelled"),
}


def words(told: Told) -> Words:
    """An event of a kind that has no words yet is told by its kind."""
    say = _SAY.get(EventKind(told.kind))
    return say(told) if say else Words(told.kind, told.kind)


def _records(count: int) -> Words:
    return Words(f"{count} bản ghi", "1 record" if count == 1 else f"{count} records")


def _formed(told: Told) -> Words:
    records = _records(told.records)
    return Words(f"Lập từ {records.vi}", f"Formed of {records.en}")


def _linked(told: Told) -> Words:
    records = _records(told.records)
    return Words(f"Thêm {records.vi}", f"{records.en} joined")


def _detached(told: Told) -> Words:
    records = _records(told.records)
    return Words(f"Tách đi {records.vi}", f"{records.en} left")


def _retired(_: Told) -> Words:
    return Words("Ngừng dùng: không còn bản ghi nào", "Retired: no record is left")


def _merged(told: Told) -> Words:
    records = _records(told.records)
    if told.seen_from == told.data["merged"]:
        return Words(
            f"Nhập vào {told.entity}, từ nay thay cho thực thể này",
            f"Merged into {told.entity}, which stands for it from now on",
        )
    merged = told.data["merged"]
    return Words(f"Nhập {merged} vào, cùng {records.vi}", f"Took in {merged} with {records.en}")


def _unmerged(told: Told) -> Words:
    records, merge = _records(told.records), told.data["merge"]
    if told.seen_from == told.data["restored"]:
        return Words(
            f"Trở lại từ {told.entity} cùng {records.vi}: hủy việc nhập ở sự kiện {merge}",
            f"Came back from {told.entity} with {records.en}: the merge of event {merge} was undone",
        )
    restored = told.data["restored"]
    return Words(
        f"Hủy việc nhập ở sự kiện {merge}: {restored} trở lại cùng {records.vi}",
        f"The merge of event {merge} was undone: {restored} came back with {records.en}",
    )


def _split(told: Told) -> Words:
    records, into = _records(told.records), told.data["into"]
    if told.seen_from == into:
        return Words(
            f"Tách ra từ {told.entity} cùng {records.vi}", f"Split from {told.entity} with {records.en}"
        )
    return Words(f"Tách {records.vi} thành {into}", f"{records.en} were split off as {into}")


def _issued(told: Told) -> Words:
    number = _NUMBERS[NumberKind(told.data["kind"])]
    return Words(f"Cấp {number.vi}", f"A {number.en} was issued")


def _number_changed(told: Told) -> Words:
    kind = kind_of(told.data["number"])
    number = _NUMBERS[kind] if kind else Words("số", "number")
    state = _STATES[NumberState(told.data["state"])]
    return Words(f"{_capital(number.vi)} {state.vi}", f"The {number.en} {state.en}")


def _golden(told: Told) -> Words:
    became = told.golden or GOLDEN_CHANGED
    if not told.attributes:
        return became
    return Words(
        f"{became.vi}: {', '.join(name.vi for name in told.attributes)}",
        f"{became.en}: {', '.join(name.en for name in told.attributes)}",
    )


def _aliases(told: Told) -> Words:
    vi, en = [], []
    if told.known:
        vi.append(f"thêm {told.known} số hiệu")
        en.append(f"known by {told.known} more number{'s' if told.known > 1 else ''}")
    if told.unknown:
        vi.append(f"bớt {told.unknown} số hiệu")
        en.append(f"no longer known by {told.unknown} number{'s' if told.unknown > 1 else ''}")
    return Words(_capital(", ".join(vi)), _capital(", ".join(en)))


def _decided(told: Told) -> Words:
    if told.data["decision"] == DecisionKind.MUST_LINK:
        return Words(
            "Quyết định: một bản ghi của thực thể và một bản ghi khác là của cùng một người",
            "It was decided that a record of it and another one are one person's",
        )
    return Words(
        "Quyết định: một bản ghi của thực thể và một bản ghi khác là của hai người",
        "It was decided that a record of it and another one are two people's",
    )


def _revoked(_: Told) -> Words:
    return Words("Thu hồi quyết định về một bản ghi của thực thể", "A decision on a record of it was revoked")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_SAY: Mapping[EventKind, Callable[[Told], Words]] = {
    EventKind.ENTITY_FORMED: _formed,
    EventKind.RECORDS_LINKED: _linked,
    EventKind.RECORDS_DETACHED: _detached,
    EventKind.ENTITY_RETIRED: _retired,
    EventKind.ENTITY_MERGED: _merged,
    EventKind.ENTITY_UNMERGED: _unmerged,
    EventKind.ENTITY_SPLIT: _split,
    EventKind.NUMBER_ISSUED: _issued,
    EventKind.NUMBER_CHANGED: _number_changed,
    EventKind.GOLDEN_COMPUTED: _golden,
    EventKind.ALIASES_CHANGED: _aliases,
    EventKind.DECISION_MADE: _decided,
    EventKind.DECISION_REVOKED: _revoked,
}
