"""The golden records and aliases of single entities, by the same rules and to the same bytes as a run's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import func, insert, select, update

from golden_record.contribution import Contribution, Trust
from golden_record.provenance import golden_hash
from golden_record.rules import Setting
from golden_record.survivorship import survive
from mdm.identity.events import EventKind
from mdm.store.tables import alias, event, golden, record, record_version

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from golden_record.policy import Policy
    from golden_record.provenance import Golden
    from mdm.identity.events import Stamp
    from mdm.store.unit_of_work import UnitOfWork

_MODULUS = 1 << 64


@dataclass(frozen=True)
class GoldenRules:
    """What decides a golden record beside its contributions."""

    policy: Policy
    trust: Trust
    attributes: frozenset[str]
    """The canonical attributes; what a record said under a name that is none any more is left out."""
    aliases: Mapping[str, str]
    """Attribute to the number scheme under which its values find a person."""


def contributions_of(work: UnitOfWork, entity: str, rules: GoldenRules) -> list[Contribution]:
    """The current versions of the entity's active records."""
    rows = work.connection.execute(
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
            (record_version.c.record_id == record.c.record_id)
            & (record_version.c.version == record.c.version),
        )
        .where(record.c.record_id.in_(work.state.members.get(entity, ())), record.c.status == "active")
        .order_by(record.c.record_id)
    ).all()
    return [
        Contribution(
            record=record_id,
            version=version,
            registry=registry,
            observed_on=date.fromisoformat(observed) if observed else None,
            attributes={n: v for n, v in orjson.loads(attributes).items() if n in rules.attributes},
            issues=orjson.loads(issues) if issues else {},
        )
        for record_id, version, registry, observed, attributes, issues in rows
    ]


def last_as_of(work: UnitOfWork) -> date:
    """The day from which the last run counted ages; before the first run, the end of this year."""
    told = _last(work, EventKind.GOLDEN_COMPUTED)
    return date.fromisoformat(told["as_of"]) if told else date(date.today().year, 12, 31)  # noqa: DTZ011


def golden_of(work: UnitOfWork, entity: str, rules: GoldenRules, *, as_of: date) -> Golden | None:
    """None for an entity that has no active record."""
    contributions = contributions_of(work, entity, rules)
    if not contributions:
        return None
    return survive(rules.policy, contributions=contributions, setting=Setting(as_of=as_of, trust=rules.trust))


def renew_golden(work: UnitOfWork, entities: Collection[str], rules: GoldenRules, *, stamp: Stamp) -> None:
    """Computes the golden records and aliases of entities anew and keeps what differs, with an event each."""
    as_of = last_as_of(work)
    now = {entity: golden_of(work, entity, rules, as_of=as_of) for entity in entities}
    _keep_golden(work, now, rules, as_of=as_of, stamp=stamp)
    _keep_aliases(work, entities, rules, stamp=stamp)


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
        key: (golden_id, digest)
        for golden_id, key, digest in work.connection.execute(
            select(golden.c.golden_id, golden.c.entity_key, golden.c.hash).where(
                golden.c.entity_key.in_(keys), golden.c.until_event.is_(None)
            )
        )
    }
    begun = {
        key: (found, digest)
        for key, found in sorted(keys.items())
        if found is not None and (digest := golden_hash(found)) != standing.get(key, (0, ""))[1]
    }
    ended = sorted(golden_id for key, (golden_id, _) in standing.items() if key in begun or keys[key] is None)
    if not begun and not ended:
        return
    data = {
        "as_of": as_of.isoformat(),
        "changed": len(begun),
        "digest": begun_digest({key: digest for key, (_, digest) in begun.items()}),
        "ended": ended_digest(ended),
        "kind": rules.policy.kind,
        "policy": rules.policy.hash,
    }
    (seq,) = work.append([(EventKind.GOLDEN_COMPUTED, None, data)], stamp=stamp)
    if ended:
        work.connection.execute(update(golden).where(golden.c.golden_id.in_(ended)).values(until_event=seq))
    following = int(work.connection.scalar(select(func.coalesce(func.max(golden.c.golden_id), 0))) or 0)
    rows = [
        {
            "golden_id": following + place,
            "entity_key": key,
            "from_event": seq,
            "values": found.values_json().decode(),
            "provenance": found.provenance_json().decode(),
            "hash": digest,
            "policy": rules.policy.hash,
            "as_of": as_of.isoformat(),
        }
        for place, (key, (found, digest)) in enumerate(begun.items(), start=1)
    ]
    if rows:
        work.connection.execute(insert(golden), rows)


