"""Who is who: standing and members of every entity at every past moment, rebuilt from the events."""

from __future__ import annotations

import orjson
import pyarrow as pa

from mdm.identity.commands import DecisionKind
from mdm.identity.decisions import across
from mdm.identity.events import EventKind
from mdm.pipeline.checks.opened import Found, Opened, columns

_K = EventKind
_ENTITY = columns(
    whole=["entity_key", "superseded_by", "version", "formed_event", "changed_event"],
    texts=["entity_id", "kind", "status"],
)
_PAST = columns(
    whole=["entity_key", "version", "superseded_by", "from_event", "until_event"], texts=["status"]
)


def standing(opened: Opened) -> Found:
    """Status, heir and version of every entity, now and before."""
    opened.read("entity", _ENTITY)
    opened.read("entity_past", _PAST)
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE entity_change AS
        SELECT seq, entity AS entity_id, kind = '{_K.ENTITY_FORMED}' AS forms, data ->> '$.kind' AS of_kind,
            CASE kind WHEN '{_K.ENTITY_FORMED}' THEN 'active' WHEN '{_K.ENTITY_RETIRED}' THEN 'retired' END AS status,
            CAST(NULL AS VARCHAR) AS heir
        FROM told WHERE kind IN ('{_K.ENTITY_FORMED}', '{_K.RECORDS_LINKED}', '{_K.RECORDS_DETACHED}', '{_K.ENTITY_RETIRED}',
            '{_K.ENTITY_MERGED}', '{_K.ENTITY_UNMERGED}', '{_K.ENTITY_SPLIT}')
        UNION ALL SELECT seq, data ->> '$.merged', false, NULL, 'superseded', entity FROM told WHERE kind = '{_K.ENTITY_MERGED}'
        UNION ALL SELECT seq, data ->> '$.restored', false, NULL, 'active', NULL FROM told WHERE kind = '{_K.ENTITY_UNMERGED}'
        UNION ALL SELECT seq, data ->> '$.into', true, data ->> '$.kind', 'active', NULL FROM told WHERE kind = '{_K.ENTITY_SPLIT}';
        CREATE OR REPLACE TABLE told_standing AS
        SELECT entity_id, row_number() OVER history AS version, seq AS from_event, lead(seq) OVER history AS until_event,
            arg_max(status, seq) FILTER (status IS NOT NULL) OVER history AS status,
            nullif(arg_max(COALESCE(heir, ''), seq) FILTER (status IS NOT NULL) OVER history, '') AS heir
        FROM entity_change WINDOW history AS (PARTITION BY entity_id ORDER BY seq);
        CREATE OR REPLACE TABLE kept_standing AS
        SELECT n.entity_id, s.version, s.from_event, s.until_event, s.status, h.entity_id AS heir
        FROM (
            SELECT entity_key, version, superseded_by, from_event, until_event, status FROM entity_past
            UNION ALL SELECT entity_key, version, superseded_by, changed_event, NULL, status FROM entity
        ) AS s JOIN entity AS n USING (entity_key) LEFT JOIN entity AS h ON h.entity_key = s.superseded_by;
        CREATE OR REPLACE TABLE told_entity AS SELECT entity_id, min(seq) AS formed_event, any_value(of_kind) AS kind FROM entity_change WHERE forms GROUP BY entity_id
        """
    )
    wrong = (
        opened.difference(
            "told_entity",
            "entity",
            key=["entity_id"],
            values=["formed_event", "kind"],
            says="'entity ' || entity_id || ': it was never formed so'",
        )
        or opened.difference(
            "told_standing",
            "kept_standing",
            key=["entity_id", "version"],
            values=["from_event", "until_event", "status", "heir"],
            says="'entity ' || entity_id || ', version ' || version || ': not as the events tell'",
        )
        or opened.first(
            "SELECT 'entity ' || e.entity_id || ' is superseded by nothing that stands' FROM entity AS e LEFT JOIN entity AS h ON h.entity_key = e.superseded_by"
            " WHERE (e.status = 'superseded') <> (h.entity_key IS NOT NULL) ORDER BY 1"
        )
    )
    return opened.count("kept_standing"), wrong


def membership(opened: Opened) -> Found:
    """Which record belonged to whom from when until when; now a record is in one entity, and that one is active."""
    opened.read("membership", columns(whole=["record_id", "entity_key", "from_event", "until_event"]))
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE move AS
        SELECT seq, CAST(unnest(CAST(data -> '$.records' AS BIGINT[])) AS BIGINT) AS record_id,
            CASE kind WHEN '{_K.ENTITY_FORMED}' THEN entity WHEN '{_K.RECORDS_LINKED}' THEN entity WHEN '{_K.ENTITY_MERGED}' THEN entity
                WHEN '{_K.ENTITY_UNMERGED}' THEN data ->> '$.restored' WHEN '{_K.ENTITY_SPLIT}' THEN data ->> '$.into' END AS joined,
            CASE kind WHEN '{_K.RECORDS_DETACHED}' THEN entity WHEN '{_K.ENTITY_MERGED}' THEN data ->> '$.merged'
                WHEN '{_K.ENTITY_UNMERGED}' THEN entity WHEN '{_K.ENTITY_SPLIT}' THEN entity END AS "left"
        FROM told WHERE kind IN ('{_K.ENTITY_FORMED}', '{_K.RECORDS_LINKED}', '{_K.RECORDS_DETACHED}', '{_K.ENTITY_MERGED}',
            '{_K.ENTITY_UNMERGED}', '{_K.ENTITY_SPLIT}');
        CREATE OR REPLACE TABLE told_stay AS
        SELECT record_id, joined AS entity_id, seq AS from_event, lead(seq) OVER path AS until_event,
            lag(joined) OVER path AS was_in, "left"
        FROM move WINDOW path AS (PARTITION BY record_id ORDER BY seq);
        CREATE OR REPLACE TABLE told_membership AS SELECT * FROM told_stay WHERE entity_id IS NOT NULL;
        CREATE OR REPLACE TABLE kept_membership AS SELECT m.*, e.entity_id, e.status FROM membership AS m LEFT JOIN entity AS e USING (entity_key)
        """
    )
    wrong = (
        opened.first(
            "SELECT 'record ' || record_id || ' is in two entities' FROM membership WHERE until_event IS NULL"
            " GROUP BY record_id HAVING COUNT(*) > 1 ORDER BY record_id"
        )
        or opened.first(
            "SELECT 'record ' || record_id || ' is in an entity that is not active' FROM kept_membership"
            " WHERE until_event IS NULL AND status IS DISTINCT FROM 'active' ORDER BY record_id"
        )
        or opened.first(
            "SELECT 'event ' || from_event || ': record ' || record_id || ' leaves an entity that it was not in' FROM told_stay"
            ' WHERE "left" IS DISTINCT FROM was_in ORDER BY from_event'
        )
        or opened.difference(
            "told_membership",
            "kept_membership",
            key=["record_id", "from_event"],
            values=["entity_id", "until_event"],
            says="'record ' || record_id || ': its entity is not the one that the events give it'",
        )
    )
    return opened.count("membership"), wrong


