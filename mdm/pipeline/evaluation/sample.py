"""A designed sample of pairs for clerks to judge, drawn from all pairs that are linked or were scored.

A pair is linked when its two records are in one entity. The strata are linked or not, and the band of the match weight;
within a stratum every pair has the same chance. The clerk sees the evidence and neither weight nor stratum by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa

from matching.estimate import allocate, spreads
from mdm.duck import open_duckdb
from mdm.errors import InputError, StoreError
from mdm.pipeline.evaluation.review_file import Design, ReviewRow, write_reviews
from mdm.store.engine import bulk
from mdm.store.models import current_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from matching.model import Thresholds
    from mdm.registries.attributes import Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.engine import Bulk

LEAST = 10
"""Pairs drawn from every stratum that has as many: fewer say nothing of it."""
_SURE = 10
"""Bits above the link threshold from which a pair is in a band of its own."""
_MEMBERS = pa.schema([("record_id", pa.int64()), ("registry", pa.string()), ("entity", pa.int64())])
_EDGES = pa.schema([("record_l", pa.int64()), ("record_r", pa.int64()), ("weight", pa.float64())])
_VERSIONS = pa.schema(
    [
        ("record_id", pa.int64()),
        ("registry", pa.string()),
        ("local_id", pa.string()),
        ("attributes", pa.string()),
    ]
)


@dataclass(frozen=True)
class Frame:
    """One stratum of the pairs: `expected` is the share of matches that the model predicts."""

    linked: bool
    band: int
    pairs: int
    expected: float


def draw_reviews(
    settings: Settings,
    path: Path,
    *,
    size: int,
    seed: int,
    attributes: Attributes,
    registries: Mapping[str, RegistryDeclaration],
    include_sealed: bool = False,
) -> Design:
    """Writes the file for the clerks, .csv or .xlsx, and returns its design.

    The same store, size and seed give the same file. Records of sealed registries are in no pair unless asked for: the
    estimates are then of the others only.
    """
    sealed = {code for code, declared in registries.items() if declared.sensitivity == "sealed"}
    with open_duckdb() as connection, bulk(settings) as store:
        run = latest_run(store)
        model = current_model(store, "person")
        if run is None or model is None:
            raise StoreError("Nothing was matched yet.", hint="Run it first: mdm run.")
        _load(connection, store, excluded=set() if include_sealed else sealed)
        frame = _frame(connection, model.declaration.thresholds)
        if not frame:
            raise StoreError("No two records are linked and no pair was scored: there is nothing to judge.")
        try:
            drawn = allocate(
                [f.pairs for f in frame],
                spreads([f.pairs for f in frame], [f.linked for f in frame], [f.expected for f in frame]),
                size=size,
                least=LEAST,
            )
        except ValueError as error:
            raise InputError(f"{error}.", where="--size", hint="Draw more.") from error
        pairs = _draw(connection, frame, drawn, seed=seed)
        evidence = _evidence(store, {record for _, left, right in pairs for record in (left, right)})
    design = Design(
        run=run,
        seed=seed,
        sealed=include_sealed,
        linked=[f.linked for f in frame],
        pairs=[f.pairs for f in frame],
        drawn=drawn,
    )
    rows = [
        ReviewRow(number, stratum, (left, right), (evidence[left], evidence[right]))
        for number, (stratum, left, right) in enumerate(pairs, start=1)
    ]
    write_reviews(path, design, rows, attributes=list(attributes.person))
    return design


def latest_run(store: Bulk) -> str | None:
    found = store.scalar(
        "SELECT run_id FROM run WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1"
    )
    return None if found is None else str(found)


def _load(connection: duckdb.DuckDBPyConnection, store: Bulk, *, excluded: set[str]) -> None:
    """Tables member and edge, of active records of people."""
    tables = {
        "member": store.read(
            "SELECT r.record_id, r.registry, m.entity_key FROM record AS r JOIN membership AS m ON m.record_id = r.record_id"
            " AND m.until_event IS NULL WHERE r.kind = 'person' AND r.status = 'active'",
            _MEMBERS,
        ),
        "edge": store.read("SELECT record_l, record_r, weight FROM edge", _EDGES),
    }
    for name, rows in tables.items():
        connection.register("arriving", rows)
        connection.execute(f"CREATE TABLE {name} AS FROM arriving")
        connection.unregister("arriving")
    connection.execute("DELETE FROM member WHERE registry IN (SELECT unnest(?))", [sorted(excluded)])


def _frame(connection: duckdb.DuckDBPyConnection, thresholds: Thresholds) -> list[Frame]:
    """Fills table pair (stratum, record_l, record_r) and returns its strata, in the order of their numbers."""
    t = thresholds
    limits = sorted(
        {(t.keep + t.review) / 2, t.review, (t.review + t.link) / 2, t.link, t.link + _SURE}
    )  # equal thresholds make fewer bands
    band = " + ".join(f"CAST(weight >= {limit} AS INTEGER)" for limit in limits)
    connection.execute(
        f"""
        CREATE TABLE every_pair AS
        SELECT a.record_id AS record_l, b.record_id AS record_r, true AS linked, weight
        FROM member AS a JOIN member AS b ON a.entity = b.entity AND a.record_id < b.record_id
        LEFT JOIN edge AS e ON e.record_l = a.record_id AND e.record_r = b.record_id
        UNION ALL
        SELECT e.record_l, e.record_r, false, weight
        FROM edge AS e JOIN member AS a ON a.record_id = e.record_l JOIN member AS b ON b.record_id = e.record_r
        WHERE a.entity <> b.entity;
        CREATE TABLE pair AS
        SELECT record_l, record_r, linked, weight, CASE WHEN weight IS NULL THEN -1 ELSE {band} END AS band,
            dense_rank() OVER (ORDER BY NOT linked, band) - 1 AS stratum
        FROM every_pair
        """
    )
    rows = connection.execute(
        "SELECT linked, band, COUNT(*), COALESCE(AVG(1 / (1 + 2 ** (-greatest(least(weight, 60), -60)))), 0.5) FROM pair"
        " GROUP BY stratum, linked, band ORDER BY stratum"
    ).fetchall()
    return [
        Frame(bool(linked), int(band), int(pairs), float(expected)) for linked, band, pairs, expected in rows
    ]


def _draw(
    connection: duckdb.DuckDBPyConnection, frame: list[Frame], drawn: list[int], *, seed: int
) -> list[tuple[int, int, int]]:
    """Stratum and records of the drawn pairs, in an order that tells nothing."""
    random = np.random.default_rng(seed)
    places = [
        np.sort(random.choice(stratum.pairs, count, replace=False))
        for stratum, count in zip(frame, drawn, strict=True)
    ]
    chosen = pa.table(
        {
            "stratum": np.repeat(np.arange(len(frame)), [len(p) for p in places]),
            "place": np.concatenate(places),
        }
    )
    connection.register("chosen", chosen)
    rows = connection.execute(
        """
        SELECT p.stratum, p.record_l, p.record_r FROM (
            SELECT stratum, record_l, record_r, row_number() OVER (PARTITION BY stratum ORDER BY record_l, record_r) - 1 AS place FROM pair
        ) AS p SEMI JOIN chosen AS c ON c.stratum = p.stratum AND c.place = p.place
        ORDER BY p.stratum, p.record_l, p.record_r
        """
    ).fetchall()
    connection.unregister("chosen")
    return [rows[place] for place in random.permutation(len(rows))]


def _evidence(store: Bulk, records: set[int]) -> dict[int, dict[str, Any]]:
    """Registry, local ID and attributes of each record's current version."""
    store.stage("judged_record", pa.table({"record_id": pa.array(sorted(records), pa.int64())}))
    rows = store.read(
        "SELECT r.record_id, r.registry, r.local_id, v.attributes FROM record AS r JOIN judged_record AS j ON j.record_id = r.record_id"
        " JOIN record_version AS v ON v.record_id = r.record_id AND v.version = r.version",
        _VERSIONS,
    ).to_pylist()
    return {
        row["record_id"]: {
            "registry": row["registry"],
            "local_id": row["local_id"],
            **orjson.loads(row["attributes"]),
        }
        for row in rows
    }
