"""What the clustering step reads: edges, constraints, people's decisions, and evidence on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from matching.batch import score_pairs
from matching.clustering.constraints import Exclusion, Impossible, Verified
from matching.clustering.inputs import Decided, Edges, Evidence, Rules, millibits
from mdm.identity.commands import DecisionKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from matching.artefact import TrainedModel
    from matching.clustering.constraints import Constraint
    from matching.model import Model
    from mdm.pipeline.steps import Context
    from mdm.store.engine import Bulk

    Ids = NDArray[np.int64]

_MISSING = -1


def rules_of(trained: TrainedModel) -> Rules:
    model, declared = trained.declaration, trained.declaration.clustering
    return Rules(
        link=model.thresholds.link,
        merge=declared.merge,
        unscored=declared.unscored,
        largest=declared.largest,
        conflicts=tuple(conflict.name for conflict in model.conflicts),
        odds_of_alternative=trained.odds_of_alternative,
    )


def scored_edges(context: Context) -> Edges:
    """Edges that speak for one person, conflicts among them; table `edge` holds all."""
    model = context.model
    lowest = min(model.thresholds.review, model.clustering.merge)
    rows = context.workspace.connection.execute(
        f"SELECT record_l, record_r, weight, {_conflict_code(model)} AS conflict FROM edge WHERE weight >= ?",
        [lowest],
    ).fetchnumpy()
    return Edges(rows["record_l"], rows["record_r"], rows["weight"], rows["conflict"])


def read_decisions(store: Bulk) -> Decided:
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


def read_constraints(context: Context, record: Ids) -> list[Constraint]:
    """Of `record`, the active records or some of them, ascending."""
    declared, people = context.model.clustering, context.person_table()
    free = sorted(code for code, declared in context.registries.items() if declared.duplicate_free)
    facts = sorted({column for rule in declared.impossible for column in rule.differ})
    marks = [f"CASE registry WHEN '{code}' THEN 0 ELSE {_MISSING} END" for code in free]
    columns = "".join(f", {sql} AS c{place}" for place, sql in enumerate([*marks, *map(_fact_sql, facts)]))
    rows = context.workspace.connection.execute(
        f"SELECT record_id{columns} FROM {people} ORDER BY record_id"
    ).fetchnumpy()
    here = np.searchsorted(rows["record_id"], record)
    given: list[Ids] = [rows[f"c{place}"][here].astype(np.int64) for place in range(len(free) + len(facts))]
    fact = dict(zip(facts, given[len(free) :], strict=True))
    found: list[Constraint] = [
        Exclusion(f"duplicate_free:{code}", label) for code, label in zip(free, given, strict=False)
    ]
    if declared.verified is not None and context.anchors:
        found.append(Verified("verified_number", _verified(context, declared.verified, record)))
    for rule in declared.impossible:
        differ = np.stack([fact[column] for column in rule.differ], axis=1)
        found.append(Impossible(rule.name, differ, np.array(list(rule.differ.values()), dtype=np.int64)))
    return found


def _fact_sql(column: str) -> str:
    """A whole number of the value; texts differ or not, so their hash will do."""
    return (
        f'CASE WHEN "{column}" IS NULL THEN {_MISSING}'
        f""" WHEN typeof("{column}") = 'VARCHAR' THEN CAST(hash("{column}") >> 2 AS BIGINT)"""
        f' ELSE TRY_CAST("{column}" AS BIGINT) END'
    )


def scorer(context: Context) -> Callable[[Ids, Ids], Evidence]:
    """Evidence for any pairs, comparison by comparison, from the run's model."""
    connection, trained = context.workspace.connection, context.trained_model()
    names = [comparison.name for comparison in context.model.comparisons]

    def score(left: Ids, right: Ids) -> Evidence:
        if len(left) == 0:
            none = np.empty(0, np.int64)
            return Evidence.of_wholes(none, none)
        pairs = pa.table({"place": np.arange(len(left)), "join_key_l": left, "join_key_r": right})
        context.workspace.put("pair_inside", pairs)
        connection.execute(  # term frequencies are looked up for the values of these records alone
            f"""
            CREATE OR REPLACE TABLE record_inside AS
            FROM {context.person_table()} WHERE record_id IN (SELECT join_key_l FROM pair_inside UNION SELECT join_key_r FROM pair_inside)
            """
        )
        score_pairs(
            connection,
            trained,
            records="record_inside",
            pairs="pair_inside",
            into="scored_inside",
            parts=True,
        )
        rows = connection.execute(
            f"""
            SELECT weight, {_conflict_code(context.model)} AS conflict, {", ".join(f"bits_{name}, leaning_{name}" for name in names)}
            FROM pair_inside JOIN scored_inside ON record_l = join_key_l AND record_r = join_key_r ORDER BY place
            """
        ).fetchnumpy()
        connection.execute("DROP TABLE pair_inside; DROP TABLE record_inside; DROP TABLE scored_inside")
        parts = [np.ma.asarray(rows[f"bits_{name}"]) for name in names]
        return Evidence(
            weight=millibits(rows["weight"]),
            conflict=rows["conflict"],
            parts=np.stack([millibits(part.filled(0.0)) for part in parts], axis=1),
            leaning=np.stack([millibits(rows[f"leaning_{name}"]) for name in names], axis=1),
            present=np.stack([~np.ma.getmaskarray(part) for part in parts], axis=1),
        )

    return score


def _conflict_code(model: Model) -> str:
    cases = "".join(f" WHEN '{conflict.name}' THEN {place}" for place, conflict in enumerate(model.conflicts))
    return f"CAST(CASE conflict{cases} ELSE -1 END AS BIGINT)" if cases else "CAST(-1 AS BIGINT)"


def _verified(context: Context, numbers: str, record: Ids) -> Ids:
    """The anchor record that is linked with a record and shares a number with it; _MISSING for none and for several.

    A link is asked for, so that what is known of a record depends on its component alone.
    """
    anchors = ", ".join(f"'{code}'" for code in context.anchors)
    people = context.person_table()
    rows = context.workspace.connection.execute(
        f"""
        WITH link AS (SELECT record_l, record_r FROM edge WHERE weight >= {context.model.thresholds.link} AND conflict IS NULL),
        directed AS (SELECT record_l AS record, record_r AS anchor FROM link UNION ALL SELECT record_r, record_l FROM link)
        SELECT d.record, MIN(d.anchor) AS anchor FROM directed AS d
        JOIN {people} AS a ON a.record_id = d.anchor AND a.registry IN ({anchors})
        JOIN {people} AS p ON p.record_id = d.record AND p.registry NOT IN ({anchors})
        WHERE list_has_any(a."{numbers}", p."{numbers}")
        GROUP BY d.record HAVING COUNT(*) = 1
        UNION ALL SELECT record_id, record_id FROM {people} WHERE registry IN ({anchors})
        """
    ).fetchnumpy()
    label = np.full(len(record), _MISSING, dtype=np.int64)
    here = np.isin(rows["record"], record)
    label[np.searchsorted(record, rows["record"][here])] = rows["anchor"][here]
    return label
