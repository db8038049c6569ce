"""The steps of a batch run. Each reads what earlier ones left, and writes its own result in one transaction."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from matching.batch import score_pairs
from matching.blocking import make_keys, make_pairs
from matching.cluster import DECISION, Decided, Edges, Exclusion, cluster
from matching.train import train
from mdm.errors import InputError
from mdm.identity.commands import DecisionKind
from mdm.identity.events import Stamp
from mdm.identity.reconcile import Question
from mdm.pipeline.delta import CHANGED, Delta, concerned, find_changed
from mdm.store.edges import read_edges, write_edges
from mdm.store.engine import bulk
from mdm.store.golden import GoldenRules
from mdm.store.models import current_model, keep_model
from mdm.store.reviews import raise_reviews

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from golden_record.policy import Policy
    from matching.artefact import TrainedModel
    from matching.model import Model
    from mdm.identity.clock import Source
    from mdm.identity.reconcile import Reconciliation
    from mdm.identity.ssn import NumberPlan
    from mdm.pipeline.workspace import Workspace
    from mdm.registries.attributes import Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.engine import Bulk

PERSON = "person"
_PAIR_QUESTIONS_AT_MOST = 100_000


@dataclass
class Reconciled:
    """What reconcile decided, and what of it was carried out before the step: moves, the new entities that they form, merges."""

    result: Reconciliation
    records: int
    moved: int = 0
    formed: int = 0
    merged: int = 0
    refused: list[Question] = field(default_factory=list)


@dataclass
class Context:
    """What the steps of one run share."""

    settings: Settings
    workspace: Workspace
    run_id: str
    model: Model
    policy: Policy
    registries: Mapping[str, RegistryDeclaration]
    attributes: Attributes
    numbers: NumberPlan
    source: Source
    actor: str
    progress: Callable[[float], None]
    retrain: bool = False
    delta: Delta | None = None
    """None where the run looks at everything."""
    trained: TrainedModel | None = None
    reconciled: Reconciled | None = None

    @property
    def anchors(self) -> list[str]:
        """Registries whose people are anchored in the population."""
        return sorted(code for code, declared in self.registries.items() if declared.anchor)

    @cached_property
    def golden_rules(self) -> GoldenRules:
        return GoldenRules.declared(self.policy, self.registries, self.attributes)

    def stamp(self, reason: str) -> Stamp:
        return Stamp(at=self.source.now(), actor=self.actor, reason=reason, run=self.run_id)

    def record_table(self) -> str:
        """Loads the records of people once per process."""
        name = f"{PERSON}_record"
        if not self.workspace.has_table(name) and self.workspace.load_records(PERSON, self.attributes) == 0:
            raise InputError(
                "the store holds no records of people", hint="Bring some in first: mdm ingest DIR."
            )
        return name

    def person_table(self) -> str:
        """Makes the comparison features of people once per process."""
        if not self.workspace.has_table(PERSON):
            self.record_table()
            self.workspace.make_features(PERSON, self.model.feature_columns, self.attributes)
        return PERSON

    def trained_model(self) -> TrainedModel:
        if self.trained is None:
            with bulk(self.settings) as store:
                self.trained = current_model(store, self.model.name)
        assert self.trained is not None, "the train step comes first"
        return self.trained


@dataclass(frozen=True)
class StepResult:
    rows: int
    detail: dict[str, Any] = field(default_factory=dict)


def train_step(context: Context, store: Bulk) -> StepResult:
    """Trains where there is no model for this declaration yet; otherwise the present one serves."""
    present = current_model(store, context.model.name)
    if present is not None and present.declaration == context.model and not context.retrain:
        context.trained = present
        return StepResult(0, {"model": present.hash, "trained": False, "records": present.records})
    context.trained = train(context.workspace.connection, context.model, records=context.person_table())
    keep_model(store, context.trained, stamp=context.stamp("trained"))
    return StepResult(
        context.trained.records,
        {"model": context.trained.hash, "trained": True, "records": context.trained.records},
    )


def score_step(context: Context, store: Bulk) -> StepResult:
    connection, records, trained = (
        context.workspace.connection,
        context.person_table(),
        context.trained_model(),
    )
    make_keys(connection, context.model, records=records, into="blocking_key")
    changed = None
    if context.delta is not None:
        find_changed(context.workspace, store, context.delta)
        changed = CHANGED
    reports = make_pairs(connection, context.model, keys="blocking_key", into="pair", of=changed)
    connection.execute("DROP TABLE blocking_key")
    scored = score_pairs(
        connection, trained, records=records, pairs="pair", into="edge", progress=context.progress
    )
    connection.execute("DROP TABLE pair")
    changes = write_edges(
        store, connection, scored="edge", model=trained.hash, stamp=context.stamp("scored"), of=changed
    )
    return StepResult(
        scored.pairs,
        {
            "pairs": scored.pairs,
            "edges": scored.edges,
            "added": changes.added,
            "removed": changes.removed,
            "conflicts": scored.conflicts,
            "blocking": [asdict(r) for r in reports],
            "changed": connection.execute(f"SELECT COUNT(*) FROM {changed}").fetchall()[0][0]
            if changed
            else None,
        },
    )


def cluster_step(context: Context, store: Bulk) -> StepResult:
    connection, records = context.workspace.connection, context.person_table()
    if not context.workspace.has_table("edge"):  # another process scored
        context.workspace.put("edge", read_edges(store))
    link = context.model.thresholds.link
    rows = connection.execute(
        "SELECT record_l, record_r, weight FROM edge WHERE weight >= ? AND conflict IS NULL", [link]
    ).fetchnumpy()
    edges = Edges(left=rows["record_l"], right=rows["record_r"], weight=rows["weight"])
    people = connection.execute(f"SELECT record_id, registry FROM {records} ORDER BY record_id").fetchnumpy()
    record, registry = people["record_id"], people["registry"]
    decided = _decided(store)
    if context.delta is not None:
        kept = _concerned(context, store, record, edges, decided)
        record, registry = record[kept], registry[kept]
        inside = np.isin(edges.left, record)
        edges = Edges(edges.left[inside], edges.right[inside], edges.weight[inside])
    clusters = cluster(record, edges, exclusions=_exclusions(context, registry), decided=decided)
    connection.register("clustered", pa.table({"record_id": clusters.record, "cluster": clusters.cluster}))
    context.workspace.save("cluster", "SELECT * FROM clustered ORDER BY record_id")
    connection.unregister("clustered")
    questions = [
        Question(
            reason=f"constraint.{refused.constraint}",
            subject=f"pair:{refused.left},{refused.right}",
            detail={"records": [refused.left, refused.right], "weight": round(refused.weight, 3)},
        )
        for refused in clusters.refused
        if refused.constraint != DECISION  # it was answered already
    ]
    questions += _doubtful_pairs(context, clusters.record, clusters.cluster, decided)
    raised = raise_reviews(store, questions, stamp=context.stamp("questions of the clustering"))
    sizes = np.bincount(np.unique(clusters.cluster, return_inverse=True)[1])
    return StepResult(
        len(record),
        {
            "clusters": len(sizes),
            "largest": int(sizes.max(initial=0)),
            "refused_edges": len(clusters.refused),
            "reviews": raised,
            "sizes": {str(size): int(count) for size, count in enumerate(np.bincount(sizes)) if count},
        },
    )


def _concerned(context: Context, store: Bulk, record: Any, edges: Edges, decided: Decided) -> Any:
    """Which records the delta concerns; members of the present entities are table `present`."""
    assert context.delta is not None
    connection = context.workspace.connection
    find_changed(context.workspace, store, context.delta)
    context.workspace.load_memberships()
    connection.register("active_record", pa.table({"record": record}))
    entity = connection.execute(
        "SELECT COALESCE(m.entity, -1) AS entity FROM active_record LEFT JOIN membership AS m USING (record) ORDER BY record"
    ).fetchnumpy()["entity"]
    connection.unregister("active_record")
    changed = connection.execute(f"SELECT record_id FROM {CHANGED}").fetchnumpy()["record_id"]
    left = connection.execute(
        f"SELECT DISTINCT entity FROM membership SEMI JOIN {CHANGED} AS c ON c.record_id = record"
    ).fetchnumpy()["entity"]
    must = decided.must[np.isin(decided.must, record).all(axis=1)]
    links = (np.concatenate([edges.left, must[:, 0]]), np.concatenate([edges.right, must[:, 1]]))
    return concerned(record, links=links, entity=entity, changed=changed, left=left)


def _decided(store: Bulk) -> Decided:
    """People's decisions as they stand."""
    schema = pa.schema([("record_l", pa.int64()), ("record_r", pa.int64())])
    pairs = {}
    for kind in DecisionKind:
        rows = store.read(
            f"SELECT record_l, record_r FROM decision WHERE until_event IS NULL AND kind = '{kind}' ORDER BY record_l, record_r",
            schema,
        )
        pairs[kind] = np.stack([rows["record_l"].to_numpy(), rows["record_r"].to_numpy()], axis=1)
    return Decided(must=pairs[DecisionKind.MUST_LINK], cannot=pairs[DecisionKind.CANNOT_LINK])


