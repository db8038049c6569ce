"""Golden records of all people, kept where they differ from what stands."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from golden_record.batch import survive_all
from mdm.identity.events import EventKind
from mdm.pipeline.steps import PERSON, Context, StepResult
from mdm.store.aliases import write_aliases
from mdm.store.golden import ended_digest
from mdm.store.log import append_event

if TYPE_CHECKING:
    from mdm.store.engine import Bulk

_STANDING = pa.schema([("entity_key", pa.int64()), ("golden_id", pa.int64()), ("hash", pa.string())])


def golden_step(context: Context, store: Bulk) -> StepResult:
    connection = context.workspace.connection
    records = context.record_table()
    context.workspace.load_memberships()
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW contribution AS FROM {records} JOIN membership USING (record)"
    )
    trust = [
        {"registry": code, "attribute": attribute, "trust": value}
        for code, declared in context.registries.items()
        for attribute, value in declared.trust.items()
    ]
    connection.register("trust", pa.Table.from_pylist(trust))
    as_of = as_of_day(connection.execute(f"SELECT MAX(observed_on) FROM {records}").fetchall()[0][0])
    survive_all(
        connection,
        policy=context.policy,
        contributions="contribution",
        trust="trust",
        as_of=as_of,
        into="golden_now",
    )
    aliases = write_aliases(
        store,
        connection,
        contributions="contribution",
        columns={
            name: attribute.alias
            for name, attribute in context.attributes.person.items()
            if attribute.alias is not None
        },
        stamp=context.stamp("numbers of the records"),
    )
    connection.execute("DROP VIEW contribution")
    changed, total = _write_changes(context, store, as_of)
    return StepResult(
        total,
        {
            "changed": changed,
            "unchanged": total - changed,
            "aliases": aliases,
            "policy": context.policy.hash,
        },
    )


def as_of_day(newest: date | None) -> date:
    """The day from which ages are counted: the end of the newest record's year, so that it seldom moves."""
    return date((newest or date.min).year, 12, 31)


def _write_changes(context: Context, store: Bulk, as_of: date) -> tuple[int, int]:
    """Closes golden records that no longer hold and opens their successors; one event tells of all."""
    connection = context.workspace.connection
    standing = store.read(
        "SELECT entity_key, golden_id, hash FROM golden WHERE until_event IS NULL", _STANDING
    )
    connection.register("standing", standing)
    connection.execute(
        """
        CREATE OR REPLACE TABLE golden_changed AS
        SELECT n.entity, n.hash, s.golden_id AS former
        FROM golden_now AS n LEFT JOIN standing AS s ON s.entity_key = n.entity
        WHERE s.hash IS DISTINCT FROM n.hash
        """
    )
    # an entity that lost its last active record has no golden record any more
    ended = connection.sql(
        """
        SELECT former AS golden_id FROM golden_changed WHERE former IS NOT NULL
        UNION ALL SELECT golden_id FROM standing ANTI JOIN golden_now ON entity = entity_key
        """
    ).to_arrow_table()
    total = connection.execute("SELECT COUNT(*) FROM golden_now").fetchall()[0][0]
    changed, digest = connection.execute(
        "SELECT COUNT(*), sha256(string_agg(entity || ':' || hash, ',' ORDER BY entity)) FROM golden_changed"
    ).fetchall()[0]
    if changed == 0 and ended.num_rows == 0:
        return 0, total
    data = {
        "as_of": as_of.isoformat(),
        "changed": changed,
        "digest": digest,
        "ended": ended_digest(ended["golden_id"].to_pylist()),
        "kind": PERSON,
        "policy": context.policy.hash,
    }
    seq = append_event(store, EventKind.GOLDEN_COMPUTED, data, stamp=context.stamp("golden records"))
    if ended.num_rows:
        store.stage("ended_golden", ended)
        store.execute(
            f"UPDATE golden SET until_event = {seq} FROM ended_golden AS e WHERE golden.golden_id = e.golden_id"
        )
    first = store.next_id("golden", "golden_id")
    store.append(
        "golden",
        connection.sql(
            f"""
            SELECT {first} - 1 + row_number() OVER (ORDER BY entity) AS golden_id, entity AS entity_key, CAST({seq} AS BIGINT) AS from_event,
                "values", provenance, hash, '{context.policy.hash}' AS policy, '{as_of.isoformat()}' AS as_of
            FROM golden_now SEMI JOIN golden_changed USING (entity) ORDER BY entity
            """
        ).to_arrow_table(),
    )
    return changed, total
