"""Tables of how it came about: the event log and its proofs, models, edges, runs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Table, Text

from mdm.store.tables.columns import key, metadata, whole, words

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    words("value"),
    comment="one fact about this store: its id, the fingerprint of its SSN key",
)

event = Table(
    "event",
    metadata,
    key("seq"),
    words("at"),
    words("kind"),
    words("entity", nullable=True),
    words("run", nullable=True),
    words("body"),
    words("leaf"),
    Index("ix_event_entity", "entity"),
    Index("ix_event_kind_seq", "kind", "seq"),
    comment="one change: body is its canonical JSON, leaf its RFC 6962 leaf hash; append-only",
)

event_entity = Table(
    "event_entity",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("entity_key", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_event_entity_entity_key", "entity_key"),
    comment="an entity that an event affects beside the one it names; with event and golden, the outbox",
)

log_node = Table(
    "log_node",
    metadata,
    Column("level", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    words("hash"),
    comment="the RFC 6962 hash of a complete subtree of 2^level leaves, the position-th of its level",
)

checkpoint = Table(
    "checkpoint",
    metadata,
    key("size"),
    words("at"),
    words("root"),
    words("note"),
    comment="a signed statement of the root hash of the first `size` events",
)

model = Table(
    "model",
    metadata,
    Column("hash", Text, primary_key=True),
    words("name"),
    words("created_at"),
    words("state"),
    words("body"),
    comment="a trained model as an artefact by content hash; state candidate, current (the one that runs use) or retired",
)

edge = Table(
    "edge",
    metadata,
    Column("record_l", BigInteger, primary_key=True, autoincrement=False),
    Column("record_r", BigInteger, primary_key=True, autoincrement=False),
    Column("weight", Double, nullable=False),
    words("conflict", nullable=True),
    words("model"),
    whole("from_event"),
    Index("ix_edge_record_r", "record_r"),
    comment="a scored pair at or above the keep threshold; record_l < record_r; weight in bits; conflict names what no shared number bridges; from the event that tells of the scoring",
)

edge_past = Table(
    "edge_past",
    metadata,
    Column("record_l", BigInteger, primary_key=True, autoincrement=False),
    Column("record_r", BigInteger, primary_key=True, autoincrement=False),
    Column("from_event", BigInteger, primary_key=True, autoincrement=False),
    Column("weight", Double, nullable=False),
    words("conflict", nullable=True),
    words("model"),
    whole("until_event"),
    comment="an edge that was scored anew: what it was before",
)

run = Table(
    "run",
    metadata,
    Column("run_id", Text, primary_key=True),
    words("started_at"),
    words("finished_at", nullable=True),
    words("fingerprint"),
    words("declared"),
    whole("upto"),
    words("summary", nullable=True),
    comment="one batch run; fingerprint is of everything it depends on, declared of what is declared; upto is the last event before it",
)

run_step = Table(
    "run_step",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    words("finished_at"),
    Column("seconds", Double, nullable=False),
    whole("rows"),
    words("detail"),
    comment="a step that a run has finished",
)
