"""Numbers for people: a social-security number for those anchored in the population database, else a temporary one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mdm.identity.events import EventKind, Events, json_numbers, json_strings
from mdm.identity.numbers import NumberKind, NumberState, Reason
from mdm.identity.reconcile import Question
from mdm.pipeline.delta import AFFECTED, find_affected
from mdm.pipeline.steps import PERSON, Context, StepResult
from mdm.store.log import append_events
from mdm.store.reviews import raise_reviews
from mdm.store.sequences import set_aside

if TYPE_CHECKING:
    from mdm.store.engine import Bulk

_PEOPLE = pa.schema([("entity_key", pa.int64()), ("entity_id", pa.string())])
_NUMBERS = pa.schema(
    [("entity_key", pa.int64()), ("number", pa.string()), ("kind", pa.string()), ("state", pa.string())]
)


def number_step(context: Context, store: Bulk) -> StepResult:
    _load_people(context, store)
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


def _load_people(context: Context, store: Bulk) -> None:
    """View person_number: every active person, whether anchored, day of death, and the live numbers (table number_now)."""
    people = store.read(
        f"SELECT entity_key, entity_id FROM entity WHERE status = 'active' AND kind = '{PERSON}'", _PEOPLE
    )
    goldens = store.read(
        """SELECT entity_key, "values" FROM golden WHERE until_event IS NULL AND "values" LIKE '%"death_date"%'""",
        pa.schema([("entity_key", pa.int64()), ("values", pa.string())]),
    )
    numbers = store.read(
        "SELECT entity_key, number, kind, state FROM ssn WHERE state <> 'superseded'", _NUMBERS
    )
    # a person may have said that the death was told in error
    dead_before = store.read(
        "SELECT DISTINCT number FROM ssn_past WHERE state = 'deceased'", pa.schema([("number", pa.string())])
    )
    connection, records = context.workspace.connection, context.record_table()
    context.workspace.load_memberships()
    concerned = ""
    if context.delta is not None:
        find_affected(context.workspace, store, context.delta)
        concerned = f" SEMI JOIN {AFFECTED} USING (entity)"
    given = {"people": people, "goldens": goldens, "numbers": numbers, "dead_before": dead_before}
    for name, rows in given.items():
        connection.register(name, rows)
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE number_now AS
        SELECT *, number IN (FROM dead_before) AS dead_before FROM numbers WHERE state <> 'cancelled';
        CREATE OR REPLACE TABLE anchored_person AS
        WITH member AS (
            SELECT entity AS entity_key, bool_or(list_contains({context.anchors!r}::VARCHAR[], registry)) AS anchored
            FROM membership JOIN {records} USING (record){concerned} GROUP BY entity
        )
        SELECT p.entity_key, p.entity_id, m.anchored, g."values" ->> '$.death_date' AS died_on
        FROM people AS p JOIN member AS m USING (entity_key) LEFT JOIN goldens AS g USING (entity_key);
        CREATE OR REPLACE VIEW person_number AS
        SELECT p.*, s.number AS ssn, s.state AS ssn_state, s.dead_before, t.number AS temporary
        FROM anchored_person AS p
        LEFT JOIN (FROM number_now WHERE kind = 'ssn') AS s USING (entity_key)
        LEFT JOIN (FROM number_now WHERE kind = 'temporary') AS t USING (entity_key)
        """
    )
    for name in given:
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
    start = set_aside(context.settings, store.scalar, kind, count=count, key=context.numbers.fingerprint)
    numbers = pa.array(context.numbers.numbers(kind, start=start, count=count), pa.string())
    sequence = pa.array(np.arange(start, start + count))
    reason = Reason.ANCHORED if kind is NumberKind.SSN else Reason.NOT_ANCHORED
    first = append_events(
        store,
        Events.bulk(
            EventKind.NUMBER_ISSUED,
            entity=people["entity_id"].combine_chunks(),
            data={
                "kind": json_strings(pa.array([kind.value] * count)),
                "number": json_strings(numbers),
                "reason": json_strings(pa.array([reason.value] * count)),
                "sequence": json_numbers(sequence),
            },
        ),
        stamp=context.stamp(
            "anchored in the population database" if kind is NumberKind.SSN else "not anchored yet"
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
            "reason": pa.array([reason.value] * count),
            "issued_event": events,
            "changed_event": events,
        }
    )
    store.append("ssn", rows)
    connection.register("issued", rows)
    connection.execute(
        "INSERT INTO number_now BY NAME SELECT entity_key, number, kind, state, false AS dead_before FROM issued"
    )
    connection.unregister("issued")
    return count


def _anchor(context: Context, store: Bulk) -> int:
    """A temporary number of someone who now has an SSN becomes an alias of it."""
    rows = context.workspace.connection.sql(
        "SELECT entity_id, temporary AS number, ssn AS heir FROM person_number WHERE ssn IS NOT NULL AND temporary IS NOT NULL ORDER BY entity_key"
    ).to_arrow_table()
    return _change(context, store, rows, state=NumberState.SUPERSEDED, reason=Reason.ANCHORED)


def _tell_deaths(context: Context, store: Bulk) -> int:
    """A death that a person has revoked is not told again; whether it was another one after all is a question."""
    dead = "FROM person_number WHERE died_on IS NOT NULL AND ssn_state = 'active'"
    connection = context.workspace.connection
    again = connection.execute(f"SELECT entity_key {dead} AND dead_before ORDER BY entity_key").fetchall()
    questions = [
        Question("death.revoked_before", f"death.revoked_before:{key}", {"entities": [key]})
        for (key,) in again
    ]
    raise_reviews(store, questions, stamp=context.stamp("questions of the numbers"))
    rows = connection.sql(
        f"SELECT entity_id, ssn AS number, CAST(NULL AS VARCHAR) AS heir {dead} AND NOT dead_before ORDER BY entity_key"
    ).to_arrow_table()
    return _change(context, store, rows, state=NumberState.DECEASED, reason=Reason.DEATH)


def _change(context: Context, store: Bulk, rows: pa.Table, *, state: NumberState, reason: Reason) -> int:
    count = int(rows.num_rows)
    if count == 0:
        return 0
    data = {
        "number": json_strings(rows["number"].combine_chunks()),
        "reason": json_strings(pa.array([reason.value] * count)),
        "state": json_strings(pa.array([state.value] * count)),
        "superseded_by": json_strings(rows["heir"].combine_chunks()),
    }
    first = append_events(
        store,
        Events.bulk(EventKind.NUMBER_CHANGED, entity=rows["entity_id"].combine_chunks(), data=data),
        stamp=context.stamp(reason),
    )
    store.stage(
        "changed_number",
        rows.select(["number", "heir"]).append_column("seq", pa.array(np.arange(first, first + count))),
    )
    store.execute(
        "INSERT INTO ssn_past (number, from_event, entity_key, state, superseded_by, reason, until_event)"
        " SELECT s.number, s.changed_event, s.entity_key, s.state, s.superseded_by, s.reason, c.seq"
        " FROM ssn AS s JOIN changed_number AS c ON c.number = s.number"
    )
    store.execute(
        f"UPDATE ssn SET state = '{state}', reason = '{reason}', superseded_by = c.heir, changed_event = c.seq FROM changed_number AS c WHERE ssn.number = c.number"
    )
    return count
