"""Tables of webhooks: who is told of events, and what is still to be told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from mdm.store.tables.columns import metadata, whole, words

subscription = Table(
    "subscription",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    words("url"),
    words("kinds", nullable=True),
    words("registry", nullable=True),
    whole("sees_sealed"),
    whole("ordered"),
    words("state"),
    whole("position"),
    words("salt"),
    words("former_salt", nullable=True),
    words("former_until", nullable=True),
    words("key_fingerprint"),
    words("created_by"),
    words("created_at"),
    whole("delivered", nullable=True),
    words("delivered_at", nullable=True),
    comment="a URL that is told of events: of all kinds or of those in the JSON list, of all people or of those with a record of the registry; state active, paused or stopped; events up to position were taken into outgoing, delivered is the last one that it took; its secret derives from the webhook key and salt, until former_until from former_salt too",
)

outgoing = Table(
    "outgoing",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    whole("after"),
    whole("after_key"),
    whole("upto"),
    words("state"),
    whole("attempts"),
    words("next_at"),
    words("error", nullable=True),
    comment="events still to be sent to a subscription, the number-th of its spans: without events up to `after`, without entities up to after_key of the event that follows, up to the event `upto`; state pending, or dead after the last attempt; attempts are of its first message, the next one is made at next_at",
)
