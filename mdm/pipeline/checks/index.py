"""The match index, made anew from the record versions by its own model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mdm.identity.events import EventKind
from mdm.pipeline.checks.opened import Found, Opened, columns
from mdm.pipeline.housemates import indexed_columns
from mdm.pipeline.indexing import INDEX_KEYS, PERSON, load_indexed
from mdm.pipeline.workspace import workspace
from mdm.registries.attributes import load_attributes
from mdm.store.match_index import INDEX, features_sql, keys_sql
from mdm.store.models import read_model

if TYPE_CHECKING:
    import pyarrow as pa

_TABLES = ("match_key", "match_feature")


def match_index(opened: Opened) -> Found:
    """Deliveries that wait for a run are not in it: until that has come it cannot be made anew, and only its parts are compared."""
    store = opened.store
    named = store.scalar(f"SELECT value FROM meta WHERE name = '{INDEX}'")
    if named is None:
        left = next((table for table in _TABLES if store.scalar(f"SELECT 1 FROM {table} LIMIT 1")), None)
        return 0, left and f"{left} has rows, and there is no match index"
    if not store.scalar(f"SELECT 1 FROM model WHERE hash = '{named}'"):
        return 0, f"meta {INDEX}: its model was never kept"
    count = opened.read("match_feature", columns(whole=["record_id"], texts=["features"]))
    opened.read("match_key", columns(whole=["key", "record_id"]))
    if _waits(opened):
        opened.notes.append("The match index is of what runs have seen; deliveries wait for the next one.")
        return count, opened.first(
            "SELECT 'record ' || record_id || ': it has keys in the match index and no features' FROM match_key"
            " ANTI JOIN match_feature USING (record_id) ORDER BY record_id"
        )
    made = _anew(opened, named)
    for name, table in made.items():
        opened.put(f"{name}_anew", table)
    wrong = opened.difference(
        "match_feature_anew",
        "match_feature",
        key=["record_id"],
        values=["features"],
        says="'record ' || record_id || ': its features in the match index are others'",
    ) or opened.difference(
        "match_key_anew",
        "match_key",
        key=["record_id", "key"],
        values=[],
        says="'record ' || record_id || ': its keys in the match index are others'",
    )
    return count, wrong


def _waits(opened: Opened) -> bool:
    """Whether a delivery landed, or a run was begun, since the last run that ended began."""
    return bool(
        opened.rows(
            f"""
            SELECT (SELECT COUNT(*) FROM told WHERE kind = '{EventKind.BATCH_LANDED}' AND data ->> '$.file' <> 'api'
                AND seq > (SELECT COALESCE(MAX(upto), 0) FROM run WHERE finished_at IS NOT NULL))
            + (SELECT COUNT(*) FROM run WHERE finished_at IS NULL)
            """
        )[0][0]
    )


def _anew(opened: Opened, named: str) -> dict[str, pa.Table]:
    trained = read_model(opened.store, named)
    attributes = load_attributes(opened.settings.attributes_file)
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        settings = opened.settings.model_copy(update={"work": Path(folder)})
        with workspace(settings, "index") as work:
            load_indexed(work, trained, attributes)
            return {
                "match_feature": work.connection.sql(
                    features_sql(indexed_columns(trained.declaration), PERSON)
                ).to_arrow_table(),
                "match_key": work.connection.sql(keys_sql(INDEX_KEYS)).to_arrow_table(),
            }
