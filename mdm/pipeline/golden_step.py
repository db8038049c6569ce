"""Golden records of all people, kept where they differ from what stands."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

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
        find_affected(context.workspace, store, context.delta, housemates=context.by_housemates)
        affected = AFFECTED
    concerned = "" if affected is None else f" SEMI JOIN {affected} USING (entity)"
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW contribution AS FROM {records} JOIN membership USING (record){concerned}"
    )
    rules = context.rules[PERSON]
    survive_kind(context, rules, contributions="contribution", as_of=as_of)
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
    changed, total = write_changes(context, store, rules, as_of=as_of, affected=affected)
    return StepResult(
        total,
        {
            "changed": changed,
            "unchanged": total - changed,
            "aliases": aliases,
            "policy": rules.policy.hash,
            "moment": moment(context, store, rules, as_of=as_of),
        },
    )


def moment(context: Context, store: Bulk, rules: GoldenRules, *, as_of: date) -> dict[str, Any]:
    """At this event every golden record of the kind is of the members then and of what deliveries up to this one said: `mdm verify`
    computes them anew.
    """
    return {
        "event": store.next_id("event", "seq") - 1,
        "batch": context.workspace.landed,
        "as_of": as_of.isoformat(),
        "rules": rules.hash,
    }


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


def survive_kind(context: Context, rules: GoldenRules, *, contributions: str, as_of: date) -> None:
    """Table golden_now."""
    connection = context.workspace.connection
    connection.register("trust", trust_table(rules))
    survive_all(
        connection,
        policy=rules.policy,
        contributions=contributions,
        trust="trust",
        as_of=as_of,
        into="golden_now",
    )
    connection.unregister("trust")


def write_changes(
    context: Context, store: Bulk, rules: GoldenRules, *, as_of: date, affected: str | None
) -> tuple[int, int]:
    """Closes golden records of the rules' kind that no longer hold and opens their successors from golden_now; one event tells of all.

    Returns how many began, and how many there are in golden_now.
    """
    connection = context.workspace.connection
    standing = store.read(
        "SELECT g.golden_id, g.entity_key, g.hash, g.policy, g.as_of FROM golden AS g"
        " JOIN entity AS e ON e.entity_key = g.entity_key"
        f" WHERE g.until_event IS NULL AND e.kind = '{rules.policy.kind}'",
        _STANDING,
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
            n.hash, '{rules.policy.hash}' AS policy, '{as_of.isoformat()}' AS as_of
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
        "kind": rules.policy.kind,
        "rules": rules.hash,
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
