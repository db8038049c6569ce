"""The store's tables, on SQLite and PostgreSQL alike. What one row is stands in each table's comment.

Whole numbers are BIGINT and moments are RFC 3339 text in UTC, so that bulk loading by Arrow is the same on both engines
and a canonical hash does not depend on the engine.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, Table, Text, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite makes only INTEGER PRIMARY KEY an alias of the rowid, which is what bulk loading wants
Key = BigInteger().with_variant(Integer(), "sqlite")


def _key(name: str) -> Column[int]:
    return Column(name, Key, primary_key=True, autoincrement=False)


def _int(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _only(condition: str) -> dict[str, Any]:
    """The rows that a partial index holds."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    _text("value"),
    comment="one fact about this store: its id, the fingerprint of its SSN key",
)

batch = Table(
    "batch",
    metadata,
    _key("batch_id"),
    _text("registry"),
    _text("file"),
    _text("sha256"),
    _text("declaration"),
    _text("delivered_on", nullable=True),
    _text("landed_at"),
    _int("received"),
    _int("accepted"),
    _int("quarantined"),
    _int("skipped"),
    _int("records"),
    _int("new"),
    _int("changed"),
    _int("unchanged"),
    _int("withdrawn"),
    _text("digest"),
    Index("ix_batch_registry_sha256", "registry", "sha256"),
    comment="one delivered file of one registry; received = accepted + quarantined; digest covers its record versions",
)

record = Table(
    "record",
    metadata,
    _key("record_id"),
    _text("registry"),
    _text("kind"),
    _text("local_id"),
    _int("version"),
    _text("status"),
    _text("content_hash"),
    Index("uq_record_registry_kind_local_id", "registry", "kind", "local_id", unique=True),
    comment="one source record; version is its current one; withdrawn records stay",
)

record_version = Table(
    "record_version",
    metadata,
    _key("version_id"),
    _int("record_id"),
    _int("version"),
    _int("batch_id"),
    _int("row_number"),
    _text("status"),
    _text("observed_on", nullable=True),
    _text("content_hash"),
    _text("raw"),
    _text("attributes"),
    _text("issues", nullable=True),
    _text("standardiser"),
    Index("uq_record_version_record_id_version", "record_id", "version", unique=True),
    Index("ix_record_version_batch_id", "batch_id"),
    comment="one version of one record: the row as received, canonical attributes (JSON)",
)

quarantine = Table(
    "quarantine",
    metadata,
    _key("quarantine_id"),
    _int("batch_id"),
    _text("registry"),
    _text("source"),
    _text("file"),
    _int("row_number", nullable=True),
    _text("local_id", nullable=True),
    _text("reason"),
    _text("detail", nullable=True),
    _text("raw"),
    _text("status"),
    _int("resolved_by_batch", nullable=True),
    Index("ix_quarantine_registry_status", "registry", "status"),
    comment="one row that could not be accepted; status open, repaired or dismissed",
)

renumbering = Table(
    "renumbering",
    metadata,
    _key("renumbering_id"),
    _int("batch_id"),
    _int("row_number"),
    _text("attribute"),
    _text("old"),
    _text("new"),
    _text("changed_on", nullable=True),
    Index("ix_renumbering_old", "old"),
    comment="one number that an office re-established: old to new",
)

edge = Table(
    "edge",
    metadata,
    Column("record_l", BigInteger, primary_key=True, autoincrement=False),
    Column("record_r", BigInteger, primary_key=True, autoincrement=False),
    Column("weight", Double, nullable=False),
    _text("model"),
    _int("from_event"),
    Index("ix_edge_record_r", "record_r"),
    comment="a scored pair at or above the keep threshold; record_l < record_r; weight in bits; from the event that tells of the scoring",
)

edge_past = Table(
    "edge_past",
    metadata,
    Column("record_l", BigInteger, primary_key=True, autoincrement=False),
    Column("record_r", BigInteger, primary_key=True, autoincrement=False),
    Column("from_event", BigInteger, primary_key=True, autoincrement=False),
    Column("weight", Double, nullable=False),
    _text("model"),
    _int("until_event"),
    comment="an edge that was scored anew: what it was before",
)

entity = Table(
    "entity",
    metadata,
    _key("entity_key"),
    Column("entity_id", Text, nullable=False, unique=True),
    _text("kind"),
    _text("status"),
    _int("superseded_by", nullable=True),
    _int("version"),
    _int("formed_event"),
    _int("changed_event"),
    comment="a person or household; status active, superseded or retired; entity_id is a UUIDv7 given once",
)

