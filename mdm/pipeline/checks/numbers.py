"""Numbers: form, holder and state at every past moment, rebuilt from the events; never two live ones of a kind."""

from __future__ import annotations

from mdm.identity.events import EventKind
from mdm.identity.numbers import LIVE, NumberKind
from mdm.identity.ssn import kind_of
from mdm.pipeline.checks.opened import Found, Opened, columns

_K = EventKind


def numbers(opened: Opened) -> Found:
    """A number itself is personal data: what is wrong is named by its kind and place in the sequence."""
    opened.read(
        "ssn",
        columns(
            whole=["sequence", "entity_key", "issued_event", "changed_event"],
            texts=["number", "kind", "state", "superseded_by", "reason"],
        ),
    )
    opened.read(
        "ssn_past",
        columns(
            whole=["entity_key", "from_event", "until_event"],
            texts=["number", "state", "superseded_by", "reason"],
        ),
    )
    if (wrong := _malformed(opened)) is not None:
        return opened.count("ssn"), wrong
    opened.connection.execute(
        f"""
        CREATE OR REPLACE TABLE told_issue AS
        SELECT seq AS issued_event, data ->> '$.number' AS number, data ->> '$.kind' AS kind, CAST(data ->> '$.sequence' AS BIGINT) AS sequence
        FROM told WHERE kind = '{_K.NUMBER_ISSUED}';
        CREATE OR REPLACE TABLE number_change AS
        SELECT seq, data ->> '$.number' AS number, entity AS holder, CASE WHEN entity IS NULL THEN 'reserved' ELSE 'active' END AS state,
            CAST(NULL AS VARCHAR) AS heir, data ->> '$.reason' AS reason
        FROM told WHERE kind = '{_K.NUMBER_ISSUED}'
        UNION ALL SELECT seq, data ->> '$.number', entity, data ->> '$.state', data ->> '$.superseded_by', data ->> '$.reason'
        FROM told WHERE kind = '{_K.NUMBER_CHANGED}'
        UNION ALL SELECT seq, c ->> '$.number', c ->> '$.after.holder', c ->> '$.after.state', c ->> '$.after.superseded_by', c ->> '$.after.reason'
        FROM (SELECT seq, unnest(CAST(data -> '$.numbers' AS JSON[])) AS c FROM told WHERE kind IN ('{_K.ENTITY_MERGED}', '{_K.ENTITY_UNMERGED}'));
        CREATE OR REPLACE TABLE told_number AS
        SELECT number, seq AS from_event, lead(seq) OVER life AS until_event, lag(holder) OVER life AS formerly, holder, state, heir, reason
        FROM number_change WINDOW life AS (PARTITION BY number ORDER BY seq);
        CREATE OR REPLACE TABLE kept_number AS
        SELECT n.number, n.from_event, n.until_event, e.entity_id AS holder, n.state, n.superseded_by AS heir, n.reason
        FROM (
            SELECT number, from_event, until_event, entity_key, state, superseded_by, reason FROM ssn_past
            UNION ALL SELECT number, changed_event, NULL, entity_key, state, superseded_by, reason FROM ssn
        ) AS n LEFT JOIN entity AS e USING (entity_key)
        """
    )
    live = ", ".join(f"'{state}'" for state in sorted(LIVE))
    place = (
        "(SELECT any_value(kind || ' number ' || sequence) FROM told_issue AS i WHERE i.number = q.number)"
    )
    wrong = (
        opened.difference(
            "told_issue",
            "ssn",
            key=["number"],
            values=["issued_event", "kind", "sequence"],
            says="'a number was never issued so, or is missing'",
        )
        or opened.difference(
            "told_number",
            "kept_number",
            key=["number", "from_event"],
            values=["until_event", "holder", "state", "heir", "reason"],
            says="'a number changed by event ' || from_event || ' is not as the events tell'",
        )
        or _out_of_turn(opened)
        or opened.first(
            f"SELECT 'entity ' || e.entity_id || ' holds two live numbers of one kind' FROM ssn AS s JOIN entity AS e USING (entity_key)"
            f" WHERE s.state IN ({live}) GROUP BY e.entity_id, s.kind HAVING COUNT(*) > 1 ORDER BY 1"
        )
        or opened.first(
            f"SELECT {place} || ' is superseded by none' FROM ssn AS q LEFT JOIN ssn AS h ON h.number = q.superseded_by"
            " WHERE (q.state = 'superseded') <> (h.number IS NOT NULL) ORDER BY 1"
        )
    )
    return opened.count("kept_number"), wrong


def _malformed(opened: Opened) -> str | None:
    for kind in NumberKind:
        rows = opened.connection.sql(
            f"SELECT coalesce(number, ''), sequence FROM ssn WHERE kind = '{kind}' ORDER BY sequence"
        ).fetchall()
        bad = next((sequence for number, sequence in rows if kind_of(number) is not kind), None)
        if bad is not None:
            return f"{kind} number {bad} has a wrong form or check digit"
    return opened.first(
        f"SELECT 'number ' || sequence || ' is of no kind' FROM ssn WHERE kind NOT IN ({', '.join(repr(k.value) for k in NumberKind)}) ORDER BY 1"
    )


def _out_of_turn(opened: Opened) -> str | None:
    """Numbers follow each other in their sequence, after a restore from where it told to go on: no place is used twice."""
    floors = " UNION ALL ".join(
        f"SELECT seq, '{kind}' AS kind, CASE WHEN CAST(data ->> '$.known' AS BOOLEAN) THEN CAST(data ->> '$.following.{kind}' AS BIGINT) END AS floor"
        f" FROM told WHERE kind = '{_K.STORE_RESTORED}'"
        for kind in NumberKind
    )
    return opened.first(
        f"""
        WITH issued AS (
            SELECT kind, sequence, issued_event, lag(sequence) OVER turn AS former, lag(issued_event) OVER turn AS former_event
            FROM told_issue WINDOW turn AS (PARTITION BY kind ORDER BY issued_event)
        ), expected AS (
            SELECT i.*, CASE WHEN f.seq > COALESCE(former_event, 0) THEN CASE WHEN f.floor > COALESCE(former, -1) THEN f.floor END
                ELSE COALESCE(former, -1) + 1 END AS turn
            FROM issued AS i ASOF LEFT JOIN ({floors}) AS f ON i.kind = f.kind AND i.issued_event >= f.seq
        )
        SELECT kind || ' number ' || sequence || ' was issued out of turn' FROM expected
        WHERE sequence IS DISTINCT FROM turn ORDER BY issued_event
        """
    )


def affected(opened: Opened) -> Found:
    """The outbox names every entity that an event affects beside the one it is about."""
    opened.read("event_entity", columns(whole=["seq", "entity_key"]))
    opened.connection.execute(
        """
        CREATE OR REPLACE TABLE told_affected AS
        SELECT DISTINCT a.seq, a.entity_id FROM (
            SELECT seq, entity_id FROM entity_change
            UNION ALL SELECT from_event, holder FROM told_number
            UNION ALL SELECT from_event, formerly FROM told_number
        ) AS a JOIN event AS e USING (seq) WHERE a.entity_id IS NOT NULL AND a.entity_id IS DISTINCT FROM e.entity;
        CREATE OR REPLACE TABLE kept_affected AS SELECT a.seq, e.entity_id FROM event_entity AS a LEFT JOIN entity AS e USING (entity_key)
        """
    )
    return opened.count("kept_affected"), opened.difference(
        "told_affected",
        "kept_affected",
        key=["seq", "entity_id"],
        values=[],
        says="'event ' || seq || ': an entity that it affects is missing or wrong'",
    )
