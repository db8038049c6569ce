"""One office's two deliveries: roster, observation, sheets, faulty rows, files, and the truth about each row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.simulation.deliveries import tags
from mdm.simulation.deliveries.observe import DETAILS, Context, observe
from mdm.simulation.deliveries.offices.base import (
    CORRECTED,
    NEW,
    UNCHANGED,
    WITHDRAWN,
    Delivery,
    Office,
    Sheet,
    View,
)
from mdm.simulation.deliveries.spoil import Spoiled, spoiled
from mdm.simulation.deliveries.world import Rows, Snapshot, numbers
from mdm.simulation.truth import RECORD_COLUMNS, REJECT_COLUMNS, local_ids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NO_PERSON = -1


@dataclass
class Delivered:
    """What the truth will say of a registry."""

    records: list[pa.Table] = field(default_factory=list)
    rejects: list[pa.Table] = field(default_factory=list)
    rows: int = 0


def deliver(
    context: Context,
    office: Office,
    *,
    snapshots: Sequence[Snapshot],
    deliveries: Sequence[Delivery],
    out: Path,
) -> Delivered:
    result = Delivered()
    first = first_observation(context, office, snapshots[0])
    _write(office, View(context, snapshots[0], first, deliveries[0]), out=out, result=result)
    if office.code in context.copied:
        context.lists[office.code] = first
    second = second_observation(context, office, snapshots[1], first)
    _write(office, View(context, snapshots[1], second, deliveries[1]), out=out, result=result)
    return result


def first_observation(context: Context, office: Office, snapshot: Snapshot) -> pa.Table:
    roster = office.roster(context, snapshot)
    observed = observe(context, snapshot, roster, code=office.code, part="first")
    return _numbered(observed, np.arange(observed.num_rows), np.full(observed.num_rows, NEW))


def _numbered(observed: pa.Table, serial: Rows, operation: Rows) -> pa.Table:
    return observed.append_column("serial", pa.array(serial, pa.int64())).append_column(
        "operation", pa.array(operation, pa.int64())
    )


def second_observation(context: Context, office: Office, snapshot: Snapshot, first: pa.Table) -> pa.Table:
    """New and changed records and, as the office's way is, withdrawn or unchanged ones."""
    roster = office.roster(context, snapshot)
    before, now = numbers(first["identity"]), numbers(roster["identity"])
    joined_in = np.flatnonzero(~np.isin(now, before))
    new = observe(context, snapshot, roster.take(pa.array(joined_in)), code=office.code, part="second")
    new = _numbered(new, first.num_rows + np.arange(len(joined_in)), np.full(len(joined_in), NEW))

    order = np.argsort(before, kind="stable")
    staying = np.flatnonzero(np.isin(now, before))
    was = order[np.searchsorted(before[order], now[staying])]  # its row in the first delivery
    changed, unchanged = _changes(
        context, office, snapshot, first.take(pa.array(was)), roster.take(pa.array(staying))
    )
    left = first.take(pa.array(np.flatnonzero(~np.isin(before, now))))
    if office.after == "changes":
        return pa.concat_tables([new, changed, _operation(left, WITHDRAWN)]).combine_chunks()
    if office.after == "snapshot":
        return pa.concat_tables([unchanged, changed, new]).combine_chunks()
    return pa.concat_tables([changed, new]).combine_chunks()


def _changes(
    context: Context, office: Office, snapshot: Snapshot, old: pa.Table, roster: pa.Table
) -> tuple[pa.Table, pa.Table]:
    """Those who moved get the new address, those who were corrected the true details; the rest stays as it was."""
    world = context.world
    person = numbers(old["person"])
    moved = (numbers(old["household"]) != numbers(roster["household"])) & (
        world.luck("tells of move", office.code)[person] < 0.8
    )
    change = world.settings.registries[office.code].change
    luck = world.luck("corrected", office.code)[person]
    faulty = (
        numbers(old["tags"]) & int(tags.Tag.NAME_ERROR | tags.Tag.BIRTH_ERROR | tags.Tag.NUMBER_ERROR) > 0
    )
    corrected = luck < np.where(faulty, min(change.corrected * 10, 0.5), change.corrected / 10)
    if "gone" in roster.column_names:
        gone = roster["gone"].combine_chunks().to_numpy(zero_copy_only=False)
        corrected |= gone & ~old["gone"].combine_chunks().to_numpy(zero_copy_only=False)
    dropped = world.luck("withdrawn", office.code)[person] < change.withdrawn
    touched = np.flatnonzero((moved | corrected) & ~dropped)
    day = pa.array(np.full(len(touched), snapshot.day), pa.date32())
    fresh_roster = roster.take(pa.array(touched))
    kept = {name: old[name].take(pa.array(touched)) for name in office.fixed}
    for name, column in {"documented": day, **kept}.items():
        fresh_roster = fresh_roster.set_column(fresh_roster.schema.get_field_index(name), name, column)
    rates = office.faults(world).of_addresses()
    fresh = observe(context, snapshot, fresh_roster, code=office.code, part="changes", faults=rates)
    fresh = _numbered(fresh, numbers(old["serial"])[touched], np.full(len(touched), CORRECTED))
    fresh = _details_kept(fresh, old.take(pa.array(touched)), ~corrected[touched])
    withdrawn = _operation(old.take(pa.array(np.flatnonzero(dropped))), WITHDRAWN)
    stays = np.ones(old.num_rows, dtype=bool)
    stays[touched] = False
    stays[dropped] = False
    changed = pa.concat_tables([fresh, withdrawn]) if office.after == "changes" else fresh
    return changed, _operation(old.take(pa.array(np.flatnonzero(stays))), UNCHANGED)


