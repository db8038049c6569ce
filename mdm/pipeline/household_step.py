"""Households, after the people of the run: records of lists linked by whom they have in common.

All households are looked at in every run, also where people were looked at by what changed: a person who moved changes what two lists
have in common, far from any record of theirs that changed. So a run over what changed finds what a full run finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from matching.batch import score_pairs
from matching.blocking import make_keys, make_pairs
from matching.cluster import cluster
from matching.clustering.constraints import Exclusion
from matching.clustering.inputs import NO_CONFLICT, Edges
from matching.train_blocked import train_blocked
from mdm.pipeline.clustering import read_decisions, rules_of
from mdm.pipeline.golden_step import as_of_day, moment, survive_kind, write_changes
from mdm.pipeline.reconcile_step import rearrange, reconcile_step
from mdm.pipeline.steps import PERSON, Context, StepResult
from mdm.store.edges import write_edges
from mdm.store.models import current_model, keep_model, promote_model
from mdm.store.rosters import DEAD, HOUSEHOLD, LISTS, make_rosters

if TYPE_CHECKING:
    from matching.artefact import TrainedModel
    from matching.model import Model
    from mdm.pipeline.workspace import Workspace
    from mdm.store.engine import Bulk

CLUSTERS, EDGES, LISTED, RECORDS, ROSTER = (
    "household_cluster",
    "household_edge",
    "household_listed",
    "household_record",
    "household_roster",
)
_MADE = ("members", "head")
_ENTITIES = pa.schema([("entity", pa.int64()), ("entity_id", pa.string())])
_KEYS = pa.schema([("record", pa.int64()), ("local_id", pa.string())])
_DEAD = pa.schema([("entity", pa.int64())])


def household_step(context: Context, store: Bulk) -> StepResult:
    """Scores the records of households and saves their clusters."""
    model = context.household_model
    if model is None or _load(context) == 0:
        return StepResult(0)
    _make_rosters(context, store)
    _make_features(context, model)
    connection = context.workspace.connection
    make_keys(connection, model, records=HOUSEHOLD, into="household_key")
    reports = make_pairs(connection, model, keys="household_key", into="household_pair")
    # two lists of people with nobody in common are two households, whatever their heads are called
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE household_pair AS
        SELECT join_key_l, join_key_r FROM household_pair AS p
        JOIN {HOUSEHOLD} AS l ON l.record_id = p.join_key_l JOIN {HOUSEHOLD} AS r ON r.record_id = p.join_key_r
        WHERE l.members IS NULL OR r.members IS NULL OR list_has_any(l.members, r.members)
        """
    )
    trained, fresh = _trained(context, store, model)
    scored = score_pairs(connection, trained, records=HOUSEHOLD, pairs="household_pair", into=EDGES)
    connection.execute("DROP TABLE household_key; DROP TABLE household_pair")
    changes = write_edges(
        store,
        connection,
        scored=EDGES,
        model=trained.hash,
        stamp=context.stamp("households scored"),
        of=None,
        name=model.name,
    )
    clusters, refused = _cluster(context, store, trained)
    context.workspace.put(CLUSTERS, clusters)
    context.workspace.save(CLUSTERS, f"SELECT * FROM {CLUSTERS} ORDER BY record_id")
    return StepResult(
        clusters.num_rows,
        {
            "model": trained.hash,
            "trained": fresh,
            "pairs": scored.pairs,
            "edges": scored.edges,
            "added": changes.added,
            "removed": changes.removed,
            "refused_edges": refused,
            "skipped_pairs": sum(report.skipped_pairs for report in reports),
            "clusters": len(np.unique(clusters["cluster"].to_numpy())),
        },
    )


def rearrange_households(context: Context) -> None:
    if context.workspace.path(f"{CLUSTERS}.parquet").exists():
        rearrange(context, HOUSEHOLD, CLUSTERS)


def household_reconcile_step(context: Context, store: Bulk) -> StepResult:
    if not context.workspace.has_table(CLUSTERS):
        return StepResult(0)
    return reconcile_step(context, store, HOUSEHOLD)


