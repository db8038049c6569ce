"""What `mdm entity` shows to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rich.text import Text

from mdm.cli.terminal import number, out, table

if TYPE_CHECKING:
    from rich.table import Table

    from mdm.store.history import EntityAt, Happening
    from mdm.store.lineage import ValueLineage
    from mdm.store.membership_lineage import MembershipLineage, Stay
    from mdm.store.record_sources import ValueSource
    from mdm.store.resolving import Resolved


def chain(resolved: Resolved) -> None:
    """How the name that was asked for leads to the entity, where it is not its own ID."""
    if len(resolved.chain) > 1:
        _plain(" -> ".join(link.name for link in resolved.chain))


def entity(found: EntityAt) -> None:
    heir = f" by {found.superseded_by}" if found.superseded_by else ""
    _plain(
        f"{found.entity_id}: {found.kind}, {found.status}{heir}, version {found.version},"
        f" formed by event {found.formed}; as of event {found.moment.seq}"
    )
    if found.golden is not None:
        values = table(f"Golden record since event {found.golden.since}", "Attribute", "Value")
        for name, value in found.golden.values.items():
            _row(values, name, _text(value))
        out.print(values)
    members = table("Records", "Registry", "Local ID", "Version", "Status", "Since event", right=(2, 4))
    for member in found.members:
        _row(
            members,
            member.registry,
            member.local_id,
            number(member.version),
            member.status,
            str(member.since),
        )
    out.print(members)
    numbers = table("Numbers", "Number", "Kind", "State", "Reason", "Since event", right=(4,))
    for held in found.numbers:
        heir = f" by {held.superseded_by}" if held.superseded_by else ""
        _row(numbers, held.number, held.kind, f"{held.state}{heir}", held.reason, str(held.since))
    for known in found.aliases:
        _row(numbers, known.value, known.scheme, "known by", "", str(known.since))
    out.print(numbers)


def happened(events: list[Happening], *, language: Literal["vi", "en"]) -> None:
    shown = table("History", "Event", "Time", "What", "By", "Reason", right=(0,))
    for one in events:
        by = f"{one.event.actor}, approved by {one.approved_by}" if one.approved_by else one.event.actor
        _row(shown, str(one.event.seq), one.event.at[:19], getattr(one.words, language), by, one.event.reason)
    out.print(shown)


def values(found: list[ValueLineage]) -> None:
    """Of one value everything; of several a line each."""
    if len(found) == 1:
        _value(found[0])
        return
    if not found:
        return
    shown = table("Golden values", "Attribute", "Value", "Why", "From", "As received")
    for value in found:
        sources = [chosen.source for chosen in value.chosen if chosen.source is not None]
        _row(
            shown,
            value.attribute,
            _text(value.value),
            f"{value.rule}: {value.criterion}" if value.rule else "all agree",
            "\n".join(_place(source) for source in sources),
            "\n".join(_cells(source) for source in sources),
        )
    out.print(shown)


def memberships(found: list[MembershipLineage]) -> None:
    shown = table("Records", "Record", "Since event", "What", "By", "Because", right=(1,))
    for member in found:
        for place, stay in enumerate(member.stays):
            _row(
                shown,
                "" if place else f"{member.record.registry}/{member.record.local_id}",
                str(stay.since.seq),
                f"{stay.since.kind}\n{stay.entity_id}",
                stay.since.actor,
                _because(stay),
            )
    if found:
        out.print(shown)


def _value(value: ValueLineage) -> None:
    _plain(f"{value.attribute}: {_text(value.value)}")
    _plain(value.why.en)
    _plain(
        f"Golden record of event {value.event.seq} ({value.event.at[:19]}, {value.event.actor},"
        f" run {value.event.run or 'none'}), policy {value.policy[:12]}"
    )
    shown = table("Sources", "Outcome", "Value", "Agree", "From", "As received", right=(2,))
    for chosen in value.chosen:
        source = chosen.source
        _row(
            shown,
            "chosen",
            _text(chosen.value),
            number(chosen.agree),
            _place(source) if source else f"steward {value.override.by}" if value.override else "not shown",
            _cells(source) if source else "",
        )
    for lost in value.runners_up:
        _row(
            shown,
            lost.criterion,
            _text(lost.value),
            number(lost.agree),
            _place(lost.source),
            _cells(lost.source),
        )
    out.print(shown)


def _place(source: ValueSource) -> str:
    record = source.record
    return f"{record.registry}/{record.local_id} v{record.version}, {record.delivery.file} row {record.row_number}"


def _cells(source: ValueSource) -> str:
    if source.cells is None:
        return "(cannot be told)"
    return "; ".join(f"{column}={text}" for column, text in source.cells.items() if text)


def _because(stay: Stay) -> str:
    lines = [
        f"{edge.other.registry}/{edge.other.local_id}: {edge.weight:.1f} bits" for edge in stay.edges[:3]
    ]
    if len(stay.edges) > len(lines):
        lines.append(f"and {len(stay.edges) - len(lines)} more")
    if stay.act is not None:
        approved = f", approved by {stay.act.approved_by}" if stay.act.approved_by else ""
        lines.insert(0, f"{stay.since.reason}; other side {stay.act.other}{approved}")
    lines += [
        f"{word.kind} {word.other.registry}/{word.other.local_id} by {word.author}: {word.reason}"
        for word in stay.decisions
    ]
    return "\n".join(lines)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(value)
    if isinstance(value, dict):
        return "; ".join(f"{name}={text}" for name, text in value.items())
    return "" if value is None else str(value)


def _row(shown: Table, *cells: str) -> None:
    """Brackets in data are no markup."""
    shown.add_row(*(Text(cell) for cell in cells))


def _plain(text: str) -> None:
    out.print(text, markup=False, highlight=False)
