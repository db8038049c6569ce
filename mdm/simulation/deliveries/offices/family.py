"""Children, schools, and the civil-status events of birth and death."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.deliveries.offices.base import (
    CORRECTED,
    NEW,
    WITHDRAWN,
    Office,
    Sheet,
    View,
    by_person,
    documented_text,
    home,
    operation_text,
    paper_days,
    roster_of,
    serial_text,
    sex_text,
    text_table,
)
from mdm.simulation.deliveries.offices.text import birth_text, day_text, joined, padded, picked, scattered
from mdm.simulation.deliveries.world import Rows, Snapshot, World, numbers, valid
from mdm.simulation.deliveries.writing.forms import JsonLines, SqliteTable

if TYPE_CHECKING:
    from mdm.simulation.deliveries.observe import Context

_REGISTER_SINCE = np.datetime64("2016-01-01", "D")  # electronic civil status began
_UNNAMED = "Chưa đặt tên"


class Children(Office):
    """Children under 16 with both parents, one nested object a child."""

    code: ClassVar[str] = "children"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        young = snapshot.alive & (snapshot.age < 16) & ~world.flags("is_foreign")
        people, slot = self.duplicated(world, np.flatnonzero(self.covered(world, snapshot, young)))
        days = paper_days(world, snapshot, people, code=self.code, since="2015-01-01")
        return roster_of(people, slot=slot, household=home(snapshot), documented=days)

    def sheets(self, view: View) -> list[Sheet]:
        context, snapshot, observed, delivery = view.context, view.snapshot, view.observed, view.delivery
        world = context.world
        people = numbers(observed["person"])
        mother, father = world.integers("mother_id")[people], world.integers("father_id")[people]
        table = text_table(
            observed.num_rows,
            maTreEm=serial_text(observed, 10, prefix="TE"),
            hoTen=observed["full_name"].combine_chunks().fill_null(_UNNAMED),
            ngaySinh=birth_text(observed, style="iso"),
            gioiTinh=sex_text(observed, "Trai", "Gái"),
            soDinhDanh=observed["personal_id"],
            soGiayKhaiSinh=certificate_numbers(world, snapshot, people),
            me=_parent(context, snapshot, mother, code=self.code),
            cha=_parent(context, snapshot, father, code=self.code),
            noiO=pa.StructArray.from_arrays(
                [observed[name].combine_chunks() for name in ("street", "commune", "district", "province")],
                names=["thon", "xa", "huyen", "tinh"],
            ),
            dienThoai=observed["phone"],
            ngayCapNhat=documented_text(observed, style="iso"),
            thaoTac=operation_text(observed, {NEW: "THEM", CORRECTED: "SUA", WITHDRAWN: "XOA"}),
        )
        return [
            Sheet(
                file=f"treem_{delivery.stamp}.jsonl",
                source="children",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("maTreEm",),
                form=JsonLines(),
                required={"ngaySinh": "birth_date"},
                operation="thaoTac",
                withdrawal="XOA",
            )
        ]


class School(Office):
    code: ClassVar[str] = "school"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        pupils = snapshot.alive & world.named & valid(world.column("student_code")) & (snapshot.age >= 5)
        pupils &= (snapshot.age < 23) & ~world.flags("is_foreign")
        people, slot = self.duplicated(world, np.flatnonzero(self.covered(world, snapshot, pupils)))
        days = paper_days(world, snapshot, people, code=self.code, since="2023-09-05")
        return roster_of(people, slot=slot, household=home(snapshot), documented=days)

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        world = context.world
        people = numbers(observed["person"])
        mother, father = world.integers("mother_id")[people], world.integers("father_id")[people]
        age = (np.datetime64(delivery.day, "D") - world.birth[people]).astype(np.int64) // 365.2425
        grade = np.clip(age - 5, 1, 12).astype(np.int64)
        table = text_table(
            observed.num_rows,
            MaHoSo=serial_text(observed, 10),
            MaHocSinh=observed["student_code"],
            HoTen=observed["full_name"],
            NgaySinh=birth_text(observed, style="dmy"),
            GioiTinh=sex_text(observed, "0", "1"),
            SoDinhDanh=observed["personal_id"],
            Lop=picked([f"{number}A" for number in range(13)], grade),
            HoTenCha=by_person(world, "full_name", father),
            HoTenMe=by_person(world, "full_name", mother),
            DienThoaiPhuHuynh=by_person(world, "phone", mother),
            DiaChi=joined(*(observed[name] for name in ("street", "commune", "district", "province"))),
            NgayNhapHoc=documented_text(observed, style="dmy"),
        )
        return [
            Sheet(
                file=f"HOCSINH_{delivery.stamp}.jsonl",
                source="students",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("MaHoSo",),
                form=JsonLines(),
                required={"HoTen": "full_name"},
            )
        ]


class BirthEvents(Office):
    """Births registered since the electronic register began, in a database table; a baby may have no name yet."""

    code: ClassVar[str] = "birth_events"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        registered = world.days("birth_registered_on")
        listed = (world.birth >= _REGISTER_SINCE) & (registered <= snapshot.day) & ~world.flags("is_foreign")
        people, slot = self.duplicated(world, np.flatnonzero(listed))
        return roster_of(people, slot=slot, household=home(snapshot), documented=registered[people])

    def sheets(self, view: View) -> list[Sheet]:
        context, snapshot, observed, delivery = view.context, view.snapshot, view.observed, view.delivery
        world = context.world
        people = numbers(observed["person"])
        mother, father = world.integers("mother_id")[people], world.integers("father_id")[people]
        slot = numbers(observed["slot"])
        number = certificate_numbers(world, snapshot, people)
        place = numbers(observed["unit"])
        table = text_table(
            observed.num_rows,
            so_dang_ky=serial_text(observed, 10),
            so_giay_ks=number,
            ho_ten=observed["full_name"].combine_chunks().fill_null(_UNNAMED),
            ngay_sinh=birth_text(observed, style="iso"),
            gioi_tinh=sex_text(observed, "1", "2"),
            so_dinh_danh=observed["personal_id"],
            noi_sinh=world.places.name.take(pa.array(place, mask=place < 0)),
            ho_ten_me=by_person(world, "full_name", mother),
            so_dd_me=snapshot.personal_id.take(pa.array(mother, mask=mother < 0)),
            ho_ten_cha=by_person(world, "full_name", father),
            so_dd_cha=snapshot.personal_id.take(pa.array(father, mask=father < 0)),
            noi_cu_tru=joined(*(observed[name] for name in ("street", "commune", "district", "province"))),
            ngay_dang_ky=documented_text(observed, style="iso"),
            loai_dang_ky=picked(["đúng hạn", "đăng ký lại"], np.minimum(slot, 1)),
        )
        return [
            Sheet(
                file=f"hotich_khaisinh_{delivery.stamp}.sqlite",
                source="births",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("so_dang_ky",),
                form=SqliteTable("khai_sinh"),
                required={"ngay_sinh": "birth_date"},
            )
        ]


class DeathEvents(Office):
    code: ClassVar[str] = "death_events"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        registered = world.days("death_registered_on")
        listed = (registered >= _REGISTER_SINCE) & (registered <= snapshot.day) & world.named & world.of_today
        people, slot = self.duplicated(world, np.flatnonzero(listed & ~world.flags("is_foreign")))
        return roster_of(people, slot=slot, household=home(snapshot), documented=registered[people])

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        world = context.world
        people = numbers(observed["person"])
        table = text_table(
            observed.num_rows,
            so_dang_ky=serial_text(observed, 10),
            ho_ten=observed["full_name"],
            ngay_sinh=birth_text(observed, style="dmy"),
            gioi_tinh=sex_text(observed, "Nam", "Nữ"),
            so_giay_to=pc.coalesce(
                observed["personal_id"].combine_chunks(), observed["cmnd"].combine_chunks()
            ),
            ngay_mat=day_text(world.death[people], style="dmy"),
            noi_cu_tru_cuoi=joined(
                *(observed[name] for name in ("street", "commune", "district", "province"))
            ),
            ngay_dang_ky=documented_text(observed, style="dmy"),
        )
        return [
            Sheet(
                file=f"hotich_khaitu_{delivery.stamp}.sqlite",
                source="deaths",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("so_dang_ky",),
                form=SqliteTable("khai_tu"),
                required={"ho_ten": "full_name"},
            )
        ]


def certificate_numbers(world: World, snapshot: Snapshot, people: Rows) -> pa.Array:
    """The same number on every copy of a certificate; null while the birth is not registered."""
    registered = world.days("birth_registered_on")[people]
    year = np.where(np.isnat(registered), 0, registered.astype("datetime64[Y]").astype(np.int64) + 1970)
    number = pc.binary_join_element_wise(
        padded(scattered(people, 8), 8), pa.array(year).cast(pa.string()), "/"
    )
    known = (registered <= snapshot.day) & (registered >= np.datetime64("2008-01-01", "D"))
    return pc.if_else(pa.array(known), number, pa.scalar(None, pa.string()))


def _parent(context: Context, snapshot: Snapshot, parent: Rows, *, code: str) -> pa.StructArray:
    """Name and number of a parent; the number is often not asked for."""
    world = context.world
    asked = world.luck("parent's number", code)[parent] < 0.7
    number = snapshot.personal_id.take(pa.array(parent, mask=(parent < 0) | ~asked))
    return pa.StructArray.from_arrays(
        [by_person(world, "full_name", parent), number], names=["hoTen", "soDinhDanh"]
    )
