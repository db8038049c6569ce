"""The provenance of an entity as a W3C PROV document (PROV-DM; written as PROV-JSON).

| PROV | is |
|---|---|
| entity | the person or household (`uuid:ID`) and each of its versions, each golden record, each record version it used, each delivery, the policy (a plan) |
| activity | each event that made a version or a golden record or ended one, each landing of a delivery, each run |
| agent | registries (organisations), people who acted or approved, this software and what it ran |

A golden record was derived from the record versions whose values it took and from the version that says which records
belong together; its computation used the versions of all active members. `store:` is the store's own UUID.
"""

from __future__ import annotations

from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from prov.model import PROV, Namespace, ProvDocument
from sqlalchemy import BigInteger, bindparam, select, union_all

from golden_record.provenance import Golden
from mdm.identity.events import EventKind
from mdm.store.history import entity_at
from mdm.store.moments import SEQ, Moment, read_moment
from mdm.store.record_sources import RecordSource, VersionRef, load_sources
from mdm.store.references import event_bodies
from mdm.store.resolving import numbers_of, standing
from mdm.store.statements import META
from mdm.store.tables import entity, entity_past, golden, run

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from prov.identifier import QualifiedName
    from sqlalchemy import Connection, RowMapping

UUID = Namespace("uuid", "urn:uuid:")
MDM = Namespace("mdm", "urn:x-asxh-mdm:")
_OTHER = {
    EventKind.ENTITY_MERGED: "merged",
    EventKind.ENTITY_UNMERGED: "restored",
    EventKind.ENTITY_SPLIT: "into",
}
"""Events that concern two entities, and where they name the other one."""


def provenance(
    connection: Connection,
    entity_id: str,
    moment: Moment | None = None,
    *,
    with_values: bool = False,
    hidden: Collection[str] = (),
) -> ProvDocument:
    """How an entity came to be what it was at the moment. `serialize(format="json")` gives PROV-JSON.

    Args:
        connection: to the store.
        entity_id: the entity.
        moment: as of when; None for now.
        with_values: also personal data: golden and canonical values, numbers, local IDs, reasons in people's words.
        hidden: registries whose records are left out.

    Raises:
        IdentityError: there was no such entity at the moment.
    """
    at = moment or read_moment(connection)
    stood = standing(connection, entity_id, at)
    key = stood["entity_key"]
    document = _Document(_store_id(connection), entity_id, stood["kind"], with_values=with_values)
    versions = connection.execute(_VERSIONS, at.bound(key=key)).all()
    goldens = connection.execute(_GOLDENS, at.bound(key=key)).all()
    events = event_bodies(
        connection,
        {row.since for row in versions}
        | {row.from_event for row in goldens}
        | {row.until_event for row in goldens if _ended(row, at)},
    )
    used = {row.from_event: _used(connection, entity_id, row.from_event, hidden) for row in goldens}
    sources = load_sources(connection, {ref for refs in used.values() for ref in refs})
    runs = {body["run"] for body in events.values() if body["run"] is not None}
    for found in connection.execute(_RUNS, {"runs": sorted(runs)}):
        document.run(found.run_id, found.started_at, found.finished_at)
    for seq in sorted(events):
        document.event(events[seq])
    document.record_versions(list(sources.values()))
    document.versions(versions, numbers_of(connection, key, at), events)
    for row in goldens:
        document.golden(row, used[row.from_event], sources, ended=_ended(row, at))
        formed = max(found.version for found in versions if found.since <= row.from_event)
        document.golden_of(row.from_event, formed)
    document.revisions([row.from_event for row in goldens])
    return document.prov


def _ended(row: Any, moment: Moment) -> bool:
    return row.until_event is not None and row.until_event <= moment.seq


def _used(connection: Connection, entity_id: str, seq: int, hidden: Collection[str]) -> list[VersionRef]:
    """The versions of the active members as the golden record of that event was computed."""
    then = entity_at(connection, entity_id, read_moment(connection, seq), hidden=hidden)
    return [(member.record, member.version) for member in then.members if member.status == "active"]


def _store_id(connection: Connection) -> str:
    return str(connection.scalar(META, {"given": "store_id"}))


