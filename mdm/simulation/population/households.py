"""The tables of households, stays and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.simulation.population import society
from mdm.simulation.population.identifiers import digits_text, unique_within
from mdm.simulation.population.persons import dates, renumbered
from mdm.simulation.population.places import Places
from mdm.simulation.population.spells import heads, relations
from mdm.simulation.population.state import NEVER, PERMANENT
from mdm.simulation.population.tables import HOUSEHOLDS, LIFE_EVENTS, RELATIONS, RESIDENCE_SPELLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.simulation.population.persons import Cast, Scene
    from mdm.simulation.population.state import State

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class HouseholdFacts:
    """[household], by the state's numbers."""

    head: Ints
    commune_now: NDArray[np.str_]
    income_class: NDArray[np.str_]
    income_before: NDArray[np.str_]
    income_since: Ints
    """Years before the end."""


def household_facts(scene: Scene) -> HouseholdFacts:
    count = len(scene.commune)
    head = heads(scene.spells, scene.people, households=count, until=scene.until)
    successors = scene.geography.successors
    options = np.array([len(codes) for codes in successors])[scene.commune]
    rng = scene.stream("successors")
    pick = (rng.random(count) * options).astype(np.int64)
    width = max(len(codes) for codes in successors)
    table = np.array([[*codes, *[""] * (width - len(codes))] for codes in successors])
    minority = np.where(head >= 0, scene.minority[scene.people.ethnic[head]], False)
    now, before, since = society.income_classes(
        scene.stream("income"),
        rules=scene.settings.society,
        rural=~scene.geography.urban[scene.commune],
        minority=minority,
    )
    return HouseholdFacts(head, table[scene.commune, pick], now, before, since)


