"""People with merit: four systems of four decades that were never joined, most of their people dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from mdm.simulation.deliveries.offices.base import (
    Office,
    Sheet,
    View,
    documented_text,
    home,
    paper_days,
    roster_of,
    selected,
    serial_text,
    sex_text,
    text_table,
)
from mdm.simulation.deliveries.offices.text import birth_text, coded, day_text, joined, name_parts, part_text
from mdm.simulation.deliveries.world import Rows, Snapshot, numbers
from mdm.simulation.deliveries.writing.forms import Csv

if TYPE_CHECKING:
    from mdm.simulation.deliveries.observe import Context

_KINDS = {
    "martyr": "LS",
    "martyr_relative": "TNLS",
    "wounded": "TB",
    "veteran": "CCB",
    "heroic_mother": "BMVNAH",
    "resistance_activist": "HDKC",
}


@dataclass(frozen=True)
class _System:
    name: str
    form: Csv
    file: str


_SYSTEMS = (
    _System("system_1997", Csv(delimiter=",", encoding="tcvn3"), "NCC97_{stamp}.csv"),
    _System("system_2003", Csv(delimiter=";", encoding="vni"), "HOSO_NCC_{stamp}.csv"),
    _System("system_2007", Csv(delimiter="\t", encoding="cp1258"), "ncc_{stamp}.txt"),
    _System("system_2011", Csv(delimiter="|", encoding="utf-8"), "QLNCC_{stamp}.csv"),
)


class Merit(Office):
    code: ClassVar[str] = "merit"
    after = "additions"
    fixed = ("system",)  # a file stays where it was opened

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        listed = (
            world.named
            & ~world.among("merit", "none")
            & (world.birth <= snapshot.day)
            & ~world.flags("is_foreign")
        )
        wanted = self.covered(world, snapshot, listed) if listed.any() else listed
        people, slot = self.duplicated(world, np.flatnonzero(wanted))
        days = paper_days(world, snapshot, people, code=self.code, since="1997-01-01")
        return roster_of(
            people,
            slot=slot,
            household=home(snapshot),
            documented=days,
            system=_system(context, snapshot, people),
        )

    def sheets(self, view: View) -> list[Sheet]:
        system = numbers(view.observed["system"])
        return [
            _sheet(view, one, *selected(view.observed, system == place)) for place, one in enumerate(_SYSTEMS)
        ]


def _system(context: Context, snapshot: Snapshot, people: Rows) -> Rows:
    """Each province keeps to the system it once bought."""
    world = context.world
    household = home(snapshot)[people]
    born = world.birth_place[people]
    unit = np.where(household >= 0, world.household_legacy[household], born)
    province = np.where(unit >= 0, world.places.province[unit], 0)
    return (province * 7 + 3) % len(_SYSTEMS)


def _sheet(view: View, system: _System, part: pa.Table, rows: Rows) -> Sheet:
    surname, middle, given = name_parts(part["full_name"])
    people = numbers(part["person"])
    merit = view.context.world.column("merit").take(pa.array(people))
    death = view.context.world.death[people]
    death = np.where(death <= view.snapshot.day, death, np.datetime64("NaT"))
    if system.name == "system_2011":
        table = text_table(
            part.num_rows,
            MaHoSo=serial_text(part, 8, prefix="NCC"),
            Ho=surname,
            Dem=middle,
            Ten=given,
            NgaySinh=birth_text(part, style="zeros"),
            GioiTinh=sex_text(part, "0", "1"),
            SoGiayTo=part["personal_id"],
            LoaiDoiTuong=coded(merit, _KINDS),
            DiaChi=joined(*(part[name] for name in ("street", "commune", "district", "province"))),
            NgayMat=day_text(death, style="dmy"),
            NgayLap=documented_text(part, style="dmy"),
        )
    else:
        table = text_table(
            part.num_rows,
            SoHoSo=serial_text(part, 7, prefix=f"{system.name[-2:]}-"),
            Ho=surname,
            TenDem=middle,
            Ten=given,
            NgayS=part_text(numbers(part["birth_day"])),
            ThangS=part_text(numbers(part["birth_month"])),
            NamS=part_text(numbers(part["birth_year"])),
            Phai=sex_text(part, "Nam", "Nữ"),
            CMND=part["cmnd"],
            Loai=coded(merit, _KINDS),
            Xa=part["commune"],
            Huyen=part["district"],
            Tinh=part["province"],
            NamMat=day_text(death, style="dmy"),
            NgayLap=documented_text(part, style="dmy"),
        )
    return Sheet(
        file=system.file.format(stamp=view.delivery.stamp),
        source=system.name,
        table=table,
        rows=rows,
        key=(table.column_names[0],),
        form=system.form,
        required=dict.fromkeys(
            ("Ho", "Dem" if "Dem" in table.column_names else "TenDem", "Ten"), "full_name"
        ),
    )
