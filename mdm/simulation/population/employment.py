"""Employers, and who works for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.population.identifiers import digits_text, tax_codes
from mdm.simulation.population.places import Places
from mdm.simulation.population.tables import EMPLOYERS, PERSONS

if TYPE_CHECKING:
    from mdm.simulation.population.persons import Cast, Scene

EMPLOYED = ("formal_employee", "soldier")


def employ(scene: Scene, roles: Cast, persons: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The persons with their employer_id, and the employers. People work in the province they live in, few for many
    of the firms and many for a few.
    """
    rng = scene.stream("employment")
    employed = pc.is_in(persons["occupation_status"], pa.array(EMPLOYED)).to_numpy() & roles.in_window
    workers = np.flatnonzero(employed)
    geography = scene.geography
    home = scene.commune[scene.people.home[roles.kept[workers]]]
    number = max(len(workers) // scene.settings.society.people_per_employer, 1)
    # Where the workers live there is work: the firms take the communes of a random part of them.
    firms = np.sort(rng.choice(home, number)) if len(workers) else np.zeros(0, np.int64)
    province, wanted = geography.province[firms], geography.province[home]
    size = 1 / (1 + rng.permutation(len(firms)))
    edges = np.concatenate([[0.0], np.cumsum(size)])
    first, last = np.searchsorted(province, wanted, "left"), np.searchsorted(province, wanted, "right")
    first, last = np.where(last > first, first, 0), np.where(last > first, last, len(firms))
    point = edges[first] + rng.random(len(workers)) * (edges[last] - edges[first])
    employer = np.full(len(persons), -1, np.int64)
    employer[workers] = np.clip(np.searchsorted(edges, point, side="right") - 1, first, last - 1)
    legacy = np.array([int(code[1:]) for code in geography.provinces])
    now = [geography.successors[commune][0] for commune in firms]
    employers = pa.table(
        [
            pa.array(np.arange(len(firms))),
            Places(scene.folder).firms(rng, len(firms)),
            digits_text(tax_codes(rng, office=legacy[province]), 10),
            pa.array([geography.codes[commune] for commune in firms], pa.string()),
            pa.array(now, pa.string()),
        ],
        schema=EMPLOYERS,
    )
    place = PERSONS.get_field_index("employer_id")
    return persons.set_column(place, PERSONS.field(place), pa.array(employer)), employers
