"""Habits of district offices: one writes capitals, one drops all marks, one errs three times as often, one spells its
communes its own way. This is what makes errors come in clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mdm.simulation.deliveries.errors.apply import drawn_kinds
from mdm.simulation.deliveries.places import ABBREVIATED, FULL, SHORT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mdm.simulation.deliveries.world import Mask, Rows, World


@dataclass(frozen=True)
class Habits:
    """Arrays by the position of the district among the units."""

    rate: NDArray[np.float64]  # multiplies the error rates; mean 1
    style: NDArray[np.str_]
    spelling: Rows  # a way of Places.spellings
    own_spelling: Mask
    name_error: NDArray[np.str_]  # the error this office makes most
    blank_birthdays: NDArray[np.str_]  # what it writes when only the year is known

    @classmethod
    def of(cls, world: World, code: str) -> Habits:
        random = world.stream("habits", code)
        units = len(world.places.code)
        spread = world.settings.active.office_spread
        return cls(
            rate=np.exp(random.normal(-(spread**2) / 2, spread, units)),
            style=drawn_kinds(world.settings.registries[code].styles, units, random),
            spelling=random.choice([FULL, SHORT, ABBREVIATED], size=units, p=[0.6, 0.25, 0.15]),
            own_spelling=random.random(units) < world.settings.active.own_spelling,
            name_error=drawn_kinds(world.settings.name_errors, units, random),
            blank_birthdays=random.choice(["first_of_january", "year_only"], size=units, p=[0.5, 0.5]),
        )