def households_table(scene: Scene, facts: HouseholdFacts, *, kept: Ints, persons: Ints) -> pa.Table:
    """`kept` and `persons` are the state's numbers of the households and people that appear in the tables."""
    rng = scene.stream("households")
    start = np.full(len(scene.commune), NEVER, np.int64)
    end = np.full(len(scene.commune), -NEVER, np.int64)
    np.minimum.at(start, scene.spells.household, scene.spells.start)
    np.maximum.at(end, scene.spells.household, scene.spells.end)
    province = scene.province_number[kept]
    urban = scene.geography.urban[scene.commune[kept]]
    number = province * 10**9 + unique_within(rng, group=province, digits=9)
    last_year = 1970 + int(scene.until // 365.2425)
    columns = {
        "household_id": np.arange(len(kept)),
        "household_no": digits_text(number, 11),
        "commune_legacy": np.array(scene.geography.codes)[scene.commune[kept]],
        "commune_now": facts.commune_now[kept],
        "street": Places(scene.folder).streets(
            rng, urban=urban, province=province, without=scene.settings.geography.without_street
        ),
        "urban": urban,
        "formed_on": dates(start[kept]),
        "dissolved_on": dates(end[kept], present=end[kept] != NEVER),
        "head_id": renumbered(facts.head[kept].astype(np.int32), persons),
        "income_class": facts.income_class[kept],
        "income_class_from": last_year - facts.income_since[kept],
        "income_class_before": facts.income_before[kept],
    }
    return table(columns, HOUSEHOLDS)


def spells_table(
    scene: Scene, facts: HouseholdFacts, *, kept: Ints, persons: Ints, chosen: Bools
) -> pa.Table:
    spells = scene.spells.where(chosen)
    columns = {
        "person_id": np.searchsorted(persons, spells.person),
        "household_id": np.searchsorted(kept, spells.household),
        "from_date": dates(spells.start),
        "to_date": dates(spells.end, present=spells.end != NEVER),
        "kind": np.where(spells.kind == PERMANENT, "permanent", "temporary"),
        "relation_to_head": np.array(RELATIONS)[relations(spells, scene.people, facts.head)],
    }
    return table(columns, RESIDENCE_SPELLS)


def table(columns: dict[str, pa.Array | NDArray[np.generic]], schema: pa.Schema) -> pa.Table:
    arrays = [
        pa.array(columns[field.name], field.type)
        if isinstance(columns[field.name], np.ndarray)
        else columns[field.name]
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def events_table(scene: Scene, state: State, roles: Cast, *, kept: Ints, persons: pa.Table) -> pa.Table:
    parts = [
        *birth_events(scene, persons),
        *personal_events(persons),
        *couple_events(scene, state, roles),
        move_events(scene, state, roles, kept=kept),
    ]
    whole = pa.concat_tables(parts)
    return whole.sort_by(
        [("date", "ascending"), ("kind", "ascending"), ("person_id", "ascending")]
    ).combine_chunks()


def events(
    person: Ints,
    kind: str,
    day: Ints,
    registered: pa.Array,
    *,
    other: Ints | int = -1,
    moves: tuple[Ints, Ints] | None = None,
) -> pa.Table:
    nowhere = np.full(len(person), -1, np.int64)
    columns = {
        "person_id": person,
        "kind": np.full(len(person), kind),
        "date": dates(day),
        "registered_on": registered,
        "other_id": np.broadcast_to(np.asarray(other, np.int64), len(person)),
        "from_household": nowhere if moves is None else moves[0],
        "to_household": nowhere if moves is None else moves[1],
    }
    return table(columns, LIFE_EVENTS)


def days_of(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.cast(pa.int32()).fill_null(NEVER).to_numpy(), np.int64)


def birth_events(scene: Scene, persons: pa.Table) -> list[pa.Table]:
    result = []
    for kind, day_column, known in (
        ("birth", "birth_date", "birth_registered_on"),
        ("death", "death_date", "death_registered_on"),
    ):
        days = days_of(persons[day_column])
        inside = np.flatnonzero((days >= scene.since) & (days <= scene.until))
        mothers = persons["mother_id"].to_numpy()[inside] if kind == "birth" else np.full(len(inside), -1)
        registered = persons[known].combine_chunks().take(pa.array(inside))
        result.append(events(inside, kind, days[inside], registered, other=mothers))
    return result


def personal_events(persons: pa.Table) -> list[pa.Table]:
    result = []
    for kind, column in (
        ("personal_id_change", "personal_id_changed_on"),
        ("name_change", "former_name_until"),
    ):
        days = days_of(persons[column])
        inside = np.flatnonzero(days != NEVER)
        result.append(events(inside, kind, days[inside], dates(days[inside])))
    return result


def couple_events(scene: Scene, state: State, roles: Cast) -> list[pa.Table]:
    result = []
    rng = scene.stream("couples")
    for kind, log, delay in (("marriage", state.weddings, 120), ("divorce", state.divorces, 30)):
        husband, wife, day = (column.astype(np.int64) for column in log.columns())
        alive = (day < state.people.death[husband]) & (day < state.people.death[wife])
        inside = (day >= scene.since) & (day <= scene.until) & alive
        husband, wife, day = husband[inside], wife[inside], day[inside]
        registered = day + rng.integers(0, delay, len(day))
        known = registered <= scene.until
        pair = [renumbered(side.astype(np.int32), roles.kept) for side in (husband, wife)]
        result += [
            events(one, kind, day, dates(registered, present=known), other=other)
            for one, other in (pair, pair[::-1])
        ]
    return result


def move_events(scene: Scene, state: State, roles: Cast, *, kept: Ints) -> pa.Table:
    person, day, old, new = (column.astype(np.int64) for column in state.moves.columns())
    inside = (day >= scene.since) & (day <= scene.until) & (day < state.people.death[person])
    inside &= day > state.people.birth[person]
    place = np.searchsorted(kept, np.stack([old, new]))
    known = kept[np.minimum(place, len(kept) - 1)] == np.stack([old, new])
    inside &= known[1]
    person, day = person[inside], day[inside]
    moves = (np.where(known[0], place[0], -1)[inside], place[1][inside])
    registered = day + scene.stream("moves").integers(0, 90, len(day))
    return events(
        renumbered(person.astype(np.int32), roles.kept),
        "move",
        day,
        dates(registered, present=registered <= scene.until),
        moves=moves,
    )