def decisions(opened: Opened) -> Found:
    """People's decisions stand from when until when, with author and reason, as the events tell."""
    schema = columns(
        whole=["record_l", "record_r", "from_event", "until_event"], texts=["kind", "author", "reason"]
    )
    count = opened.read("decision", schema)
    made: list[dict[str, object]] = []
    standing: dict[tuple[int, int], dict[str, object]] = {}
    for seq, kind, body in opened.rows(
        f"SELECT seq, kind, body FROM event WHERE kind IN ('{_K.DECISION_MADE}', '{_K.DECISION_REVOKED}', '{_K.ENTITY_MERGED}', '{_K.ENTITY_UNMERGED}', '{_K.ENTITY_SPLIT}') ORDER BY seq"
    ):
        for pair, decided in _decided(kind, body):
            if (former := standing.pop(pair, None)) is not None:
                former["until_event"] = seq
            if decided is not None:
                standing[pair] = {
                    "record_l": pair[0],
                    "record_r": pair[1],
                    "from_event": seq,
                    "until_event": None,
                    **decided,
                }
                made.append(standing[pair])
    opened.put("told_decision", pa.Table.from_pylist(made, schema=schema))
    return count, opened.difference(
        "told_decision",
        "decision",
        key=["record_l", "record_r", "from_event"],
        values=["until_event", "kind", "author", "reason"],
        says="'decision on records ' || record_l || ' and ' || record_r || ': not as told'",
    )


def _decided(kind: str, body: str) -> list[tuple[tuple[int, int], dict[str, object] | None]]:
    told = orjson.loads(body)
    data, said = told["data"], {"author": told["actor"], "reason": told["reason"]}
    if kind == _K.DECISION_REVOKED:
        return [((data["left"], data["right"]), None)]
    if kind == _K.ENTITY_MERGED:
        pair = data.get("must_link")
        return [((pair[0], pair[1]), {"kind": DecisionKind.MUST_LINK.value, **said})] if pair else []
    if kind == _K.DECISION_MADE:
        return [((data["left"], data["right"]), {"kind": data["decision"], **said})]
    sides = data["cannot_link"]
    revoked: list[tuple[tuple[int, int], dict[str, object] | None]]
    revoked = [((left, right), None) for left, right in data.get("revoked", ())]
    return revoked + [
        (pair, {"kind": DecisionKind.CANNOT_LINK.value, **said})
        for pair in across(sides["left"], sides["right"])
    ]
