"""The offices of Vietnam Social Security: social, unemployment and health insurance."""

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
from mdm.simulation.deliveries.offices.identity import RELATIONS_VI
from mdm.simulation.deliveries.offices.text import birth_text, coded, joined, padded, scattered
from mdm.simulation.deliveries.world import RELATION_WORDS, Mask, Rows, Snapshot, World, numbers, valid
from mdm.simulation.deliveries.writing.forms import Csv

if TYPE_CHECKING:
    from mdm.simulation.deliveries.observe import Context

_OPERATIONS = {NEW: "T", CORRECTED: "D", WITHDRAWN: "G"}  # tăng, điều chỉnh, giảm


def insured_workers(office: Office, context: Context, snapshot: Snapshot) -> Mask:
    world = context.world
    workers = snapshot.alive & world.named & world.among("occupation_status", "formal_employee", "soldier")
    workers &= valid(world.column("social_insurance_no")) & snapshot.known & (snapshot.age >= 15)
    return office.covered(world, snapshot, workers, group="compulsory", luck="insured")


class SocialInsurance(Office):
    """Compulsory and voluntary. A worker under borrowed papers has the lender's number beside his own employer."""

    code: ClassVar[str] = "social_insurance"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        workers = np.flatnonzero(insured_workers(self, context, snapshot))
        people, slot = self.duplicated(world, workers)
        voluntary = (
            snapshot.alive
            & world.named
            & world.among("occupation_status", "self_employed", "farmer", "unemployed")
        )
        voluntary &= snapshot.known & (snapshot.age >= 18)
        own = np.flatnonzero(self.covered(world, snapshot, voluntary, group="voluntary"))
        actual = np.concatenate([people, own])
        slot = np.concatenate([slot, np.zeros(len(own), dtype=np.int64)])
        described, borrowed = self._lenders(world, actual, slot)
        slot = np.where(borrowed, 2, slot)
        keep = _first_of_each(described * 4 + slot)
        described, actual, slot = described[keep], actual[keep], slot[keep]
        return roster_of(
            described,
            slot=slot,
            household=home(snapshot),
            documented=paper_days(world, snapshot, actual, code=self.code, since="2008-01-01"),
            actual=actual,
            employer=_employers(world, actual, slot),
            voluntary=np.isin(actual, own),
        )

    def _lenders(self, world: World, actual: Rows, slot: Rows) -> tuple[Rows, Mask]:
        """Some workers show the papers of a relative of their sex: the next elder brother or sister, else the parent."""
        parent = np.where(world.female, world.integers("mother_id"), world.integers("father_id"))
        sibling = _elder_sibling(world)
        relative = np.where(sibling >= 0, sibling, parent)[actual]
        has = valid(world.column("social_insurance_no")) & world.of_today & world.named
        borrows = (slot == 0) & (world.luck("borrows papers")[actual] < world.settings.active.borrowed)
        borrows &= (relative >= 0) & has[relative]
        return np.where(borrows, relative, actual), borrows

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        voluntary = observed["voluntary"].combine_chunks().to_numpy(zero_copy_only=False)
        return [
            self._compulsory(context, *selected(observed, ~voluntary), delivery),
            self._voluntary(*selected(observed, voluntary), delivery),
        ]

    def _compulsory(self, context: Context, part: pa.Table, rows: Rows, delivery: Delivery) -> Sheet:
        employer = numbers(part["employer"])
        taxes = context.world.population.employers["tax_code"].combine_chunks()
        table = text_table(
            part.num_rows,
            MA_HS=serial_text(part, 9, prefix="BB"),
            MA_SO_BHXH=part["social_insurance_no"],
            HO_TEN=part["full_name"],
            NGAY_SINH=birth_text(part, style="dmy"),
            PHAI=sex_text(part, "1", "0"),
            SO_CCCD=part["personal_id"],
            SO_CMND=part["cmnd"],
            MST_DON_VI=taxes.take(pa.array(employer, mask=employer < 0)),
            DIEN_THOAI=part["phone"],
            DIA_CHI=part["street"],
            XA=part["commune"],
            HUYEN=part["district"],
            TINH=part["province"],
            TU_NGAY=documented_text(part, style="dmy"),
            BIEN_DONG=operation_text(part, _OPERATIONS),
        )
        return Sheet(
            file=f"BHXH_BB_{delivery.stamp}.txt",
            source="compulsory",
            table=table,
            rows=rows,
            key=("MA_HS",),
            form=Csv(delimiter="|"),
            required={"HO_TEN": "full_name"},
            operation="BIEN_DONG",
            withdrawal="G",
        )

    def _voluntary(self, part: pa.Table, rows: Rows, delivery: Delivery) -> Sheet:
        table = text_table(
            part.num_rows,
            SoHoSo=serial_text(part, 9, prefix="TN"),
            MaSo=part["social_insurance_no"],
            HoTen=part["full_name"],
            NgaySinh=birth_text(part, style="dmy_dashes"),
            Nu=sex_text(part, "", "x"),
            Nam=sex_text(part, "x", ""),
            SoGiayTo=pc.coalesce(part["personal_id"].combine_chunks(), part["cmnd"].combine_chunks()),
            DiaChi=joined(*(part[name] for name in ("street", "commune", "district", "province"))),
            NgayThamGia=documented_text(part, style="dmy_dashes"),
            BienDong=operation_text(part, _OPERATIONS),
        )
        return Sheet(
            file=f"BHXH_TN_{delivery.stamp}.csv",
            source="voluntary",
            table=table,
            rows=rows,
            key=("SoHoSo",),
            form=Csv(delimiter=";", encoding="tcvn3"),
            required={"HoTen": "full_name"},
            operation="BienDong",
            withdrawal="G",
        )


