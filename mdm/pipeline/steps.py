"""The steps of a batch run. Each reads what earlier ones left, and writes its own result in one transaction."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from matching.batch import score_pairs
from matching.blocking import make_keys, make_pairs
from matching.cluster import cluster
from matching.train import train
from mdm.identity.events import Stamp
from mdm.pipeline.cluster_questions import counts, questions
from mdm.pipeline.cluster_standing import standing
from mdm.pipeline.clustering import read_constraints, read_decisions, rules_of, scored_edges, scorer
from mdm.pipeline.delta import CHANGED, Delta, concerned, find_changed
from mdm.pipeline.housemates import HOUSEMATES
from mdm.pipeline.indexing import keep_index
from mdm.pipeline.labels import correct_by_decisions
from mdm.store.edges import read_edges, write_edges
from mdm.store.engine import bulk
from mdm.store.models import current_model, keep_model, promote_model
from mdm.store.reviews import raise_reviews

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matching.artefact import TrainedModel
    from matching.clustering.inputs import Decided, Edges
    from matching.model import Model
    from mdm.identity.clock import Source
    from mdm.identity.reconcile import Question, Reconciliation
    from mdm.identity.ssn import NumberPlan
    from mdm.pipeline.workspace import Workspace
    from mdm.registries.attributes import Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.engine import Bulk
    from mdm.store.golden import GoldenRules

PERSON = "person"


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
    household_model: Model | None
    """None where households are not linked."""
    rules: Mapping[str, GoldenRules]
    """By kind of entity."""
    registries: Mapping[str, RegistryDeclaration]
    attributes: Attributes
    numbers: NumberPlan
    source: Source
    actor: str
    progress: Callable[[float], None]
    delta: Delta | None = None
    """None where the run looks at everything."""
    trained: TrainedModel | None = None
    reconciled: Reconciled | None = None

    @property
    def anchors(self) -> list[str]:
        """Registries whose people are anchored in the population."""
        return sorted(code for code, declared in self.registries.items() if declared.anchor)

    @property
    def by_housemates(self) -> bool:
        """Whether the model compares who stands beside a person."""
        return HOUSEMATES in self.model.feature_columns

    def stamp(self, reason: str) -> Stamp:
        return Stamp(at=self.source.now(), actor=self.actor, reason=reason, run=self.run_id)

    def record_table(self) -> str:
        """Loads the records of people once per process."""
        name = f"{PERSON}_record"
        if not self.workspace.has_table(name):
            self.workspace.require_people()
            self.workspace.load_records(PERSON, self.attributes)
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
    """The promoted model serves; where there is none for the declaration in force (see `run`), one is trained and promoted."""
    present = current_model(store, context.model.name)
    if present is not None and present.declaration == context.model:
        context.trained = present
        return StepResult(0, {"model": present.hash, "trained": False, "records": present.records})
    people = context.person_table()
    learnt = train(context.workspace.connection, context.model, records=people)
    context.trained, labels = correct_by_decisions(context.workspace, store, learnt, records=people)
    keep_model(store, context.trained, stamp=context.stamp("trained"))
    promote_model(store, context.trained.hash, stamp=context.stamp("the first of its declaration"))
    return StepResult(
        context.trained.records,
        {
            "model": context.trained.hash,
            "trained": True,
            "records": context.trained.records,
            "labels": asdict(labels),
        },
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
        find_changed(context.workspace, store, context.delta, housemates=context.by_housemates)
        changed = CHANGED
    reports = make_pairs(connection, context.model, keys="blocking_key", into="pair", of=changed)
    keep_index(context.workspace, store, trained, keys="blocking_key", changed=changed)
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
        context.workspace.put("edge", read_edges(store, context.model.name))
    edges, decided = scored_edges(context), read_decisions(store)
    record = connection.execute(f"SELECT record_id FROM {records} ORDER BY record_id").fetchnumpy()[
        "record_id"
    ]
    if context.delta is not None:
        record = record[_concerned(context, store, record, edges, decided)]
        edges = edges.of(np.isin(edges.left, record) & np.isin(edges.right, record))
    clusters = cluster(
        record,
        edges,
        rules=rules_of(context.trained_model()),
        constraints=read_constraints(context, record),
        decided=decided,
        score=scorer(context),
    )
    connection.register("clustered", pa.table({"record_id": clusters.record, "cluster": clusters.cluster}))
    context.workspace.save("cluster", "SELECT * FROM clustered ORDER BY record_id")
    connection.unregister("clustered")
    with standing(context, clusters) as now:
        found = questions(context.model, now, clusters, edges, decided)
    raised = raise_reviews(store, found, stamp=context.stamp("questions of the clustering"))
    sizes = np.bincount(np.unique(clusters.cluster, return_inverse=True)[1])
    return StepResult(
        len(record),
        {
            "clusters": len(sizes),
            "largest": int(sizes.max(initial=0)),
            "examined": clusters.examined,
            "refined": clusters.refined,
            "refused_edges": len(clusters.refused),
            "questions": counts(found),
            "reviews": raised,
            "sizes": {str(size): int(count) for size, count in enumerate(np.bincount(sizes)) if count},
        },
    )


def _concerned(context: Context, store: Bulk, record: Any, edges: Edges, decided: Decided) -> Any:
    """Which records the delta concerns; members of the present entities are table `present`."""
    assert context.delta is not None
    connection = context.workspace.connection
    find_changed(context.workspace, store, context.delta, housemates=context.by_housemates)
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
    # a join needs a link, and what else is looked at lies between the records of one component
    linked = edges.of((edges.weight >= context.model.thresholds.link) & (edges.conflict < 0))
    links = (np.concatenate([linked.left, must[:, 0]]), np.concatenate([linked.right, must[:, 1]]))
    return concerned(record, links=links, entity=entity, changed=changed, left=left)
