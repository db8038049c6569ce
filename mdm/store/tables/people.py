"""Tables of who is who: entities, members, golden records, numbers, and what people decided."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text, text

from mdm.store.tables.columns import key, metadata, whole, words

entity = Table(
    "entity",
    metadata,
    key("entity_key"),
    Column("entity_id", Text, nullable=False, unique=True),
    words("kind"),
    words("status"),
    whole("superseded_by", nullable=True),
    whole("version"),
    whole("formed_event"),
    whole("changed_event"),
    comment="a person or household; status active, superseded or retired; entity_id is a UUIDv7 given once",
)

entity_past = Table(
    "entity_past",
    metadata,
    Column("entity_key", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    words("status"),
    whole("superseded_by", nullable=True),
    whole("from_event"),
    whole("until_event"),
    comment="an entity as it was before a change",
)

membership = Table(
    "membership",
    metadata,
    key("membership_id"),
    whole("record_id"),
    whole("entity_key"),
    whole("from_event"),
    whole("until_event", nullable=True),
    Index(
        "uq_membership_active_record_id",
        "record_id",
        unique=True,
        sqlite_where=text("until_event IS NULL"),
        postgresql_where=text("until_event IS NULL"),
    ),
    Index("ix_membership_entity_key", "entity_key"),
    Index(
        "ix_membership_ended_record_id",
        "record_id",
        sqlite_where=text("until_event IS NOT NULL"),
        postgresql_where=text("until_event IS NOT NULL"),
    ),
    comment="a record belongs to an entity from one event until another; never overwritten",
)

golden = Table(
    "golden",
    metadata,
    key("golden_id"),
    whole("entity_key"),
    whole("from_event"),
    whole("until_event", nullable=True),
    words("values"),
    words("provenance"),
    words("hash"),
    words("policy"),
    words("as_of"),
    Index(
        "uq_golden_active_entity_key",
        "entity_key",
        unique=True,
        sqlite_where=text("until_event IS NULL"),
        postgresql_where=text("until_event IS NULL"),
    ),
    Index("ix_golden_entity_key", "entity_key"),
    Index("ix_golden_from_event_entity_key", "from_event", "entity_key"),
    Index(
        "ix_golden_until_event_entity_key",
        "until_event",
        "entity_key",
        sqlite_where=text("until_event IS NOT NULL"),
        postgresql_where=text("until_event IS NOT NULL"),
    ),
    comment="the golden record of an entity from one event until another; as_of is the day from which ages were counted",
)

alias = Table(
    "alias",
    metadata,
    key("alias_id"),
    words("scheme"),
    words("value"),
    whole("entity_key"),
    whole("from_event"),
    whole("until_event", nullable=True),
    Index("ix_alias_value", "value"),
    Index("ix_alias_entity_key", "entity_key"),
    Index("ix_alias_from_event_entity_key", "from_event", "entity_key"),
    Index(
        "ix_alias_until_event_entity_key",
        "until_event",
        "entity_key",
        sqlite_where=text("until_event IS NOT NULL"),
        postgresql_where=text("until_event IS NOT NULL"),
    ),
    comment="a number by which a person is known (personal ID, CMND, BHXH, health card, tax code) from one event until another",
)

ssn = Table(
    "ssn",
    metadata,
    Column("number", Text, primary_key=True),
    words("kind"),
    whole("sequence"),
    whole("entity_key", nullable=True),
    words("state"),
    Column("superseded_by", Text, nullable=True),
    words("reason"),
    whole("issued_event"),
    whole("changed_event"),
    Index("uq_ssn_kind_sequence", "kind", "sequence", unique=True),
    Index("ix_ssn_entity_key", "entity_key"),
    comment="a number (ssn or temporary) and its state; issued to one person, never deleted, never reused",
)

ssn_past = Table(
    "ssn_past",
    metadata,
    Column("number", Text, primary_key=True),
    Column("from_event", BigInteger, primary_key=True, autoincrement=False),
    whole("entity_key", nullable=True),
    words("state"),
    Column("superseded_by", Text, nullable=True),
    words("reason"),
    whole("until_event"),
    Index("ix_ssn_past_entity_key", "entity_key"),
    comment="a number's holder and state before a change",
)

decision = Table(
    "decision",
    metadata,
    key("decision_id"),
    words("kind"),
    whole("record_l"),
    whole("record_r"),
    words("author"),
    words("reason"),
    whole("from_event"),
    whole("until_event", nullable=True),
    Index(
        "uq_decision_standing_pair",
        "record_l",
        "record_r",
        unique=True,
        sqlite_where=text("until_event IS NULL"),
        postgresql_where=text("until_event IS NULL"),
    ),
    Index("ix_decision_record_l", "record_l"),
    Index("ix_decision_record_r", "record_r"),
    comment="a person's word on two records, must_link or cannot_link; record_l < record_r; outlives any model",
)

approval = Table(
    "approval",
    metadata,
    key("approval_id"),
    words("request"),
    words("requested_by"),
    words("state"),
    whole("from_event"),
    whole("until_event", nullable=True),
    comment="a change that needs a second person: the command as canonical JSON; state open, approved, refused",
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", Text, primary_key=True),
    words("request"),
    whole("first_event"),
    whole("last_event"),
    comment="a request that was carried out, by the caller's key; request is the SHA-256 of its body",
)

review = Table(
    "review",
    metadata,
    key("review_id"),
    words("reason"),
    words("state"),
    words("subject"),
    words("detail"),
    whole("version"),
    words("raised_run", nullable=True),
    whole("raised_event"),
    whole("decided_event", nullable=True),
    Index("uq_review_open_subject", "subject", unique=True),
    comment="a question for a steward; subject names it canonically, so the same question is asked once",
)
