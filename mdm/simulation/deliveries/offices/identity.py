"""The offices of Public Security: the population database and the identity cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.deliveries.offices.base import (
    CORRECTED,
    NEW,
    WITHDRAWN,
    Delivery,
    Office,
    Sheet,
    View,
    by_person,
    documented_text,
    home,
    operation_text,
    paper_days,
    roster_of,
    selected,
    serial_text,
    sex_text,
    text_table,
)
from mdm.simulation.deliveries.offices.text import birth_text, coded, day_text, joined, padded, scattered
from mdm.simulation.deliveries.world import RELATION_WORDS, Snapshot, numbers
from mdm.simulation.deliveries.writing.forms import Csv

if TYPE_CHECKING:
    from mdm.simulation.deliveries.observe import Context

_DEAD_SINCE = np.datetime64(
    "2018-01-01", "D"
)  # the database was filled from 2017 on; earlier dead were never entered
RELATIONS_VI = {
    "head": "Chủ hộ",
    "spouse": "Vợ/chồng",
    "child": "Con",
    "grandchild": "Cháu",
    "parent": "Bố/mẹ",
    "other": "Khác",
}


class PopulationDatabase(Office):
    code: ClassVar[str] = "population"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        kept = snapshot.known & world.named & world.of_today & (world.birth <= snapshot.day)
        kept &= ~(world.death < _DEAD_SINCE) & ~world.flags("is_foreign")
        people = np.flatnonzero(kept)
        days = paper_days(world, snapshot, people, code=self.code, since="2017-01-01")
        return roster_of(
            people, household=home(snapshot), documented=days, gone=snapshot.registered_death[people]
        )

    def sheets(self, view: View) -> list[Sheet]:
        context, snapshot, observed, delivery = view.context, view.snapshot, view.observed, view.delivery
        world = context.world
        people = numbers(observed["person"])
        household = numbers(observed["household"])
        dead = snapshot.registered_death[people]
        relation = pa.array(RELATION_WORDS).take(pa.array(snapshot.relation[people]))
        mother, father = world.integers("mother_id")[people], world.integers("father_id")[people]
        spouse = world.integers("spouse_id")[people]
        death = np.where(dead, world.death[people], np.datetime64("NaT"))
        table = text_table(
            observed.num_rows,
            MaHoSo=serial_text(observed, 10),
            SoDinhDanh=observed["personal_id"],
            HoTen=observed["full_name"],
            HoTenKhac=_other_names(context, snapshot, people),
            NgaySinh=birth_text(observed, style="ymd"),
            GioiTinh=sex_text(observed, "1", "2"),
            DanToc=by_person(world, "ethnicity", people),
            QuocTich="VN",
            QueQuan=_native_place(context, people),
            HonNhan=_marital_status(snapshot, people, spouse),
            SoCMND=observed["cmnd"],
            HoTenCha=by_person(world, "full_name", father),
            SoDinhDanhCha=snapshot.personal_id.take(pa.array(father, mask=father < 0)),
            HoTenMe=by_person(world, "full_name", mother),
            SoDinhDanhMe=snapshot.personal_id.take(pa.array(mother, mask=mother < 0)),
            HoTenVoChong=by_person(world, "full_name", spouse),
            MaHo=world.population.households["household_no"]
            .combine_chunks()
            .take(pa.array(household, mask=household < 0)),
            QuanHe=coded(relation, RELATIONS_VI),
            SoNha=observed["street"],
            MaXa=observed["commune_code"],
            NgayCapNhat=documented_text(observed, style="ymd"),
            TrangThai=pc.if_else(pa.array(dead), "2", "1"),
            NgayMat=day_text(death, style="ymd"),
            LoaiThayDoi=operation_text(observed, {NEW: "M", CORRECTED: "S", WITHDRAWN: "X"}),
        )
        people_sheet = Sheet(
            file=f"DANCU_{delivery.stamp}.csv",
            source="residents",
            table=table,
            rows=np.arange(observed.num_rows),
            key=("MaHoSo",),
            form=Csv(),
            required={"HoTen": "full_name"},
            operation="LoaiThayDoi",
            withdrawal="X",
        )
        return [people_sheet, self._renumbered(context, delivery)]

    def _renumbered(self, context: Context, delivery: Delivery) -> Sheet:
        """Numbers re-established: all up to the first delivery, then those between the two."""
        world = context.world
        changed = world.days("personal_id_changed_on")
        settings = world.settings
        since = np.datetime64("1900-01-01" if delivery.number == 1 else settings.first, "D")
        rows = np.flatnonzero((changed > since) & (changed <= np.datetime64(delivery.day, "D")))
        rows = rows[np.argsort(changed[rows], kind="stable")]
        table = text_table(
            len(rows),
            SoCu=by_person(world, "former_personal_id", rows),
            SoMoi=by_person(world, "personal_id", rows),
            NgayCapLai=day_text(changed[rows], style="ymd"),
            LyDo="Xác lập lại số định danh",
        )
        return Sheet(
            file=f"DOISO_{delivery.stamp}.csv",
            source="renumbered",
            table=table,
            rows=rows,
            key=("SoCu",),
            form=Csv(),
            kind="renumbering",
            spoilable=False,
        )


class IdentityCards(Office):
    code: ClassVar[str] = "identity_cards"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        """Slot 0 is the twelve-digit card, slot 1 an older nine-digit one of the same person."""
        world = context.world
        grown = (
            (snapshot.age >= 14) & snapshot.alive & world.named & snapshot.known & ~world.flags("is_foreign")
        )
        people = np.flatnonzero(self.covered(world, snapshot, grown))
        older = people[world.has_cmnd[people] & (world.luck("old card")[people] < 0.15)]
        first = paper_days(world, snapshot, people, code=self.code, since="2016-01-01")
        first = np.maximum(first, world.birth[people] + np.timedelta64(14 * 365 + 4, "D"))
        second = np.maximum(
            np.datetime64("1999-01-01", "D") + (world.luck("old card day")[older] * 5000).astype(np.int64),
            world.birth[older] + np.timedelta64(14 * 365 + 4, "D"),
        )
        return roster_of(
            np.concatenate([people, older]),
            slot=np.repeat([0, 1], [len(people), len(older)]),
            household=home(snapshot),
            documented=np.minimum(np.concatenate([first, second]), snapshot.day),
        )

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        sheets = []
        for slot, file, source in ((0, "CCCD", "cards"), (1, "CMND", "old_cards")):
            part, rows = selected(observed, numbers(observed["slot"]) == slot)
            if slot == 1 and delivery.number == 2:
                continue
            columns = {
                "SoThe": padded(
                    scattered(numbers(part["serial"]), 9), 9, prefix="IDVNM" if slot == 0 else "C"
                ),
                "SoDinhDanh" if slot == 0 else "SoCMND": part["personal_id"] if slot == 0 else part["cmnd"],
                "HoTen": pc.utf8_upper(part["full_name"]),
                "NgaySinh": birth_text(part, style="dmy"),
                "GioiTinh": sex_text(part, "Nam", "Nữ"),
                "QueQuan": _native_place(context, numbers(part["person"])),
                "ThuongTru": joined(*(part[name] for name in ("street", "commune", "district", "province"))),
                "NgayCap": documented_text(part, style="dmy"),
            }
            if slot == 0:
                kept = context.world.luck("old number on the card")[numbers(part["person"])] < 0.5
                columns["SoCMNDCu"] = pc.if_else(pa.array(kept), part["cmnd"], pa.scalar(None, pa.string()))
            sheets.append(
                Sheet(
                    file=f"{file}_{delivery.stamp}.csv",
                    source=source,
                    table=text_table(part.num_rows, **columns),
                    rows=rows,
                    key=("SoThe",),
                    form=Csv(delimiter=";", encoding="utf-8-sig"),
                    required={"HoTen": "full_name"},
                )
            )
        return sheets


def _other_names(context: Context, snapshot: Snapshot, people: np.ndarray) -> pa.Array:
    """The name before a legal change; and of those with two sets of papers, the other name that some have told."""
    world, second = context.world, context.second_papers
    renamed = world.days("former_name_until")[people] <= snapshot.day
    told = second.holders[people] & (world.luck("tells the other name")[people] < 0.3)
    other = second.name.take(pa.array(people))
    told &= pc.not_equal(other, world.column("full_name").take(pa.array(people))).to_numpy(
        zero_copy_only=False
    )
    former = world.column("former_name").take(pa.array(people))
    nothing = pa.scalar(None, pa.string())
    return pc.if_else(pa.array(renamed), former, pc.if_else(pa.array(told), other, nothing))


def _native_place(context: Context, people: np.ndarray) -> pa.Array:
    places = context.world.places
    unit = places.position(by_person(context.world, "native_province", people))
    return places.short.take(pa.array(unit, mask=unit < 0))


def _marital_status(snapshot: Snapshot, people: np.ndarray, spouse: np.ndarray) -> pa.Array:
    """1 never married, 2 married, 3 widowed; a minor has none."""
    widowed = (spouse >= 0) & (snapshot.world.death[spouse] <= snapshot.day)
    status = np.where(widowed, "3", np.where(spouse >= 0, "2", "1"))
    return pa.array(status, mask=snapshot.age[people] < 16)
