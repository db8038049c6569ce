"""Proposed clusters against existing entities: what changes, and what a person must decide.

Matching proposes, identity decides. A proposed cluster takes the existing entity that (1) holds an active SSN, (2) has
most of its records, (3) is oldest; ties break on the entity's key. Whatever would take records from an entity that holds
an SSN, or join two such entities, is a question for a steward and changes nothing by itself.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Ids = NDArray[np.int64]

NO_ENTITY = -1
_LONGEST_LIST = 1000
"""Letters of a subject's list of records: subjects are indexed, and a row of PostgreSQL's index has at most 2,700 bytes."""


@dataclass(frozen=True)
class Proposal:
    """One row per active record: its proposed cluster, and its present entity or NO_ENTITY."""

    record: Ids
    cluster: Ids
    entity: Ids


@dataclass(frozen=True)
class Merge:
    survivor: int
    merged: int


@dataclass(frozen=True)
class Move:
    """Records leave an entity: for another one, or (`target` None) for a new one, in whose group they are listed."""

    source: int
    target: int | None
    records: tuple[int, ...]


@dataclass(frozen=True)
class Question:
    """A change that the rules do not let happen by itself. `subject` names it the same way every time it is proposed."""

    reason: str
    subject: str
    detail: dict[str, Any]


@dataclass
class Reconciliation:
    """`formed_group[i]` says into which new entity (0, 1, ...) `formed_record[i]` goes; moves come before."""

    formed_record: Ids
    formed_group: Ids
    linked_record: Ids
    linked_entity: Ids
    merges: list[Merge] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (len(self.formed_record) or len(self.linked_record) or self.merges or self.moves)


@dataclass(frozen=True)
class EntityFacts:
    """What reconcile needs to know of the entities that the proposal touches."""

    formed_event: dict[int, int]
    protected: frozenset[int]
    """Entities that hold an SSN."""


def tangled_entities(proposal: Proposal) -> Ids:
    """Existing entities that the proposal would merge, split or move records between, ascending."""
    pair = _pairs(proposal)
    found: Ids = np.unique(pair[np.isin(pair[:, 0], _tangled_clusters(pair)), 1])
    return found


def _pairs(proposal: Proposal) -> Ids:
    """Distinct pairs of cluster and existing entity."""
    known = proposal.entity != NO_ENTITY
    if not known.any():
        return np.empty((0, 2), np.int64)
    return np.unique(np.stack([proposal.cluster[known], proposal.entity[known]], axis=1), axis=0)


def _tangled_clusters(pair: Ids) -> Ids:
    clusters, entities_of_cluster = np.unique(pair[:, 0], return_counts=True)
    entities, clusters_of_entity = np.unique(pair[:, 1], return_counts=True)
    spread = entities[clusters_of_entity > 1]
    return np.union1d(clusters[entities_of_cluster > 1], pair[np.isin(pair[:, 1], spread), 0])


def reconcile(proposal: Proposal, facts: EntityFacts) -> Reconciliation:
    """`facts` are of the entities that `tangled_entities` names."""
    record, cluster, entity = proposal.record, proposal.cluster, proposal.entity
    known = entity != NO_ENTITY
    pair = _pairs(proposal)
    clusters, tangled_cluster = np.unique(pair[:, 0]), _tangled_clusters(pair)
    has_entity = np.isin(cluster, clusters)
    tangled = np.isin(cluster, tangled_cluster)

    joining = ~known & has_entity & ~tangled
    owner = dict(pair[~np.isin(pair[:, 0], tangled_cluster)].tolist())
    result = Reconciliation(
        formed_record=record[~has_entity],
        formed_group=np.unique(cluster[~has_entity], return_inverse=True)[1].astype(np.int64),
        linked_record=record[joining],
        linked_entity=np.array([owner[c] for c in cluster[joining].tolist()], dtype=np.int64),
    )
    if len(tangled_cluster):
        _untangle(record[tangled], cluster[tangled], entity[tangled], facts, result)
    return result


def _untangle(record: Ids, cluster: Ids, entity: Ids, facts: EntityFacts, result: Reconciliation) -> None:
    """Clusters and entities that overlap many to many, in the order of the clusters' names."""
    members: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for r, c, e in zip(record.tolist(), cluster.tolist(), entity.tolist(), strict=True):
        members[c][e].append(r)
    owners = _owners(members, facts)
    linked_record, linked_entity = [], []
    for c in sorted(members):
        owner = owners.get(c)
        for e in sorted(members[c]):
            records = sorted(members[c][e])
            if e == NO_ENTITY:
                if owner is not None:
                    linked_record += records
                    linked_entity += [owner] * len(records)
            elif e != owner:
                _part(e, owner, records, wholly=_wholly_in(e, c, members), facts=facts, result=result)
    result.linked_record = np.concatenate([result.linked_record, np.array(linked_record, dtype=np.int64)])
    result.linked_entity = np.concatenate([result.linked_entity, np.array(linked_entity, dtype=np.int64)])
    _form_ownerless(members, owners, facts, result)


def _owners(members: dict[int, dict[int, list[int]]], facts: EntityFacts) -> dict[int, int]:
    """Each cluster's entity; an entity wanted by several clusters stays where most of its records are."""
    wishes = [
        (e not in facts.protected, -len(records), facts.formed_event[e], e, min(records), c)
        for c, by_entity in members.items()
        for e, records in by_entity.items()
        if e != NO_ENTITY
    ]
    owners: dict[int, int] = {}
    taken: set[int] = set()
    for *_, e, _smallest, c in sorted(wishes):
        if c not in owners and e not in taken:
            owners[c] = e
            taken.add(e)
    return owners


def _wholly_in(entity: int, cluster: int, members: dict[int, dict[int, list[int]]]) -> bool:
    return all(c == cluster for c, by_entity in members.items() if entity in by_entity)


def _part(
    entity: int,
    owner: int | None,
    records: list[int],
    *,
    wholly: bool,
    facts: EntityFacts,
    result: Reconciliation,
) -> None:
    """An entity whose records are proposed elsewhere: merge it, or move the records, or ask."""
    if wholly and owner is not None:
        if entity in facts.protected and owner in facts.protected:
            result.questions.append(_question("merge.two_numbers", [owner, entity], records))
        else:
            result.merges.append(Merge(survivor=owner, merged=entity))
    elif entity in facts.protected:
        result.questions.append(_question("split.number_affected", [entity], records))
    else:
        result.moves.append(Move(source=entity, target=owner, records=tuple(records)))


def _form_ownerless(
    members: dict[int, dict[int, list[int]]],
    owners: dict[int, int],
    facts: EntityFacts,
    result: Reconciliation,
) -> None:
    """A cluster that got no entity forms one: of its new records and of those that may leave other entities."""
    group = int(result.formed_group.max()) + 1 if len(result.formed_group) else 0
    for c in sorted(members):
        if c in owners:
            continue
        free = sorted(r for e, records in members[c].items() if e not in facts.protected for r in records)
        if free:
            result.formed_record = np.concatenate([result.formed_record, np.array(free, dtype=np.int64)])
            result.formed_group = np.concatenate([result.formed_group, np.full(len(free), group)])
            group += 1


def _question(reason: str, entities: list[int], records: Iterable[int]) -> Question:
    named = sorted(records)
    listed = ",".join(map(str, named))
    if len(listed) > _LONGEST_LIST:
        listed = "sha256." + hashlib.sha256(listed.encode()).hexdigest()
    subject = f"{reason}:{','.join(map(str, sorted(entities)))}:{listed}"
    return Question(reason=reason, subject=subject, detail={"entities": entities, "records": named})