class _Document:
    """Adds what is said once only, under the store's names."""

    def __init__(self, store_id: str, entity_id: str, kind: str, *, with_values: bool) -> None:
        self.prov = ProvDocument()
        self._store = Namespace("store", f"urn:uuid:{store_id}#")
        for namespace in (UUID, MDM, self._store):
            self.prov.add_namespace(namespace)
        self._known: set[QualifiedName] = set()
        self._with_values = with_values
        self._id, self._kind = entity_id, kind.capitalize()
        self._software = self._name(f"software-{version('asxh-mdm')}")
        self.prov.agent(
            self._software,
            {"prov:type": PROV["SoftwareAgent"], "prov:label": f"asxh-mdm {version('asxh-mdm')}"},
        )

    # --- activities ----------------------------------------------------------------------------------------------

    def run(self, run_id: str, started_at: str, finished_at: str | None) -> None:
        self.prov.activity(UUID[run_id], started_at, finished_at, {"prov:type": MDM["Run"]})
        self.prov.association(UUID[run_id], self._software)

    def event(self, body: Mapping[str, Any]) -> None:
        activity = self._event(body["seq"])
        told: list[tuple[Any, Any]] = [(PROV["type"], MDM[body["kind"]])]
        if body["run"] is not None:
            told.append((MDM["run"], UUID[body["run"]]))
        if self._with_values and body["reason"]:
            told.append((MDM["reason"], body["reason"]))
        self.prov.activity(activity, body["at"], body["at"], told)
        policy = body["data"].get("policy") if body["kind"] == EventKind.GOLDEN_COMPUTED else None
        actor = self._actor(body["actor"], is_person=body["run"] is None)
        self.prov.association(activity, actor, self._policy(policy) if policy else None)
        if (approver := body["data"].get("approved_by")) is not None:
            agent = self._actor(approver, is_person=True)
            self.prov.association(activity, agent, other_attributes={"prov:role": MDM["approver"]})

    # --- entities ------------------------------------------------------------------------------------------------

    def record_versions(self, sources: Sequence[RecordSource]) -> None:
        """With their deliveries, landings and registries; a version that the next one replaced is invalidated by its landing."""
        ordered = sorted(sources, key=lambda source: (source.record, source.version))
        for source in ordered:
            self._record_version(source)
        for before, after in pairwise(ordered):
            if before.record != after.record:
                continue
            landing = self._name(f"landing-{after.delivery.batch}")
            self.prov.revision(self._version(after), self._version(before), landing)
            if after.version == before.version + 1:
                self.prov.invalidation(self._version(before), landing, after.delivery.landed_at)

    def _record_version(self, source: RecordSource) -> None:
        name, delivery = self._version(source), self._name(f"delivery-{source.delivery.batch}")
        landing = self._name(f"landing-{source.delivery.batch}")
        registry = self._name(f"registry-{source.registry}")
        if self._is_new(registry):
            self.prov.agent(registry, {"prov:type": PROV["Organization"], "prov:label": source.registry})
        if self._is_new(delivery):
            self._landed(delivery, landing, registry, source)
        told: list[tuple[Any, Any]] = [
            (PROV["type"], MDM["RecordVersion"]),
            (MDM["version"], source.version),
            (MDM["row"], source.row_number),
            (MDM["status"], source.status),
            (MDM["standardiser"], source.standardiser),
        ]
        if self._with_values:
            told.append((MDM["local_id"], source.local_id))
            told += _values(source.attributes)
        self.prov.entity(name, told)
        self.prov.generation(name, landing, source.delivery.landed_at)
        self.prov.primary_source(name, delivery, landing)
        self.prov.attribution(name, registry)

    def versions(
        self,
        versions: Sequence[Any],
        numbers: Sequence[RowMapping],
        events: Mapping[int, Mapping[str, Any]],
    ) -> None:
        """The person or household, and each version with the event that made it and the one that ended it."""
        whole = UUID[self._id]
        told: list[tuple[Any, Any]] = [(PROV["type"], MDM[self._kind])]
        if self._with_values:
            told += [(MDM[held["kind"]], held["number"]) for held in numbers]
        self.prov.entity(whole, told)
        self._is_new(whole)
        for row in versions:
            name = self._entity_version(row.version)
            kept = [
                (PROV["type"], MDM[f"{self._kind}Version"]),
                (MDM["version"], row.version),
                (MDM["status"], row.status),
            ]
            self.prov.entity(name, kept)
            self.prov.specialization(name, whole)
            self.prov.generation(name, self._event(row.since), events[row.since]["at"])
            self._derived_from_other(name, events[row.since])
        for before, after in pairwise(versions):
            former, latter = self._entity_version(before.version), self._entity_version(after.version)
            self.prov.invalidation(former, self._event(after.since), events[after.since]["at"])
            self.prov.revision(latter, former, self._event(after.since))

    def golden(
        self,
        row: Any,
        used: Sequence[VersionRef],
        sources: Mapping[VersionRef, RecordSource],
        *,
        ended: bool,
    ) -> None:
        """With what its computation used, and of that what its values were taken from."""
        name, activity = self._golden(row.from_event), self._event(row.from_event)
        kept = Golden.from_json(values=row.values, provenance=row.provenance)
        told: list[tuple[Any, Any]] = [
            (PROV["type"], MDM["GoldenRecord"]),
            (MDM["sha256"], row.hash),
            (MDM["as_of"], row.as_of),
        ]
        if self._with_values:
            told += _values(kept.values)
        self.prov.entity(name, told)
        self.prov.generation(name, activity)
        self.prov.attribution(name, self._software)
        for ref in used:
            if ref in sources:
                self.prov.usage(activity, self._version(sources[ref]))
        for ref, attributes in sorted(_taken(kept).items()):
            if ref in sources:
                said = [(MDM["attribute"], attribute) for attribute in attributes]
                self.prov.derivation(name, self._version(sources[ref]), activity, other_attributes=said)
        if ended:
            self.prov.invalidation(name, self._event(row.until_event))

    def golden_of(self, begun: int, version: int) -> None:
        """The version of the entity as the golden record began."""
        formed, activity = self._entity_version(version), self._event(begun)
        self.prov.usage(activity, formed)
        self.prov.derivation(self._golden(begun), formed, activity)

    def revisions(self, begun: Sequence[int]) -> None:
        for before, after in pairwise(begun):
            self.prov.revision(self._golden(after), self._golden(before), self._event(after))

    # --- parts ---------------------------------------------------------------------------------------------------

    def _landed(
        self, delivery: QualifiedName, landing: QualifiedName, registry: QualifiedName, source: RecordSource
    ) -> None:
        told: list[tuple[Any, Any]] = [
            (PROV["type"], MDM["Delivery"]),
            (MDM["file"], source.delivery.file),
            (MDM["sha256"], source.delivery.sha256),
        ]
        if source.delivery.delivered_on is not None:
            told.append((MDM["delivered_on"], source.delivery.delivered_on))
        self.prov.entity(delivery, told)
        self.prov.attribution(delivery, registry)
        at = source.delivery.landed_at
        self.prov.activity(landing, at, at, {"prov:type": MDM["Landing"]})
        self.prov.usage(landing, delivery)
        self.prov.association(landing, self._software)

    def _derived_from_other(self, name: QualifiedName, body: Mapping[str, Any]) -> None:
        """Who receives records in a merge, unmerge or split is derived from the entity on the other side."""
        where = _OTHER.get(EventKind(body["kind"]))
        if where is None:
            return
        named, beside = body["entity"], body["data"][where]
        other = named if beside == self._id else beside
        if self._is_new(UUID[other]):
            self.prov.entity(UUID[other], {"prov:type": MDM[self._kind]})
        self.prov.usage(self._event(body["seq"]), UUID[other])
        receiver = named if body["kind"] == EventKind.ENTITY_MERGED else beside
        if receiver == self._id:
            self.prov.derivation(name, UUID[other], self._event(body["seq"]))

    def _actor(self, name: str, *, is_person: bool) -> QualifiedName:
        agent = self._name(f"{'person' if is_person else 'program'}-{quote(name, safe='')}")
        if self._is_new(agent):
            kind = PROV["Person"] if is_person else PROV["SoftwareAgent"]
            self.prov.agent(agent, {"prov:type": kind, "prov:label": name})
        return agent

    def _policy(self, digest: str) -> QualifiedName:
        name = self._name(f"policy-{digest}")
        if self._is_new(name):
            self.prov.entity(name, {"prov:type": PROV["Plan"], MDM["sha256"]: digest})
        return name

    def _name(self, local: str) -> QualifiedName:
        return self._store[local]

    def _event(self, seq: int) -> QualifiedName:
        return self._name(f"event-{seq}")

    def _golden(self, seq: int) -> QualifiedName:
        return self._name(f"golden-{self._id}-{seq}")

    def _entity_version(self, number: int) -> QualifiedName:
        return self._name(f"entity-{self._id}-v{number}")

    def _version(self, source: RecordSource) -> QualifiedName:
        return self._name(f"record-{source.record}-v{source.version}")

    def _is_new(self, name: QualifiedName) -> bool:
        new = name not in self._known
        self._known.add(name)
        return new


