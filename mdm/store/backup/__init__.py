"""Backup of a store into one file, and restore: either the old store is there or the new one, whatever happens meanwhile."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mdm.errors import ConfigurationError, StoreError
from mdm.identity.checkpoint import origin_of
from mdm.identity.clock import Source
from mdm.identity.events import EventKind, Stamp, seal_one
from mdm.store.backup import postgresql, sqlite
from mdm.store.backup.file import Content, Manifest, open_backup, write_backup
from mdm.store.backup.numbers import numbers_after
from mdm.store.keys import log_key_of, number_plan_of
from mdm.store.schema import revisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mdm.settings import Settings
    from mdm.store.backup.facts import StoreFacts
    from mdm.store.sequences import Standing

__all__ = ["Manifest", "Restored", "backup", "restore"]


@dataclass(frozen=True)
class Restored:
    manifest: Manifest
    missing_keys: list[str]
    """Of the secret keys that the store needs and a backup does not hold, those that are not in their place."""
    older_schema: bool
    """`mdm init` brings it up to date."""
    numbers_known: bool
    """Whether it is known where the sequences of numbers go on; if not, no number can be issued."""


def backup(settings: Settings, path: Path, *, source: Source | None = None) -> Manifest:
    """Writes what the store holds at one instant, while others may write to it.

    Args:
        settings: where the store is.
        path: the file, which is replaced as a whole.
        source: time, for tests.

    Raises:
        StoreError: there is no store, it cannot be read, or the file cannot be written.
        ConfigurationError: PostgreSQL's programs are not installed.
    """
    source = source or Source()

    def described(facts: StoreFacts | None, schema: str | None) -> Callable[[Content], Manifest]:
        if facts is None:
            raise StoreError(
                "The store is empty.", where=_place(settings), hint="There is nothing to back up."
            )
        return lambda content: Manifest(
            engine="sqlite" if settings.is_sqlite else "postgresql",
            namespace=schema,
            made_at=source.now(),
            made_by=f"asxh-mdm {importlib.metadata.version('asxh-mdm')}",
            content=content,
            store=facts,
        )

    try:
        if not settings.is_sqlite:
            with postgresql.snapshot(settings) as (facts, schema, content):
                describe = described(facts, schema)
                return write_backup(path, content, name=postgresql.CONTENT, compress=False, describe=describe)
        if not settings.store_file.exists():
            raise StoreError("There is no store.", where=_place(settings), hint="Check --store or MDM_STORE.")
        with sqlite.snapshot(settings, beside=path) as (facts, content):
            describe = described(facts, None)
            return write_backup(path, content, name=sqlite.CONTENT, compress=True, describe=describe)
    except OSError as error:
        raise StoreError(f"The backup cannot be written ({error.strerror}).", where=str(path)) from error


def restore(
    settings: Settings,
    path: Path,
    *,
    force: bool = False,
    skip_numbers: int | None = None,
    actor: str = "operator",
    tell: Callable[[float, str], None] = lambda _share, _doing: None,
    source: Source | None = None,
) -> Restored:
    """Makes the store what it was at the backup.

    Args:
        settings: where the store shall be.
        path: the file of the backup.
        force: replace a store that is there.
        skip_numbers: how many places of each sequence to pass over, more than can have been issued after the backup. Needed where
            neither the mark beside the SSN key nor the replaced store tells.
        actor: who the event is recorded as.
        source: time, for tests.
        tell: told which share of the present store is replaced.

    Raises:
        InputError: the file was cut or changed, or is no backup.
        StoreError: a store is there and `force` is not given; it is in use; or the backup is of another engine or of a newer
            version. Nothing was changed.
        ConfigurationError: a secret key in its place is not the store's, or PostgreSQL's programs are not installed. Nothing was changed.
    """
    with open_backup(path) as opened:
        manifest = opened.manifest
        known = revisions()
        _check_fit(settings, manifest, known)
        if (sqlite if settings.is_sqlite else postgresql).present(settings) and not force:
            raise StoreError(
                "There is a store already.",
                where=_place(settings),
                hint="Make a backup of it, then add --force to replace it.",
            )
        missing = _check_keys(settings, manifest.store)
        numbers = numbers_after(settings, manifest.store, skip=skip_numbers)
        event = _restored(manifest, numbers, actor=actor, source=source or Source())
        try:
            if settings.is_sqlite:
                sqlite.put(settings, opened.content(), manifest.store, event=event, tell=tell)
            else:
                postgresql.put(
                    settings,
                    opened.content(),
                    manifest.store,
                    event=event,
                    schema=str(manifest.namespace),
                    size=manifest.content.size,
                    tell=tell,
                )
        except OSError as error:
            raise StoreError(
                f"The store cannot be written ({error.strerror}).", where=_place(settings)
            ) from error
    older = manifest.store.revision != known[0]
    return Restored(manifest, missing, older_schema=older, numbers_known=numbers.known)


def _restored(manifest: Manifest, numbers: Standing, *, actor: str, source: Source) -> dict[str, Any]:
    """The event that tells of it, the first one after those of the backup."""
    data = {
        "backup": manifest.content.sha256,
        "following": dict(numbers.following),
        "known": numbers.known,
        "made_at": manifest.made_at,
    }
    stamp = Stamp(at=source.now(), actor=actor, reason="restored from a backup")
    return seal_one(EventKind.STORE_RESTORED, None, data, seq=manifest.store.events + 1, stamp=stamp)


def _check_fit(settings: Settings, manifest: Manifest, known: list[str]) -> None:
    engine = "sqlite" if settings.is_sqlite else "postgresql"
    if manifest.engine != engine:
        raise StoreError(
            f"The backup is of a store on {manifest.engine}, and this one is on {engine}.",
            where=_place(settings),
            hint="Give a store of the same kind by --store or MDM_STORE.",
        )
    if manifest.store.revision not in known:
        raise StoreError(
            "The backup's schema is of a newer version.", hint=f"Restore it with {manifest.made_by} or newer."
        )


def _check_keys(settings: Settings, facts: StoreFacts) -> list[str]:
    """The keys that are missing; refuses one that is not the store's."""
    missing = []
    if facts.ssn_key_fingerprint is not None:
        if _is_there(settings, "key_file"):
            number_plan_of(settings, fingerprint=facts.ssn_key_fingerprint)
        else:
            missing.append("SSN key")
    if facts.log_public_key is not None:
        if _is_there(settings, "log_key_file"):
            log_key_of(settings, origin_of(str(facts.store_id)), public=facts.log_public_key)
        else:
            missing.append("log key")
    return missing


def _is_there(settings: Settings, name: Literal["key_file", "log_key_file"]) -> bool:
    try:
        found: Path = getattr(settings, name)
    except ConfigurationError:  # on PostgreSQL the place of keys may not be set
        return False
    return found.exists()


def _place(settings: Settings) -> str:
    return str(settings.store_file) if settings.is_sqlite else "PostgreSQL"