class UnemploymentInsurance(Office):
    code: ClassVar[str] = "unemployment_insurance"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        workers = insured_workers(_SOCIAL, context, snapshot) & world.among(
            "occupation_status", "formal_employee"
        )
        people, slot = self.duplicated(world, np.flatnonzero(self.covered(world, snapshot, workers)))
        return roster_of(
            people,
            slot=slot,
            household=home(snapshot),
            documented=paper_days(world, snapshot, people, code=self.code, since="2009-01-01"),
            employer=_employers(world, people, slot),
        )

    def sheets(self, view: View) -> list[Sheet]:
        context, observed, delivery = view.context, view.observed, view.delivery
        employer = numbers(observed["employer"])
        employers = context.world.population.employers
        table = text_table(
            observed.num_rows,
            MaHoSo=serial_text(observed, 9),
            MaSoBHXH=observed["social_insurance_no"],
            HoVaTen=observed["full_name"],
            NgaySinh=birth_text(observed, style="dmy"),
            GioiTinh=sex_text(observed, "Nam", "Nữ"),
            SoCCCD=observed["personal_id"],
            MSTDonVi=employers["tax_code"].combine_chunks().take(pa.array(employer, mask=employer < 0)),
            TenDonVi=employers["name"].combine_chunks().take(pa.array(employer, mask=employer < 0)),
            DienThoai=observed["phone"],
            Xa=observed["commune"],
            Huyen=observed["district"],
            Tinh=observed["province"],
            ThangDong=documented_text(observed, style="dmy"),
            BienDong=operation_text(observed, _OPERATIONS),
        )
        return [
            Sheet(
                file=f"BHTN_{delivery.stamp}.csv",
                source="participants",
                table=table,
                rows=np.arange(observed.num_rows),
                key=("MaHoSo",),
                form=Csv(delimiter=";", encoding="cp1258"),
                required={"HoVaTen": "full_name"},
                operation="BienDong",
                withdrawal="G",
            )
        ]


