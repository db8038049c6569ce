"""Work and taxes: the labour force by household, training courses, labour export, foreign workers, taxpayers."""

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
from mdm.simulation.deliveries.offices.text import (
    birth_text,
    coded,
    day_text,
    joined,
    padded,
    picked,
    scattered,
)
from mdm.simulation.deliveries.world import Rows, Snapshot, numbers, valid
from mdm.simulation.deliveries.writing.forms import Csv, JsonDocument

if TYPE_CHECKING:
    from mdm.simulation.deliveries.observe import Context

_WORK = {
    "unemployed": "Thất nghiệp",
    "formal_employee": "Làm công hưởng lương",
    "self_employed": "Tự làm",
    "farmer": "Nông nghiệp",
    "export_worker": "Làm việc ở nước ngoài",
    "student": "Không tham gia",
    "elderly_no_pension": "Không tham gia",
    "retired_pension": "Không tham gia",
    "disabled": "Không tham gia",
}
_COURSES = [
    "May công nghiệp",
    "Hàn",
    "Điện dân dụng",
    "Nấu ăn",
    "Chăn nuôi",
    "Sửa xe máy",
    "Tin học",
    "Trồng trọt",
]


class LabourForce(Office):
    """Persons of 15 and over by household, from interviewers' sheets: where people live, not where they are registered."""

    code: ClassVar[str] = "labour_force"
    fixed = ("sheet",)

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        lives = np.where(snapshot.lived_in >= 0, snapshot.lived_in, home(snapshot))
        active = world.among("occupation_status", "unemployed", "formal_employee", "self_employed", "farmer")
        eligible = (
            snapshot.alive
            & world.named
            & (snapshot.age >= 15)
            & active
            & (lives >= 0)
            & ~world.flags("is_foreign")
        )
        people, slot = self.duplicated(world, np.flatnonzero(self.covered(world, snapshot, eligible)))
        days = paper_days(world, snapshot, people, code=self.code, since="2021-01-01")
        return roster_of(people, slot=slot, household=lives, documented=days, sheet=lives[people])

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        order = np.lexsort((numbers(observed["serial"]), numbers(observed["sheet"])))
        part = observed.take(pa.array(order))
        status = by_person(context.world, "occupation_status", numbers(part["person"]))
        table = text_table(
            part.num_rows,
            MaPhieu=padded(scattered(numbers(part["sheet"]), 9), 9, prefix="PH"),
            SoTT=padded(numbers(part["serial"]), 8),
            HoTen=part["full_name"],
            Nam=sex_text(part, "x", ""),
            Nu=sex_text(part, "", "x"),
            NgaySinh=birth_text(part, style="zeros"),
            SoCCCD=part["personal_id"],
            ViecLam=coded(status, _WORK),
            DienThoai=part["phone"],
            Thon=part["street"],
            Xa=part["commune"],
            Huyen=part["district"],
            Tinh=part["province"],
            NgayDieuTra=documented_text(part, style="dmy"),
            TinhTrang=operation_text(part, {NEW: "1", CORRECTED: "2", WITHDRAWN: "3"}),
        )
        return [
            Sheet(
                file=f"CUNGLD_{delivery.stamp}.txt",
                source="persons",
                table=table,
                rows=order,
                key=("MaPhieu", "SoTT"),
                form=Csv(delimiter="\t", encoding="utf-16"),
                required={"HoTen": "full_name"},
                operation="TinhTrang",
                withdrawal="3",
            )
        ]


class VocationalTraining(Office):
    """One file a month; a course whose file came late is sent again with the next month."""

    code: ClassVar[str] = "vocational_training"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        eligible = (
            snapshot.alive
            & world.named
            & (snapshot.age >= 15)
            & (snapshot.age < 45)
            & ~world.flags("is_foreign")
        )
        people, slot = self.duplicated(world, np.flatnonzero(self.covered(world, snapshot, eligible)))
        month = self._month(context, people, slot)
        first = np.datetime64(context.world.settings.first, "D")
        days = first - 150 + month * 30
        later = np.where(snapshot.reformed, np.maximum(days, np.datetime64("2025-07-05", "D")), days)
        return roster_of(
            people, slot=slot, household=home(snapshot), documented=later.astype("datetime64[D]"), month=month
        )

    def _month(self, context: Context, people: Rows, slot: Rows) -> Rows:
        draws = context.world.luck("course month")[people] * 5
        return (draws.astype(np.int64) + slot * 2) % 5

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        sheets = []
        month = numbers(observed["month"])
        replayed = context.world.luck("course replayed")[numbers(observed["person"])] < 0.1
        for place in range(5):
            rows = np.flatnonzero((month == place) | (replayed & (month == place - 1)))
            part = observed.take(pa.array(rows))
            table = text_table(
                part.num_rows,
                MaKhoa=padded(place * 100 + numbers(part["serial"]) % 97, 5, prefix="K"),
                MaHocVien=serial_text(part, 8, prefix="HV"),
                Ho_Ten=part["full_name"],
                NgaySinh=birth_text(part, style="dmy_dots"),
                GioiTinh=sex_text(part, "Nam", "Nữ"),
                CCCD=part["personal_id"],
                Nghe=picked(_COURSES, numbers(part["serial"]) % len(_COURSES)),
                DienThoai=part["phone"],
                DiaChi=joined(*(part[name] for name in ("street", "commune", "district", "province"))),
                NgayKhaiGiang=documented_text(part, style="dmy_dots"),
            )
            number = place + 1 if delivery.number == 1 else place + 7
            sheets.append(
                Sheet(
                    file=f"DAYNGHE_2025{number:02}.csv",
                    source="trainees",
                    table=table,
                    rows=rows,
                    key=("MaHocVien",),
                    form=Csv(delimiter=","),
                    required={"Ho_Ten": "full_name"},
                )
            )
        return sheets


