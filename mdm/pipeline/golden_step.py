"""Golden records of all people, kept where they differ from what stands."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from golden_record.batch import survive_all
from mdm.identity.events import EventKind
from mdm.identity.tally import tally_sql, told
from mdm.pipeline.delta import AFFECTED, find_affected
from mdm.pipeline.steps import PERSON, Context, StepResult
from mdm.store.aliases import write_aliases
from mdm.store.golden import GOLDEN_TALLY
from mdm.store.log import append_event, last_event

if TYPE_CHECKING:
    from mdm.store.engine import Bulk
    from mdm.store.golden import GoldenRules

_STANDING = pa.schema(
    [("golden_id", pa.int64()), ("entity_key", pa.int64())]
    + [(name, pa.string()) for name in ("hash", "policy", "as_of")]
)

_TRUST = pa.schema([("registry", pa.string()), ("attribute", pa.string()), ("trust", pa.float64())])


def golden_step(context: Context, store: Bulk) -> StepResult:
    connection = context.workspace.connection
    records = context.record_table()
    context.workspace.load_memberships()
    as_of = as_of_day(connection.execute(f"SELECT MAX(observed_on) FROM {records}").fetchall()[0][0])
    told = last_event(store, EventKind.GOLDEN_COMPUTED)
    affected = None
    if context.delta is not None and told is not None and told["as_of"] == as_of.isoformat():
        find_affected(context.workspace, store, context.delta)
        affected = AFFECTED
    concerned = "" if affected is None else f" SEMI JOIN {affected} USING (entity)"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW contribution AS FROM {records} JOIN membership USING (record){concerned}"
    )
    connection.register("trust", trust_table(context.golden_rules))
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
        of=affected,
    )
    connection.execute("DROP VIEW contribution")
    changed, total = _write_changes(context, store, as_of, affected)
    return StepResult(
        total,
        {
            "changed": changed,
            "unchanged": total - changed,
            "aliases": aliases,
            "policy": context.policy.hash,
            # at this event every golden record is of the members then and of what deliveries up to this one said
            "moment": {
                "event": store.next_id("event", "seq") - 1,
                "batch": context.workspace.landed,
                "as_of": as_of.isoformat(),
                "rules": context.golden_rules.hash,
            },
        },
    )


def trust_table(rules: GoldenRules) -> pa.Table:
    """As `survive_all` takes it."""
    declared = [
        {"registry": code, "attribute": attribute, "trust": value}
        for (code, attribute), value in rules.trust.declared.items()
    ]
    return pa.Table.from_pylist(declared, schema=_TRUST)


def as_of_day(newest: date | None) -> date:
    """The day from which ages are counted: the end of the newest record's year, so that it seldom moves."""
    return date((newest or date.min).year, 12, 31)


def _write_changes(context: Context, store: Bulk, as_of: date, affected: str | None) -> tuple[int, int]:
    """Closes golden records that no longer hold and opens their successors; one event tells of all."""
    connection = context.workspace.connection
    standing = store.read(
        "SELECT golden_id, entity_key, hash, policy, as_of FROM golden WHERE until_event IS NULL", _STANDING
    )
    connection.register("every_standing", standing)
    concerned = "" if affected is None else f" WHERE entity_key IN (FROM {affected})"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW standing AS FROM every_standing{concerned}")
    # an entity that lost its last active record has no golden record any more
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE golden_ended AS
        SELECT s.* FROM standing AS s LEFT JOIN golden_now AS n ON n.entity = s.entity_key WHERE n.hash IS DISTINCT FROM s.hash;
        CREATE OR REPLACE TABLE golden_begun AS
        SELECT {store.next_id("golden", "golden_id")} - 1 + row_number() OVER (ORDER BY n.entity) AS golden_id, n.entity AS entity_key,
            n.hash, '{context.policy.hash}' AS policy, '{as_of.isoformat()}' AS as_of
        FROM golden_now AS n LEFT JOIN standing AS s ON s.entity_key = n.entity WHERE s.hash IS DISTINCT FROM n.hash
        """
    )
    total = connection.execute("SELECT COUNT(*) FROM golden_now").fetchall()[0][0]
    tallies = {
        name: told(*connection.execute(f"SELECT {tally_sql(GOLDEN_TALLY)} FROM golden_{name}").fetchall()[0])
        for name in ("begun", "ended")
    }
    changed = int(tallies["begun"]["count"])
    if changed == 0 and tallies["ended"]["count"] == 0:
        return 0, total
    data = {
        **tallies,
        "as_of": as_of.isoformat(),
        "batch": context.workspace.landed,
        "kind": PERSON,
        "rules": context.golden_rules.hash,
    }
    seq = append_event(store, EventKind.GOLDEN_COMPUTED, data, stamp=context.stamp("golden records"))
    if tallies["ended"]["count"]:
        store.stage("ended_golden", connection.sql("SELECT golden_id FROM golden_ended").to_arrow_table())
        store.execute(
            f"UPDATE golden SET until_event = {seq} FROM ended_golden AS e WHERE golden.golden_id = e.golden_id"
        )
    store.append(
        "golden",
        connection.sql(
            f"""
            SELECT b.*, CAST({seq} AS BIGINT) AS from_event, n."values", n.provenance
            FROM golden_begun AS b JOIN golden_now AS n ON n.entity = b.entity_key ORDER BY b.golden_id
            """
        ).to_arrow_table(),
    )
    return changed, total