class HealthInsurance(Office):
    """Family lists: households in one file, their members in another."""

    code: ClassVar[str] = "health_insurance"

    def roster(self, context: Context, snapshot: Snapshot) -> pa.Table:
        world = context.world
        eligible = snapshot.alive & world.named & (home(snapshot) >= 0) & ~world.flags("is_foreign")
        people, slot = self.duplicated(world, np.flatnonzero(self.covered(world, snapshot, eligible)))
        return roster_of(
            people,
            slot=slot,
            household=home(snapshot),
            documented=paper_days(world, snapshot, people, code=self.code, since="2014-01-01"),
        )

    def sheets(self, view: View) -> list[Sheet]:
        context, snapshot, observed, delivery = view.context, view.snapshot, view.observed, view.delivery
        order = np.argsort(numbers(observed["household"]), kind="stable")
        members = observed.take(pa.array(order))
        household = numbers(members["household"])
        first = np.flatnonzero(np.diff(household, prepend=-1) != 0)
        number = padded(scattered(household, 9), 9)
        people = numbers(members["person"])
        kept_cards = context.world.luck("old card at the insurance")[people] < 0.2
        old_card = context.world.column("health_card_previous").take(pa.array(people))
        card = pc.if_else(
            pc.and_(pa.array(kept_cards), pc.is_valid(old_card)), old_card, members["health_card_no"]
        )
        table = text_table(
            members.num_rows,
            MaThanhVien=serial_text(members, 10),
            MaHo=number,
            HoTen=members["full_name"],
            NgaySinh=birth_text(members, style="dmy"),
            GioiTinh=sex_text(members, "1", "2"),
            SoDDCN=members["personal_id"],
            MaThe=card,
            QuanHe=coded(pa.array(RELATION_WORDS).take(pa.array(snapshot.relation[people])), RELATIONS_VI),
            SDT=members["phone"],
            NgayLap=documented_text(members, style="iso"),
            PhuongAn=operation_text(members, _OPERATIONS),
        )
        member_sheet = Sheet(
            file=f"BHYT_TV_{delivery.stamp}.csv",
            source="members",
            table=table,
            rows=order,
            key=("MaThanhVien",),
            form=Csv(),
            required={"HoTen": "full_name"},
            operation="PhuongAn",
            withdrawal="G",
        )
        lists = _households(view, members, number, first=first, rows=order[first])
        return [lists, member_sheet]


_SOCIAL = SocialInsurance()


def _households(view: View, members: pa.Table, number: pa.Array, *, first: Rows, rows: Rows) -> Sheet:
    """One row a household, at the rows `first` of its members; its address is that of its first member."""
    world = view.context.world
    leading = members.take(pa.array(first))
    head = numbers(world.population.households["head_id"])[numbers(leading["household"])]
    registered = view.snapshot.registered_household
    sizes = np.bincount(registered[registered >= 0], minlength=world.population.households.num_rows)
    table = text_table(
        len(first),
        MaHo=number.take(pa.array(first)),
        ChuHo=by_person(world, "full_name", head),
        SoNguoi=pa.array(sizes[numbers(leading["household"])]).cast(pa.string()),
        DiaChi=leading["street"],
        Xa=leading["commune"],
        Huyen=leading["district"],
        Tinh=leading["province"],
        NgayLap=documented_text(leading, style="iso"),
    )
    return Sheet(
        file=f"BHYT_HO_{view.delivery.stamp}.csv",
        source="households",
        table=table,
        rows=rows,
        key=("MaHo",),
        form=Csv(),
        kind="household",
        spoilable=False,
    )


def _employers(world: World, people: Rows, slot: Rows) -> Rows:
    """A second record is with another employer."""
    employer = world.integers("employer_id")[people]
    count = world.population.employers.num_rows
    return np.where((slot > 0) & (employer >= 0), (employer * 31 + 17) % max(count, 1), employer)


def _first_of_each(identity: Rows) -> Rows:
    return np.sort(np.unique(identity, return_index=True)[1])


def _elder_sibling(world: World) -> Rows:
    """The next elder child of the same mother and sex; -1 for none."""
    mother = world.integers("mother_id")
    rows = np.flatnonzero(mother >= 0)
    order = rows[np.lexsort((world.birth[rows], world.female[rows], mother[rows]))]
    same = (mother[order][1:] == mother[order][:-1]) & (world.female[order][1:] == world.female[order][:-1])
    found = np.full(world.size, -1, dtype=np.int64)
    found[order[1:][same]] = order[:-1][same]
    return found
