"""An entity as it is to those who may not know of some registries: as if their records were not there.

A registry that must not show even membership shapes golden values too, so leaving its records out of a list is not enough: the
golden record is computed anew without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import Text, bindparam, select

from golden_record.contribution import Contribution
from golden_record.policy import load_policy
from golden_record.provenance import golden_hash
from golden_record.rules import Setting
from golden_record.survivorship import survive
from mdm.errors import NotFoundError
from mdm.identity.state import RETIRED
from mdm.store.golden import GoldenRules
from mdm.store.history import EntityAt, StandingGolden, entity_at
from mdm.store.moments import SEQ, Moment, read_moment, version_at
from mdm.store.record_sources import load_sources
from mdm.store.tables import entity, membership, record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from mdm.registries.attributes import Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.history import Member


@dataclass(frozen=True)
class Seen:
    """`sealed` tells whether anything was left out: for our own use, never for the reader."""

    entity: EntityAt
    sealed: bool


def sealing_rules(
    settings: Settings, registries: Mapping[str, RegistryDeclaration], attributes: Attributes
) -> dict[str, GoldenRules]:
    """By kind of entity, of those whose golden records can be computed anew: people."""
    policy = load_policy(settings.person_policy_file)
    return {policy.kind: GoldenRules.declared(policy, registries, attributes)}


def entity_seen(
    connection: Connection,
    entity_id: str,
    moment: Moment,
    *,
    hidden: Collection[str],
    rules: Mapping[str, GoldenRules],
    only_members: bool = False,
) -> Seen:
    """The entity without the records of `hidden` registries.

    Args:
        connection: to the store.
        entity_id: the entity, which may be merged.
        moment: as of when.
        hidden: registries of which the reader may not know.
        rules: `sealing_rules`; of a kind without any no golden record is told where something is left out.
        only_members: leaves out golden record, numbers and aliases.

    Raises:
        NotFoundError: there was no such entity, or the reader may not know of any record it ever had.
    """
    whole = entity_at(connection, entity_id, moment, only_members=only_members)
    if not hidden or not _ever_held(connection, entity_id, moment, hidden):
        return Seen(whole, sealed=False)
    members = [member for member in whole.members if member.registry not in hidden]
    if not members and not _ever_visible(connection, entity_id, moment, hidden):
        raise NotFoundError(f"There is no entity {entity_id}, or there was none then.")
    if len(members) == len(whole.members):
        return Seen(whole, sealed=True)
    golden = None
    if members and whole.golden is not None and whole.kind in rules:
        golden = _golden_of(connection, members, whole.golden, rules[whole.kind])
    said = _said(connection, members, moment) if whole.aliases else []
    schemes = rules[whole.kind].aliases if whole.kind in rules else {}
    known = {
        (scheme, value)
        for attributes in said
        for attribute, scheme in schemes.items()
        for value in _listed(attributes.get(attribute))
    }
    status = whole.status if members or whole.superseded_by is not None else RETIRED
    aliases = [known_by for known_by in whole.aliases if (known_by.scheme, known_by.value) in known]
    return Seen(
        replace(whole, members=members, golden=golden, aliases=aliases, status=status),
        sealed=True,
    )


def _golden_of(
    connection: Connection, members: Sequence[Member], kept: StandingGolden, rules: GoldenRules
) -> StandingGolden | None:
    """By the record versions, and from the day, of the golden record that stands."""
    then = read_moment(connection, kept.since)
    records = [member.record for member in members]
    refs = [
        (row.record_id, row.version)
        for row in connection.execute(_VERSIONS, then.bound(records=records))
        if row.version is not None
    ]
    sources = load_sources(connection, refs)
    contributions = [
        Contribution(
            record=source.record,
            version=source.version,
            registry=source.registry,
            observed_on=date.fromisoformat(source.observed_on) if source.observed_on else None,
            attributes={n: v for n, v in source.attributes.items() if n in rules.attributes},
            issues=dict(source.issues),
        )
        for _, source in sorted(sources.items())
        if source.status == "active"
    ]
    if not contributions:
        return None
    setting = Setting(as_of=date.fromisoformat(kept.as_of), trust=rules.trust)
    made = survive(rules.policy, contributions=contributions, setting=setting)
    return StandingGolden(
        values=orjson.loads(made.values_json()),
        provenance=orjson.loads(made.provenance_json()),
        policy=rules.policy.hash,
        hash=golden_hash(made),
        as_of=kept.as_of,
        since=kept.since,
    )


def _said(connection: Connection, members: Sequence[Member], moment: Moment) -> list[Mapping[str, object]]:
    records = [member.record for member in members]
    refs = [
        (row.record_id, row.version)
        for row in connection.execute(_VERSIONS, moment.bound(records=records))
        if row.version is not None
    ]
    return [source.attributes for source in load_sources(connection, refs).values()]


def _listed(said: object) -> list[str]:
    if isinstance(said, str):
        return [said]
    return [str(value) for value in said] if isinstance(said, list) else []


def _ever_held(connection: Connection, entity_id: str, moment: Moment, hidden: Collection[str]) -> bool:
    bound = moment.bound(given=entity_id, hidden=sorted(hidden))
    return connection.execute(_HELD_HIDDEN, bound).first() is not None


def _ever_visible(connection: Connection, entity_id: str, moment: Moment, hidden: Collection[str]) -> bool:
    bound = moment.bound(given=entity_id, hidden=sorted(hidden))
    return connection.execute(_HELD_VISIBLE, bound).first() is not None


_HELD = (
    select(membership.c.record_id)
    .join(record, record.c.record_id == membership.c.record_id)
    .join(entity, entity.c.entity_key == membership.c.entity_key)
    .where(entity.c.entity_id == bindparam("given", type_=Text), membership.c.from_event <= SEQ)
    .limit(1)
)
_HIDDEN = bindparam("hidden", type_=Text, expanding=True)
_HELD_HIDDEN = _HELD.where(record.c.registry.in_(_HIDDEN))
_HELD_VISIBLE = _HELD.where(record.c.registry.not_in(_HIDDEN))
_VERSIONS = select(record.c.record_id, version_at(record.c.record_id).label("version")).where(
    record.c.record_id.in_(bindparam("records", expanding=True))
)
