"""Numbers for people: a social-security number for those anchored in the population database, else a temporary one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.identity.events import EventKind, Events, json_numbers, json_strings, seal
from mdm.identity.ssn import NumberKind, NumberState
from mdm.pipeline.steps import PERSON, Context, StepResult

if TYPE_CHECKING:
    from mdm.store.engine import Bulk

_PEOPLE = pa.schema([("entity_key", pa.int64()), ("entity_id", pa.string()), ("anchored", pa.int64())])
_NUMBERS = pa.schema(
    [("entity_key", pa.int64()), ("number", pa.string()), ("kind", pa.string()), ("state", pa.string())]
)


def number_step(context: Context, store: Bulk) -> StepResult:
    anchors = sorted(code for code, declared in context.registries.items() if declared.anchor)
    _load_people(context, store, anchors)
    issued = {kind: _issue(context, store, kind) for kind in NumberKind}
    anchored = _anchor(context, store)
    deceased = _tell_deaths(context, store)
    total = context.workspace.connection.execute("SELECT COUNT(*) FROM person_number").fetchall()[0][0]
    return StepResult(
        total,
        {
            "issued": issued[NumberKind.SSN],
            "temporary": issued[NumberKind.TEMPORARY],
            "anchored": anchored,
            "deceased": deceased,
        },
    )


def _load_people(context: Context, store: Bulk, anchors: list[str]) -> None:
    """Table person_number: every active person, whether anchored, day of death, and the live numbers."""
    listed = ", ".join(f"'{code}'" for code in anchors) or "''"
    people = store.read(
        f"""
        SELECT e.entity_key, e.entity_id, MAX(CASE WHEN r.registry IN ({listed}) THEN 1 ELSE 0 END)
        FROM entity AS e
        JOIN membership AS m ON m.entity_key = e.entity_key AND m.until_event IS NULL
        JOIN record AS r ON r.record_id = m.record_id AND r.status = 'active'
        WHERE e.status = 'active' AND e.kind = '{PERSON}'
        GROUP BY e.entity_key, e.entity_id
        """,
        _PEOPLE,
    )
    goldens = store.read(
        """SELECT entity_key, "values" FROM golden WHERE until_event IS NULL AND "values" LIKE '%"death_date"%'""",
        pa.schema([("entity_key", pa.int64()), ("values", pa.string())]),
    )
    numbers = store.read(
        "SELECT entity_key, number, kind, state FROM ssn WHERE state <> 'superseded'", _NUMBERS
    )
    connection = context.workspace.connection
    for name, rows in (("people", people), ("goldens", goldens), ("numbers", numbers)):
        connection.register(name, rows)
    connection.execute(
        """
        CREATE OR REPLACE TABLE person_number AS
        SELECT p.entity_key, p.entity_id, p.anchored = 1 AS anchored, g."values" ->> '$.death_date' AS died_on,
            s.number AS ssn, s.state AS ssn_state, t.number AS temporary
        FROM people AS p
        LEFT JOIN goldens AS g USING (entity_key)
        LEFT JOIN (SELECT * FROM numbers WHERE kind = 'ssn' AND state <> 'cancelled') AS s USING (entity_key)
        LEFT JOIN (SELECT * FROM numbers WHERE kind = 'temporary' AND state <> 'cancelled') AS t USING (entity_key)
        ORDER BY p.entity_key
        """
    )
    for name in ("people", "goldens", "numbers"):
        connection.unregister(name)


def _issue(context: Context, store: Bulk, kind: NumberKind) -> int:
    """New numbers, in the order of the entities' keys."""
    connection = context.workspace.connection
    wanted = (
        "anchored AND ssn IS NULL"
        if kind is NumberKind.SSN
        else "NOT anchored AND ssn IS NULL AND temporary IS NULL"
    )
    people = connection.sql(
        f"SELECT entity_key, entity_id FROM person_number WHERE {wanted} ORDER BY entity_key"
    ).to_arrow_table()
    count = int(people.num_rows)
    if count == 0:
        return 0
    start = int(store.scalar(f"SELECT COALESCE(MAX(sequence), -1) FROM ssn WHERE kind = '{kind}'")) + 1
    numbers = pa.array(context.numbers.numbers(kind, start=start, count=count), pa.string())
    sequence = pa.array(np.arange(start, start + count))
    first = store.next_id("event", "seq")
    store.append(
        "event",
        seal(
            Events.bulk(
                EventKind.NUMBER_ISSUED,
                entity=people["entity_id"].combine_chunks(),
                data={
                    "kind": json_strings(pa.array([kind.value] * count)),
                    "number": json_strings(numbers),
                    "sequence": json_numbers(sequence),
                },
            ),
            first_seq=first,
            stamp=context.stamp(
                "anchored in the population database" if kind is NumberKind.SSN else "not anchored yet"
            ),
        ),
    )
    events = pa.array(np.arange(first, first + count))
    rows = pa.table(
        {
            "number": numbers,
            "kind": pa.array([kind.value] * count),
            "sequence": sequence,
            "entity_key": people["entity_key"],
            "state": pa.array([NumberState.ACTIVE.value] * count),
            "issued_event": events,
            "changed_event": events,
        }
    )
    store.append("ssn", rows)
    column = "ssn" if kind is NumberKind.SSN else "temporary"
    connection.register("issued", rows)
    connection.execute(
        f"UPDATE person_number SET {column} = i.number FROM issued AS i WHERE person_number.entity_key = i.entity_key"
    )
    if kind is NumberKind.SSN:
        connection.execute(
            "UPDATE person_number SET ssn_state = 'active' FROM issued AS i WHERE person_number.entity_key = i.entity_key"
        )
    connection.unregister("issued")
    return count


def _anchor(context: Context, store: Bulk) -> int:
    """A temporary number of someone who now has an SSN becomes an alias of it."""
    rows = context.workspace.connection.sql(
        "SELECT entity_id, temporary AS number, ssn AS heir FROM person_number WHERE ssn IS NOT NULL AND temporary IS NOT NULL ORDER BY entity_key"
    ).to_arrow_table()
    return _change(context, store, rows, state=NumberState.SUPERSEDED, reason="anchored")


def _tell_deaths(context: Context, store: Bulk) -> int:
    rows = context.workspace.connection.sql(
        "SELECT entity_id, ssn AS number, CAST(NULL AS VARCHAR) AS heir FROM person_number"
        " WHERE died_on IS NOT NULL AND ssn_state = 'active' ORDER BY entity_key"
    ).to_arrow_table()
    return _change(context, store, rows, state=NumberState.DECEASED, reason="death")


def _change(context: Context, store: Bulk, rows: pa.Table, *, state: NumberState, reason: str) -> int:
    count = int(rows.num_rows)
    if count == 0:
        return 0
    first = store.next_id("event", "seq")
    data = {
        "number": json_strings(rows["number"].combine_chunks()),
        "state": json_strings(pa.array([state.value] * count)),
    }
    if state is NumberState.SUPERSEDED:
        data["superseded_by"] = json_strings(rows["heir"].combine_chunks())
    store.append(
        "event",
        seal(
            Events.bulk(EventKind.NUMBER_CHANGED, entity=rows["entity_id"].combine_chunks(), data=data),
            first_seq=first,
            stamp=context.stamp(reason),
        ),
    )
    store.stage(
        "changed_number",
        rows.select(["number", "heir"]).append_column("seq", pa.array(np.arange(first, first + count))),
    )
    store.execute(
        f"UPDATE ssn SET state = '{state}', superseded_by = c.heir, changed_event = c.seq FROM changed_number AS c WHERE ssn.number = c.number"
    )
    return count