class LabourExport(Office):
    """Workers abroad: a passport and no personal number."""

    code: ClassVar[str] = "labour_export"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        abroad = (
            snapshot.alive
            & world.named
            & world.among("occupation_status", "export_worker")
            & (snapshot.age >= 18)
        )
        people, slot = self.duplicated(world, np.flatnonzero(abroad & valid(world.column("passport_no"))))
        days = paper_days(world, snapshot, people, code=self.code, since="2019-01-01")
        return roster_of(people, slot=slot, household=home(snapshot), documented=days)

    def sheets(self, view: View) -> list[Sheet]:
        observed, delivery = view.observed, view.delivery
        table = text_table(
            observed.num_rows,
            SoHopDong=serial_text(observed, 7, prefix="XKLD"),
            HoTen=pc.utf8_upper(observed["full_name"]),
            NgaySinh=birth_text(observed, style="dmy"),
            GioiTinh=sex_text(observed, "M", "F"),
            SoHoChieu=observed["passport_no"],
            NuocDen=picked(["Nhật Bản", "Đài Loan", "Hàn Quốc", "Đức"], numbers(observed["serial"]) % 4),
            DiaChi=joined(*(observed[name] for name in ("street", "commune", "district", "province"))),
            DienThoaiGiaDinh=observed["phone"],
            NgayHopDong=documented_text(observed, style="dmy"),
        )
        return [
            Sheet(
                file=f"XKLD_{delivery.stamp}.csv",
                source="contracts",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("SoHopDong",),
                form=Csv(delimiter=";"),
                required={"HoTen": "full_name"},
            )
        ]


class ForeignWorkers(Office):
    code: ClassVar[str] = "foreign_workers"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        foreign = snapshot.alive & world.named & world.flags("is_foreign") & (snapshot.age >= 18)
        people, slot = self.duplicated(world, np.flatnonzero(foreign & valid(world.column("passport_no"))))
        days = paper_days(world, snapshot, people, code=self.code, since="2021-01-01")
        return roster_of(people, slot=slot, household=home(snapshot), documented=days)

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        table = text_table(
            observed.num_rows,
            soGiayPhep=serial_text(observed, 7, prefix="GPLD"),
            hoTen=pc.utf8_upper(observed["full_name"]),
            ngaySinh=birth_text(observed, style="iso"),
            gioiTinh=sex_text(observed, "Nam", "Nữ"),
            quocTich=by_person(context.world, "nationality", numbers(observed["person"])),
            soHoChieu=observed["passport_no"],
            diaChi=joined(*(observed[name] for name in ("street", "commune", "district", "province"))),
            ngayCap=documented_text(observed, style="iso"),
        )
        return [
            Sheet(
                file=f"lao_dong_nuoc_ngoai_{delivery.stamp}.json",
                source="permits",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("soGiayPhep",),
                form=JsonDocument(
                    head=(("coQuan", "Cục Việc làm"), ("ngayBaoCao", f"{delivery.day}")), inside="giayPhep"
                ),
                required={"hoTen": "full_name"},
            )
        ]


class Tax(Office):
    """A taxpayer is known by a tax code; some people were given two."""

    code: ClassVar[str] = "tax"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        payers = snapshot.alive & world.named & valid(world.column("tax_code")) & ~world.flags("is_foreign")
        one = np.flatnonzero(self.covered(world, snapshot, payers & (snapshot.age >= 15)))
        two = one[valid(world.column("tax_code_2"))[one]]
        people = np.concatenate([one, two])
        return roster_of(
            people,
            slot=np.repeat([0, 1], [len(one), len(two)]),
            household=home(snapshot),
            documented=paper_days(world, snapshot, people, code=self.code, since="2009-01-01"),
        )

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        people = numbers(observed["person"])
        second = pa.array(numbers(observed["slot"]) == 1)
        code = pc.if_else(
            second,
            by_person(context.world, "tax_code_2", people),
            by_person(context.world, "tax_code", people),
        )
        documented = observed["documented"].combine_chunks().to_numpy(zero_copy_only=False)
        old = pa.array(documented < np.datetime64("2016-01-01", "D"))
        number = pc.if_else(
            pc.and_(old, pc.is_valid(observed["cmnd"].combine_chunks())),
            observed["cmnd"],
            observed["personal_id"],
        )
        table = text_table(
            observed.num_rows,
            MST=code,
            TEN_NNT=pc.utf8_upper(observed["full_name"]),
            NGAY_SINH=birth_text(observed, style="dmy"),
            GIOI_TINH=sex_text(observed, "01", "02"),
            SO_GIAY_TO=number,
            LOAI_GIAY_TO=pc.if_else(pc.equal(pc.utf8_length(number), 9), "CMND", "CCCD"),
            DIA_CHI=joined(observed["street"], observed["commune"]),
            QUAN_HUYEN=observed["district"],
            TINH_TP=observed["province"],
            DIEN_THOAI=observed["phone"],
            NGAY_CAP=day_text(documented, style="dmy"),
        )
        return [
            Sheet(
                file=f"NNT_{delivery.stamp}.csv",
                source="taxpayers",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("MST",),
                form=Csv(delimiter="|"),
                required={"TEN_NNT": "full_name"},
            )
        ]