def household_golden_step(context: Context, store: Bulk) -> StepResult:
    """Every household anew: its members are told by records of people, which may have gone to other people."""
    if context.household_model is None or (_load(context) == 0 and _standing(store) == 0):
        return StepResult(0)
    connection, people = context.workspace.connection, context.record_table()
    # the people as they are now, whoever changed them since the records were scored
    _make_rosters(context, store)
    as_of = as_of_day(connection.execute(f"SELECT MAX(observed_on) FROM {people}").fetchall()[0][0])
    rules = context.rules[HOUSEHOLD]
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP VIEW household_contribution AS
        SELECT r.*, m.entity, w.members, w.head_person, w.poverty_years
        FROM {RECORDS} AS r JOIN membership AS m USING (record) JOIN {ROSTER} AS w USING (record)
        """
    )
    survive_kind(context, rules, contributions="household_contribution", as_of=as_of)
    connection.execute("DROP VIEW household_contribution")
    changed, total = write_changes(context, store, rules, as_of=as_of, affected=None)
    return StepResult(
        total,
        {
            "changed": changed,
            "unchanged": total - changed,
            "policy": rules.policy.hash,
            "moment": moment(context, store, rules, as_of=as_of),
        },
    )


def _load(context: Context) -> int:
    """Once per process: table RECORDS, of households."""
    context.record_table()
    work = context.workspace
    return (
        _count(work, RECORDS) if work.has_table(RECORDS) else work.load_records(HOUSEHOLD, context.attributes)
    )


def _standing(store: Bulk) -> int:
    """Golden records of households that stand."""
    return int(
        store.scalar(
            "SELECT COUNT(*) FROM golden AS g JOIN entity AS e ON e.entity_key = g.entity_key"
            f" WHERE g.until_event IS NULL AND e.kind = '{HOUSEHOLD}'"
        )
    )


def _make_rosters(context: Context, store: Bulk) -> None:
    """Table ROSTER: who stands on which record, and who of them is dead, as the store has it now; loads the memberships."""
    _load_listed(context, store)
    keys = store.read(f"SELECT record_id AS record, local_id FROM record WHERE kind = '{HOUSEHOLD}'", _KEYS)
    connection = context.workspace.connection
    connection.register("household_keys", keys)
    given = {name for name, *_ in connection.execute(f"DESCRIBE {RECORDS}").fetchall()}
    listed = ", ".join(
        name if name in given | {"local_id"} else f"NULL::VARCHAR AS {name}" for name in LISTS.names
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE household_list AS SELECT {listed} FROM {RECORDS} JOIN household_keys USING (record)"
    )
    connection.unregister("household_keys")
    make_rosters(connection, lists="household_list", listed=LISTED, into=ROSTER)


def _load_listed(context: Context, store: Bulk) -> None:
    """Records of people that name a household."""
    connection, people = context.workspace.connection, context.record_table()
    context.workspace.load_memberships()
    given = {
        "entities": store.read(
            f"SELECT entity_key AS entity, entity_id FROM entity WHERE kind = '{PERSON}' AND status = 'active'",
            _ENTITIES,
        ),
        "dead": store.read(
            f"SELECT entity_key AS entity FROM golden WHERE until_event IS NULL AND {DEAD}",
            _DEAD,
        ),
    }
    for name, rows in given.items():
        connection.register(name, rows)
    columns = {name for name, *_ in connection.execute(f"DESCRIBE {people}").fetchall()}
    said = ", ".join(
        f"p.{name}" if name in columns else f"NULL::VARCHAR AS {name}"
        for name in ("household_ref", "head_relation", "full_name", "personal_id")
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE {LISTED} AS
        SELECT p.registry, {said}, e.entity_id AS entity, m.entity IN (FROM dead) AS dead
        FROM {people} AS p JOIN membership AS m USING (record) JOIN entities AS e ON e.entity = m.entity
        WHERE {"p.household_ref IS NOT NULL" if "household_ref" in columns else "false"}
        """
    )
    for name in given:
        connection.unregister(name)


def _make_features(context: Context, model: Model) -> None:
    """Table `household`: features of the records' attributes, and of who stands on them."""
    work = context.workspace
    connection = work.connection
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW household_named AS SELECT r.* REPLACE (w.head_name AS head_name)"
        f" FROM {RECORDS} AS r JOIN {ROSTER} AS w USING (record)"
    )
    wanted = [name for name in model.feature_columns if name not in _MADE]
    work.make_features(HOUSEHOLD, wanted, context.attributes, records="household_named")
    connection.execute("DROP VIEW household_named")
    connection.execute(
        f"CREATE OR REPLACE TABLE {HOUSEHOLD} AS"
        f" SELECT h.*, w.everyone AS members, w.head FROM {HOUSEHOLD} AS h JOIN {ROSTER} AS w ON w.record = h.record_id"
    )


def _trained(context: Context, store: Bulk, model: Model) -> tuple[TrainedModel, bool]:
    """The present model serves where it is of this declaration."""
    present = current_model(store, model.name)
    if present is not None and present.declaration == model:
        return present, False
    trained = train_blocked(context.workspace.connection, model, records=HOUSEHOLD, pairs="household_pair")
    keep_model(store, trained, stamp=context.stamp("trained"))
    # no number hangs on a household: what is declared is in force
    promote_model(store, trained.hash, stamp=context.stamp("the first of its declaration"))
    return trained, True


def _cluster(context: Context, store: Bulk, trained: TrainedModel) -> tuple[pa.Table, int]:
    """Clusters (record_id, cluster), and how many edges were strong enough but would join two households of one list."""
    connection = context.workspace.connection
    rows = connection.execute(
        f"SELECT record_l, record_r, weight, CAST({NO_CONFLICT} AS BIGINT) AS conflict FROM {EDGES}"
    ).fetchnumpy()
    edges = Edges(rows["record_l"], rows["record_r"], rows["weight"], rows["conflict"])
    # A record whose people are exactly those of an earlier one of its list and year is that household, entered twice.
    labels = connection.execute(
        f"""
        SELECT r.record, CASE WHEN w.everyone IS NOT NULL AND row_number() OVER (
                PARTITION BY r.registry, r.reference_year, w.everyone ORDER BY r.record) > 1 THEN -1
            ELSE dense_rank() OVER (ORDER BY r.registry, r.reference_year NULLS FIRST) - 1 END AS label
        FROM {RECORDS} AS r JOIN {ROSTER} AS w USING (record) ORDER BY r.record
        """
    ).fetchnumpy()
    record, label = labels["record"], labels["label"].astype(np.int64)
    lists = [
        Exclusion(name="one_list", label=np.where(label == number, 0, -1).astype(np.int64))
        for number in np.unique(label[label >= 0]).tolist()
    ]
    found = cluster(record, edges, rules=rules_of(trained), constraints=lists, decided=read_decisions(store))
    return pa.table({"record_id": found.record, "cluster": found.cluster}), len(found.refused)


def _count(work: Workspace, table: str) -> int:
    return int(work.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchall()[0][0])