def begun_digest(hashes: Mapping[int, str]) -> str | None:
    """Over entity keys and hashes of the golden records that an event begins."""
    if not hashes:
        return None
    return hashlib.sha256(",".join(f"{key}:{hashes[key]}" for key in sorted(hashes)).encode()).hexdigest()


def ended_digest(golden_ids: Collection[int]) -> str | None:
    """Over the golden records that an event ends."""
    if not golden_ids:
        return None
    return hashlib.sha256(",".join(map(str, sorted(golden_ids))).encode()).hexdigest()


def _keep_aliases(work: UnitOfWork, entities: Collection[str], rules: GoldenRules, *, stamp: Stamp) -> None:
    keys = [work.key(entity) for entity in entities]
    now: set[tuple[int, str, str]] = set()
    for entity in entities:
        for contribution in contributions_of(work, entity, rules):
            for attribute, scheme in rules.aliases.items():
                said = contribution.attributes.get(attribute) or []
                values = [said] if isinstance(said, str) else said
                now |= {(work.key(entity), scheme, value) for value in values if value}
    standing = {
        (key, scheme, value): alias_id
        for alias_id, scheme, value, key in work.connection.execute(
            select(alias.c.alias_id, alias.c.scheme, alias.c.value, alias.c.entity_key).where(
                alias.c.entity_key.in_(keys), alias.c.until_event.is_(None)
            )
        )
    }
    begun, ended = sorted(now - standing.keys()), sorted(standing.keys() - now)
    if not begun and not ended:
        return
    before = (_last(work, EventKind.ALIASES_CHANGED) or {}).get("standing", {"count": 0, "sum": "0"})
    total = int(before["sum"]) + sum(map(_weight, begun)) - sum(map(_weight, ended))
    data = {
        "begun": len(begun),
        "ended": len(ended),
        "standing": {
            "count": before["count"] + len(begun) - len(ended),
            "sum": str(total % _MODULUS),
        },
    }
    (seq,) = work.append([(EventKind.ALIASES_CHANGED, None, data)], stamp=stamp)
    if ended:
        gone = [standing[found] for found in ended]
        work.connection.execute(update(alias).where(alias.c.alias_id.in_(gone)).values(until_event=seq))
    following = int(work.connection.scalar(select(func.coalesce(func.max(alias.c.alias_id), 0))) or 0)
    rows = [
        {
            "alias_id": following + place,
            "scheme": scheme,
            "value": value,
            "entity_key": key,
            "from_event": seq,
        }
        for place, (key, scheme, value) in enumerate(begun, start=1)
    ]
    if rows:
        work.connection.execute(insert(alias), rows)


def _weight(found: tuple[int, str, str]) -> int:
    """As `mdm.store.aliases.ALIAS_SUM` counts a row; DuckDB reads an MD5 as a little-endian number."""
    key, scheme, value = found
    digest = hashlib.md5(f"{scheme}:{value}:{key}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little")


def _last(work: UnitOfWork, kind: EventKind) -> dict[str, Any] | None:
    body = work.connection.scalar(
        select(event.c.body).where(event.c.kind == kind.value).order_by(event.c.seq.desc()).limit(1)
    )
    return None if body is None else dict(orjson.loads(body)["data"])