def _exclusions(context: Context, registry: Any) -> list[Exclusion]:
    """Two records of a registry that is free of duplicates are two people."""
    codes = sorted(code for code, declared in context.registries.items() if declared.duplicate_free)
    return [
        Exclusion(name=f"duplicate_free:{code}", label=np.where(registry == code, 0, -1).astype(np.int64))
        for code in codes
    ]


def _doubtful_pairs(context: Context, record: Any, cluster_of: Any, decided: Decided) -> list[Question]:
    """Pairs between the thresholds, and conflicts above them, whose records are not together already: best first."""
    connection = context.workspace.connection
    thresholds = context.model.thresholds
    now = pa.table({"record_id": record, "cluster": cluster_of})
    if context.delta is not None:  # the others stay where they are, and only new pairs are asked about
        connection.register("clustered", now)
        now = connection.sql(
            "FROM clustered UNION ALL BY NAME SELECT record AS record_id, -entity AS cluster FROM membership"
            " ANTI JOIN clustered AS c ON c.record_id = record"
        ).to_arrow_table()
        connection.unregister("clustered")
    connection.register("cluster_now", now)
    answered = np.sort(decided.cannot, axis=1)
    connection.register("decided_pair", pa.table({"record_l": answered[:, 0], "record_r": answered[:, 1]}))
    # one question for two clusters: the strongest pair between them
    rows = connection.execute(
        f"""
        SELECT arg_max(edge.record_l, (weight, -edge.record_l, -edge.record_r)),
            arg_max(edge.record_r, (weight, -edge.record_l, -edge.record_r)), max(weight) AS best,
            arg_max(conflict, (weight, -edge.record_l, -edge.record_r))
        FROM edge
        JOIN cluster_now AS a ON a.record_id = edge.record_l
        JOIN cluster_now AS b ON b.record_id = edge.record_r
        ANTI JOIN decided_pair AS d ON d.record_l = edge.record_l AND d.record_r = edge.record_r
        WHERE a.cluster <> b.cluster AND (weight >= {thresholds.review} AND weight < {thresholds.link} OR conflict IS NOT NULL)
        GROUP BY least(a.cluster, b.cluster), greatest(a.cluster, b.cluster)
        ORDER BY best DESC, 1, 2
        LIMIT {_PAIR_QUESTIONS_AT_MOST}
        """
    ).fetchall()
    connection.unregister("cluster_now")
    connection.unregister("decided_pair")
    return [
        Question(
            reason=f"conflict.{conflict}" if conflict else "match.possible",
            subject=f"pair:{left},{right}",
            detail={"records": [left, right], "weight": round(weight, 3)},
        )
        for left, right, weight, conflict in rows
    ]
