"""The golden records and aliases of single entities, by the same rules and to the same bytes as a run's.

`rules` are by kind of entity.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import bindparam, insert, select, update

from golden_record.contribution import Contribution, Trust
from golden_record.policy import load_policy
from golden_record.provenance import golden_hash
from golden_record.rules import Setting
from golden_record.survivorship import survive
from mdm.identity.events import EventKind, canonical_json
from mdm.identity.tally import tally
from mdm.store.aliases import ALIAS_TALLY
from mdm.store.rosters import HOUSEHOLD, rosters_of
from mdm.store.tables import alias, event, golden, record, record_version

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Update

    from golden_record.policy import Policy
    from golden_record.provenance import Golden
    from mdm.identity.events import Stamp
    from mdm.registries.attributes import Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.unit_of_work import UnitOfWork

GOLDEN_TALLY = ("golden_id", "entity_key", "hash", "policy", "as_of")
"""What an event's tally of begun or ended golden records covers; the hash is of values and provenance."""


_CONTRIBUTIONS = (
    select(
        record.c.record_id,
        record.c.version,
        record.c.registry,
        record_version.c.observed_on,
        record_version.c.attributes,
        record_version.c.issues,
    )
    .join(
        record_version,
        (record_version.c.record_id == record.c.record_id) & (record_version.c.version == record.c.version),
    )
    .where(
        record.c.record_id.in_(bindparam("records", expanding=True)),
        record.c.status == "active",
        record.c.registry.not_in(bindparam("hidden", expanding=True)),
    )
    .order_by(record.c.record_id)
)
_GOLDENS = select(*(golden.c[name] for name in GOLDEN_TALLY)).where(
    golden.c.entity_key.in_(bindparam("keys", expanding=True)), golden.c.until_event.is_(None)
)
_ALIASES = select(*(alias.c[name] for name in ALIAS_TALLY)).where(
    alias.c.entity_key.in_(bindparam("keys", expanding=True)), alias.c.until_event.is_(None)
)
_LAST_OF_KIND = (
    select(event.c.body).where(event.c.kind == bindparam("kind")).order_by(event.c.seq.desc()).limit(1)
)
_ADD_GOLDEN, _ADD_ALIAS = insert(golden), insert(alias)
_END_GOLDEN = update(golden).where(golden.c.golden_id == bindparam("given"))
_END_ALIAS = update(alias).where(alias.c.alias_id == bindparam("given"))


@dataclass(frozen=True)
class GoldenRules:
    """What decides a golden record beside its contributions."""

    policy: Policy
    trust: Trust
    attributes: frozenset[str]
    """The canonical attributes; what a record said under a name that is none any more is left out."""
    lists: frozenset[str]
    """Those of them that hold several values."""
    aliases: Mapping[str, str]
    """Attribute to the number scheme under which its values find a person."""

    @classmethod
    def declared(
        cls, policy: Policy, registries: Mapping[str, RegistryDeclaration], attributes: Attributes
    ) -> GoldenRules:
        """Those of the policy's kind."""
        trust = {
            (code, attribute): value
            for code, registry in registries.items()
            for attribute, value in registry.trust.items()
        }
        known = attributes.golden("household" if policy.kind == HOUSEHOLD else "person")
        schemes = {name: a.alias for name, a in known.items() if a.alias is not None}
        lists = frozenset(name for name, a in known.items() if a.many)
        return cls(policy, Trust(trust), frozenset(known), lists, schemes)

    @property
    def hash(self) -> str:
        """Over everything declared that decides golden records."""
        trust = sorted([*key, value] for key, value in self.trust.declared.items())
        named = [sorted(self.attributes), sorted(self.lists)]
        return hashlib.sha256(canonical_json([self.policy.hash, trust, *named]).encode()).hexdigest()


def load_rules(
    settings: Settings, registries: Mapping[str, RegistryDeclaration], attributes: Attributes
) -> dict[str, GoldenRules]:
    """By kind; none of households where they are not linked."""
    files = [
        settings.person_policy_file,
        *([settings.household_policy_file] if settings.links_households else []),
    ]
    policies = [load_policy(file) for file in files]
    return {policy.kind: GoldenRules.declared(policy, registries, attributes) for policy in policies}


def contributions_of(
    work: UnitOfWork,
    entities: Collection[str],
    rules: Mapping[str, GoldenRules],
    *,
    hidden: Collection[str] = (),
) -> dict[str, list[Contribution]]:
    """By entity: the current versions of its active records, but those of `hidden` registries."""
    kind = {entity: work.state.entities[entity].kind for entity in entities}
    listed = {
        r for entity in entities if kind[entity] == HOUSEHOLD for r in work.state.members.get(entity, ())
    }
    made = rosters_of(work, listed) if listed else {}
    found = {}
    for entity in entities:
        members, known = work.state.members.get(entity, ()), rules[kind[entity]].attributes
        rows = work.connection.execute(_CONTRIBUTIONS, {"records": list(members), "hidden": list(hidden)})
        found[entity] = [
            Contribution(
                record=record_id,
                version=version,
                registry=registry,
                observed_on=date.fromisoformat(observed) if observed else None,
                attributes={n: v for n, v in orjson.loads(attributes).items() if n in known}
                | made.get(record_id, {}),
                issues=orjson.loads(issues) if issues else {},
            )
            for record_id, version, registry, observed, attributes, issues in rows
        ]
    return found


