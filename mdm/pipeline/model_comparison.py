"""What a candidate would change at the next run, beside the current model, on the same records."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from matching.compare import KINDS, PartitionChanges, partition_changes
from mdm.duck import open_duckdb
from mdm.errors import StoreError
from mdm.identity.clock import Source
from mdm.identity.numbers import NumberKind
from mdm.pipeline.progress import Silent, share_of
from mdm.pipeline.reconcile_step import propose
from mdm.pipeline.run import STEPS
from mdm.pipeline.steps import PERSON, Context
from mdm.pipeline.workspace import discard, workspace
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.store.engine import bulk
from mdm.store.golden import load_rules
from mdm.store.keys import number_plan
from mdm.store.models import current_model, read_model
from mdm.store.rehearsal import rehearsing
from mdm.store.reviews import RAISED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matching.artefact import TrainedModel
    from mdm.pipeline.progress import Progress
    from mdm.settings import Settings

    Ids = NDArray[np.int64]

EXAMPLES = 5
_MEMBERS = pa.schema([("record_id", pa.int64()), ("entity_key", pa.int64()), ("entity_id", pa.string())])
_HOLDERS = pa.schema([("entity_key", pa.int64())])


@dataclass(frozen=True)
class Example:
    """Entities whose records would be clustered otherwise."""

    kind: str
    entities: list[str]
    records: int
    numbers: int
    """How many of the entities hold a social-security number."""


@dataclass(frozen=True)
class EdgesCompared:
    gained: int
    lost: int
    kept: int
    linked: int
    """Edges that come to the link threshold, and before were below it or not there."""
    unlinked: int
    mean_change: float
    """Bits, over the edges that both have."""
    mean_absolute_change: float


@dataclass(frozen=True)
class Comparison:
    """What would be otherwise at the next run, had it the candidate instead of the current model."""

    candidate: str
    current: str
    records: int
    clusters_before: int
    clusters_after: int
    changed: dict[str, int]
    """Groups of clusters, by kind (see `matching.compare`)."""
    people: int
    """Present entities whose records are in them."""
    numbers: int
    """Of these, those that hold a social-security number."""
    numbers_by_kind: dict[str, int]
    reviews_raised: dict[str, int]
    reviews_dropped: dict[str, int]
    edges: EdgesCompared
    examples: list[Example]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Rehearsed:
    record: Ids
    cluster: Ids
    edges: pa.Table
    link: float
    questions: dict[str, str]
    """Subject to reason."""


def compare(settings: Settings, candidate: str, *, progress: Progress | None = None) -> Comparison:
    """Scores and clusters all records with the candidate and with the current model, as a run over everything would.

    The steps of the run are the ones that work; the store is only read.
    """
    progress = progress or Silent()
    with bulk(settings) as store:
        current = current_model(store, PERSON)
        trained = read_model(store, candidate)
    if current is None:
        raise StoreError(
            "No model is promoted yet: there is nothing to compare with.", hint="mdm model promote"
        )
    found = []
    for name, model in (("current model", current), ("candidate", trained)):
        with share_of(progress, name):
            found.append(_rehearse(settings, model))
    before, after = found
    changes = partition_changes(before.cluster, after.cluster)
    with open_duckdb() as connection, bulk(settings) as store:
        members = store.read(
            "SELECT m.record_id, m.entity_key, e.entity_id FROM membership AS m JOIN entity AS e ON e.entity_key = m.entity_key"
            " WHERE m.until_event IS NULL",
            _MEMBERS,
        )
        holders = store.read(
            f"SELECT DISTINCT entity_key FROM ssn WHERE kind = '{NumberKind.SSN}' AND state NOT IN ('superseded', 'cancelled')"
            " AND entity_key IS NOT NULL",
            _HOLDERS,
        )
        inside = changes.group >= 0
        connection.register("member", members)
        connection.register("holder", holders)
        connection.register(
            "touched", pa.table({"record_id": before.record[inside], "grouped": changes.group[inside]})
        )
        people, numbers, by_kind, examples = _people(connection, changes)
        connection.register("edge_before", before.edges)
        connection.register("edge_after", after.edges)
        edges = _edges(connection, before.link, after.link)
    return Comparison(
        candidate=candidate,
        current=current.hash,
        records=len(before.record),
        clusters_before=len(np.unique(before.cluster)),
        clusters_after=len(np.unique(after.cluster)),
        changed={str(kind): count for kind, count in changes.counts().items()},
        people=people,
        numbers=numbers,
        numbers_by_kind=by_kind,
        reviews_raised=_reasons(after.questions, but=before.questions),
        reviews_dropped=_reasons(before.questions, but=after.questions),
        edges=edges,
        examples=examples,
    )


def _rehearse(settings: Settings, trained: TrainedModel) -> _Rehearsed:
    """The steps of a run up to the proposal of clusters, over everything, without a trace in the store."""
    attributes = load_attributes(settings.attributes_file)
    registries = load_registries(settings.registries_folder, attributes=attributes)
    name = f"compare-{uuid4()}"
    try:
        with rehearsing(settings) as store, workspace(settings, name) as work:
            context = Context(
                settings=settings,
                workspace=work,
                run_id=name,
                model=trained.declaration,
                household_model=None,
                rules=load_rules(settings, registries, attributes),
                registries=registries,
                attributes=attributes,
                numbers=number_plan(settings, store),
                source=Source(),
                actor="",
                progress=lambda _: None,
                trained=trained,
            )
            for step in list(STEPS)[list(STEPS).index("train") + 1 : list(STEPS).index("reconcile")]:
                STEPS[step](context, store)
            work.load("cluster")
            proposal, result = propose(context, store)
            asked = [row for staged in store.staged.get(RAISED, []) for row in staged.to_pylist()]
            questions = {row["subject"]: row["reason"] for row in asked}
            questions |= {question.subject: question.reason for question in result.questions}
            edges = work.connection.sql(
                "SELECT record_l, record_r, weight, conflict FROM edge"
            ).to_arrow_table()
            return _Rehearsed(
                proposal.record, proposal.cluster, edges, trained.declaration.thresholds.link, questions
            )
    finally:
        discard(settings, name)


def _people(connection: Any, changes: PartitionChanges) -> tuple[int, int, dict[str, int], list[Example]]:
    """Entities touched, number holders among them, these by kind, and examples: the first of each kind by entity ID."""
    kinds = pa.table({"grouped": np.arange(len(changes.kinds)), "kind": pa.array(changes.kinds, pa.string())})
    connection.register("kinds", kinds)
    connection.execute(
        """
        CREATE TEMP TABLE touched_entity AS
        SELECT DISTINCT t.grouped, k.kind, m.entity_key, m.entity_id, h.entity_key IS NOT NULL AS holds
        FROM touched AS t JOIN kinds AS k USING (grouped) JOIN member AS m USING (record_id)
        LEFT JOIN holder AS h ON h.entity_key = m.entity_key
        """
    )
    people, numbers = connection.execute(
        "SELECT COUNT(DISTINCT entity_key), COUNT(DISTINCT entity_key) FILTER (holds) FROM touched_entity"
    ).fetchall()[0]
    by_kind = dict(
        connection.execute(
            "SELECT kind, COUNT(DISTINCT entity_key) FILTER (holds) FROM touched_entity GROUP BY kind"
        ).fetchall()
    )
    rows = connection.execute(
        f"""
        WITH records AS (SELECT grouped, COUNT(*) AS records FROM touched GROUP BY grouped)
        SELECT kind, list(entity_id ORDER BY entity_id), any_value(records), COUNT(*) FILTER (holds) AS numbers
        FROM touched_entity JOIN records USING (grouped) GROUP BY grouped, kind
        QUALIFY row_number() OVER (PARTITION BY kind ORDER BY numbers DESC, min(entity_id)) <= {EXAMPLES}
        ORDER BY kind, numbers DESC, min(entity_id)
        """
    ).fetchall()
    return (
        int(people),
        int(numbers),
        {k: int(by_kind.get(k, 0)) for k in KINDS},
        [Example(*row) for row in rows],
    )


def _edges(connection: Any, link_before: float, link_after: float) -> EdgesCompared:
    joins = "FROM edge_before AS b FULL JOIN edge_after AS a ON a.record_l = b.record_l AND a.record_r = b.record_r"
    was = f"COALESCE(b.weight >= {link_before} AND b.conflict IS NULL, false)"
    will = f"COALESCE(a.weight >= {link_after} AND a.conflict IS NULL, false)"
    gained, lost, kept, linked, unlinked, mean, absolute = connection.execute(
        f"""
        SELECT COUNT(*) FILTER (b.record_l IS NULL), COUNT(*) FILTER (a.record_l IS NULL), COUNT(a.weight - b.weight),
            COUNT(*) FILTER ({will} AND NOT {was}), COUNT(*) FILTER ({was} AND NOT {will}),
            COALESCE(AVG(a.weight - b.weight), 0), COALESCE(AVG(abs(a.weight - b.weight)), 0)
        {joins}
        """
    ).fetchall()[0]
    return EdgesCompared(gained, lost, kept, linked, unlinked, float(mean), float(absolute))


def _reasons(questions: dict[str, str], *, but: dict[str, str]) -> dict[str, int]:
    return dict(Counter(questions[subject] for subject in sorted(questions.keys() - but.keys())))
