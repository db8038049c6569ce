"""People and households as a viewer may know them, now or as of a moment, and where everything about them comes from."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from mdm.errors import InputError, NotFoundError
from mdm.identity.numbers import LIVE, NumberKind
from mdm.registries.attributes import SSN, load_attributes
from mdm.registries.declaration import load_registries
from mdm.store.engine import looking
from mdm.store.history import history
from mdm.store.lineage import value_lineages
from mdm.store.membership_lineage import membership_lineage
from mdm.store.moments import read_moment
from mdm.store.prov import provenance
from mdm.store.resolving import Name, parse_name, resolve
from mdm.store.sealing import entity_seen, sealing_rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from mdm.queries.viewer import Viewer
    from mdm.registries.attributes import RecordKind
    from mdm.settings import Settings
    from mdm.store.history import EntityAt, Happening, HeldNumber, KnownBy, Member
    from mdm.store.lineage import ValueLineage
    from mdm.store.membership_lineage import MembershipLineage
    from mdm.store.moments import Moment
    from mdm.store.resolving import Resolved


@dataclass(frozen=True)
class Person:
    """A person or household. Of a merged one it is the one that stands for it, and `superseded` lists the IDs on the way there.

    `version`, `event` (the last one that had happened) and `aliases` are for staff alone: they move with records that others
    may not know of.
    """

    id: str
    kind: str
    status: str
    superseded_by: str | None
    superseded: tuple[str, ...]
    version: int | None
    event: int | None
    golden: Mapping[str, Any] | None
    numbers: tuple[HeldNumber, ...]
    aliases: tuple[KnownBy, ...]
    records: tuple[Member, ...]

    @property
    def fields(self) -> list[str]:
        """What was read, by name: for the log of accesses."""
        read = sorted(self.golden or ())
        read += [name for name in ("numbers", "aliases", "records") if getattr(self, name)]
        return read or ["id"]


@dataclass(frozen=True)
class Lineage:
    id: str
    values: Sequence[ValueLineage]
    members: Sequence[MembershipLineage]


class People:
    """Safe to share between threads; each answer is of one moment."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.attributes = load_attributes(settings.attributes_file)
        self.registries = load_registries(settings.registries_folder, attributes=self.attributes)
        self.rules = sealing_rules(settings, self.registries, self.attributes)
        self.engine = engine

    def one(
        self, entity_id: str, *, kind: RecordKind, viewer: Viewer, as_of: str | int | None = None
    ) -> Person:
        """Raises NotFoundError where there is none of the kind that the viewer may know of."""
        with looking(self.engine) as connection:
            at = read_moment(connection, as_of)
            return self._person(connection, self._named(connection, entity_id, at), kind, viewer, at)

    def by_number(
        self,
        *,
        viewer: Viewer,
        registry: str | None = None,
        local_id: str | None = None,
        ssn: str | None = None,
        personal_id: str | None = None,
        entity_id: str | None = None,
    ) -> list[Person]:
        """The people of one name; several only where an office gave one number to several.

        A name of whom the viewer may not know is refused in the words of one that there is not.

        Raises:
            InputError: it is not exactly one name.
            NotFoundError: it names nobody of whom the viewer may know.
        """
        name = _name(
            registry=registry, local_id=local_id, ssn=ssn, personal_id=personal_id, entity_id=entity_id
        )
        found = []
        if name.kind != "record" or viewer.sees_record_of(name.within):
            with looking(self.engine) as connection, suppress(NotFoundError):
                at = read_moment(connection)
                for resolved in resolve(connection, name, at):
                    with suppress(NotFoundError):
                        found.append(self._person(connection, resolved, None, viewer, at, alias=name))
        if not found:
            raise NotFoundError("Nobody is known by this name.")
        return found

    def as_changed(self, entities: Sequence[str], *, event: int, viewer: Viewer) -> list[Person]:
        """Entities with their records as an event left them, merged ones as themselves; those of which the viewer may not know are left out."""
        with looking(self.engine) as connection:
            at = read_moment(connection, event)
            found = []
            for entity_id in entities:
                try:
                    seen = entity_seen(
                        connection, entity_id, at, hidden=viewer.hidden, rules=self.rules, only_members=True
                    ).entity
                except NotFoundError:
                    continue
                found.append(self._shown(seen, (), viewer))
        return found

    def ssn_of(self, entity_id: str, *, viewer: Viewer) -> str:
        """The social-security number by which a person is known. Raises NotFoundError where there is none."""
        with looking(self.engine) as connection:
            seen = self._seen(connection, entity_id, "person", viewer, read_moment(connection))
        for held in seen.numbers:
            if held.kind == NumberKind.SSN and held.state in LIVE:
                return held.number
        raise NotFoundError(f"Entity {entity_id} has no social-security number.")

    def history(
        self, entity_id: str, *, kind: RecordKind, viewer: Viewer, as_of: str | int | None = None
    ) -> list[Happening]:
        """Of a merged one its own events, until the merge."""
        with looking(self.engine) as connection:
            at = read_moment(connection, as_of)
            self._seen(connection, entity_id, kind, viewer, at)
            return history(
                connection, entity_id, at, attributes=self.attributes.of(kind), hidden=viewer.hidden
            )

    def lineage(
        self,
        entity_id: str,
        *,
        kind: RecordKind,
        viewer: Viewer,
        field: str | None = None,
        as_of: str | int | None = None,
    ) -> Lineage:
        """Where golden values come from; without `field` also why each record belongs to it."""
        with looking(self.engine) as connection:
            at = read_moment(connection, as_of)
            resolved = self._named(connection, entity_id, at)
            seen = self._seen(connection, resolved.entity_id, kind, viewer, at)
            if seen.golden is None and field is not None:
                raise NotFoundError(f"Entity {resolved.entity_id} has no golden record, or had none then.")
            values = (
                value_lineages(
                    connection,
                    resolved.entity_id,
                    at,
                    registries=self.registries,
                    hidden=viewer.hidden,
                    only=field,
                    golden=seen.golden,
                )
                if seen.golden is not None
                else []
            )
            members = [
                membership_lineage(connection, member.record, at, hidden=viewer.hidden)
                for member in (seen.members if field is None else [])
            ]
            return Lineage(resolved.entity_id, values, members)

    def prov(
        self, entity_id: str, *, kind: RecordKind, viewer: Viewer, as_of: str | int | None = None
    ) -> dict[str, Any]:
        """W3C PROV-JSON without personal data."""
        with looking(self.engine) as connection:
            at = read_moment(connection, as_of)
            self._seen(connection, entity_id, kind, viewer, at)
            document = provenance(connection, entity_id, at, hidden=viewer.hidden)
        text = document.serialize(format="json")
        assert text is not None, "no stream was given"
        told: dict[str, Any] = orjson.loads(text)
        return told

    def _named(self, connection: Connection, entity_id: str, at: Moment) -> Resolved:
        (found,) = resolve(connection, Name("entity", entity_id.lower()), at)
        return found

    def _seen(
        self, connection: Connection, entity_id: str, kind: str | None, viewer: Viewer, at: Moment
    ) -> EntityAt:
        seen = entity_seen(connection, entity_id, at, hidden=viewer.hidden, rules=self.rules).entity
        if kind not in {None, seen.kind}:
            raise NotFoundError(f"There is no entity {entity_id}, or there was none then.")
        return seen

    def _person(
        self,
        connection: Connection,
        resolved: Resolved,
        kind: str | None,
        viewer: Viewer,
        at: Moment,
        *,
        alias: Name | None = None,
    ) -> Person:
        way = [link.name for link in resolved.chain if link.kind == "entity"]
        for former in way[:-1]:
            self._seen(connection, former, kind, viewer, at)
        seen = self._seen(connection, resolved.entity_id, kind, viewer, at)
        if alias is not None and alias.kind == "alias" and not _is_known_by(seen, alias):
            raise NotFoundError("Nobody is known by this number, or nobody was then.")
        return self._shown(seen, tuple(way[:-1]), viewer)

    def _shown(self, seen: EntityAt, superseded: tuple[str, ...], viewer: Viewer) -> Person:
        golden = None if seen.golden is None else seen.golden.values
        if viewer.fields is not None and golden is not None:
            golden = {name: value for name, value in golden.items() if name in viewer.fields}
        numbers = tuple(seen.numbers)
        if not viewer.is_staff:
            numbers = tuple(
                held
                for held in numbers
                if viewer.may_read(SSN) and held.kind == NumberKind.SSN and held.state in LIVE
            )
        return Person(
            id=seen.entity_id,
            kind=seen.kind,
            status=seen.status,
            superseded_by=seen.superseded_by,
            superseded=superseded,
            version=seen.version if viewer.is_staff else None,
            event=seen.moment.seq if viewer.is_staff else None,
            golden=golden,
            numbers=numbers,
            aliases=tuple(seen.aliases) if viewer.is_staff else (),
            records=tuple(member for member in seen.members if viewer.sees_record_of(member.registry)),
        )


def _is_known_by(seen: EntityAt, name: Name) -> bool:
    return any((known.scheme, known.value) == (name.within, name.value) for known in seen.aliases)


def _name(
    *,
    registry: str | None,
    local_id: str | None,
    ssn: str | None,
    personal_id: str | None,
    entity_id: str | None,
) -> Name:
    given = [value for value in (local_id or registry, ssn, personal_id, entity_id) if value is not None]
    if len(given) != 1 or (registry is None) != (local_id is None):
        raise InputError(
            "give one name: registry with local_id, or ssn, or personal_id, or id",
            hint="Ask for one person at a time; xref:batch takes many.",
        )
    if registry is not None and local_id is not None:
        return Name("record", local_id, registry)
    if personal_id is not None:
        return Name("alias", personal_id, "personal_id")
    if entity_id is not None:
        return Name("entity", entity_id.lower())
    named = parse_name(ssn or "")
    if named.kind != "number":
        raise InputError(
            "this is no social-security number", hint="It has 12 digits, of which the first is 1 to 9."
        )
    return named
