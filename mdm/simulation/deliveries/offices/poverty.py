"""The yearly lists of poor and near-poor households."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.deliveries.offices.base import (
    Office,
    Sheet,
    View,
    by_person,
    documented_text,
    home,
    roster_of,
    sex_text,
    text_table,
)
from mdm.simulation.deliveries.offices.identity import RELATIONS_VI
from mdm.simulation.deliveries.offices.text import (
    birth_text,
    coded,
    padded,
    scattered,
)
from mdm.simulation.deliveries.world import RELATION_WORDS, Mask, Rows, Snapshot, equals, numbers
from mdm.simulation.deliveries.writing.forms import GroupedJsonLines

if TYPE_CHECKING:
    from mdm.simulation.deliveries.observe import Context


class Poverty(Office):
    """The yearly list of poor and near-poor households: each year's list is a file and its records are new."""

    code: ClassVar[str] = "poverty"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        year = int(str(snapshot.day)[:4]) - (0 if snapshot.reformed else 1)
        household = home(snapshot)
        eligible = (
            snapshot.alive & world.named & poor_people(context, snapshot, year) & ~world.flags("is_foreign")
        )
        listed = (
            self.covered(world, snapshot, eligible)
            if self._too_many(context, snapshot, eligible)
            else eligible
        )
        people = np.flatnonzero(listed)
        reviewed = snapshot.day if snapshot.reformed else np.datetime64(f"{year}-11-15", "D")
        people = people[np.argsort(household[people], kind="stable")]
        table = roster_of(
            people,
            household=household,
            documented=np.full(len(people), reviewed),
            year=np.full(len(people), year),
        )
        identity = pa.array(
            numbers(table["identity"]) + (year - 2000) * 4 * world.size
        )  # each year a record of its own
        return table.set_column(table.schema.get_field_index("identity"), "identity", identity)

    def _too_many(self, context: Context, snapshot: Snapshot, eligible: Mask) -> bool:
        share = context.world.settings.registries[self.code].coverage["all"]
        return bool(eligible.sum() > share * snapshot.alive.sum())

    def sheets(self, view: View) -> list[Sheet]:
        context, snapshot, observed, delivery = view.context, view.snapshot, view.observed, view.delivery
        year = int(observed["year"][0].as_py()) if observed.num_rows else delivery.day.year
        observed, rows = _of_year(observed, year)
        order = np.argsort(numbers(observed["household"]), kind="stable")
        members, rows = observed.take(pa.array(order)), rows[order]
        household = numbers(members["household"])
        first = np.flatnonzero(np.diff(household, prepend=-1) != 0)
        leading = np.repeat(first, np.diff(np.append(first, len(household))))  # each member's first member
        world = context.world
        head = numbers(world.population.households["head_id"])[household]
        people = numbers(members["person"])
        of_household = {
            name: members[name].take(pa.array(leading))
            for name in ("street", "commune", "district", "province")
        }
        table = text_table(
            members.num_rows,
            maHo=padded(scattered(household, 8), 8, prefix="HN"),
            nam=str(year),
            chuHo=by_person(world, "full_name", head),
            soCCCDChuHo=snapshot.personal_id.take(pa.array(head, mask=(head < 0) | (household % 5 == 0))),
            phanLoai=coded(
                household_class(context, year).take(pa.array(household)), {"poor": "N", "near_poor": "CN"}
            ),
            thon=of_household["street"],
            xa=of_household["commune"],
            huyen=of_household["district"],
            tinh=of_household["province"],
            ngayRaSoat=documented_text(members, style="dmy"),
            stt=padded(np.arange(len(household)) - leading + 1, 2),
            hoTen=members["full_name"],
            ngaySinh=birth_text(members, style="dmy"),
            gioiTinh=sex_text(members, "Nam", "Nữ"),
            soCCCD=members["personal_id"],
            quanHe=coded(pa.array(RELATION_WORDS).take(pa.array(snapshot.relation[people])), RELATIONS_VI),
        )
        file = f"HONGHEO_{year}_{delivery.stamp}.jsonl"
        group = (
            "maHo",
            "nam",
            "chuHo",
            "soCCCDChuHo",
            "phanLoai",
            "thon",
            "xa",
            "huyen",
            "tinh",
            "ngayRaSoat",
        )
        member_sheet = Sheet(
            file=file,
            source="members",
            table=table,
            rows=rows,
            key=("nam", "maHo", "stt"),
            form=GroupedJsonLines(group=group, inside="thanhVien"),
            required={"hoTen": "full_name"},
        )
        household_sheet = Sheet(
            file=file,
            source="households",
            table=table.take(pa.array(first)),
            rows=rows[first],
            key=("nam", "maHo"),
            form=None,
            kind="household",
            spoilable=False,
        )
        return [member_sheet, household_sheet]


def household_class(context: Context, year: int) -> pa.Array:
    """The income class of each household in a year."""
    households = context.world.population.households
    since = numbers(households["income_class_from"].cast(pa.int64()).combine_chunks().fill_null(0))
    return pc.if_else(
        pa.array(since <= year),
        households["income_class"].combine_chunks(),
        households["income_class_before"].combine_chunks(),
    )


def poor_people(context: Context, snapshot: Snapshot, year: int) -> Mask:
    household = home(snapshot)
    poor = equals(household_class(context, year), "poor", "near_poor")
    return np.asarray((household >= 0) & poor[household])


def _of_year(observed: pa.Table, year: int) -> tuple[pa.Table, Rows]:
    rows = np.flatnonzero(numbers(observed["year"]) == year)
    return observed.take(pa.array(rows)), rows
