"""Accounts through which benefits are paid, and the sealed list of social evils."""

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
    number_or_old,
    operation_text,
    paper_days,
    roster_of,
    serial_text,
    sex_text,
    text_table,
)
from mdm.simulation.deliveries.offices.social_assistance import SocialAssistance, beneficiary_category
from mdm.simulation.deliveries.offices.text import birth_text, joined, part_text, picked
from mdm.simulation.deliveries.tags import Tag
from mdm.simulation.deliveries.world import Snapshot, numbers
from mdm.simulation.deliveries.writing.forms import Csv, Parquet

if TYPE_CHECKING:
    from mdm.simulation.deliveries.observe import Context


class PaymentAccounts(Office):
    """Accounts through which benefits are paid. The record is of the account's holder, who may be a relative."""

    code: ClassVar[str] = "payment_accounts"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        adult = snapshot.alive & world.named & (snapshot.age >= 15)
        pension = adult & world.among("occupation_status", "retired_pension")
        merit = adult & ~world.among("merit", "none", "martyr")
        assisted = (
            snapshot.alive & world.named & (beneficiary_category(SocialAssistance(), context, snapshot) >= 0)
        )
        beneficiary = np.flatnonzero(self.covered(world, snapshot, pension | merit | assisted))
        mother, spouse = world.integers("mother_id"), world.integers("spouse_id")
        relative = np.where(snapshot.age < 15, mother, np.where(spouse >= 0, spouse, -1))[beneficiary]
        for_other = (world.luck("payee")[beneficiary] < 0.12) | (snapshot.age[beneficiary] < 15)
        able = (relative >= 0) & (snapshot.alive & world.named & snapshot.known)[relative]
        payee = np.where(for_other & able, relative, beneficiary)
        people, first = np.unique(payee, return_index=True)
        again, slot = self.duplicated(world, people)
        beneficiary = beneficiary[first][np.searchsorted(people, again)]
        return roster_of(
            again,
            slot=slot,
            household=home(snapshot),
            documented=paper_days(world, snapshot, again, code=self.code, since="2018-01-01"),
            beneficiary=beneficiary,
            marks=np.where(beneficiary != again, int(Tag.PAYEE_NOT_BENEFICIARY), 0),
        )

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        beneficiary = numbers(observed["beneficiary"])
        banks = ["VNPOST", "AGR", "LPB", "VTB", "BIDV"]
        table = text_table(
            observed.num_rows,
            so_tai_khoan=serial_text(observed, 12),
            ngan_hang=picked(banks, numbers(observed["serial"]) % len(banks)),
            chu_tai_khoan=pc.utf8_upper(observed["full_name"]),
            so_giay_to=number_or_old(observed),
            ngay_sinh=birth_text(observed, style="iso"),
            gioi_tinh=sex_text(observed, "M", "F"),
            dien_thoai=observed["phone"],
            dia_chi=joined(*(observed[name] for name in ("street", "commune", "district", "province"))),
            nguoi_huong=by_person(context.world, "full_name", beneficiary),
            ngay_mo=documented_text(observed, style="iso"),
            trang_thai=operation_text(observed, {NEW: "MO", CORRECTED: "SUA", WITHDRAWN: "DONG"}),
        )
        return [
            Sheet(
                file=f"taikhoan_{delivery.stamp}.parquet",
                source="accounts",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("so_tai_khoan",),
                form=Parquet(),
                required={"chu_tai_khoan": "full_name"},
                operation="trang_thai",
                withdrawal="DONG",
            )
        ]


class SocialEvils(Office):
    """A sealed list: few fields, typed in the VNI font, the birth year alone."""

    code: ClassVar[str] = "social_evils"
    after = "additions"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        adult = (
            snapshot.alive
            & world.named
            & (snapshot.age >= 16)
            & (snapshot.age < 60)
            & ~world.flags("is_foreign")
        )
        people, slot = self.duplicated(world, np.flatnonzero(self.covered(world, snapshot, adult)))
        days = paper_days(world, snapshot, people, code=self.code, since="2015-01-01")
        return roster_of(people, slot=slot, household=home(snapshot), documented=days)

    def sheets(self, view: View) -> list[Sheet]:
        observed, delivery = view.observed, view.delivery
        table = text_table(
            observed.num_rows,
            SoHoSo=serial_text(observed, 7, prefix="TNXH"),
            HoTen=observed["full_name"],
            NamSinh=part_text(numbers(observed["birth_year"])),
            GioiTinh=sex_text(observed, "Nam", "Nữ"),
            Xa=observed["commune"],
            Huyen=observed["district"],
            Tinh=observed["province"],
            NgayLap=documented_text(observed, style="dmy"),
        )
        return [
            Sheet(
                file=f"TNXH_{delivery.stamp}.csv",
                source="files",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("SoHoSo",),
                form=Csv(encoding="vni"),
                required={"HoTen": "full_name"},
            )
        ]
