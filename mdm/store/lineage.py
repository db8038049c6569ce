"""Where a golden value comes from, and why it stands before others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from golden_record.explain import criterion_words, explain
from golden_record.provenance import Decision, Golden
from mdm.errors import NotFoundError
from mdm.store.event_words import Words
from mdm.store.history import golden_at
from mdm.store.moments import Moment, read_moment
from mdm.store.record_sources import ValueSource, ValueSources, VersionRef, load_sources
from mdm.store.references import EventRef, event_bodies, event_ref
from mdm.store.resolving import standing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from mdm.registries.declaration import RegistryDeclaration
    from mdm.store.history import StandingGolden


@dataclass(frozen=True)
class Chosen:
    """A value of the golden record. `agree` records say the same; `source` is the best of them.

    Without a source a steward gave the value, or it came from a hidden registry.
    """

    value: Any
    agree: int
    source: ValueSource | None


@dataclass(frozen=True)
class Lost:
    """A value that was not chosen: `criterion` set it behind, which `why` says in words."""

    value: Any
    agree: int
    criterion: str
    why: Words
    source: ValueSource


@dataclass(frozen=True)
class Override:
    by: str
    at: str


@dataclass(frozen=True)
class ValueLineage:
    """`subject` is what the rule decided on: the attribute's group, else the attribute.

    `rule` is None where all records agreed. `policy` is the hash of the survivorship policy, `hash` that of the golden
    record, `as_of` the day from which ages were counted, `event` the one that made the golden record.
    """

    entity_id: str
    attribute: str
    subject: str
    value: Any
    rule: str | None
    criterion: str
    why: Words
    chosen: list[Chosen]
    runners_up: list[Lost]
    override: Override | None
    policy: str
    as_of: str
    hash: str
    event: EventRef


def value_lineage(
    connection: Connection,
    entity_id: str,
    attribute: str,
    moment: Moment | None = None,
    *,
    registries: Mapping[str, RegistryDeclaration],
    hidden: Collection[str] = (),
) -> ValueLineage:
    """Of one attribute, or of a group by its name.

    Raises:
        NotFoundError: there was no such entity, golden record or value at the moment.
    """
    found = value_lineages(
        connection, entity_id, moment, registries=registries, hidden=hidden, only=attribute
    )
    return found[0]


def value_lineages(
    connection: Connection,
    entity_id: str,
    moment: Moment | None = None,
    *,
    registries: Mapping[str, RegistryDeclaration],
    hidden: Collection[str] = (),
    only: str | None = None,
    golden: StandingGolden | None = None,
) -> list[ValueLineage]:
    """Of each attribute or group that the policy decided on, by name.

    Args:
        connection: to the store.
        entity_id: the entity.
        moment: as of when; None for now.
        registries: as declared, to tell an attribute's cells in a raw row.
        hidden: registries whose records are not shown.
        only: one attribute or group.
        golden: the golden record to explain, where the reader sees another than the one that stands.

    Raises:
        NotFoundError: there was no such entity, golden record or value at the moment.
    """
    at = moment or read_moment(connection)
    golden = golden or golden_at(connection, standing(connection, entity_id, at)["entity_key"], at)
    if golden is None:
        raise NotFoundError(f"Entity {entity_id} has no golden record, or had none then.")
    whole = Golden.from_json(values=orjson.dumps(golden.values), provenance=orjson.dumps(golden.provenance))
    wanted = _wanted(whole, only)
    refs = {ref for _, subject in wanted for ref in _refs(whole.provenance[subject])}
    sources = load_sources(connection, refs)
    shown = ValueSources({ref: s for ref, s in sources.items() if s.registry not in hidden}, registries)
    made_by = event_ref(event_bodies(connection, [golden.since])[golden.since])
    return [
        _lineage(entity_id, attribute, subject, golden=golden, whole=whole, sources=shown, made_by=made_by)
        for attribute, subject in wanted
    ]


def _wanted(golden: Golden, only: str | None) -> list[tuple[str, str]]:
    """Attributes with what was decided on."""
    if only is None:
        return [(subject, subject) for subject in golden.provenance]
    for subject, decision in golden.provenance.items():
        if only == subject or only in decision.members:
            return [(only, subject)]
    raise NotFoundError(
        f"The golden record has no `{only}`.", hint=f"It has {', '.join(sorted(golden.values))}."
    )


def _refs(decision: Decision) -> list[VersionRef]:
    chosen = [
        (s.record, s.version) for s in decision.chosen if s.record is not None and s.version is not None
    ]
    return chosen + [(lost.record, lost.version) for lost in decision.runners_up]


def _lineage(
    entity_id: str,
    attribute: str,
    subject: str,
    *,
    golden: StandingGolden,
    whole: Golden,
    sources: ValueSources,
    made_by: EventRef,
) -> ValueLineage:
    decision = whole.provenance[subject]
    members = _members(decision) if attribute == subject else ()
    value = (
        {name: whole.values[name] for name in decision.members} if members else whole.values.get(attribute)
    )
    return ValueLineage(
        entity_id=entity_id,
        attribute=attribute,
        subject=subject,
        value=value,
        rule=decision.rule,
        criterion=decision.criterion,
        why=Words(
            explain(whole, attribute=subject, language="vi"),
            explain(whole, attribute=subject, language="en"),
        ),
        chosen=_chosen(decision, attribute, members, value=value, sources=sources),
        runners_up=_lost(decision, attribute, members, sources=sources),
        override=Override(decision.by, decision.at) if decision.by and decision.at else None,
        policy=golden.policy,
        as_of=golden.as_of,
        hash=golden.hash,
        event=made_by,
    )


def _members(decision: Decision) -> tuple[str, ...]:
    """All attributes of a group that any of its values fills; none where an attribute stands for itself."""
    rivals = [lost.value for lost in decision.runners_up if not isinstance(lost.value, str)]
    return tuple(sorted({*decision.members, *(name for rival in rivals for name in rival)}))


def _chosen(
    decision: Decision, attribute: str, members: Sequence[str], *, value: Any, sources: ValueSources
) -> list[Chosen]:
    """One for each value, where the rule keeps several."""
    values = value if isinstance(value, list) else [value]
    return [
        Chosen(
            value=one,
            agree=source.agree,
            source=sources.of((source.record, source.version), attribute, members=members)
            if source.record is not None and source.version is not None
            else None,
        )
        for one, source in zip(values, decision.chosen, strict=False)
    ]


def _lost(decision: Decision, attribute: str, members: Sequence[str], *, sources: ValueSources) -> list[Lost]:
    """Those of hidden registries are left out."""
    lost = []
    for rival in decision.runners_up:
        source = sources.of((rival.record, rival.version), attribute, members=members)
        if source is None:
            continue
        why = Words(
            criterion_words(rival.criterion, language="vi"), criterion_words(rival.criterion, language="en")
        )
        value = rival.value if isinstance(rival.value, str) else dict(rival.value)
        lost.append(Lost(value, rival.agree, rival.criterion, why, source))
    return lost
