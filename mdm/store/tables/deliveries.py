"""Tables of what came in: deliveries, records and their versions, what was refused."""

from __future__ import annotations

from sqlalchemy import Index, Table, text

from mdm.store.tables.columns import key, metadata, whole, words

batch = Table(
    "batch",
    metadata,
    key("batch_id"),
    words("registry"),
    words("file"),
    words("sha256"),
    words("declaration"),
    words("delivered_on", nullable=True),
    words("landed_at"),
    whole("received"),
    whole("accepted"),
    whole("quarantined"),
    whole("skipped"),
    whole("records"),
    whole("new"),
    whole("changed"),
    whole("unchanged"),
    whole("withdrawn"),
    words("digest"),
    Index("ix_batch_registry_sha256", "registry", "sha256"),
    comment="one delivered file of one registry; received = accepted + quarantined; digest covers its record versions",
)

record = Table(
    "record",
    metadata,
    key("record_id"),
    words("registry"),
    words("kind"),
    words("local_id"),
    whole("version"),
    words("status"),
    words("content_hash"),
    words("household_ref", nullable=True),
    Index("uq_record_registry_kind_local_id", "registry", "kind", "local_id", unique=True),
    Index(
        "ix_record_registry_household_ref_kind",
        "registry",
        "household_ref",
        "kind",
        sqlite_where=text("household_ref IS NOT NULL"),
        postgresql_where=text("household_ref IS NOT NULL"),
    ),
    comment="one source record; version is its current one, household_ref what that says; withdrawn records stay",
)

record_version = Table(
    "record_version",
    metadata,
    key("version_id"),
    whole("record_id"),
    whole("version"),
    whole("batch_id"),
    whole("row_number"),
    words("status"),
    words("observed_on", nullable=True),
    words("content_hash"),
    words("raw"),
    words("attributes"),
    words("issues", nullable=True),
    words("standardiser"),
    Index("uq_record_version_record_id_version", "record_id", "version", unique=True),
    Index("ix_record_version_batch_id", "batch_id"),
    comment="one version of one record: the row as received, canonical attributes (JSON)",
)

quarantine = Table(
    "quarantine",
    metadata,
    key("quarantine_id"),
    whole("batch_id"),
    words("registry"),
    words("source"),
    words("file"),
    whole("row_number", nullable=True),
    words("local_id", nullable=True),
    words("reason"),
    words("detail", nullable=True),
    words("raw"),
    words("status"),
    whole("resolved_by_batch", nullable=True),
    Index("ix_quarantine_registry_status", "registry", "status"),
    comment="one row that could not be accepted; status open, repaired or dismissed",
)

renumbering = Table(
    "renumbering",
    metadata,
    key("renumbering_id"),
    whole("batch_id"),
    whole("row_number"),
    words("attribute"),
    words("old"),
    words("new"),
    words("changed_on", nullable=True),
    Index("ix_renumbering_old", "old"),
    Index("ix_renumbering_new", "new"),
    comment="one number that an office re-established: old to new",
)
