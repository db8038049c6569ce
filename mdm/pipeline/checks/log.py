"""The event log: numbered without gaps, hashed as sealed, columns as in the body; and the store's own facts."""

from __future__ import annotations

import numpy as np

from mdm.identity.events import LEAF_HASH, SEALED_SCHEMA, EventKind
from mdm.pipeline.checks.opened import Found, Opened, columns
from mdm.store.match_index import INDEX
from mdm.store.proofs import check_log

_K = EventKind
_BODY = ("seq", "at", "kind", "entity", "run")
"""Columns of an event that stand in its body too."""
_IN_BULK = (_K.ENTITY_FORMED, _K.RECORDS_LINKED, _K.NUMBER_ISSUED, _K.NUMBER_CHANGED)
"""Of these nothing is asked but their data, so that their bodies need not be kept in memory beside it."""


def events(opened: Opened) -> Found:
    rows = opened.store.read(
        "SELECT seq, at, kind, entity, run, body, leaf FROM event ORDER BY seq", SEALED_SCHEMA
    )
    seq, count = rows["seq"].to_numpy(), rows.num_rows
    missing = np.flatnonzero(seq != np.arange(1, count + 1))
    if len(missing):
        return count, f"event {missing[0] + 1} is missing"
    paths = ", ".join(f"'$.{name}'" for name in _BODY)
    own = ", ".join(f'CAST("{name}" AS VARCHAR)' for name in _BODY)
    in_bulk = ", ".join(f"'{kind}'" for kind in _IN_BULK)
    opened.connection.register("sealed", rows)
    wrong = opened.first(
        "SELECT 'event ' || seq || ': its body is not what was hashed' FROM sealed"
        f" WHERE leaf IS DISTINCT FROM {LEAF_HASH} OR NOT json_valid(body) ORDER BY seq"
    ) or opened.first(
        "SELECT 'event ' || seq || ': a column differs from its body' FROM sealed"
        f" WHERE json_extract_string(body, [{paths}]) IS DISTINCT FROM [{own}] ORDER BY seq"
    )
    if wrong is None:
        opened.connection.execute(
            f"""
            CREATE OR REPLACE TABLE event AS
            SELECT seq, "at", kind, entity, run, CASE WHEN kind NOT IN ({in_bulk}) THEN body END AS body FROM sealed;
            CREATE OR REPLACE TABLE told AS SELECT seq, kind, entity, run, "at", body -> '$.data' AS data FROM sealed
            """
        )
    opened.connection.unregister("sealed")
    return count, wrong


def signed(opened: Opened) -> Found:
    """Every checkpoint is the root of the events it covers, and signed."""
    return check_log(opened.settings, opened.store)


_KEYS = {
    "batch": "batch_id",
    "record": "record_id",
    "record_version": "version_id",
    "quarantine": "quarantine_id",
    "renumbering": "renumbering_id",
    "entity": "entity_key",
    "membership": "membership_id",
    "golden": "golden_id",
    "alias": "alias_id",
    "decision": "decision_id",
    "approval": "approval_id",
    "review": "review_id",
}


def keys(opened: Opened) -> Found:
    """No row of a numbered table has gone or changed its key."""
    wrong = next((gap for table, key in _KEYS.items() if (gap := opened.gap(table, key))), None)
    return len(_KEYS), wrong


