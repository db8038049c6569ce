"""The statements of single changes, built once: SQLAlchemy takes longer to build one than SQLite to run it.

An update sets the columns that its parameters name.
"""

from __future__ import annotations

from sqlalchemy import bindparam, func, insert, or_, select, update

from mdm.store.tables import (
    alias,
    batch,
    decision,
    entity,
    entity_past,
    event,
    event_entity,
    golden,
    membership,
    meta,
    record,
    record_version,
    ssn,
    ssn_past,
)

ENTITIES = select(entity).where(entity.c.entity_id.in_(bindparam("ids", expanding=True)))
IDS = select(entity.c.entity_key, entity.c.entity_id).where(
    entity.c.entity_key.in_(bindparam("keys", expanding=True))
)
HOMES = (
    select(entity.c.entity_id)
    .join(membership, membership.c.entity_key == entity.c.entity_key)
    .where(
        membership.c.record_id.in_(bindparam("records", expanding=True)), membership.c.until_event.is_(None)
    )
)
MEMBERS = select(membership.c.record_id, membership.c.entity_key).where(
    membership.c.entity_key.in_(bindparam("keys", expanding=True)), membership.c.until_event.is_(None)
)
NUMBER = select(ssn).where(ssn.c.number == bindparam("given"))
NUMBERS_OF = select(ssn).where(ssn.c.entity_key.in_(bindparam("keys", expanding=True)))
DECISIONS = select(decision.c.kind, decision.c.record_l, decision.c.record_r).where(
    decision.c.until_event.is_(None),
    or_(
        decision.c.record_l.in_(bindparam("records", expanding=True)),
        decision.c.record_r.in_(bindparam("records", expanding=True)),
    ),
)
META = select(meta.c.value).where(meta.c.name == bindparam("given"))
BODY = select(event.c.body).where(event.c.seq == bindparam("given"))
LAST = select(
    *(
        select(func.max(next(iter(table.primary_key)))).scalar_subquery().label(table.name)
        for table in (event, entity, membership, decision, golden, alias, batch, record, record_version)
    )
)
"""The last number of each table that counts its rows."""
ADD_EVENT, ADD_AFFECTED, ADD_ENTITY, ADD_ENTITY_PAST, ADD_MEMBERSHIP, ADD_NUMBER, ADD_NUMBER_PAST = (
    insert(table) for table in (event, event_entity, entity, entity_past, membership, ssn, ssn_past)
)
ADD_DECISION = insert(decision)
SET_ENTITY = update(entity).where(entity.c.entity_key == bindparam("given"))
SET_NUMBER = update(ssn).where(ssn.c.number == bindparam("given"))
END_MEMBERSHIP = update(membership).where(
    membership.c.record_id == bindparam("given"), membership.c.until_event.is_(None)
)
END_DECISION = update(decision).where(
    decision.c.record_l == bindparam("left"),
    decision.c.record_r == bindparam("right"),
    decision.c.until_event.is_(None),
)
