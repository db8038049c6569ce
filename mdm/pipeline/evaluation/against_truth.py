"""The store's people against the truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from matching.evaluate import (
    Calibration,
    Overlap,
    calibration,
    confused,
    found_with,
    measure,
    measure_groups,
)
from mdm.duck import open_duckdb
from mdm.pipeline.evaluation.blocking import blocking_recall
from mdm.pipeline.evaluation.households import evaluate_households
from mdm.pipeline.evaluation.result import Dimension, Evaluation, Group, RegistryRecall
from mdm.pipeline.evaluation.truth import DIMENSIONS, Truth
from mdm.store.engine import bulk
from mdm.store.models import current_model
from mdm.store.rosters import HOUSEHOLD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from matching.evaluate import Labels
    from matching.model import Thresholds
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.engine import Bulk

_PERSON = "person"
_BIN, _BINS_TO = 2, 20
"""Bits: the width of a bin of match weights, and where the last begins."""


def anchor_of(registries: Mapping[str, RegistryDeclaration]) -> str | None:
    """Code of the population database; None where no registry is declared as the anchor."""
    return next((code for code, declared in registries.items() if declared.anchor), None)


def evaluate(settings: Settings, truth: Path, *, anchor: str | None, blocking: bool = False) -> Evaluation:
    """Everything at once.

    Args:
        settings: where the store is.
        truth: the truth folder of a simulation, or the simulation's folder.
        anchor: code of the population database, if there is one.
        blocking: also measure what blocking lost, for which the comparison features are made once more.
    """
    with open_duckdb() as connection, bulk(settings) as store:
        told = Truth.read(connection, store, truth)
        model = current_model(store, _PERSON)
        person, entity = told.labels()
        whole, overlap = measure(person, entity), Overlap(person, entity)
        expected, found, unexpected = told.rejects()
        missed, wrong = ({}, {}) if model is None else _reasons(connection, model.declaration.thresholds)
        return Evaluation(
            records=whole.records,
            without_truth=told.without(),
            pairs=whole.pairs,
            b_cubed=whole.b_cubed,
            clusters=whole.clusters,
            registries=[] if anchor is None else _recall_with_anchor(told, person, entity, anchor),
            dimensions=[_dimension(told, name, overlap, whole.pairs) for name in DIMENSIONS],
            circumstances=_circumstances(told, overlap),
            confused={
                name: confused(person, entity, one=one, other=other)
                for name, (one, other) in told.confused().items()
            },
            calibration=_calibration(connection),
            joined=_calibration(connection, "AND a.entity = b.entity"),
            conflicts=_conflicts(connection),
            missed=missed,
            wrong=wrong,
            rules=_rules(store),
            blocking=blocking_recall(settings, connection, model.declaration) if blocking and model else None,
            rejects_expected=expected,
            rejects_found=found,
            rejects_unexpected=unexpected,
            households=evaluate_households(settings, truth) if _has_households(store) else None,
        )


def _has_households(store: Bulk) -> bool:
    return bool(store.scalar(f"SELECT COUNT(*) FROM record WHERE kind = '{HOUSEHOLD}' AND status = 'active'"))


def _recall_with_anchor(told: Truth, person: Labels, entity: Labels, anchor: str) -> list[RegistryRecall]:
    names, registry, anchors = told.anchored(anchor)
    known, found = found_with(person, entity, anchors)
    there, together = (
        np.bincount(registry[chosen], minlength=len(names)) for chosen in (known, known & found)
    )
    return [
        RegistryRecall(name, int(there[place]), int(together[place]))
        for name, place in sorted(zip(names, range(len(names)), strict=True))
        if name != anchor and there[place]
    ]


def _dimension(told: Truth, name: str, overlap: Overlap, whole: Any) -> Dimension:
    names, group = told.groups(name)
    found = measure_groups(overlap, group, count=len(names))
    return Dimension.of(name, [Group(*pair) for pair in zip(names, found, strict=True)], whole)


def _circumstances(told: Truth, overlap: Overlap) -> list[Group]:
    groups = []
    for name, places in zip(*told.circumstances(), strict=True):
        inside = np.full(len(overlap.person), -1, dtype=np.int64)
        inside[places] = 0
        groups.append(Group(name, *measure_groups(overlap, inside, count=1)))
    return groups


_JUDGED_EDGES = """
FROM edge AS e JOIN judged AS a ON a.record_id = e.record_l JOIN judged AS b ON b.record_id = e.record_r
WHERE a.person IS NOT NULL AND b.person IS NOT NULL
"""


def _calibration(connection: duckdb.DuckDBPyConnection, which: str = "") -> Calibration:
    """Of the scored pairs in the store; those of a declared conflict are apart, for the model's word on them does not count."""
    rows = connection.execute(
        f"SELECT weight, a.person = b.person AS same {_JUDGED_EDGES} AND conflict IS NULL {which}"
    ).fetchnumpy()
    weight = rows["weight"]
    low = _BIN * math.floor(weight.min(initial=0.0) / _BIN)
    high = max(math.ceil(weight.max(initial=0.0)), _BINS_TO) + 1
    return calibration(weight, rows["same"], edges=[*range(low, _BINS_TO + 1, _BIN), high])


def _conflicts(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    pairs, same = connection.execute(
        f"SELECT COUNT(*), COUNT(*) FILTER (a.person = b.person) {_JUDGED_EDGES} AND conflict IS NOT NULL"
    ).fetchall()[0]
    return int(pairs), int(same)


def _reasons(
    connection: duckdb.DuckDBPyConnection, thresholds: Thresholds
) -> tuple[dict[str, int], dict[str, int]]:
    """Why true pairs are apart, and what holds pairs of two people together."""
    found = []
    for same, other, names in (
        ("person", "entity", ("not_compared_or_forgotten", "too_weak", "in_review_band", "kept_apart")),
        ("entity", "person", ("by_chain", "by_chain", "by_chain", "by_own_evidence")),
    ):
        none, weak, band, strong = names
        rows = connection.execute(
            f"""
            SELECT CASE WHEN e.record_l IS NULL THEN '{none}' WHEN conflict IS NOT NULL THEN 'conflict'
                WHEN weight < {thresholds.review} THEN '{weak}' WHEN weight < {thresholds.link} THEN '{band}' ELSE '{strong}' END AS why,
                COUNT(*)
            FROM judged AS a JOIN judged AS b ON a.{same} = b.{same} AND a.record_id < b.record_id AND a.{other} <> b.{other}
            LEFT JOIN edge AS e ON e.record_l = a.record_id AND e.record_r = b.record_id
            GROUP BY why ORDER BY COUNT(*) DESC, why
            """
        ).fetchall()
        found.append({str(why): int(count) for why, count in rows})
    return found[0], found[1]


def _rules(store: Bulk) -> list[dict[str, Any]]:
    """The last run's report of its blocking."""
    detail = store.scalar(
        "SELECT s.detail FROM run_step AS s JOIN run AS r ON r.run_id = s.run_id"
        " WHERE s.step = 'score' AND r.finished_at IS NOT NULL ORDER BY r.finished_at DESC LIMIT 1"
    )
    return [] if detail is None else list(orjson.loads(detail).get("blocking", []))