def facts(opened: Opened) -> Found:
    """What the store says of itself, its models and its runs is what events told."""
    opened.read("meta", columns(texts=["name", "value"]))
    opened.read("model", columns(texts=["hash", "name", "created_at", "state", "body"]))
    opened.read(
        "run",
        columns(
            whole=["upto"],
            texts=["run_id", "started_at", "finished_at", "fingerprint", "declared", "summary"],
        ),
    )
    step_texts = ["run_id", "step", "finished_at", "detail"]
    opened.read("run_step", columns(whole=["rows"], texts=step_texts, real=["seconds"]))
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TEMP VIEW told_meta AS
        SELECT unnest(json_keys(data)) AS name, data ->> ('$.' || unnest(json_keys(data))) AS value
        FROM told WHERE kind IN ('{EventKind.STORE_CREATED}', '{EventKind.KEY_BOUND}');
        CREATE OR REPLACE TEMP VIEW bound_meta AS FROM meta WHERE name <> '{INDEX}';
        CREATE OR REPLACE TEMP VIEW told_model AS
        WITH of_model AS (
            SELECT seq, "at", kind, data ->> '$.hash' AS hash, data ->> '$.name' AS name FROM told
            WHERE kind IN ('{EventKind.MODEL_KEPT}', '{EventKind.MODEL_PROMOTED}', '{EventKind.MODEL_ROLLED_BACK}')
        ),
        chosen AS (SELECT name, max(seq) AS seq FROM of_model WHERE kind <> '{EventKind.MODEL_KEPT}' GROUP BY name)
        SELECT hash, arg_min(name, seq) AS name, min("at") FILTER (kind = '{EventKind.MODEL_KEPT}') AS created_at,
            CASE WHEN bool_or(seq IN (SELECT seq FROM chosen)) THEN 'current'
                WHEN bool_or(kind <> '{EventKind.MODEL_KEPT}') THEN 'retired' ELSE 'candidate' END AS state
        FROM of_model GROUP BY hash;
        CREATE OR REPLACE TEMP VIEW told_run AS
        SELECT run AS run_id, "at" AS finished_at, data ->> '$.started_at' AS started_at, data ->> '$.fingerprint' AS fingerprint,
            data ->> '$.declared' AS declared, CAST(data ->> '$.upto' AS BIGINT) AS upto, data ->> '$.summary' AS summary
        FROM told WHERE kind = '{EventKind.RUN_FINISHED}';
        CREATE OR REPLACE TEMP VIEW finished_run AS
        SELECT run_id, started_at, finished_at, fingerprint, declared, upto, sha256(summary) AS summary FROM run WHERE finished_at IS NOT NULL;
        CREATE OR REPLACE TEMP VIEW told_step AS
        SELECT run_id, s ->> '$.step' AS step, s ->> '$.finished_at' AS finished_at, CAST(s ->> '$.seconds' AS DOUBLE) AS seconds,
            CAST(s ->> '$.rows' AS BIGINT) AS rows, s ->> '$.detail' AS detail
        FROM (SELECT run AS run_id, unnest(CAST(data -> '$.steps' AS JSON[])) AS s FROM told WHERE kind = '{EventKind.RUN_FINISHED}');
        CREATE OR REPLACE TEMP VIEW finished_step AS
        SELECT s.* REPLACE (sha256(detail) AS detail) FROM run_step AS s SEMI JOIN finished_run USING (run_id)
        """
    )
    wrong = (
        opened.difference(
            "told_meta",
            "bound_meta",
            key=["name"],
            values=["value"],
            says="'meta ' || name || ': not as told'",
        )
        or opened.difference(
            "told_model",
            "model",
            key=["hash"],
            values=["name", "created_at", "state"],
            says="'model ' || hash || ': not as told'",
        )
        or opened.first(
            "SELECT 'model ' || hash || ': its body is another' FROM model WHERE sha256(body) <> hash ORDER BY hash"
        )
        or opened.difference(
            "told_run",
            "finished_run",
            key=["run_id"],
            values=["started_at", "finished_at", "fingerprint", "declared", "upto", "summary"],
            says="'run ' || run_id || ': not as told'",
        )
        or opened.difference(
            "told_step",
            "finished_step",
            key=["run_id", "step"],
            values=["finished_at", "seconds", "rows", "detail"],
            says="'run ' || run_id || ', step ' || step || ': not as told'",
        )
        or opened.first(
            "SELECT 'step ' || step || ' belongs to no run' FROM run_step ANTI JOIN run USING (run_id) ORDER BY 1"
        )
    )
    return sum(map(opened.count, ("meta", "model", "run", "run_step"))), wrong
