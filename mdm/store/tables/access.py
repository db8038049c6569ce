"""Tables of who may do what, and who read whom. No event tells of them: they are no part of who is who."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from mdm.store.tables.columns import key, metadata, whole, words

account = Table(
    "account",
    metadata,
    Column("name", Text, primary_key=True),
    words("password"),
    words("roles"),
    words("state"),
    whole("version"),
    words("created_at"),
    words("changed_at"),
    words("changed_by"),
    comment="a person who signs in here: password as an argon2 hash, roles as JSON, state active or disabled; version counts changes",
)

api_key = Table(
    "api_key",
    metadata,
    Column("prefix", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    words("hash"),
    words("roles"),
    words("created_at"),
    words("created_by"),
    words("expires_at", nullable=True),
    words("revoked_at", nullable=True),
    words("revoked_by", nullable=True),
    comment="a machine's key: SHA-256 of its secret, found by its prefix; roles as JSON; a revoked one stays",
)

access_log = Table(
    "access_log",
    metadata,
    Column("access_id", Text, primary_key=True),
    words("at"),
    words("actor"),
    words("purpose"),
    words("operation"),
    words("entity_id"),
    words("fields"),
    words("request_id"),
    Index("ix_access_log_entity_id_access_id", "entity_id", "access_id"),
    comment="one read of one person: by whom, what for, which fields (JSON); access_id is a UUIDv7, so it ascends with time",
)

review_claim = Table(
    "review_claim",
    metadata,
    key("review_id"),
    words("claimed_by"),
    words("claimed_at"),
    words("expires_at"),
    comment="a question that somebody is at work on, until it expires, is released or is decided",
)