def _values(given: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """A list says each of its values."""
    return [
        (MDM[name], text)
        for name, said in sorted(given.items())
        for text in (said if isinstance(said, list) else [said])
    ]


def _taken(kept: Golden) -> dict[VersionRef, list[str]]:
    """Record version to the attributes and groups of which it gave a value."""
    taken: dict[VersionRef, list[str]] = {}
    for subject, decision in kept.provenance.items():
        for source in decision.chosen:
            if source.record is not None and source.version is not None:
                taken.setdefault((source.record, source.version), []).append(subject)
    return taken


_KEY = bindparam("key", type_=BigInteger)
_VERSIONS = union_all(
    select(entity_past.c.version, entity_past.c.status, entity_past.c.from_event.label("since")).where(
        entity_past.c.entity_key == _KEY, entity_past.c.from_event <= SEQ
    ),
    select(entity.c.version, entity.c.status, entity.c.changed_event).where(
        entity.c.entity_key == _KEY, entity.c.changed_event <= SEQ
    ),
).order_by("version")
_GOLDENS = (
    select(
        golden.c.from_event,
        golden.c.until_event,
        golden.c["values"].label("values"),
        golden.c.provenance,
        golden.c.hash,
        golden.c.as_of,
    )
    .where(golden.c.entity_key == _KEY, golden.c.from_event <= SEQ)
    .order_by(golden.c.from_event)
)
_RUNS = (
    select(run.c.run_id, run.c.started_at, run.c.finished_at)
    .where(run.c.run_id.in_(bindparam("runs", expanding=True)))
    .order_by(run.c.run_id)
)