entity_past = Table(
    "entity_past",
    metadata,
    Column("entity_key", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    _text("status"),
    _int("superseded_by", nullable=True),
    _int("from_event"),
    _int("until_event"),
    comment="an entity as it was before a change",
)

membership = Table(
    "membership",
    metadata,
    _key("membership_id"),
    _int("record_id"),
    _int("entity_key"),
    _int("from_event"),
    _int("until_event", nullable=True),
    Index("uq_membership_active_record_id", "record_id", unique=True, **_only("until_event IS NULL")),
    Index("ix_membership_entity_key", "entity_key"),
    Index("ix_membership_ended_record_id", "record_id", **_only("until_event IS NOT NULL")),
    comment="a record belongs to an entity from one event until another; never overwritten",
)

golden = Table(
    "golden",
    metadata,
    _key("golden_id"),
    _int("entity_key"),
    _int("from_event"),
    _int("until_event", nullable=True),
    _text("values"),
    _text("provenance"),
    _text("hash"),
    _text("policy"),
    _text("as_of"),
    Index("uq_golden_active_entity_key", "entity_key", unique=True, **_only("until_event IS NULL")),
    Index("ix_golden_entity_key", "entity_key"),
    comment="the golden record of an entity from one event until another; as_of is the day from which ages were counted",
)

alias = Table(
    "alias",
    metadata,
    _key("alias_id"),
    _text("scheme"),
    _text("value"),
    _int("entity_key"),
    _int("from_event"),
    _int("until_event", nullable=True),
    Index("ix_alias_value", "value"),
    Index("ix_alias_entity_key", "entity_key"),
    comment="a number by which a person is known (personal ID, CMND, BHXH, health card, tax code) from one event until another",
)

ssn = Table(
    "ssn",
    metadata,
    Column("number", Text, primary_key=True),
    _text("kind"),
    _int("sequence"),
    _int("entity_key", nullable=True),
    _text("state"),
    Column("superseded_by", Text, nullable=True),
    _text("reason"),
    _int("issued_event"),
    _int("changed_event"),
    Index("uq_ssn_kind_sequence", "kind", "sequence", unique=True),
    Index("ix_ssn_entity_key", "entity_key"),
    comment="a number (ssn or temporary) and its state; issued to one person, never deleted, never reused",
)

ssn_past = Table(
    "ssn_past",
    metadata,
    Column("number", Text, primary_key=True),
    Column("from_event", BigInteger, primary_key=True, autoincrement=False),
    _int("entity_key", nullable=True),
    _text("state"),
    Column("superseded_by", Text, nullable=True),
    _text("reason"),
    _int("until_event"),
    Index("ix_ssn_past_entity_key", "entity_key"),
    comment="a number's holder and state before a change",
)

event = Table(
    "event",
    metadata,
    _key("seq"),
    _text("at"),
    _text("kind"),
    _text("entity", nullable=True),
    _text("run", nullable=True),
    _text("body"),
    _text("leaf"),
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
    _text("hash"),
    comment="the RFC 6962 hash of a complete subtree of 2^level leaves, the position-th of its level",
)

checkpoint = Table(
    "checkpoint",
    metadata,
    _key("size"),
    _text("at"),
    _text("root"),
    _text("note"),
    comment="a signed statement of the root hash of the first `size` events",
)

decision = Table(
    "decision",
    metadata,
    _key("decision_id"),
    _text("kind"),
    _int("record_l"),
    _int("record_r"),
    _text("author"),
    _text("reason"),
    _int("from_event"),
    _int("until_event", nullable=True),
    Index("uq_decision_standing_pair", "record_l", "record_r", unique=True, **_only("until_event IS NULL")),
    Index("ix_decision_record_l", "record_l"),
    Index("ix_decision_record_r", "record_r"),
    comment="a person's word on two records, must_link or cannot_link; record_l < record_r; outlives any model",
)

approval = Table(
    "approval",
    metadata,
    _key("approval_id"),
    _text("request"),
    _text("requested_by"),
    _text("state"),
    _int("from_event"),
    _int("until_event", nullable=True),
    comment="a change that needs a second person: the command as canonical JSON; state open, approved, refused",
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", Text, primary_key=True),
    _text("request"),
    _int("first_event"),
    _int("last_event"),
    comment="a request that was carried out, by the caller's key; request is the SHA-256 of its body",
)

review = Table(
    "review",
    metadata,
    _key("review_id"),
    _text("reason"),
    _text("state"),
    _text("subject"),
    _text("detail"),
    _int("version"),
    _text("raised_run", nullable=True),
    _int("raised_event"),
    _int("decided_event", nullable=True),
    Index("uq_review_open_subject", "subject", unique=True),
    comment="a question for a steward; subject names it canonically, so the same question is asked once",
)

model = Table(
    "model",
    metadata,
    Column("hash", Text, primary_key=True),
    _text("name"),
    _text("created_at"),
    _text("state"),
    _text("body"),
    comment="a trained model as an artefact by content hash; state current or retired",
)

run = Table(
    "run",
    metadata,
    Column("run_id", Text, primary_key=True),
    _text("started_at"),
    _text("finished_at", nullable=True),
    _text("fingerprint"),
    _text("summary", nullable=True),
    comment="one batch run; fingerprint is of everything it depends on",
)

run_step = Table(
    "run_step",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    _text("finished_at"),
    Column("seconds", Double, nullable=False),
    _int("rows"),
    _text("detail"),
    comment="a step that a run has finished",
)