def last_as_of(work: UnitOfWork) -> date:
    """The day from which the last run counted ages; before the first run, the end of this year."""
    told = _last(work, EventKind.GOLDEN_COMPUTED)
    return date.fromisoformat(told["as_of"]) if told else date(date.today().year, 12, 31)  # noqa: DTZ011


def goldens_of(
    work: UnitOfWork,
    contributions: Mapping[str, list[Contribution]],
    rules: Mapping[str, GoldenRules],
    *,
    as_of: date,
) -> dict[str, Golden | None]:
    """None for an entity to which nothing contributes."""
    found: dict[str, Golden | None] = {}
    for entity, its in contributions.items():
        of_kind = rules[work.state.entities[entity].kind]
        setting = Setting(as_of=as_of, trust=of_kind.trust)
        found[entity] = survive(of_kind.policy, contributions=its, setting=setting) if its else None
    return found


def renew_golden(
    work: UnitOfWork, entities: Collection[str], rules: Mapping[str, GoldenRules], *, stamp: Stamp
) -> None:
    """Computes the golden records and aliases of entities anew and keeps what differs, with an event each."""
    as_of = last_as_of(work)
    for kind, its in rules.items():
        of_kind = [entity for entity in entities if work.state.entities[entity].kind == kind]
        if of_kind:
            contributions = contributions_of(work, of_kind, rules)
            now = goldens_of(work, contributions, rules, as_of=as_of)
            _keep_golden(work, now, its, as_of=as_of, stamp=stamp)
            _keep_aliases(work, contributions, its, stamp=stamp)


def _keep_golden(
    work: UnitOfWork,
    now: Mapping[str, Golden | None],
    rules: GoldenRules,
    *,
    as_of: date,
    stamp: Stamp,
) -> None:
    keys = {work.key(entity): found for entity, found in now.items()}
    standing = {
        row["entity_key"]: row for row in work.connection.execute(_GOLDENS, {"keys": list(keys)}).mappings()
    }
    begun: list[dict[str, Any]] = []
    for key, found in sorted(keys.items()):
        if found is not None and (key not in standing or golden_hash(found) != standing[key]["hash"]):
            row = {
                "golden_id": work.following("golden"),
                "entity_key": key,
                "values": found.values_json().decode(),
                "provenance": found.provenance_json().decode(),
                "hash": golden_hash(found),
                "policy": rules.policy.hash,
                "as_of": as_of.isoformat(),
            }
            begun.append(row)
    renewed = {row["entity_key"] for row in begun}
    ended = [row for key, row in standing.items() if key in renewed or keys[key] is None]
    if not begun and not ended:
        return
    data = {
        "as_of": as_of.isoformat(),
        "begun": tally([row[name] for name in GOLDEN_TALLY] for row in begun),
        "ended": tally([row[name] for name in GOLDEN_TALLY] for row in ended),
        "kind": rules.policy.kind,
        "rules": rules.hash,
    }
    (seq,) = work.append([(EventKind.GOLDEN_COMPUTED, None, data)], stamp=stamp)
    _end(work, _END_GOLDEN, [row["golden_id"] for row in ended], seq)
    if begun:
        work.connection.execute(_ADD_GOLDEN, [{**row, "from_event": seq} for row in begun])


def _keep_aliases(
    work: UnitOfWork,
    contributions: Mapping[str, list[Contribution]],
    rules: GoldenRules,
    *,
    stamp: Stamp,
) -> None:
    now: set[tuple[int, str, str]] = set()
    for entity, its in contributions.items():
        for contribution in its:
            for attribute, scheme in rules.aliases.items():
                said = contribution.attributes.get(attribute) or []
                values = [said] if isinstance(said, str) else said
                now |= {(work.key(entity), scheme, value) for value in values if value}
    standing = {
        (row["entity_key"], row["scheme"], row["value"]): row
        for row in work.connection.execute(
            _ALIASES, {"keys": [work.key(entity) for entity in contributions]}
        ).mappings()
    }
    begun = [
        {"alias_id": work.following("alias"), "entity_key": key, "scheme": scheme, "value": value}
        for key, scheme, value in sorted(now - standing.keys())
    ]
    ended = [row for found, row in standing.items() if found not in now]
    if not begun and not ended:
        return
    data = {
        "begun": tally([row[name] for name in ALIAS_TALLY] for row in begun),
        "ended": tally([row[name] for name in ALIAS_TALLY] for row in ended),
    }
    (seq,) = work.append([(EventKind.ALIASES_CHANGED, None, data)], stamp=stamp)
    _end(work, _END_ALIAS, [row["alias_id"] for row in ended], seq)
    if begun:
        work.connection.execute(_ADD_ALIAS, [{**row, "from_event": seq} for row in begun])


def _end(work: UnitOfWork, statement: Update, rows: Collection[int], seq: int) -> None:
    if rows:
        work.connection.execute(statement, [{"given": row, "until_event": seq} for row in sorted(rows)])


def _last(work: UnitOfWork, kind: EventKind) -> dict[str, Any] | None:
    body = work.connection.scalar(_LAST_OF_KIND, {"kind": kind.value})
    return None if body is None else dict(orjson.loads(body)["data"])
