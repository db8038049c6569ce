"""Social assistance: one spreadsheet a province, filled by hand in one of three fashions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mdm.simulation.deliveries.offices.base import (
    Delivery,
    Office,
    Sheet,
    View,
    documented_text,
    home,
    number_or_old,
    paper_days,
    roster_of,
    serial_text,
    sex_text,
    text_table,
)
from mdm.simulation.deliveries.offices.poverty import poor_people
from mdm.simulation.deliveries.offices.text import birth_text, joined, part_text, picked
from mdm.simulation.deliveries.world import Mask, Rows, Snapshot, numbers
from mdm.simulation.deliveries.writing.xlsx import Xlsx

if TYPE_CHECKING:
    from mdm.simulation.deliveries.observe import Context
    from mdm.simulation.deliveries.writing.forms import Form

_CATEGORIES = ("NCT", "NKT", "TEMC", "TE3", "DTN", "CSNN")
ELDERLY, DISABLED, ORPHAN, UNDER_3, SINGLE_PARENT, CARER = range(6)  # in the order of their codes


class SocialAssistance(Office):
    """One spreadsheet a province, in one of three fashions. The second delivery holds everybody again."""

    code: ClassVar[str] = "social_assistance"
    after = "snapshot"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        category = beneficiary_category(self, context, snapshot)
        people, slot = self.duplicated(world, np.flatnonzero(category >= 0))
        return roster_of(
            people,
            slot=slot,
            household=home(snapshot),
            documented=paper_days(world, snapshot, people, code=self.code, since="2010-01-01"),
            category=category[people],
        )

    def sheets(self, view: View) -> list[Sheet]:
        context, snapshot, observed, delivery = view.context, view.snapshot, view.observed, view.delivery
        world, places = context.world, context.world.places
        household = numbers(observed["household"])
        units = world.household_now if snapshot.reformed else world.household_legacy
        province = places.province[units[household]]
        order = np.lexsort((numbers(observed["serial"]), numbers(observed["office"]), province))
        observed, province = observed.take(pa.array(order)), province[order]
        sheets = []
        for one in np.unique(province).tolist():
            part = np.flatnonzero(province == one)
            code = places.official[one].as_py()
            fashion = int(code) % 3
            make = self._two_rows if fashion == 1 else self._third_row
            layout = ("MAU1_UNICODE", "MAU2_UNICODE", "MAU1_TCVN3")[fashion]
            titles = _titles(places.short[one].as_py(), delivery)
            form = Xlsx(titles=titles[: 3 if fashion == 1 else 2], section="huyen", tcvn3=fashion == 2)
            table = make(context, observed.take(pa.array(part)))
            sheets.append(
                self._sheet(f"BTXH_{code}_{layout}_{delivery.stamp}.xlsx", table, order[part], form)
            )
        return sheets

    def _sheet(self, file: str, table: pa.Table, rows: Rows, form: Form) -> Sheet:
        two = "MAU2" in file
        return Sheet(
            file=file,
            source="two_row_header" if two else "one_row_header",
            table=table,
            rows=rows,
            key=("Mã hồ sơ",),
            form=form,
            required={"Đối tượng / Họ và tên" if two else "Họ và tên": "full_name"},
        )

    def _third_row(self, context: Context, part: pa.Table) -> pa.Table:
        return text_table(
            part.num_rows,
            **{
                "huyen": _section(context, part),
                "Mã hồ sơ": serial_text(part, 8, prefix="BTXH"),
                "Họ và tên": part["full_name"],
                "Ngày sinh": birth_text(part, style="dmy"),
                "Giới tính": sex_text(part, "Nam", "Nữ"),
                "Số CMND/CCCD": number_or_old(part),
                "Loại đối tượng": picked(list(_CATEGORIES), numbers(part["category"])),
                "Thôn, tổ": part["street"],
                "Xã, phường": part["commune"],
                "Huyện, quận": part["district"],
                "Tỉnh": part["province"],
                "Điện thoại": part["phone"],
                "Ngày quyết định": documented_text(part, style="dmy"),
            },
        )

    def _two_rows(self, context: Context, part: pa.Table) -> pa.Table:
        female = pc.equal(part["sex"].combine_chunks(), "female").fill_null(False)
        day, month, year = (part_text(numbers(part[f"birth_{name}"])) for name in ("day", "month", "year"))
        return text_table(
            part.num_rows,
            **{
                "huyen": _section(context, part),
                "Mã hồ sơ": serial_text(part, 8, prefix="BTXH"),
                "Đối tượng / Họ và tên": part["full_name"],
                "Đối tượng / Nam": pc.if_else(female, pa.scalar(None, pa.string()), "x"),
                "Đối tượng / Nữ": pc.if_else(female, "x", pa.scalar(None, pa.string())),
                "Ngày sinh / Ngày": day,
                "Ngày sinh / Tháng": month,
                "Ngày sinh / Năm": year,
                "Giấy tờ / Số định danh": part["personal_id"],
                "Giấy tờ / Số CMND": part["cmnd"],
                "Loại đối tượng": picked(list(_CATEGORIES), numbers(part["category"])),
                "Nơi ở / Địa chỉ": joined(
                    *(part[name] for name in ("street", "commune", "district", "province"))
                ),
                "Nơi ở / Điện thoại": part["phone"],
                "Quyết định / Ngày": documented_text(part, style="dmy"),
            },
        )


def beneficiary_category(office: Office, context: Context, snapshot: Snapshot) -> Rows:
    """Position in _CATEGORIES by person, -1 for none. One person has one category: the first that applies."""
    world = context.world
    person = snapshot.alive & world.named & (home(snapshot) >= 0) & ~world.flags("is_foreign")
    age = snapshot.age
    poor = poor_people(context, snapshot, int(str(snapshot.day)[:4]))
    working = world.among(
        "occupation_status", "formal_employee", "soldier", "retired_pension", "export_worker"
    )
    groups: dict[int, tuple[str, Mask]] = {
        ORPHAN: ("orphan", world.flags("orphan") & (age < 16)),
        DISABLED: (
            "disabled",
            world.flags("disabled") & ~world.among("occupation_status", "retired_pension"),
        ),
        ELDERLY: ("elderly", (age >= 75) & world.among("occupation_status", "elderly_no_pension")),
        UNDER_3: ("under_3", (age < 3) & poor),
        SINGLE_PARENT: ("single_parent", (age >= 18) & (age < 60) & poor & (world.integers("spouse_id") < 0)),
        CARER: ("carer", (age >= 30) & (age < 75) & ~working & ~world.flags("disabled")),
    }
    category = np.full(world.size, -1, dtype=np.int64)
    for place, (group, eligible) in groups.items():
        category[office.covered(world, snapshot, person & eligible & (category < 0), group=group)] = place
    return category


def _section(context: Context, part: pa.Table) -> pa.Array:
    office = numbers(part["office"])
    return context.world.places.name.take(pa.array(office, mask=office < 0))


def _titles(province: str, delivery: Delivery) -> tuple[str, ...]:
    return (
        f"SỞ Y TẾ {province.upper()}",
        f"DANH SÁCH ĐỐI TƯỢNG BẢO TRỢ XÃ HỘI ĐẾN NGÀY {delivery.day:%d/%m/%Y}",
        "(Kèm theo báo cáo định kỳ)",
    )
