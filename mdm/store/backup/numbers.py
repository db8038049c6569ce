"""Where the sequences of numbers go on after a restore."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from mdm.errors import ConfigurationError, InputError, StoreError
from mdm.store.backup.facts import read_facts
from mdm.store.engine import reading
from mdm.store.sequences import Standing, read_mark

if TYPE_CHECKING:
    from mdm.settings import Settings
    from mdm.store.backup.facts import StoreFacts


def numbers_after(settings: Settings, backup: StoreFacts, *, skip: int | None) -> Standing:
    """The greatest that is known of; `known` if the mark or the replaced store tells, or a person has said how many to pass over.

    Args:
        settings: where the store shall be, the present one still being there.
        backup: what the backup says of its store.
        skip: how many places a person wants passed over.
    """
    if skip is not None and skip < 0:
        raise InputError("numbers to pass over cannot be fewer than none", where="--skip-numbers")
    following, known = dict(backup.numbers), skip is not None
    mark = None
    with suppress(ConfigurationError):  # a mark that cannot be read tells nothing
        mark = read_mark(settings, store=str(backup.store_id), key=backup.ssn_key_fingerprint)
    told = [] if mark is None else [{kind: places.after for kind, places in mark.kinds.items()}]
    replaced = _replaced(settings)
    if replaced is not None and replaced.store_id == backup.store_id:
        later = replaced.numbers_known and replaced.events >= backup.events
        if later:
            known = True
        told.append(dict(replaced.numbers))
    # a mark that knows of fewer numbers than the backup is another machine's
    if mark is not None and all(told[0].get(kind, 0) >= place for kind, place in backup.numbers.items()):
        known = True
    for kind, place in backup.numbers.items():
        said = [places.get(kind, 0) for places in told]
        following[kind] = max([place + (skip or 0), *said])
    return Standing({kind.value: place for kind, place in following.items()}, known=known)


def _replaced(settings: Settings) -> StoreFacts | None:
    """None if there is no store yet, or none that can be read."""
    if settings.is_sqlite and not settings.store_file.exists():
        return None
    with suppress(DBAPIError, StoreError, KeyError), reading(settings) as connection:
        return read_facts(connection)
    return None