def _details_kept(fresh: pa.Table, old: pa.Table, kept: np.ndarray) -> pa.Table:
    """Where only the address changed, name, birthday and numbers stay as they were, errors and all."""
    source = np.where(kept, np.arange(fresh.num_rows), fresh.num_rows + np.arange(fresh.num_rows))
    for name in DETAILS:
        both = pa.concat_arrays([old[name].combine_chunks(), fresh[name].combine_chunks()])
        fresh = fresh.set_column(fresh.schema.get_field_index(name), name, both.take(pa.array(source)))
    return fresh


def _operation(table: pa.Table, operation: int) -> pa.Table:
    values = pa.array(np.full(table.num_rows, operation), pa.int64())
    return table.set_column(table.schema.get_field_index("operation"), "operation", values)


def _write(office: Office, view: View, *, out: Path, result: Delivered) -> None:
    """A sheet without rows is not sent."""
    world, delivery = view.context.world, view.delivery
    folder = out / f"delivery-{delivery.number}" / office.code
    share = office.faults(world).refused
    for sheet in office.sheets(view):
        if sheet.table.num_rows == 0:
            continue
        random = world.stream("spoil", office.code, delivery.number, sheet.file, sheet.source)
        made = spoiled(sheet, share=share, corrects=delivery.number == 2, random=random)
        if sheet.kind != "renumbering":
            result.records.append(_records(office, sheet, made, view.observed, delivery))
        if sheet.form is not None:
            folder.mkdir(parents=True, exist_ok=True)
            row_numbers = sheet.form.write(folder / sheet.file, made.table, made.malformed)
            result.rows += made.table.num_rows
            result.rejects.append(_rejects(office, sheet, made, row_numbers, delivery))


def _records(office: Office, sheet: Sheet, made: Spoiled, observed: pa.Table, delivery: Delivery) -> pa.Table:
    """Records that this delivery brings for the first time. A household counts as new with any of its new members;
    the registry's earlier entry for it stands (see `first_mentions`).
    """
    good = np.flatnonzero(made.rows >= 0)
    rows = made.rows[good]
    if sheet.kind == "person":
        fresh = numbers(observed["operation"])[rows] == NEW
        good, rows = good[fresh], rows[fresh]
    one = observed.take(pa.array(rows))
    count = len(rows)
    household = sheet.kind == "household"
    nobody = pa.array(np.full(count, _NO_PERSON), pa.int64())
    bits = numbers(one["tags"]) | (numbers(one["marks"]) if "marks" in one.column_names else 0)
    return pa.table(
        {
            "registry": pa.array([office.code] * count, pa.string()),
            "local_id": local_ids(made.table.take(pa.array(good)), key=sheet.key),
            "kind": pa.array([sheet.kind] * count, pa.string()),
            "person_id": nobody if household else one["person"],
            "actual_person_id": nobody if household else one["actual"],
            "household_id": one["household"],
            "delivery": pa.array([delivery.number] * count, pa.int32()),
            "tags": pa.nulls(count, pa.list_(pa.string())) if household else tags.words(bits),
        },
        schema=RECORD_COLUMNS,
    )


def _rejects(office: Office, sheet: Sheet, made: Spoiled, row_numbers: Rows, delivery: Delivery) -> pa.Table:
    bad = np.flatnonzero(made.rows < 0)
    count = len(bad)
    return pa.table(
        {
            "registry": pa.array([office.code] * count, pa.string()),
            "delivery": pa.array([delivery.number] * count, pa.int32()),
            "file": pa.array([sheet.file] * count, pa.string()),
            "row_number": row_numbers[bad],
            "reason": made.reason.take(pa.array(bad)),
        },
        schema=REJECT_COLUMNS,
    )


def first_mentions(records: pa.Table) -> pa.Table:
    """One row a record: a row sent again (a replayed file, a household of both deliveries) counts where it came first."""
    key = pa.compute.binary_join_element_wise(records["kind"], records["local_id"], "\t").combine_chunks()
    codes = key.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return records.take(pa.array(np.sort(np.unique(codes, return_index=True)[1])))
