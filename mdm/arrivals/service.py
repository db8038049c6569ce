"""Single records: kept and matched at once, withdrawn, or only looked for. Every face of the engine comes through here."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

from matching.blocking import all_keys
from matching.online import OnlineMatcher
from matching.standardise.features import Features
from matching.standardise.units import default_units
from mdm.arrivals.candidates import Matches, by_person
from mdm.arrivals.linking import KIND, Linking
from mdm.arrivals.neighbourhood import Installation
from mdm.arrivals.numbers import give_numbers
from mdm.arrivals.said import standardise
from mdm.errors import IndexMissingError, InputError, NotFoundError, StaleVersionError
from mdm.identity.events import Stamp, canonical_json
from mdm.pipeline.housemates import HOUSEMATES, LARGEST, TOLD_BY, housemates_among, indexed_columns
from mdm.registries.declaration import declaration_hash
from mdm.store.arrivals import (
    ACTIVE,
    WITHDRAWN,
    Arriving,
    Standing,
    find,
    former_numbers,
    land,
    listed_with,
)
from mdm.store.engine import looking
from mdm.store.golden import renew_golden
from mdm.store.match_index import StoredIndex, index_model
from mdm.store.models import parse_model
from mdm.store.tables import model as models
from mdm.store.unit_of_work import UnitOfWork, unit_of_work

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

    from matching.levels import Record
    from mdm.arrivals.said import Said
    from mdm.registries.attributes import Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.stewardship.service import Identity

_ARRIVING = 0
"""Number of a record that is not in the store: below all others."""
_REASON = "arrived"


@dataclass(frozen=True)
class Arrived:
    """What a record that arrived changed."""

    entity: str | None
    """The person it belongs to now; None of a withdrawn record."""
    version: int
    """Of the record."""
    created: bool = False
    unchanged: bool = False
    """It says what it said before: nothing was done."""
    issues: Mapping[str, str] = field(default_factory=dict)
    entities: list[str] = field(default_factory=list)
    """Those that were changed."""
    events: list[int] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    """Numbers that were issued."""


class Arrivals:
    """On the store of an `Identity`, whose rules and numbers it shares. Safe to share between threads."""

    def __init__(
        self,
        identity: Identity,
        *,
        attributes: Attributes,
        registries: Mapping[str, RegistryDeclaration],
    ) -> None:
        self._identity, self._attributes, self._registries = identity, attributes, registries
        self._installation = Installation(
            anchors=frozenset(code for code, declared in registries.items() if declared.anchor),
            duplicate_free=frozenset(
                code for code, declared in registries.items() if declared.duplicate_free
            ),
        )
        self._hashes = {code: declaration_hash(declared) for code, declared in registries.items()}
        self._units = default_units()
        self._made = Features(KIND, declaration=attributes.of(KIND), units=self._units)
        self._matchers: dict[str, tuple[OnlineMatcher, list[str]]] = {}
        self._lock = threading.Lock()

    # --- writing -------------------------------------------------------------------------------------------------

    def upsert(
        self,
        registry: str,
        local_id: str,
        given: Mapping[str, Any],
        *,
        actor: str,
        observed_on: date | None = None,
        expected: Mapping[str, int] | None = None,
    ) -> Arrived:
        """Keeps a record of a person and makes it part of one.

        Args:
            registry: whose record it is.
            local_id: the registry's own ID of it.
            given: as of `mdm.arrivals.said.standardise`.
            actor: who brings it.
            observed_on: the day of what is said; today where it is left out.
            expected: entity to the version on which the caller decided, where the record has one.

        Raises:
            InputError: the record cannot be taken as it is.
            StaleVersionError: its person has changed since.
            IndexMissingError: there is no index to match it against.
        """
        self._require_registry(registry)
        day = observed_on or date.today()  # noqa: DTZ011  a registry's day is a local one
        said = standardise(given, declared=self._attributes.of(KIND), units=self._units, as_of=day)
        arriving = Arriving(
            registry=registry,
            kind=KIND,
            local_id=local_id,
            status=ACTIVE,
            observed_on=day.isoformat(),
            raw=canonical_json(given),
            attributes=said.attributes,
            issues=said.issues,
        )
        with unit_of_work(self._identity.engine) as work:
            standing = find(work, registry, KIND, local_id)
            home = self._home(work, standing, expected)
            if standing is not None and standing.content_hash == arriving.content_hash:
                return Arrived(home, standing.version, unchanged=True, issues=said.issues)
            return self._take(work, arriving, standing, said, actor=actor)

    def withdraw(
        self, registry: str, local_id: str, *, actor: str, expected: Mapping[str, int] | None = None
    ) -> Arrived:
        """Takes a record back; it stays in history. Raises NotFoundError where there is none, and what `upsert` does."""
        self._require_registry(registry)
        arriving = Arriving(
            registry=registry,
            kind=KIND,
            local_id=local_id,
            status=WITHDRAWN,
            observed_on=date.today().isoformat(),  # noqa: DTZ011
            raw="{}",
            attributes={},
            issues={},
        )
        with unit_of_work(self._identity.engine) as work:
            standing = find(work, registry, KIND, local_id)
            if standing is None:
                raise NotFoundError(
                    f"Registry {registry} has no such record.", hint="Check the registry and the local ID."
                )
            self._home(work, standing, expected)
            if standing.status == WITHDRAWN:
                return Arrived(None, standing.version, unchanged=True)
            return self._take(work, arriving, standing, None, actor=actor)

    def _take(
        self,
        work: UnitOfWork,
        arriving: Arriving,
        standing: Standing | None,
        said: Said | None,
        *,
        actor: str,
    ) -> Arrived:
        first = work.last_event() + 1
        stamp = Stamp(at=self._identity.source.now(), actor=actor, reason=_REASON)
        matcher, index = self._served(work.connection)
        record = land(work, arriving, standing, declaration=self._hashes[arriving.registry], stamp=stamp)
        made = None if said is None else self._features(work.connection, said.attributes)
        lists = {standing.household_ref if standing else None, arriving.attributes.get("household_ref")}
        changed: dict[int, Record | None] = {record: None if made is None else index.restricted(made)}
        if HOUSEMATES in matcher.model.feature_columns:
            for household_ref in sorted(filter(None, lists)):
                listed = listed_with(work, arriving.registry, household_ref)
                changed |= _housemates(index, record, made, household_ref, listed)
        keys = {number: matcher.keys(its) for number, its in changed.items() if its is not None}
        for number, its in changed.items():
            index.put(
                number,
                its,
                keys=all_keys(keys.get(number, {})),
                is_new=standing is None and number == record,
            )
        linking = Linking(work, matcher, index, self._installation, source=self._identity.source, stamp=stamp)
        touched = linking.link(changed, keys, new={record} if standing is None else set())
        state = work.state
        touched |= {state.entity_of[number] for number in (record,) if number in state.entity_of}
        renew_golden(work, sorted(touched), self._identity.rules, stamp=stamp)
        numbers = give_numbers(
            work,
            touched,
            anchors=self._installation.anchors,
            fresh=partial(self._identity.fresh_numbers, work),
            stamp=stamp,
        )
        return Arrived(
            entity=state.entity_of.get(record) if said is not None else None,
            version=1 if standing is None else standing.version + 1,
            created=standing is None,
            issues=arriving.issues,
            entities=sorted(touched),
            events=list(range(first, work.last_event() + 1)),
            numbers=numbers,
        )

    # --- looking -------------------------------------------------------------------------------------------------

    def match(
        self, given: Mapping[str, Any], *, hidden: Collection[str] = (), observed_on: date | None = None
    ) -> Matches:
        """Whom a record would be: nothing is written.

        Args:
            given: as of `upsert`.
            hidden: registries of which the asker may not know: nobody is found by their records.
            observed_on: as of `upsert`.
        """
        day = observed_on or date.today()  # noqa: DTZ011
        said = standardise(given, declared=self._attributes.of(KIND), units=self._units, as_of=day)
        with looking(self._identity.engine) as connection:
            matcher, index = self._served(connection)
            arriving = index.restricted(self._features(connection, said.attributes))
            found = {other for _, other in matcher.candidates({_ARRIVING: matcher.keys(arriving)}, index)}
            homes = index.homes(found, hidden=hidden)
        known = {_ARRIVING: arriving} | {record: its for record, (_, its) in homes.items()}
        scored = matcher.score([(_ARRIVING, record) for record in homes], known)
        return Matches(
            found=by_person(
                matcher.model, {record: (homes[record][0], pair) for (_, record), pair in scored.items()}
            ),
            issues=said.issues,
            model=matcher.hash,
        )

    # --- what a record says, and of whom -------------------------------------------------------------------------

    def _features(self, connection: Connection, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """With the numbers that an office told to be re-established as its own."""
        number = attributes.get("personal_id")
        former = former_numbers(connection, number) if number is not None else []
        if former:
            attributes = {
                **attributes,
                "former_personal_id": [*attributes.get("former_personal_id", ()), *former],
            }
        return self._made.of(attributes)

    def _home(
        self, work: UnitOfWork, standing: Standing | None, expected: Mapping[str, int] | None
    ) -> str | None:
        """The person of a record. Raises StaleVersionError where that is not as expected."""
        if standing is None:
            home = None
        else:
            home = work.load_records([standing.record]).entity_of.get(standing.record)
        if expected is not None:
            now = {} if home is None else {home: work.state.entities[home].version}
            if dict(expected) != now:
                raise StaleVersionError(
                    "The record's person is not at the version that you named.",
                    hint="Look at it again and decide on what it is now.",
                )
        return home

    def _require_registry(self, registry: str) -> None:
        if registry not in self._registries:
            raise InputError("no such registry is declared", where="registry")

    def _served(self, connection: Connection) -> tuple[OnlineMatcher, StoredIndex]:
        """The index, and its matcher: of the model by which it was made."""
        named = index_model(connection)
        if named is None:
            raise IndexMissingError(
                "There is no index to match a record against.", hint="Make one: mdm index."
            )
        with self._lock:
            if named not in self._matchers:
                body = connection.scalar(
                    models.select().with_only_columns(models.c.body).where(models.c.hash == named)
                )
                matcher = OnlineMatcher(parse_model(str(body), named))
                self._matchers = {named: (matcher, indexed_columns(matcher.model))}
            matcher, columns = self._matchers[named]
        return matcher, StoredIndex(connection, matcher.model, columns=columns)


def _housemates(
    index: StoredIndex,
    record: int,
    made: Mapping[str, Any] | None,
    household_ref: str,
    listed: Collection[int],
) -> dict[int, Record | None]:
    """The features of a record and of those `listed` with it whose features it changes, by who stands beside whom now."""
    if len(listed) > LARGEST + 1:
        return {}
    known = {number: its for number in listed if number != record and (its := index.own(number)) is not None}
    if made is not None and made.get("household_ref") == household_ref:
        known[record] = index.restricted(made)
    told = {number: {name: its[name] for name in TOLD_BY} for number, its in known.items()}
    beside = {number: housemates_among(told, number) for number in known}
    return {
        number: {**its, HOUSEMATES: beside[number]}
        for number, its in known.items()
        if number == record or beside[number] != its[HOUSEMATES]
    }
