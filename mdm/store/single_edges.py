"""The edges of a few records, read and replaced in one transaction; see `mdm.store.edges` for those of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, or_, select

from mdm.identity.events import EventKind
from mdm.identity.tally import tally
from mdm.store.tables import edge, edge_past, model

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mdm.identity.events import Stamp
    from mdm.store.unit_of_work import UnitOfWork

Pair = tuple[int, int]
Edge = tuple[float, str | None]
"""Weight in bits, and the name of a conflict."""

_STANDING = (
    select(edge)
    .join(model, model.c.hash == edge.c.model)
    .where(
        model.c.name == bindparam("name"),
        or_(
            edge.c.record_l.in_(bindparam("records", expanding=True)),
            edge.c.record_r.in_(bindparam("records", expanding=True)),
        ),
    )
)
_ADD, _ADD_PAST = insert(edge), insert(edge_past)
_DROP = delete(edge).where(edge.c.record_l == bindparam("left"), edge.c.record_r == bindparam("right"))


def edges_of(work: UnitOfWork, records: Collection[int], *, name: str) -> dict[Pair, Edge]:
    """All that touch one of the records; `name`: of the models that scored them."""
    if not records:
        return {}
    rows = work.connection.execute(_STANDING, {"records": list(records), "name": name}).all()
    return {(row.record_l, row.record_r): (row.weight, row.conflict) for row in rows}


def replace_edges(
    work: UnitOfWork,
    records: Collection[int],
    scored: Mapping[Pair, Edge],
    *,
    model: str,
    name: str,
    stamp: Stamp,
) -> None:
    """Makes the edges of `records` (those that have some) those that are `scored`, and tells what began and what ended."""
    standing = {}
    if records:
        rows = work.connection.execute(_STANDING, {"records": list(records), "name": name}).mappings()
        standing = {(row["record_l"], row["record_r"]): row for row in rows}
    gone = [
        row
        for pair, row in sorted(standing.items())
        if scored.get(pair) != (row["weight"], row["conflict"]) or row["model"] != model
    ]
    ended = {(row["record_l"], row["record_r"]) for row in gone}
    begun = [
        {"record_l": left, "record_r": right, "weight": weight, "conflict": conflict, "model": model}
        for (left, right), (weight, conflict) in sorted(scored.items())
        if (left, right) not in standing or (left, right) in ended
    ]
    if not gone and not begun:
        return
    told = ("record_l", "record_r", "weight", "conflict", "model")
    data = {
        "begun": tally([[row[part] for part in told] for row in begun]),
        "ended": tally([[row[part] for part in told] for row in gone]),
        "model": model,
    }
    (seq,) = work.append([(EventKind.EDGES_SCORED, None, data)], stamp=stamp)
    if gone:
        work.connection.execute(_ADD_PAST, [{**row, "until_event": seq} for row in gone])
        work.connection.execute(_DROP, [{"left": left, "right": right} for left, right in sorted(ended)])
    if begun:
        work.connection.execute(_ADD, [{**row, "from_event": seq} for row in begun])
